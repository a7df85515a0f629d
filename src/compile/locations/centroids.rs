//! Where the people of a country or subdivision are on average, and what countries belong to.
//!
//! A place that a source gives without coordinates gets those of its subdivision or its country; one
//! without a continent that of its country; a subdivision given by name gets its ISO 3166-2 code.
//! The tables are made from GeoNames data by `geoip/tables.py`.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::geo::{Continent, Coordinates, CountryCode, Location};

const COUNTRIES: &str = include_str!("../../../geoip/countries.tsv");
const SUBDIVISIONS: &str = include_str!("../../../geoip/subdivisions.tsv");

/// What subdivisions are called; as in `geoip/tables.py`.
const KINDS: [&str; 35] = [
    "province",
    "prefecture",
    "state",
    "region",
    "department",
    "county",
    "district",
    "governorate",
    "oblast",
    "krai",
    "republic",
    "city",
    "municipality",
    "autonomous",
    "territory",
    "territorial",
    "collectivity",
    "of",
    "the",
    "voivodeship",
    "canton",
    "parish",
    "community",
    "division",
    "emirate",
    "special",
    "metropolitan",
    "capital",
    "regional",
    "free",
    "and",
    "hanseatic",
    "ken",
    "provincia",
    "kraj",
];

/// The tables, read.
pub(super) struct Centroids {
    countries: HashMap<CountryCode, (Continent, Coordinates), foldhash::fast::FixedState>,
    subdivisions: HashMap<(CountryCode, Box<str>), Coordinates, foldhash::fast::FixedState>,
    codes: HashMap<(CountryCode, Box<str>), Box<str>, foldhash::fast::FixedState>,
}

impl Centroids {
    /// The tables of this build, read once in a process.
    pub(super) fn embedded() -> &'static Centroids {
        static TABLES: LazyLock<Centroids> = LazyLock::new(Centroids::read);
        &TABLES
    }

    fn read() -> Centroids {
        let mut centroids = Centroids {
            countries: HashMap::default(),
            subdivisions: HashMap::default(),
            codes: HashMap::default(),
        };
        for line in COUNTRIES.lines() {
            let fields = line.split('\t').collect::<Vec<_>>();
            if let [code, continent, latitude, longitude] = fields[..]
                && let Some(code) = country_of_code(code)
                && let Some(continent) = continent_of_code(continent)
                && let Some(place) = coordinates(latitude, longitude)
            {
                centroids.countries.insert(code, (continent, place));
            }
        }
        for line in SUBDIVISIONS.lines() {
            let fields = line.split('\t').collect::<Vec<_>>();
            if let [country, code, latitude, longitude, ref names @ ..] = fields[..]
                && let Some(country) = country_of_code(country)
            {
                if let Some(place) = coordinates(latitude, longitude) {
                    centroids.subdivisions.insert((country, code.into()), place);
                }
                for name in names {
                    centroids.codes.insert((country, folded(name)), code.into());
                }
            }
        }
        centroids
    }

    /// The ISO 3166-2 code (its part after the hyphen) of a subdivision known by name.
    pub(super) fn code(&self, country: CountryCode, name: &str) -> Option<Box<str>> {
        let whole = self.codes.get(&(country, folded(name)));
        whole.or_else(|| self.codes.get(&(country, folded(&without_kind(name))))).cloned()
    }

    /// The location with what the tables can add.
    pub(super) fn completed(&self, location: Location) -> Location {
        let Some(country) = location.country else { return location };
        let known = self.countries.get(&country).copied();
        let subdivision = || self.subdivisions.get(&(country, location.subdivision.clone()?)).copied();
        Location {
            coordinates: location
                .coordinates
                .or_else(subdivision)
                .or(known.map(|(_, coordinates)| coordinates)),
            continent: location.continent.or(known.map(|(continent, _)| continent)),
            ..location
        }
    }
}

/// A two-letter code; `None` for anything else.
pub(super) fn country_of_code(code: &str) -> Option<CountryCode> {
    match code.as_bytes() {
        &[a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
            Some(CountryCode([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
        }
        _ => None,
    }
}

/// A continent's two letters.
pub(super) fn continent_of_code(code: &str) -> Option<Continent> {
    match code {
        "AF" => Some(Continent::Africa),
        "AN" => Some(Continent::Antarctica),
        "AS" => Some(Continent::Asia),
        "EU" => Some(Continent::Europe),
        "NA" => Some(Continent::NorthAmerica),
        "OC" => Some(Continent::Oceania),
        "SA" => Some(Continent::SouthAmerica),
        _ => None,
    }
}

/// The two letters of a continent.
pub(super) fn code_of_continent(continent: Continent) -> [u8; 2] {
    match continent {
        Continent::Africa => *b"AF",
        Continent::Antarctica => *b"AN",
        Continent::Asia => *b"AS",
        Continent::Europe => *b"EU",
        Continent::NorthAmerica => *b"NA",
        Continent::Oceania => *b"OC",
        Continent::SouthAmerica => *b"SA",
    }
}

/// The name without the words that say what kind of thing it is, as `Riyadh Region`.
fn without_kind(name: &str) -> String {
    let kinds = |word: &&str| !KINDS.iter().any(|kind| word.eq_ignore_ascii_case(kind));
    name.split([' ', '-']).filter(kinds).collect()
}

/// Names are compared without case and without anything but letters: the table has them in ASCII too.
fn folded(name: &str) -> Box<str> {
    name.chars().flat_map(char::to_lowercase).filter(|c| c.is_alphanumeric()).collect::<String>().into()
}

fn coordinates(latitude: &str, longitude: &str) -> Option<Coordinates> {
    Coordinates::new(latitude.parse().ok()?, longitude.parse().ok()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_row_of_the_tables_is_read() {
        let centroids = Centroids::embedded();
        assert_eq!(centroids.countries.len(), COUNTRIES.lines().count());
        let placed = SUBDIVISIONS.lines().filter(|line| !line.contains("\t\t")).count();
        assert_eq!(centroids.subdivisions.len(), placed);
        let names = SUBDIVISIONS.lines().map(|line| line.split('\t').count() - 4).sum::<usize>();
        assert_eq!(centroids.codes.len(), names);
        for name in SUBDIVISIONS.lines().flat_map(|line| line.split('\t').skip(4)) {
            assert_eq!(*folded(name), *name);
        }
    }

    #[test]
    fn subdivisions_are_found_by_their_names() {
        for (country, name, code) in [
            ("US", "California", Some("CA")),
            ("US", "Washington", Some("WA")),
            ("DE", "State of Berlin", Some("BE")),
            ("FR", "\u{ce}le-de-France", Some("IDF")),
            ("FR", "ile de france", Some("IDF")),
            ("RU", "Moscow", Some("MOW")),
            ("RU", "Moscow Oblast", Some("MOS")),
            ("SA", "Riyadh Region", Some("01")),
            ("GB", "England", Some("ENG")),
            ("GB", "California", None),
            ("ZZ", "California", None),
            ("US", "", None),
        ] {
            let found = Centroids::embedded().code(country_of_code(country).unwrap(), name);
            assert_eq!(found.as_deref(), code, "{name}");
        }
    }

    #[test]
    fn a_place_is_completed_from_the_closest_table() {
        let complete = |country: &str, subdivision: Option<&str>| {
            let location = Location {
                country: country_of_code(country),
                subdivision: subdivision.map(Into::into),
                ..Location::default()
            };
            Centroids::embedded().completed(location)
        };
        let distance = |location: Location, latitude, longitude| {
            location.coordinates.unwrap().distance_km(Coordinates::new(latitude, longitude).unwrap())
        };
        // California's people are between Los Angeles and San Francisco, America's near the Mississippi.
        assert!(distance(complete("US", Some("CA")), 35.5, -119.3) < 150.0);
        assert!(distance(complete("US", Some("No Such State")), 38.9, -92.6) < 150.0);
        // Fiji lies on both sides of the antimeridian.
        assert!(distance(complete("FJ", None), -17.8, 178.2) < 100.0);
        assert_eq!(complete("FJ", None).continent, Some(Continent::Oceania));
        assert_eq!(complete("ZZ", None).coordinates, None);
    }
}
