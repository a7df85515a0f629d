//! The query path allocates nothing: whatever is asked, from whomever, in whatever way.
//!
//! A counting allocator stands in for the system's; it counts the allocations of the thread that asks.
// An allocator cannot be written without `unsafe`; it only passes on what it is given.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "world/view.rs"]
mod view;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use meridian::dnssec::{
    Algorithm, Denial, KeyRecords, KeyUse, OnlineLimits, OnlineSignatures, Signature, Signed, Signer,
    SigningFailed, SigningJob, Validity, ZoneKey, in_order,
};
use meridian::ids::ZoneId;
use meridian::now::Now;
use meridian::respond::{Asked, Outcome, Transport, respond};
use meridian::view::View;
use meridian::wire::Rcode;
use meridian::zone::ClientClass;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no counter any more, and asks nothing.
    let _ = ALLOCATIONS.try_with(|counter| counter.set(counter.get() + 1));
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is the one this needs.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the one this needs.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is the one this needs.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CONFIG: &str = r#"
[server]
listen = ["127.0.0.1:0"]
nsid = "node-1"
why = ["192.0.2.0/24"]

[geoip]
overrides = "overrides.csv"

[regions.us-east]
at = [39.0, -77.5]
[regions.eu-west]
at = [53.3, -6.3]

[pools.web]
endpoints = [
  { name = "iad-1", region = "us-east", address = ["192.0.2.10", "2001:db8:1::10"], weight = 70 },
  { name = "iad-2", region = "us-east", address = ["192.0.2.11"], weight = 30 },
  { name = "dub-1", region = "eu-west", address = ["198.51.100.10", "2001:db8:2::10"] },
]
[pools.other]
endpoints = [{ name = "iad-3", region = "us-east", address = ["192.0.2.12", "2001:db8:1::12"] }]
[pools.hosts]
endpoints = [
  { name = "iad", region = "us-east", host = "us.lb.example.net" },
  { name = "dub", region = "eu-west", host = "eu.lb.example.net" },
]

[services.near]
policy = { nearest = ["web"] }
[services.fast]
policy = { latency = ["web"] }
[services.share]
policy = { weighted = [{ use = "web", weight = 1 }, { use = "other", weight = 3 }] }
[services.stick]
policy = { weighted = [{ use = "web", weight = 1 }, { use = "other", weight = 3 }], sticky = "client" }
[services.all]
policy = { multivalue = ["web"] }
[services.spare]
policy = { failover = ["web", "other"], trickle = "5%" }
https = { alpn = ["h3", "h2"], port = 443 }
testing_names = true
[services.load]
policy = { least-loaded = ["web"] }
[services.alias]
policy = { nearest = ["hosts"] }
"#;

const NAMES: &str = r#"
[names]
"near" = "near"
"fast" = "fast"
"share" = "share"
"stick" = "stick"
"all" = "all"
"spare" = "spare"
"load" = "load"
"alias" = "alias"
"*.apps" = "near"
"@" = "near"
"#;

const ZONE: &str = "\
$TTL 300
@ SOA ns1 hostmaster 1 3600 600 604800 60
@ NS ns1
@ MX 10 mail
mail A 192.0.2.25
bound HTTPS 0 served
served HTTPS 1 ns1 alpn=h2
ns1 A 192.0.2.1
www A 192.0.2.2
www TXT \"hello\"
link CNAME www
tonear CNAME near
*.wild A 192.0.2.3
cut NS ns.cut
cut NS ns2.cut
ns.cut A 192.0.2.4
ns2.cut AAAA 2001:db8::4
old DNAME new
x.new A 192.0.2.5
a.b.c.ent TXT x
";

const GEOFEED: &str = "\
203.0.113.0/24,IE,,Dublin,
198.51.0.0/16,US,US-VA,Ashburn,
2001:db8:ff00::/40,IE,,Dublin,
";

fn view() -> View {
    view::example_com(CONFIG, ZONE, NAMES, GEOFEED)
}

/// A query for a name (without its final dot) and a type; EDNS options as octets, or no EDNS.
fn query(name: &str, rtype: u16, options: Option<&[u8]>) -> Vec<u8> {
    let mut packet = vec![1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(options.is_some())];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        packet.push(label.len() as u8);
        packet.extend(label.as_bytes());
    }
    packet.push(0);
    packet.extend(rtype.to_be_bytes());
    packet.extend([0, 1]);
    if let Some(options) = options {
        packet.extend([0, 0, 41, 4, 0xd0, 0, 0, 0x80, 0]);
        packet.extend((options.len() as u16).to_be_bytes());
        packet.extend(options);
    }
    packet
}

const NAMES_ASKED: &[(&str, Rcode)] = &[
    ("www.example.com", Rcode::NoError),
    ("WWW.Example.COM", Rcode::NoError),
    ("example.com", Rcode::NoError),
    ("link.example.com", Rcode::NoError),
    ("tonear.example.com", Rcode::NoError),
    ("any.wild.example.com", Rcode::NoError),
    ("ent.example.com", Rcode::NoError),
    ("missing.example.com", Rcode::NxDomain),
    ("a.very.deep.name.that.does.not.exist.example.com", Rcode::NxDomain),
    ("x.cut.example.com", Rcode::NoError),
    ("x.old.example.com", Rcode::NoError),
    ("near.example.com", Rcode::NoError),
    ("fast.example.com", Rcode::NoError),
    ("share.example.com", Rcode::NoError),
    ("stick.example.com", Rcode::NoError),
    ("all.example.com", Rcode::NoError),
    ("spare.example.com", Rcode::NoError),
    ("load.example.com", Rcode::NoError),
    ("alias.example.com", Rcode::NoError),
    ("bound.example.com", Rcode::NoError),
    ("eu-west._region.spare.example.com", Rcode::NoError),
    ("_why.spare.example.com", Rcode::NxDomain),
    ("my.apps.example.com", Rcode::NoError),
    ("elsewhere.test", Rcode::Refused),
    ("", Rcode::Refused),
];

#[test]
fn no_query_allocates() {
    let view = view();
    let options: [Option<&[u8]>; 9] = [
        None,
        Some(&[]),
        // NSID
        Some(&[0, 3, 0, 0]),
        // Client subnets: located, unknown, private, IPv6, none, and a malformed one.
        Some(&[0, 8, 0, 7, 0, 1, 24, 0, 203, 0, 113]),
        Some(&[0, 8, 0, 8, 0, 1, 32, 0, 10, 1, 2, 3]),
        Some(&[0, 8, 0, 10, 0, 2, 48, 0, 0x20, 1, 0xd, 0xb8, 0xff, 0, 0, 3, 0, 0]),
        Some(&[0, 8, 0, 4, 0, 1, 0, 0]),
        Some(&[0, 8, 0, 4, 0, 9, 0, 0]),
        // Keepalive and padding.
        Some(&[0, 11, 0, 0, 0, 12, 0, 3, 0, 0, 0]),
    ];
    let now = Now { monotonic: Duration::from_secs(1), wall: Duration::from_secs(1_700_000_000) };
    let mut buffer = vec![0; 65_535];
    let mut online = OnlineSignatures::new(OnlineLimits::DEFAULT, [7; 16]);
    let mut asked_count = 0u64;
    let mut steered = 0;
    for (name, rcode) in NAMES_ASKED {
        for rtype in [1, 2, 5, 6, 15, 16, 28, 43, 65, 252, 255, 65400] {
            for (number, options) in options.iter().enumerate() {
                let packet = query(name, rtype, *options);
                for source in ["203.0.113.7", "198.51.100.7", "2001:db8:ff00::1", "127.0.0.1"] {
                    let source: IpAddr = source.parse().unwrap();
                    for transport in [Transport::Udp, Transport::Tls] {
                        let idle_timeout = (transport == Transport::Tls).then_some(Duration::from_secs(10));
                        let asked = Asked {
                            source,
                            transport,
                            class: ClientClass::DEFAULT,
                            idle_timeout,
                            admission: meridian::limit::Admission::Within,
                        };
                        let before = ALLOCATIONS.get();
                        let outcome =
                            respond(&view, &asked, now, asked_count, &packet, &mut buffer, &mut online);
                        let allocated = ALLOCATIONS.get() - before;
                        assert_eq!(allocated, 0, "{name} {rtype} with options {number} from {source}");
                        let Outcome::Reply { note, .. } = outcome else { panic!("{name}: {outcome:?}") };
                        steered += u64::from(note.steered.is_some());
                        let expected = match (number, rtype) {
                            (7, _) => Rcode::FormErr,
                            (_, 252) => Rcode::Refused,
                            _ if *name == "x.old.example.com" => note.rcode,
                            _ => *rcode,
                        };
                        assert_eq!(note.rcode, expected, "{name} {rtype} with options {number}");
                        asked_count += 1;
                    }
                }
            }
        }
    }
    assert_eq!(asked_count, 25 * 12 * 9 * 8);
    assert!(steered > 1000, "{steered}");
    // The counter counts.
    let before = ALLOCATIONS.get();
    drop(std::hint::black_box(Box::new(7)));
    assert_eq!(ALLOCATIONS.get() - before, 1);
}

#[test]
fn no_rejected_packet_allocates() {
    let view = view();
    let asked = Asked {
        source: "192.0.2.7".parse().unwrap(),
        transport: Transport::Udp,
        class: ClientClass::DEFAULT,
        idle_timeout: None,
        admission: meridian::limit::Admission::Within,
    };
    let now = Now { monotonic: Duration::ZERO, wall: Duration::ZERO };
    let sound = query("near.example.com", 1, Some(&[0, 8, 0, 7, 0, 1, 24, 0, 203, 0, 113]));
    let mut buffer = vec![0; 1232];
    let mut online = OnlineSignatures::new(OnlineLimits::DEFAULT, [7; 16]);
    for place in 0..sound.len() {
        for octet in [0, 1, 0x40, 0x80, 0xc0, 0xff] {
            let mut packet = sound.clone();
            packet[place] = octet;
            let before = ALLOCATIONS.get();
            let _ = std::hint::black_box(respond(&view, &asked, now, 0, &packet, &mut buffer, &mut online));
            let _ = std::hint::black_box(respond(
                &view,
                &asked,
                now,
                0,
                &sound[..place],
                &mut buffer,
                &mut online,
            ));
            assert_eq!(ALLOCATIONS.get() - before, 0, "octet {place} as {octet}");
        }
    }
}

struct Edwards(Ed25519KeyPair);

impl Signer for Edwards {
    fn sign(&self, message: &[u8]) -> Result<Signature, SigningFailed> {
        self.0.sign(message).as_ref().try_into().map_err(|_| SigningFailed)
    }
}

/// The same view, signed.
fn signed_view() -> View {
    let view = view();
    let pair = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
    let public = pair.public_key().as_ref().to_vec();
    let signer = Arc::new(Edwards(pair));
    let key = ZoneKey::new(Algorithm::Ed25519, &public, true, KeyUse::SignsAll, signer);
    let job = SigningJob {
        zone: &view.snapshot.catalog.zones()[0],
        keys: &[key],
        key_ttl_s: 60,
        key_records: &KeyRecords::default(),
        serial: None,
        denial: Denial::Compact,
        validity: Validity {
            now_s: 1_700_000_000,
            skew_s: 3600,
            lifetime_s: 86_400 * 14,
            jitter_s: 0,
            refresh_s: 86_400,
            seed: 0,
        },
        steered: &view.steered_in(ZoneId(0)),
        previous: None,
    };
    let signed = Signed::build(&job, &in_order).unwrap();
    view.with_signed(&[Some(Arc::new(signed))])
}

/// In the steady state: what is signed when it is asked for was asked for before.
#[test]
fn no_signed_answer_allocates() {
    let view = signed_view();
    let now = Now { monotonic: Duration::from_secs(1), wall: Duration::from_secs(1_700_000_000) };
    let mut buffer = vec![0; 65_535];
    let mut online = OnlineSignatures::new(OnlineLimits::DEFAULT, [7; 16]);
    let mut signed = 0;
    for (name, _) in NAMES_ASKED {
        for rtype in [1, 2, 5, 6, 15, 16, 28, 43, 46, 47, 48, 65, 255, 65400] {
            let packet = query(name, rtype, Some(&[]));
            for source in ["203.0.113.7", "198.51.100.7"] {
                let asked = Asked {
                    source: source.parse().unwrap(),
                    transport: Transport::Tcp,
                    class: ClientClass::DEFAULT,
                    idle_timeout: None,
                    admission: meridian::limit::Admission::Within,
                };
                for time in 0..2 {
                    let before = ALLOCATIONS.get();
                    let outcome = respond(&view, &asked, now, 0, &packet, &mut buffer, &mut online);
                    let allocated = ALLOCATIONS.get() - before;
                    assert!(time == 0 || allocated == 0, "{name} {rtype} from {source}: {allocated}");
                    let Outcome::Reply { note, .. } = outcome else { panic!("{name}: {outcome:?}") };
                    // Names that do not exist have nothing, by compact denial.
                    assert_ne!(note.rcode, Rcode::NxDomain, "{name} {rtype}");
                    assert_ne!(note.rcode, Rcode::ServFail, "{name} {rtype}");
                    signed += u64::from(note.rcode == Rcode::NoError);
                }
            }
        }
    }
    assert!(signed > 1000 && online.counts.found > 100, "{signed} {:?}", online.counts);
}

#[test]
fn no_limit_and_no_cookie_allocates() {
    use meridian::cookie::{Secret, Secrets};
    use meridian::limit::{Limiter, Rates};

    let view = view();
    let mut snapshot = (*view.snapshot).clone();
    snapshot.responder.protection.cookies = Some(Secrets::new(Secret([7; 16]), &[Secret([8; 16])]));
    let view = View::new(snapshot.into(), view.health.clone(), view.calendar.clone(), None);
    let limiter = Limiter::new(Rates { rate: 10, burst: 20, slip: 2, exempt: Vec::new() }, [3, 5]);
    let now = Now { monotonic: Duration::ZERO, wall: Duration::ZERO };
    let client = [0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
    let packets = [
        query("near.example.com", 1, None),
        query("near.example.com", 1, Some(&client)),
        query("near.example.com", 1, Some(&[&[0, 10, 0, 24], &[1; 24][..]].concat())),
    ];
    let mut buffer = vec![0; 1232];
    let mut online = OnlineSignatures::new(OnlineLimits::DEFAULT, [7; 16]);
    for source in ["192.0.2.7", "2001:db8::7"] {
        let source: IpAddr = source.parse().unwrap();
        for time in 0..300 {
            let before = ALLOCATIONS.get();
            let asked = Asked {
                source,
                transport: Transport::Udp,
                class: ClientClass::DEFAULT,
                idle_timeout: None,
                admission: limiter.admit(source, now),
            };
            let packet = &packets[time % packets.len()];
            let _ = std::hint::black_box(respond(&view, &asked, now, 0, packet, &mut buffer, &mut online));
            assert_eq!(ALLOCATIONS.get() - before, 0, "{source} {time}");
        }
    }
}
