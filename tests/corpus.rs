//! The corpora of the fuzz targets, replayed: what a fuzzer has found once holds in every run of the tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods
)]

#[path = "../fuzz/checks/mod.rs"]
mod checks;

use std::panic::catch_unwind;

/// Checks every file of a corpus, and tells the first that fails.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let octets = std::fs::read(&file).unwrap();
        assert!(catch_unwind(|| check(&octets)).is_ok(), "{}", file.display());
    }
}

macro_rules! corpora {
    ($($target:ident)*) => { $(
        #[test]
        fn $target() {
            replay(stringify!($target), checks::$target::check);
        }
    )* };
}

corpora! { query respond zone config mmdb subnet framing doh }
