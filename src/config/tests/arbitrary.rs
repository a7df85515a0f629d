//! Whatever the bytes, reading ends, and ends with a configuration or with an error.

use proptest::prelude::*;

use super::accepted::{NAMES, SAMPLE};
use super::*;

fn check(main: &[u8], names: &[u8]) {
    let sources = sources(main, &[("example.com", Some(b""), Some(names))]);
    let (config, problems) = read(&sources, &environment);
    assert_eq!(config.is_some(), !problems.has_errors());
    for problem in &problems.0 {
        assert!(!problem.message.is_empty() && !problem.message.contains('\n'));
        assert!(!problem.message.ends_with('.'), "{}", problem.message);
    }
    text(&sources, &problems, Style::Coloured);
    json(&sources, &problems);
    zones_folder(main);
    control_listen(main);
}

/// A valid file in which some parts are cut out, doubled, or replaced.
fn mutated(text: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let edit = (
        0..text.len(),
        0..40usize,
        prop_oneof![
            Just(Vec::new()),
            proptest::collection::vec(any::<u8>(), 0..8),
            (0..text.len(), 0..40usize).prop_map(|(from, length)| {
                text.as_bytes()[from..(from + length).min(text.len())].to_vec()
            }),
            proptest::sample::select(vec![
                "[", "]", "{", "}", "\"", "=", "\n", ".", "''", "0", "-1", "${", "#", "nan"
            ])
            .prop_map(|token| token.as_bytes().to_vec()),
        ],
    );
    proptest::collection::vec(edit, 1..6).prop_map(|edits| {
        let mut bytes = text.as_bytes().to_vec();
        for (at, length, new) in edits {
            let at = at.min(bytes.len());
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, new);
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(main in proptest::collection::vec(any::<u8>(), 0..300), names in proptest::collection::vec(any::<u8>(), 0..100)) {
        check(&main, &names);
    }

    #[test]
    fn random_toml(main in "([a-z]{1,3}(\\.[a-z\"]{1,3}){0,2} = ([0-9a-f.x_:-]{1,8}|\"[^\n]{0,5}\"|\\[[^\n]{0,9}\\]|\\{[^\n]{0,9}\\})|\\[[a-z.\"]{1,9}\\]|[^\n]{0,9}\n){0,9}") {
        check(main.as_bytes(), main.as_bytes());
    }

    #[test]
    fn damaged_files(main in mutated(SAMPLE), names in mutated(NAMES)) {
        check(&main, NAMES.as_bytes());
        check(SAMPLE.as_bytes(), &names);
    }
}

#[test]
fn files_of_nothing_but_one_thing() {
    for token in
        ["[", "]", "{", "=", "a.", "a=", "[a.", "[[", "\"", "'", "#", "\n", "a=[", "a={b=", "\u{feff}", "é"]
    {
        for count in [1, 100, 100_000] {
            let text = token.repeat(count);
            check(text.as_bytes(), text.as_bytes());
        }
    }
}

#[test]
fn each_line_of_the_sample_cut_out() {
    let lines: Vec<_> = SAMPLE.lines().collect();
    for skip in 0..lines.len() {
        let rest: Vec<_> =
            lines.iter().enumerate().filter(|(at, _)| *at != skip).map(|(_, line)| *line).collect();
        check(rest.join("\n").as_bytes(), NAMES.as_bytes());
    }
}

#[test]
fn long_chains_of_policies_are_refused_without_recursion() {
    let mut main = String::from("[pools.web]\nendpoints = []\n");
    for number in 0..20_000 {
        main.push_str(&format!("[policies.p{number}]\nfailover = [\"p{}\"]\n", number + 1));
    }
    main.push_str("[policies.p20000]\nfailover = [\"p0\"]\n");
    check(main.as_bytes(), b"");
    check(main.replace("[\"p0\"]", "[\"web\"]").as_bytes(), b"");
}
