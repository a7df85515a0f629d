//! The reader as a whole: what is accepted, the exact text of each problem, and arbitrary input.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods
)]

use super::*;

mod accepted;
mod arbitrary;
mod golden;
mod schema;

/// The environment of all tests.
fn environment(name: &str) -> Option<String> {
    match name {
        "KEY" => Some("000102030405060708090a0b0c0d0e0f".to_owned()),
        "BLANK" => Some(" ".to_owned()),
        _ => None,
    }
}

/// A zone: its origin, its zone file, its file of steered names.
type TestZone<'z> = (&'z str, Option<&'z [u8]>, Option<&'z [u8]>);

/// A main file and zones.
fn sources(main: &[u8], zones: &[TestZone]) -> Sources {
    let mut sources = Sources {
        files: vec![SourceFile { path: "meridian.toml".to_owned(), bytes: main.to_vec() }],
        ..Sources::default()
    };
    for (origin, zone, names) in zones {
        let mut add = |bytes: &Option<&[u8]>, ending: &str| {
            let bytes = bytes.as_ref()?.to_vec();
            let path = format!("zones/{origin}.{ending}");
            sources.files.push(SourceFile { path, bytes });
            Some(FileId(sources.files.len() as u32 - 1))
        };
        let (zone, names) = (add(zone, "zone"), add(names, "toml"));
        sources.zones.push(((*origin).to_owned(), zone, names));
    }
    sources
}

/// Reads a configuration that must be accepted, warnings apart.
fn accept(main: &str, names: &str) -> Config {
    let sources = sources(main.as_bytes(), &[("example.com", Some(b""), Some(names.as_bytes()))]);
    let (config, problems) = read(&sources, &environment);
    config.unwrap_or_else(|| panic!("{}", text(&sources, &problems, Style::Plain)))
}
