//! Texts into a snapshot by the real reader and compiler, without a file.

use meridian::compile::locations::{Atlas, Overrides};
use meridian::compile::{Given, Inputs, ZoneReading, compile as compile_config};
use meridian::config::{self, Config, FileId, Problems, SourceFile, Sources};
use meridian::ids::CounterId;
use meridian::view::Snapshot;

/// A configuration with its snapshot where it is accepted, and all problems.
pub fn compile(
    sources: &Sources,
    atlas: impl FnOnce(&mut Problems) -> Result<Atlas, String>,
    generation: u64,
    counter: &mut dyn FnMut(&str, &str) -> CounterId,
) -> Result<(Option<(Config, Snapshot)>, Problems), String> {
    let (config, mut problems) = config::read(sources, &|_| None);
    let Some(config) = config else { return Ok((None, problems)) };
    let atlas = atlas(&mut problems)?;
    let progress = &mut |_, _| {};
    let locations = &mut Given { atlas: &atlas, maps: &[] };
    let inputs = Inputs { sources, locations, zones: ZoneReading::ANEW, generation, counter, progress };
    let (snapshot, more) = compile_config(&config, inputs);
    problems.0.extend(more.0);
    let snapshot = snapshot.filter(|_| !problems.has_errors());
    Ok((snapshot.map(|snapshot| (config, snapshot)), problems))
}

/// Places in the form of RFC 8805. A mistake in them is one of the test.
pub fn overrides(path: &str, geofeed: String, problems: &mut Problems) -> Result<Overrides, String> {
    let source = SourceFile { path: path.to_owned(), bytes: geofeed.into_bytes() };
    let before = problems.0.len();
    let overrides = Overrides::read(FileId(u32::MAX), &source, problems);
    match problems.0.get(before) {
        Some(problem) => Err(format!("{path}: {}", problem.message)),
        None => Ok(overrides),
    }
}
