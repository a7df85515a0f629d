//! Scenarios: what the server does, as text files with a time of their own.
//!
//! The files are in `tests/scenarios`, whose README explains the format. All of them run in this
//! process, through the real configuration, compiler, board, view and responder; those tagged `real`
//! also run against the real program. `SCENARIO=r2 cargo test --test scenario` runs only the files
//! whose names contain that.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs
)]

mod asn;
#[path = "../world/compile.rs"]
mod compile;
mod expect;
mod files;
mod names;
mod play;
mod question;
mod real;
mod reply;
mod script;
mod world;

use std::path::{Path, PathBuf};

use real::Real;
use script::Script;
use world::World;

/// Statements of the semantics that have scenarios: each is named at the top of at least one file.
const STATEMENTS: &str = "R1 R2 R3 R4 R5 R6 R7 R8 R9 R10 R14 R15 H1 H2 H6 H7 H13 T1 E1 E2 E3 E4 E5";

#[test]
fn scenarios_hold() {
    let failed: Vec<String> =
        scripts().iter().filter_map(|script| play::play::<World>(script).err()).collect();
    assert!(failed.is_empty(), "{} scenarios fail:\n\n{}\n", failed.len(), failed.join("\n\n"));
}

#[test]
fn tagged_scenarios_hold_for_the_real_program() {
    let tagged = scripts().into_iter().filter(|script| script.real);
    let failed: Vec<String> = tagged.filter_map(|script| play::play::<Real>(&script).err()).collect();
    assert!(failed.is_empty(), "{} scenarios fail:\n\n{}\n", failed.len(), failed.join("\n\n"));
}

#[test]
fn every_statement_has_a_scenario() {
    if std::env::var_os("SCENARIO").is_some() {
        return;
    }
    let scripts = scripts();
    let shown = |statement: &&str| {
        scripts.iter().any(|script| {
            script.header.iter().any(|line| line.split([' ', '.', ',']).any(|word| word == *statement))
        })
    };
    let missing: Vec<_> = STATEMENTS.split(' ').filter(|statement| !shown(statement)).collect();
    assert!(missing.is_empty(), "no scenario shows {missing:?}");
}

#[test]
fn a_scenario_that_does_not_hold_says_where_and_what() {
    let check = |text: &str, said: &[&str]| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("wrong.txt");
        std::fs::write(&path, text).expect("written");
        let error = script::read(&path, &folder.path().join("worlds"))
            .and_then(|script| play::play::<World>(&script))
            .expect_err("it does not hold");
        for part in said {
            assert!(error.contains(part), "{error}\ndoes not say {part}");
        }
    };
    check("# x\npress 5s\n", &["wrong.txt:2: no such step", "press 5s"]);
    check("names example.com\n\npass five\n", &["wrong.txt:3: `five` is no time"]);
    let static_zone =
        "zone example.com\n    @ 60 SOA ns h 1 2 3 4 5\n    @ 60 NS ns\n    ns 60 A 192.0.2.9\n\n";
    check(
        &format!("{static_zone}query ns.example.com A\nexpect NOERROR A 192.0.2.8 ttl 60\n"),
        &[
            "wrong.txt:7: expected A 192.0.2.8",
            "found    NOERROR aa",
            "answer ns.example.com. 60 A 192.0.2.9",
        ],
    );
    check("config\n    [server]\n    lisen = 5\n\nstart\npass 5s\n", &["wrong.txt:6", "refused", "lisen"]);
    check(
        &format!("{static_zone}query ns.example.com A\n"),
        &["wrong.txt:6: nothing is expected of this query"],
    );
}

/// The scenarios in the order of their names.
fn scripts() -> Vec<Script> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let wanted = std::env::var("SCENARIO").unwrap_or_default();
    let entries = std::fs::read_dir(&folder).expect("tests/scenarios");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".txt") && name.contains(&wanted)
    });
    paths.sort();
    assert!(!paths.is_empty(), "no scenario is called like {wanted:?}");
    let read =
        |path: &PathBuf| script::read(path, &folder.join("worlds")).unwrap_or_else(|why| panic!("{why}"));
    paths.iter().map(read).collect()
}
