//! What comes along in the additional section.

use super::*;

const MAIL: &str = "ar mail.example.com. 300 A 192.0.2.25";
const NS1: [&str; 2] = ["ar ns1.example.com. 300 A 192.0.2.53", "ar ns1.example.com. 300 AAAA 2001:db8::53"];

/// The reply but the answer itself.
fn besides(line: &str) -> Vec<String> {
    let (fixture, ask) = (Fixture::new(), ask(line));
    let lines = lines(&send(&fixture, &ask.asked, &ask.packet).unwrap().octets);
    assert_eq!(lines[0], "NOERROR aa", "{line}");
    lines.into_iter().skip(1).filter(|line| !line.starts_with("an ")).collect()
}

#[test]
fn rfc1035_3_3_9_addresses_of_mail_exchanges_come_along() {
    // Once each; neither a steered name (R15), nor one below a cut, an alias, or another zone's.
    assert_eq!(besides("mx.example.com MX"), [MAIL, "ar any.w.example.com. 300 A 192.0.2.7"]);
    assert_eq!(besides("www.example.com A"), [""; 0]);
    assert_eq!(besides("mx.example.com ANY"), [""; 0]);
}

#[test]
fn rfc9460_4_1_bindings_bring_what_they_lead_to() {
    assert_eq!(besides("svcto.example.com HTTPS"), NS1);
    assert_eq!(besides("svcown.example.com HTTPS"), ["ar svcown.example.com. 300 A 192.0.2.12"]);
    let to = "ar svcto.example.com. 300 HTTPS 1 ns1.example.com.";
    assert_eq!(besides("svcalias.example.com HTTPS"), [to, NS1[0], NS1[1]]);
    assert_eq!(besides("svcgeo.example.com HTTPS"), [""; 0]);
    assert_eq!(besides("svcout.example.com HTTPS"), [""; 0]);
    let ring = ["ar svcring2.example.com. 300 HTTPS 0 svcring.example.com."];
    assert_eq!(besides("svcring.example.com HTTPS"), ring);
}

#[test]
fn rfc3404_4_3_rules_that_end_bring_what_they_end_at() {
    assert_eq!(besides("addresses.example.com NAPTR"), [MAIL]);
    let location = besides("location.example.com NAPTR");
    assert_eq!(location[0], "ar srv.example.com. 300 SRV 1 2 443 www.example.com.");
    assert_eq!(location.len(), 3);
    assert_eq!(besides("goingon.example.com NAPTR"), [""; 0]);
}

#[test]
fn rfc2181_9_what_is_not_needed_never_truncates() {
    assert_eq!(besides("bigmx.example.com MX"), ["ar m10.example.com. 300 A 192.0.2.10"]);
    assert_eq!(besides("bigmx.example.com MX +bufsize=512"), ["opt 1232"]);
    assert_eq!(besides("bigmx.example.com MX +tcp").len(), 16);
}

#[test]
fn minimal_responses_leave_it_out_but_for_glue() {
    let mut fixture = Fixture::new();
    fixture.settings.additional = crate::view::Additional::Minimal;
    let sent = |line: &str| {
        let ask = ask(line);
        lines(&send(&fixture, &ask.asked, &ask.packet).unwrap().octets)
    };
    for line in ["mx.example.com MX", "example.com NS", "svcalias.example.com HTTPS", "srv.example.com SRV"] {
        assert!(!sent(line).iter().any(|line| line.starts_with("ar ")), "{line}");
    }
    assert!(sent("x.cut.example.com A").iter().any(|line| line.starts_with("ar ns.cut.")));
}
