//! EDNS and its options, and what is said of packets that make no sense.

use super::*;

const WWW: &str = "an short.example.com. 30 TXT x";
const SOA: &str =
    "ns example.com. 120 SOA ns1.example.com. hostmaster.example.com. 2026010101 3600 600 604800 120";

#[test]
fn rfc6891_6_1_1_an_opt_for_an_opt_and_none_for_none() {
    check("short.example.com TXT", &["NOERROR aa", WWW]);
    check("short.example.com TXT +edns", &["NOERROR aa", WWW, "opt 1232"]);
    check("missing.example.com A +edns", &["NXDOMAIN aa", SOA, "opt 1232"]);
    check("short.example.com TXT +do", &["NOERROR aa", WWW, "opt 1232 do"]);
}

#[test]
fn rfc6891_6_2_3_sizes_below_512_count_as_512() {
    for size in [0, 1, 511, 512] {
        check(&format!("short.example.com TXT +bufsize={size}"), &["NOERROR aa", WWW, "opt 1232"]);
    }
}

#[test]
fn rfc5001_nsid_only_when_asked() {
    check("short.example.com TXT +nsid", &["NOERROR aa", WWW, "opt 1232 nsid=node-1"]);
    check("big.example.com TXT +nsid +bufsize=512", &["NOERROR aa tc", "opt 1232 nsid=node-1"]);
    let mut fixture = Fixture::new();
    fixture.settings.nsid = None;
    let ask = ask("short.example.com TXT +nsid");
    assert_eq!(lines(&send(&fixture, &ask.asked, &ask.packet).unwrap().octets)[2], "opt 1232");
}

#[test]
fn rfc7828_3_the_idle_timeout_is_told_who_asks_over_a_connection() {
    check("short.example.com TXT +keepalive +tcp", &["NOERROR aa", WWW, "opt 1232 keepalive=100"]);
    check("short.example.com TXT +keepalive +tls", &["NOERROR aa", WWW, "opt 1232 keepalive=100"]);
    check("missing.example.com A +keepalive +tcp", &["NXDOMAIN aa", SOA, "opt 1232 keepalive=100"]);
    check("short.example.com TXT +edns +tcp", &["NOERROR aa", WWW, "opt 1232"]);
    // Where there is no connection, or one that has its own way to say so, the option says nothing.
    for transport in ["", "+https", "+quic"] {
        for stated in ["+keepalive", "+keepalive=100"] {
            check(&format!("short.example.com TXT {stated} {transport}"), &["NOERROR aa", WWW, "opt 1232"]);
        }
    }
}

#[test]
fn rfc7828_3_2_1_a_client_states_no_timeout() {
    check("short.example.com TXT +keepalive=0 +tcp", &["FORMERR", "opt 1232"]);
    check("short.example.com TXT +keepalive=600 +nsid +tls", &["FORMERR", "opt 1232 nsid=node-1"]);
    check("short.example.com TXT +keepalive +keepalive=600 +tcp", &["FORMERR", "opt 1232"]);
}

#[test]
fn rfc8467_4_1_padded_to_468_octets_where_it_is_asked_for_and_hides_something() {
    for transport in ["+tls", "+https", "+quic"] {
        for padding in [0, 7, 300] {
            let asked = format!("short.example.com TXT +padding={padding} {transport}");
            check(&asked, &["NOERROR aa", WWW, "opt 1232 padded=468"]);
        }
        check(
            &format!("missing.example.com A +padding=1 {transport}"),
            &["NXDOMAIN aa", SOA, "opt 1232 padded=468"],
        );
        check(&format!("other.test A +padding=1 {transport}"), &["REFUSED", "opt 1232 error=20 padded=468"]);
        check(&format!("short.example.com TXT +edns {transport}"), &["NOERROR aa", WWW, "opt 1232"]);
    }
    check(
        "short.example.com TXT +padding=9 +nsid +keepalive +tls",
        &["NOERROR aa", WWW, "opt 1232 nsid=node-1 keepalive=100 padded=468"],
    );
    // On the open wire padding hides nothing.
    check("short.example.com TXT +padding=9 +tcp", &["NOERROR aa", WWW, "opt 1232"]);
    check("short.example.com TXT +padding=9", &["NOERROR aa", WWW, "opt 1232"]);
}

#[test]
fn rfc7871_7_2_1_a_subnet_comes_back_in_every_reply() {
    let subnet = "+subnet=198.51.96.0/20";
    let opt = "opt 1232 subnet=198.51.96.0/20/0";
    check(&format!("short.example.com TXT {subnet}"), &["NOERROR aa", WWW, opt]);
    check(&format!("short.example.com TXT {subnet} +tcp"), &["NOERROR aa", WWW, opt]);
    check(&format!("missing.example.com A {subnet}"), &["NXDOMAIN aa", SOA, opt]);
    check(&format!("www.example.com AAAA {subnet}"), &["NOERROR aa", SOA, opt]);
    check(
        &format!("far.example.com A {subnet}"),
        &["NOERROR", "ns far.example.com. 300 NS ns.example.org.", opt],
    );
    check(&format!("big.example.com TXT {subnet}"), &["NOERROR aa tc", opt]);
    check(&format!("other.test A {subnet}"), &["REFUSED", &format!("{opt} error=20")]);
    check(&format!("www.example.com A {subnet} +class=3"), &["REFUSED", &format!("{opt} error=20")]);
    check("short.example.com TXT +subnet=0.0.0.0/0", &["NOERROR aa", WWW, "opt 1232 subnet=0.0.0.0/0/0"]);
    check(
        "short.example.com TXT +subnet=2001:db8:1234:5600::/56",
        &["NOERROR aa", WWW, "opt 1232 subnet=2001:db8:1234:5600::/56/0"],
    );
}

#[test]
fn the_network_that_a_packet_ends_with_is_guessed_where_it_has_24_bits() {
    let check = |options: &str, expected: Option<[u8; 4]>| {
        let packet = ask(&format!("short.example.com TXT {options}")).packet;
        assert_eq!(super::super::short::last_network(&packet), expected.map(u32::from_be_bytes), "{options}");
    };
    check("+subnet=192.0.2.0/24", Some([192, 0, 2, 0]));
    check("+subnet=192.0.2.0/25", None);
    check("+subnet=192.0.0.0/16", None);
    check("+subnet=2001:db8::/24", None);
    check("+edns", None);
    check("", None);
}

/// A query for `short.example.com TXT` whose tail is the test's.
fn packet(counts: [u16; 4], tail: &[u8]) -> Vec<u8> {
    let mut packet = vec![0xab, 0xcd, 1, 0];
    counts.iter().for_each(|count| packet.extend(count.to_be_bytes()));
    packet.extend(b"\x05short\x07example\x03com\x00\x00\x10\x00\x01");
    packet.extend(tail);
    packet
}

fn opt(version: u8, options: &[u8]) -> Vec<u8> {
    let head = [0, 0, 41, 0x10, 0, 0, version, 0, 0];
    [&head[..], &(options.len() as u16).to_be_bytes(), options].concat()
}

#[track_caller]
fn check_packet(packet: &[u8], expected: &[&str]) {
    let fixture = Fixture::new();
    let asked = ask("www.example.com A").asked;
    let got = send(&fixture, &asked, packet).unwrap();
    assert_eq!(lines(&got.octets), expected, "{packet:?}");
    assert_eq!(got.octets[..2], packet[..2]);
    assert!(got.octets.len() <= 1232);
}

#[test]
fn rfc6891_6_1_3_an_unknown_version_is_badvers_without_an_answer() {
    for version in [1, 2, 255] {
        check_packet(&packet([1, 0, 0, 1], &opt(version, &[])), &["BADVERS", "opt 1232"]);
    }
    // What an option means is that version's business.
    check_packet(&packet([1, 0, 0, 1], &opt(1, &option(8, &[9, 9]))), &["BADVERS", "opt 1232"]);
}

#[test]
fn rfc6891_6_1_1_two_opts_are_formerr() {
    let two = [opt(0, &[]), opt(0, &[])].concat();
    check_packet(&packet([1, 0, 0, 2], &two), &["FORMERR", "opt 1232"]);
    let with_version = [opt(1, &[]), opt(0, &[])].concat();
    check_packet(&packet([1, 0, 0, 2], &with_version), &["FORMERR", "opt 1232"]);
    check_packet(&packet([1, 1, 0, 0], &opt(0, &[])), &["FORMERR"]);
    check_packet(&packet([1, 0, 1, 0], &opt(0, &[])), &["FORMERR"]);
    let owned = [&[1, b'a'][..], &opt(0, &[])].concat();
    check_packet(&packet([1, 0, 0, 1], &owned), &["FORMERR"]);
}

#[test]
fn rfc7871_7_1_2_a_malformed_subnet_is_formerr_with_opt_and_without_the_option() {
    let bad: &[&[u8]] = &[
        &[],
        &[0, 1],
        &[0, 1, 24],
        &[0, 1, 24, 0],
        &[0, 1, 24, 0, 1, 2],
        &[0, 1, 24, 0, 1, 2, 3, 4],
        &[0, 1, 33, 0, 1, 2, 3, 4, 5],
        &[0, 2, 129, 0],
        &[0, 3, 0, 0],
        &[0, 1, 24, 1, 1, 2, 3],
        &[0, 1, 23, 0, 1, 2, 3],
        &[0, 0, 1, 0, 0],
        &[0xff, 0xff, 24, 0, 1, 2, 3],
    ];
    for data in bad {
        check_packet(&packet([1, 0, 0, 1], &opt(0, &option(8, data))), &["FORMERR", "opt 1232"]);
    }
    let two = [option(8, &subnet_data("192.0.2.0/24")), option(8, &subnet_data("192.0.2.0/24"))].concat();
    check_packet(&packet([1, 0, 0, 1], &opt(0, &two)), &["FORMERR", "opt 1232"]);
    // Old tools say "none" by family 0.
    let fixture = Fixture::new();
    let none = packet([1, 0, 0, 1], &opt(0, &option(8, &[0, 0, 0, 0])));
    let got = send(&fixture, &ask("www.example.com A").asked, &none).unwrap();
    assert_eq!(got.note.rcode, Rcode::NoError);
    assert!(got.octets.ends_with(&option(8, &[0, 0, 0, 0])));
}

#[test]
fn rfc6891_6_1_2_options_that_overrun_are_formerr_and_unknown_ones_are_passed_over() {
    for options in [&[0u8][..], &[0, 3], &[0, 3, 0], &[0, 3, 0, 1], &[0, 10, 0, 9, 1, 2]] {
        check_packet(&packet([1, 0, 0, 1], &opt(0, options)), &["FORMERR", "opt 1232"]);
    }
    let many = [option(10, &[1; 8]), option(65001, &[7; 30]), option(12, &[0; 9])].concat();
    check_packet(&packet([1, 0, 0, 1], &opt(0, &many)), &["NOERROR aa", WWW, "opt 1232"]);
}

#[test]
fn rfc1035_4_1_1_what_is_short_or_a_response_is_met_with_silence() {
    let (fixture, asked) = (Fixture::new(), ask("www.example.com A").asked);
    let query = packet([1, 0, 0, 0], &[]);
    for length in 0..12 {
        assert_eq!(send(&fixture, &asked, &query[..length]).err(), Some(DropReason::Short));
    }
    for flags in 0x80..=0xff {
        let mut response = query.clone();
        response[2] = flags;
        assert_eq!(send(&fixture, &asked, &response).err(), Some(DropReason::Response));
        assert_eq!(send(&fixture, &asked, &response[..12]).err(), Some(DropReason::Response));
    }
}

#[test]
fn rfc1035_4_1_1_unknown_opcodes_are_notimp() {
    let (fixture, asked) = (Fixture::new(), ask("www.example.com A").asked);
    for opcode in 1..16u8 {
        for body in [packet([1, 0, 0, 0], &[]), packet([0, 7, 0, 0], &[]), packet([2, 0, 0, 0], &[0xff])] {
            let mut query = body;
            query[2] = opcode << 3 | 1;
            let got = send(&fixture, &asked, &query).unwrap();
            let expected = if matches!(opcode, 4 | 5) { Rcode::Refused } else { Rcode::NotImp };
            assert_eq!(got.note.rcode, expected, "{opcode}");
            assert_eq!(got.octets[2], 0x80 | opcode << 3 | 1);
        }
    }
}

#[test]
fn rfc9619_4_one_question_exactly() {
    check_packet(&packet([0, 0, 0, 0], &[]), &["FORMERR"]);
    check_packet(&packet([0, 0, 0, 0], &[])[..12], &["FORMERR"]);
    let second = b"\x01a\x00\x00\x01\x00\x01";
    check_packet(&packet([2, 0, 0, 0], second), &["FORMERR"]);
    check_packet(&packet([2, 0, 0, 1], &[&second[..], &opt(0, &[])].concat()), &["FORMERR", "opt 1232"]);
    check_packet(&packet([0xffff, 0, 0, 0], &[]), &["FORMERR"]);
}

#[test]
fn rfc8906_3_1_2_flags_without_a_meaning_are_ignored() {
    let (fixture, asked) = (Fixture::new(), ask("www.example.com A").asked);
    for (high, low) in [(0x07, 0xff), (0x01, 0x10), (0x00, 0x20), (0x03, 0x40), (0x04, 0x0f)] {
        let mut query = packet([1, 0, 0, 0], &[]);
        (query[2], query[3]) = (high, low);
        let got = send(&fixture, &asked, &query).unwrap();
        assert_eq!(lines(&got.octets), ["NOERROR aa", WWW]);
        assert_eq!((got.octets[2], got.octets[3]), (0x84 | high & 1, 0));
    }
}

#[test]
fn rfc1035_4_1_4_bad_names_are_formerr() {
    let query = |name: &[u8]| {
        let mut packet = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        packet.extend(name);
        packet.extend([0, 1, 0, 1]);
        packet
    };
    let long = [[63u8].repeat(64).repeat(4), vec![0]].concat();
    let bad: &[&[u8]] = &[
        b"\xc0\x0c",
        b"\xc0\x00",
        b"\xc0\x0e",
        b"\x01a\xc0\x0c",
        b"\x40a\x00",
        b"\x80a\x00",
        b"\x3fshort",
        b"\x05abc",
        b"\xff\xff",
        &long,
    ];
    for name in bad {
        check_packet(&query(name), &["FORMERR"]);
    }
    check_packet(&query(b"\x03www\x00")[..18], &["FORMERR"]);
}

#[test]
fn rfc1035_4_1_4_owners_of_other_records_lead_backwards_or_are_formerr() {
    let record = |owner: &[u8]| [owner, &[0, 1, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    // The tail begins at octet 12 + 19 + 4 = 35.
    for owner in
        [&b"\xc0\x23"[..], b"\xc0\x24", b"\xff\xff", b"\x01a\xc0\x23", b"\xc0\x00", b"\x40", b"\x80\x00"]
    {
        check_packet(&packet([1, 1, 0, 0], &record(owner)), &["FORMERR"]);
        check_packet(&packet([1, 0, 0, 1], &record(owner)), &["FORMERR"]);
    }
    for owner in [&b"\x00"[..], b"\xc0\x0c", b"\x01a\xc0\x12", b"\x01a\x00"] {
        check_packet(&packet([1, 0, 1, 0], &record(owner)), &["NOERROR aa", WWW]);
        check_packet(&packet([1, 0, 0, 1], &record(owner)), &["NOERROR aa", WWW]);
    }
    check_packet(&packet([1, 0, 0, 1], &record(b"\x00")[..10]), &["FORMERR"]);
    check_packet(&packet([1, 0, 0, 1], &[]), &["FORMERR"]);
}

#[test]
fn rfc1035_4_1_trailing_octets_are_formerr_and_never_echoed() {
    check_packet(&packet([1, 0, 0, 0], b"tail"), &["FORMERR"]);
    check_packet(&packet([1, 0, 0, 1], &[&opt(0, &[])[..], b"tail"].concat()), &["FORMERR", "opt 1232"]);
}

#[test]
fn the_longest_question_leaves_room_for_everything_else() {
    let label = |octet: u8, length: u8| [&[length][..], &vec![octet; usize::from(length)]].concat();
    let name = [
        label(b'a', 63),
        label(b'b', 63),
        label(b'c', 63),
        label(b'd', 49),
        b"\x07example\x03com\x00".to_vec(),
    ]
    .concat();
    assert_eq!(name.len(), 255);
    let mut query = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    query.extend(name);
    query.extend([0, 1, 0, 1]);
    let subnet = subnet_data("2001:db8::1/128");
    query.extend(opt(0, &[option(8, &subnet), option(3, &[])].concat()));
    query[12 + 255 + 4 + 3] = 0;
    let mut fixture = Fixture::new();
    fixture.settings.nsid = Some(vec![b'n'; 500].into());
    let got = send(&fixture, &ask("www.example.com A").asked, &query).unwrap();
    let lines = lines(&got.octets);
    assert_eq!(lines[0], "NXDOMAIN aa");
    assert!(lines.last().unwrap().starts_with("opt 1232 subnet=2001:db8::1/128/0 nsid=nnn"), "{lines:?}");
    assert!(got.octets.len() <= 512);
}

#[test]
fn rfc8914_4_extended_errors_say_what_the_response_code_leaves_open() {
    check("other.test A +edns", &["REFUSED", "opt 1232 error=20"]);
    check("example.com AXFR +edns +tcp", &["REFUSED", "opt 1232 error=18"]);
    check("closed.example.com A +edns", &["REFUSED", "opt 1232 error=14"]);
    check(
        "held.example.com A +edns",
        &["NOERROR aa", "an held.example.com. 30 A 192.0.2.80", "opt 1232 error=3"],
    );
    // None without an OPT to put it into, none where nothing is held back.
    check("held.example.com A", &["NOERROR aa", "an held.example.com. 30 A 192.0.2.80"]);
    check("geo.example.com A +edns", &["NOERROR aa", "an geo.example.com. 30 A 192.0.2.80", "opt 1232"]);
    for (opcode, error) in [(4, 18), (5, 18), (3, 21), (6, 21)] {
        let mut query = packet([1, 0, 0, 1], &opt(0, &[]));
        query[2] = opcode << 3;
        let fixture = Fixture::new();
        let got = send(&fixture, &ask("www.example.com A").asked, &query).unwrap();
        assert!(lines(&got.octets)[1].ends_with(&format!(" error={error}")), "{opcode}");
    }
}
