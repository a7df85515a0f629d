//! What a message asks for that only an edge can do: transfers in streams, and news of other servers' zones.

use super::{Asked, Note, Steering, Transport};
use crate::ids::ZoneId;
use crate::tsig::Key;
use crate::wire::{Class, HEADER_OCTETS, Name, Query, Rtype, read_name};
use crate::zone::{Validity, Zone};

/// Something for the edge to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Errand<'v> {
    /// A zone is to be sent to who asks, in a stream of messages. Who asks may have it.
    Transfer {
        /// The zone, in the view that was asked.
        zone: ZoneId,
        /// How much of it.
        wanted: Wanted,
    },
    /// One who is believed says that a zone has changed (RFC 1996): the reply is in the buffer.
    Notify {
        /// The reply's length.
        length: usize,
        /// What to count.
        note: Note<'v>,
        /// The zone's origin.
        zone: &'v Name,
        /// Its new serial, if it was said.
        serial: Option<u32>,
    },
}

/// How much of a zone is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// All of it (AXFR, RFC 5936).
    Whole,
    /// What has changed since this serial (IXFR, RFC 1995).
    Since(u32),
}

/// What a question for a transfer comes to.
pub(super) enum Asking<'v> {
    /// It is none, or one that is not for who asks: answered like any question, with REFUSED.
    Question,
    /// It may be had, and here.
    Transfer(ZoneId, Wanted),
    /// It may be had elsewhere: over UDP the SOA alone says whether there is anything to fetch, and in what
    /// way (RFC 1995 section 4).
    Serial(ZoneId, &'v Zone),
    /// It does not say from what serial on.
    Senseless,
}

/// Looks at what is asked.
pub(super) fn asking<'v>(
    steering: &'v impl Steering,
    asked: &Asked,
    key: Option<&Key>,
    query: &Query<'_>,
    packet: &[u8],
) -> Asking<'v> {
    let question = query.question;
    if !matches!(question.rtype, Rtype::AXFR | Rtype::IXFR) || question.class != Class::IN {
        return Asking::Question;
    }
    let found = Name::from_wire(question.name).and_then(|name| {
        let found = steering.catalog().find(asked.class, &name)?;
        (found.1.origin() == &name).then_some(found)
    });
    let Some((id, zone)) = found else { return Asking::Question };
    // What may not be answered with may not be passed on, either.
    if steering.catalog().validity(id) != Validity::Current {
        return Asking::Question;
    }
    let peers = steering.settings().peers.of(id);
    if !peers.is_some_and(|peers| peers.may_take(asked.source, key)) {
        return Asking::Question;
    }
    let is_stream = matches!(asked.transport, Transport::Tcp | Transport::Tls);
    match (question.rtype, is_stream) {
        (Rtype::AXFR, true) => Asking::Transfer(id, Wanted::Whole),
        (Rtype::AXFR, false) => Asking::Question,
        (_, true) => match first_serial(packet, query) {
            Some(serial) => Asking::Transfer(id, Wanted::Since(serial)),
            None => Asking::Senseless,
        },
        (_, false) => Asking::Serial(id, zone),
    }
}

/// The serial in the SOA that comes first behind a message's question.
pub(super) fn first_serial(packet: &[u8], query: &Query<'_>) -> Option<u32> {
    let (_, fixed_at) = read_name(packet, HEADER_OCTETS + query.question.name.len() + 4)?;
    let [t1, t0, ..] = *packet.get(fixed_at..)?.first_chunk::<10>()?;
    if u16::from_be_bytes([t1, t0]) != Rtype::SOA.0 {
        return None;
    }
    let (_, rname_at) = read_name(packet, fixed_at + 10)?;
    let (_, serial_at) = read_name(packet, rname_at)?;
    packet.get(serial_at..)?.first_chunk().map(|serial| u32::from_be_bytes(*serial))
}
