//! The SOA record of negative answers (RFC 2308 section 3), composed once a zone.
//!
//! QNAME ends with the origin, so that nearly all of the record is the same in every answer: its names end by the same
//! pointers, and only where these lead follows from the question. It is otherwise where QNAME shares a label above the
//! origin with a name in the record, which can point farther up then; such a record is composed when it is asked for.

use super::sought::Sought;
use crate::wire::{Class, HEADER_OCTETS, Name, Owner, Question, ResponseWriter, Rtype, Section, name_octets};

/// Records that are longer are not composed ahead.
const OCTETS_MAX: usize = 320;

/// The octets of a record between its owner and its data.
const FIXED_OCTETS: usize = 10;

/// The record as it stands in an answer, with pointers that wait for the question.
pub struct NegativeSoa {
    octets: Box<[u8]>,
    /// The owner's, MNAME's and RNAME's.
    pointers: [Option<Pointer>; 3],
    /// Of MNAME and RNAME, where they are below the origin, the labels next to it, each behind its length.
    neighbours: Box<[u8]>,
}

#[derive(Clone, Copy)]
struct Pointer {
    /// Its place in the record.
    at: u16,
    target: Target,
}

/// What a pointer leads to.
#[derive(Clone, Copy)]
enum Target {
    /// So many octets behind the origin's beginning in QNAME.
    Origin(u16),
    /// So many behind the record's own.
    Record(u16),
}

impl NegativeSoa {
    /// Of a zone with this SOA; `None` where it is not as RFC 1035 section 3.3.13 has it, or very long.
    pub(super) fn of(origin: &Name, ttl_s: u32, rdata: &[u8]) -> Option<NegativeSoa> {
        let (mname, rest) = rdata.split_at_checked(name_octets(rdata)?)?;
        let (rname, _) = rest.split_at_checked(name_octets(rest)?)?;
        // As the answer to the origin itself.
        let mut message = [0; HEADER_OCTETS + 256 + 4 + OCTETS_MAX];
        let mut writer = ResponseWriter::new(&mut message, usize::MAX)?;
        writer.question(&Question { name: origin.octets(), rtype: Rtype::SOA, class: Class::IN }).ok()?;
        let start = writer.offset();
        let rdata = std::iter::once(rdata);
        writer.rrset(Section::Authority, Owner::Question(0), Rtype::SOA, ttl_s, rdata).ok()?;
        let end = writer.offset();
        let octets = message.get(start..end).filter(|octets| octets.len() <= OCTETS_MAX)?;
        let (owner, after) = pointer(octets, 0, start)?;
        let (first, after) = pointer(octets, after + FIXED_OCTETS, start)?;
        let (second, _) = pointer(octets, after, start)?;
        let neighbours = [mname, rname].into_iter().flat_map(|name| neighbour(name, origin));
        Some(NegativeSoa {
            octets: octets.into(),
            pointers: [owner, first, second],
            neighbours: neighbours.collect::<Vec<u8>>().into(),
        })
    }

    /// Writes the record into `to`, which begins at octet `offset` of a message whose QNAME is this one, with the origin from
    /// octet `end` of it on. Returns the record's length; `None` where there is no room, or where another than this
    /// is the right one.
    #[inline]
    pub fn write(&self, sought: &Sought, end: usize, offset: usize, to: &mut [u8]) -> Option<usize> {
        if sought.label_before(end).is_some_and(|label| self.is_neighbour(label)) {
            return None;
        }
        let to = to.get_mut(..self.octets.len())?;
        to.copy_from_slice(&self.octets);
        for Pointer { at, target } in self.pointers.iter().flatten() {
            let target = match target {
                Target::Origin(octets) => HEADER_OCTETS + end + usize::from(*octets),
                Target::Record(octets) => offset + usize::from(*octets),
            };
            let place = to.get_mut(usize::from(*at)..)?.first_chunk_mut()?;
            *place = (0xc000 | target as u16).to_be_bytes();
        }
        Some(self.octets.len())
    }

    /// What it takes in memory beside itself.
    pub(super) fn octets(&self) -> usize {
        self.octets.len() + self.neighbours.len()
    }

    #[inline]
    fn is_neighbour(&self, label: &[u8]) -> bool {
        let mut rest = &*self.neighbours;
        while let Some((length, after)) = rest.split_first() {
            let Some((own, after)) = after.split_at_checked(usize::from(*length)) else { return true };
            if own == label {
                return true;
            }
            rest = after;
        }
        false
    }
}

/// The pointer that ends the name at `at` of a record, which begins at octet `start` of the message for the origin, and
/// where the name ends.
fn pointer(record: &[u8], mut at: usize, start: usize) -> Option<(Option<Pointer>, usize)> {
    loop {
        match *record.get(at)? {
            0 => return Some((None, at + 1)),
            high @ 0xc0.. => {
                let target = usize::from(u16::from_be_bytes([high & 0x3f, *record.get(at + 1)?]));
                let target = match target.checked_sub(start) {
                    Some(own) => Target::Record(own as u16),
                    None => Target::Origin(target.checked_sub(HEADER_OCTETS)? as u16),
                };
                return Some((Some(Pointer { at: at as u16, target }), at + 2));
            }
            length => at += 1 + usize::from(length),
        }
    }
}

/// The label of a name next to the origin that it is below, in lower case and behind its length; nothing where it is not below it.
fn neighbour(name: &[u8], origin: &Name) -> Vec<u8> {
    let label = Name::from_wire(name).and_then(|name| {
        let next = name.depth_below(origin)?.checked_sub(1)?;
        let label = name.label(next);
        Some([&[label.len() as u8], label].concat())
    });
    label.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn wire(labels: &[&str]) -> Vec<u8> {
        let label = |label: &&str| [&[label.len() as u8], label.as_bytes()].concat();
        labels.iter().flat_map(label).chain([0]).collect()
    }

    fn labels(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<&'static str>> {
        proptest::collection::vec(proptest::sample::select(vec!["a", "B", "ns", "Ns"]), count)
    }

    proptest! {
        #[test]
        fn it_is_what_the_writer_of_any_record_composes(
            own in labels(0..4), origin in labels(0..3), mname in labels(0..5), rname in labels(0..5),
            before in 0..2usize,
        ) {
            let question = wire(&[&own[..], &origin[..]].concat());
            prop_assume!(question.len() > 1);
            let origin = Name::from_wire(&wire(&origin)).unwrap();
            let rdata = [&wire(&mname)[..], &wire(&rname), &[7; 20]].concat();
            let soa = NegativeSoa::of(&origin, 1234, &rdata).unwrap();

            let mut message = [0; 512];
            let mut writer = ResponseWriter::new(&mut message, 512).unwrap();
            writer.question(&Question { name: &question, rtype: Rtype::A, class: Class::IN }).unwrap();
            for _ in 0..before {
                let octets = std::iter::once(&[1, 2, 3, 4][..]);
                writer.rrset(Section::Answer, Owner::Question(0), Rtype::A, 1, octets).unwrap();
            }
            let start = writer.offset();
            let end = question.len() - origin.octets().len();
            let owner = Owner::Question(end);
            writer.rrset(Section::Authority, owner, Rtype::SOA, 1234, std::iter::once(&rdata[..])).unwrap();
            let expected = start..writer.offset();

            let mut sought = Sought::EMPTY;
            sought.read(&question).unwrap();
            let mut octets = [0xff; 512];
            match soa.write(&sought, end, start, &mut octets) {
                Some(length) => prop_assert_eq!(&octets[..length], &message[expected]),
                None => {
                    let last = own.last().unwrap().to_ascii_lowercase();
                    let is_next = |name: &[&str]| name.iter().any(|label| label.to_ascii_lowercase() == last);
                    prop_assert!(is_next(&mname) || is_next(&rname));
                }
            }
            // Never a part of it.
            prop_assert_eq!(soa.write(&sought, end, start, &mut [0; 20]), None);
        }
    }

    #[test]
    fn what_is_no_soa_or_very_long_is_not_composed_ahead() {
        let origin = Name::from_wire(b"\x07example\x00").unwrap();
        let long = |letter| (0..3).flat_map(|_| [&[60][..], &[letter; 60]].concat()).chain([0]).collect();
        let (one, other): (Vec<u8>, Vec<u8>) = (long(b'a'), long(b'b'));
        let long = [&one[..], &other, &[0; 20]].concat();
        for rdata in [&b""[..], b"\x01a", b"\x01a\x00\x40", &long] {
            assert!(NegativeSoa::of(&origin, 1, rdata).is_none(), "{rdata:?}");
        }
        assert!(NegativeSoa::of(&origin, 1, &[&one[..], &one, &[0; 20]].concat()).is_some());
    }
}
