//! Other name servers: signed messages, NOTIFY, and questions for whole zones.

use std::sync::Arc;

use super::*;
use crate::tsig::{Algorithm, Key, Keys, Unproven, sign_request};
use crate::view::{Peer, ZonePeers};
use crate::wire::Name;

/// A record of the question's owner, both of its names the root.
const SOA_WITHOUT_NUMBERS: &[u8] = b"\xc0\x0c\x00\x06\x00\x01\x00\x00\x00\x00\x00\x16\x00\x00";

fn name(text: &str) -> Name {
    Name::from_wire(&parse_name(text.as_bytes(), &[0]).unwrap()).unwrap()
}

fn key(secret: &[u8]) -> Arc<Key> {
    Arc::new(Key::new(&name("xfr.example"), Algorithm::HmacSha256, secret))
}

/// Everybody with the key may take example.com, and 192.0.2.1 may say that example.org has changed.
fn fixture() -> Fixture {
    let mut fixture = Fixture::new();
    let key = key(b"0123456789abcdef");
    let to = Box::new([Peer { network: None, key: Some(key.clone()) }]);
    let from = Box::new([Peer { network: Some("192.0.2.1/32".parse().unwrap()), key: None }]);
    fixture.settings.peers = Peers {
        keys: Keys::new(vec![key]),
        zones: Box::new([ZonePeers { to, ..ZonePeers::default() }]),
        sources: Box::new([(name("example.org"), from)]),
    };
    fixture
}

fn message(opcode: u8, zone: &str, rtype: Rtype) -> Vec<u8> {
    let mut message = vec![0, 7, opcode << 3, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend(parse_name(zone.as_bytes(), &[0]).unwrap());
    message.extend(rtype.0.to_be_bytes());
    message.extend([0, 1]);
    message
}

fn asked(from: &str, transport: Transport) -> Asked {
    let class = ClientClass::DEFAULT;
    Asked {
        source: from.parse().unwrap(),
        transport,
        class,
        idle_timeout: None,
        admission: crate::limit::Admission::Within,
    }
}

fn outcome<'v>(fixture: &'v Fixture, asked: &Asked, packet: &[u8], buffer: &mut [u8]) -> Outcome<'v> {
    respond_from(fixture, asked, (NOW, 7), packet, buffer, &mut unsigned())
}

#[test]
fn rfc8945_5_3_a_signed_query_gets_a_signed_answer_of_the_usual_size() {
    let fixture = fixture();
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut packet = message(0, "www.example.com", Rtype::A);
        let mut verifier = sign_request(&key(b"0123456789abcdef"), &mut packet, 0).unwrap();
        let got = send(&fixture, &asked("192.0.2.9", transport), &packet).unwrap();
        assert_eq!(got.note.rcode, Rcode::NoError);
        assert_eq!(verifier.accept(&got.octets, 0), Ok(()));
        assert!(transport == Transport::Tcp || got.octets.len() <= 512);
    }
}

#[test]
fn rfc8945_5_2_what_is_signed_otherwise_is_notauth() {
    let fixture = fixture();
    for (secret, at_s, error) in [(&b"other"[..], 0, 16), (b"0123456789abcdef", 1000, 18)] {
        let mut packet = message(0, "www.example.com", Rtype::A);
        let mut verifier = sign_request(&key(secret), &mut packet, at_s).unwrap();
        let got = send(&fixture, &asked("192.0.2.9", Transport::Udp), &packet).unwrap();
        assert_eq!((got.note.rcode, got.octets[3] & 15), (Rcode::NotAuth, 9));
        assert_eq!(got.octets[6..8], [0, 0], "no answer");
        match verifier.accept(&got.octets, at_s) {
            Err(Unproven::Refused(told)) => assert_eq!(told.number(), error),
            other => panic!("{other:?}"),
        }
    }
}

/// Signed or not, by whom it may be: what is not read to its end has no signature that could be answered.
#[test]
fn rfc8945_5_1_what_cannot_be_parsed_is_answered_without_a_signature() {
    let fixture = fixture();
    for secret in [&b"other"[..], b"0123456789abcdef"] {
        let mut signed = message(0, "www.example.com", Rtype::A);
        sign_request(&key(secret), &mut signed, 0).unwrap();
        let counted = |place: usize| {
            let mut packet = signed.clone();
            packet[place] += 1;
            packet
        };
        let (missing_additional, missing_answer) = (counted(11), counted(7));
        let trailing = [&signed[..], &[0]].concat();
        let not_last = [&missing_additional[..], &[0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 1]].concat();
        for packet in [missing_additional, missing_answer, trailing, not_last] {
            let got = send(&fixture, &asked("192.0.2.9", Transport::Udp), &packet).unwrap();
            assert_eq!((got.note.rcode, got.octets[3] & 15), (Rcode::FormErr, 1));
            assert_eq!(got.octets[6..12], [0; 6], "no records");
        }
    }
}

#[test]
fn rfc5936_4_1_a_transfer_is_an_errand_in_streams_only() {
    let fixture = fixture();
    let signed = |rtype, since: Option<u32>| {
        let mut packet = message(0, "EXAMPLE.com", rtype);
        if let Some(serial) = since {
            packet[9] = 1;
            packet.extend(SOA_WITHOUT_NUMBERS);
            packet.extend([serial, 1, 1, 1, 1].map(u32::to_be_bytes).concat());
        }
        sign_request(&key(b"0123456789abcdef"), &mut packet, 0).unwrap();
        packet
    };
    let mut buffer = vec![0; 65_535];
    let mut ask = |packet: &[u8], transport| {
        let outcome = outcome(&fixture, &asked("192.0.2.9", transport), packet, &mut buffer);
        match outcome {
            Outcome::Errand(Errand::Transfer { zone, wanted }) => (Some((zone, wanted)), None),
            Outcome::Reply { note, .. } => (None, Some(note.rcode)),
            other => panic!("{other:?}"),
        }
    };
    for transport in [Transport::Tcp, Transport::Tls] {
        assert_eq!(ask(&signed(Rtype::AXFR, None), transport).0, Some((ZoneId(0), Wanted::Whole)));
        assert_eq!(ask(&signed(Rtype::IXFR, Some(5)), transport).0, Some((ZoneId(0), Wanted::Since(5))));
        assert_eq!(ask(&signed(Rtype::IXFR, None), transport).1, Some(Rcode::FormErr));
        assert_eq!(ask(&message(0, "example.com", Rtype::AXFR), transport).1, Some(Rcode::Refused));
    }
    for transport in [Transport::Udp, Transport::Https, Transport::Quic] {
        assert_eq!(ask(&signed(Rtype::AXFR, None), transport).1, Some(Rcode::Refused));
        assert_eq!(ask(&signed(Rtype::IXFR, Some(5)), transport).1, Some(Rcode::NoError));
    }
}

#[test]
fn rfc1996_3_10_notify_counts_from_who_is_named_and_is_refused_from_others() {
    let fixture = fixture();
    let mut buffer = vec![0; 512];
    let mut told = |from: &str, packet: &[u8]| match outcome(
        &fixture,
        &asked(from, Transport::Udp),
        packet,
        &mut buffer,
    ) {
        Outcome::Errand(Errand::Notify { zone, serial, note, .. }) => {
            assert_eq!(note.rcode, Rcode::NoError);
            Ok((*zone, serial))
        }
        Outcome::Reply { note, .. } => Err(note.rcode),
        other => panic!("{other:?}"),
    };
    let mut packet = message(4, "Example.org", Rtype::SOA);
    assert_eq!(told("192.0.2.1", &packet), Ok((name("example.org"), None)));
    assert_eq!(told("192.0.2.2", &packet), Err(Rcode::Refused));
    assert_eq!(told("192.0.2.1", &message(4, "example.com", Rtype::SOA)), Err(Rcode::Refused));
    assert_eq!(told("192.0.2.1", &message(4, "example.org", Rtype::A)), Err(Rcode::Refused));
    packet[7] = 1;
    packet.extend(SOA_WITHOUT_NUMBERS);
    packet.extend([77, 1, 1, 1, 1].map(u32::to_be_bytes).concat());
    assert_eq!(told("192.0.2.1", &packet), Ok((name("example.org"), Some(77))));
}
