//! What an answer's records point to, in the additional section: offered where there is room, never needed.
//!
//! Only what this zone holds as static data is given. A steered name is left out: its answer is made for
//! one client and goes out by itself (R15). Nothing here sets TC.

use super::Steering;
use super::answer::{Answering, glue, offer};
use crate::dnssec::Signed;
use crate::view::Additional;
use crate::wire::{Name, Owner, ResponseWriter, Rtype, name_octets};
use crate::zone::{Lookup, Rrset, Zone};

/// Names looked up for one answer. RRsets can have thousands of records; what resolvers use of them are a
/// few, and a message over UDP has no room for more.
const TARGETS_MAX: usize = 16;

/// What belongs with a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The addresses of a name, glue among them.
    Glue,
    /// The addresses of a name.
    Addresses,
    /// What else a name says of the same service (RFC 9460 section 4.1), and its addresses.
    Alias,
    /// Where a service is (RFC 3403 section 4.1, flag S).
    Location,
}

/// Names that have been given, by where they stand in the message.
#[derive(Clone, Copy)]
struct Given {
    places: [usize; TARGETS_MAX],
    used: usize,
}

impl<S: Steering> Answering<'_, '_, S> {
    /// Adds what belongs with the records that answer the question.
    pub(super) fn additional(
        &self,
        zone: &Zone,
        owner: &Name,
        rrset: &Rrset<'_>,
        writer: &mut ResponseWriter<'_>,
    ) {
        let is_asked = rrset.rtype == self.query.question.rtype;
        if is_asked && self.steering.settings().additional == Additional::Given {
            let none = Given { places: [0; TARGETS_MAX], used: 0 };
            let answer = owner.octets();
            let mut adding = Adding {
                zone,
                signed: self.signing(),
                answer,
                given: none,
                followed: none,
                left: TARGETS_MAX,
            };
            adding.of(answer, rrset, writer);
        }
    }
}

struct Adding<'z> {
    zone: &'z Zone,
    /// Its signatures, where they are wanted.
    signed: Option<&'z Signed>,
    /// The owner of the answer: its records are there already.
    answer: &'z [u8],
    /// Whose addresses are given.
    given: Given,
    /// Whose other records are.
    followed: Given,
    /// Names that may still be looked up.
    left: usize,
}

impl Adding<'_> {
    fn of(&mut self, owner: &[u8], rrset: &Rrset<'_>, writer: &mut ResponseWriter<'_>) {
        for rdata in rrset.rdata() {
            let Some((target, wanted)) = target(rrset.rtype, rdata) else { continue };
            // TargetName "." of a service is the owner itself (RFC 9460 section 2.5.2).
            let own = matches!(rrset.rtype, Rtype::SVCB | Rtype::HTTPS) && target == [0];
            let target = if own { owner } else { target };
            let Some(left) = self.left.checked_sub(1) else { return };
            self.left = left;
            let Some(name) = Name::from_wire(target).filter(|name| self.zone.contains(name)) else {
                continue;
            };
            match wanted {
                Wanted::Glue if !self.given.contain(writer, target) => {
                    let offset = writer.offset();
                    // Servers come first in a message: without room for these there is none for others.
                    if glue(self.zone, self.signed, target, writer).is_err() {
                        return;
                    }
                    self.given.add(offset, writer);
                }
                Wanted::Glue => {}
                Wanted::Addresses => self.addresses(target, &name, writer),
                Wanted::Alias if own => {}
                Wanted::Alias => {
                    self.follow(target, &name, rrset.rtype, writer);
                    self.addresses(target, &name, writer);
                }
                Wanted::Location => {
                    self.follow(target, &name, Rtype::SRV, writer);
                }
            }
        }
    }

    fn addresses(&mut self, target: &[u8], name: &Name, writer: &mut ResponseWriter<'_>) {
        if self.given.contain(writer, target) {
            return;
        }
        let offset = writer.offset();
        for rtype in [Rtype::A, Rtype::AAAA] {
            if let Lookup::Answer(rrset) = self.zone.lookup(name, rtype) {
                let _ = offer(self.signed, Owner::Name(target), &rrset, writer);
            }
        }
        self.given.add(offset, writer);
    }

    /// Adds an RRset of the target and what that points to; `left` ends circles.
    fn follow(&mut self, target: &[u8], name: &Name, rtype: Rtype, writer: &mut ResponseWriter<'_>) {
        let Lookup::Answer(rrset) = self.zone.lookup(name, rtype) else { return };
        if target.eq_ignore_ascii_case(self.answer) || self.followed.contain(writer, target) {
            return;
        }
        let offset = writer.offset();
        if offer(self.signed, Owner::Name(target), &rrset, writer).is_ok() {
            self.followed.add(offset, writer);
            self.of(target, &rrset, writer);
        }
    }
}

impl Given {
    fn contain(&self, writer: &ResponseWriter<'_>, name: &[u8]) -> bool {
        self.places.iter().take(self.used).any(|place| writer.is_name_at(*place, name))
    }

    /// Remembers the name at `offset`, if anything was written there.
    fn add(&mut self, offset: usize, writer: &ResponseWriter<'_>) {
        if writer.offset() > offset
            && let Some(place) = self.places.get_mut(self.used)
        {
            *place = offset;
            self.used += 1;
        }
    }
}

/// The name in a record that has something to add, and what.
fn target(rtype: Rtype, rdata: &[u8]) -> Option<(&[u8], Wanted)> {
    match rtype {
        Rtype::NS => Some((rdata, Wanted::Glue)),
        Rtype::MX | Rtype::KX | Rtype::AFSDB | Rtype::RT => Some((rdata.get(2..)?, Wanted::Addresses)),
        Rtype::SRV => Some((rdata.get(6..)?, Wanted::Addresses)),
        Rtype::SVCB | Rtype::HTTPS => {
            let (priority, rest) = rdata.split_first_chunk::<2>()?;
            let name = rest.get(..name_octets(rest)?)?;
            Some((name, if *priority == [0, 0] { Wanted::Alias } else { Wanted::Addresses }))
        }
        Rtype::NAPTR => naptr(rdata.get(4..)?),
        _ => None,
    }
}

/// The replacement of a rule that ends with it: flag A for addresses, S for SRV (RFC 3404 section 4.3).
fn naptr(rest: &[u8]) -> Option<(&[u8], Wanted)> {
    let (flags, rest) = text(rest)?;
    let (_services, rest) = text(rest)?;
    let (_expression, replacement) = text(rest)?;
    match flags {
        b"a" | b"A" => Some((replacement, Wanted::Addresses)),
        b"s" | b"S" => Some((replacement, Wanted::Location)),
        _ => None,
    }
}

fn text(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first()?;
    rest.split_at_checked(usize::from(*length))
}
