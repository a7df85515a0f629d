//! Zones from primaries that have expired, or of which nothing has come yet.

use super::*;
use crate::zone::Validity;

/// What `example.com` answers in that state; its zone below goes on.
#[track_caller]
fn check_in(validity: Validity, line: &str, expected: &[&str]) {
    let mut fixture = Fixture::new();
    let catalog = fixture.catalog.clone();
    fixture.catalog = catalog.with_validity(std::iter::once((ZoneId(0), validity)));
    let ask = ask(line);
    let got = send(&fixture, &ask.asked, &ask.packet).unwrap();
    assert_eq!(lines(&got.octets), expected, "{line} {validity:?}");
}

#[test]
fn rfc1034_4_3_5_an_expired_zone_is_not_answered_but_for_steered_names() {
    let check = |line: &str, expected: &[&str]| check_in(Validity::Expired, line, expected);
    for line in [
        "example.com SOA +edns",
        "example.com NS +edns",
        "nowhere.example.com A +edns",
        "a.b.c.example.com TXT +edns",
        // Steered, and without an answer of its own: the denial's SOA would be the primary's.
        "geo.example.com MX +edns",
        "empty.example.com A +edns",
    ] {
        check(line, &["SERVFAIL", "opt 1232 error=24"]);
    }
    check("geo.example.com A", &["NOERROR aa", "an geo.example.com. 30 A 192.0.2.80"]);
    check("example.com A", &["NOERROR aa", "an example.com. 30 A 192.0.2.80"]);
    check("x.wild.example.com AAAA", &["NOERROR aa", "an x.wild.example.com. 30 AAAA 2001:db8::80"]);
}

#[test]
fn a_zone_of_which_nothing_has_come_is_not_answered_at_all() {
    for line in ["example.com SOA +edns", "geo.example.com A +edns", "nowhere.example.com A +edns"] {
        check_in(Validity::Missing, line, &["SERVFAIL", "opt 1232 error=14"]);
    }
    // Other zones know nothing of that.
    check_in(Validity::Missing, "nothing.dname.test TXT +edns", &check_again("nothing.dname.test TXT +edns"));
}

/// What is answered where everything is well.
fn check_again(line: &str) -> Vec<&'static str> {
    let (fixture, ask) = (Fixture::new(), ask(line));
    let got = send(&fixture, &ask.asked, &ask.packet).unwrap();
    lines(&got.octets).into_iter().map(|line| &*line.leak()).collect()
}
