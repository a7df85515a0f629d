//! A validator that shares nothing with the server: it reads octets, verifies signatures, and goes by the
//! rules of RFC 4035 section 5, RFC 5155 section 8 and RFC 9824 as they are written.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};

pub const NS: u16 = 2;
pub const CNAME: u16 = 5;
pub const SOA: u16 = 6;
pub const DNAME: u16 = 39;
pub const DS: u16 = 43;
pub const RRSIG: u16 = 46;
pub const NSEC: u16 = 47;
pub const NSEC3: u16 = 50;
pub const NXNAME: u16 = 128;

/// Labels from the left, in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Name(pub Vec<Vec<u8>>);

impl Name {
    pub fn text(text: &str) -> Name {
        let labels = text.split('.').filter(|label| !label.is_empty());
        Name(labels.map(|label| label.to_ascii_lowercase().into_bytes()).collect())
    }

    pub fn wire(&self) -> Vec<u8> {
        let mut wire = Vec::new();
        for label in &self.0 {
            wire.push(label.len() as u8);
            wire.extend(label);
        }
        wire.push(0);
        wire
    }

    fn is_below(&self, other: &Name) -> bool {
        self.0.len() > other.0.len() && self.0.ends_with(&other.0)
    }

    fn last(&self, labels: usize) -> Name {
        Name(self.0[self.0.len() - labels..].to_vec())
    }

    fn wildcard(&self) -> Name {
        Name([vec![b"*".to_vec()], self.0.clone()].concat())
    }

    fn canonical(&self, other: &Name) -> Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }

    fn common(&self, other: &Name) -> usize {
        self.0.iter().rev().zip(other.0.iter().rev()).take_while(|(a, b)| a == b).count()
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    pub owner: Name,
    pub rtype: u16,
    pub ttl_s: u32,
    pub rdata: Vec<u8>,
}

#[derive(Debug)]
pub struct Message {
    pub rcode: u8,
    pub authoritative: bool,
    pub truncated: bool,
    pub compact_ok: bool,
    pub error: Option<u16>,
    pub sections: [Vec<Record>; 3],
}

/// A name in a message, with the place behind it; case kept.
fn name_at(message: &[u8], mut at: usize) -> (Vec<Vec<u8>>, usize) {
    let (mut labels, mut end) = (Vec::new(), None);
    loop {
        let length = usize::from(message[at]);
        if length >= 0xc0 {
            end = end.or(Some(at + 2));
            at = (length & 0x3f) << 8 | usize::from(message[at + 1]);
        } else if length == 0 {
            return (labels, end.unwrap_or(at + 1));
        } else {
            labels.push(message[at + 1..at + 1 + length].to_vec());
            at += 1 + length;
        }
    }
}

fn lower(labels: Vec<Vec<u8>>) -> Name {
    Name(labels.into_iter().map(|label| label.to_ascii_lowercase()).collect())
}

/// (octets before names, names) of the types that are compressed here, or whose names are lowered.
fn names_in(rtype: u16) -> (usize, usize) {
    match rtype {
        2 | 5 | 12 | 39 => (0, 1),
        6 => (0, 2),
        15 => (2, 1),
        33 => (6, 1),
        _ => (0, 0),
    }
}

impl Message {
    pub fn read(octets: &[u8]) -> Message {
        let short = |at: usize| u16::from_be_bytes([octets[at], octets[at + 1]]);
        let mut at = 12;
        for _ in 0..short(4) {
            at = name_at(octets, at).1 + 4;
        }
        let mut sections = [Vec::new(), Vec::new(), Vec::new()];
        let (mut compact_ok, mut error, mut extended) = (false, None, 0);
        for (section, place) in sections.iter_mut().zip([6, 8, 10]) {
            for _ in 0..short(place) {
                let (owner, head) = name_at(octets, at);
                let (rtype, length) = (short(head), usize::from(short(head + 8)));
                let ttl_s = u32::from_be_bytes(octets[head + 4..head + 8].try_into().unwrap());
                let start = head + 10;
                at = start + length;
                if rtype == 41 {
                    compact_ok = ttl_s & 0x4000 != 0;
                    extended = (ttl_s >> 24) as u8;
                    let mut rest = &octets[start..at];
                    while rest.len() >= 4 {
                        let size = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
                        if rest[..2] == [0, 15] {
                            error = Some(u16::from_be_bytes([rest[4], rest[5]]));
                        }
                        rest = &rest[4 + size..];
                    }
                    continue;
                }
                let (before, names) = names_in(rtype);
                let mut rdata = octets[start..start + before].to_vec();
                let mut inside = start + before;
                for _ in 0..names {
                    let (labels, after) = name_at(octets, inside);
                    rdata.extend(Name(labels).wire());
                    inside = after;
                }
                rdata.extend(&octets[inside..at]);
                section.push(Record { owner: lower(owner), rtype, ttl_s, rdata });
            }
        }
        assert_eq!(at, octets.len(), "nothing behind the last record");
        Message {
            rcode: octets[3] & 15 | extended << 4,
            authoritative: octets[2] & 4 != 0,
            truncated: octets[2] & 2 != 0,
            compact_ok,
            error,
            sections,
        }
    }
}

/// What an answer proves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Proven {
    /// There are records, or an alias that leads out of the zone.
    Answer,
    NoData,
    NxDomain,
    /// To a zone that is signed, or proven not to be.
    Referral {
        signed: bool,
    },
}

pub struct Validator<'k> {
    pub origin: Name,
    /// The RDATA of DNSKEY.
    pub keys: &'k [Vec<u8>],
    pub now_s: u32,
}

type Verified = Result<usize, String>;

impl Validator<'_> {
    /// What an answer to a question proves; `Err`: it is bogus, and why.
    pub fn judge(&self, reply: &Message, asked: &Name, rtype: u16) -> Result<Proven, String> {
        let [answer, authority, _] = &reply.sections;
        let denials = self.denials(authority)?;
        for record in answer {
            let made = record.rtype == CNAME && self.is_made(record, answer)?;
            if record.rtype != RRSIG && !made {
                self.expanded(&record.owner, record.rtype, answer, &denials)?;
            }
        }
        let mut name = asked.clone();
        let aliases = answer.iter().filter(|own| own.rtype == CNAME).count();
        let mut seen = Vec::new();
        for _ in 0..20 {
            // A circle, and a chain that the server leaves to the resolver.
            if seen.contains(&name) || seen.len() == 8 && aliases == 8 {
                return Ok(Proven::Answer);
            }
            seen.push(name.clone());
            // ANY follows the CNAME that a DNAME makes: it is no data of its owner.
            let made = |own: &Record| own.rtype == CNAME && self.is_made(own, answer) == Ok(true);
            let wanted = |own: &Record| own.rtype == rtype || (rtype == 255 && !made(own));
            let is_here = answer.iter().any(|own| own.owner == name && wanted(own));
            if is_here && rtype == NSEC && self.denials(answer)?.says_nothing_is_at(&name) {
                return Ok(Proven::NxDomain);
            }
            if is_here {
                return Ok(Proven::Answer);
            }
            let Some(alias) = answer.iter().find(|own| own.owner == name && own.rtype == CNAME) else {
                break;
            };
            name = lower(name_at(&alias.rdata, 0).0);
            if !name.is_below(&self.origin) && name != self.origin {
                return Ok(Proven::Answer);
            }
        }
        if let Some(cut) = authority.iter().find(|own| own.rtype == NS && own.owner != self.origin) {
            return self.referral(&cut.owner, authority, &denials);
        }
        if !authority.iter().any(|own| own.rtype == SOA && own.owner == self.origin) {
            return Err(format!("neither records nor SOA: {reply:?}"));
        }
        self.verify(&self.origin, SOA, authority)?;
        for record in authority.iter().filter(|own| own.rtype != RRSIG) {
            if !matches!(record.rtype, SOA | NSEC | NSEC3) {
                return Err(format!("{record:?} in a denial"));
            }
        }
        match self.is_no_name(&name, &denials) {
            // It would deny NSEC by an NSEC that has it.
            Ok(()) if rtype == NSEC && denials.says_nothing_is_at(&name) => {
                return Err(format!("the NSEC of {name:?} denies itself"));
            }
            Ok(()) => return Ok(Proven::NxDomain),
            Err(_) if reply.rcode == 0 => {}
            Err(why) => return Err(why),
        }
        self.is_no_data(&name, rtype, &denials).map(|()| Proven::NoData)
    }

    fn referral(&self, cut: &Name, authority: &[Record], denials: &Denials) -> Result<Proven, String> {
        if authority.iter().any(|own| own.rtype == DS && own.owner == *cut) {
            self.verify(cut, DS, authority)?;
            return Ok(Proven::Referral { signed: true });
        }
        let types = denials.types(cut, &self.origin);
        match types {
            Some(types) if types.contains(&NS) && !types.contains(&DS) && !types.contains(&SOA) => {
                Ok(Proven::Referral { signed: false })
            }
            Some(types) => Err(format!("DS of {cut:?} is not denied by {types:?}")),
            None if denials.is_opted_out(cut, &self.origin) => Ok(Proven::Referral { signed: false }),
            None => Err(format!("nothing says that {cut:?} has no DS")),
        }
    }

    /// Whether a CNAME follows from a DNAME beside it (RFC 6672 section 5.3.1).
    fn is_made(&self, alias: &Record, answer: &[Record]) -> Result<bool, String> {
        let above = answer.iter().find(|own| own.rtype == DNAME && alias.owner.is_below(&own.owner));
        let Some(above) = above else { return Ok(false) };
        let target = lower(name_at(&above.rdata, 0).0);
        let kept = alias.owner.0.len() - above.owner.0.len();
        let made = Name([&alias.owner.0[..kept], &target.0].concat());
        if lower(name_at(&alias.rdata, 0).0) != made {
            return Err(format!("{alias:?} does not follow from {above:?}"));
        }
        Ok(true)
    }

    /// An RRset of the answer: signed, and where a wildcard was expanded, with the proof that it had to be.
    fn expanded(&self, owner: &Name, rtype: u16, answer: &[Record], denials: &Denials) -> Result<(), String> {
        let labels = self.verify(owner, rtype, answer)?;
        let literal = usize::from(owner.0.first().is_some_and(|label| label == b"*"));
        if labels + literal >= owner.0.len() {
            return Ok(());
        }
        if denials.is_absent(owner, labels, &self.origin) {
            Ok(())
        } else {
            Err(format!("{owner:?} is of a wildcard, and may exist itself"))
        }
    }

    /// The labels that a verified signature has.
    fn verify(&self, owner: &Name, rtype: u16, section: &[Record]) -> Verified {
        let rrset: Vec<&Record> =
            section.iter().filter(|own| own.owner == *owner && own.rtype == rtype).collect();
        let covers = |own: &&Record| {
            own.owner == *owner && own.rtype == RRSIG && own.rdata[..2] == rtype.to_be_bytes()
        };
        let mut why = format!("{owner:?} {rtype} has no signature");
        for rrsig in section.iter().filter(covers) {
            match self.verified_by(owner, rtype, &rrset, rrsig) {
                Ok(labels) => return Ok(labels),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    fn verified_by(&self, owner: &Name, rtype: u16, rrset: &[&Record], rrsig: &Record) -> Verified {
        let rdata = &rrsig.rdata;
        let long = |at: usize| u32::from_be_bytes(rdata[at..at + 4].try_into().unwrap());
        let (algorithm, labels, ttl_s) = (rdata[2], usize::from(rdata[3]), long(4));
        let (expiration_s, inception_s) = (long(8), long(12));
        let tag = u16::from_be_bytes([rdata[16], rdata[17]]);
        let (signer, signature_at) = name_at(rdata, 18);
        let fail = |why: &str| Err(format!("{owner:?} {rtype}: {why}"));
        if lower(signer) != self.origin {
            return fail("signed by another zone");
        }
        if !(inception_s..=expiration_s).contains(&self.now_s) {
            return fail("not now");
        }
        let literal = usize::from(owner.0.first().is_some_and(|label| label == b"*"));
        if labels > owner.0.len() - literal {
            return fail("too many labels");
        }
        if rrset.iter().any(|own| own.ttl_s > ttl_s || own.ttl_s != rrsig.ttl_s) {
            return fail("a TTL above the signed one, or not that of the signature");
        }
        let signed_owner = match labels + literal < owner.0.len() {
            true => owner.last(labels).wildcard(),
            false => owner.clone(),
        };
        let mut canonical: Vec<Vec<u8>> = rrset.iter().map(|own| canonical(rtype, &own.rdata)).collect();
        canonical.sort();
        if canonical.windows(2).any(|pair| pair[0] == pair[1]) {
            return fail("a record comes twice");
        }
        let mut message = rdata[..signature_at].to_vec();
        for rdata in canonical {
            message.extend(signed_owner.wire());
            message.extend(rtype.to_be_bytes());
            message.extend([0, 1]);
            message.extend(ttl_s.to_be_bytes());
            message.extend((rdata.len() as u16).to_be_bytes());
            message.extend(rdata);
        }
        let keys = self.keys.iter().filter(|key| key[3] == algorithm && key_tag(key) == tag);
        for key in keys {
            let of = |algorithm, public: Vec<u8>| {
                UnparsedPublicKey::new(algorithm, public).verify(&message, &rdata[signature_at..]).is_ok()
            };
            let holds = match algorithm {
                13 => of(&ECDSA_P256_SHA256_FIXED, [&[4], &key[4..]].concat()),
                15 => of(&ED25519, key[4..].to_vec()),
                _ => false,
            };
            if holds {
                return Ok(labels);
            }
        }
        fail("a signature by none of the keys")
    }

    fn denials(&self, authority: &[Record]) -> Result<Denials, String> {
        let mut denials = Denials::default();
        for record in authority.iter().filter(|own| matches!(own.rtype, NSEC | NSEC3)) {
            self.verify(&record.owner, record.rtype, authority)?;
            if record.rtype == NSEC {
                let (next, bitmap) = name_at(&record.rdata, 0);
                let next = lower(next);
                let types = types(&record.rdata[bitmap..]);
                denials.nsec.push(Nsec { owner: record.owner.clone(), next, types });
            } else {
                let salt = usize::from(record.rdata[4]);
                let next_at = 5 + salt + 1;
                let next = record.rdata[next_at..next_at + 20].to_vec();
                let iterations = u16::from_be_bytes([record.rdata[2], record.rdata[3]]);
                denials.hashing = Some((iterations, record.rdata[5..5 + salt].to_vec()));
                denials.nsec3.push(Nsec3 {
                    hash: unbase32(&record.owner.0[0]),
                    next,
                    types: types(&record.rdata[next_at + 20..]),
                    opt_out: record.rdata[1] & 1 != 0,
                });
            }
        }
        let mut seen: Vec<&Name> =
            authority.iter().filter(|own| matches!(own.rtype, NSEC | NSEC3)).map(|own| &own.owner).collect();
        seen.sort();
        if seen.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(format!("a denial comes twice: {seen:?}"));
        }
        Ok(denials)
    }

    fn is_no_name(&self, name: &Name, denials: &Denials) -> Result<(), String> {
        if denials.says_nothing_is_at(name) {
            return Ok(());
        }
        let encloser = denials.encloser(name, &self.origin);
        let Some(encloser) = encloser else { return Err(format!("{name:?} may exist: {denials:?}")) };
        let wildcard = name.last(encloser).wildcard();
        if denials.is_absent(&wildcard, encloser, &self.origin) {
            Ok(())
        } else {
            Err(format!("{wildcard:?} may exist: {denials:?}"))
        }
    }

    fn is_no_data(&self, name: &Name, rtype: u16, denials: &Denials) -> Result<(), String> {
        let lacks = |types: &BTreeSet<u16>| {
            let other_side = match rtype {
                DS => types.contains(&SOA) && name != &self.origin,
                _ => types.contains(&NS) && !types.contains(&SOA),
            };
            !types.contains(&rtype) && !types.contains(&CNAME) && !types.contains(&NXNAME) && !other_side
        };
        if let Some(types) = denials.types(name, &self.origin) {
            return if lacks(&types) { Ok(()) } else { Err(format!("{name:?} may have {rtype}: {types:?}")) };
        }
        if denials.is_empty_non_terminal(name) {
            return Ok(());
        }
        let encloser = denials.encloser(name, &self.origin);
        let wildcard = encloser.map(|encloser| name.last(encloser).wildcard());
        let Some(wildcard) = wildcard else { return Err(format!("{name:?} {rtype}: {denials:?}")) };
        match denials.types(&wildcard, &self.origin) {
            Some(types) if lacks(&types) => Ok(()),
            None if denials.is_empty_non_terminal(&wildcard) => Ok(()),
            types => Err(format!("{wildcard:?} may have {rtype}: {types:?}")),
        }
    }
}

#[derive(Debug)]
struct Nsec {
    owner: Name,
    next: Name,
    types: BTreeSet<u16>,
}

#[derive(Debug)]
struct Nsec3 {
    hash: Vec<u8>,
    next: Vec<u8>,
    types: BTreeSet<u16>,
    opt_out: bool,
}

#[derive(Default, Debug)]
struct Denials {
    nsec: Vec<Nsec>,
    nsec3: Vec<Nsec3>,
    hashing: Option<(u16, Vec<u8>)>,
}

impl Nsec {
    fn covers(&self, name: &Name, origin: &Name) -> bool {
        // What is below a delegation or a DNAME is not this zone's to deny (RFC 6840 section 4.1).
        let leads_away =
            (self.types.contains(&NS) && !self.types.contains(&SOA)) || self.types.contains(&DNAME);
        if name.is_below(&self.owner) && leads_away {
            return false;
        }
        let after = name.canonical(&self.owner) == Ordering::Greater;
        after && (self.next == *origin || name.canonical(&self.next) == Ordering::Less)
    }
}

impl Denials {
    /// RFC 9824 section 3.1.
    fn says_nothing_is_at(&self, name: &Name) -> bool {
        let compact = BTreeSet::from([RRSIG, NSEC, NXNAME]);
        self.nsec.iter().any(|own| own.owner == *name && own.types == compact)
    }

    fn hash(&self, name: &Name) -> Option<Vec<u8>> {
        let (iterations, salt) = self.hashing.as_ref()?;
        let mut hash = name.wire();
        for _ in 0..=*iterations {
            hash.extend(salt);
            hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &hash).as_ref().to_vec();
        }
        Some(hash)
    }

    fn nsec3_at(&self, name: &Name) -> Option<&Nsec3> {
        let hash = self.hash(name)?;
        self.nsec3.iter().find(|own| own.hash == hash)
    }

    fn nsec3_over(&self, name: &Name) -> Option<&Nsec3> {
        let hash = self.hash(name)?;
        self.nsec3.iter().find(|own| match own.hash < own.next {
            true => own.hash < hash && hash < own.next,
            false => own.hash < hash || hash < own.next,
        })
    }

    /// The types of a name, by a record of its own.
    fn types(&self, name: &Name, _: &Name) -> Option<BTreeSet<u16>> {
        let nsec = self.nsec.iter().find(|own| own.owner == *name).map(|own| own.types.clone());
        nsec.or_else(|| self.nsec3_at(name).map(|own| own.types.clone()))
    }

    /// The labels of the closest encloser of a name that is proven not to exist.
    fn encloser(&self, name: &Name, origin: &Name) -> Option<usize> {
        if let Some(own) = self.nsec.iter().find(|own| own.covers(name, origin)) {
            if own.next.is_below(name) {
                return None;
            }
            return Some(name.common(&own.owner).max(name.common(&own.next)).max(origin.0.len()));
        }
        let labels = (origin.0.len()..name.0.len()).rev();
        let encloser = labels.into_iter().find(|labels| self.nsec3_at(&name.last(*labels)).is_some())?;
        let own = self.nsec3_at(&name.last(encloser))?;
        if own.types.contains(&DNAME) || (own.types.contains(&NS) && !own.types.contains(&SOA)) {
            return None;
        }
        self.nsec3_over(&name.last(encloser + 1)).map(|_| encloser)
    }

    /// Whether nothing between a name and this many of its last labels exists.
    fn is_absent(&self, name: &Name, encloser: usize, origin: &Name) -> bool {
        if self.nsec.is_empty() {
            return self.nsec3_over(&name.last(encloser + 1)).is_some();
        }
        self.nsec.iter().any(|own| {
            own.covers(name, origin)
                && !own.next.is_below(name)
                && name.common(&own.owner).max(name.common(&own.next)).max(origin.0.len()) == encloser
        })
    }

    fn is_empty_non_terminal(&self, name: &Name) -> bool {
        self.nsec.iter().any(|own| own.next.is_below(name) && own.owner.canonical(name) == Ordering::Less)
    }

    fn is_opted_out(&self, name: &Name, origin: &Name) -> bool {
        let labels = (origin.0.len()..name.0.len()).rev();
        let encloser = labels.into_iter().find(|labels| self.nsec3_at(&name.last(*labels)).is_some());
        encloser.and_then(|labels| self.nsec3_over(&name.last(labels + 1))).is_some_and(|own| own.opt_out)
    }
}

fn types(mut bitmap: &[u8]) -> BTreeSet<u16> {
    let mut types = BTreeSet::new();
    let mut windows = Vec::new();
    while let [window, length, rest @ ..] = bitmap {
        let (octets, after) = rest.split_at(usize::from(*length));
        assert!((1..=32).contains(length) && octets.last() != Some(&0), "a bitmap is as short as can be");
        windows.push(*window);
        for (place, octet) in octets.iter().enumerate() {
            let bits = (0..8).filter(|bit| octet & 0x80 >> bit != 0);
            types.extend(bits.map(|bit| u16::from(*window) << 8 | (place as u16 * 8 + bit)));
        }
        bitmap = after;
    }
    assert!(windows.is_sorted() && bitmap.is_empty());
    types
}

fn canonical(rtype: u16, rdata: &[u8]) -> Vec<u8> {
    let (before, names) = names_in(rtype);
    let mut rdata = rdata.to_vec();
    let mut at = before;
    for _ in 0..names {
        let end = name_at(&rdata, at).1;
        rdata[at..end].make_ascii_lowercase();
        at = end;
    }
    rdata
}

pub fn key_tag(rdata: &[u8]) -> u16 {
    let sum: u32 = rdata
        .iter()
        .enumerate()
        .map(|(index, octet)| if index % 2 == 0 { u32::from(*octet) << 8 } else { u32::from(*octet) })
        .sum();
    (sum + (sum >> 16)) as u16
}

fn unbase32(label: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> = label
        .iter()
        .flat_map(|digit| {
            let value = char::from(*digit).to_digit(32).unwrap() as u8;
            (0..5).rev().map(move |bit| value >> bit & 1)
        })
        .collect();
    bits.chunks(8).map(|bits| bits.iter().fold(0, |octet, bit| octet << 1 | bit)).collect()
}
