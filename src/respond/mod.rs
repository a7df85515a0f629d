//! Octets in, octets out: the one door to answers, whatever the transport (pure).
//!
//! What the caller is to count or sample comes back as a [`Note`]; nothing here has an effect.

mod additional;
mod answer;
mod chaos;
mod denial;
mod errand;
mod short;
mod signed;
mod steered;
mod why;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use crate::cookie::Worth;
use crate::dnssec::{OnlineSignatures, Signed};
use crate::geo::ClientPrefix;
use crate::ids::{CounterId, Family, RegionId, ServiceId, ZoneId};
use crate::limit::Admission;
use crate::now::Now;
use crate::steer::{Client, Lane, Mode, PlainSelection, Selection};
use crate::view::{ResponderSettings, View};
use crate::wire::{
    COOKIE_OCTETS, Class, ClientSubnet, Cookie, Edns, ExtendedError, HEADER_OCTETS, Keepalive,
    MESSAGE_OCTETS_MAX, Malformed, Name, Opt, Owner, Parsed, Query, Question, Rcode, Rejected,
    ResponseWriter, Rtype, Section, ServiceBinding, Silence, UDP_OCTETS_MIN, Verdict,
};
use crate::zone::{Catalog, ClientClass, Zone};

use answer::Answering;
use errand::Asking;
use signed::Signature;

pub use errand::{Errand, Wanted};

/// How a query came.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Transport {
    /// In a datagram: the answer's size is bounded by what both ends take.
    Udp,
    /// In a stream: the answer may fill a message.
    Tcp,
    /// In a stream within TLS (RFC 7858).
    Tls,
    /// In an HTTP exchange (RFC 8484).
    Https,
    /// In a stream of a QUIC connection (RFC 9250).
    Quic,
}

impl Transport {
    /// All of them, in the order in which metrics show them.
    pub const ALL: [Transport; 5] =
        [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Https, Transport::Quic];

    /// The label in metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Https => "https",
            Transport::Quic => "quic",
        }
    }

    /// Whether nobody on the way can read it: the precondition of padding (RFC 7830 section 4).
    pub const fn is_encrypted(self) -> bool {
        matches!(self, Transport::Tls | Transport::Https | Transport::Quic)
    }
}

/// Who asks, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked {
    /// The address the query came from.
    pub source: IpAddr,
    /// How it came.
    pub transport: Transport,
    /// The class of clients it came from (R16).
    pub class: ClientClass,
    /// How long its connection may be idle; `None` where there is no connection, or where the option that
    /// says so has no meaning (RFC 7828, RFC 9250 section 5.5.2).
    pub idle_timeout: Option<Duration>,
    /// Whether its source has had too much already; over UDP alone, for elsewhere sources are what they say.
    pub admission: Admission,
}

/// What is to be done with a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome<'v> {
    /// Send this many octets of the buffer.
    Reply {
        /// The response's length.
        length: usize,
        /// What to count.
        note: Note<'v>,
    },
    /// Something that only an edge can do.
    Errand(Errand<'v>),
    /// Send nothing.
    Drop(DropReason),
}

/// Why nothing is sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DropReason {
    /// It was shorter than a header.
    Short,
    /// It was a response.
    Response,
    /// The buffer does not even hold a header.
    NoRoom,
    /// Its source is beyond its limit.
    Limited,
}

/// What the caller is to count of a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Note<'v> {
    /// The response code.
    pub rcode: Rcode,
    /// Whether records that were needed did not fit.
    pub size: Size,
    /// What the query said by EDNS.
    pub edns: EdnsSeen,
    /// The zone that the name is in.
    pub zone: Option<ZoneId>,
    /// One per endpoint named in the answer.
    pub counters: &'v [CounterId],
    /// The service that answered, and for which network.
    pub steered: Option<(ServiceId, ClientPrefix)>,
    /// How the service came to its answer.
    pub mode: Option<Mode>,
    /// What the query's cookie was worth; `None` without one, and where cookies are off.
    pub cookie: Option<Worth>,
    /// What became of a query from beyond a limit.
    pub limited: Option<Limited>,
}

/// What becomes of a query whose source is beyond its limit, unless it is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Limited {
    /// A valid cookie proves that it comes from there: it is answered.
    Proven,
    /// It is told to ask over TCP.
    Truncated,
    /// It is told to ask with the cookie that comes along.
    BadCookie,
}

impl Limited {
    /// All of them, in the order of their numbers.
    pub const ALL: [Limited; 3] = [Limited::Proven, Limited::Truncated, Limited::BadCookie];

    /// The label in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Limited::Proven => "answered",
            Limited::Truncated => "truncated",
            Limited::BadCookie => "badcookie",
        }
    }
}

/// Whether a reply is complete.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Size {
    /// All of it.
    Whole,
    /// TC is set.
    Truncated,
}

/// What a query said by EDNS.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EdnsSeen {
    /// No OPT.
    Absent,
    /// An OPT without a well-formed client subnet.
    Plain,
    /// A well-formed client subnet.
    ClientSubnet,
}

/// Answers one packet into `buffer`. `draw` is uniform over u64 and decides among equals. Allocates
/// nothing. `online` is the worker's own: signatures of what cannot be signed ahead.
pub fn respond<'v>(
    view: &'v View,
    asked: &Asked,
    now: Now,
    draw: u64,
    packet: &[u8],
    buffer: &mut [u8],
    online: &mut OnlineSignatures,
) -> Outcome<'v> {
    respond_from(view, asked, (now, draw), packet, buffer, online)
}

/// Reads ahead what the answers to a batch of packets will be made of, where that is so large that each answer would wait
/// for memory; see [`Catalog::fetch`] and [`LocationMap::fetch`](crate::geo::LocationMap::fetch). It says nothing and
/// changes nothing.
#[inline]
pub fn fetch<'p>(view: &View, packets: impl ExactSizeIterator<Item = &'p [u8]> + Clone) {
    // One alone would wait here for what it waits for there.
    if packets.len() < 2 {
        return;
    }
    let catalog = &view.snapshot.catalog;
    if catalog.is_large() {
        catalog.fetch(packets.clone().map(|packet| packet.get(HEADER_OCTETS..).unwrap_or(&[])));
    }
    // Where there are several most services ask the first.
    if let Some((map, _)) = view.snapshot.maps.first() {
        map.fetch(packets.filter_map(short::last_network));
    }
}

/// The first half of [`respond`]: a plain question's reply, its length and what to count; `None` for all else, which
/// [`respond_at_length`] answers. For who asks millions of times: inlined there, what is to be counted needs not be put
/// together first. `online` is for builds with debug assertions, which answer the long way too.
#[inline(always)]
pub fn respond_shortly<'v>(
    view: &'v View,
    asked: &Asked,
    now: &Now,
    draw: u64,
    packet: &[u8],
    buffer: &mut [u8],
    online: &mut OnlineSignatures,
) -> Option<(usize, Note<'v>)> {
    shortly(view, asked, (now, draw), packet, buffer, online)
}

/// The second half of [`respond`].
pub fn respond_at_length<'v>(
    view: &'v View,
    asked: &Asked,
    now: &Now,
    draw: u64,
    packet: &[u8],
    buffer: &mut [u8],
    online: &mut OnlineSignatures,
) -> Outcome<'v> {
    at_length(view, asked, (now, draw), packet, buffer, online)
}

/// What an answer is made of: the view, or a stand-in where tests need answers no policy gives.
trait Steering {
    fn catalog(&self) -> &Catalog;
    fn settings(&self) -> &ResponderSettings;
    fn steer(&self, service: ServiceId, wanted: Lane, client: &Client, moment: (Now, u64)) -> Selection<'_>;
    fn steer_plainly(
        &self,
        service: ServiceId,
        family: Family,
        prefix: &ClientPrefix,
        draw: u64,
        resolver: &IpAddr,
        now: &Now,
    ) -> PlainSelection<'_>;
    fn steer_region(&self, service: ServiceId, region: RegionId, wanted: Lane, draw: u64) -> Selection<'_>;
    fn account(&self, service: ServiceId, client: &Client, moment: (Now, u64)) -> Option<Vec<u8>>;
    fn is_alias(&self, service: ServiceId) -> bool;
    fn binding(&self, service: ServiceId, rtype: Rtype) -> Option<&ServiceBinding>;
    fn signed(&self, zone: ZoneId) -> Option<&Signed>;
}

impl Steering for View {
    fn catalog(&self) -> &Catalog {
        &self.snapshot.catalog
    }

    fn settings(&self) -> &ResponderSettings {
        &self.snapshot.responder
    }

    fn steer(
        &self,
        service: ServiceId,
        wanted: Lane,
        client: &Client,
        (now, draw): (Now, u64),
    ) -> Selection<'_> {
        View::steer(self, service, wanted, client, now, draw)
    }

    #[inline(always)]
    fn steer_plainly(
        &self,
        service: ServiceId,
        family: Family,
        prefix: &ClientPrefix,
        draw: u64,
        resolver: &IpAddr,
        now: &Now,
    ) -> PlainSelection<'_> {
        View::steer_plainly(self, service, family, prefix, draw, resolver, now)
    }

    fn steer_region(&self, service: ServiceId, region: RegionId, wanted: Lane, draw: u64) -> Selection<'_> {
        View::steer_region(self, service, region, wanted, draw)
    }

    fn account(&self, service: ServiceId, client: &Client, moment: (Now, u64)) -> Option<Vec<u8>> {
        why::account(self, service, client, moment)
    }

    fn is_alias(&self, service: ServiceId) -> bool {
        View::is_alias(self, service)
    }

    fn binding(&self, service: ServiceId, rtype: Rtype) -> Option<&ServiceBinding> {
        View::binding(self, service, rtype)
    }

    fn signed(&self, zone: ZoneId) -> Option<&Signed> {
        View::signed(self, zone).map(|signed| &**signed)
    }
}

fn respond_from<'v>(
    steering: &'v impl Steering,
    asked: &Asked,
    (now, draw): (Now, u64),
    packet: &[u8],
    buffer: &mut [u8],
    online: &mut OnlineSignatures,
) -> Outcome<'v> {
    match shortly(steering, asked, (&now, draw), packet, buffer, online) {
        Some((length, note)) => Outcome::Reply { length, note },
        None => at_length(steering, asked, (&now, draw), packet, buffer, online),
    }
}

#[inline(always)]
fn shortly<'v>(
    steering: &'v impl Steering,
    asked: &Asked,
    moment: (&Now, u64),
    packet: &[u8],
    buffer: &mut [u8],
    online: &mut OnlineSignatures,
) -> Option<(usize, Note<'v>)> {
    let (length, note) = short::respond(steering, asked, moment, packet, buffer)?;
    if cfg!(debug_assertions) {
        // What the short way has said, the long one says too, octet for octet.
        let mut own = [0; UDP_OCTETS_MIN];
        let long = at_length(steering, asked, moment, packet, &mut own, online);
        let is_same = match long {
            Outcome::Reply { length: b, note: long } => note == long && buffer.get(..length) == own.get(..b),
            _ => false,
        };
        debug_assert!(is_same, "the short way: {note:?}, the long way: {long:?}, asked {packet:02x?}");
    }
    Some((length, note))
}

#[inline(never)]
fn at_length<'v>(
    steering: &'v impl Steering,
    asked: &Asked,
    (now, draw): (&Now, u64),
    packet: &[u8],
    buffer: &mut [u8],
    online: &mut OnlineSignatures,
) -> Outcome<'v> {
    let moment = (*now, draw);
    let parsed = Parsed::from_packet(packet);
    let settings = steering.settings();
    let sent = match &parsed {
        Parsed::Query(query) | Parsed::Notify(query) => query.edns,
        Parsed::CookieRequest(rejected) | Parsed::Rejected(rejected) => rejected.edns,
        Parsed::Silent(_) => None,
    };
    let terms = Terms::of(settings, asked, sent.and_then(|edns| edns.cookie), now);
    if terms.is_refused() {
        // Before any signature is looked at: that costs as much as many answers.
        return limited(&terms, &parsed, buffer);
    }
    let signature = Signature::of(packet, &parsed, &settings.peers.keys, moment.0);
    let outcome = match &parsed {
        Parsed::Query(query) | Parsed::Notify(query) if signature.fault().is_some() => {
            let rejected = rejected(query, signature.fault().unwrap_or(Malformed::Tsig));
            reject(&terms, &rejected, signature.octets(), buffer)
        }
        Parsed::Query(query) => match errand::asking(steering, asked, signature.key(), query, packet) {
            Asking::Question => {
                answered(steering, &terms, moment, query, (signature.octets(), buffer), online)
            }
            Asking::Transfer(zone, wanted) => return Outcome::Errand(Errand::Transfer { zone, wanted }),
            Asking::Serial(id, zone) => {
                serial(&terms, query, (id, zone, steering.signed(id)), signature.octets(), buffer)
            }
            Asking::Senseless => {
                let rejected = rejected(query, Malformed::Record);
                reject(&terms, &rejected, signature.octets(), buffer)
            }
        },
        Parsed::Notify(query) => notified(settings, &terms, query, (packet, &signature), buffer),
        Parsed::CookieRequest(request) if terms.cookie.is_some() && signature.fault().is_none() => {
            cookie_only(&terms, request, signature.octets(), buffer)
        }
        Parsed::CookieRequest(rejected) | Parsed::Rejected(rejected) => {
            reject(&terms, rejected, signature.octets(), buffer)
        }
        Parsed::Silent(silence) => return Outcome::Drop((*silence).into()),
    };
    let no_room = Outcome::Drop(DropReason::NoRoom);
    match outcome {
        Some(Outcome::Reply { length, note }) => match signature.append(buffer, length, moment.0) {
            Some(length) => Outcome::Reply { length, note },
            None => no_room,
        },
        Some(Outcome::Errand(Errand::Notify { length, note, zone, serial })) => {
            match signature.append(buffer, length, moment.0) {
                Some(length) => Outcome::Errand(Errand::Notify { length, note, zone, serial }),
                None => no_room,
            }
        }
        other => other.unwrap_or(no_room),
    }
}

fn answered<'v>(
    steering: &'v impl Steering,
    terms: &Terms<'_>,
    moment: (Now, u64),
    query: &Query<'_>,
    (kept, buffer): (usize, &mut [u8]),
    online: &mut OnlineSignatures,
) -> Option<Outcome<'v>> {
    let (asked, edns) = (terms.asked, query.edns.as_ref());
    if asked.idle_timeout.is_some() && edns.is_some_and(|edns| edns.keepalive == Keepalive::Stated) {
        // A client that states a timeout does not know what it says.
        return reject(terms, &rejected(query, Malformed::Options), kept, buffer);
    }
    let mut opt = edns.map(|edns| terms.opt(edns));
    let mut writer = begin(terms, edns, opt.as_ref(), Some(&query.question), buffer)?;
    writer.keep(kept);
    let answering =
        Answering::new(steering, query, client(asked, edns.and_then(|edns| edns.subnet)), moment, online);
    let answer = answering.answer(asked, &mut writer);
    if let Some(opt) = opt.as_mut() {
        opt.error = answer.error;
        opt.compact_ok = answer.compact && edns.is_some_and(|edns| edns.compact_ok);
        opt.subnet = opt.subnet.map(|(subnet, _)| (subnet, answer.scope));
    }
    let length = writer.finish(&query.header, &answer.verdict, opt.as_ref());
    let note = Note {
        rcode: answer.verdict.rcode,
        size: if answer.verdict.truncated { Size::Truncated } else { Size::Whole },
        edns: seen(edns),
        zone: answer.zone,
        counters: answer.counters,
        steered: answer.steered,
        mode: answer.mode,
        cookie: terms.worth(),
        limited: terms.limited(),
    };
    Some(Outcome::Reply { length, note })
}

/// The SOA for a question that cannot be answered with a transfer here.
fn serial<'v>(
    terms: &Terms<'_>,
    query: &Query<'_>,
    (id, zone, signed): (ZoneId, &'v Zone, Option<&Signed>),
    kept: usize,
    buffer: &mut [u8],
) -> Option<Outcome<'v>> {
    let edns = query.edns.as_ref();
    let opt = edns.map(|edns| terms.opt(edns));
    let mut writer = begin(terms, edns, opt.as_ref(), Some(&query.question), buffer)?;
    writer.keep(kept);
    let soa = zone.soa()?;
    let served = signed.and_then(|signed| signed.apex(Rtype::SOA)).map_or(soa.rdata(), |own| own.rdata);
    let written = writer.rrset(Section::Answer, Owner::Question(0), soa.rtype, soa.ttl_s, served);
    let truncated = written.is_err();
    let verdict = Verdict { rcode: Rcode::NoError, authoritative: true, truncated };
    let length = writer.finish(&query.header, &verdict, opt.as_ref());
    let size = if truncated { Size::Truncated } else { Size::Whole };
    Some(Outcome::Reply { length, note: Note { zone: Some(id), size, ..plain(terms, Rcode::NoError, edns) } })
}

/// A zone has changed, somebody says: one who is believed gets the query back as an answer (RFC 1996 section
/// 4.7), everybody else REFUSED.
fn notified<'v>(
    settings: &'v ResponderSettings,
    terms: &Terms<'_>,
    query: &Query<'_>,
    (packet, signature): (&[u8], &Signature),
    buffer: &mut [u8],
) -> Option<Outcome<'v>> {
    let question = query.question;
    let origin = Name::from_wire(question.name)
        .filter(|_| question.rtype == Rtype::SOA && question.class == Class::IN);
    let zone = origin.and_then(|origin| settings.peers.source(&origin, terms.asked.source, signature.key()));
    let Some(zone) = zone else {
        let rejected = rejected(query, Malformed::ForbiddenOpcode);
        return reject(terms, &rejected, signature.octets(), buffer);
    };
    let edns = query.edns.as_ref();
    let opt = edns.map(|edns| terms.opt(edns));
    let mut writer = begin(terms, edns, opt.as_ref(), Some(&question), buffer)?;
    writer.keep(signature.octets());
    let verdict = Verdict { rcode: Rcode::NoError, authoritative: true, truncated: false };
    let length = writer.finish(&query.header, &verdict, opt.as_ref());
    let (note, serial) = (plain(terms, Rcode::NoError, edns), errand::first_serial(packet, query));
    Some(Outcome::Errand(Errand::Notify { length, note, zone, serial }))
}

fn rejected<'p>(query: &Query<'p>, why: Malformed) -> Rejected<'p> {
    let (header, question) = (query.header, Some(query.question));
    Rejected { header, question, edns: query.edns, tsig: query.tsig, why }
}

/// An error for what cannot be looked up: as much of the query comes back as could be read.
fn reject<'v>(
    terms: &Terms<'_>,
    rejected: &Rejected<'_>,
    kept: usize,
    buffer: &mut [u8],
) -> Option<Outcome<'v>> {
    let edns = rejected.edns.as_ref();
    let mut opt = edns.map(|edns| terms.opt(edns));
    if let Some(opt) = opt.as_mut() {
        opt.error = rejected.why.extended_error();
    }
    let mut writer = begin(terms, edns, opt.as_ref(), rejected.question.as_ref(), buffer)?;
    writer.keep(kept);
    let rcode = rejected.why.rcode();
    let verdict = Verdict { rcode, authoritative: false, truncated: false };
    let length = writer.finish(&rejected.header, &verdict, opt.as_ref());
    Some(Outcome::Reply { length, note: plain(terms, rcode, edns) })
}

/// A cookie for who asks for nothing else: BADCOOKIE where it has a wrong one (RFC 7873 section 5.4).
fn cookie_only<'v>(
    terms: &Terms<'_>,
    request: &Rejected<'_>,
    kept: usize,
    buffer: &mut [u8],
) -> Option<Outcome<'v>> {
    let edns = request.edns.as_ref();
    let opt = edns.map(|edns| terms.opt(edns));
    let mut writer = begin(terms, edns, opt.as_ref(), None, buffer)?;
    writer.keep(kept);
    let rcode = match terms.worth() {
        Some(Worth::Invalid) => Rcode::BadCookie,
        Some(Worth::Valid | Worth::ClientOnly) | None => Rcode::NoError,
    };
    let verdict = Verdict { rcode, authoritative: false, truncated: false };
    let length = writer.finish(&request.header, &verdict, opt.as_ref());
    Some(Outcome::Reply { length, note: plain(terms, rcode, edns) })
}

/// What a source gets that is beyond its limit and proves nothing: a way to prove itself, in no more octets than it
/// sent, or silence. The way is a cookie for who knows cookies, which costs both ends less than the other
/// one, TCP; that takes the 16 octets more that a server's cookie has. What cannot be looked up is dropped: no client
/// of good will sends that in such numbers.
fn limited<'v>(terms: &Terms<'_>, parsed: &Parsed<'_>, buffer: &mut [u8]) -> Outcome<'v> {
    let query = match parsed {
        Parsed::Silent(silence) => return Outcome::Drop((*silence).into()),
        Parsed::Query(query) if terms.asked.admission == Admission::Slip => query,
        _ => return Outcome::Drop(DropReason::Limited),
    };
    let edns = query.edns.as_ref();
    let opt = edns.map(|edns| Opt { nsid: None, ..terms.opt(edns) });
    let Some(mut writer) = begin(terms, edns, opt.as_ref(), Some(&query.question), buffer) else {
        return Outcome::Drop(DropReason::NoRoom);
    };
    let (rcode, size, limited) = match terms.cookie {
        Some(_) => (Rcode::BadCookie, Size::Whole, Limited::BadCookie),
        None => (Rcode::NoError, Size::Truncated, Limited::Truncated),
    };
    let verdict = Verdict { rcode, authoritative: false, truncated: size == Size::Truncated };
    let length = writer.finish(&query.header, &verdict, opt.as_ref());
    let note = Note { size, limited: Some(limited), ..plain(terms, rcode, edns) };
    Outcome::Reply { length, note }
}

impl From<Silence> for DropReason {
    fn from(silence: Silence) -> DropReason {
        match silence {
            Silence::Short => DropReason::Short,
            Silence::Response => DropReason::Response,
        }
    }
}

/// What is to be counted of a reply that nothing was looked up for.
fn plain<'v>(terms: &Terms<'_>, rcode: Rcode, edns: Option<&Edns<'_>>) -> Note<'v> {
    Note {
        rcode,
        size: Size::Whole,
        edns: seen(edns),
        zone: None,
        counters: &[],
        steered: None,
        mode: None,
        cookie: terms.worth(),
        limited: terms.limited(),
    }
}

/// A response with its question, and room kept for OPT; `None` where the buffer has no room for them.
fn begin<'b>(
    terms: &Terms<'_>,
    edns: Option<&Edns<'_>>,
    opt: Option<&Opt<'_>>,
    question: Option<&Question<'_>>,
    buffer: &'b mut [u8],
) -> Option<ResponseWriter<'b>> {
    let mut writer = ResponseWriter::new(buffer, terms.octets_max(edns))?;
    if let Some(question) = question {
        writer.question(question).ok()?;
    }
    if let Some(opt) = opt {
        writer.reserve(opt);
    }
    Some(writer)
}

/// What every answer to a query goes by, whatever it says.
#[derive(Clone, Copy)]
struct Terms<'a> {
    settings: &'a ResponderSettings,
    asked: &'a Asked,
    /// What the query's cookie is worth, and the one that answers it.
    cookie: Option<(Worth, [u8; COOKIE_OCTETS])>,
}

impl<'a> Terms<'a> {
    /// For a query that came with this cookie.
    #[inline(always)]
    fn of(
        settings: &'a ResponderSettings,
        asked: &'a Asked,
        sent: Option<Cookie<'_>>,
        now: &Now,
    ) -> Terms<'a> {
        match (&settings.protection.cookies, sent) {
            (Some(secrets), Some(sent)) => {
                let judged = secrets.judge(&sent, asked.source, now.wall.as_secs());
                Terms { settings, asked, cookie: Some(judged) }
            }
            _ => Terms { settings, asked, cookie: None },
        }
    }

    fn worth(&self) -> Option<Worth> {
        self.cookie.map(|(worth, _)| worth)
    }

    /// Whether its source is beyond its limit and does not prove that it is there.
    fn is_refused(&self) -> bool {
        self.asked.admission != Admission::Within && self.worth() != Some(Worth::Valid)
    }

    /// What there is to count of a query that is answered.
    fn limited(&self) -> Option<Limited> {
        (self.asked.admission != Admission::Within).then_some(Limited::Proven)
    }

    /// The longest reply (RFC 6891 section 6.2.3): what the client takes, at least 512, at most what this
    /// server is set to; over UDP that can be less for who does not prove that it is there.
    fn octets_max(&self, edns: Option<&Edns<'_>>) -> usize {
        match (self.asked.transport, edns) {
            (Transport::Udp, None) => UDP_OCTETS_MIN,
            (Transport::Udp, Some(edns)) => {
                let set = match self.worth() {
                    Some(Worth::Valid) => self.settings.udp_payload_max,
                    _ => self.settings.udp_payload_max.min(self.settings.protection.udp_payload_unproven_max),
                };
                usize::from(edns.payload_octets.min(set)).max(UDP_OCTETS_MIN)
            }
            (Transport::Tcp | Transport::Tls | Transport::Https | Transport::Quic, _) => MESSAGE_OCTETS_MAX,
        }
    }

    /// The OPT that answers a query's OPT, for static data.
    fn opt<'o>(&self, edns: &Edns<'o>) -> Opt<'o>
    where
        'a: 'o,
    {
        let (settings, asked) = (self.settings, self.asked);
        Opt {
            payload_octets: settings.udp_payload_max,
            dnssec_ok: edns.dnssec_ok,
            compact_ok: false,
            nsid: settings.nsid.as_deref().filter(|_| edns.nsid),
            subnet: edns.subnet.map(|subnet| (subnet, 0)),
            cookie: self.cookie.map(|(_, cookie)| cookie),
            keepalive: asked.idle_timeout.filter(|_| edns.keepalive == Keepalive::Asked).map(tenths),
            error: None,
            padded: edns.padding && asked.transport.is_encrypted(),
        }
    }
}

/// A duration in the unit of the keepalive option; the longest is two hours.
fn tenths(duration: Duration) -> u16 {
    u16::try_from(duration.as_millis() / 100).unwrap_or(u16::MAX)
}

/// The client as policies see it: a source length of 0 asks not to go by the subnet (RFC 7871
/// section 7.1.2).
#[inline(always)]
fn client(asked: &Asked, subnet: Option<ClientSubnet<'_>>) -> Client {
    Client { resolver: asked.source, subnet: network(subnet) }
}

/// What a client says of its network; `None` where that is nothing to go by.
#[inline(always)]
fn network(subnet: Option<ClientSubnet<'_>>) -> Option<ClientPrefix> {
    let subnet = subnet.filter(|subnet| subnet.source_length() > 0)?;
    Some(ClientPrefix::new(subnet.address()?, subnet.source_length()))
}

fn seen(edns: Option<&Edns<'_>>) -> EdnsSeen {
    match edns {
        None => EdnsSeen::Absent,
        Some(edns) if edns.subnet.is_some() => EdnsSeen::ClientSubnet,
        Some(_) => EdnsSeen::Plain,
    }
}

/// What `answer` found, besides the records it wrote.
struct Answered<'v> {
    verdict: Verdict,
    error: Option<ExtendedError>,
    scope: u8,
    zone: Option<ZoneId>,
    counters: &'v [CounterId],
    steered: Option<(ServiceId, ClientPrefix)>,
    mode: Option<Mode>,
    /// The zone denies compactly: who understands that is told that this server does.
    compact: bool,
}
