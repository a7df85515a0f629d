//! Steered names: every (name, type, state of health).

use std::sync::Arc;

use meridian::dnssec::{Denial, KeyUse};
use meridian::health::{Standing, Verdict};
use meridian::respond::Transport;
use meridian::steer::Calendar;
use meridian::view::View;

use crate::validator::{Name, Proven};
use crate::view;
use crate::world::{Wish, World, ed25519, sign};

const CONFIG: &str = r#"
[server]
listen = ["127.0.0.1:0"]
why = ["203.0.113.0/24"]

[geoip]
overrides = "overrides.csv"

[regions.us-east]
at = [39.0, -77.5]
[regions.eu-west]
at = [53.3, -6.3]

[monitors.web]
tcp = { port = 80 }

[pools.web]
monitor = "web"
endpoints = [
  { name = "iad-1", region = "us-east", address = ["192.0.2.10", "2001:db8:1::10"], weight = 70 },
  { name = "iad-2", region = "us-east", address = ["192.0.2.11"], weight = 30 },
  { name = "dub-1", region = "eu-west", address = ["198.51.100.10", "2001:db8:2::10"] },
]
[pools.other]
monitor = "web"
endpoints = [{ name = "iad-3", region = "us-east", address = ["192.0.2.12"] }]
[pools.hosts]
monitor = "web"
endpoints = [
  { name = "iad", region = "us-east", host = "us.lb.example.net" },
  { name = "dub", region = "eu-west", host = "eu.lb.example.net" },
]

[services.near]
policy = { nearest = ["web"] }
[services.share]
policy = { weighted = [{ use = "web", weight = 1 }, { use = "other", weight = 3 }], sticky = "client" }
[services.all]
policy = { multivalue = ["web"], all_down = "nodata" }
[services.spare]
policy = { failover = ["web", "other"] }
https = { alpn = ["h3", "h2"], port = 443 }
svcb = { port = 853 }
testing_names = true
[services.bound]
policy = { failover = ["web", "other"] }
https = { alpn = ["h3", "h2"], port = 443 }
[services.alias]
policy = { nearest = ["hosts"], all_down = "nodata" }
[services.closed]
policy = { failover = ["other"], all_down = "refuse" }
"#;

const NAMES: &str = r#"
[names]
"near" = "near"
"share" = "share"
"all" = "all"
"spare" = "spare"
"alias" = "alias"
"closed" = "closed"
"*.apps" = "bound"
"*.hosts" = "alias"
"@" = "near"
"#;

const ZONE: &str = "\
$TTL 300
@ SOA ns1 hostmaster 1 3600 600 604800 60
@ NS ns1
@ MX 10 mail
ns1 A 192.0.2.1
near TXT \"beside\"
link CNAME spare
out CNAME www.example.net.
wlink.apps CNAME any.apps
*.chain CNAME x.apps
cut NS ns.cut
ns.cut A 192.0.2.4
old DNAME apps
a.b.c.ent TXT x
";

const ASKED: &[&str] = &[
    "near",
    "share",
    "all",
    "spare",
    "alias",
    "closed",
    "x.apps",
    "y.z.apps",
    "x.hosts",
    "*.apps",
    "apps",
    "hosts",
    "",
    "link",
    "out",
    "wlink.apps",
    "q.chain",
    "x.old",
    "x.cut",
    "cut",
    "ent",
    "none",
    "n.none",
    "eu-west._region.spare",
    "us-east._region.spare",
    "_region.spare",
    "mars._region.spare",
    "_why.spare",
    "_why.none",
    "x.near",
    "ns1",
];

const TYPES: &[u16] = &[1, 2, 5, 6, 13, 15, 16, 28, 43, 47, 48, 64, 65, 255, 65_400];

fn first_view() -> View {
    view::example_com(CONFIG, ZONE, NAMES, "203.0.113.0/24,IE,,Dublin,\n")
}

/// The next view, with these addresses down.
fn with_down(view: &View, down: u32) -> View {
    let mut health = view.health.clone();
    let standing = |index: usize| match down >> index & 1 {
        1 => Standing { ttl_bound_s: Some(3), ..Standing::of(Verdict::Down) },
        _ => Standing::of(Verdict::Up),
    };
    health.addresses = (0..health.addresses.len()).map(standing).collect();
    View::new(Arc::clone(&view.snapshot), health, Calendar::default(), Some(view))
}

fn full(name: &str) -> Name {
    Name::text(&format!("{name}.example.com"))
}

#[test]
fn every_name_type_and_state_of_health_is_believed() {
    let keys = [ed25519(1, KeyUse::SignsKeys), ed25519(2, KeyUse::SignsZone)];
    let view = first_view();
    let addresses = view.health.addresses.len() as u32;
    let signed = sign(&view, &keys, Denial::Compact, None);
    let mut world = World::new(view.with_signed(&[Some(signed)]), &keys, "example.com");
    let mut found = [0; 3];
    let states = 1u32 << addresses;
    // Every state of up to eight addresses: neighbours in the order of a Gray code.
    assert!(states <= 256, "{addresses} addresses");
    for state in 0..states {
        let next = with_down(&world.view, state ^ state >> 1);
        let previous = world.view.signed(meridian::ids::ZoneId(0)).cloned();
        let signed = sign(&next, &keys, Denial::Compact, previous.as_deref());
        world.view = next.with_signed(&[Some(signed)]);
        for name in ASKED {
            for rtype in TYPES {
                // Who does not want signatures has no NSEC at what nobody but operators sees.
                if (*name, *rtype) == ("_why.spare", 47) {
                    continue;
                }
                world.draw = world.draw.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(*rtype);
                if *name == "closed"
                    && world.ask(&full(name), *rtype, Wish::Signed, Transport::Tcp).rcode == 5
                {
                    continue;
                }
                world.now.monotonic += std::time::Duration::from_secs(1);
                match world.check(&full(name), *rtype) {
                    Proven::Answer => found[0] += 1,
                    Proven::NoData => found[1] += 1,
                    Proven::NxDomain => found[2] += 1,
                    Proven::Referral { .. } => {}
                }
            }
        }
    }
    assert!(found.iter().all(|count| *count > 1000), "{found:?}");
}

/// In the steady state a signed steered answer costs no signature, whatever health has done before.
#[test]
fn answers_of_services_are_signed_before_they_are_asked_for() {
    let keys = [ed25519(1, KeyUse::SignsAll)];
    let view = first_view();
    let mut world = World::new(view, &keys, "example.com");
    for down in [0, 1, 0, 3, 5, 63, 0] {
        let next = with_down(&world.view, down);
        let previous = world.view.signed(meridian::ids::ZoneId(0)).cloned();
        let signed = sign(&next, &keys, Denial::Compact, previous.as_deref());
        world.view = next.with_signed(&[Some(signed)]);
        for name in ["near", "share", "spare", "alias", "link", "eu-west._region.spare", "*.apps"] {
            for rtype in [1, 28, 64, 65] {
                for draw in 0..20u64 {
                    world.draw = draw << 59;
                    let reply = world.ask(&full(name), rtype, Wish::Signed, Transport::Udp);
                    if !reply.sections[0].is_empty() {
                        assert_eq!(world.online.counts.made, 0, "{name} {rtype} with {down:b} down");
                    } else {
                        world.online = meridian::dnssec::OnlineSignatures::new(
                            meridian::dnssec::OnlineLimits::DEFAULT,
                            [3; 16],
                        );
                    }
                }
            }
        }
    }
    // A view that was published before its answers were signed: they are signed when asked for.
    world.online.counts = Default::default();
    let signed = sign(&with_down(&first_view(), 63), &keys, Denial::Compact, None);
    let unsure = World { view: first_view(), ..world };
    let zone = &unsure.view.snapshot.catalog.zones()[0];
    assert!(!Arc::ptr_eq(signed.zone(), zone), "another generation's signatures are not taken");
}

/// The NSEC of a name that is not there has NSEC in its bitmap: to who asks for NSEC it is the answer, and
/// would contradict itself as a denial.
#[test]
fn rfc9824_3_1_an_nsec_that_is_asked_for_is_an_answer() {
    let keys = [ed25519(1, KeyUse::SignsAll)];
    let view = first_view();
    let signed = sign(&view, &keys, Denial::Compact, None);
    let mut world = World::new(view.with_signed(&[Some(signed)]), &keys, "example.com");
    let absent = ["none", "n.none", "mars._region.spare", "x.near", "x.ent"];
    let present =
        ["ent", "b.c.ent", "near", "alias", "link", "x.apps", "y.z.apps", "_region.spare", "*.apps"];
    for name in absent.iter().chain(&present) {
        for wish in [Wish::Signed, Wish::Compact] {
            let reply = world.ask(&full(name), 47, wish, Transport::Tcp);
            let nsec = |section: usize| reply.sections[section].iter().filter(|own| own.rtype == 47);
            assert_eq!((reply.rcode, nsec(0).count()), (0, 1), "{name}: {reply:#?}");
            assert!(nsec(1).all(|own| own.owner != nsec(0).next().unwrap().owner), "{name}: {reply:#?}");
        }
        let proven = world.check(&full(name), 47);
        let expected = if absent.contains(name) { Proven::NxDomain } else { Proven::Answer };
        assert_eq!(proven, expected, "{name}");
    }
}

/// A view may be published before what is new in it is signed: that is signed when it is asked for.
#[test]
fn what_was_not_signed_ahead_is_signed_when_asked_for() {
    let keys = [ed25519(1, KeyUse::SignsAll)];
    let view = with_down(&first_view(), 0b1);
    let signed = sign(&view, &keys, Denial::Compact, None);
    let view = view.with_signed(&[Some(signed)]);
    let mut world = World::new(with_down(&view, 0b10), &keys, "example.com");
    for name in ASKED.iter().filter(|name| **name != "closed") {
        for rtype in [1, 5, 16, 28, 64, 65] {
            world.check(&full(name), rtype);
        }
    }
    assert!(world.online.counts.made > 0);
}
