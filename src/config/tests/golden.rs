//! Each problem by its exact text: `tests/config/NAME.toml` is read, `NAME.txt` is what people see.
//!
//! A line `#### zones/FILE` in a case begins another file. `BLESS=1` writes what is seen now.

use std::fs;
use std::path::Path;

use super::*;

/// The files of a case.
fn split(case: &[u8]) -> Sources {
    const MARK: &[u8] = b"#### zones/";
    let mut parts: Vec<(String, Vec<u8>)> = vec![("meridian.toml".to_owned(), Vec::new())];
    for line in case.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_prefix(MARK) {
            Some(name) => {
                let name = String::from_utf8(name.to_vec()).unwrap().trim_end().to_owned();
                parts.push((name, Vec::new()));
            }
            None => parts.last_mut().unwrap().1.extend_from_slice(line),
        }
    }
    let mut sources = Sources::default();
    for (number, (name, bytes)) in parts.into_iter().enumerate() {
        let id = FileId(number as u32);
        let path = if number == 0 { name.clone() } else { format!("zones/{name}") };
        sources.files.push(SourceFile { path, bytes });
        if number == 0 {
            continue;
        }
        let (origin, ending) = name.rsplit_once('.').unwrap();
        let known = sources.zones.iter().position(|zone| zone.0 == origin);
        let at = known.unwrap_or_else(|| {
            sources.zones.push((origin.to_owned(), None, None));
            sources.zones.len() - 1
        });
        match ending {
            "zone" => sources.zones[at].1 = Some(id),
            _ => sources.zones[at].2 = Some(id),
        }
    }
    sources
}

#[test]
fn every_case_shows_its_text() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let bless = std::env::var_os("BLESS").is_some();
    let mut cases: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    cases.sort();
    assert!(cases.len() > 20);
    let mut wrong = Vec::new();
    for case in cases {
        let sources = split(&fs::read(&case).unwrap());
        let (config, problems) = read(&sources, &environment);
        assert_eq!(config.is_some(), !problems.has_errors(), "{}", case.display());
        let seen = text(&sources, &problems, Style::Plain);
        for problem in json(&sources, &problems)["problems"].as_array().unwrap() {
            let place =
                format!("{}:{}:{}", problem["file"].as_str().unwrap(), problem["line"], problem["column"]);
            let cut = problems.0.len() > 100;
            assert!(cut || seen.contains(&place), "{}: {place}", case.display());
        }
        let expected = case.with_extension("txt");
        if bless {
            fs::write(&expected, &seen).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != seen {
            wrong.push(format!("{}:\n{seen}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "BLESS=1 accepts:\n{}", wrong.join("\n"));
}

#[test]
fn colours_change_no_words() {
    let sources = split(b"[server]\nlisten = 1\n");
    let (_, problems) = read(&sources, &environment);
    let coloured = text(&sources, &problems, Style::Coloured);
    let mut plain = String::new();
    let mut parts = coloured.split('\u{1b}');
    plain.push_str(parts.next().unwrap());
    for part in parts {
        plain.push_str(part.split_once('m').unwrap().1);
    }
    assert_eq!(plain, text(&sources, &problems, Style::Plain));
    assert_ne!(plain, coloured);
}
