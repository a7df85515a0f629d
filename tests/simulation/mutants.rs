//! Planted bugs: each must be caught, and by the checker that is there for it.
//!
//! All of them go into one copy of the tree, each behind a switch, so that one build serves all.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::checks::Checker;

/// Enough for every planted bug, few enough for a coffee.
const SEEDS: &str = "300";

/// The switch: which planted bug is in force is said in the environment.
const SWITCH: &str = "
/// Whether this planted bug is in force.
#[allow(clippy::disallowed_methods)]
pub fn planted(name: &str) -> bool {
    static NAME: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    NAME.get_or_init(|| std::env::var(\"PLANTED\").unwrap_or_default()) == name
}
";

/// A planted bug.
struct Mutation {
    name: String,
    /// What is wrong.
    what: String,
    file: String,
    /// The checkers of which one must catch it.
    caught_by: Vec<String>,
    find: String,
    /// `$ON` stands for whether it is in force.
    replace: String,
}

/// The list keeps up with the tree, and every checker has something to catch.
#[test]
fn mutations_fit_the_tree() {
    let mutations = mutations();
    for own in &mutations {
        let text = std::fs::read_to_string(root().join(&own.file)).unwrap();
        assert_eq!(text.matches(&own.find).count(), 1, "{}: `{}` in {}", own.name, own.find, own.file);
        assert!(own.replace.contains("$ON"), "{}", own.name);
    }
    let caught: BTreeSet<&str> =
        mutations.iter().flat_map(|own| &own.caught_by).map(String::as_str).collect();
    let all: BTreeSet<String> = Checker::ALL.iter().map(|checker| format!("{checker:?}")).collect();
    let all: BTreeSet<&str> = all.iter().map(String::as_str).collect();
    assert_eq!(caught, all);
}

/// `make mutants`: builds once and lets the simulation find each.
#[test]
#[ignore = "builds a copy of the tree: make mutants"]
fn every_planted_bug_is_caught() {
    let mutations = mutations();
    let copy = root().join("target/mutants");
    copy_tree(&root(), &copy);
    for own in &mutations {
        let path = copy.join(&own.file);
        let text = std::fs::read_to_string(&path).unwrap();
        let switch = format!("crate::planted(\"{}\")", own.name);
        std::fs::write(&path, text.replacen(&own.find, &own.replace.replace("$ON", &switch), 1)).unwrap();
    }
    // Another version, so that what is built here never passes for the tree's own.
    let manifest = copy.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replacen("\nversion = \"", "\nversion = \"0.0.0-planted.", 1)).unwrap();
    let lib = copy.join("src/lib.rs");
    let text = std::fs::read_to_string(&lib).unwrap();
    std::fs::write(&lib, text + SWITCH).unwrap();
    let program = build(&copy);
    assert!(caught(&program, &copy, "").is_empty(), "without a planted bug nothing is found");
    let mut missed = Vec::new();
    println!("| planted bug | must be caught by | caught by |\n| --- | --- | --- |");
    for own in &mutations {
        let found = caught(&program, &copy, &own.name);
        let by: Vec<&str> = found.iter().map(String::as_str).collect();
        println!("| {} | {} | {} |", own.what, own.caught_by.join(" or "), by.join(", "));
        if !own.caught_by.iter().any(|checker| found.contains(checker)) {
            missed.push(own.name.clone());
        }
    }
    assert!(missed.is_empty(), "not caught by whom it should be: {missed:?}");
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The checkers that find something.
fn caught(program: &Path, copy: &Path, name: &str) -> BTreeSet<String> {
    let run = Command::new(program)
        .args(["--nocapture", "worlds", "t3_"])
        .env("PLANTED", name)
        .env("SIM_SEEDS", SEEDS)
        .env("RUST_BACKTRACE", "0")
        .current_dir(copy)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    let after = |line: &str| {
        let rest = line.split(", checker ").nth(1)?;
        rest.split(':').next().map(str::to_owned)
    };
    text.lines().filter(|line| line.starts_with("seed ")).filter_map(after).collect()
}

fn build(copy: &Path) -> PathBuf {
    let run = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .args(["test", "--no-run", "--test", "simulation"])
        .env("CARGO_TARGET_DIR", root().join("target"))
        .current_dir(copy)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stderr);
    let path = text.lines().find_map(|line| line.trim().strip_prefix("Executable")?.split(['(', ')']).nth(1));
    let path = path.unwrap_or_else(|| panic!("it does not build:\n{text}"));
    root().join("target").join(path.rsplit_once("target/").map_or(path, |(_, own)| own))
}

/// What is built from: sources, tests, and what they take in. Times are kept by content, so that a second
/// run builds only what has changed.
fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (name, path) = (entry.file_name(), entry.path());
        if name == "target" || name == ".git" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&path, &to.join(name));
        } else {
            let content = std::fs::read(&path).unwrap();
            std::fs::write(to.join(name), content).unwrap();
        }
    }
}

fn mutations() -> Vec<Mutation> {
    let folder = root().join("tests/simulation/mutations");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| mutation(path)).collect()
}

fn mutation(path: &Path) -> Mutation {
    let text = std::fs::read_to_string(path).unwrap();
    let part = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{}: {name} is missing", path.display())).to_owned()
    };
    Mutation {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        what: part("#"),
        file: part("file"),
        caught_by: part("caught-by").split(',').map(str::to_owned).collect(),
        find: part("find"),
        replace: part("replace"),
    }
}
