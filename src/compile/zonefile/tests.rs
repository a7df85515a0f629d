//! Zone files with every kind of error, and what is said of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;
use crate::config::Severity;
use crate::wire::{Rtype, name_text};
use crate::zone::Lookup;

const FILE: FileId = FileId(7);
const OTHER: FileId = FileId(8);

/// The head of a sound zone.
const HEAD: &str = "$TTL 300\n@ SOA ns1 hostmaster 1 3600 600 604800 60\n@ NS ns1\nns1 A 192.0.2.1\n";

fn owner(name: &str, alias: bool, place: u32) -> SteeredOwner<'_> {
    let span = Span { file: OTHER, start: place, end: place + 1 };
    SteeredOwner { name, span, service: ServiceId(3), alias, testing: &[] }
}

/// Problems as `line:column: error: message`, the second place and the hint after it.
fn report(text: &[u8], steered: &[SteeredOwner<'_>]) -> (Option<Zone>, Vec<String>) {
    let mut problems = Problems::default();
    let zone = read_zone("example.com", FILE, text, steered, &mut problems);
    let place = |span: Span| {
        if span.file == OTHER {
            return format!("toml:{}", span.start);
        }
        let before = &text[..span.start as usize];
        let line = before.iter().filter(|octet| **octet == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|octet| **octet != b'\n').count() + 1;
        format!("{line}:{column}")
    };
    let lines = problems
        .0
        .iter()
        .map(|problem| {
            let severity = if problem.severity == Severity::Error { "error" } else { "warning" };
            let span = problem.span.map_or("-".to_owned(), place);
            let also = problem
                .also
                .as_ref()
                .map_or(String::new(), |(span, why)| format!(" ({}: {why})", place(*span)));
            format!("{span}: {severity}: {}{also}", problem.message)
        })
        .collect();
    (zone, lines)
}

/// Checks what is said of `HEAD` with `text` after it; `HEAD` has four lines.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    check_steered(text, &[], expected);
}

#[track_caller]
fn check_steered(text: &str, steered: &[SteeredOwner<'_>], expected: &[&str]) {
    let whole = format!("{HEAD}{text}");
    let (zone, lines) = report(whole.as_bytes(), steered);
    assert_eq!(lines, expected, "{text:?}");
    let has_errors = expected.iter().any(|line| line.contains(": error: "));
    assert_eq!(zone.is_none(), has_errors, "{text:?}");
}

#[test]
fn a_forgotten_final_dot_is_noticed() {
    check(
        "a.example.com A 192.0.2.1\nexample.com A 192.0.2.1\nxexample.com A 192.0.2.1\nb.example.com.c A 192.0.2.1\n",
        &[
            "5:1: warning: a.example.com.example.com repeats the zone's name",
            "6:1: warning: example.com.example.com repeats the zone's name",
        ],
    );
    let steered = [owner("www.Example.com", false, 7)];
    check_steered("", &steered, &["toml:7: warning: www.example.com.example.com repeats the zone's name"]);
}

#[test]
fn circles_of_cnames_are_noticed() {
    check(
        "a CNAME b\nb CNAME A\nc CNAME c\nd CNAME a\ne CNAME ns1\n",
        &[
            "5:1: warning: the CNAME of a.example.com leads back to it",
            "6:1: warning: the CNAME of b.example.com leads back to it",
            "7:1: warning: the CNAME of c.example.com leads back to it",
        ],
    );
}

#[test]
fn syntax_errors_have_their_place_and_do_not_hide_each_other() {
    check(
        "a A 192.0.2.300\nb A 192.0.2.1\nc BOGUS 1\n  AAAA ::g\nd A\ne A 192.0.2.1 x\nf IN 300\n",
        &[
            "5:5: error: this A record cannot be read: expected IPv4 address",
            "7:3: error: `BOGUS` is no record type",
            "8:8: error: this AAAA record cannot be read: expected IPv6 address",
            "9:1: error: this A record cannot be read: something is missing at its end",
            "10:15: error: this A record cannot be read: there is more than it takes",
            "11:1: error: this record has no type",
        ],
    );
    check(
        "a TXT \"open\nb A 192.0.2.1\nc A 1.2\n",
        &[
            "5:7: error: this quoted string does not end on its line",
            "7:5: error: this A record cannot be read: expected IPv4 address",
        ],
    );
    check(
        "a TXT (\n x\n y\nb A 1.2\n",
        &[
            "5:7: error: this parenthesis is never closed",
            "8:5: error: this A record cannot be read: expected IPv4 address",
        ],
    );
    check("a TXT )\n", &["5:7: error: this parenthesis was never opened"]);
    check(
        "a..b A 192.0.2.1\n  A 1.2\n",
        &[
            "5:1: error: `a..b` is a name with an empty label",
            "6:5: error: this A record cannot be read: expected IPv4 address",
        ],
    );
    check(
        "b\u{fc}cher A 192.0.2.1\n",
        &["5:1: error: `b\u{fc}cher` is a name with a character to be written as \\DDD, or in its xn-- form"],
    );
    check("a MX 10\n", &["5:6: error: this MX record cannot be read: something is missing at its end"]);
    check("a CH TXT x\n", &["5:3: error: the class CH is not served"]);
    check(
        "a OPT x\na AXFR x\na TKEY x\na TSIG x\na NXNAME x\na ANY x\n",
        &[
            "5:3: error: OPT records cannot be in a zone",
            "6:3: error: AXFR records cannot be in a zone",
            "7:3: error: TYPE249 records cannot be in a zone",
            "8:3: error: TSIG records cannot be in a zone",
            "9:3: error: NXNAME records cannot be in a zone",
            "10:3: error: ANY records cannot be in a zone",
        ],
    );
    check("a 2147483648 A 192.0.2.1\n", &["5:3: error: this TTL is too long"]);
    check("a 1h30 A 192.0.2.1\n", &["5:3: error: `1h30` is no record type"]);
}

#[test]
fn directives_are_read_or_named() {
    check("$INCLUDE other.inc\n", &["5:10: error: this file was not read"]);
    check("$INCLUDE\n", &["5:1: error: $INCLUDE needs a value"]);
    check(
        "$TTL x\n$TTL\n$ORIGIN a..b\n$TTL 1 2\n",
        &[
            "5:6: error: `x` is no TTL",
            "6:1: error: $TTL needs a value",
            "7:9: error: `a..b` is a name with an empty label",
            "8:8: error: $TTL takes one value",
        ],
    );
    check(
        "$ORIGIN sub\na A 192.0.2.1\n$ORIGIN example.net.\na A 192.0.2.1\n",
        &["8:1: error: `a.example.net` is outside the zone example.com"],
    );
    check("$TTL 1h30m\na A 192.0.2.1\nb 1D IN A 192.0.2.1\nc IN 2w A 192.0.2.1\n", &[]);
}

/// The addresses that a generated zone holds, by name.
fn generated(text: &str) -> Vec<String> {
    let (zone, lines) = report(format!("{HEAD}{text}").as_bytes(), &[]);
    assert_eq!(lines, [""; 0], "{text}");
    let mut all = Vec::new();
    let zone = zone.unwrap();
    zone.walk(&mut |name, held| {
        let crate::zone::Held::Rrset(rtype) = held else { return };
        if matches!(rtype, Rtype::SOA | Rtype::NS) || name.octets().starts_with(b"\x03ns1") {
            return;
        }
        let (Lookup::Answer(rrset) | Lookup::Alias(rrset)) = zone.lookup(name, rtype) else { return };
        for rdata in rrset.rdata() {
            let shown = match rtype {
                Rtype::A => rdata.iter().map(u8::to_string).collect::<Vec<_>>().join("."),
                Rtype::PTR | Rtype::CNAME => name_text(rdata),
                _ => String::from_utf8_lossy(rdata).escape_debug().to_string(),
            };
            all.push(format!("{} {rtype} {shown}", name_text(name.octets())));
        }
    });
    all
}

#[test]
fn generate_makes_what_bind_makes() {
    let check = |text: &str, expected: &[&str]| assert_eq!(generated(text), expected, "{text:?}");
    check(
        "$GENERATE 1-3 host$ A 192.0.2.$\n",
        &["host1.example.com A 192.0.2.1", "host2.example.com A 192.0.2.2", "host3.example.com A 192.0.2.3"],
    );
    check(
        "$GENERATE 0-4/2 h-${10,3} 60 IN CNAME t${0,4,x}.example.net.\n",
        &[
            "h-010.example.com CNAME t0000.example.net",
            "h-012.example.com CNAME t0002.example.net",
            "h-014.example.com CNAME t0004.example.net",
        ],
    );
    check("$GENERATE 5-5 a${-3} IN 60 A 192.0.2.${1,0,d}\n", &["a2.example.com A 192.0.2.6"]);
    check("$GENERATE 255-255 a${0,0,X} TXT x${0,4,o}\n", &["aff.example.com TXT \\u{5}x0377"]);
    check("$GENERATE 10-10 ${0,8,n}ip6 PTR a$$b\n", &["a.0.0.0.ip6.example.com PTR a\\$b.example.com"]);
    check("$GENERATE 171-171 ${0,3,N} PTR a\\$b\n", &["b.a.example.com PTR a\\$b.example.com"]);
    check("$GENERATE 1-1 t TXT \"one $\"\n", &["t.example.com TXT \\u{3}one\\u{1}1"]);
    check("$GENERATE 1-1 t TXT one \"two $\"\n", &["t.example.com TXT \\u{3}one\\u{5}two 1"]);
    check(
        "$GENERATE 1-1 m MX \"10 mail$\"\n",
        &["m.example.com MX \\0\\n\\u{5}mail1\\u{7}example\\u{3}com\\0"],
    );
}

#[test]
fn generate_says_what_is_wrong_once() {
    check("$GENERATE 3-1 a$ A 192.0.2.$\n", &["5:11: error: `3-1` is no range of numbers"]);
    check("$GENERATE 1-3/0 a$ A 192.0.2.$\n", &["5:11: error: `1-3/0` is no range of numbers"]);
    check("$GENERATE\n", &["5:1: error: `` is no range of numbers"]);
    check("$GENERATE 1-2\n", &["5:1: error: $GENERATE lacks an owner"]);
    check("$GENERATE 1-2 a$\n", &["5:15: error: this record has no type"]);
    check(
        "$GENERATE 254-300 a$ A 192.0.2.$\n",
        &["5:24: error: this A record cannot be read: expected IPv4 address (5:11: with 256 for `$`)"],
    );
    check(
        "$GENERATE 0-9 a${0,x} A 192.0.2.$\n",
        &[
            "5:15: error: `0,x` is not `offset,width,base` with a base of d, o, x, X, n or N (5:11: with 0 for `$`)",
        ],
    );
    check(
        "$GENERATE 0-9 a${-1} A 192.0.2.$\n",
        &["5:15: error: 0 with an offset of -1 is below 0 (5:11: with 0 for `$`)"],
    );
    check("$GENERATE 0-9 a${0 A 192.0.2.$\n", &["5:15: error: a `{` is not closed (5:11: with 0 for `$`)"]);
    check(
        "$GENERATE 0-9 a${0,64} A 192.0.2.$\n",
        &["5:15: error: a width is at most 63 (5:11: with 0 for `$`)"],
    );
    check(
        "$GENERATE 1-2000000 a$ A 192.0.2.1\n",
        &["5:11: error: the zone generates more than 1048576 records"],
    );
    let long = format!("$GENERATE 1-2 a TXT {}\n", "${0,60}".repeat(60));
    check(&long, &["5:21: error: this becomes longer than 2048 octets (5:11: with 1 for `$`)"]);
}

/// A zone with the files it includes, by name; problems as `file:start: message (file: why)`.
fn included(files: &[(&str, &str)]) -> (Option<Zone>, Vec<String>) {
    let mut sources = Sources::default();
    for (path, text) in files {
        let file = crate::config::SourceFile { path: (*path).to_owned(), bytes: text.as_bytes().to_vec() };
        sources.files.push(file);
    }
    for (number, (_, text)) in files.iter().enumerate() {
        let by = FileId(number as u32);
        for include in includes(by, text.as_bytes()) {
            let file = files.iter().position(|(path, _)| *path == include.name).unwrap();
            sources.included.insert((by, include.name), FileId(file as u32));
        }
    }
    let mut problems = Problems::default();
    let zone = read_zone_of("example.com", FileId(0), &sources, &[], &mut problems);
    let at = |span: Span| {
        let file = &sources.files[span.file.0 as usize];
        let line = file.bytes[..span.start as usize].iter().filter(|octet| **octet == b'\n').count() + 1;
        format!("{}:{line}", file.path)
    };
    let said = problems.0.iter().map(|problem| {
        let also =
            problem.also.as_ref().map_or(String::new(), |(span, why)| format!(" ({}: {why})", at(*span)));
        format!("{}: {}{also}", problem.span.map_or("-".to_owned(), at), problem.message)
    });
    (zone, said.collect())
}

#[test]
fn rfc1035_5_1_an_included_file_has_its_own_origin_and_leaves_the_other_alone() {
    let zone = format!(
        "{HEAD}$ORIGIN sub\nx A 192.0.2.9\n$INCLUDE \"a.inc\" other ; comment\n TXT still-x\nb A 192.0.2.10\n$include a.inc\n"
    );
    let (zone, said) =
        included(&[("zone", &zone), ("a.inc", "@ TXT apex\na A 192.0.2.1\n$ORIGIN deep\nc A 192.0.2.2\n")]);
    assert_eq!(said, [""; 0]);
    let zone = zone.unwrap();
    for name in ["a.other.sub", "c.deep.other.sub", "b.sub", "a.sub", "c.deep.sub"] {
        assert_eq!(data(&zone, name, Rtype::A).len(), 1, "{name}");
    }
    assert_eq!(data(&zone, "x.sub", Rtype::TXT), [b"\x07still-x"]);
    assert_eq!(data(&zone, "other.sub", Rtype::TXT), [b"\x04apex"]);
}

#[test]
fn errors_in_an_included_file_have_their_place_in_it() {
    let zone = format!("{HEAD}\n$INCLUDE a.inc\nlast A 1.2\n");
    let (none, said) = included(&[("zone", &zone), ("a.inc", "ok A 192.0.2.1\nbad A 192.0.2.256\n")]);
    assert!(none.is_none());
    assert_eq!(
        said,
        [
            "zone:7: this A record cannot be read: expected IPv4 address",
            "a.inc:2: this A record cannot be read: expected IPv4 address (zone:6: included here)",
        ]
    );
    let (_, said) = included(&[("zone", &zone.replace("last A 1.2\n", "")), ("a.inc", "\0")]);
    assert_eq!(said, ["a.inc:1: this is no text file: it has an octet 0 (zone:6: included here)"]);
}

#[test]
fn files_that_include_themselves_are_named() {
    let zone = format!("{HEAD}$INCLUDE a\n");
    let (_, said) = included(&[("zone", &zone), ("a", "$INCLUDE b\n"), ("b", "$INCLUDE a\n")]);
    assert_eq!(said, ["b:1: this file includes itself: a -> b -> a (a:1: included here)"]);
    let (_, said) = included(&[("zone", &format!("{HEAD}$INCLUDE zone\n"))]);
    assert_eq!(said, ["zone:5: this file includes itself: zone -> zone"]);
    let deep: Vec<(String, String)> =
        (0..12).map(|i| (format!("f{i}"), format!("{HEAD}$INCLUDE f{}\n", (i + 1).min(11)))).collect();
    let deep: Vec<(&str, &str)> = deep.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let (_, said) = included(&deep);
    assert!(
        said.iter().any(|line| line.contains("f10:5: files include each other more than 10 deep")),
        "{said:?}"
    );
}

#[test]
fn what_a_zone_needs_is_missed() {
    let said = |text: &str| report(text.as_bytes(), &[]).1;
    let both = ["1:1: error: the zone example.com has no SOA", "1:1: error: the zone example.com has no NS"];
    assert_eq!(said(""), both);
    assert_eq!(said("; nothing\n"), both);
    assert_eq!(
        said("@ SOA ns1 h 1 2 3 4 5\n@ NS ns1.example.net.\n"),
        ["1:1: error: this record has no TTL"]
    );
    assert_eq!(
        said(" A 192.0.2.1\n"),
        [
            "1:1: error: the zone example.com has no SOA",
            "1:1: error: the zone example.com has no NS",
            "1:2: error: there is no owner before this record",
            "1:2: error: this record has no TTL"
        ]
    );
}

#[test]
fn what_cannot_stand_together_is_named() {
    check(
        "a CNAME b\na A 192.0.2.1\nb A 192.0.2.1\n",
        &["5:1: error: a.example.com has a CNAME beside other data (6:1: the other data: A)"],
    );
    check(
        "a CNAME b\na CNAME c\n",
        &["6:1: error: a.example.com has more than one CNAME (5:1: the first one)"],
    );
    check(
        "@ CNAME b\n",
        &["5:1: error: example.com has a CNAME beside other data (3:1: the other data: NS)"],
    );
    check(
        "@ SOA ns2 hostmaster 2 3600 600 604800 60\n",
        &["5:1: error: example.com has more than one SOA (2:1: the first one)"],
    );
    check(
        "a SOA ns2 hostmaster 2 3600 600 604800 60\n",
        &["5:1: error: an SOA below the top of the zone, at a.example.com"],
    );
    check(
        "a 60 A 192.0.2.1\na 90 A 192.0.2.2\n",
        &["6:1: warning: the TTLs of this A RRset differ (5:1: the first of the RRset)"],
    );
    check(
        "a A 192.0.2.1\nA A 192.0.2.1\n",
        &["6:1: warning: this A record is in the zone twice (5:1: the same as this)"],
    );
    check(
        "d DNAME example.net.\nx.d A 192.0.2.1\n",
        &["6:1: error: x.d.example.com is below a DNAME (5:1: the DNAME)"],
    );
    check("*.d DNAME example.net.\n", &["5:1: error: a DNAME at a wildcard is not supported"]);
    check(
        "d DNAME example.net.\nd NS ns.example.net.\n",
        &["5:1: error: d.example.com has a DNAME and is delegated (6:1: delegated here)"],
    );
    check(
        "d NS ns.d\nns.d A 192.0.2.1\nx.d TXT x\nd MX 1 x\n",
        &[
            "7:1: warning: x.d.example.com is below a delegation: its TXT is never served (5:1: delegated here)",
            "8:1: warning: d.example.com is delegated: its MX is never served (5:1: delegated here)",
        ],
    );
    check("*.d NS ns.example.net.\n", &["5:1: warning: NS at a wildcard delegates nothing"]);
    check("d NS ns.d\n", &["5:1: warning: the server ns.d.example.com has no address in this zone"]);
    check(
        "example.net. A 192.0.2.1\n A 192.0.2.2\n",
        &["5:1: error: `example.net` is outside the zone example.com"],
    );
}

#[test]
fn an_rrset_beyond_a_message_is_refused() {
    let text: String = (0..300).map(|i| format!("big TXT \"{i}{}\"\n", "x".repeat(240))).collect();
    check(&text, &["5:1: error: this TXT RRset does not fit into a message"]);
}

#[test]
fn r14_steered_names_and_static_data() {
    check_steered("www TXT x\nwww MX 1 a\n", &[owner("www", false, 0), owner("@", false, 1)], &[]);
    check_steered(
        "www A 192.0.2.1\nwww HTTPS 1 .\nx CNAME y\n*.w AAAA ::1\n",
        &[owner("www", false, 0), owner("x", false, 1), owner("*.w", true, 2)],
        &[
            "5:1: error: www.example.com is steered and has a static A (toml:0: steered here)",
            "6:1: error: www.example.com is steered and has a static HTTPS (toml:0: steered here)",
            "7:1: error: x.example.com is steered and has a static CNAME (toml:1: steered here)",
            "8:1: error: *.w.example.com is steered and has a static AAAA (toml:2: steered here)",
        ],
    );
    check_steered(
        "www TXT x\n",
        &[owner("WWW", true, 0)],
        &[
            "5:1: error: www.example.com is steered to host names, so it cannot have a static TXT (toml:0: steered here)",
        ],
    );
    check_steered(
        "",
        &[owner("@", true, 0)],
        &[
            "2:1: error: example.com is steered to host names, so it cannot have a static SOA (toml:0: steered here)",
            "3:1: error: example.com is steered to host names, so it cannot have a static NS (toml:0: steered here)",
        ],
    );
    check_steered(
        "d NS ns.example.net.\ne DNAME example.net.\n",
        &[
            owner("d", false, 0),
            owner("x.y.d", false, 1),
            owner("e", false, 2),
            owner("x.e", false, 3),
            owner("w.example.net.", false, 4),
            owner("w", false, 5),
            owner("W.example.com.", false, 6),
            owner("a..b", false, 7),
        ],
        &[
            "toml:0: error: d.example.com is steered and delegated away (5:1: delegated here)",
            "toml:1: error: x.y.d.example.com is steered and delegated away (5:1: delegated here)",
            "toml:2: error: e.example.com is steered and redirected by a DNAME (6:1: redirected here)",
            "toml:3: error: x.e.example.com is steered and redirected by a DNAME (6:1: redirected here)",
            "toml:4: error: w.example.net is outside the zone example.com",
            "toml:6: error: w.example.com is steered twice (toml:5: the first one)",
            "toml:7: error: `a..b` is a name with an empty label",
        ],
    );
    check_steered(
        "a NSEC b A\n",
        &[owner("w", false, 0)],
        &["5:1: error: a static NSEC in a zone with steered names"],
    );
}

#[test]
fn what_is_no_text_is_said_to_be_none() {
    let said = |text: &[u8]| report(text, &[]).1;
    assert_eq!(said(b"\x7fELF\x00\x01"), ["1:5: error: this is no text file: it has an octet 0"]);
    assert_eq!(said("@\0".as_bytes()), ["1:2: error: this is no text file: it has an octet 0"]);
    let noise: Vec<u8> = (0..200_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 | 1).collect();
    let lines = said(&noise);
    assert!(lines.len() <= PROBLEMS_MAX + 1, "{}", lines.len());
    let lines = said("x\n".repeat(100_000).as_bytes());
    assert!(lines.len() <= PROBLEMS_MAX + 1, "{}", lines.len());
    let lines = said("(\n".repeat(10_000).as_bytes());
    assert!(lines.len() <= PROBLEMS_MAX + 1, "{}", lines.len());
}

#[test]
fn an_origin_that_is_no_name_is_refused() {
    let mut problems = Problems::default();
    assert!(read_zone("a..b", FILE, b"", &[], &mut problems).is_none());
    assert_eq!(problems.0[0].message, "`a..b` is no domain name");
}

/// The RDATA of a name and type.
fn data(zone: &Zone, name: &str, rtype: Rtype) -> Vec<Vec<u8>> {
    let wire = parse_name(name.as_bytes(), zone.origin().octets()).unwrap();
    match zone.lookup(&Name::from_wire(&wire).unwrap(), rtype) {
        Lookup::Answer(rrset) => rrset.rdata().map(<[u8]>::to_vec).collect(),
        other => panic!("{name} {rtype}: {other:?}"),
    }
}

#[test]
fn records_become_their_wire_form() {
    let text = format!(
        "{HEAD}{}",
        r#"
t1 TXT "a \"b\" ; c" d\ e "\000\255"
t2 TXT ( "x" ; comment
    y )
t3 TXT "café"
u1 TYPE65400 \# 3 00ff 10
u2 A \# 4 c0000201
m MX 10 Mail
Case CNAME TarGet.Example.NET.
srv SRV 1 2 443 a.b
h HTTPS 1 . port=8443 alpn="h2,h3" ipv4hint=192.0.2.1
c CAA 0 issue "ca.example.net"
a\.b A 192.0.2.9
* A 192.0.2.7
"#
    );
    let (zone, lines) = report(text.as_bytes(), &[]);
    assert_eq!(lines, [""; 0]);
    let zone = zone.unwrap();
    let check = |name: &str, rtype: Rtype, expected: &[u8]| {
        assert_eq!(data(&zone, name, rtype), [expected], "{name}");
    };
    check("t1", Rtype::TXT, b"\x09a \"b\" ; c\x03d e\x02\x00\xff");
    check("t2", Rtype::TXT, b"\x01x\x01y");
    check("t3", Rtype::TXT, "\x05café".as_bytes());
    check("u1", Rtype(65400), b"\x00\xff\x10");
    check("u2", Rtype::A, &[192, 0, 2, 1]);
    check("m", Rtype::MX, b"\x00\x0a\x04Mail\x07example\x03com\x00");
    check("case", Rtype::CNAME, b"\x06TarGet\x07Example\x03NET\x00");
    check("srv", Rtype::SRV, b"\x00\x01\x00\x02\x01\xbb\x01a\x01b\x07example\x03com\x00");
    check(
        "h",
        Rtype::HTTPS,
        b"\x00\x01\x00\x00\x01\x00\x06\x02h2\x02h3\x00\x03\x00\x02\x20\xfb\x00\x04\x00\x04\xc0\x00\x02\x01",
    );
    check("c", Rtype::CAA, b"\x00\x05issueca.example.net");
    check(r"a\.b", Rtype::A, &[192, 0, 2, 9]);
    check("anything.else", Rtype::A, &[192, 0, 2, 7]);
    assert_eq!(zone.negative_ttl_s(), 60);
    assert_eq!(name_text(zone.origin().octets()), "example.com");
}

/// Every type that a zone can hold, text to wire, as independent readers have it.
#[test]
fn every_type_is_read_as_independent_readers_read_it() {
    let (mut rows, mut wrong) = (0, Vec::new());
    for row in include_str!("types.tsv").lines().filter(|row| !row.starts_with('#')) {
        let mut columns = row.split('\t');
        let mut next = || columns.next().unwrap_or_else(|| panic!("{row}"));
        let (mnemonic, text, wire, who) = (next(), next(), next(), next());
        let rtype = rdata::rtype(mnemonic).unwrap();
        assert_eq!(rtype.to_string(), mnemonic, "{row}");
        let owner = if mnemonic == "SOA" { "@" } else { "x" };
        let head = if mnemonic == "SOA" { "$TTL 300\n@ NS ns.example.net.\n" } else { HEAD };
        let (zone, said) = report(format!("{head}{owner} {mnemonic} {text}\n").as_bytes(), &[]);
        let got = zone.map_or("refused".to_owned(), |zone| {
            let wire = parse_name(owner.as_bytes(), zone.origin().octets()).unwrap();
            let found = match zone.lookup(&Name::from_wire(&wire).unwrap(), rtype) {
                Lookup::Answer(rrset) => rrset.rdata().next().unwrap(),
                Lookup::Referral { servers, .. } => servers.rdata().next().unwrap(),
                other => panic!("{row}: {other:?}"),
            };
            found.iter().map(|octet| format!("{octet:02x}")).collect()
        });
        if got != wire {
            wrong.push(format!("{mnemonic} {text}\n  here: {got}\n  {who}: {wire}\n  {said:?}"));
        }
        rows += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows > 150, "{rows}");
}

#[test]
fn rfc2181_5_2_an_rrset_has_one_ttl_the_lowest() {
    let (zone, _) =
        report(format!("{HEAD}a 60 A 192.0.2.1\na 90 A 192.0.2.2\na 30 A 192.0.2.3\n").as_bytes(), &[]);
    let wire = parse_name(b"a", zone.as_ref().unwrap().origin().octets()).unwrap();
    let zone = zone.unwrap();
    let Lookup::Answer(rrset) = zone.lookup(&Name::from_wire(&wire).unwrap(), Rtype::A) else { panic!() };
    assert_eq!((rrset.ttl_s, rrset.rdata().count()), (30, 3));
}

#[test]
fn rfc3597_5_octets_must_be_data_of_a_known_type() {
    check(
        "a A \\# 3 c00002\nb MX \\# 2 0001\nc A \\# 5 c000020101\nd TYPE65400 \\# 4 00\nAA TYPE65400 x\n",
        &[
            "5:5: error: this A record cannot be read: these octets are no data of type A",
            "6:6: error: this MX record cannot be read: these octets are no data of type MX",
            "7:5: error: this A record cannot be read: these octets are more than a record of type A has",
            "8:13: error: this TYPE65400 record cannot be read: generic data has incorrect length",
            "9:14: error: this TYPE65400 record cannot be read: data of this type has to be written as \\# (RFC 3597)",
        ],
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_octets_make_the_reader_panic(text in proptest::collection::vec(any::<u8>(), 0..400)) {
        let (zone, lines) = report(&text, &[owner("www", false, 0)]);
        prop_assert!(zone.is_some() || !lines.is_empty());
    }

    #[test]
    fn no_text_of_zone_words_makes_the_reader_panic(words in proptest::collection::vec(
        proptest::sample::select(vec![
            "@", " ", "\n", "\n", "\t", "a", "*", "www", ".", "\\", "\\#", "\\1", "\\046", "(", ")", "\"", "\"\"", ";",
            "IN", "A", "AAAA", "MX", "TXT", "SOA", "NS", "CNAME", "HTTPS", "SVCB", "CAA", "SRV", "DS", "NSEC",
            "NSEC3", "RRSIG", "TYPE1", "TYPE65400", "NAPTR", "IPSECKEY", "DNSKEY", "SSHFP", "TLSA", "HINFO",
            "ZONEMD", "RP", "300", "1h", "192.0.2.1", "::1", "10", "example.com.", "alpn=h2", "key65280=x",
            "port=", "ipv4hint=", "mandatory=alpn", "$TTL", "$ORIGIN", "$INCLUDE", "0", "4", "c0000201",
            "AwEAAQ==", "=", "20260101000000", "\u{e9}", "\r", "-", "",
        ]), 0..60), spaced in any::<bool>()) {
        let text = format!("{HEAD}{}", words.join(if spaced { " " } else { "" }));
        report(text.as_bytes(), &[owner("www", true, 0)]);
    }

    #[test]
    fn no_data_of_a_known_type_makes_the_reader_panic(
        rtype in proptest::sample::select(vec![
            "A", "AAAA", "NS", "MD", "MF", "CNAME", "SOA", "MB", "MG", "MR", "NULL", "WKS", "PTR", "HINFO",
            "MINFO", "MX", "TXT", "RP", "AFSDB", "SRV", "NAPTR", "CERT", "DNAME", "DS", "SSHFP", "IPSECKEY",
            "RRSIG", "NSEC", "DNSKEY", "DHCID", "NSEC3", "NSEC3PARAM", "TLSA", "SMIMEA", "HIP", "CDS",
            "CDNSKEY", "OPENPGPKEY", "CSYNC", "ZONEMD", "SVCB", "HTTPS", "SPF", "EUI48", "URI", "CAA", "LOC",
        ]),
        words in proptest::collection::vec(proptest::sample::select(vec![
            "", "0", "1", "2", "3", "8", "255", "256", "65535", "65536", "4294967296", "-", ".", "*", "a", "a.",
            "example.com.", "192.0.2.1", "::1", "\"\"", "\"x y\"", "\"\\\"\"", "\\000", "\\#", "c0000201", "00ff", "f",
            "AwEAAQ==", "AwEAAQ", "=", "A", "TXT", "TYPE1", "TYPE65535", "RSASHA256", "20260101000000", "alpn=h2",
            "alpn=", "port=443", "port=x", "ipv4hint=192.0.2.1,192.0.2.2", "ipv6hint=::1", "mandatory=alpn",
            "no-default-alpn", "ech=AA==", "key65280=x", "key1=h2", "alpn=\"h2,h3\"", "issue", "\"ca\"", "\u{e9}",
        ]), 0..10),
    ) {
        let text = format!("{HEAD}x {rtype} {}\nlast A 192.0.2.1\n", words.join(" "));
        let (zone, lines) = report(text.as_bytes(), &[]);
        prop_assert!(zone.is_some() || !lines.is_empty());
    }
}
