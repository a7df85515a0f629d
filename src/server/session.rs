//! One connection, whatever it runs over: messages behind a two-octet length (RFC 7766), several at once, in
//! pieces, within limits. It takes what is there and never waits.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::answer::{Answer, Answerer};
use super::connections::Place;
use super::proxied::{self, Said};
use super::stream::{Octets, Stream};
use crate::now::Now;
use crate::telemetry::Event;
use crate::transfer::{Outgoing, Progress};
use crate::view::View;

/// The octets of a message's length.
const LENGTH_OCTETS: usize = 2;
/// The longest message that the length can announce.
pub const MESSAGE_OCTETS_MAX: usize = u16::MAX as usize;
/// Room for what one read brings: all that TLS may have decrypted at once.
const READ_OCTETS: usize = 64 << 10;
/// Replies gathered before they are sent; what a client that pipelines without reading can make us hold,
/// but for one more message.
pub const REPLIES_OCTETS_MAX: usize = 16 << 10;
/// Reads at a stop: what was received is answered, and who always has more is not waited for.
const LAST_READS_MAX: usize = 64;
/// What a connection may hold beside its session as long as it likes: a query in parts, or the replies to a few.
pub const HELD_OCTETS_FREE: usize = 1 << 10;

/// Room for what is read and for replies: a thread's, shared by its connections, because an answer is made without
/// waiting.
pub struct Room {
    input: Box<[u8]>,
    output: Box<[u8]>,
}

impl Room {
    /// For one thread.
    pub fn new() -> Room {
        let output = REPLIES_OCTETS_MAX + LENGTH_OCTETS + MESSAGE_OCTETS_MAX;
        Room { input: vec![0; READ_OCTETS].into(), output: vec![0; output].into() }
    }
}

/// What is the same for all sessions that are served at once.
pub struct Round<'r> {
    /// What answers are made from.
    pub view: &'r View,
    /// When.
    pub now: Now,
    /// Who makes them.
    pub answerer: &'r mut Answerer,
    /// Where.
    pub room: &'r mut Room,
}

/// What a session waits for.
pub enum Wants {
    /// That something comes.
    Octets,
    /// That what was sent is taken.
    Room,
    /// To have a place as whom its proxy says it is, and then to go on.
    Client(Said),
    /// That a transfer may begin.
    Turn(Box<Outgoing>),
}

/// Why a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The client closed it, or it broke.
    Closed,
    /// Another one needed its place.
    Shed,
    /// It and others held too much that has not come whole or was not taken.
    BuffersFull,
    /// No whole message for too long, and none begun.
    Idle,
    /// A message that was begun did not arrive, or a reply was not taken, in time.
    MessageTimeout,
    /// No PROXY protocol header came from a proxy.
    ProxyHeader,
    /// The handshake failed.
    HandshakeFailed,
    /// It was not complete in time.
    HandshakeTimeout,
    /// The server stops.
    Stopped,
}

/// How long a client has for what; see `[server]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// Without a whole message, now.
    pub idle: Duration,
    /// For a message, once begun, and to take replies.
    pub message: Duration,
    /// For a handshake.
    pub handshake: Duration,
}

/// How far a connection has come.
enum Stage {
    /// Its proxy says who it is.
    Announced,
    /// A handshake is under way.
    Shaking,
    /// Messages are answered.
    Open,
    /// One is answered by a transfer that waits for others to end.
    Waiting,
    /// One is answered by a transfer.
    Transfer(Box<Outgoing>),
}

/// One connection.
pub struct Session {
    stream: Stream,
    /// Who asks.
    pub source: SocketAddr,
    /// Its place among all.
    pub place: Place,
    stage: Stage,
    /// When this stage began.
    since: Duration,
    /// Octets that are not answered yet: at most one message, and what was read with it.
    received: Vec<u8>,
    /// Replies that are not sent yet.
    unsent: Vec<u8>,
    /// When the message that is arriving began, or what is not taken was sent.
    begun: Option<Duration>,
}

impl Session {
    /// A connection on which nothing has been read yet; through a proxy, it is first said whose it is.
    pub fn new(stream: Stream, source: SocketAddr, place: Place, proxied: bool, now: Duration) -> Session {
        let stage = match (proxied, stream.is_shaking()) {
            (true, _) => Stage::Announced,
            (false, true) => Stage::Shaking,
            (false, false) => Stage::Open,
        };
        Session {
            stream,
            source,
            place,
            stage,
            since: now,
            received: Vec::new(),
            unsent: Vec::new(),
            begun: None,
        }
    }

    /// What it runs over.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Goes on once its proxy has spoken, as the client that it names, with TLS where that is what comes next.
    pub fn announced(
        self,
        client: Option<(SocketAddr, Place)>,
        now: Duration,
        secure: impl FnOnce(Stream) -> Option<Stream>,
    ) -> Option<Session> {
        let (source, place) = client.unwrap_or((self.source, self.place));
        Some(Session::new(secure(self.stream)?, source, place, false, now))
    }

    /// Whether a handshake is under way: those wait behind sessions that have theirs behind them.
    pub fn is_shaking(&self) -> bool {
        matches!(self.stage, Stage::Shaking)
    }

    /// Whether nothing is under way: the server may stop.
    pub fn is_done(&self) -> bool {
        let open = matches!(self.stage, Stage::Open | Stage::Announced | Stage::Shaking);
        open && self.received.is_empty() && self.unsent.is_empty() && self.begun.is_none()
    }

    /// What it holds beside itself, in octets.
    pub fn held_octets(&self) -> usize {
        self.received.capacity() + self.unsent.capacity() + self.stream.held_octets()
    }

    /// When it ends, unless something happens before, and why.
    pub fn deadline(&self, patience: &Patience) -> (Duration, End) {
        let idle = self.since.max(self.place.last_message()) + patience.idle;
        let is_taken = self.unsent.is_empty() && self.stream.held_octets() == 0;
        match (&self.stage, self.begun) {
            (Stage::Announced, _) => (self.since + patience.message, End::ProxyHeader),
            (Stage::Shaking, _) => (self.since + patience.handshake, End::HandshakeTimeout),
            // Others end, or it is told that they do not.
            (Stage::Waiting, _) => (Duration::MAX, End::MessageTimeout),
            (_, Some(begun)) if !is_taken => (begun + patience.message, End::MessageTimeout),
            (Stage::Transfer(_), _) => (idle.max(self.since + patience.message), End::MessageTimeout),
            (Stage::Open, Some(begun)) => ((begun + patience.message).min(idle), End::MessageTimeout),
            (Stage::Open, None) => (idle, End::Idle),
        }
    }

    /// Lets the transfer begin that it has waited for.
    pub fn turn(&mut self, outgoing: Box<Outgoing>, now: Duration) {
        (self.stage, self.since) = (Stage::Transfer(outgoing), now);
    }

    /// Takes what has come and sends what there is to send, once.
    ///
    /// # Errors
    /// Why the connection ends.
    pub fn serve(&mut self, round: &mut Round<'_>) -> Result<Wants, End> {
        if !self.flush(round.now.monotonic)? {
            return Ok(Wants::Room);
        }
        match self.stage {
            Stage::Announced => return self.header(round),
            Stage::Shaking => {
                if !self.shake(round)? {
                    return Ok(if self.stream.held_octets() > 0 { Wants::Room } else { Wants::Octets });
                }
            }
            // It wants nothing: what wakes it is its end.
            Stage::Waiting => return Err(End::Closed),
            Stage::Open => {}
            Stage::Transfer(_) => return self.transfer(round),
        }
        if !self.received.is_empty()
            && let Some(wants) = self.answer_held(round)?
        {
            return Ok(wants);
        }
        self.read(round).map(|read| read.unwrap_or(Wants::Octets))
    }

    /// Takes all that has come, as when the server stops.
    ///
    /// # Errors
    /// Why the connection ends.
    pub fn finish(&mut self, round: &mut Round<'_>) -> Result<Wants, End> {
        if self.is_shaking() {
            return Ok(Wants::Octets);
        }
        let mut wants = self.serve(round)?;
        for _ in 0..LAST_READS_MAX {
            match (&wants, &self.stage) {
                (Wants::Octets, Stage::Open) => {}
                _ => break,
            }
            match self.read(round)? {
                Some(more) => wants = more,
                None => break,
            }
        }
        Ok(wants)
    }

    /// Says goodbye.
    pub fn close(&mut self) {
        self.stream.close();
    }

    /// A step of the handshake; says whether it is complete.
    fn shake(&mut self, round: &mut Round<'_>) -> Result<bool, End> {
        self.begun.get_or_insert(round.now.monotonic);
        let read = self.stream.read(&mut round.room.input).map_err(|_| End::HandshakeFailed)?;
        if self.stream.is_shaking() {
            return match read {
                Octets::End => Err(End::HandshakeFailed),
                Octets::Some(_) | Octets::None => Ok(false),
            };
        }
        (self.stage, self.since, self.begun) = (Stage::Open, round.now.monotonic, None);
        if let Octets::Some(octets) = read {
            // The first query came with the handshake's end.
            self.received.extend_from_slice(round.room.input.get(..octets).unwrap_or_default());
        }
        Ok(true)
    }

    /// Reads the header of a proxy, and nothing behind it.
    fn header(&mut self, round: &mut Round<'_>) -> Result<Wants, End> {
        let missing = proxied::missing(&self.received).ok_or(End::ProxyHeader)?;
        let room = round.room.input.get_mut(..missing).unwrap_or_default();
        match self.stream.read(room) {
            Ok(Octets::Some(octets)) => {
                self.received.extend_from_slice(room.get(..octets).unwrap_or_default());
            }
            Ok(Octets::None) => return Ok(Wants::Octets),
            Ok(Octets::End) | Err(_) => return Err(End::ProxyHeader),
        }
        match proxied::missing(&self.received).ok_or(End::ProxyHeader)? {
            0 => {}
            _ => return Ok(Wants::Octets),
        }
        let said = proxied::read_header(&self.received).ok_or(End::ProxyHeader)?;
        self.received = Vec::new();
        Ok(Wants::Client(said))
    }

    /// Answers what was received earlier and could not be answered then.
    fn answer_held(&mut self, round: &mut Round<'_>) -> Result<Option<Wants>, End> {
        if whole_message(&self.received).is_none() {
            return Ok(None);
        }
        let received = std::mem::take(&mut self.received);
        let (answered, wants) = self.answer_all(&received, round)?;
        self.keep(received, answered, round.now.monotonic);
        Ok(wants)
    }

    /// Reads once and answers all of it; `None` where nothing has come.
    fn read(&mut self, round: &mut Round<'_>) -> Result<Option<Wants>, End> {
        let octets = match self.stream.read(&mut round.room.input) {
            Ok(Octets::Some(octets)) => octets,
            // TLS may have had to say something.
            Ok(Octets::None) => return Ok((!self.flush(round.now.monotonic)?).then_some(Wants::Room)),
            Ok(Octets::End) | Err(_) => return Err(End::Closed),
        };
        let now = round.now.monotonic;
        if self.received.is_empty() {
            // The usual way: nothing is copied, and nothing is kept but the message that has not come whole.
            let input = std::mem::take(&mut round.room.input);
            let fresh = input.get(..octets).unwrap_or_default();
            let outcome = self.answer_all(fresh, round);
            if let Ok((answered, _)) = outcome {
                let rest = fresh.get(answered..).unwrap_or_default();
                self.received.extend_from_slice(rest);
                self.note_begun(answered, now);
            }
            round.room.input = input;
            return outcome.map(|(_, wants)| Some(wants.unwrap_or(Wants::Octets)));
        }
        self.received.extend_from_slice(round.room.input.get(..octets).unwrap_or_default());
        if whole_message(&self.received).is_none() {
            return Ok(Some(Wants::Octets));
        }
        Ok(Some(self.answer_held(round)?.unwrap_or(Wants::Octets)))
    }

    /// Keeps what has not been answered.
    fn keep(&mut self, mut received: Vec<u8>, answered: usize, now: Duration) {
        if answered < received.len() {
            received.drain(..answered);
            self.received = received;
        }
        self.note_begun(answered, now);
    }

    /// Notes since when a message has been arriving.
    fn note_begun(&mut self, answered: usize, now: Duration) {
        if !self.unsent.is_empty() || self.stream.held_octets() > 0 {
            // What is not taken comes first.
            return;
        }
        self.begun = match (self.received.is_empty(), answered) {
            (true, _) => None,
            (false, 0) => self.begun.or(Some(now)),
            (false, _) => Some(now),
        };
    }

    /// Answers whole messages for as long as the replies are taken, and sends them; says how many octets are behind
    /// us, and what keeps us from the rest.
    fn answer_all(&mut self, received: &[u8], round: &mut Round<'_>) -> Result<(usize, Option<Wants>), End> {
        let mut output = std::mem::take(&mut round.room.output);
        let outcome = self.answer_into(&mut output, received, round);
        round.room.output = output;
        outcome
    }

    fn answer_into(
        &mut self,
        output: &mut [u8],
        received: &[u8],
        round: &mut Round<'_>,
    ) -> Result<(usize, Option<Wants>), End> {
        let now = round.now.monotonic;
        let (mut answered, mut filled) = (0, 0);
        while let Some(message) = whole_message(received.get(answered..).unwrap_or_default()) {
            if filled >= REPLIES_OCTETS_MAX {
                if !self.send(output.get(..filled).unwrap_or_default(), now)? {
                    self.place.message(now);
                    return Ok((answered, Some(Wants::Room)));
                }
                filled = 0;
            }
            answered += LENGTH_OCTETS + message.len();
            let Some(room) = output.get_mut(filled + LENGTH_OCTETS..) else { break };
            let room = match room.split_at_mut_checked(MESSAGE_OCTETS_MAX) {
                Some((room, _)) => room,
                None => room,
            };
            match round.answerer.answer_stream(round.view, round.now, self.source, message, room) {
                Answer::Reply(octets) => {
                    let length = u16::try_from(octets).unwrap_or_default();
                    if let Some(place) = output.get_mut(filled..filled + LENGTH_OCTETS)
                        && length > 0
                    {
                        place.copy_from_slice(&length.to_be_bytes());
                        filled += LENGTH_OCTETS + octets;
                    }
                }
                Answer::Silence => {}
                Answer::Stream(outgoing) => {
                    self.place.message(now);
                    self.send(output.get(..filled).unwrap_or_default(), now)?;
                    self.stage = Stage::Waiting;
                    return Ok((answered, Some(Wants::Turn(outgoing))));
                }
            }
        }
        if answered > 0 {
            self.place.message(now);
        }
        let taken = self.send(output.get(..filled).unwrap_or_default(), now)?;
        Ok((answered, (!taken).then_some(Wants::Room)))
    }

    /// Sends the next message of a transfer. Queries behind it wait, those of other connections do not.
    fn transfer(&mut self, round: &mut Round<'_>) -> Result<Wants, End> {
        let Stage::Transfer(outgoing) = &mut self.stage else { return Ok(Wants::Octets) };
        let now = round.now.monotonic;
        self.place.message(now);
        let mut messages = Vec::new();
        let progress = outgoing.next(round.now, &mut messages);
        match progress {
            Progress::Broken => return Err(End::Closed),
            Progress::More => {}
            Progress::Done => (self.stage, self.since) = (Stage::Open, now),
        }
        self.send(&messages, now)?;
        // Also where all of it was taken: others come in between.
        Ok(Wants::Room)
    }

    /// Sends; keeps what is not taken, and says whether everything was.
    fn send(&mut self, replies: &[u8], now: Duration) -> Result<bool, End> {
        if replies.is_empty() {
            return Ok(self.unsent.is_empty());
        }
        let written = match self.unsent.is_empty() {
            true => self.stream.write(replies).map_err(|error| ended(&error))?,
            false => 0,
        };
        let rest = replies.get(written..).unwrap_or_default();
        self.unsent.extend_from_slice(rest);
        let taken = self.unsent.is_empty() && self.stream.flush().map_err(|error| ended(&error))?;
        if !taken {
            self.begun = Some(now);
        }
        Ok(taken)
    }

    /// Sends what was not taken before; says whether nothing is left.
    fn flush(&mut self, now: Duration) -> Result<bool, End> {
        if self.unsent.is_empty() && self.stream.held_octets() == 0 {
            return Ok(true);
        }
        if !self.unsent.is_empty() {
            let written = self.stream.write(&self.unsent).map_err(|error| ended(&error))?;
            self.unsent.drain(..written);
        }
        if !self.unsent.is_empty() || !self.stream.flush().map_err(|error| ended(&error))? {
            self.begun.get_or_insert(now);
            return Ok(false);
        }
        self.unsent = Vec::new();
        if !self.is_shaking() {
            self.begun = (!self.received.is_empty()).then_some(now);
        }
        Ok(true)
    }
}

impl End {
    /// How it is counted; who closes by himself is not.
    pub fn event(self) -> Option<Event> {
        match self {
            End::Closed | End::Shed | End::Stopped => None,
            End::BuffersFull => Some(Event::BuffersFull),
            End::Idle => Some(Event::ConnectionIdle),
            End::MessageTimeout => Some(Event::MessageTimeout),
            End::ProxyHeader => Some(Event::ProxyHeader),
            End::HandshakeFailed => Some(Event::HandshakeFailed),
            End::HandshakeTimeout => Some(Event::HandshakeTimeout),
        }
    }
}

fn ended(_: &io::Error) -> End {
    End::Closed
}

/// The first message of what has been received behind its length, if all of it is there (RFC 1035 section 4.2.2).
pub fn whole_message(received: &[u8]) -> Option<&[u8]> {
    let (length, rest) = received.split_first_chunk::<LENGTH_OCTETS>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::sync::Arc;

    use nix::poll::{PollFd, PollFlags, poll};

    use super::*;
    use crate::respond::Transport;
    use crate::server::ConnectionLimits;
    use crate::server::connections::{Connections, Exit};
    use crate::server::tests::{framed, query, view, www};
    use crate::telemetry::{Telemetry, Writers};
    use crate::transfer::Desk;
    use crate::wire::Rtype;

    const PATIENCE: Patience = Patience {
        idle: Duration::from_secs(100),
        message: Duration::from_secs(5),
        handshake: Duration::from_secs(7),
    };

    /// A session with its client, at a time of our own.
    struct Pair {
        client: TcpStream,
        session: Session,
        answerer: Answerer,
        room: Room,
        view: Arc<View>,
    }

    impl Pair {
        fn new(proxied: bool) -> Pair {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            client.set_nodelay(true).unwrap();
            let (stream, source) = listener.accept().unwrap();
            let connections = Arc::new(Connections::new(ConnectionLimits {
                connections_max: 10,
                connections_per_client_max: 10,
                idle_timeout: PATIENCE.idle,
                message_timeout: PATIENCE.message,
            }));
            let place = connections.admit(source.ip(), Duration::ZERO, Exit::task()).place;
            let session = Session::new(Stream::plain(stream), source, place, proxied, Duration::ZERO);
            let telemetry = Arc::new(Telemetry::default());
            let counters = telemetry.worker(Transport::Tcp, Writers::One);
            let answerer = Answerer::new("127.0.0.1:53".parse().unwrap(), counters, Desk::new(telemetry).0);
            Pair { client, session, answerer, room: Room::new(), view: view(1) }
        }

        /// Waits until what the client has sent has come.
        fn arrived(&self) {
            let mut waited = [PollFd::new(self.session.stream().as_fd(), PollFlags::POLLIN)];
            assert_eq!(poll(&mut waited, 20_000_u16), Ok(1));
        }

        /// Serves at a second.
        fn serve(&mut self, second: u64) -> Result<Wants, End> {
            let now = Now { monotonic: Duration::from_secs(second), wall: Duration::from_secs(second) };
            let (answerer, room) = (&mut self.answerer, &mut self.room);
            self.session.serve(&mut Round { view: &self.view, now, answerer, room })
        }

        /// The same for what the client sends.
        fn send(&mut self, octets: &[u8], second: u64) {
            self.client.write_all(octets).unwrap();
            self.arrived();
            assert!(matches!(self.serve(second), Ok(Wants::Octets)));
        }

        fn deadline(&self) -> (u64, End) {
            let (deadline, end) = self.session.deadline(&PATIENCE);
            (deadline.as_secs(), end)
        }
    }

    #[test]
    fn deadlines_follow_whole_messages_and_not_parts_of_them() {
        let mut pair = Pair::new(false);
        assert_eq!(pair.deadline(), (100, End::Idle));
        let message = framed(&www(1));
        pair.send(&message[..1], 10);
        assert_eq!(pair.deadline(), (15, End::MessageTimeout));
        pair.send(&message[1..9], 14);
        assert_eq!(pair.deadline(), (15, End::MessageTimeout), "a part does not extend it");
        pair.send(&message[9..], 14);
        assert_eq!(pair.deadline(), (114, End::Idle));
        // One and the beginning of another: this one has its own time.
        pair.send(&[&message[..], &message[..5]].concat(), 50);
        assert_eq!(pair.deadline(), (55, End::MessageTimeout));
        pair.send(&message[5..], 51);
        assert_eq!((pair.deadline(), pair.session.held_octets()), ((151, End::Idle), 0));
        // What begins shortly before the idle timeout does not outlast it.
        pair.send(&message[..5], 149);
        assert_eq!(pair.deadline(), (151, End::MessageTimeout));
    }

    #[test]
    fn replies_have_to_be_taken_in_time_and_nothing_is_read_before() {
        let mut pair = Pair::new(false);
        let many = (0..80).flat_map(|id| framed(&query(id, "large.example.test.", Rtype::TXT)));
        let many = many.collect::<Vec<_>>();
        let mut asked = 0;
        let wants = loop {
            pair.client.write_all(&many).unwrap();
            pair.arrived();
            asked += 80;
            match pair.serve(10).unwrap() {
                Wants::Octets => assert!(asked < 1_000_000),
                wants => break wants,
            }
        };
        assert!(matches!(wants, Wants::Room));
        assert_eq!(pair.deadline(), (15, End::MessageTimeout));
        let held = pair.session.held_octets();
        assert!(held > 0);
        // Some are taken, not all: that is no reason for more time, and none to read.
        pair.client.read_exact(&mut [0; 1000]).unwrap();
        assert!(matches!(pair.serve(12), Ok(Wants::Room)));
        assert_eq!(pair.deadline(), (15, End::MessageTimeout));
        assert!(pair.session.held_octets() <= held);
        // All of them are.
        pair.client.set_nonblocking(true).unwrap();
        let (mut taken, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        let expected = {
            let mut one = Pair::new(false);
            one.send(&many[..many.len() / 80], 1);
            let octets = one.client.read(&mut buffer).unwrap();
            octets * asked - 1000
        };
        while taken.len() < expected {
            match pair.client.read(&mut buffer) {
                Ok(octets) => taken.extend_from_slice(&buffer[..octets]),
                Err(_) => drop(pair.serve(13).unwrap()),
            }
        }
        assert!(matches!(pair.serve(14), Ok(Wants::Octets)));
        assert_eq!(pair.deadline().1, End::Idle);
        assert_eq!(pair.session.held_octets(), 0);
    }

    #[test]
    fn a_proxy_has_its_time_for_a_header_and_what_follows_is_left_for_later() {
        let mut pair = Pair::new(true);
        assert_eq!(pair.deadline(), (5, End::ProxyHeader));
        let header = [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[0x21, 0x11, 0, 12], &[7; 12]].concat();
        pair.send(&header[..7], 3);
        assert_eq!(pair.deadline(), (5, End::ProxyHeader));
        pair.send(&header[7..20], 4);
        pair.client.write_all(&[&header[20..], &framed(&www(1))].concat()).unwrap();
        pair.arrived();
        assert!(matches!(pair.serve(4), Ok(Wants::Client(Said::Client(client))) if client.port() == 1799));
        let mut garbage = Pair::new(true);
        garbage.client.write_all(&framed(&www(1))).unwrap();
        garbage.arrived();
        assert!(matches!(garbage.serve(1), Err(End::ProxyHeader)));
    }
}
