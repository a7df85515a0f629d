//! A view of `example.com` by the real reader and compiler, without a file.

use std::sync::Arc;

use meridian::compile::locations::{Atlas, Overrides};
use meridian::compile::{Given, Inputs, ZoneReading};
use meridian::config::{FileId, Problems, SourceFile, Sources};
use meridian::health::HealthTable;
use meridian::ids::CounterId;
use meridian::steer::Calendar;
use meridian::view::View;

/// From the main file, which names `overrides.csv`, the zone, its steered names, and places in the form of
/// RFC 8805. Nothing is known of health.
pub fn example_com(config: &str, zone: &str, names: &str, geofeed: &str) -> View {
    let file = |path: &str, text: &str| SourceFile { path: path.into(), bytes: text.as_bytes().to_vec() };
    let sources = Sources {
        files: vec![
            file("meridian.toml", config),
            file("zones/example.com.zone", zone),
            file("zones/example.com.toml", names),
        ],
        zones: vec![("example.com".into(), Some(FileId(1)), Some(FileId(2)))],
        ..Sources::default()
    };
    let (config, problems) = meridian::config::read(&sources, &|_| None);
    let config = config.unwrap_or_else(|| panic!("{problems:#?}"));
    let mut problems = Problems::default();
    let overrides = Overrides::read(FileId(3), &file("overrides.csv", geofeed), &mut problems);
    assert!(!problems.has_errors(), "{problems:#?}");
    let inputs = Inputs {
        sources: &sources,
        locations: &mut Given { atlas: &Atlas::new(vec![], vec![], overrides), maps: &[] },
        zones: ZoneReading::ANEW,
        generation: 1,
        counter: &mut |_, _| CounterId(0),
        progress: &mut |_, _| {},
    };
    let (snapshot, problems) = meridian::compile::compile(&config, inputs);
    let snapshot = snapshot.unwrap_or_else(|| panic!("{problems:#?}"));
    let health = HealthTable::unknown(snapshot.board.addresses.len(), snapshot.fleet.endpoints.len());
    View::new(Arc::new(snapshot), health, Calendar::default(), None)
}
