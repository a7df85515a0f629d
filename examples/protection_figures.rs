//! Figures of response rate limiting and DNS cookies: see docs/performance.md.
//!
//!     cargo run --release --example protection_figures -- collisions
//!     valgrind --tool=callgrind target/release/examples/protection_figures within 1000000
//!
//! `collisions` sends ten million sources of each kind past one limiter and counts who is refused that asks for the
//! first time. The others (`within`, `open`, `refused`, `ipv6`, `ipv6_open`, `plain`, `cookie`) do one thing so many times: their
//! cost is the difference of two such runs, less that of `nothing`.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "a program that measures reads clocks, and may end"
)]

#[path = "../tests/world/view.rs"]
mod view;

use std::error::Error;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use meridian::cookie::{Secret, Secrets};
use meridian::dnssec::{OnlineLimits, OnlineSignatures};
use meridian::limit::{Admission, Limiter, Rates};
use meridian::now::Now;
use meridian::respond::{Asked, Outcome, Transport, respond};
use meridian::view::View;
use meridian::zone::ClientClass;

const SOURCES: u64 = 10_000_000;
const KEY: [u64; 2] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_else(|| "collisions".to_owned());
    let times: u64 = arguments.next().map_or(Ok(1_000_000), |number| number.parse())?;
    match what.as_str() {
        "collisions" => collisions(),
        "nothing" | "within" | "open" | "refused" | "ipv6" | "ipv6_open" => admissions(&what, times),
        "plain" | "cookie" => answers(what == "cookie", times)?,
        other => return Err(format!("{other}?").into()),
    }
    Ok(())
}

fn limiter(rate: u32, burst: u32) -> Limiter {
    Limiter::new(Rates { rate, burst, slip: 1, exempt: Vec::new() }, KEY)
}

/// So many milliseconds after the start.
fn at(milliseconds: u64) -> Now {
    Now { monotonic: Duration::from_millis(milliseconds), wall: Duration::from_secs(1_800_000_000) }
}

struct Chance(u64);

impl Chance {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn collisions() {
    println!(
        "| sources | per second | refused of 10,000,000 | of 10,000 innocents with 5 queries each | nanoseconds each |"
    );
    println!("| --- | --- | --- | --- | --- |");
    for per_second in [200_000, 1_000_000, 10_000_000] {
        measure("IPv4, all at random", per_second, |chance| IpAddr::V4((chance.draw() as u32).into()));
        measure("IPv6, 2000::/3 at random", per_second, |chance| {
            let high = 0x2000_0000_0000_0000 | chance.draw() >> 3;
            IpAddr::V6(Ipv6Addr::from(u128::from(high) << 64 | u128::from(chance.draw())))
        });
        measure("IPv6, half a million /32", per_second, |chance| {
            let high = 0x2000_0000_0000_0000 | (chance.draw() % 500_000) << 32;
            IpAddr::V6(Ipv6Addr::from(u128::from(high) << 64 | u128::from(chance.draw() % 4)))
        });
    }
}

/// Random sources at a rate, and among them innocents from networks of their own.
fn measure(name: &str, per_second: u64, source: impl Fn(&mut Chance) -> IpAddr) {
    let limiter = limiter(200, 500);
    let mut chance = Chance(7);
    let (mut refused, mut innocents_refused) = (0_u64, 0_u64);
    let begun = Instant::now();
    for number in 0..SOURCES {
        let now = at(number * 1000 / per_second);
        refused += u64::from(limiter.admit(source(&mut chance), now) != Admission::Within);
        // 10,000 innocents, each of which asks five times in the run.
        if number % (SOURCES / 50_000) == 0 {
            let innocent = number / (SOURCES / 50_000) % 10_000;
            let innocent = match source(&mut Chance(1)) {
                // Networks that nobody else has: no flood of the second kind comes from 240/4 or 3fff::/20.
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(0xf000_0000 | (innocent as u32) << 8)),
                IpAddr::V6(_) => {
                    IpAddr::V6(Ipv6Addr::from((0x3fff_0000_u128 + u128::from(innocent)) << 96 | 1))
                }
            };
            innocents_refused += u64::from(limiter.admit(innocent, now) != Admission::Within);
        }
    }
    let each = begun.elapsed().as_nanos() as f64 / SOURCES as f64;
    println!("| {name} | {per_second} | {refused} | {innocents_refused} of 50,000 | {each:.1} |");
}

fn admissions(what: &str, times: u64) {
    let limiter = limiter(200, 500);
    let v4 = |n: u64| IpAddr::V4(Ipv4Addr::from((n as u32).wrapping_mul(0x9e37_79b9)));
    let mut refused = 0;
    for number in 0..times {
        let (source, now) = match what {
            // A thousand networks, a thousand queries a second.
            "within" => (v4(number % 1000), at(number)),
            // Sixteen networks at the rate of a flood, each address below its limit.
            "open" => (
                IpAddr::V4(Ipv4Addr::from(((number % 16) << 24 | ((number / 16) % 512) << 5) as u32)),
                at(number / 40),
            ),
            "refused" => (v4(0), at(0)),
            "ipv6_open" => (
                IpAddr::V6(Ipv6Addr::from((0x2001_0db8_0000_u128 + u128::from(number % 1000)) << 80)),
                at(number),
            ),
            "ipv6" => {
                (IpAddr::V6(Ipv6Addr::from((0x2001_0000_u128 + u128::from(number % 1000)) << 96)), at(number))
            }
            _ => (v4(number % 1000), at(number)),
        };
        let (source, now) = black_box((source, now));
        if what != "nothing" {
            refused += u64::from(limiter.admit(source, now) != Admission::Within);
        }
    }
    println!("{refused} of {times} refused");
}

const CONFIG: &str = r#"
[server]
listen = ["127.0.0.1:0"]
[geoip]
overrides = "overrides.csv"
"#;
const ZONE: &str = "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.2\n";

fn answers(with_cookie: bool, times: u64) -> Result<(), Box<dyn Error>> {
    let view = view::example_com(CONFIG, ZONE, "", "");
    let mut snapshot = (*view.snapshot).clone();
    snapshot.responder.protection.cookies = Some(Secrets::new(Secret([7; 16]), &[]));
    let view = View::new(snapshot.into(), view.health.clone(), view.calendar.clone(), None);
    let mut query =
        b"\xab\xcd\x00\x00\x00\x01\x00\x00\x00\x00\x00\x01\x03www\x07example\x03com\x00\x00\x01\x00\x01\
        \x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x0c\x00\x0a\x00\x08\x24\x64\xc4\xab\xcf\x10\xc9\x57"
            .to_vec();
    let asked = Asked {
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        transport: Transport::Udp,
        class: ClientClass::DEFAULT,
        idle_timeout: None,
        admission: Admission::Within,
    };
    let mut buffer = [0; 1232];
    let mut online = OnlineSignatures::new(OnlineLimits::NONE, [0; 16]);
    let mut ask = |query: &[u8], buffer: &mut [u8]| match respond(
        &view,
        &asked,
        at(0),
        0,
        query,
        buffer,
        &mut online,
    ) {
        Outcome::Reply { length, .. } => length,
        _ => 0,
    };
    let length = ask(&query, &mut buffer);
    // The query with the cookie of the answer, or with an unknown option of the same length.
    let cookie = buffer.get(length - 24..length).ok_or("no cookie")?.to_vec();
    query.truncate(query.len() - 14);
    query.extend([0, 28, if with_cookie { 0 } else { 0xfd }, 10, 0, 24]);
    query.extend(cookie);
    for _ in 0..times {
        black_box(ask(black_box(&query), &mut buffer));
    }
    println!("{times} answers");
    Ok(())
}
