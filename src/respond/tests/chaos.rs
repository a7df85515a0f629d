//! Class CH.

use super::*;
use crate::view::Chaos;

fn sent(chaos: Chaos, line: &str) -> Vec<String> {
    let (mut fixture, ask) = (Fixture::new(), ask(line));
    fixture.settings.chaos = chaos;
    lines(&send(&fixture, &ask.asked, &ask.packet).unwrap().octets)
}

fn told() -> Chaos {
    Chaos { version: Some((*b"\x03one").into()), identity: Some((*b"\x04ns-1").into()) }
}

#[test]
fn rfc4892_2_who_and_what_this_is_where_the_operator_tells_it() {
    for name in ["version.bind", "VERSION.server"] {
        let answer = format!("an {name}. 0 CH TXT one");
        assert_eq!(sent(told(), &format!("{name} TXT +class=3")), ["NOERROR aa", &answer]);
    }
    for name in ["id.server", "hostname.bind"] {
        let answer = format!("an {name}. 0 CH TXT ns-1");
        assert_eq!(sent(told(), &format!("{name} TXT +class=3 +edns")), ["NOERROR aa", &answer, "opt 1232"]);
        assert_eq!(sent(told(), &format!("{name} ANY +class=3")), ["NOERROR aa", &answer]);
        assert_eq!(sent(told(), &format!("{name} A +class=3")), ["NOERROR aa"]);
    }
}

#[test]
fn rfc4892_2_refused_unless_it_is_configured() {
    for name in ["version.bind", "version.server", "id.server", "hostname.bind"] {
        let asked = format!("{name} TXT +class=3 +edns");
        assert_eq!(sent(Chaos::default(), &asked), ["REFUSED", "opt 1232 error=18"]);
    }
    for name in ["authors.bind", "bind", ".", "www.example.com", "x.id.server"] {
        let asked = format!("{name} TXT +class=3 +edns");
        assert_eq!(sent(told(), &asked), ["REFUSED", "opt 1232 error=20"], "{name}");
    }
    // In class IN these are names like any other.
    assert_eq!(sent(told(), "id.server TXT"), ["REFUSED"]);
}
