//! Whom an operator's word is about: regions, pools and endpoints by name, with `*` and `?`.

use std::fmt;
use std::str::FromStr;

use crate::health::BoardSpec;
use crate::ids::EndpointId;

/// Longer ones are no names: a pool and an endpoint have 63 characters each.
const OCTETS_MAX: usize = 200;

/// What a selector looks at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    /// `region:NAME`
    Region,
    /// `pool:NAME`
    Pool,
    /// `endpoint:POOL/NAME`
    Endpoint,
    /// No prefix: `POOL/NAME` and names of regions.
    Any,
}

/// A scope and a pattern, in which `*` stands for any characters and `?` for one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Selector {
    scope: Scope,
    pattern: Box<str>,
}

/// Why a selector is not one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SelectorError {
    /// Nothing is written, or nothing behind the colon.
    Empty,
    /// Longer than names can be.
    TooLong,
    /// A character that no name holds.
    Character(char),
    /// A prefix that there is not.
    Prefix(String),
}

impl FromStr for Selector {
    type Err = SelectorError;

    /// Reads `region:NAME`, `region NAME`, and the same for pools and endpoints; otherwise a pattern.
    fn from_str(text: &str) -> Result<Selector, SelectorError> {
        let text = text.trim();
        let split = text.split_once(':').or_else(|| text.split_once(char::is_whitespace));
        let (scope, pattern) = match split {
            Some(("region", pattern)) => (Scope::Region, pattern),
            Some(("pool", pattern)) => (Scope::Pool, pattern),
            Some(("endpoint", pattern)) => (Scope::Endpoint, pattern),
            Some((prefix, _)) => return Err(SelectorError::Prefix(prefix.chars().take(32).collect())),
            None => (Scope::Any, text),
        };
        let pattern = pattern.trim();
        if pattern.is_empty() {
            return Err(SelectorError::Empty);
        }
        if pattern.len() > OCTETS_MAX {
            return Err(SelectorError::TooLong);
        }
        let named = |c: &char| c.is_ascii_alphanumeric() || "-_./*?".contains(*c);
        match pattern.chars().find(|c| !named(c)) {
            Some(odd) => Err(SelectorError::Character(odd)),
            None => Ok(Selector { scope, pattern: pattern.into() }),
        }
    }
}

impl Selector {
    /// All endpoints of a region.
    pub fn region(name: &str) -> Selector {
        Selector { scope: Scope::Region, pattern: name.into() }
    }

    /// One endpoint, by `pool/endpoint`.
    pub fn endpoint(name: &str) -> Selector {
        Selector { scope: Scope::Endpoint, pattern: name.into() }
    }

    /// The endpoints it names, sorted.
    pub fn matches(&self, spec: &BoardSpec) -> Box<[EndpointId]> {
        let selected = spec.endpoints.iter().enumerate().filter(|(_, endpoint)| {
            let region = spec.regions.get(endpoint.region.index()).map_or("", |name| name);
            let pool = endpoint.name.split_once('/').map_or("", |(pool, _)| pool);
            match self.scope {
                Scope::Region => self.fits(region),
                Scope::Pool => self.fits(pool),
                Scope::Endpoint => self.fits(&endpoint.name),
                Scope::Any => self.fits(&endpoint.name) || self.fits(region),
            }
        });
        selected.map(|(index, _)| EndpointId(index as u32)).collect()
    }

    fn fits(&self, name: &str) -> bool {
        fits(self.pattern.as_bytes(), name.as_bytes())
    }

    /// The selector that was perhaps meant by one that names nobody.
    pub fn near(&self, spec: &BoardSpec) -> Option<Selector> {
        let mut known = Vec::new();
        for endpoint in &spec.endpoints {
            known.push((Scope::Endpoint, &*endpoint.name));
            known.extend(endpoint.name.split_once('/').map(|(pool, _)| (Scope::Pool, pool)));
        }
        // A region without endpoints selects nobody either.
        let used = |region: usize| spec.endpoints.iter().any(|endpoint| endpoint.region.index() == region);
        let regions = spec.regions.iter().enumerate().filter(|(index, _)| used(*index));
        known.extend(regions.map(|(_, name)| (Scope::Region, &**name)));
        let nearest = known.into_iter().filter_map(|(scope, name)| {
            // The name of an endpoint alone is a likely slip, as is one of another kind.
            let whole = strsim::damerau_levenshtein(&self.pattern, name);
            let last = name.split_once('/').map(|(_, last)| strsim::damerau_levenshtein(&self.pattern, last));
            let slips = last.map_or(whole, |last| whole.min(last));
            let slips_max = (self.pattern.chars().count() / CHARS_PER_SLIP).max(1);
            (slips <= slips_max).then_some((slips, scope != self.scope, scope, name))
        });
        let (.., scope, name) = nearest.min_by_key(|(slips, other, _, name)| (*slips, *other, *name))?;
        Some(Selector { scope, pattern: name.into() })
    }
}

/// One slip in so many characters still looks like the name that was meant.
const CHARS_PER_SLIP: usize = 3;

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self.scope {
            Scope::Region => "region:",
            Scope::Pool => "pool:",
            Scope::Endpoint => "endpoint:",
            Scope::Any => "",
        };
        write!(f, "{prefix}{}", self.pattern)
    }
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FORMS: &str = "write region:NAME, pool:NAME, endpoint:POOL/NAME, or a pattern such as web/eu-*";
        match self {
            SelectorError::Empty => write!(f, "nobody is selected: {FORMS}"),
            SelectorError::TooLong => write!(f, "this is longer than any name: {FORMS}"),
            SelectorError::Character(odd) => write!(f, "no name holds {odd:?}: {FORMS}"),
            SelectorError::Prefix(prefix) => write!(f, "there is no `{prefix}` to select by: {FORMS}"),
        }
    }
}

/// Whether a name is of a pattern's form. Linear in space, at worst the product of the lengths in time.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    // Where the last star was, and how far it reaches.
    let mut star: Option<(usize, usize)> = None;
    while let Some(octet) = name.get(from) {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(own) if *own == b'?' || own == octet => (at, from) = (at + 1, from + 1),
            _ => match &mut star {
                Some((place, reach)) => {
                    *reach += 1;
                    (at, from) = (*place + 1, *reach);
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|octet| *octet == b'*'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::health::EndpointSpec;
    use crate::ids::RegionId;

    fn spec() -> BoardSpec {
        let endpoint = |name: &str, region| EndpointSpec::plain(name, RegionId(region));
        BoardSpec {
            endpoints: Box::new([
                endpoint("web/eu-1", 0),
                endpoint("web/eu-2", 0),
                endpoint("web/us-1", 1),
                endpoint("api/eu-1", 0),
            ]),
            regions: Box::new(["eu-west".into(), "us-east".into(), "empty".into()]),
            ..BoardSpec::default()
        }
    }

    #[test]
    fn h8_selectors_name_regions_pools_endpoints_and_patterns() {
        let check = |text: &str, expected: &[u32]| {
            let selector: Selector = text.parse().unwrap();
            let found: Vec<_> = selector.matches(&spec()).iter().map(|id| id.0).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("region:eu-west", &[0, 1, 3]);
        check("region us-east", &[2]);
        check("pool:web", &[0, 1, 2]);
        check("endpoint:web/eu-2", &[1]);
        check("web/eu-?", &[0, 1]);
        check("*/eu-1", &[0, 3]);
        check("eu-*", &[0, 1, 3]);
        check("eu-west", &[0, 1, 3]);
        check("*", &[0, 1, 2, 3]);
        check("region:*st", &[0, 1, 2, 3]);
        check("region:empty", &[]);
        check("web", &[]);
        check("pool:we", &[]);
    }

    #[test]
    fn h8_what_is_no_selector_is_told() {
        let check = |text: &str, expected: SelectorError| {
            assert_eq!(text.parse::<Selector>().unwrap_err(), expected, "{text}");
        };
        check("", SelectorError::Empty);
        check("region:", SelectorError::Empty);
        check("zone:x", SelectorError::Prefix("zone".to_owned()));
        check("web/\"", SelectorError::Character('"'));
        check(&"x".repeat(300), SelectorError::TooLong);
    }

    #[test]
    fn h8_near_names_are_suggested() {
        let check = |text: &str, expected: Option<&str>| {
            let near = text.parse::<Selector>().unwrap().near(&spec());
            assert_eq!(near.map(|near| near.to_string()).as_deref(), expected, "{text}");
        };
        check("web/eu-3", Some("endpoint:web/eu-1"));
        check("region:eu-wst", Some("region:eu-west"));
        check("web", Some("pool:web"));
        check("us-1", Some("endpoint:web/us-1"));
        check("frankfurt", None);
    }

    #[test]
    fn patterns_cost_no_more_than_the_product_of_lengths() {
        let name = "a".repeat(200);
        assert!(!fits("*a*a*a*a*a*a*a*b".as_bytes(), name.as_bytes()));
        assert!(fits("*a*a*a*".as_bytes(), name.as_bytes()));
    }
}
