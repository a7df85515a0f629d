//! Whole exchanges: octets in, octets out, and hickory-proto reads from them what the zone says.

use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType};
use hickory_proto::rr::{RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};
use meridian::respond::Transport;
use meridian::wire::{Class, Edns, HEADER_OCTETS, Name, Opcode, Parsed, Rcode, Rtype, Silence};
use meridian::zone::{ClientClass, Lookup};

use super::world::{self, Tokens, UDP_OCTETS_MAX};

/// The first octet says how the packet comes and from whom, the rest is the packet.
pub fn check(octets: &[u8]) {
    let Some((how, packet)) = octets.split_first() else { return };
    let transport = Transport::ALL[usize::from(how & 7) % Transport::ALL.len()];
    let source = ["203.0.113.7", "192.0.2.7", "2001:db8:ff00::1", "10.0.0.1"][usize::from(how >> 3 & 3)];
    let source: IpAddr = source.parse().unwrap();
    let reply = world::ask(transport, source, packet, 0);
    assert_eq!(
        world::ask(transport, source, packet, 0xff),
        reply,
        "the reply depends on what the buffer held"
    );
    match (Parsed::from_packet(packet), reply) {
        (Parsed::Silent(Silence::Short | Silence::Response), reply) => assert_eq!(reply, None),
        (parsed, Some(reply)) => {
            let tokens = if how & 0x20 == 0 { Tokens::Plenty } else { Tokens::None };
            let ask = |filling| world::ask_signed(transport, source, packet, filling, tokens);
            let signed = ask(0).expect("a reply with signatures where there is one without");
            assert_eq!(ask(0xff).as_ref(), Some(&signed), "the signed reply depends on the buffer");
            let plain = Transcript { transport, packet, parsed, reply: &reply };
            plain.check();
            let signed = Transcript { transport, packet, parsed, reply: &signed };
            plain.agrees_with(&signed, tokens);
        }
        (parsed, None) => panic!("no reply to {parsed:?}"),
    }
}

/// One exchange.
struct Transcript<'t> {
    transport: Transport,
    packet: &'t [u8],
    parsed: Parsed<'t>,
    reply: &'t [u8],
}

impl Transcript<'_> {
    fn check(&self) {
        let Some(message) = self.message() else { return };
        let (reply, truncated) = (self.reply, self.is_truncated());
        match &self.parsed {
            Parsed::Rejected(rejected) => {
                assert_eq!(u16::from(message.metadata.response_code), rejected.why.rcode().number());
                assert!(message.answers.is_empty() && message.authorities.is_empty());
                // A refused signature comes back in one of its own.
                let is_tsig = |record: &Record| record.record_type() == RecordType::TSIG;
                assert!(message.additionals.iter().all(is_tsig), "{:?}", message.additionals);
            }
            Parsed::CookieRequest(request) => {
                let rcode = u16::from(message.metadata.response_code);
                assert!(matches!(rcode, 0 | 23) || request.tsig.is_some(), "a cookie: {rcode}");
                assert!(message.answers.is_empty() && message.authorities.is_empty());
            }
            // Nobody has a key here, and nobody's NOTIFY counts.
            Parsed::Query(query) | Parsed::Notify(query) if query.tsig.is_some() => {
                let rcode = u16::from(message.metadata.response_code);
                assert!(matches!(rcode, 1 | 9), "a signed message: {rcode}");
                assert!(message.answers.is_empty() && message.authorities.is_empty());
            }
            Parsed::Notify(_) => assert_eq!(u16::from(message.metadata.response_code), 5),
            Parsed::Query(query) => {
                let end = HEADER_OCTETS + query.question.name.len() + 4;
                assert_eq!(reply[HEADER_OCTETS..end], self.packet[HEADER_OCTETS..end], "the question");
                self.sections(&message, truncated);
            }
            Parsed::Silent(_) => panic!("a reply to what is to be met with silence"),
        }
    }

    /// The reply, with what holds of every reply; `None` where hickory-proto is no judge.
    fn message(&self) -> Option<Message> {
        let reply = self.reply;
        assert!(reply.len() >= HEADER_OCTETS && reply.len() <= self.octets_max(), "{} octets", reply.len());
        assert_eq!(reply[..2], self.packet[..2], "the ID");
        assert_eq!(reply[2] & 0xf9, 0x80 | self.packet[2] & 0x79, "QR, opcode, RD");
        assert_eq!(reply[3] & 0xd0, 0, "RA, Z, CD");
        let in_stream = self.is_truncated() && self.transport != Transport::Udp;
        assert!(!in_stream || reply.len() > 60_000, "TC in a stream");
        if self.is_beyond_hickory() {
            return None;
        }
        let message = Message::from_vec(reply).unwrap_or_else(|error| panic!("hickory-proto: {error}"));
        assert_eq!(message.metadata.message_type, MessageType::Response);
        self.edns(&message);
        Some(message)
    }

    fn is_truncated(&self) -> bool {
        self.reply[2] & 2 != 0
    }

    /// What a signed zone answers is what the same zone answers without signatures, or nothing; signatures come to
    /// those alone who want them.
    fn agrees_with(&self, signed: &Transcript<'_>, tokens: Tokens) {
        let (Some(plain), Some(message)) = (self.message(), signed.message()) else { return };
        let Parsed::Query(query) = &self.parsed else { return };
        let wants = query.edns.is_some_and(|edns| edns.dnssec_ok);
        let sections = [&message.answers, &message.authorities, &message.additionals];
        let (name, rtype) = (Name::from_wire(query.question.name).unwrap(), query.question.rtype);
        let of_signing = [43, 46, 47, 48, 50, 51, 59, 60, 255].contains(&rtype.0);
        if of_signing || query.question.class != Class::IN || self.is_truncated() || signed.is_truncated() {
            return;
        }
        let is_signature = |record: &&Record| matches!(record.record_type(), RecordType::RRSIG);
        let signatures = sections.iter().flat_map(|section| section.iter()).filter(is_signature).count();
        let rcodes = [&plain, &message].map(|message| u16::from(message.metadata.response_code));
        match rcodes {
            // By compact denial every name exists.
            [3, 0] => assert!(wants, "no NXDOMAIN"),
            [0 | 3, 2] => return assert!(wants && tokens == Tokens::None, "SERVFAIL"),
            [one, other] => assert_eq!(one, other, "the response code"),
        }
        assert!(wants || signatures == 0, "signatures unasked");
        let is_answered = !message.answers.is_empty() || !message.authorities.is_empty();
        if wants && is_answered && matches!(rcodes[1], 0 | 3) && message.metadata.authoritative {
            assert!(signatures > 0, "no signatures for {name:?} {rtype}: {message:?}");
        }
        let data = |message: &Message| {
            let data = message.answers.iter().filter(|record| !is_signature(record));
            let mut data: Vec<String> = data.map(|record| record.to_string().to_lowercase()).collect();
            data.sort();
            data
        };
        assert_eq!(data(&plain), data(&message), "the data beside signatures");
    }

    /// Whether the reply echoes a client subnet of family 0, which hickory-proto takes for no message at all.
    fn is_beyond_hickory(&self) -> bool {
        self.asked_edns().and_then(|edns| edns.subnet).is_some_and(|subnet| subnet.address().is_none())
    }

    /// The query's OPT as far as it could be read.
    fn asked_edns(&self) -> Option<Edns<'_>> {
        match &self.parsed {
            Parsed::Query(query) | Parsed::Notify(query) => query.edns,
            Parsed::Rejected(rejected) | Parsed::CookieRequest(rejected) => rejected.edns,
            Parsed::Silent(_) => None,
        }
    }

    /// What the client takes at most (RFC 6891 section 6.2.3).
    fn octets_max(&self) -> usize {
        match (self.transport, self.asked_edns()) {
            (Transport::Udp, Some(edns)) => usize::from(edns.payload_octets).clamp(512, UDP_OCTETS_MAX),
            (Transport::Udp, None) => 512,
            _ => 65_535,
        }
    }

    /// An OPT for an OPT, none for none (RFC 6891 section 6.1.1); its options only as asked.
    fn edns(&self, message: &Message) {
        let asked = self.asked_edns();
        assert_eq!(message.edns.is_some(), asked.is_some(), "an OPT for an OPT");
        let (Some(asked), Some(edns)) = (asked, &message.edns) else { return };
        assert_eq!(edns.version(), 0);
        assert_eq!(edns.flags().dnssec_ok, asked.dnssec_ok, "DO");
        for (code, option) in &edns.options().options {
            match u16::from(*code) {
                3 => assert!(asked.nsid, "NSID unasked"),
                8 => {
                    let sent = option.to_bytes().unwrap();
                    let subnet = asked.subnet.expect("a client subnet unasked").data();
                    assert_eq!((&sent[..3], &sent[4..]), (&subnet[..3], &subnet[4..]), "the client subnet");
                    assert!(sent[3] <= if subnet[1] == 2 { 128 } else { 32 }, "its scope");
                }
                10 => {
                    let (sent, cookie) =
                        (option.to_bytes().unwrap(), asked.cookie.expect("a cookie unasked"));
                    assert_eq!((sent.len(), &sent[..8]), (24, &cookie.client[..]), "the cookie");
                }
                11 => assert!(matches!(self.transport, Transport::Tcp | Transport::Tls), "keepalive"),
                12 => assert!(self.transport.is_encrypted(), "padding in the clear"),
                _ => {}
            }
        }
        let echoed = edns.options().options.iter().any(|(code, _)| u16::from(*code) == 8);
        assert_eq!(echoed, asked.subnet.is_some(), "a client subnet for a client subnet");
        let given = edns.options().options.iter().any(|(code, _)| u16::from(*code) == 10);
        assert_eq!(given, asked.cookie.is_some(), "a cookie for a cookie");
    }

    /// The sections hang together, and say of static names what the zone holds.
    fn sections(&self, message: &Message, truncated: bool) {
        let Parsed::Query(query) = &self.parsed else { return };
        let rcode = u16::from(message.metadata.response_code);
        let (name, rtype) = (Name::from_wire(query.question.name).unwrap(), query.question.rtype);
        let end = chain_end(&name, &message.answers, rtype);
        if rtype == Rtype::NXNAME && query.question.class == Class::IN {
            // Nothing to ask for, in whatever zone (RFC 9824 section 3.5).
            assert_eq!((rcode, message.answers.len(), message.authorities.len()), (1, 0, 0));
            return;
        }
        if rcode == Rcode::Refused.number() {
            assert!(message.answers.is_empty() && message.authorities.is_empty());
            return;
        }
        let catalog = &world::view().snapshot.catalog;
        let Some((_, zone)) = catalog.find(ClientClass::DEFAULT, &name) else {
            panic!("an answer from no zone: {message:?}")
        };
        if truncated || query.header.opcode != Opcode::QUERY || !zone.contains(&end) {
            return;
        }
        // A tailored CNAME stands alone (RFC 7871 section 7.2.1): nobody follows it here.
        let is_tailored = |record: &Record| {
            matches!(zone.lookup(&owner(record), rtype), Lookup::Steered(_) | Lookup::Testing(..))
        };
        if message.answers.iter().any(is_tailored) {
            return;
        }
        let of_end: Vec<&Record> =
            message.answers.iter().filter(|record| owner(record).octets() == end.octets()).collect();
        match zone.lookup(&end, rtype) {
            Lookup::Answer(rrset) if rcode == 0 => {
                // A name that is compressed takes over the case of the one it points to, be it the question.
                let cased = |octets: &[u8]| match rrset.rtype {
                    Rtype::NS | Rtype::CNAME | Rtype::SOA | Rtype::PTR | Rtype::MX => {
                        octets.to_ascii_lowercase()
                    }
                    _ => octets.to_vec(),
                };
                let mut meant: Vec<Vec<u8>> = rrset.rdata().map(cased).collect();
                let written = of_end.iter().filter(|record| u16::from(record.record_type()) == rrset.rtype.0);
                let mut written: Vec<Vec<u8>> = written.map(|record| cased(&rdata(&record.data))).collect();
                meant.sort();
                written.sort();
                assert_eq!(written, meant, "what {rtype} of the zone became");
            }
            Lookup::NoData | Lookup::NxDomain => {
                let denied = |record: &&Record| {
                    !matches!(record.record_type(), RecordType::RRSIG | RecordType::CNAME | RecordType::DNAME)
                };
                let why = message.authorities.is_empty() || !message.answers.iter().any(|r| denied(&r));
                assert!(why || name.octets() == end.octets(), "records and a denial: {message:?}");
            }
            _ => {}
        }
    }
}

/// Where the CNAMEs of an answer lead to from `name`.
fn chain_end(name: &Name, answers: &[Record], rtype: Rtype) -> Name {
    let mut end = *name;
    if rtype == Rtype::CNAME {
        return end;
    }
    for record in answers {
        if let RData::CNAME(target) = &record.data
            && owner(record).octets() == end.octets()
            && rtype != Rtype::ANY
        {
            end = Name::from_wire(&target.0.to_bytes().unwrap()).expect("a target is a name");
        }
    }
    end
}

fn owner(record: &Record) -> Name {
    Name::from_wire(&record.name.to_bytes().unwrap()).expect("an owner is a name")
}

/// A record's RDATA without compression.
fn rdata(data: &RData) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut encoder = BinEncoder::new(&mut octets);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    data.emit(&mut encoder).expect("hickory-proto writes what it read");
    octets
}
