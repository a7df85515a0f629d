//! Zones that come from primaries: where they stand in the catalog, what stands there before anything was
//! transferred, and how the names that are steered are laid over what was.
//!
//! What is steered here wins over what the primary says of the same name: the configuration is the word of
//! who runs this server. Only a name that the primary gives away, by a delegation or a DNAME, cannot be
//! steered, and neither can any name of a zone that the primary has signed: its answers would be refused by
//! whoever validates.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::testing;
use super::zonefile::{Given, SteeredOwner, zone_of};
use crate::config::{self, Config, Primary, Problems, Secondary, Severity, SteeredName};
use crate::dnssec::separate;
use crate::ids::{RegionId, ZoneId};
use crate::secondary::{Held, ZoneData};
use crate::tsig::Key;
use crate::view::Snapshot;
use crate::wire::{Name, Rtype, name_text, parse_name};
use crate::zone::Zone;

/// What a zone is compiled from that has no file: enough for its steered names to be judged. Nobody is ever
/// answered with it.
pub const STAND_IN: &[u8] = b"@ 0 SOA . . 0 0 0 0 0\n@ 0 NS .\n";

/// Conflicts that are told one by one; of more their number.
const CONFLICTS_MAX: usize = 20;

/// CDS (RFC 7344)
const CDS: Rtype = Rtype(59);
/// CDNSKEY (RFC 7344)
const CDNSKEY: Rtype = Rtype(60);

/// A zone that comes from primaries.
#[derive(Clone, Copy)]
pub struct Place<'c> {
    /// Its number in the snapshot that is compiled from this configuration.
    pub id: ZoneId,
    /// The class of clients who see it; `None`: everybody.
    pub class: Option<&'c str>,
    /// The zone as configured.
    pub zone: &'c config::Zone,
    /// Where it comes from.
    pub secondary: &'c Secondary,
}

/// Every zone that comes from primaries. The catalog numbers zones as they are configured: everybody's,
/// then those of each class.
pub fn places(config: &Config) -> impl Iterator<Item = Place<'_>> {
    let own = config
        .classes
        .iter()
        .flat_map(|class| class.zones.iter().map(|zone| (Some(class.name.as_str()), zone)));
    let all = config.zones.iter().map(|zone| (None, zone)).chain(own);
    all.enumerate().filter_map(|(index, (class, zone))| {
        let secondary = zone.secondary.as_ref()?;
        Some(Place { id: ZoneId(index as u32), class, zone, secondary })
    })
}

/// How a secondary zone is made of what was transferred, under one configuration.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Its number in the snapshot of that configuration.
    pub id: ZoneId,
    /// Who it is over reloads and restarts: its origin in lower case, and before it, with an `@`, the class
    /// of clients who see it.
    pub name: Box<str>,
    /// Its origin.
    pub origin: Name,
    /// Where it comes from.
    pub secondary: Secondary,
    /// Whether it is signed here.
    signing: Signing,
    steered: Box<[Steered]>,
    /// The keys that its primaries are configured with.
    keys: Box<[(Box<str>, Arc<Key>)]>,
}

/// Who signs a zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Signing {
    /// This server: what the primary has signed is left out.
    Here,
    /// The primary, or nobody.
    AtThePrimary,
}

#[derive(Clone, Debug)]
struct Steered {
    name: SteeredName,
    alias: bool,
    testing: Box<[(RegionId, Box<str>)]>,
}

/// A zone made of what was transferred.
pub struct Laid {
    /// The zone.
    pub zone: Arc<Zone>,
    /// What of the configuration and the primary's data exclude each other, each as a line.
    pub conflicts: Vec<String>,
}

/// Why what was transferred makes no zone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal(pub String);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The recipes of a configuration, in the order of the zones' numbers. `snapshot` is what it was compiled to.
pub fn recipes(config: &Config, snapshot: &Snapshot) -> Vec<Recipe> {
    places(config).filter_map(|place| recipe(&place, config, snapshot)).collect()
}

fn recipe(place: &Place<'_>, config: &Config, snapshot: &Snapshot) -> Option<Recipe> {
    let written = place.zone.origin.to_ascii_lowercase();
    let origin = Name::from_wire(&parse_name(written.as_bytes(), &[0]).ok()?)?;
    let steered = |name: &SteeredName| {
        let service = name.service.index();
        let regions = snapshot.plans.get(service).map(|plan| testing(plan, &snapshot.fleet));
        Steered {
            name: name.clone(),
            alias: config.services.get(service).is_some_and(|service| service.alias),
            testing: regions.into_iter().flatten().map(|(region, name)| (region, name.into())).collect(),
        }
    };
    Some(Recipe {
        id: place.id,
        name: place.class.map_or(written.clone(), |class| format!("{class}@{written}")).into(),
        origin,
        secondary: place.secondary.clone(),
        signing: if place.zone.dnssec.is_some() { Signing::Here } else { Signing::AtThePrimary },
        steered: place.zone.names.iter().map(steered).collect(),
        keys: keys(place.secondary, config),
    })
}

fn keys(secondary: &Secondary, config: &Config) -> Box<[(Box<str>, Arc<Key>)]> {
    let named = secondary.primaries.iter().filter_map(|primary| primary.key.as_deref());
    let found = |name: &str| {
        let key = config.tsig.iter().find(|key| key.name == name)?;
        Some((name.into(), Arc::clone(&key.key)))
    };
    named.filter_map(found).collect()
}

impl Recipe {
    /// The key that a primary is configured with.
    pub fn key(&self, primary: &Primary) -> Option<Arc<Key>> {
        let name = primary.key.as_deref()?;
        self.keys.iter().find(|(own, _)| **own == *name).map(|(_, key)| Arc::clone(key))
    }

    /// Makes the zone, judged as a zone file is.
    ///
    /// # Errors
    /// What is wrong with the data, and with which record.
    pub fn lay(&self, data: &ZoneData) -> Result<Laid, Refusal> {
        let mut overlay = Overlay::new(self, data);
        let steered = overlay.steered();
        let kept = data.records().iter().enumerate().filter(|(_, held)| overlay.keeps(held));
        let given = kept.map(|(number, Held { owner, rtype, ttl_s, rdata })| Given {
            number: number as u32,
            owner,
            rtype,
            ttl_s,
            rdata,
        });
        let given: Vec<Given<'_>> = given.collect();
        // They borrow names of regions for as long as the zone is made.
        let regions: Vec<Vec<(RegionId, &str)>> = steered
            .iter()
            .map(|own| own.testing.iter().map(|(region, name)| (*region, &**name)).collect())
            .collect();
        let owners: Vec<SteeredOwner<'_>> = steered
            .iter()
            .zip(&regions)
            .map(|(own, testing)| SteeredOwner {
                name: &own.name.name,
                span: own.name.span,
                service: own.name.service,
                alias: own.alias,
                testing,
            })
            .collect();
        let mut problems = Problems::default();
        let zone = zone_of(&self.origin, given.into_iter(), &owners, &mut problems);
        let comes_signed = overlay.signed && self.signing == Signing::AtThePrimary;
        let conflicts = overlay.told();
        let zone = Arc::new(zone.ok_or_else(|| refusal(&problems, data))?);
        if comes_signed {
            // What comes signed is served so, or not at all.
            separate(&zone).map_err(|fault| Refusal(fault.to_string()))?;
        }
        Ok(Laid { zone, conflicts })
    }
}

/// The first error with its record, and how many more there are.
fn refusal(problems: &Problems, data: &ZoneData) -> Refusal {
    let mut errors = problems.0.iter().filter(|problem| problem.severity == Severity::Error);
    let Some(first) = errors.next() else { return Refusal("it makes no zone".to_owned()) };
    let record = first.span.and_then(|span| data.records().get(span.start as usize));
    let at = record.map_or_else(String::new, |record| format!(" ({record})"));
    let more = match errors.count() {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Refusal(format!("{}{at}{more}", first.message))
}

/// What of the primary's records gives way to what is steered, and the other way round.
struct Overlay<'r> {
    recipe: &'r Recipe,
    /// Names with NS below the origin, and names with DNAME.
    cuts: HashSet<&'r [u8]>,
    redirects: HashSet<&'r [u8]>,
    /// Whether the primary has signed the zone.
    signed: bool,
    /// What is steered, and whether by a service that answers CNAME.
    owned: HashMap<Box<[u8]>, bool>,
    conflicts: Vec<String>,
}

impl<'r> Overlay<'r> {
    fn new(recipe: &'r Recipe, data: &'r ZoneData) -> Overlay<'r> {
        let (mut cuts, mut redirects, mut signed) = (HashSet::new(), HashSet::new(), false);
        for held in data.records().iter() {
            let is_apex = held.owner == recipe.origin.octets();
            match held.rtype {
                Rtype::NS if !is_apex => drop(cuts.insert(held.owner)),
                Rtype::DNAME => drop(redirects.insert(held.owner)),
                Rtype::DNSKEY if is_apex => signed = true,
                _ => {}
            }
        }
        Overlay { recipe, cuts, redirects, signed, owned: HashMap::new(), conflicts: Vec::new() }
    }

    /// The names that can be steered in this zone.
    fn steered(&mut self) -> Vec<Steered> {
        let recipe = self.recipe;
        if self.signed && recipe.signing == Signing::AtThePrimary && !recipe.steered.is_empty() {
            let many = recipe.steered.len();
            self.conflicts.push(format!(
                "the primary has signed this zone, so that its {many} steered names are answered as the \
                 primary has them: let meridian sign it ([dnssec]), or steer names in an unsigned zone"
            ));
            return Vec::new();
        }
        recipe.steered.iter().filter_map(|own| self.steerable(own)).collect()
    }

    fn steerable(&mut self, own: &Steered) -> Option<Steered> {
        let relative = parse_name(own.name.name.as_bytes(), self.recipe.origin.octets()).ok()?;
        let name = Name::from_wire(&relative)?;
        if let Some(why) = self.given_away(&name) {
            self.conflicts.push(format!("{} cannot be steered: {why}", name_text(name.octets())));
            return None;
        }
        let mut testing = Vec::new();
        for (region, label) in &own.testing {
            let below = parse_name(format!("{label}._region").as_bytes(), name.octets()).ok();
            let below = below.and_then(|wire| Name::from_wire(&wire));
            match below.map(|below| (below, self.given_away(&below))) {
                Some((below, None)) => {
                    self.owned.insert(below.octets().into(), own.alias);
                    testing.push((*region, label.clone()));
                }
                Some((below, Some(why))) => {
                    let text = name_text(below.octets());
                    self.conflicts.push(format!("{text} cannot be a testing name: {why}"));
                }
                None => {}
            }
        }
        self.owned.insert(name.octets().into(), own.alias);
        Some(Steered { testing: testing.into(), ..own.clone() })
    }

    /// Whether the primary says that a name is somebody else's.
    fn given_away(&self, name: &Name) -> Option<String> {
        let depth = name.depth_below(&self.recipe.origin)?;
        (0..=depth).find_map(|index| {
            let at = name.suffix(index);
            if index < depth && self.cuts.contains(at) {
                return Some(format!("the primary delegates {}", name_text(at)));
            }
            let redirects = self.redirects.contains(at);
            redirects.then(|| format!("the primary has a DNAME at {}", name_text(at)))
        })
    }

    /// Whether a record of the primary stays in the zone.
    fn keeps(&mut self, held: &Held<'_>) -> bool {
        if self.recipe.signing == Signing::Here && is_of_signing(held, &self.recipe.origin) {
            return false;
        }
        let denies = matches!(held.rtype, Rtype::NSEC | Rtype::NSEC3 | Rtype::NSEC3PARAM);
        if denies && !self.owned.is_empty() {
            return false;
        }
        let Some(alias) = self.owned.get(held.owner).copied() else { return true };
        let covered = match held.rtype {
            Rtype::RRSIG => held.rdata.first_chunk::<2>().map(|octets| Rtype(u16::from_be_bytes(*octets))),
            other => Some(other),
        };
        let answered = covered.is_some_and(|rtype| alias || rtype.is_steered() || rtype == Rtype::CNAME);
        if answered && held.rtype != Rtype::RRSIG && (alias || held.rtype == Rtype::CNAME) {
            let (text, rtype) = (name_text(held.owner), held.rtype);
            self.conflicts.push(match alias {
                true => {
                    format!("{text} is steered to host names: the primary's {rtype} there is not answered")
                }
                false => format!("{text} is steered: the primary's CNAME there is not answered"),
            });
        }
        !answered
    }

    /// The conflicts, not too many of them.
    fn told(self) -> Vec<String> {
        let mut conflicts = self.conflicts;
        conflicts.dedup();
        let more = conflicts.len().saturating_sub(CONFLICTS_MAX);
        conflicts.truncate(CONFLICTS_MAX);
        if more > 0 {
            conflicts.push(format!("and {more} more"));
        }
        conflicts
    }
}

/// What a zone that is signed here gets anew.
fn is_of_signing(held: &Held<'_>, origin: &Name) -> bool {
    let is_apex = held.owner == origin.octets();
    matches!(held.rtype, Rtype::RRSIG | Rtype::NSEC | Rtype::NSEC3 | Rtype::NSEC3PARAM)
        || (is_apex && (held.rtype == Rtype::DNSKEY || held.rtype == CDS || held.rtype == CDNSKEY))
}

#[cfg(test)]
pub mod tests {
    //! Recipes for tests of this module and of `refresh`.
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::compile::locations::Atlas;
    use crate::compile::{Given, Inputs, ZoneReading, compile};
    use crate::config::{SourceFile, Sources, Style};
    use crate::ids::CounterId;
    use crate::secondary::{Limits, Store};
    use crate::zone::Lookup;

    const MAIN: &str = "\
[regions.r]
[pools.web]
endpoints = [{ name = \"a\", region = \"r\", address = \"192.0.2.1\" }]
[pools.far]
endpoints = [{ name = \"b\", region = \"r\", host = \"far.example.net\" }]
[services.web]
policy = \"web\"
[services.far]
policy = \"far\"
[tsig.k]
secret = \"AAECAwQFBgcICQoLDA0ODw==\"
";

    /// The recipe of `example`, whose own file is this.
    pub fn recipe(toml: &str) -> Recipe {
        let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), bytes: text.into() };
        let sources = Sources {
            files: vec![file("meridian.toml", MAIN), file("zones/example.toml", toml)],
            zones: vec![("example".to_owned(), None, Some(config::FileId(1)))],
            ..Sources::default()
        };
        let (config, problems) = config::read(&sources, &|_| None);
        let config = config.unwrap_or_else(|| panic!("{}", config::text(&sources, &problems, Style::Plain)));
        let inputs = Inputs {
            sources: &sources,
            locations: &mut Given { atlas: &Atlas::default(), maps: &[] },
            zones: ZoneReading::ANEW,
            generation: 1,
            counter: &mut |_, _| CounterId(0),
            progress: &mut |_, _| {},
        };
        let (snapshot, problems) = compile(&config, inputs);
        let text = || config::text(&sources, &problems, Style::Plain);
        recipes(&config, &snapshot.unwrap_or_else(|| panic!("{}", text()))).remove(0)
    }

    fn name(text: &str) -> Name {
        Name::from_wire(&parse_name(text.as_bytes(), b"\x07example\x00").unwrap()).unwrap()
    }

    /// The data of `example` with these records besides SOA and NS.
    pub fn data(serial: u32, records: &[(&str, Rtype, &[u8])]) -> ZoneData {
        let mut store = Store::default();
        let mut push = |owner: &str, rtype, rdata: &[u8]| {
            store.push(&name(owner), rtype, 60, rdata, &Limits::USUAL).unwrap();
        };
        let times = [serial, 3600, 600, 604_800, 60].map(u32::to_be_bytes).concat();
        push("@", Rtype::SOA, &[&[0, 0][..], &times].concat());
        push("@", Rtype::NS, b"\x02ns\x03net\x00");
        for (owner, rtype, rdata) in records {
            push(owner, *rtype, rdata);
        }
        ZoneData::new(&name("@"), store).unwrap()
    }

    const STEERED: &str =
        "secondary = { primaries = \"192.0.2.9\" }\n[names]\nwww = \"web\"\nfar = \"far\"\n";
    const TEXT: &[u8] = b"\x01x";

    fn lay(toml: &str, records: &[(&str, Rtype, &[u8])]) -> Result<Laid, Refusal> {
        recipe(toml).lay(&data(1, records))
    }

    fn is_steered(laid: &Laid, owner: &str, rtype: Rtype) -> bool {
        matches!(laid.zone.lookup(&name(owner), rtype), Lookup::Steered(_))
    }

    #[test]
    fn what_is_steered_wins_over_what_it_answers_and_nothing_else() {
        let laid = lay(
            STEERED,
            &[("www", Rtype::A, &[192, 0, 2, 7]), ("www", Rtype::AAAA, &[0; 16]), ("www", Rtype::TXT, TEXT)],
        );
        let laid = laid.unwrap();
        assert!(is_steered(&laid, "www", Rtype::A) && is_steered(&laid, "www", Rtype::AAAA));
        assert!(matches!(laid.zone.lookup(&name("www"), Rtype::TXT), Lookup::Answer(_)));
        assert_eq!(laid.conflicts, [""; 0]);
    }

    #[test]
    fn a_cname_at_a_steered_name_gives_way_and_is_told() {
        let laid = lay(STEERED, &[("www", Rtype::CNAME, b"\x01x\x00"), ("far", Rtype::TXT, TEXT)]).unwrap();
        assert!(is_steered(&laid, "www", Rtype::A) && is_steered(&laid, "far", Rtype::TXT));
        let expected = [
            "far.example is steered to host names: the primary's TXT there is not answered",
            "www.example is steered: the primary's CNAME there is not answered",
        ];
        assert_eq!(laid.conflicts, expected);
    }

    #[test]
    fn what_the_primary_gives_away_cannot_be_steered_and_costs_only_that_name() {
        for (owner, rtype, why) in [
            ("www", Rtype::NS, "the primary delegates www.example"),
            ("www", Rtype::DNAME, "the primary has a DNAME at www.example"),
        ] {
            let laid = lay(STEERED, &[(owner, rtype, b"\x01x\x00")]).unwrap();
            assert!(!is_steered(&laid, "www", Rtype::A) && is_steered(&laid, "far", Rtype::A));
            assert_eq!(laid.conflicts, [format!("www.example cannot be steered: {why}")]);
        }
    }

    #[test]
    fn a_zone_that_the_primary_has_signed_is_served_as_it_is_or_signed_anew() {
        let signed: &[(&str, Rtype, &[u8])] = &[
            ("@", Rtype::DNSKEY, &[1, 1, 3, 13, 1, 2, 3]),
            ("@", Rtype::NSEC, b"\x00\x00\x01\x40"),
            ("www", Rtype::A, &[192, 0, 2, 7]),
        ];
        let laid = lay(STEERED, signed).unwrap();
        assert!(!is_steered(&laid, "www", Rtype::A));
        assert!(laid.conflicts[0].contains("its 2 steered names are answered as the primary has them"));
        let here = format!("dnssec = true\n{STEERED}");
        let laid = lay(&here, signed).unwrap();
        assert!(is_steered(&laid, "www", Rtype::A));
        assert!(matches!(laid.zone.lookup(&name("@"), Rtype::DNSKEY), Lookup::NoData));
        assert_eq!(laid.conflicts, [""; 0]);
    }

    #[test]
    fn a_zone_that_comes_signed_without_denials_makes_no_zone() {
        let signature =
            [&[0, 6, 13, 1, 0, 0, 0, 60, 0, 0, 0, 9, 0, 0, 0, 1, 0, 1][..], b"\x07example\x00", &[1, 2, 3]];
        let signature = signature.concat();
        let signed: &[(&str, Rtype, &[u8])] =
            &[("@", Rtype::DNSKEY, &[1, 1, 3, 13, 1, 2, 3]), ("@", Rtype::RRSIG, &signature)];
        let refusal = lay(STEERED, signed).err().map(|refusal| refusal.to_string());
        assert_eq!(refusal.as_deref(), Some("a signed zone without NSEC and NSEC3"));
    }

    #[test]
    fn data_that_a_zone_file_must_not_hold_make_no_zone() {
        let check = |records: &[(&str, Rtype, &[u8])], expected: &str| {
            let refusal = lay(STEERED, records).err().unwrap().to_string();
            assert!(refusal.contains(expected), "{refusal}");
        };
        let alias = ("x", Rtype::CNAME, &b"\x01y\x00"[..]);
        check(&[alias, ("x", Rtype::TXT, TEXT)], "x.example has a CNAME beside other data (x.example CNAME)");
        check(&[("x", Rtype::A, &[1, 2, 3])], "these octets are no data of type A (x.example A)");
        check(&[("x", Rtype::MX, &[0, 1, 0, 0])], "more than a record of type MX has (x.example MX)");
        check(&[("x", Rtype::SOA, &[0; 22])], "an SOA below the top of the zone");
    }
}
