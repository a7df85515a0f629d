//! What signing costs: CPU time for each RRset, and memory for each signed name. docs/performance.md states what
//! this prints: `cargo run --release --example signing_figures`, or with another number of names behind `--`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::sync::Arc;

use meridian::dnssec::{
    Algorithm, Denial, KeyRecords, KeyUse, Signed, SigningJob, Steered, Validity, ZoneKey, in_order,
};
use meridian::keys::KeyPair;
use meridian::wire::{Name, Rtype, parse_name};
use meridian::zone::{Zone, ZoneBuilder};
use nix::sys::resource::{UsageWho, getrusage};

/// Names, unless told otherwise.
const NAMES: u32 = 100_000;
const NOW_S: u32 = 1_795_000_000;

fn main() {
    let names = std::env::args().nth(1).map_or(NAMES, |number| number.parse().expect("a number of names"));
    let zone = Arc::new(zone(names));
    println!("{names} names with one A record each; CPU time of one core");
    for algorithm in Algorithm::ALL {
        let pair = KeyPair::generate(algorithm).unwrap();
        let public = pair.public();
        let keys = [ZoneKey::new(algorithm, &public, true, KeyUse::SignsAll, Arc::new(pair))];
        for denial in [Denial::Compact, Denial::Nsec, Denial::Nsec3] {
            let (first, signed) = timed(|| sign(&zone, &keys, denial, NOW_S, None));
            let (again, _) = timed(|| sign(&zone, &keys, denial, NOW_S, Some(&signed)));
            let signatures = signed.signatures();
            println!(
                "{} {denial:?}: {signatures} signatures in {first:.2} s ({:.0} a second), {:.0} octets a name; \
                 looked through again with nothing to do: {again:.2} s",
                algorithm.mnemonic(),
                signatures as f64 / first,
                signed.octets() as f64 / f64::from(names),
            );
        }
    }
}

fn sign(zone: &Arc<Zone>, keys: &[ZoneKey], denial: Denial, now_s: u32, previous: Option<&Signed>) -> Signed {
    let validity = Validity {
        now_s,
        skew_s: 3600,
        lifetime_s: 14 * 86_400,
        jitter_s: 86_400,
        refresh_s: 7 * 86_400,
        seed: 1,
    };
    let job = SigningJob {
        zone,
        keys,
        key_ttl_s: 3600,
        key_records: &KeyRecords::default(),
        serial: None,
        denial,
        validity,
        steered: &Steered::default(),
        previous,
    };
    Signed::build(&job, &in_order).unwrap()
}

fn zone(names: u32) -> Zone {
    let origin = parse_name(b"example.test.", &[0]).unwrap();
    let mut builder = ZoneBuilder::new(&Name::from_wire(&origin).unwrap());
    let mut add = |owner: &str, rtype, ttl_s, rdata: &[u8]| {
        let owner = parse_name(owner.as_bytes(), &origin).unwrap();
        builder.rrset(&Name::from_wire(&owner).unwrap(), rtype, ttl_s, [rdata].into_iter()).unwrap();
    };
    let server = parse_name(b"ns", &origin).unwrap();
    let soa = [&server[..], &server, &[0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 60]].concat();
    add("@", Rtype::SOA, 3600, &soa);
    add("@", Rtype::NS, 3600, &server);
    for number in 0..names {
        add(&format!("host{number}"), Rtype::A, 300, &(0xc000_0200 + number).to_be_bytes());
    }
    builder.build()
}

/// The CPU time in seconds that something takes.
fn timed<T>(what: impl FnOnce() -> T) -> (f64, T) {
    let cpu_s = || {
        let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
        let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        seconds(usage.user_time()) + seconds(usage.system_time())
    };
    let begun = cpu_s();
    let made = what();
    (cpu_s() - begun, made)
}
