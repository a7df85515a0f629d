//! What a query with a forged source makes this server send to whom it names: octets out by octets in, over UDP and
//! without a valid cookie. The table in docs/protection.md is made here.

use std::net::IpAddr;
use std::path::Path;

use meridian::cookie::{Secret, Secrets};
use meridian::dnssec::{Denial, KeyUse, OnlineLimits, OnlineSignatures};
use meridian::limit::Admission;
use meridian::respond::{Asked, Outcome, Transport, respond};
use meridian::view::View;
use meridian::zone::ClientClass;

use crate::validator::Name;
use crate::view::example_com;
use crate::world::{ecdsa, now, sign};

const CONFIG: &str = "[server]\nlisten = [\"127.0.0.1:0\"]\nnsid = \"node-1.example.net\"\n[geoip]\noverrides = \"overrides.csv\"\n";
const UDP_PAYLOAD: usize = 1232;

/// What is asked: in words, the name, the type.
const QUESTIONS: &[(&str, &str, u16)] = &[
    ("an address", "www.example.com", 1),
    ("eight mail servers and their addresses", "example.com", 15),
    ("2,000 octets of TXT", "big.example.com", 16),
    ("600 octets of TXT", "middle.example.com", 16),
    ("ANY", "example.com", 255),
    ("DNSKEY", "example.com", 48),
    ("SOA", "example.com", 6),
    ("a name that is not there", "nothing.example.com", 1),
    ("a type that is not there", "www.example.com", 28),
    ("a referral with four servers", "child.example.com", 1),
    ("another's name", "example.org", 1),
];

/// How it is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// Without OPT.
    Plain,
    /// With OPT, 4,096 octets and NSID.
    Edns,
    /// The same, with DO.
    Dnssec,
    /// The same, with a client's cookie.
    Cookie,
}

const WAYS: [Way; 4] = [Way::Plain, Way::Edns, Way::Dnssec, Way::Cookie];

fn zone() -> String {
    let mut zone =
        "$TTL 60\n@ SOA ns1 hostmaster 1 7200 3600 1209600 60\n@ NS ns1\n@ NS ns2\nns1 A 192.0.2.1\n\
        ns2 A 192.0.2.2\nwww A 192.0.2.80\n"
            .to_owned();
    for number in 0..8 {
        zone += &format!(
            "@ MX 10 mx{number}\nmx{number} A 192.0.2.{number}\nmx{number} AAAA 2001:db8::{number}\n"
        );
    }
    for number in 0..4 {
        zone += &format!("child NS ns{number}.child\nns{number}.child A 198.51.100.{number}\n");
    }
    for (owner, texts) in [("big", 10), ("middle", 3)] {
        for number in 0..texts {
            zone += &format!("{owner} TXT \"{number}{}\"\n", "x".repeat(199));
        }
    }
    zone
}

fn packet(name: &str, rtype: u16, way: Way) -> Vec<u8> {
    let mut packet = vec![1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(way != Way::Plain)];
    packet.extend(Name::text(name).wire());
    packet.extend(rtype.to_be_bytes());
    packet.extend([0, 1]);
    if way != Way::Plain {
        let flags = if way == Way::Edns { 0 } else { 0x80 };
        let mut options = vec![0, 3, 0, 0];
        if way == Way::Cookie {
            options.extend([0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
        }
        packet.extend([0, 0, 41, 0x10, 0, 0, 0, flags, 0, 0, options.len() as u8]);
        packet.extend(options);
    }
    packet
}

/// The octets that answer a packet.
fn answered(view: &View, packet: &[u8], admission: Admission) -> usize {
    let asked = Asked {
        source: IpAddr::from([203, 0, 113, 7]),
        transport: Transport::Udp,
        class: ClientClass::DEFAULT,
        idle_timeout: None,
        admission,
    };
    let mut online = OnlineSignatures::new(OnlineLimits::DEFAULT, [9; 16]);
    let mut buffer = vec![0; 65_535];
    match respond(view, &asked, now(), 1, packet, &mut buffer, &mut online) {
        Outcome::Reply { length, .. } => length,
        Outcome::Drop(_) => 0,
        outcome @ Outcome::Errand(_) => panic!("{outcome:?}"),
    }
}

/// The zone unsigned, and signed by every kind of denial; cookies are on.
fn views(cap: u16) -> Vec<(&'static str, View)> {
    let mut views = Vec::new();
    for (name, denial) in [
        ("unsigned", None),
        ("signed, NSEC", Some(Denial::Nsec)),
        ("signed, NSEC3", Some(Denial::Nsec3)),
        ("signed, compact", Some(Denial::Compact)),
    ] {
        let view = example_com(CONFIG, &zone(), "", "");
        let mut snapshot = (*view.snapshot).clone();
        snapshot.responder.protection.cookies = Some(Secrets::new(Secret([7; 16]), &[]));
        snapshot.responder.protection.udp_payload_unproven_max = cap;
        let view = View::new(snapshot.into(), view.health.clone(), view.calendar.clone(), None);
        let view = match denial {
            None => view,
            Some(denial) => {
                let keys = [ecdsa(KeyUse::SignsKeys), ecdsa(KeyUse::SignsZone)];
                let signed = sign(&view, &keys, denial, None);
                view.with_signed(&[Some(signed)])
            }
        };
        views.push((name, view));
    }
    views
}

#[test]
fn the_table_of_amplification_is_that_of_the_manual() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protection.md");
    let manual = include_str!("../../docs/protection.md");
    let views = views(u16::MAX);
    let mut table = "| asked | octets in | unsigned | signed, NSEC | signed, NSEC3 | signed, compact |\n\
        | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for (what, name, rtype) in QUESTIONS {
        let packet = packet(name, *rtype, Way::Dnssec);
        let cells: Vec<String> = views
            .iter()
            .map(|(_, view)| {
                let octets = answered(view, &packet, Admission::Within);
                format!("{octets}: {:.1}", octets as f64 / packet.len() as f64)
            })
            .collect();
        table += &format!("| {what} | {} | {} |\n", packet.len(), cells.join(" | "));
    }
    let (before, rest) = manual.split_once("<!-- amplification -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end -->").unwrap();
    let written = format!("{before}<!-- amplification -->\n{table}<!-- end -->{after}");
    if std::env::var_os("BLESS").is_some() {
        #[allow(clippy::disallowed_methods)]
        std::fs::write(path, &written).unwrap();
    } else {
        assert!(manual == written, "BLESS=1 rewrites docs/protection.md");
    }
}

/// The rule that bounds all of it: no datagram is answered with more than it asked for by its payload size, with more
/// than is set, or, from beyond a limit, with more than it was long itself, 16 octets of a cookie apart.
#[test]
fn no_answer_is_larger_than_what_is_set_nor_beyond_a_limit_than_what_was_sent() {
    for cap in [u16::MAX, 800, 512] {
        for (view_name, view) in views(cap) {
            for (_, name, rtype) in QUESTIONS {
                for way in WAYS {
                    let packet = packet(name, *rtype, way);
                    let octets = answered(&view, &packet, Admission::Within);
                    let set = if way == Way::Plain { 512 } else { UDP_PAYLOAD.min(usize::from(cap)) };
                    assert!(octets <= set, "{name} {rtype} {way:?} {view_name}: {octets} of {set}");
                    let limited = answered(&view, &packet, Admission::Slip);
                    let more = if way == Way::Cookie { 16 } else { 0 };
                    assert!(
                        limited > 0 && limited <= packet.len() + more,
                        "{name} {rtype} {way:?}: {limited}"
                    );
                }
            }
        }
    }
}

/// The same of whatever a fuzzer has found, and in what proportion at most.
#[test]
#[allow(clippy::disallowed_methods)]
fn what_fuzzers_found_amplifies_within_the_same_bounds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let views = views(512);
    let mut packets = 0;
    for (target, skipped) in [("query", 0), ("respond", 1)] {
        for file in std::fs::read_dir(folder.join(target)).unwrap() {
            let octets = std::fs::read(file.unwrap().path()).unwrap();
            let Some(packet) = octets.get(skipped..) else { continue };
            packets += 1;
            for (_, view) in &views {
                assert!(answered(view, packet, Admission::Within) <= 512);
                assert!(answered(view, packet, Admission::Slip) <= packet.len() + 16, "{packet:02x?}");
                assert_eq!(answered(view, packet, Admission::Drop), 0);
            }
        }
    }
    assert!(packets > 100, "{packets}");
}
