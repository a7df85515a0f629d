//! DNS cookies (RFC 7873, RFC 9018), and what becomes of queries from beyond a limit.

use super::*;
use crate::cookie::{Secret, Secrets};
use crate::limit::Admission;

/// What clients here call themselves.
const CLIENT: &str = "2464c4abcf10c957";
/// The cookie of 203.0.113.53 at 1970-01-01T00:00:00Z.
const COOKIE: &str = "2464c4abcf10c9570100000000000000";

fn fixture() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.settings.protection.cookies = Some(Secrets::new(Secret([7; 16]), &[]));
    fixture
}

/// A cookie that is valid here.
fn valid() -> String {
    let fixture = fixture();
    let question = ask(&format!("www.example.com A +cookie={CLIENT}"));
    let got = send(&fixture, &question.asked, &question.packet).ok().unwrap();
    let lines = lines(&got.octets);
    let cookie = lines.last().unwrap().split_once("cookie=").unwrap().1;
    assert!(cookie.starts_with(COOKIE) && cookie.len() == 48, "{cookie}");
    cookie.to_owned()
}

/// The first and the last line of the reply, and what was noted of its cookie.
#[track_caller]
fn check(fixture: &Fixture, question: &str, admission: Admission, expected: &[&str], worth: Option<Worth>) {
    let question = ask(question);
    let asked = Asked { admission, ..question.asked };
    let Ok(got) = send(fixture, &asked, &question.packet) else { panic!("no reply") };
    let lines = lines(&got.octets);
    let valid = valid();
    let shown: Vec<String> = [lines.first(), lines.last()]
        .into_iter()
        .flatten()
        .map(|line| line.replace(&valid, "GOOD").replace(CLIENT, "CLIENT"))
        .collect();
    assert_eq!(shown, expected);
    assert_eq!(got.note.cookie, worth);
}

#[test]
fn rfc7873_5_2_3_a_client_cookie_gets_an_answer_and_a_server_cookie() {
    for transport in ["", "+tcp", "+tls", "+https", "+quic"] {
        check(
            &fixture(),
            &format!("www.example.com A {transport} +cookie={CLIENT}"),
            Admission::Within,
            &["NOERROR aa", "opt 1232 cookie=GOOD"],
            Some(Worth::ClientOnly),
        );
    }
}

#[test]
fn rfc7873_5_2_4_a_wrong_cookie_is_as_none() {
    for wrong in ["0100000000000000ffffffffffffffff", "ffffffffffffffff", &"ff".repeat(32)] {
        check(
            &fixture(),
            &format!("www.example.com A +cookie={CLIENT}{wrong}"),
            Admission::Within,
            &["NOERROR aa", "opt 1232 cookie=GOOD"],
            Some(Worth::Invalid),
        );
    }
}

#[test]
fn rfc7873_5_2_5_a_right_cookie_comes_back_with_every_kind_of_answer() {
    let cookie = valid();
    for (question, first) in [
        ("www.example.com A", "NOERROR aa"),
        ("nothing.example.com A", "NXDOMAIN aa"),
        ("geo.example.com A", "NOERROR aa"),
        ("example.com AXFR", "REFUSED"),
    ] {
        let question = format!("{question} +cookie={cookie}");
        let question = ask(&question);
        let fixture = fixture();
        let got = send(&fixture, &question.asked, &question.packet).ok().unwrap();
        let lines = lines(&got.octets);
        assert_eq!(lines[0], first);
        assert!(lines.last().unwrap().contains(&format!("cookie={cookie}")), "{lines:?}");
        assert_eq!(got.note.cookie, Some(Worth::Valid));
    }
}

#[test]
fn rfc7873_5_2_2_other_lengths_are_formerr_without_a_cookie() {
    for length in [0, 1, 7, 9, 15, 41, 64] {
        let question = format!("www.example.com A +cookie={}", "24".repeat(length));
        check(&fixture(), &question, Admission::Within, &["FORMERR", "opt 1232"], None);
    }
}

#[test]
fn rfc7873_4_of_several_cookies_the_first_counts() {
    check(
        &fixture(),
        &format!("www.example.com A +cookie={CLIENT} +cookie=00"),
        Admission::Within,
        &["NOERROR aa", "opt 1232 cookie=GOOD"],
        Some(Worth::ClientOnly),
    );
}

#[test]
fn rfc7873_5_4_a_cookie_can_be_had_without_a_question() {
    let check = |cookie: &str, expected: &[&str]| {
        let fixture = fixture();
        let mut packet = vec![0xab, 0xcd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 41, 4, 0xd0, 0, 0, 0, 0];
        let data = option(10, &octets_of(cookie));
        packet.extend((data.len() as u16).to_be_bytes());
        packet.extend(data);
        let got = send(&fixture, &ask("www.example.com A").asked, &packet).ok().unwrap();
        let valid = valid();
        let shown: Vec<String> = lines(&got.octets).iter().map(|line| line.replace(&valid, "GOOD")).collect();
        assert_eq!(shown, expected, "{cookie}");
        assert_eq!(got.octets[4..12], [0, 0, 0, 0, 0, 0, 0, 1], "no question");
    };
    check(CLIENT, &["NOERROR", "opt 1232 cookie=GOOD"]);
    check(&valid(), &["NOERROR", "opt 1232 cookie=GOOD"]);
    check(&format!("{CLIENT}ffffffffffffffff"), &["BADCOOKIE", "opt 1232 cookie=GOOD"]);
    check("00", &["FORMERR", "opt 1232"]);
}

#[test]
fn without_secrets_the_option_is_passed_over() {
    let fixture = Fixture::new();
    let question = format!("www.example.com A +cookie={CLIENT}");
    check(&fixture, &question, Admission::Within, &["NOERROR aa", "opt 1232"], None);
}

#[test]
fn beyond_a_limit_a_valid_cookie_is_answered_and_all_else_gets_no_more_than_it_sent() {
    let (fixture, valid) = (fixture(), valid());
    let slip = Admission::Slip;
    check(
        &fixture,
        &format!("www.example.com A +cookie={valid}"),
        slip,
        &["NOERROR aa", "opt 1232 cookie=GOOD"],
        Some(Worth::Valid),
    );
    check(
        &fixture,
        &format!("www.example.com A +cookie={CLIENT}"),
        slip,
        &["BADCOOKIE", "opt 1232 cookie=GOOD"],
        Some(Worth::ClientOnly),
    );
    check(&fixture, "www.example.com A", slip, &["NOERROR tc", "NOERROR tc"], None);
    check(&fixture, "www.example.com A +nsid", slip, &["NOERROR tc", "opt 1232"], None);
    let subnet = "geo.example.com A +do +subnet=192.0.2.0/24";
    check(&fixture, subnet, slip, &["NOERROR tc", "opt 1232 do subnet=192.0.2.0/24/0"], None);
    for question in ["www.example.com A", "big.example.com TXT +edns", "example.com ANY +do +nsid", subnet] {
        let question = ask(question);
        let asked = Asked { admission: slip, ..question.asked };
        let got = send(&fixture, &asked, &question.packet).ok().unwrap();
        assert!(got.octets.len() <= question.packet.len());
        assert_eq!(got.note.limited, Some(Limited::Truncated));
    }
}

#[test]
fn beyond_a_limit_nothing_is_said_where_nothing_can_be_gained() {
    let (fixture, valid) = (fixture(), valid());
    let check = |admission, packet: &[u8], expected: Option<DropReason>| {
        let asked = Asked { admission, ..ask("www.example.com A").asked };
        assert_eq!(send(&fixture, &asked, packet).err(), expected);
    };
    let question = ask("www.example.com A +edns").packet;
    check(Admission::Drop, &question, Some(DropReason::Limited));
    check(Admission::Drop, &ask(&format!("www.example.com A +cookie={valid}")).packet, None);
    // Malformed, no query at all, a notice.
    check(Admission::Slip, &question[..20], Some(DropReason::Limited));
    check(Admission::Slip, &question[..3], Some(DropReason::Short));
    let mut other = question;
    other[2] = 0x20;
    check(Admission::Slip, &other, Some(DropReason::Limited));
    other[2] = 0x80;
    check(Admission::Slip, &other, Some(DropReason::Response));
}

#[test]
fn without_a_valid_cookie_an_answer_can_be_held_smaller() {
    let mut fixture = fixture();
    fixture.settings.udp_payload_max = 4096;
    fixture.settings.protection.udp_payload_unproven_max = 512;
    let valid = valid();
    let check = |cookie: &str, expected: &str| {
        let question = ask(&format!("big.example.com TXT +bufsize=4096{cookie}"));
        let got = send(&fixture, &question.asked, &question.packet).ok().unwrap();
        assert_eq!(lines(&got.octets)[0], expected, "{cookie}");
    };
    check("", "NOERROR aa tc");
    check(&format!(" +cookie={CLIENT}"), "NOERROR aa tc");
    check(&format!(" +cookie={valid}"), "NOERROR aa");
    check(" +tcp", "NOERROR aa");
}
