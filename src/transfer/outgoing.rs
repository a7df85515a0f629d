//! A transfer under way: messages made one by one, each when the one before has been taken.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::difference::{Difference, Records};
use super::image::{Image, Record};
use super::journal::Holding;
use crate::now::Now;
use crate::respond::Wanted;
use crate::secondary::serial::{Compared, compare};
use crate::telemetry::{Telemetry, TransferEvent};
use crate::tsig::{Checked, Keys, Proven, Record as Tsig, Signer, check};
use crate::wire::{
    Full, MESSAGE_OCTETS_MAX, Name, Opt, Owner, Parsed, Query, Rcode, ResponseWriter, Rtype, Section, Verdict,
};

/// The octets of a message's length in a stream.
const LENGTH_OCTETS: usize = 2;
/// How long a transfer waits for others to end; then SERVFAIL, and the other end comes again by its own timers.
const TURN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a transfer may take: a million records take seconds, and who takes an hour does not want the zone.
const TRANSFER_TIME_MAX: Duration = Duration::from_secs(3600);

/// A transfer under way. What it sends is frozen, whatever is reloaded meanwhile.
pub struct Outgoing {
    query: Vec<u8>,
    origin: Name,
    holding: Option<Arc<Holding>>,
    parts: Vec<Part>,
    cursor: Cursor,
    signer: Option<Signer>,
    /// What an answer's OPT announces.
    payload_octets: u16,
    begun: Option<Duration>,
    turns: Arc<Semaphore>,
    turn: Option<OwnedSemaphorePermit>,
    telemetry: Arc<Telemetry>,
    messages: u64,
}

/// What is sent, piece after piece.
enum Part {
    /// One SOA.
    Soa(u32, Box<[u8]>),
    /// The zone but its SOA.
    Whole(Arc<Image>),
    /// What a step takes away.
    Removed(Arc<Difference>),
    /// What it adds.
    Added(Arc<Difference>),
}

/// Where in that a transfer is.
#[derive(Clone, Copy, Default)]
struct Cursor {
    part: usize,
    /// A node, or an octet.
    at: usize,
    /// Records of the node that are sent already.
    sent: usize,
}

/// What became of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// A message was added, and more follow.
    More,
    /// The last message was added.
    Done,
    /// It cannot go on: the connection has to be closed, so that nobody takes a part for the whole.
    Broken,
}

/// What a transfer is made from.
pub struct Order<'o> {
    /// The query.
    pub query: &'o [u8],
    /// The zone's origin.
    pub origin: Name,
    /// The zone as it is now; `None`: there is nothing to send.
    pub holding: Option<Arc<Holding>>,
    /// How much of it is asked for.
    pub wanted: Wanted,
    /// The keys that the query may be signed with.
    pub keys: &'o Keys,
    /// The UDP payload size of OPT.
    pub payload_octets: u16,
    /// When.
    pub now: Now,
}

impl Outgoing {
    /// A transfer that waits for its turn.
    pub fn new(order: Order<'_>, turns: &Arc<Semaphore>, telemetry: &Arc<Telemetry>) -> Outgoing {
        let parts = order.holding.as_ref().map_or_else(Vec::new, |holding| parts(holding, order.wanted));
        telemetry.transfers.happened(match (order.wanted, parts.len()) {
            (_, 0) => TransferEvent::Failed,
            (_, 1) => TransferEvent::UpToDate,
            (Wanted::Whole, _) => TransferEvent::Whole,
            (Wanted::Since(_), _) if matches!(parts.get(1), Some(Part::Whole(_))) => {
                TransferEvent::WholeInstead
            }
            (Wanted::Since(_), _) => TransferEvent::Differences,
        });
        Outgoing {
            signer: proven(&order).map(|proven| proven.signer()),
            query: order.query.to_vec(),
            origin: order.origin,
            holding: order.holding,
            parts,
            cursor: Cursor::default(),
            payload_octets: order.payload_octets,
            begun: None,
            turns: turns.clone(),
            turn: None,
            telemetry: telemetry.clone(),
            messages: 0,
        }
    }

    /// Waits until there are few enough others.
    pub async fn wait_for_turn(&mut self) {
        let turn = timeout(TURN_TIMEOUT, self.turns.clone().acquire_owned()).await;
        match turn {
            Ok(Ok(turn)) => self.turn = Some(turn),
            Ok(Err(_)) | Err(_) => {
                self.telemetry.transfers.happened(TransferEvent::Failed);
                self.parts.clear();
            }
        }
    }

    /// Adds the next message, its length in front, to what is to be sent.
    pub fn next(&mut self, now: Now, unsent: &mut Vec<u8>) -> Progress {
        let begun = *self.begun.get_or_insert(now.monotonic);
        if now.monotonic.saturating_sub(begun) > TRANSFER_TIME_MAX {
            return self.broken();
        }
        let start = unsent.len();
        unsent.resize(start + LENGTH_OCTETS + MESSAGE_OCTETS_MAX, 0);
        let room = unsent.get_mut(start + LENGTH_OCTETS..).unwrap_or_default();
        let written = self.write(now, room);
        let Some((length, progress)) = written else {
            unsent.truncate(start);
            return self.broken();
        };
        if let (Some(place), Ok(length)) =
            (unsent.get_mut(start..start + LENGTH_OCTETS), u16::try_from(length))
        {
            place.copy_from_slice(&length.to_be_bytes());
        }
        unsent.truncate(start + LENGTH_OCTETS + length);
        self.messages += 1;
        self.telemetry.transfers.sent(length as u64);
        progress
    }

    fn broken(&mut self) -> Progress {
        self.telemetry.transfers.happened(TransferEvent::Broken);
        Progress::Broken
    }

    /// Writes one message; its length. `None` where it cannot be written at all.
    fn write(&mut self, now: Now, room: &mut [u8]) -> Option<(usize, Progress)> {
        let query = self.query.clone();
        let Parsed::Query(query) = Parsed::from_packet(&query) else { return None };
        let mut writer = ResponseWriter::new(room, MESSAGE_OCTETS_MAX)?;
        let first = self.messages == 0;
        let opt = query.edns.as_ref().filter(|_| first).map(|edns| Opt {
            payload_octets: self.payload_octets,
            dnssec_ok: edns.dnssec_ok,
            compact_ok: false,
            nsid: None,
            subnet: None,
            cookie: None,
            keepalive: None,
            error: None,
            padded: false,
        });
        if first {
            writer.question(&query.question).ok()?;
        }
        if let Some(opt) = &opt {
            writer.reserve(opt);
        }
        writer.keep(self.signer.as_ref().map_or(0, Signer::octets));
        let failed = self.parts.is_empty();
        let progress = if failed { Progress::Done } else { self.fill(&query, &mut writer)? };
        let rcode = if failed { Rcode::ServFail } else { Rcode::NoError };
        let verdict = Verdict { rcode, authoritative: !failed, truncated: false };
        let length = writer.finish(&query.header, &verdict, opt.as_ref());
        let length = match &mut self.signer {
            Some(signer) => signer.sign(room, length, now.wall.as_secs())?,
            None => length,
        };
        Some((length, progress))
    }

    /// Adds records while there is room.
    fn fill(&mut self, query: &Query<'_>, writer: &mut ResponseWriter<'_>) -> Option<Progress> {
        let empty = writer.offset();
        while let Some(part) = self.parts.get(self.cursor.part) {
            let written = match part {
                Part::Soa(ttl_s, rdata) => {
                    let owner = match self.messages {
                        0 => Owner::Question(0),
                        _ => Owner::Name(self.origin.octets()),
                    };
                    let rdata = std::iter::once(&**rdata);
                    writer.rrset(Section::Answer, owner, Rtype::SOA, *ttl_s, rdata)
                }
                Part::Whole(image) => nodes(image, &mut self.cursor, writer),
                Part::Removed(step) => records(&step.removed, &mut self.cursor, writer),
                Part::Added(step) => records(&step.added, &mut self.cursor, writer),
            };
            match written {
                Ok(()) => self.cursor = Cursor { part: self.cursor.part + 1, at: 0, sent: 0 },
                // A record that does not even fit an empty message would make this go on for ever.
                Err(Full) => return (writer.offset() > empty).then_some(Progress::More),
            }
        }
        debug_assert!(query.question.rtype == Rtype::AXFR || query.question.rtype == Rtype::IXFR);
        Some(Progress::Done)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        let ended = self.cursor.part >= self.parts.len();
        if let (Some(holding), false) = (&self.holding, ended) {
            let zone = crate::wire::name_text(self.origin.octets());
            let (serial, messages) = (holding.image.serial, self.messages);
            tracing::warn!(zone, serial, messages, "a transfer ended before its end");
        }
    }
}

/// Writes the rest of a zone's nodes.
fn nodes(image: &Image, cursor: &mut Cursor, writer: &mut ResponseWriter<'_>) -> Result<(), Full> {
    while cursor.at < image.nodes() as usize {
        let node = cursor.at as u32;
        let (mut owner, mut number, mut written) = (None, 0, Ok(()));
        image.records(node, &mut |record| {
            number += 1;
            if written.is_err() || number <= cursor.sent {
                return;
            }
            let owner = owner.get_or_insert_with(|| image.owner(node));
            if let Some(owner) = owner {
                written = write(owner.octets(), &record, writer);
            }
            cursor.sent += usize::from(written.is_ok());
        });
        written?;
        (cursor.at, cursor.sent) = (cursor.at + 1, 0);
    }
    Ok(())
}

/// Writes the rest of some records.
fn records(records: &Records, cursor: &mut Cursor, writer: &mut ResponseWriter<'_>) -> Result<(), Full> {
    while let Some((owner, record, next)) = records.at(cursor.at) {
        write(owner, &record, writer)?;
        cursor.at = next;
    }
    Ok(())
}

fn write(owner: &[u8], record: &Record<'_>, writer: &mut ResponseWriter<'_>) -> Result<(), Full> {
    let rdata = std::iter::once(record.rdata);
    writer.rrset(Section::Answer, Owner::Name(owner), record.rtype, record.ttl_s, rdata)
}

/// What answers a question (RFC 5936 section 2.2, RFC 1995 section 4).
fn parts(holding: &Holding, wanted: Wanted) -> Vec<Part> {
    let image = &holding.image;
    let soa = || Part::Soa(image.soa.0, image.soa.1.clone());
    let Wanted::Since(since) = wanted else { return vec![soa(), Part::Whole(image.clone()), soa()] };
    if matches!(compare(since, image.serial), Compared::Equal | Compared::Newer) {
        return vec![soa()];
    }
    let Some(steps) = holding.steps_from(since) else {
        return vec![soa(), Part::Whole(image.clone()), soa()];
    };
    let mut parts = vec![soa()];
    for step in steps {
        parts.push(Part::Soa(step.soa_before.0, step.soa_before.1.clone()));
        parts.push(Part::Removed(step.clone()));
        parts.push(Part::Soa(step.soa_after.0, step.soa_after.1.clone()));
        parts.push(Part::Added(step.clone()));
    }
    parts.push(soa());
    parts
}

/// The proof that the query brought: `respond` has seen it, and seen it hold.
fn proven(order: &Order<'_>) -> Option<Proven> {
    let Parsed::Query(query) = Parsed::from_packet(order.query) else { return None };
    let record = Tsig::read(order.query, query.tsig?)?;
    match check(order.query, &record, order.keys, order.now.wall.as_secs()) {
        Checked::Proven(proven) => Some(proven),
        Checked::Refused(_) | Checked::Malformed => None,
    }
}
