//! Records judged as a zone: what must be there, what must not stand together, what can never be seen.

use std::collections::HashMap;

use super::SteeredOwner;
use super::records::{Record, Records};
use crate::config::{FileId, Problems, Span};
use crate::ids::RegionId;
use crate::wire::{MESSAGE_OCTETS_MAX, NAME_OCTETS_MAX, Name, Rtype, name_text, parse_name};
use crate::zone::{Lookup, OutOfZone, Place, Zone, ZoneBuilder};

/// An answer holds a header, a question and an OPT besides its records.
const RRSET_OCTETS_MAX: usize = MESSAGE_OCTETS_MAX - 12 - (NAME_OCTETS_MAX + 4) - 256;

/// A record in an answer without its data: a pointer to its owner, type, class, TTL and length.
const RECORD_OCTETS: usize = 12;

/// Between a region and the steered name that its testing name belongs to.
const TESTING_LABEL: &str = "_region";

/// CNAMEs followed in search of a circle: more than an answer ever holds.
const CHAIN_MAX: usize = 16;

/// Builds the zone and reports what is wrong with it; `None` where there is nothing to build.
pub(super) fn judge(
    origin: &Name,
    file: FileId,
    records: &Records,
    steered: &[SteeredOwner<'_>],
    problems: &mut Problems,
) -> Option<Zone> {
    let mut builder = ZoneBuilder::new(origin);
    let sorted = sorted(records, &mut builder);
    let mut judge =
        Judge { origin, file, records, builder, owners: HashMap::new(), steered: HashMap::new(), problems };
    for group in sorted.chunk_by(|a, b| records.owner(a) == records.owner(b)) {
        judge.owner(group);
    }
    judge.apex();
    for owner in steered {
        judge.steer(owner);
    }
    let groups = || sorted.chunk_by(|a, b| records.owner(a) == records.owner(b));
    if judge.hides() {
        groups().for_each(|group| judge.hidden(group));
    }
    if !judge.steered.is_empty() {
        groups().for_each(|group| judge.beside_steered(group));
    }
    let Judge { builder, problems, .. } = judge;
    let zone = builder.build();
    for record in &sorted {
        match record.rtype {
            Rtype::NS => server_address(&zone, records, record, problems),
            Rtype::CNAME => circle(&zone, records, record, problems),
            _ => {}
        }
    }
    Some(zone)
}

/// The records by owner, in the order in which owners come first, and by type. Owners get their places on the
/// way: numbers are sorted many times faster than names.
fn sorted<'r>(records: &'r Records, builder: &mut ZoneBuilder) -> Vec<&'r Record> {
    let mut last: (&[u8], Option<Place>) = (&[], None);
    let mut placed: Vec<(Option<Place>, u32)> = Vec::with_capacity(records.list.len());
    for (number, record) in (0u32..).zip(&records.list) {
        let owner = records.owner(record);
        if owner != last.0 {
            last = (owner, Name::from_wire(owner).and_then(|name| builder.place(&name).ok()));
        }
        placed.push((last.1, number));
    }
    let record = |number: &u32| records.list.get(*number as usize);
    // Records of one RRset stay in the order of the file.
    placed.sort_unstable_by_key(|(place, number)| (*place, record(number).map(|own| own.rtype), *number));
    placed.iter().filter_map(|(_, number)| record(number)).collect()
}

/// What the rest of the zone has to know of an owner.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct OwnerFacts<'r> {
    soa: Option<&'r Record>,
    ns: Option<&'r Record>,
    dname: Option<&'r Record>,
}

struct Judge<'r, 'p> {
    origin: &'r Name,
    file: FileId,
    records: &'r Records,
    builder: ZoneBuilder,
    /// Those of whom there is something to know.
    owners: HashMap<&'r [u8], OwnerFacts<'r>>,
    /// Where each is written, and whether it answers CNAME.
    steered: HashMap<Place, (Span, bool)>,
    problems: &'p mut Problems,
}

/// What hides a name from those who ask for it.
enum Above<'r> {
    Cut(&'r Record),
    Redirect(&'r Record),
}

impl<'r> Judge<'r, '_> {
    /// All records of one owner, by type.
    fn owner(&mut self, group: &[&'r Record]) {
        let Some(first) = group.first() else { return };
        let wire = self.records.owner(first);
        let Some(name) = Name::from_wire(wire) else { return };
        if self.repeats_origin(&name) {
            let message = format!("{} repeats the zone's name", name_text(wire));
            self.problems.warning(first.span, message, "add the final dot, or leave the zone out");
        }
        let place = self.builder.place(&name);
        let mut facts = OwnerFacts::default();
        for rrset in group.chunk_by(|a, b| a.rtype == b.rtype) {
            let Some(record) = rrset.first() else { continue };
            match record.rtype {
                Rtype::SOA => facts.soa = Some(record),
                Rtype::NS => facts.ns = Some(record),
                Rtype::DNAME => facts.dname = Some(record),
                _ => {}
            }
            self.rrset(&name, place, rrset);
        }
        self.cname(&name, group);
        self.types_at(&name, &facts);
        // Most owners of a large zone have nothing of this.
        if facts != OwnerFacts::default() {
            self.owners.insert(wire, facts);
        }
    }

    /// One RRset: singletons, duplicates, differing TTLs, size.
    fn rrset(&mut self, name: &Name, place: Result<Place, OutOfZone>, rrset: &[&'r Record]) {
        let Some(first) = rrset.first() else { return };
        if rrset.len() == 1 && first.rdata_octets() <= RRSET_OCTETS_MAX - RECORD_OCTETS {
            // One record can neither be there twice nor differ from itself.
            let rdata = std::iter::once(self.records.rdata(first));
            let added = place.and_then(|place| self.builder.rrset_at(place, first.rtype, first.ttl_s, rdata));
            return self.fits(first, added);
        }
        let mut kept: Vec<&Record> = Vec::with_capacity(rrset.len());
        let mut seen: HashMap<&[u8], &Record> = HashMap::new();
        for record in rrset {
            if let Some(same) = seen.insert(self.records.rdata(record), record) {
                let message = format!("this {} record is in the zone twice", record.rtype);
                self.problems.warning(record.span, message, "remove one");
                self.problems.also(same.span, "the same as this");
            } else {
                kept.push(record);
            }
        }
        let is_single = matches!(first.rtype, Rtype::SOA | Rtype::CNAME | Rtype::DNAME);
        if is_single && let Some(second) = kept.get(1) {
            let message = format!("{} has more than one {}", name_text(name.octets()), first.rtype);
            self.problems.error(second.span, message, "keep one");
            self.problems.also(first.span, "the first one");
        }
        // Each RRSIG has the TTL of what it covers (RFC 4034 section 3).
        let differs = |record: &&&Record| record.ttl_s != first.ttl_s && record.rtype != Rtype::RRSIG;
        if let Some(other) = rrset.iter().find(differs) {
            let message = format!("the TTLs of this {} RRset differ", first.rtype);
            let hint = "records of one name and type have one TTL (RFC 2181); the lowest is used";
            self.problems.warning(other.span, message, hint);
            self.problems.also(first.span, "the first of the RRset");
        }
        let octets: usize = kept.iter().map(|record| RECORD_OCTETS + record.rdata_octets()).sum();
        if octets > RRSET_OCTETS_MAX {
            let message = format!("this {} RRset does not fit into a message", first.rtype);
            self.problems.error(first.span, message, "keep an RRset below 64 KiB");
        }
        let ttl_s = rrset.iter().map(|record| record.ttl_s).min().unwrap_or(0);
        let rdata = kept.iter().map(|record| self.records.rdata(record));
        let added = place.and_then(|place| self.builder.rrset_at(place, first.rtype, ttl_s, rdata));
        self.fits(first, added);
    }

    fn fits(&mut self, first: &Record, added: Result<(), OutOfZone>) {
        if added.is_err() {
            self.problems.error(first.span, "the zone is too large", "split it by delegation");
        }
    }

    /// A CNAME stands alone (RFC 1034 section 3.6.2), but for what signs it.
    fn cname(&mut self, name: &Name, group: &[&'r Record]) {
        let cname = group.iter().find(|record| record.rtype == Rtype::CNAME);
        let other =
            group.iter().find(|record| !matches!(record.rtype, Rtype::CNAME | Rtype::RRSIG | Rtype::NSEC));
        if let (Some(cname), Some(other)) = (cname, other) {
            let text = name_text(name.octets());
            let message = format!("{text} has a CNAME beside other data");
            let hint = "a name with a CNAME can have nothing else";
            self.problems.error(cname.span, message, hint);
            self.problems.also(other.span, format!("the other data: {}", other.rtype));
        }
    }

    /// Whether a name was probably meant to be absolute: it ends with the origin twice.
    fn repeats_origin(&self, name: &Name) -> bool {
        let (whole, origin) = (name.octets(), self.origin.octets());
        // Without the root's octet an origin can stand in the midst of a name.
        let Some(labels) = origin.len().checked_sub(1).filter(|octets| *octets > 0) else { return false };
        let Some(relative) = whole.len().checked_sub(origin.len()) else { return false };
        let Some(start) = relative.checked_sub(labels) else { return false };
        let is_label_start = name
            .depth_below(self.origin)
            .is_some_and(|depth| (0..depth).any(|index| name.suffix(index).len() + start == whole.len()));
        is_label_start && whole.get(start..relative) == origin.get(..labels)
    }

    /// What may stand only at some names.
    fn types_at(&mut self, name: &Name, facts: &OwnerFacts<'r>) {
        let is_apex = name == self.origin;
        let is_wildcard = !is_apex && name.label(0) == b"*";
        if let Some(soa) = facts.soa.filter(|_| !is_apex) {
            let message = format!("an SOA below the top of the zone, at {}", name_text(name.octets()));
            self.problems.error(soa.span, message, "a zone has one SOA, at its origin");
        }
        if let Some(ns) = facts.ns.filter(|_| is_wildcard) {
            let message = "NS at a wildcard delegates nothing";
            self.problems.warning(ns.span, message, "delegate each name by itself (RFC 4592)");
        }
        let Some(dname) = facts.dname else { return };
        if is_wildcard {
            let hint = "put it at the name itself (RFC 6672)";
            self.problems.error(dname.span, "a DNAME at a wildcard is not supported", hint);
        }
        if let Some(ns) = facts.ns.filter(|_| !is_apex) {
            let message = format!("{} has a DNAME and is delegated", name_text(name.octets()));
            self.problems.error(dname.span, message, "keep one of them");
            self.problems.also(ns.span, "delegated here");
        }
    }

    /// What every zone needs at its top.
    fn apex(&mut self) {
        let facts = self.owners.get(self.origin.octets()).copied().unwrap_or_default();
        let start = Span { file: self.file, start: 0, end: 0 };
        let text = name_text(self.origin.octets());
        if facts.soa.is_none() {
            let hint = "add `@ SOA ns1 hostmaster 1 3600 600 604800 60`";
            self.problems.error(start, format!("the zone {text} has no SOA"), hint);
        }
        if facts.ns.is_none() {
            self.problems.error(
                start,
                format!("the zone {text} has no NS"),
                "add `@ NS ns1` for each server",
            );
        }
    }

    /// Attaches a service to a name, if that can be.
    fn steer(&mut self, owner: &SteeredOwner<'_>) {
        let parsed = parse_name(owner.name.as_bytes(), self.origin.octets());
        let name = match parsed.map(|wire| Name::from_wire(&wire)) {
            Ok(Some(name)) => name,
            Ok(None) => return,
            Err(error) => {
                self.problems.error(owner.span, format!("`{}` is {error}", owner.name), "");
                return;
            }
        };
        if !name.is_at_or_below(self.origin) {
            let (text, zone) = (name_text(name.octets()), name_text(self.origin.octets()));
            let message = format!("{text} is outside the zone {zone}");
            self.problems.error(owner.span, message, "write names relative to the zone, or `@`");
            return;
        }
        self.attach(&name, owner, None);
        self.testing(&name, owner);
    }

    /// The testing names of a steered name: `REGION._region.NAME` (R11).
    fn testing(&mut self, name: &Name, owner: &SteeredOwner<'_>) {
        if owner.testing.is_empty() {
            return;
        }
        if name != self.origin && name.label(0) == b"*" {
            let message = format!("the wildcard {} cannot have testing names", name_text(name.octets()));
            let hint =
                "give it a service of its own without `testing_names`: nothing can stand below a wildcard";
            self.problems.error(owner.span, message, hint);
            return;
        }
        for (region, label) in owner.testing {
            let written = format!("{label}.{TESTING_LABEL}");
            let parsed = parse_name(written.as_bytes(), name.octets());
            match parsed.map(|wire| Name::from_wire(&wire)) {
                Ok(Some(testing)) => self.attach(&testing, owner, Some(*region)),
                Ok(None) => {}
                Err(error) => {
                    let message =
                        format!("the testing name {written}.{} is {error}", name_text(name.octets()));
                    self.problems.error(owner.span, message, "give the region a shorter name");
                }
            }
        }
    }

    /// Puts a service at a name, or one region of it.
    fn attach(&mut self, name: &Name, owner: &SteeredOwner<'_>, region: Option<RegionId>) {
        let text = || name_text(name.octets());
        let Ok(place) = self.builder.place(name) else {
            self.problems.error(owner.span, "the zone is too large", "split it by delegation");
            return;
        };
        if let Some((first, _)) = self.steered.get(&place).copied() {
            self.problems.error(owner.span, format!("{} is steered twice", text()), "keep one");
            self.problems.also(first, "the first one");
            return;
        }
        if self.repeats_origin(name) {
            let hint = "names are relative to the zone: leave it out";
            self.problems.warning(owner.span, format!("{} repeats the zone's name", text()), hint);
        }
        self.steered.insert(place, (owner.span, owner.alias));
        let own = self.owners.get(name.octets()).copied().unwrap_or_default();
        let above = match (own.ns.filter(|_| name != self.origin), own.dname) {
            (Some(ns), _) => Some(Above::Cut(ns)),
            (None, Some(dname)) => Some(Above::Redirect(dname)),
            (None, None) => self.above(name),
        };
        match above {
            Some(Above::Cut(ns)) => {
                let message = format!("{} is steered and delegated away", text());
                self.problems.error(owner.span, message, "steer it in the zone it is delegated to");
                self.problems.also(ns.span, "delegated here");
            }
            Some(Above::Redirect(dname)) => {
                let message = format!("{} is steered and redirected by a DNAME", text());
                self.problems.error(owner.span, message, "keep one of them");
                self.problems.also(dname.span, "redirected here");
            }
            None => {}
        }
        match region {
            None => self.builder.steer_at(place, owner.service),
            Some(region) => self.builder.steer_region_at(place, owner.service, region),
        }
    }

    /// Whether anything in the zone hides other names.
    fn hides(&self) -> bool {
        self.owners.iter().any(|(name, facts)| facts.dname.is_some() || *name != self.origin.octets())
    }

    /// The topmost cut or DNAME that is truly above a name.
    fn above(&self, name: &Name) -> Option<Above<'r>> {
        let depth = name.depth_below(self.origin)?;
        (1..=depth).rev().find_map(|index| {
            let facts = self.owners.get(name.suffix(index))?;
            let is_wildcard = index < depth && name.label(index) == b"*";
            match (facts.ns.filter(|_| index < depth && !is_wildcard), facts.dname) {
                (Some(ns), _) => Some(Above::Cut(ns)),
                (None, Some(dname)) => Some(Above::Redirect(dname)),
                (None, None) => None,
            }
        })
    }

    /// Data that nobody can ever be answered with.
    fn hidden(&mut self, group: &[&'r Record]) {
        let Some(first) = group.first() else { return };
        let Some(name) = Name::from_wire(self.records.owner(first)) else { return };
        let text = name_text(name.octets());
        let is_glue = |record: &&&Record| matches!(record.rtype, Rtype::A | Rtype::AAAA);
        match self.above(&name) {
            Some(Above::Redirect(dname)) => {
                let message = format!("{text} is below a DNAME");
                self.problems.error(first.span, message, "nothing can be below a DNAME (RFC 6672)");
                self.problems.also(dname.span, "the DNAME");
            }
            Some(Above::Cut(ns)) => {
                if let Some(record) = group.iter().find(|record| !is_glue(record)) {
                    let message =
                        format!("{text} is below a delegation: its {} is never served", record.rtype);
                    self.problems.warning(record.span, message, "move it to the delegated zone");
                    self.problems.also(ns.span, "delegated here");
                }
            }
            None if &name != self.origin && name.label(0) != b"*" => {
                let Some(ns) = group.iter().find(|record| record.rtype == Rtype::NS) else { return };
                let known = |record: &&&Record| {
                    is_glue(record)
                        || matches!(record.rtype, Rtype::NS | Rtype::DS | Rtype::RRSIG | Rtype::NSEC)
                        || matches!(record.rtype, Rtype::CNAME | Rtype::DNAME | Rtype::SOA)
                };
                if let Some(record) = group.iter().find(|record| !known(record)) {
                    let message = format!("{text} is delegated: its {} is never served", record.rtype);
                    self.problems.warning(record.span, message, "move it to the delegated zone");
                    self.problems.also(ns.span, "delegated here");
                }
            }
            None => {}
        }
    }

    /// What can stand beside a service's answers (R14), in a zone that has such.
    fn beside_steered(&mut self, group: &[&'r Record]) {
        let Some(name) = group.first().and_then(|first| Name::from_wire(self.records.owner(first))) else {
            return;
        };
        let steered = self.builder.place(&name).ok().and_then(|place| self.steered.get(&place).copied());
        for rrset in group.chunk_by(|a, b| a.rtype == b.rtype) {
            let Some(record) = rrset.first() else { continue };
            let span = record.span;
            if matches!(record.rtype, Rtype::NSEC | Rtype::NSEC3 | Rtype::NSEC3PARAM) {
                let message = format!("a static {} in a zone with steered names", record.rtype);
                self.problems.error(span, message, "denials of steered names are made on the fly: remove it");
            }
            let Some((steered, is_alias)) = steered else { continue };
            let text = name_text(self.records.owner(record));
            if record.rtype.is_steered() || record.rtype == Rtype::CNAME {
                let message = format!("{text} is steered and has a static {}", record.rtype);
                self.problems.error(span, message, "keep one of them");
                self.problems.also(steered, "steered here");
            } else if is_alias {
                let message =
                    format!("{text} is steered to host names, so it cannot have a static {}", record.rtype);
                let hint = "a name that answers CNAME can have nothing else: steer it to addresses";
                self.problems.error(span, message, hint);
                self.problems.also(steered, "steered here");
            }
        }
    }
}

/// A chain of CNAMEs that comes back to where it began answers nobody.
fn circle(zone: &Zone, records: &Records, record: &Record, problems: &mut Problems) {
    let start = records.owner(record);
    let mut next = Name::from_wire(records.rdata(record));
    for _ in 0..CHAIN_MAX {
        let Some(name) = next.filter(|name| zone.contains(name)) else { return };
        if name.octets().eq_ignore_ascii_case(start) {
            let message = format!("the CNAME of {} leads back to it", name_text(start));
            problems.warning(record.span, message, "let it end at a name with addresses");
            return;
        }
        let Lookup::Alias(rrset) = zone.lookup(&name, Rtype::A) else { return };
        next = rrset.rdata().next().and_then(Name::from_wire);
    }
}

/// A server named inside the zone must be found in it.
fn server_address(zone: &Zone, records: &Records, record: &Record, problems: &mut Problems) {
    let Some(server) = Name::from_wire(records.rdata(record)) else { return };
    if !zone.contains(&server) || zone.addresses(&server).iter().any(Option::is_some) {
        return;
    }
    let found = |rtype| {
        matches!(zone.lookup(&server, rtype), Lookup::Answer(_) | Lookup::Steered(_) | Lookup::Testing(..))
    };
    if !found(Rtype::A) && !found(Rtype::AAAA) {
        let message = format!("the server {} has no address in this zone", name_text(server.octets()));
        problems.warning(record.span, message, "add its A or AAAA record");
    }
}
