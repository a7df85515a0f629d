//! The corpora of the fuzz targets, replayed: what a fuzzer has found once holds in every run of the tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods
)]

#[path = "../fuzz/checks/mod.rs"]
mod checks;

use std::panic::catch_unwind;

/// Checks every file of a corpus, and tells the first that fails.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let octets = std::fs::read(&file).unwrap();
        assert!(catch_unwind(|| check(&octets)).is_ok(), "{}", file.display());
    }
}

macro_rules! corpora {
    ($($target:ident)*) => { $(
        #[test]
        fn $target() {
            replay(stringify!($target), checks::$target::check);
        }
    )* };
}

corpora! { query respond zone config mmdb subnet framing doh }

/// An attack in small, in virtual time: the corpora from forged sources and a flood of names that never repeat from one
/// source, and among them clients of good will, all of whose queries are answered. What is found at full rate is in
/// docs/performance.md.
#[test]
fn corpora_replayed_as_traffic_leave_others_alone() {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use meridian::dnssec::{OnlineLimits, OnlineSignatures};
    use meridian::limit::{Limiter, Rates};
    use meridian::now::Now;
    use meridian::respond::{Asked, DropReason, Outcome, Transport, respond};
    use meridian::zone::ClientClass;

    let folder = format!("{}/fuzz/corpus/query", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    let limiter = Limiter::new(Rates { rate: 200, burst: 500, slip: 1, exempt: Vec::new() }, [3, 5]);
    let view = checks::world::view();
    let (mut buffer, mut online) = (vec![0; 4096], OnlineSignatures::new(OnlineLimits::NONE, [0; 16]));
    let mut ask = |source: Ipv4Addr, packet: &[u8], milliseconds: u64| {
        let now =
            Now { monotonic: Duration::from_millis(milliseconds), wall: Duration::from_secs(1_800_000_000) };
        let source = IpAddr::V4(source);
        let asked = Asked {
            source,
            transport: Transport::Udp,
            class: ClientClass::DEFAULT,
            idle_timeout: None,
            admission: limiter.admit(source, now),
        };
        match respond(view, &asked, now, 0, packet, &mut buffer, &mut online) {
            Outcome::Reply { length, note } => {
                assert!(note.limited.is_none() || length <= packet.len() + 16);
                Some(note.limited.is_none())
            }
            Outcome::Drop(DropReason::Limited) => Some(false),
            Outcome::Drop(_) | Outcome::Errand(_) => None,
        }
    };
    let question = |label: &str| {
        let head = [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, label.len() as u8];
        [&head[..], label.as_bytes(), b"\x07example\x03com\x00\x00\x01\x00\x01"].concat()
    };
    let mut state = 1_u64;
    let (mut flooded, mut flood_answered) = (0, 0);
    for millisecond in 0..3000_u64 {
        for number in 0..10 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let forged = Ipv4Addr::from((state >> 32) as u32 & 0x7fff_ffff);
            ask(forged, &corpus[(state >> 20) as usize % corpus.len()], millisecond);
            let name = question(&format!("n{millisecond}-{number}"));
            flooded += 1;
            flood_answered +=
                u64::from(ask(Ipv4Addr::new(198, 51, 100, 1), &name, millisecond) == Some(true));
        }
        // A hundred clients, ten queries a second each.
        let client = Ipv4Addr::from(0xc800_0001 + (millisecond % 100) as u32 * 0x4000);
        assert_eq!(ask(client, &question("www"), millisecond), Some(true), "{client} at {millisecond} ms");
    }
    // 200 a second and a burst, and once as much again before its own count began.
    assert!(flooded == 30_000 && (1000..=1700).contains(&flood_answered), "{flood_answered} of {flooded}");
}
