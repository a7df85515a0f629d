//! Configurations: whatever the texts, reading ends, and what is accepted can be compiled.

use meridian::config::{Style, control_listen, json, read, text, zones_folder};

use super::world;

/// What separates the main file from the file of steered names.
const SEPARATOR: &[u8] = b"\n#---\n";

/// Reads a main file and, after the separator, the steered names of its zone.
pub fn check(octets: &[u8]) {
    let place = octets.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
    let (main, names) = match place {
        Some(place) => (&octets[..place], &octets[place + SEPARATOR.len()..]),
        None => (octets, &b""[..]),
    };
    let sources = world::sources(main, world::ZONE.as_bytes(), names);
    let (config, problems) = read(&sources, &|_| None);
    assert_eq!(config.is_some(), !problems.has_errors());
    for problem in &problems.0 {
        assert!(!problem.message.is_empty() && !problem.message.contains('\n'), "{:?}", problem.message);
    }
    text(&sources, &problems, Style::Coloured);
    json(&sources, &problems);
    zones_folder(main);
    control_listen(main);
    if let Some(config) = config {
        let (view, problems) = world::compiled(&sources, &config);
        assert_eq!(view.is_some(), !problems.has_errors());
        text(&sources, &problems, Style::Plain);
    }
}
