//! Configurations that are accepted, and what they mean.

use std::time::Duration;

use super::*;
use crate::health::{BodyMatch, Check, DnsData};
use crate::ids::{NodeId, RegionId};

pub const SAMPLE: &str = r#"
[server]
listen = ["127.0.0.1:5300", "[::1]:5300"]
hash_key = "${KEY}"

[geoip]
city = "geoip/city.mmdb"
asn = "geoip/asn.mmdb"

[regions.us-east]
at = "aws:us-east-1"
[regions.eu-west]
at = [53.3, -6.3]
[regions.eu-central]
at = "Frankfurt am Main, DE"

[monitors.web]
https = { path = "/healthz", host = "www.example.com", expect = [200, "301-302"] }
interval = "1s"

[pools.web]
monitor = "web"
endpoints = [
  { name = "iad-1", region = "us-east", address = ["192.0.2.10", "2001:db8:1::10"], weight = 100 },
  { name = "dub-1", region = "eu-west", address = "198.51.100.10", weight = 50, capacity = 2000 },
]
[pools.web-eu]
monitor = "web"
endpoints = [ { name = "fra-1", region = "eu-central", address = ["198.51.100.20"] } ]
[pools.standby]
endpoints = [ { name = "static-page", region = "us-east", address = ["192.0.2.99"] } ]

[services.www]
ttl = { min = "20s", max = "60s" }
policy = { nearest = ["web"] }
[services.shop]
policy = "shop"
ttl = "30s"
client_subnet = ["192.0.2.0/24"]
[services.canary]
policy = "canary"

[policies.shop]
failover = ["shop-by-place", "standby"]
[policies.shop-by-place.geo]
"continent:EU" = { use = "shop-eu", geofence = true }
"203.0.113.0/24" = "web"
"subdivision:us-ca" = { nearest = ["web"] }
default = "shop-fast"
unknown = "web"
[policies.shop-eu]
nearest = ["web-eu"]
bias = { eu-central = 10 }
min_healthy = "50%"
all_down = { fallback = "standby" }
[policies.shop-fast]
latency = ["web"]
unknown = "eu-west"
[policies.canary]
weighted = [ { use = "web", weight = 95 }, { use = "web-eu", weight = 5 } ]
sticky = "client"
"#;

pub const NAMES: &str =
    "[names]\nwww = \"www\"\n\"shop\" = \"shop\"\n\"*.apps\" = \"www\"\n\"@\" = \"canary\"\n";

#[test]
fn the_sample() {
    let config = accept(SAMPLE, NAMES);
    assert_eq!(config.server.hash_key[15], 15);
    let regions: Vec<_> = config.regions.iter().map(|region| region.name.as_str()).collect();
    assert_eq!(regions, ["us-east", "eu-west", "eu-central"], "in the order written");
    assert!(config.regions.iter().all(|region| region.coordinates.is_some()));

    let monitor = &config.monitors[0];
    assert_eq!(monitor.cadence.timeout, Duration::from_secs(1), "at most the interval");
    let Check::Http(check) = &monitor.check else { panic!() };
    assert_eq!((check.port, check.expect.as_slice()), (443, [200..=200, 301..=302].as_slice()));
    assert!(check.tls.as_ref().unwrap().verify);

    let policy = |name: &str| config.policies.iter().find(|policy| policy.name == name).unwrap();
    let Rule::Failover { children, .. } = &policy("shop").rule else { panic!() };
    let names: Vec<_> = children.iter().map(|node| config.policies[node.index()].name.as_str()).collect();
    assert_eq!(names, ["shop-by-place", "standby"]);
    let Rule::Geo { rules, default, unknown } = &policy("shop-by-place").rule else { panic!() };
    assert!(rules[0].branch.geofence && rules.len() == 3 && default.is_some() && unknown.is_some());
    let Rule::Nearest { unknown, bias, .. } = &policy("shop-eu").rule else { panic!() };
    assert_eq!((*unknown, bias.as_slice()), (RegionId(2), [(RegionId(2), 10)].as_slice()));
    assert!(matches!(policy("shop-eu").all_down, Some(AllDown::Fallback(NodeId(_)))));
    let Rule::Latency { unknown, .. } = &policy("shop-fast").rule else { panic!() };
    assert_eq!(*unknown, RegionId(1));
    let Rule::Weighted { children, sticky: true, .. } = &policy("canary").rule else { panic!() };
    assert_eq!(children.iter().map(|child| child.1).collect::<Vec<_>>(), [95, 5]);
    let Rule::Nearest { unknown, .. } = &policy("services.www.policy").rule else { panic!() };
    assert_eq!(*unknown, RegionId(0));
    assert_eq!(config.policies.iter().filter(|policy| policy.name == "web").count(), 1);

    assert_eq!(config.services[1].ttl_s, 30..=30);
    assert!(matches!(config.services[1].client_subnet, ClientSubnetUse::Trusted(_)));
    assert_eq!(config.zones[0].names.len(), 4);
    assert_eq!(config.zones[0].names[3].service.index(), 2);
}

#[test]
fn h4_monitors_add_up() {
    let monitors = |written: &str| {
        let main = format!(
            r#"
[regions.here]
at = [0, 0]
[monitors.a]
http = {{ regex = '^ok$', json = {{ "/status" = ["ok", 1, true] }} }}
[monitors.b]
dns = {{ name = "Example.COM.", type = "NS", answer = "NS1.example.com." }}
[monitors.c]
exec = {{ command = ["/bin/true", "{{address}}"] }}
[monitors.d]
push = {{ ttl = "1m" }}
[pools.p]
monitor = {written}
watch = ["d"]
endpoints = [{{ name = "e", region = "here", address = "192.0.2.1" }}]
[services.s]
policy = "p"
"#
        );
        accept(&main, "[names]\nwww = \"s\"\n")
    };
    let check = |written: &str, needed: u32, votes: &[(u16, u16, bool)]| {
        let config = monitors(written);
        let monitor = config.pools[0].monitor.clone().unwrap();
        let found: Vec<_> =
            monitor.votes.iter().map(|vote| (vote.monitor.0, vote.weight, vote.inverted)).collect();
        assert_eq!((monitor.needed, found.as_slice()), (needed, votes), "{written}");
        assert_eq!(config.pools[0].watch, [crate::ids::MonitorId(3)]);
    };
    check("\"b\"", 1, &[(1, 1, false)]);
    check("{ all = [\"b\", \"a\"] }", 2, &[(1, 1, false), (0, 1, false)]);
    check("{ any = [\"a\", { use = \"c\", inverted = true }] }", 1, &[(0, 1, false), (2, 1, true)]);
    check("{ at_least = 3, of = [\"a\", { use = \"b\", weight = 2 }] }", 3, &[(0, 1, false), (1, 2, false)]);

    let config = monitors("\"a\"");
    let Check::Http(check) = &config.monitors[0].check else { panic!() };
    let values = vec!["ok".into(), 1.into(), true.into()];
    let json = BodyMatch::Json { pointer: "/status".to_owned(), values };
    assert_eq!(check.body, [BodyMatch::Regex("^ok$".to_owned()), json]);
    let Check::Dns(check) = &config.monitors[1].check else { panic!() };
    assert_eq!((check.name.as_str(), check.record_type), ("example.com", 2));
    assert_eq!(check.answer, [DnsData::Name("ns1.example.com".to_owned())]);
}

#[test]
fn nothing_is_needed() {
    for main in ["", "[server]\nlisten = \"127.0.0.1:0\"\n"] {
        let sources = sources(main.as_bytes(), &[("example.com", Some(b""), None)]);
        let (config, problems) = read(&sources, &environment);
        assert_eq!(problems.0, [], "{main}");
        assert_eq!(config.unwrap().zones.len(), 1);
    }
}

#[test]
fn the_sample_has_few_warnings() {
    let sources = sources(SAMPLE.as_bytes(), &[("example.com", Some(b""), Some(NAMES.as_bytes()))]);
    let (_, problems) = read(&sources, &environment);
    assert_eq!(text(&sources, &problems, Style::Plain), "");
}

#[test]
fn the_control_listener_is_found_whatever_else_is_wrong() {
    let check = |main: &str, listen: Option<&str>| {
        let expected = listen.map(|listen| listen.parse().unwrap());
        assert_eq!(control_listen(main.as_bytes()), expected, "{main}");
    };
    check("", Some("127.0.0.1:9853"));
    check("[control]\nlisten = \"127.0.0.1:9999\"\n", Some("127.0.0.1:9999"));
    check("[control]\nlisten = \"off\"\n[server]\nlisten = 7\n", None);
    check("[sever]\nx =\n[control]\nlisten = \"[::1]:9999\"\n[pools.a]\nendpoints = {\n", Some("[::1]:9999"));
    check("[control]\nlisten = \"nonsense\"\n", Some("127.0.0.1:9853"));
}
