//! Answers that Knot, NSD and meridian agreed in, replayed: `tests/conformance/differential.py --record` wrote them.
//!
//! A line is `TRANSPORT QUERY HASH`. The hash is FNV-1a over the answer in normal form: names uncompressed and in lower
//! case, records sorted, OPT left out. What an answer should have been, the differential run itself shows.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use meridian::compile::locations::Atlas;
use meridian::compile::{Given, Inputs, ZoneReading, compile};
use meridian::config::{FileId, SourceFile, Sources};
use meridian::dnssec::{OnlineLimits, OnlineSignatures};
use meridian::health::HealthTable;
use meridian::ids::CounterId;
use meridian::now::Now;
use meridian::respond::{Asked, Outcome, Transport, respond};
use meridian::steer::Calendar;
use meridian::view::View;
use meridian::zone::ClientClass;

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/recorded");

#[test]
fn answers_are_those_of_knot_and_nsd() {
    let view = view();
    let now = Now { monotonic: Duration::ZERO, wall: Duration::from_secs(1_800_000_000) };
    let answers = std::fs::read_to_string(Path::new(RECORDED).join("answers.txt")).unwrap();
    let mut buffer = vec![0; 65_535];
    let mut online = OnlineSignatures::new(OnlineLimits::DEFAULT, [0; 16]);
    let mut replayed = 0;
    for line in answers.lines() {
        let [transport, query, hash] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let transport = if transport == "tcp" { Transport::Tcp } else { Transport::Udp };
        let asked = Asked {
            source: "192.0.2.7".parse().unwrap(),
            transport,
            class: ClientClass::DEFAULT,
            idle_timeout: None,
            admission: meridian::limit::Admission::Within,
        };
        let packet = octets(query);
        let Outcome::Reply { length, .. } = respond(&view, &asked, now, 0, &packet, &mut buffer, &mut online)
        else {
            panic!("no reply to {line}")
        };
        let reply = &buffer[..length];
        assert_eq!(format!("{:016x}", fnv1a(&normal(reply))), hash, "{line}\n{reply:02x?}");
        replayed += 1;
    }
    assert!(replayed >= 2000, "{replayed}");
}

/// A server of the recorded zones: `N.zone` begins with a comment that is its origin.
fn view() -> View {
    let main = SourceFile {
        path: "meridian.toml".into(),
        bytes: b"[server]\nlisten = [\"127.0.0.1:0\"]\n".to_vec(),
    };
    let mut sources = Sources { files: vec![main], ..Sources::default() };
    let mut files: Vec<_> = std::fs::read_dir(RECORDED).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "zone")) {
        let text = std::fs::read_to_string(path).unwrap();
        let origin = text.lines().next().unwrap().trim_start_matches("; ").trim_end_matches('.').to_owned();
        sources.zones.push((origin, Some(FileId(sources.files.len() as u32)), None));
        sources.files.push(SourceFile { path: path.display().to_string(), bytes: text.into_bytes() });
    }
    let (config, problems) = meridian::config::read(&sources, &|_| None);
    let config = config.unwrap_or_else(|| panic!("{problems:#?}"));
    let inputs = Inputs {
        sources: &sources,
        locations: &mut Given { atlas: &Atlas::default(), maps: &[] },
        zones: ZoneReading::ANEW,
        generation: 1,
        counter: &mut |_, _| CounterId(0),
        progress: &mut |_, _| {},
    };
    let (snapshot, problems) = compile(&config, inputs);
    let snapshot = snapshot.unwrap_or_else(|| panic!("{problems:#?}"));
    let health = HealthTable::unknown(snapshot.board.addresses.len(), snapshot.fleet.endpoints.len());
    View::new(Arc::new(snapshot), health, Calendar::default(), None)
}

fn octets(hexadecimal: &str) -> Vec<u8> {
    let digits = hexadecimal.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn fnv1a(octets: &[u8]) -> u64 {
    octets
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3))
}

/// A reply in normal form, as `wire.py` has it.
fn normal(reply: &[u8]) -> Vec<u8> {
    let number = |at: usize| u16::from_be_bytes([reply[at], reply[at + 1]]);
    let counts = [number(4), number(6), number(8), number(10)];
    let mut at = 12;
    for _ in 0..counts[0] {
        at = name(reply, at).1 + 4;
    }
    let question = reply[12..at].to_vec();
    let mut rcode = number(2) & 0xf;
    let mut sections = Vec::new();
    for count in &counts[1..] {
        let mut records = Vec::new();
        for _ in 0..*count {
            let (owner, fixed) = name(reply, at);
            let (rtype, length) = (number(fixed), usize::from(number(fixed + 8)));
            let data = rdata(reply, rtype, fixed + 10, length);
            at = fixed + 10 + length;
            if rtype == 41 {
                rcode |= u16::from(reply[fixed + 4]) << 4;
                continue;
            }
            records.push((owner, rtype, number(fixed + 2), reply[fixed + 4..fixed + 8].to_vec(), data));
        }
        records.sort();
        sections.push(records);
    }
    assert_eq!(at, reply.len());
    let mut all =
        [(number(2) & !0xf).to_be_bytes(), rcode.to_be_bytes(), (question.len() as u16).to_be_bytes()]
            .concat();
    all.extend(question);
    for records in sections {
        all.extend((records.len() as u16).to_be_bytes());
        for (owner, rtype, class, ttl, data) in records {
            all.extend(owner);
            all.extend([rtype.to_be_bytes(), class.to_be_bytes()].concat());
            all.extend(ttl);
            all.extend((data.len() as u16).to_be_bytes());
            all.extend(data);
        }
    }
    all
}

/// The name at a place, uncompressed, in lower case; and where what follows begins.
fn name(reply: &[u8], mut at: usize) -> (Vec<u8>, usize) {
    let (mut octets, mut after) = (Vec::new(), None);
    loop {
        let length = usize::from(reply[at]);
        match length {
            0 => {
                octets.push(0);
                return (octets, after.unwrap_or(at + 1));
            }
            1..=63 => {
                octets.push(reply[at]);
                octets.extend(reply[at + 1..=at + length].to_ascii_lowercase());
                at += 1 + length;
            }
            _ => {
                after = after.or(Some(at + 2));
                at = (length & 0x3f) << 8 | usize::from(reply[at + 1]);
            }
        }
        assert!(octets.len() < 255);
    }
}

/// RDATA with its names uncompressed and in lower case.
fn rdata(reply: &[u8], rtype: u16, start: usize, length: usize) -> Vec<u8> {
    let (before, names) = match rtype {
        2 | 3 | 4 | 5 | 7 | 8 | 9 | 12 | 39 | 47 => (0, 1),
        6 | 14 | 17 => (0, 2),
        15 | 18 | 21 | 36 | 64 | 65 => (2, 1),
        26 => (2, 2),
        33 => (6, 1),
        35 => ((0..3).fold(4, |at, _| at + 1 + usize::from(reply[start + at])), 1),
        46 => (18, 1),
        _ => (length, 0),
    };
    let mut octets = reply[start..start + before].to_vec();
    let mut at = start + before;
    for _ in 0..names {
        let (read, after) = name(reply, at);
        octets.extend(read);
        at = after;
    }
    octets.extend(&reply[at..start + length]);
    octets
}
