//! From a view to what the program in the hook looks up. Answers are asked of meridian's own responder and cut up, so
//! that there is no second opinion of what an answer looks like; what does not fit the program's form is left out,
//! and so stays with the socket.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

use meridian::view::View;

use crate::Result;
use crate::world::{Edns, Responder, STATIC_NAMES, TYPE_A, query, static_name, steered_name, wire_name};

/// The longest name, in wire form, that the program knows.
const NAME_OCTETS_MAX: usize = 64;
/// The longest records.
const RECORDS_OCTETS_MAX: usize = 128;
/// The answer that stands for "ask meridian".
const UNKNOWN: u16 = 0x3ff;
const HEADER_OCTETS: usize = 12;
const OPT_OCTETS: usize = 11;
const OPT_WITH_SUBNET_OCTETS: usize = OPT_OCTETS + 11;
/// Answers must be the same whatever is drawn.
const DRAWS: [u64; 3] = [0, u64::MAX / 2, u64::MAX];
/// Where a subnet's answer depends on who asks (special-purpose blocks), these two are likely to differ: a resolver
/// that nothing is known of, and one in a known place. Nothing is sent to either.
const RESOLVERS: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(198, 18, 0, 2)), IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8))];

/// The octets of `struct name_key`.
pub type NameKey = [u8; NAME_OCTETS_MAX + 4];
/// The octets of `struct answer`.
pub type Answer = [u8; RECORDS_OCTETS_MAX + 10];

/// What the maps are filled with.
pub struct Hot {
    /// Names with the number of their (first) answer and, where steered, one above that of their networks.
    pub names: Vec<(NameKey, [u32; 2])>,
    /// Answers by number.
    pub answers: Vec<Answer>,
    /// By service and first two octets: by third octet, answer and scope.
    pub flat: Vec<[u16; 256]>,
    /// The same as disjoint networks: service, network, length, answer and scope.
    pub networks: Vec<(u32, u32, u8, u32)>,
    /// The size in our own OPT.
    pub payload_octets: u16,
}

impl Hot {
    /// Everything that is asked in this experiment.
    pub fn of(view: &View) -> Result<Hot> {
        let mut responder = Responder::new(view);
        let mut hot = Hot {
            names: Vec::new(),
            answers: Vec::new(),
            flat: Vec::new(),
            networks: Vec::new(),
            payload_octets: 0,
        };
        for number in 0..STATIC_NAMES {
            hot.add_static(&mut responder, &wire_name(&static_name(number)))?;
        }
        hot.add_steered(&mut responder, &wire_name(&steered_name()))?;
        Ok(hot)
    }

    fn add_static(&mut self, responder: &mut Responder<'_>, name: &[u8]) -> Result<()> {
        let bare = only_answer(responder, &query(name, TYPE_A, Edns::Absent)).ok_or("no one answer")?;
        let with_opt = only_answer(responder, &query(name, TYPE_A, Edns::Plain)).ok_or("no one answer")?;
        let records = HEADER_OCTETS + name.len() + 4..bare.len();
        let opt =
            with_opt.get(bare.len()..).filter(|opt| opt.len() == OPT_OCTETS).ok_or("an OPT with options")?;
        self.payload_octets = u16::from_be_bytes([opt[3], opt[4]]);
        let number = self.answers.len() as u32;
        self.answers.push(answer(&bare, records, 0)?);
        self.names.push((name_key(name)?, [number, 0]));
        Ok(())
    }

    /// One walk over the IPv4 space: where an answer holds for a wider network, the rest of that is passed over.
    fn add_steered(&mut self, responder: &mut Responder<'_>, name: &[u8]) -> Result<()> {
        let service = (self.flat.len() / 65_536) as u32;
        let first = self.answers.len();
        let rows = self.flat.len();
        self.flat.resize(rows + 65_536, [UNKNOWN << 6; 256]);
        let mut slots = 0u32..1 << 24;
        while !slots.is_empty() {
            let network = slots.start << 8;
            let query = query(name, TYPE_A, Edns::Subnet(Ipv4Addr::from(network)));
            let (value, scope) = self.place(responder, &query, name.len(), first)?;
            // Within its own scope an answer is the same for all.
            let length = scope.min(24);
            let width = 1u32 << (24 - length);
            let aligned = slots.start & !(width - 1);
            for slot in slots.start..aligned + width {
                if let Some(row) = self.flat.get_mut(rows + (slot >> 8) as usize) {
                    row[(slot & 0xff) as usize] = value;
                }
            }
            if value >> 6 != UNKNOWN {
                self.networks.push((service, aligned << 8, length, u32::from(value)));
            }
            slots.start = aligned + width;
        }
        self.names.push((name_key(name)?, [first as u32, service + 1]));
        Ok(())
    }

    /// The answer to a query with a subnet, by number from `first` on, with its scope.
    fn place(
        &mut self,
        responder: &mut Responder<'_>,
        query: &[u8],
        name: usize,
        first: usize,
    ) -> Result<(u16, u8)> {
        let reply = responder.reply(query, RESOLVERS[0], 0).ok_or("no reply")?.to_vec();
        let records = HEADER_OCTETS + name + 4..reply.len().saturating_sub(OPT_WITH_SUBNET_OCTETS);
        let scope = *reply.get(records.end + OPT_OCTETS + 7).ok_or("no scope")?;
        let other = responder.reply(query, RESOLVERS[1], 0).ok_or("no reply")?;
        if other != reply || scope > 32 {
            return Ok((UNKNOWN << 6, scope.max(24)));
        }
        let made = answer(&reply, records, 1)?;
        let known = self.answers.iter().skip(first).position(|known| *known == made);
        let number = match known {
            Some(number) => number,
            // A new one: only now it is worth asking whether chance has a part in it.
            None if only_answer(responder, query).is_none() => return Ok((UNKNOWN << 6, scope)),
            None => {
                self.answers.push(made);
                self.answers.len() - 1 - first
            }
        };
        let number =
            u16::try_from(number).ok().filter(|number| *number < UNKNOWN).ok_or("too many answers")?;
        Ok((number << 6 | u16::from(scope), scope))
    }
}

/// The reply, if chance has no part in it.
fn only_answer(responder: &mut Responder<'_>, query: &[u8]) -> Option<Vec<u8>> {
    let first = responder.reply(query, RESOLVERS[0], DRAWS[0])?.to_vec();
    let mut others = DRAWS[1..].iter();
    others.all(|draw| responder.reply(query, RESOLVERS[0], *draw) == Some(&first)).then_some(first)
}

fn name_key(name: &[u8]) -> Result<NameKey> {
    let mut key = [0; NAME_OCTETS_MAX + 4];
    let lower = name.to_ascii_lowercase();
    // The final 0 is that of the key.
    let wire =
        lower.strip_suffix(&[0]).filter(|wire| wire.len() < NAME_OCTETS_MAX).ok_or("too long a name")?;
    key[..wire.len()].copy_from_slice(wire);
    key[NAME_OCTETS_MAX..NAME_OCTETS_MAX + 2].copy_from_slice(&TYPE_A.to_be_bytes());
    Ok(key)
}

/// `struct answer`: the reply's flags, counts and records, `opts` of which are the OPT's.
fn answer(reply: &[u8], records: Range<usize>, opts: u16) -> Result<Answer> {
    let mut answer = [0; RECORDS_OCTETS_MAX + 10];
    let number = |at: usize| u16::from_be_bytes([reply[at], reply[at + 1]]);
    let octets = reply.get(records).filter(|octets| octets.len() <= RECORDS_OCTETS_MAX).ok_or("too long")?;
    // Of the flags, QR and RD are not kept; TC never comes.
    let flags = number(2) & !0x8100;
    let counts = [flags, number(6), number(8), number(10) - opts, octets.len() as u16];
    for (place, count) in answer.chunks_exact_mut(2).zip(counts) {
        place.copy_from_slice(&count.to_ne_bytes());
    }
    answer[10..10 + octets.len()].copy_from_slice(octets);
    Ok(answer)
}
