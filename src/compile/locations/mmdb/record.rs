//! One record, in either schema.
//!
//! MaxMind's nests (`location.latitude`, `country.iso_code`), ip-location-db's is flat (`latitude`,
//! `country_code`). They share names (`city`), so the value's shape decides. IPinfo's is flat too, with names
//! of its own (`lat`, `region`, `asn`).

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::super::centroids::{Centroids, continent_of_code, country_of_code};
use crate::geo::{Coordinates, Location};

/// The longest name kept, in octets: longer ones are not names.
const NAME_OCTETS_MAX: usize = 120;

/// What we read of a record. Everything may be missing.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Record<'a> {
    location: Option<Point>,
    #[serde(borrow)]
    country: Option<Place<'a>>,
    #[serde(borrow)]
    continent: Option<Place<'a>>,
    #[serde(borrow)]
    subdivisions: Option<First<Place<'a>>>,
    #[serde(borrow)]
    city: Option<Place<'a>>,
    #[serde(borrow)]
    country_code: Option<Place<'a>>,
    #[serde(borrow)]
    continent_code: Option<Place<'a>>,
    #[serde(borrow, alias = "region")]
    state1: Option<Place<'a>>,
    #[serde(alias = "lat")]
    latitude: Option<Degrees>,
    #[serde(alias = "lng")]
    longitude: Option<Degrees>,
    #[serde(alias = "asn")]
    autonomous_system_number: Option<SystemNumber>,
}

impl Record<'_> {
    /// The place it tells, made whole from the tables; `None`: it tells nothing.
    pub(super) fn location(&self, centroids: &Centroids) -> Option<Location> {
        let country = self.country_code.as_ref().or(self.country.as_ref()).and_then(Place::code);
        let country = country.and_then(country_of_code);
        let continent = self.continent_code.as_ref().or(self.continent.as_ref()).and_then(Place::code);
        let region = self.subdivisions.as_ref().and_then(|first| first.0.as_ref()).or(self.state1.as_ref());
        let region = region.and_then(|region| region.code().or(region.name()));
        let location = Location {
            coordinates: self.coordinates(),
            continent: continent.and_then(continent_of_code),
            country,
            subdivision: region
                .and_then(short_name)
                .map(|name| country.and_then(|country| centroids.code(country, &name)).unwrap_or(name)),
            city: self.city.as_ref().and_then(Place::name).and_then(short_name),
            asn: self.autonomous_system_number.as_ref().and_then(|number| number.0).filter(|n| *n != 0),
        };
        let location = centroids.completed(location);
        (location != Location::default()).then_some(location)
    }

    fn coordinates(&self) -> Option<Coordinates> {
        let nested = self.location.as_ref().map(|point| (&point.latitude, &point.longitude));
        let (latitude, longitude) = nested.unwrap_or((&self.latitude, &self.longitude));
        let (latitude, longitude) = (latitude.as_ref()?.0?, longitude.as_ref()?.0?);
        // Files write "unknown" as 0,0: nobody lives there.
        let nowhere = latitude == 0.0 && longitude == 0.0;
        if nowhere { None } else { Coordinates::new(latitude, longitude) }
    }
}

fn short_name(name: &str) -> Option<Box<str>> {
    let name = name.trim();
    (!name.is_empty() && name.len() <= NAME_OCTETS_MAX).then(|| name.into())
}

/// MaxMind's `location`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Point {
    latitude: Option<Degrees>,
    longitude: Option<Degrees>,
}

/// A named thing: a text, or a map with a code and names.
enum Place<'a> {
    Text(&'a str),
    Coded(Coded<'a>),
}

impl Place<'_> {
    fn code(&self) -> Option<&str> {
        match self {
            Place::Text(text) => Some(text),
            Place::Coded(coded) => coded.iso_code.or(coded.code),
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Place::Text(text) => Some(text),
            Place::Coded(coded) => coded.names.as_ref()?.en,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Coded<'a> {
    #[serde(borrow)]
    iso_code: Option<&'a str>,
    #[serde(borrow)]
    code: Option<&'a str>,
    #[serde(borrow)]
    names: Option<Names<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Names<'a> {
    #[serde(borrow)]
    en: Option<&'a str>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Place<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlaceVisitor(PhantomData))
    }
}

struct PlaceVisitor<'a>(PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for PlaceVisitor<'a> {
    type Value = Place<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name or a map with a code")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Place::Text(text))
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Self::Value, M::Error> {
        Coded::deserialize(MapAccessDeserializer::new(map)).map(Place::Coded)
    }
}

/// The first item of a list: subdivisions go from the largest to the smallest.
struct First<T>(Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for First<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(FirstVisitor(PhantomData))
    }
}

struct FirstVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for FirstVisitor<T> {
    type Value = First<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Self::Value, S::Error> {
        let first = list.next_element()?;
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(First(first))
    }
}

/// A coordinate: files write single and double precision, and some text. `None`: not a number.
struct Degrees(Option<f64>);

impl<'de> Deserialize<'de> for Degrees {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DegreesVisitor)
    }
}

struct DegreesVisitor;

impl Visitor<'_> for DegreesVisitor {
    type Value = Degrees;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of degrees")
    }

    fn visit_f64<E>(self, degrees: f64) -> Result<Self::Value, E> {
        Ok(Degrees(Some(degrees)))
    }

    fn visit_f32<E>(self, degrees: f32) -> Result<Self::Value, E> {
        // To four digits, as it was meant: 52.3676 is not 52.36759948730469.
        Ok(Degrees(Some((f64::from(degrees) * 1e4).round() / 1e4)))
    }

    fn visit_i64<E>(self, degrees: i64) -> Result<Self::Value, E> {
        Ok(Degrees(Some(degrees as f64)))
    }

    fn visit_u64<E>(self, degrees: u64) -> Result<Self::Value, E> {
        Ok(Degrees(Some(degrees as f64)))
    }

    fn visit_str<E>(self, degrees: &str) -> Result<Self::Value, E> {
        Ok(Degrees(degrees.trim().parse().ok()))
    }
}

/// A system number, as a number or as `AS64500`. `None`: neither.
struct SystemNumber(Option<u32>);

impl<'de> Deserialize<'de> for SystemNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SystemNumberVisitor)
    }
}

struct SystemNumberVisitor;

impl Visitor<'_> for SystemNumberVisitor {
    type Value = SystemNumber;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an autonomous system number")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(SystemNumber(u32::try_from(number).ok()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(SystemNumber(text.strip_prefix("AS").unwrap_or(text).parse().ok()))
    }
}
