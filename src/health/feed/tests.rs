//! Pages of real load balancers, cut and mutated.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

const HAPROXY_METRICS: &[u8] = include_bytes!("../../../tests/data/feeds/haproxy-2.6.prom");
const HAPROXY_CSV: &[u8] = include_bytes!("../../../tests/data/feeds/haproxy-2.6.csv");

fn series(text: &str) -> Series {
    Series::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
}

fn prometheus(current: &str, responses: Option<&str>, errors: Option<&str>) -> FeedFormat {
    FeedFormat::Prometheus(Selection {
        current: series(current),
        responses: responses.map(series),
        errors: errors.map(series),
    })
}

fn csv(current: &str, responses: Option<&str>, errors: Option<&str>) -> FeedFormat {
    let cell = |text: &str| Cell::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
    FeedFormat::HaproxyCsv(Selection {
        current: cell(current),
        responses: responses.map(cell),
        errors: errors.map(cell),
    })
}

fn json(current: &str) -> FeedFormat {
    let current = Pointer::parse(current).unwrap_or_else(|why| panic!("{current}: {why}"));
    FeedFormat::Json(Selection { current, responses: None, errors: None })
}

/// HAProxy's own exporter and its CSV, as one would select them.
fn haproxy() -> [(FeedFormat, &'static [u8]); 2] {
    [
        (
            prometheus(
                r#"haproxy_frontend_current_sessions{proxy="web"}"#,
                Some(r#"haproxy_frontend_http_responses_total{proxy="web"}"#),
                Some(r#"haproxy_frontend_http_responses_total{proxy="web",code="5xx"}"#),
            ),
            HAPROXY_METRICS,
        ),
        (csv("web/FRONTEND scur", Some("web/FRONTEND req_tot"), Some("web/FRONTEND hrsp_5xx")), HAPROXY_CSV),
    ]
}

fn read(format: &FeedFormat, page: &[u8], chunk: usize) -> Result<Reading, FeedProblem> {
    let mut reader = FeedReader::new(format);
    for part in page.chunks(chunk.max(1)) {
        if reader.push(part) == Progress::Enough {
            break;
        }
    }
    reader.finish()
}

fn current(format: &FeedFormat, page: &str) -> Result<f64, FeedProblem> {
    read(format, page.as_bytes(), 7).map(|reading| reading.current.units())
}

#[test]
fn haproxy_says_the_same_in_both_forms() {
    // Three connections were held open, twelve requests answered, four of them with 503, as the pages were taken.
    let expected = Reading { current: Amount { milli: 3000 }, responses: Some(12), errors: Some(4) };
    for (format, page) in haproxy() {
        assert_eq!(read(&format, page, usize::MAX), Ok(expected), "{format:?}");
    }
}

#[test]
fn selectors_fold_and_match() {
    let page = "# HELP load what\n# TYPE load gauge\nload{zone=\"a\",code=\"200\"} 1.5\nload { zone = \"b\" , code=\"503\", } 2 1700000000000\n\
                load{zone=\"c\\\"\\n\\\\\"} 4e0 # {trace=\"x\"} 1\nother 7\nload{zone=\"n\"} NaN\n";
    let check = |selector: &str, expected| {
        assert_eq!(current(&prometheus(selector, None, None), page), expected, "{selector}");
    };
    check("load", Ok(7.5));
    check("max(load)", Ok(4.0));
    check("sum( load{} )", Ok(7.5));
    check(r#"load{zone="a"}"#, Ok(1.5));
    check(r#"load{zone!="a"}"#, Ok(6.0));
    check(r#"load{zone=~"a|b"}"#, Ok(3.5));
    check(r#"load{code=~"5.."}"#, Ok(2.0));
    check(r#"load{code!~".+"}"#, Ok(4.0));
    check(r#"load{zone="c\"\n\\"}"#, Ok(4.0));
    check(r#"load{zone="a",code="503"}"#, Err(FeedProblem::Missing(FeedValue::Current)));
    check(r#"load{zone="n"}"#, Err(FeedProblem::Missing(FeedValue::Current)));
    check("other", Ok(7.0));
    check("loa", Err(FeedProblem::Missing(FeedValue::Current)));
}

#[test]
fn csv_selectors_fold_and_match() {
    let page = "# pxname,svname,scur,desc,\nweb,FRONTEND,10,\"a,\"\"b\",\nweb,s1,4,,\nweb,s2,5,,\nweb,BACKEND,9,,\nother,s1,1,,\n\n";
    let check = |selector: &str, expected| {
        assert_eq!(current(&csv(selector, None, None), page), expected, "{selector}");
    };
    check("web/FRONTEND scur", Ok(10.0));
    check("web/* scur", Ok(9.0));
    check("max(web/* scur)", Ok(5.0));
    check("*/s1 scur", Ok(5.0));
    check("web/FRONTEND desc", Err(FeedProblem::NotANumber(FeedValue::Current)));
    check("web/FRONTEND none", Err(FeedProblem::Missing(FeedValue::Current)));
    check("none/FRONTEND scur", Err(FeedProblem::Missing(FeedValue::Current)));
}

#[test]
fn json_pointers_find_their_numbers() {
    let page = r#" {"a": [1, {"b/c": 2.5, "~": -0.5e1}, "x", [], {}], "\u0061b": 3, "": {"": 4}, "s": "5", "t": true} "#;
    let check = |pointer: &str, expected| {
        assert_eq!(current(&json(pointer), page), expected, "{pointer}");
    };
    check("/a/0", Ok(1.0));
    check("/a/1/b~1c", Ok(2.5));
    check("/a/1/~0", Err(FeedProblem::NotANumber(FeedValue::Current)));
    check("/ab", Ok(3.0));
    check("//", Ok(4.0));
    check("/s", Err(FeedProblem::NotANumber(FeedValue::Current)));
    check("/t", Err(FeedProblem::NotANumber(FeedValue::Current)));
    check("/a", Err(FeedProblem::NotANumber(FeedValue::Current)));
    check("/a/01", Err(FeedProblem::Missing(FeedValue::Current)));
    check("/b", Err(FeedProblem::Missing(FeedValue::Current)));
    assert_eq!(current(&json(""), "12"), Ok(12.0));
    for broken in ["", "{", "[1", "{\"a\":1", "\"", "tr"] {
        assert!(
            matches!(current(&json("/a"), broken), Err(FeedProblem::Cut | FeedProblem::NotTheFormat)),
            "{broken}"
        );
    }
    for broken in ["{\"a\" 1}", "[1 2]", "{,}", "[1,]", "{\"a\":1,}", "1 2", "01", "nul ", "{1:2}", "[}"] {
        assert_eq!(current(&json("/a"), broken), Err(FeedProblem::NotTheFormat), "{broken}");
    }
}

#[test]
fn what_selects_nothing_sensible_is_refused() {
    for text in [
        "",
        "5xx",
        "{a=\"b\"}",
        "m{a}",
        "m{a=b}",
        "m{a=\"b\"",
        "m{a=\"b}",
        "m{a=\"b\" c=\"d\"}",
        "m{a=~\"[ab]\"}",
        "m{a=\"\\x\"}",
    ] {
        assert!(Series::parse(text).is_err(), "{text}");
    }
    for text in ["", "web", "web scur", "web/FRONTEND", "/x scur", "web/ scur", "a/b c d"] {
        assert!(Cell::parse(text).is_err(), "{text}");
    }
    for text in ["a", "/~", "/~2"] {
        assert!(Pointer::parse(text).is_err(), "{text}");
    }
}

#[test]
fn no_errors_counted_yet_are_none_but_no_responses_are_missing() {
    let some = prometheus("load", Some("answers"), Some(r#"answers{code="5xx"}"#));
    let read = |page: &str| read(&some, page.as_bytes(), 3);
    assert_eq!(
        read("load 1\nanswers{code=\"2xx\"} 9\n"),
        Ok(Reading { current: Amount { milli: 1000 }, responses: Some(9), errors: Some(0) })
    );
    assert_eq!(read("load 1\n"), Err(FeedProblem::Missing(FeedValue::Responses)));
}

#[test]
fn what_is_no_load_is_refused() {
    let load = prometheus("load", None, None);
    for page in ["load -1\n", "load +Inf\n", "load many\n"] {
        assert_eq!(current(&load, page), Err(FeedProblem::NotANumber(FeedValue::Current)), "{page}");
    }
    for page in ["<html>\n", "", "\n\n", "load{a=\"b\n"] {
        assert_eq!(current(&load, page), Err(FeedProblem::NotTheFormat), "{page}");
    }
    assert_eq!(current(&load, "load 12"), Err(FeedProblem::Cut));
    assert_eq!(current(&csv("web/FRONTEND scur", None, None), "<html>\n"), Err(FeedProblem::NotTheFormat));
}

#[test]
fn a_page_without_end_costs_no_memory() {
    // 100 MB, were it let: of other metrics, of one line, of one JSON text, of brackets.
    let formats = [prometheus("load", None, None), csv("web/FRONTEND scur", None, None), json("/a")];
    let pages: [&[u8]; 5] =
        [b"other{a=\"b\"} 1\n", b"x", b"[", b"\"", b"# pxname,svname,scur\nweb,FRONTEND,1\n"];
    for format in &formats {
        for page in pages {
            let chunk = page.repeat(64 * 1024 / page.len());
            let mut reader = FeedReader::new(format);
            let mut pushed = 0u64;
            while pushed < 100 * 1024 * 1024 && reader.push(&chunk) == Progress::More {
                pushed += chunk.len() as u64;
            }
            assert!(pushed <= PAGE_OCTETS_MAX, "{pushed}");
            assert!(reader.finish().is_err());
        }
    }
}

#[test]
fn a_long_line_matters_only_if_it_is_selected() {
    let long = format!("other{{a=\"{}\"}} 1\nload 2\n", "x".repeat(lines::LINE_OCTETS_MAX));
    assert_eq!(current(&prometheus("load", None, None), &long), Ok(2.0));
    assert_eq!(current(&prometheus("other", None, None), &long), Err(FeedProblem::LineTooLong));
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(12),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Any JSON value, not too deep.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(serde_json::Value::from),
        (0u32..2_000_000).prop_map(|number| serde_json::Value::from(f64::from(number) / 8.0)),
        any::<u32>().prop_map(serde_json::Value::from),
        ".{0,6}".prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
            prop::collection::btree_map("[a-c/~\"\\\\é]{0,2}", inner, 0..5)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Every place of a document, as a pointer.
fn places(value: &serde_json::Value, at: String, into: &mut Vec<String>) {
    into.push(at.clone());
    match value {
        serde_json::Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                places(item, format!("{at}/{index}"), into);
            }
        }
        serde_json::Value::Object(map) => {
            for (key, item) in map {
                places(item, format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), into);
            }
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn json_reads_as_serde_reads_it(document in any_json(), chunk in 1usize..9, pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) };
        let text = text.unwrap_or_default();
        let mut all = Vec::new();
        places(&document, String::new(), &mut all);
        for place in all {
            let expected = document.pointer(&place).and_then(serde_json::Value::as_f64);
            let expected = expected.map_or(Err(FeedProblem::NotANumber(FeedValue::Current)), |units| {
                Ok(Amount::from_units(units).unwrap_or_default().units())
            });
            let got = read(&json(&place), text.as_bytes(), chunk).map(|reading| reading.current.units());
            prop_assert_eq!(got, expected, "{} in {}", place, text);
        }
    }

    #[test]
    fn how_a_page_is_cut_into_chunks_changes_nothing(chunk in 1usize..5000) {
        for (format, page) in haproxy() {
            prop_assert_eq!(read(&format, page, chunk), read(&format, page, usize::MAX));
        }
    }

    #[test]
    fn a_cut_page_gives_no_wrong_reading(share in 0.0f64..1.0) {
        for (format, page) in haproxy() {
            let cut = &page[..(page.len() as f64 * share) as usize];
            if let Ok(reading) = read(&format, cut, 999) {
                // Cut behind a line: what stood there in full is right; a sum may have fewer parts.
                let whole = read(&format, page, 999).unwrap_or_else(|problem| panic!("{problem}"));
                prop_assert_eq!(reading.current, whole.current);
                prop_assert!(reading.responses <= whole.responses);
            }
        }
    }

    #[test]
    fn a_mutated_page_does_no_harm(place: prop::sample::Index, octets in prop::collection::vec(any::<u8>(), 0..8), chunk in 1usize..5000) {
        for (format, page) in haproxy() {
            let at = place.index(page.len());
            let mut mutated = page.to_vec();
            mutated.splice(at..(at + octets.len()).min(page.len()), octets.iter().copied());
            prop_assert_eq!(read(&format, &mutated, chunk), read(&format, &mutated, usize::MAX));
        }
    }

    #[test]
    fn patterns_match_as_spelt_out(text in "[ab]{0,6}", pieces in prop::collection::vec(prop_oneof![Just("a"), Just("b"), Just("."), Just(".*"), Just(".+")], 0..6)) {
        let pattern = Pattern::parse(&pieces.concat());
        let matcher = pattern.map(Matcher::Like);
        let expected = slow_match(&pieces, text.as_bytes());
        prop_assert_eq!(matcher.map(|matcher| matcher.meets(text.as_bytes())), Some(expected), "{:?} {}", pieces, text);
    }
}

/// By trying every length of every run.
fn slow_match(pieces: &[&str], text: &[u8]) -> bool {
    let Some((first, rest)) = pieces.split_first() else { return text.is_empty() };
    let least = if *first == ".*" { 0 } else { 1 };
    let most = if first.len() == 2 { text.len() } else { 1 };
    (least..=most.min(text.len())).any(|taken| {
        let fits = first.starts_with('.') || text.get(..taken) == Some(first.as_bytes());
        fits && slow_match(rest, &text[taken..])
    })
}
