//! Packets of random and mutated octets: never a panic, never an answer to a response, never more
//! than allowed, and whatever is answered can be read.

use proptest::prelude::*;

use super::*;

/// What holds for every packet.
fn check_packet(fixture: &Fixture, packet: &[u8], transport: Transport) {
    let asked = Asked { transport, ..ask("www.example.com A").asked };
    let got = match send(fixture, &asked, packet) {
        Ok(got) => got,
        Err(reason) => {
            let expected = if packet.len() < 12 { DropReason::Short } else { DropReason::Response };
            assert_eq!(reason, expected);
            assert!(packet.len() < 12 || packet[2] & 0x80 != 0);
            return;
        }
    };
    let reply = &got.octets;
    assert_eq!(packet[2] & 0x80, 0, "a response was answered");
    assert_eq!(reply[..2], packet[..2]);
    assert_eq!(reply[2] & 0xf8, 0x80 | packet[2] & 0x78);
    let limit = if transport == Transport::Tcp { 65_535 } else { 1232 };
    assert!(reply.len() <= limit);
    if got.note.edns == EdnsSeen::Absent && transport == Transport::Udp {
        assert!(reply.len() <= 512);
    }
    // hickory-proto does not know every option's every form; what it reads, it must read whole.
    if got.note.rcode == Rcode::NoError && got.note.edns != EdnsSeen::ClientSubnet {
        Message::from_vec(reply).unwrap();
    }
}

/// Sound queries to start from.
fn seeds() -> Vec<Vec<u8>> {
    [
        "www.example.com A",
        "geo.example.com A +subnet=198.51.100.0/24 +nsid +do",
        "host.example.com AAAA +subnet=2001:db8::/48",
        "x.cut.example.com A +edns",
        "any.w.example.com ANY +bufsize=512",
        "x.loop.dname.test TXT +tcp",
        "missing.example.com DS +edns",
        ". NS",
    ]
    .iter()
    .map(|line| ask(line).packet)
    .chain([with_records()])
    .collect()
}

/// A query with a record in each section, owners compressed.
fn with_records() -> Vec<u8> {
    let mut packet = ask("www.example.com A").packet;
    (packet[7], packet[9], packet[11]) = (1, 1, 2);
    for owner in [&b"\xc0\x0c"[..], b"\x01a\xc0\x10", b"\x02bc\xc0\x24"] {
        packet.extend(owner);
        packet.extend([0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1]);
    }
    packet.extend([0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0]);
    packet
}

#[test]
fn every_prefix_and_every_single_octet_of_sound_queries() {
    let fixture = Fixture::new();
    for seed in seeds() {
        for length in 0..=seed.len() {
            check_packet(&fixture, &seed[..length], Transport::Udp);
        }
        for place in 0..seed.len() {
            for octet in [0, 1, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xff] {
                let mut packet = seed.clone();
                packet[place] = octet;
                check_packet(&fixture, &packet, Transport::Udp);
            }
        }
    }
}

#[test]
fn small_buffers_are_never_overrun() {
    let fixture = Fixture::new();
    for seed in seeds() {
        for room in 0..600 {
            let mut buffer = vec![0xee; room];
            match respond_from(
                &fixture,
                &ask("www.example.com A").asked,
                (super::NOW, 0),
                &seed,
                &mut buffer,
                &mut unsigned(),
            ) {
                Outcome::Reply { length, .. } => assert!(length <= room),
                Outcome::Errand(errand) => panic!("{errand:?}"),
                Outcome::Drop(reason) => assert_eq!(reason, DropReason::NoRoom),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_octets(packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..600), 20)) {
        let fixture = Fixture::new();
        for packet in &packets {
            check_packet(&fixture, packet, Transport::Udp);
            check_packet(&fixture, packet, Transport::Tcp);
        }
    }

    #[test]
    fn mutated_queries(
        seed in 0..9usize,
        edits in proptest::collection::vec(
            proptest::collection::vec((any::<u16>(), any::<u8>(), 0..4u8), 1..6), 20),
    ) {
        let fixture = Fixture::new();
        for edits in edits {
            let mut packet = seeds()[seed].clone();
            for (place, octet, kind) in edits {
                let place = usize::from(place) % packet.len().max(1);
                match kind {
                    0 if !packet.is_empty() => { packet.remove(place); }
                    1 => packet.insert(place, octet),
                    2 => packet.truncate(place.max(12)),
                    _ => if let Some(target) = packet.get_mut(place) { *target = octet },
                }
            }
            check_packet(&fixture, &packet, Transport::Udp);
        }
    }
}
