//! What is known of the place of a network.

/// A point on the earth, in degrees. Always valid: see [`Coordinates::new`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Coordinates {
    latitude: f64,
    longitude: f64,
}

/// The mean radius of the earth in kilometres (IUGG).
const EARTH_RADIUS_KM: f64 = 6371.0088;

impl Coordinates {
    /// Degrees north and east; `None` outside -90..=90, -180..=180, or where not a number.
    pub fn new(latitude: f64, longitude: f64) -> Option<Coordinates> {
        ((-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude))
            .then_some(Coordinates { latitude, longitude })
    }

    /// Degrees north.
    pub fn latitude(self) -> f64 {
        self.latitude
    }

    /// Degrees east.
    pub fn longitude(self) -> f64 {
        self.longitude
    }

    /// The great-circle distance in kilometres (haversine: exact at the poles and across the
    /// antimeridian, well conditioned for neighbours).
    pub fn distance_km(self, other: Coordinates) -> f64 {
        let (a, b) = (self.latitude.to_radians(), other.latitude.to_radians());
        let half_lat = (b - a) / 2.0;
        let half_lon = (other.longitude - self.longitude).to_radians() / 2.0;
        let h = half_lat.sin().powi(2) + a.cos() * b.cos() * half_lon.sin().powi(2);
        2.0 * EARTH_RADIUS_KM * h.sqrt().min(1.0).asin()
    }
}

/// ISO 3166-1 alpha-2, upper case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CountryCode(pub [u8; 2]);

impl std::fmt::Display for CountryCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", char::from(self.0[0]), char::from(self.0[1]))
    }
}

/// The seven continents by their customary two letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Continent {
    /// AF
    Africa,
    /// AN
    Antarctica,
    /// AS
    Asia,
    /// EU
    Europe,
    /// NA
    NorthAmerica,
    /// OC
    Oceania,
    /// SA
    SouthAmerica,
}

impl Continent {
    /// All of them.
    pub const ALL: [Continent; 7] = [
        Continent::Africa,
        Continent::Antarctica,
        Continent::Asia,
        Continent::Europe,
        Continent::NorthAmerica,
        Continent::Oceania,
        Continent::SouthAmerica,
    ];

    /// The customary two letters.
    pub const fn code(self) -> &'static str {
        match self {
            Continent::Africa => "AF",
            Continent::Antarctica => "AN",
            Continent::Asia => "AS",
            Continent::Europe => "EU",
            Continent::NorthAmerica => "NA",
            Continent::Oceania => "OC",
            Continent::SouthAmerica => "SA",
        }
    }

    /// The continent of two upper-case letters.
    pub fn from_code(code: &str) -> Option<Continent> {
        Continent::ALL.into_iter().find(|continent| continent.code() == code)
    }
}

/// What a location source says of a network. Everything may be missing.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Location {
    /// Where it is.
    pub coordinates: Option<Coordinates>,
    /// The continent.
    pub continent: Option<Continent>,
    /// The country.
    pub country: Option<CountryCode>,
    /// The part of ISO 3166-2 after the hyphen, upper case (`CA` of `US-CA`), or the plain name of
    /// the subdivision where the source has names only.
    pub subdivision: Option<Box<str>>,
    /// The city's name: for people to read, never for decisions.
    pub city: Option<Box<str>>,
    /// The autonomous system number.
    pub asn: Option<u32>,
}
