//! What is answered by services.

use super::*;

const SOA: &str =
    "ns example.com. 120 SOA ns1.example.com. hostmaster.example.com. 2026010101 3600 600 604800 120";
const SUBNET: &str = "+subnet=198.51.100.0/24";
const UNSCOPED: &str = "opt 1232 subnet=198.51.100.0/24/0";
const SCOPED: &str = "opt 1232 subnet=198.51.100.0/24/20";

#[test]
fn steered_names_answer_a_and_aaaa() {
    check("geo.example.com A", &["NOERROR aa", "an geo.example.com. 30 A 192.0.2.80"]);
    check("geo.example.com AAAA", &["NOERROR aa", "an geo.example.com. 30 AAAA 2001:db8::80"]);
    check("geo.example.com MX", &["NOERROR aa", SOA]);
    check("geo.example.com HTTPS", &["NOERROR aa", SOA]);
    check("below.geo.example.com A", &["NXDOMAIN aa", SOA]);
}

#[test]
fn r14_other_static_types_may_stand_beside_a_service() {
    check("geo.example.com TXT", &["NOERROR aa", "an geo.example.com. 300 TXT beside"]);
    check("geo.example.com ANY", &["NOERROR aa", "an geo.example.com. 300 TXT beside"]);
    check("into.example.com ANY", &["NOERROR aa", "an into.example.com. 3600 HINFO RFC8482 "]);
}

#[test]
fn r14_steered_wildcards_and_a_steered_apex() {
    check("any.wild.example.com A", &["NOERROR aa", "an any.wild.example.com. 30 A 192.0.2.80"]);
    check("a.b.wild.example.com A", &["NOERROR aa", "an a.b.wild.example.com. 30 A 192.0.2.80"]);
    check("any.wild.example.com TXT", &["NOERROR aa", SOA]);
    check("wild.example.com A", &["NOERROR aa", SOA]);
    check("example.com A", &["NOERROR aa", "an example.com. 30 A 192.0.2.80"]);
    check("example.com TXT", &["NOERROR aa", "an example.com. 300 TXT the top"]);
    check("any.hosts.example.com A", &["NOERROR aa", "an any.hosts.example.com. 30 CNAME lb.example.net."]);
}

#[test]
fn r14_a_service_of_host_names_answers_cname_for_every_type() {
    for rtype in ["A", "AAAA", "CNAME", "TXT", "MX", "ANY", "HTTPS", "TYPE65400"] {
        check(
            &format!("host.example.com {rtype}"),
            &["NOERROR aa", "an host.example.com. 30 CNAME lb.example.net."],
        );
    }
    // Except the two that stand beside a CNAME.
    for rtype in ["TYPE46", "TYPE47"] {
        check(&format!("host.example.com {rtype}"), &["NOERROR aa", SOA]);
    }
}

#[test]
fn rfc7871_7_2_1_a_tailored_answer_has_its_scope() {
    check(
        &format!("geo.example.com A {SUBNET}"),
        &["NOERROR aa", "an geo.example.com. 30 A 192.0.2.80", SCOPED],
    );
    check(
        &format!("geo.example.com A {SUBNET} +tcp"),
        &["NOERROR aa", "an geo.example.com. 30 A 192.0.2.80", SCOPED],
    );
    check(
        &format!("host.example.com A {SUBNET}"),
        &["NOERROR aa", "an host.example.com. 30 CNAME lb.example.net.", SCOPED],
    );
    // Not so what is the same for all.
    check(
        &format!("geo.example.com TXT {SUBNET}"),
        &["NOERROR aa", "an geo.example.com. 300 TXT beside", UNSCOPED],
    );
    check(&format!("geo.example.com MX {SUBNET}"), &["NOERROR aa", SOA, UNSCOPED]);
    check(&format!("empty.example.com A {SUBNET}"), &["NOERROR aa", SOA, UNSCOPED]);
    check(&format!("closed.example.com A {SUBNET}"), &["REFUSED", &format!("{UNSCOPED} error=14")]);
    check("geo.example.com A +edns", &["NOERROR aa", "an geo.example.com. 30 A 192.0.2.80", "opt 1232"]);
}

#[test]
fn rfc7871_7_1_2_a_source_length_of_0_is_not_used() {
    check(
        "geo.example.com A +subnet=0.0.0.0/0",
        &["NOERROR aa", "an geo.example.com. 30 A 192.0.2.80", "opt 1232 subnet=0.0.0.0/0/0"],
    );
    check(
        "geo.example.com A +subnet=::/0",
        &["NOERROR aa", "an geo.example.com. 30 A 192.0.2.80", "opt 1232 subnet=::/0/0"],
    );
}

#[test]
fn r15_with_a_subnet_a_chain_stops_before_what_is_tailored() {
    let link = "an togeo.example.com. 300 CNAME geo.example.com.";
    check(&format!("togeo.example.com A {SUBNET}"), &["NOERROR aa", link, UNSCOPED]);
    check(
        &format!("togeo2.example.com A {SUBNET}"),
        &["NOERROR aa", "an togeo2.example.com. 300 CNAME togeo.example.com.", link, UNSCOPED],
    );
    check("togeo.example.com A +subnet=0.0.0.0/0", &["NOERROR aa", link, "opt 1232 subnet=0.0.0.0/0/0"]);
    check("togeo.example.com A", &["NOERROR aa", link, "an geo.example.com. 30 A 192.0.2.80"]);
    check(
        "togeo.example.com A +edns",
        &["NOERROR aa", link, "an geo.example.com. 30 A 192.0.2.80", "opt 1232"],
    );
    check("togeo.example.com MX", &["NOERROR aa", link, SOA]);
    // What stands beside the service is the same for all.
    check(
        &format!("togeo.example.com TXT {SUBNET}"),
        &["NOERROR aa", link, "an geo.example.com. 300 TXT beside", UNSCOPED],
    );
    check(
        "tohost.example.com A",
        &[
            "NOERROR aa",
            "an tohost.example.com. 300 CNAME host.example.com.",
            "an host.example.com. 30 CNAME lb.example.net.",
        ],
    );
}

#[test]
fn r9_nodata_and_refuse() {
    check("empty.example.com A", &["NOERROR aa", SOA]);
    check("closed.example.com A", &["REFUSED"]);
    check(
        "toclosed.example.com A",
        &["NOERROR aa", "an toclosed.example.com. 300 CNAME closed.example.com."],
    );
}

#[test]
fn rfc2181_9_steered_rrsets_are_whole_or_truncated() {
    check("many.example.com A", &["NOERROR aa tc"]);
    let (fixture, ask) = (Fixture::new(), ask("many.example.com A +tcp"));
    let got = send(&fixture, &ask.asked, &ask.packet).unwrap();
    assert_eq!(lines(&got.octets).len(), 201);
    assert_eq!(got.octets.len(), 12 + 22 + 200 * 16);
}

#[test]
fn the_note_says_what_to_count() {
    let fixture = Fixture::new();
    let note = |line: &str| {
        let ask = ask(line);
        send(&fixture, &ask.asked, &ask.packet).unwrap().note
    };
    let steered = note(&format!("geo.example.com A {SUBNET}"));
    assert_eq!(steered.counters, [CounterId(5)]);
    assert_eq!(steered.zone, Some(ZoneId(0)));
    assert_eq!(steered.edns, EdnsSeen::ClientSubnet);
    let prefix = ClientPrefix::new("198.51.100.0".parse().unwrap(), 24);
    assert_eq!(steered.steered, Some((ServiceId(0), prefix)));
    let by_resolver = note("geo.example.com A");
    let resolver = ClientPrefix::host("203.0.113.53".parse().unwrap());
    assert_eq!(by_resolver.steered, Some((ServiceId(0), resolver)));
    let fixed = note("www.example.com A +edns");
    assert_eq!((fixed.steered, fixed.counters, fixed.edns), (None, &[][..], EdnsSeen::Plain));
    assert_eq!(note("other.test A").zone, None);
    assert_eq!(note("www.child.example.com A").zone, Some(ZoneId(1)));
    assert_eq!(note("many.example.com A").size, Size::Truncated);
    assert_eq!(note("many.example.com A").counters, []);
}
