//! What is answered from static data.

use super::*;

const MAIL: &str = "ar mail.example.com. 300 A 192.0.2.25";
const SRV: &str = "an srv.example.com. 300 SRV 1 2 443 www.example.com.";
const WWW: [&str; 2] = ["ar www.example.com. 300 A 192.0.2.1", "ar www.example.com. 300 A 192.0.2.2"];

const SOA: &str =
    "ns example.com. 120 SOA ns1.example.com. hostmaster.example.com. 2026010101 3600 600 604800 120";

#[test]
fn rfc1034_4_3_2_exact_match_gives_the_whole_rrset() {
    check(
        "www.example.com A",
        &["NOERROR aa", "an www.example.com. 300 A 192.0.2.1", "an www.example.com. 300 A 192.0.2.2"],
    );
    check("www.example.com TXT", &["NOERROR aa", "an www.example.com. 300 TXT hello"]);
    check("short.example.com TXT", &["NOERROR aa", "an short.example.com. 30 TXT x"]);
    check(
        "example.com NS",
        &[
            "NOERROR aa",
            "an example.com. 300 NS ns1.example.com.",
            "an example.com. 300 NS ns2.example.net.",
            "ar ns1.example.com. 300 A 192.0.2.53",
            "ar ns1.example.com. 300 AAAA 2001:db8::53",
        ],
    );
    check(
        "example.com SOA",
        &[
            "NOERROR aa",
            "an example.com. 3600 SOA ns1.example.com. hostmaster.example.com. 2026010101 3600 600 604800 120",
        ],
    );
    check("example.com MX", &["NOERROR aa", "an example.com. 300 MX 10 mail.example.com.", MAIL]);
    check("ptr.example.com PTR", &["NOERROR aa", "an ptr.example.com. 300 PTR www.example.com."]);
    check("srv.example.com SRV", &["NOERROR aa", SRV, WWW[0], WWW[1]]);
    check("caa.example.com CAA", &["NOERROR aa", "an caa.example.com. 300 CAA 0 issue \"ca.example.net\""]);
    check("svc.example.com HTTPS", &["NOERROR aa", "an svc.example.com. 300 HTTPS 1 . alpn=h2,"]);
}

#[test]
fn rfc4343_names_match_in_any_case_and_come_back_as_asked() {
    check("WwW.eXample.COM TXT", &["NOERROR aa", "an WwW.eXample.COM. 300 TXT hello"]);
    check("Any.W.eXample.com TXT", &["NOERROR aa", "an Any.W.eXample.com. 300 TXT wild"]);
    check("GEO.example.com A", &["NOERROR aa", "an GEO.example.com. 30 A 192.0.2.80"]);
}

#[test]
fn rfc2308_2_1_nxdomain_carries_soa() {
    check("missing.example.com A", &["NXDOMAIN aa", SOA]);
    check("a.b.c.d.e.f.missing.example.com TXT", &["NXDOMAIN aa", SOA]);
}

#[test]
fn rfc2308_2_2_nodata_carries_soa_with_the_lower_ttl() {
    check("www.example.com AAAA", &["NOERROR aa", SOA]);
    check("www.example.com TYPE65400", &["NOERROR aa", SOA]);
    check("www.example.com TYPE250", &["NOERROR aa", SOA]);
}

#[test]
fn rfc8020_empty_non_terminals_are_nodata() {
    check("ent.example.com A", &["NOERROR aa", SOA]);
    check("b.ent.example.com A", &["NOERROR aa", SOA]);
    check("x.ent.example.com A", &["NXDOMAIN aa", SOA]);
    check("ent.example.com ANY", &["NOERROR aa", SOA]);
}

#[test]
fn rfc4592_wildcards() {
    check("any.w.example.com A", &["NOERROR aa", "an any.w.example.com. 300 A 192.0.2.7"]);
    check("deep.any.w.example.com A", &["NOERROR aa", "an deep.any.w.example.com. 300 A 192.0.2.7"]);
    check("any.w.example.com MX", &["NOERROR aa", SOA]);
    check("any.w.example.com ANY", &["NOERROR aa", "an any.w.example.com. 300 A 192.0.2.7"]);
    // The wildcard's own name, and what is below it.
    check("*.w.example.com A", &["NOERROR aa", "an *.w.example.com. 300 A 192.0.2.7"]);
    check("below.*.w.example.com A", &["NOERROR aa", "an below.*.w.example.com. 300 A 192.0.2.10"]);
    check("other.*.w.example.com A", &["NXDOMAIN aa", SOA]);
    // An existing name blocks it, also an empty non-terminal, and so does whatever is below either.
    check("here.w.example.com TXT", &["NOERROR aa", SOA]);
    check("below.here.w.example.com A", &["NXDOMAIN aa", SOA]);
    check("ent.w.example.com A", &["NOERROR aa", SOA]);
    check("y.ent.w.example.com A", &["NXDOMAIN aa", SOA]);
    check("w.example.com A", &["NOERROR aa", SOA]);
    check("any.sub.w.example.com A", &["NOERROR aa", SOA]);
    check(
        "any.sub.w.example.com MX",
        &["NOERROR aa", "an any.sub.w.example.com. 300 MX 5 mail.example.com.", MAIL],
    );
    // A wildcard CNAME is followed.
    check(
        "any.wc.example.com TXT",
        &[
            "NOERROR aa",
            "an any.wc.example.com. 300 CNAME www.example.com.",
            "an www.example.com. 300 TXT hello",
        ],
    );
}

#[test]
fn rfc1034_3_6_2_cname_chains_inside_the_zone() {
    check(
        "alias.example.com TXT",
        &[
            "NOERROR aa",
            "an alias.example.com. 300 CNAME www.example.com.",
            "an www.example.com. 300 TXT hello",
        ],
    );
    check(
        "alias2.example.com TXT",
        &[
            "NOERROR aa",
            "an alias2.example.com. 300 CNAME alias.example.com.",
            "an alias.example.com. 300 CNAME www.example.com.",
            "an www.example.com. 300 TXT hello",
        ],
    );
    check("alias2.example.com CNAME", &["NOERROR aa", "an alias2.example.com. 300 CNAME alias.example.com."]);
    check("alias.example.com ANY", &["NOERROR aa", "an alias.example.com. 300 CNAME www.example.com."]);
    check("away.example.com A", &["NOERROR aa", "an away.example.com. 300 CNAME www.example.org."]);
    check(
        "towild.example.com TXT",
        &[
            "NOERROR aa",
            "an towild.example.com. 300 CNAME any.w.example.com.",
            "an any.w.example.com. 300 TXT wild",
        ],
    );
}

#[test]
fn rfc6604_the_rcode_is_that_of_the_end_of_the_chain() {
    check(
        "nowhere.example.com A",
        &["NXDOMAIN aa", "an nowhere.example.com. 300 CNAME missing.example.com.", SOA],
    );
    check("noA.example.com A", &["NOERROR aa", "an noA.example.com. 300 CNAME short.example.com.", SOA]);
}

#[test]
fn rfc1034_3_6_2_loops_of_aliases_are_bounded() {
    check(
        "loop1.example.com A",
        &[
            "NOERROR aa",
            "an loop1.example.com. 300 CNAME loop2.example.com.",
            "an loop2.example.com. 300 CNAME loop1.example.com.",
        ],
    );
    check("self.example.com A", &["NOERROR aa", "an self.example.com. 300 CNAME self.example.com."]);
    check(
        "b.loopy.example.com A",
        &[
            "NOERROR aa",
            "an b.loopy.example.com. 300 CNAME a.loopy.example.com.",
            "an a.loopy.example.com. 300 CNAME a.loopy.example.com.",
        ],
    );
    let chain: Vec<String> =
        (1..=8).map(|i| format!("an c{i}.example.com. 300 CNAME c{}.example.com.", i + 1)).collect();
    let expected: Vec<&str> = std::iter::once("NOERROR aa").chain(chain.iter().map(String::as_str)).collect();
    check("c1.example.com A", &expected);
    let fixture = Fixture::new();
    let ask = ask("x.loop.dname.test A");
    assert_eq!(lines(&send(&fixture, &ask.asked, &ask.packet).unwrap().octets).len(), 1 + 8 + 2);
}

const CUT: [&str; 11] = [
    "ns cut.example.com. 300 NS ns.cut.example.com.",
    "ns cut.example.com. 300 NS ns2.cut.example.com.",
    "ns cut.example.com. 300 NS ns.other.example.com.",
    "ns cut.example.com. 300 NS ns1.example.com.",
    "ns cut.example.com. 300 NS ns.example.org.",
    "ar ns.cut.example.com. 300 A 192.0.2.30",
    "ar ns.cut.example.com. 300 AAAA 2001:db8::30",
    "ar ns2.cut.example.com. 300 A 192.0.2.31",
    "ar ns.other.example.com. 300 A 192.0.2.32",
    "ar ns1.example.com. 300 A 192.0.2.53",
    "ar ns1.example.com. 300 AAAA 2001:db8::53",
];

#[test]
fn rfc1034_4_3_2_at_or_below_a_cut_is_a_referral() {
    let referral = [&["NOERROR"][..], &CUT].concat();
    check("cut.example.com A", &referral);
    check("cut.example.com NS", &referral);
    check("cut.example.com ANY", &referral);
    check("www.cut.example.com A", &referral);
    check("a.b.c.ns.cut.example.com A", &referral);
    check("ns.cut.example.com A", &referral);
    check("www.cut.example.com DS", &referral);
    check("far.example.com A", &["NOERROR", "ns far.example.com. 300 NS ns.example.org."]);
    let behind_alias =
        [&["NOERROR aa", "an tocut.example.com. 300 CNAME www.cut.example.com."][..], &CUT].concat();
    check("tocut.example.com A", &behind_alias);
}

#[test]
fn rfc4035_3_1_4_1_ds_at_a_cut_is_the_parents() {
    check("cut.example.com DS", &["NOERROR aa", "an cut.example.com. 300 DS AAEIAgARIjM="]);
    check("far.example.com DS", &["NOERROR aa", SOA]);
    // Also where the child is served here too.
    check("child.example.com DS", &["NOERROR aa", "an child.example.com. 300 DS AAIIAkRVZnc="]);
    check(
        "child.example.com NS",
        &[
            "NOERROR aa",
            "an child.example.com. 60 NS ns.child.example.com.",
            "ar ns.child.example.com. 60 A 192.0.2.2",
        ],
    );
    check("www.child.example.com A", &["NOERROR aa", "an www.child.example.com. 60 A 192.0.2.3"]);
    // Without a parent here the child says that it has none.
    check("example.com DS", &["NOERROR aa", SOA]);
}

#[test]
fn rfc9471_3_all_in_domain_glue_or_tc() {
    let count = |line: &str| {
        let (fixture, ask) = (Fixture::new(), ask(line));
        let lines = lines(&send(&fixture, &ask.asked, &ask.packet).unwrap().octets);
        let of = |section: &str| lines.iter().filter(|line| line.starts_with(section)).count();
        (lines[0].clone(), of("ns "), of("ar "))
    };
    let (head, servers, glue) = count("x.wide.example.com A");
    assert_eq!((head.as_str(), servers), ("NOERROR tc", 13));
    assert!(glue < 26);
    assert_eq!(count("x.wide.example.com A +bufsize=1232"), ("NOERROR".to_owned(), 13, 26));
    assert_eq!(count("x.wide.example.com A +tcp"), ("NOERROR".to_owned(), 13, 26));
}

#[test]
fn rfc2181_9_tc_only_for_whole_rrsets_that_are_needed() {
    check("big.example.com TXT", &["NOERROR aa tc"]);
    check("big.example.com TXT +bufsize=4096", &["NOERROR aa tc", "opt 1232"]);
    let fixture = Fixture::new();
    let ask = ask("big.example.com TXT +tcp");
    let got = lines(&send(&fixture, &ask.asked, &ask.packet).unwrap().octets);
    assert_eq!((got[0].as_str(), got.len()), ("NOERROR aa", 31));
}

#[test]
fn rfc6672_3_dname_and_its_cname() {
    check(
        "www.old.dname.test A",
        &[
            "NOERROR aa",
            "an old.dname.test. 60 DNAME A25ldwVkbmFtZQR0ZXN0AA==",
            "an www.old.dname.test. 60 CNAME www.new.dname.test.",
            "an www.new.dname.test. 60 A 192.0.2.5",
        ],
    );
    check(
        "x.y.away.dname.test A",
        &[
            "NOERROR aa",
            "an away.dname.test. 60 DNAME B2V4YW1wbGUDbmV0AA==",
            "an x.y.away.dname.test. 60 CNAME x.y.example.net.",
        ],
    );
    // The CNAME is the answer to who asks for one, wherever it leads.
    check(
        "a.old.dname.test CNAME",
        &[
            "NOERROR aa",
            "an old.dname.test. 60 DNAME A25ldwVkbmFtZQR0ZXN0AA==",
            "an a.old.dname.test. 60 CNAME a.new.dname.test.",
        ],
    );
    check(
        "a.old.dname.test A",
        &[
            "NXDOMAIN aa",
            "an old.dname.test. 60 DNAME A25ldwVkbmFtZQR0ZXN0AA==",
            "an a.old.dname.test. 60 CNAME a.new.dname.test.",
            "ns dname.test. 5 SOA ns.example.com. h.dname.test. 1 2 3 4 5",
        ],
    );
    // The owner itself is not redirected.
    check("old.dname.test TXT", &["NOERROR aa", "an old.dname.test. 60 TXT self"]);
    check("old.dname.test DNAME", &["NOERROR aa", "an old.dname.test. 60 DNAME A25ldwVkbmFtZQR0ZXN0AA=="]);
    check(
        "old.dname.test A",
        &["NOERROR aa", "ns dname.test. 5 SOA ns.example.com. h.dname.test. 1 2 3 4 5"],
    );
}

#[test]
fn rfc6672_2_2_a_name_that_gets_too_long_is_yxdomain() {
    let long = ["y".repeat(60), "z".repeat(20)].join(".");
    let (fixture, ask) = (Fixture::new(), ask(&format!("{long}.d.long.test A")));
    let got = lines(&send(&fixture, &ask.asked, &ask.packet).unwrap().octets);
    assert_eq!((got[0].as_str(), got.len()), ("YXDOMAIN aa", 2));
}

#[test]
fn rfc3597_4_unknown_types_are_served_octet_for_octet() {
    check("unknown.example.com TYPE65400", &["NOERROR aa", "an unknown.example.com. 300 Unknown AP8Q"]);
}

#[test]
fn rfc8482_4_1_any_gets_one_rrset() {
    check("www.example.com ANY", &["NOERROR aa", "an www.example.com. 300 TXT hello"]);
    check("missing.example.com ANY", &["NXDOMAIN aa", SOA]);
}

#[test]
fn rfc8906_2_what_is_not_ours_is_refused() {
    for name in ["other.test", "com", ".", "xexample.com", "example.com.other.test"] {
        check(&format!("{name} A"), &["REFUSED"]);
        check(&format!("{name} A +edns"), &["REFUSED", "opt 1232 error=20"]);
    }
    for class in [2, 3, 4, 254, 255, 0, 65535] {
        check(&format!("www.example.com A +class={class}"), &["REFUSED"]);
    }
}

#[test]
fn rfc5936_transfers_are_refused() {
    check("example.com AXFR", &["REFUSED"]);
    check("example.com AXFR +tcp", &["REFUSED"]);
    check("example.com IXFR +edns", &["REFUSED", "opt 1232 error=18"]);
    check("www.example.com AXFR", &["REFUSED"]);
}

#[test]
fn rfc1035_4_1_4_names_are_compressed() {
    let length = |line: &str| {
        let (mut fixture, ask) = (Fixture::new(), ask(line));
        fixture.settings.additional = crate::view::Additional::Minimal;
        send(&fixture, &ask.asked, &ask.packet).unwrap().octets.len()
    };
    // Owner, server and mailbox in 2 + 6 + 13 octets: 12 + 17 + 2 + 10 + 6 + 13 + 20.
    assert_eq!(length("example.com SOA"), 80);
    // SRV's target never: 12 + 21 + 12 + 6 + 17.
    assert_eq!(length("srv.example.com SRV"), 68);
    // MX's target to a pointer: 12 + 17 + 12 + 2 + 7.
    assert_eq!(length("example.com MX"), 50);
    // What follows an SRV record may point to its target: both addresses of it in 16 octets each.
    let (fixture, ask) = (Fixture::new(), ask("srv.example.com SRV"));
    assert_eq!(send(&fixture, &ask.asked, &ask.packet).unwrap().octets.len(), 68 + 2 * 16);
}

#[test]
fn rfc1034_3_6_2_a_question_for_cname_is_not_followed() {
    check("alias2.example.com CNAME", &["NOERROR aa", "an alias2.example.com. 300 CNAME alias.example.com."]);
    check(
        "gone.old.dname.test CNAME",
        &[
            "NOERROR aa",
            "an old.dname.test. 60 DNAME A25ldwVkbmFtZQR0ZXN0AA==",
            "an gone.old.dname.test. 60 CNAME gone.new.dname.test.",
        ],
    );
    check("x.wc.example.com CNAME", &["NOERROR aa", "an x.wc.example.com. 300 CNAME www.example.com."]);
}

#[test]
fn rfc1035_4_1_1_a_header_is_the_querys_but_for_what_the_answer_says() {
    let fixture = Fixture::new();
    for (id, recursion) in [(0u16, 0u8), (1, 1), (0xffff, 0), (0x8000, 1)] {
        let mut ask = ask("www.example.com A");
        ask.packet[..2].copy_from_slice(&id.to_be_bytes());
        ask.packet[2] = recursion;
        let reply = send(&fixture, &ask.asked, &ask.packet).unwrap().octets;
        assert_eq!(reply[..2], id.to_be_bytes());
        // QR, AA, RD as it came; RA, Z, AD and CD never.
        assert_eq!(reply[2..4], [0x84 | recursion, 0]);
        assert_eq!(reply[4..12], [0, 1, 0, 2, 0, 0, 0, 0]);
    }
}

#[test]
fn rfc2181_11_any_octet_can_be_in_a_label() {
    check(
        "\\000\\255\\046.w.example.com TXT",
        &["NOERROR aa", "an \\000\\377\\..w.example.com. 300 TXT wild"],
    );
}

#[test]
fn rfc1996_3_10_and_rfc2136_3_3_notices_and_updates_of_strangers_are_refused() {
    let fixture = Fixture::new();
    for opcode in [4u8, 5] {
        let mut ask = ask("example.com SOA");
        ask.packet[2] = opcode << 3;
        let reply = send(&fixture, &ask.asked, &ask.packet).unwrap().octets;
        assert_eq!((reply[2] >> 3 & 15, reply[3] & 15), (opcode, 5));
    }
}
