//! The head: what is in the file, and the table of places.

use super::super::centroids::{code_of_continent, continent_of_code, country_of_code};
use super::{HEAD_OCTETS_MAX, PLACES_MAX, RUNS_MAX};
use crate::geo::{Coordinates, Location};

/// A coordinate that is not known.
const UNKNOWN: i16 = i16::MIN;

/// One family's part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct FamilyHead {
    /// The length of its networks.
    pub(super) length: u8,
    /// How many runs its columns have.
    pub(super) runs: u32,
}

/// What a file says of itself.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Head {
    /// When it was made, in seconds since 1970.
    pub(super) built_s: u64,
    /// Who must be named.
    pub(super) attribution: String,
    /// By family.
    pub(super) families: [FamilyHead; 2],
    /// The places.
    pub(super) places: Vec<Location>,
}

impl Head {
    /// The octets of a head; `None`: something is too long for its field.
    pub(super) fn to_octets(&self) -> Option<Vec<u8>> {
        let mut octets = Vec::new();
        octets.extend(self.built_s.to_le_bytes());
        octets.extend(u16::try_from(self.attribution.len()).ok()?.to_le_bytes());
        octets.extend(self.attribution.bytes());
        for family in self.families {
            octets.push(family.length);
            octets.extend(family.runs.to_le_bytes());
        }
        octets.extend(u32::try_from(self.places.len()).ok()?.to_le_bytes());
        for place in &self.places {
            put_place(&mut octets, place)?;
        }
        let fits = self.places.len() <= PLACES_MAX && octets.len() <= HEAD_OCTETS_MAX;
        fits.then_some(octets)
    }

    /// The head of these octets; `None`: they are not a head.
    pub(super) fn from_octets(octets: &[u8]) -> Option<Head> {
        let mut rest = Rest(octets);
        let built_s = u64::from_le_bytes(rest.array()?);
        let attribution_octets = usize::from(u16::from_le_bytes(rest.array()?));
        let attribution = rest.text(attribution_octets)?.to_owned();
        let mut families = [FamilyHead::default(); 2];
        for (family, bits) in families.iter_mut().zip([32, 64]) {
            let [length] = rest.array()?;
            *family = FamilyHead { length, runs: u32::from_le_bytes(rest.array()?) };
            if !(1..=bits).contains(&length) || family.runs > RUNS_MAX {
                return None;
            }
        }
        let count = u32::from_le_bytes(rest.array()?) as usize;
        // Each place takes some octets: what is not there is not allocated.
        if count > PLACES_MAX || count > rest.0.len() {
            return None;
        }
        let mut places = Vec::with_capacity(count);
        for _ in 0..count {
            places.push(take_place(&mut rest)?);
        }
        rest.0.is_empty().then_some(Head { built_s, attribution, families, places })
    }
}

fn put_place(octets: &mut Vec<u8>, place: &Location) -> Option<()> {
    let hundredths = |degrees: f64| (degrees * 100.0).round() as i16;
    let (latitude, longitude) = place
        .coordinates
        .map_or((UNKNOWN, UNKNOWN), |c| (hundredths(c.latitude()), hundredths(c.longitude())));
    octets.extend(latitude.to_le_bytes());
    octets.extend(longitude.to_le_bytes());
    octets.extend(place.country.map_or([0; 2], |country| country.0));
    octets.extend(place.continent.map_or([0; 2], code_of_continent));
    let subdivision = place.subdivision.as_deref().unwrap_or("");
    octets.push(u8::try_from(subdivision.len()).ok()?);
    octets.extend(subdivision.bytes());
    Some(())
}

fn take_place(rest: &mut Rest<'_>) -> Option<Location> {
    let degrees = |hundredths: i16| f64::from(hundredths) / 100.0;
    let latitude = i16::from_le_bytes(rest.array()?);
    let longitude = i16::from_le_bytes(rest.array()?);
    let coordinates = match (latitude, longitude) {
        (UNKNOWN, UNKNOWN) => None,
        _ => Some(Coordinates::new(degrees(latitude), degrees(longitude))?),
    };
    let country = match rest.text(2)? {
        "\0\0" => None,
        code => Some(country_of_code(code)?),
    };
    let continent = match rest.text(2)? {
        "\0\0" => None,
        code => Some(continent_of_code(code)?),
    };
    let [length] = rest.array()?;
    let subdivision = Some(rest.text(usize::from(length))?).filter(|text| !text.is_empty());
    Some(Location {
        coordinates,
        continent,
        country,
        subdivision: subdivision.map(Into::into),
        city: None,
        asn: None,
    })
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn text(&mut self, length: usize) -> Option<&'a str> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(taken).ok()
    }
}
