//! What a geo rule can match.

use ipnet::IpNet;

use super::{Continent, CountryCode};

/// What a geo rule matches; from most to least specific: CIDR (longest first), ASN, subdivision,
/// country, continent.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum GeoKey {
    /// `203.0.113.0/24`: no host bits set.
    Cidr(IpNet),
    /// `asn:64500`
    Asn(u32),
    /// `subdivision:US-CA`
    Subdivision(CountryCode, Box<str>),
    /// `country:SA`
    Country(CountryCode),
    /// `continent:EU`
    Continent(Continent),
}

impl std::fmt::Display for GeoKey {
    /// As it is written in the configuration.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            GeoKey::Cidr(network) => write!(f, "{network}"),
            GeoKey::Asn(number) => write!(f, "asn:{number}"),
            GeoKey::Subdivision(country, part) => write!(f, "subdivision:{country}-{part}"),
            GeoKey::Country(country) => write!(f, "country:{country}"),
            GeoKey::Continent(continent) => write!(f, "continent:{}", continent.code()),
        }
    }
}
