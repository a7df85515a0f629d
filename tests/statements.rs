//! The table of statements in docs/policies.md, held against the tree: every statement is there once,
//! every file named exists, and every statement is shown by a scenario or a test that bears its number.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::path::Path;

/// What the product promises, by its numbers.
const STATEMENTS: &[(&str, std::ops::RangeInclusive<u32>)] =
    &[("R", 1..=16), ("H", 1..=13), ("T", 1..=3), ("E", 1..=6), ("X", 1..=2)];

/// A row: what is stated, where it lives, what shows it.
struct Row {
    lives: Vec<String>,
    shown: Vec<String>,
}

#[test]
fn every_statement_has_its_place_and_is_shown() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manual = std::fs::read_to_string(root.join("docs/policies.md")).unwrap();
    let rows = rows(&manual);
    let mut problems = Vec::new();
    for (letter, numbers) in STATEMENTS {
        for number in numbers.clone() {
            let statement = format!("{letter}{number}");
            match rows.get(&statement) {
                None => problems.push(format!("{statement} is not in the table")),
                Some(row) => problems.extend(faults(root, &statement, row)),
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The table of docs/protocol.md: each statement of an RFC names tests that are there.
#[test]
fn every_statement_of_the_protocol_is_shown() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manual = std::fs::read_to_string(root.join("docs/protocol.md")).unwrap();
    let table = manual.split("## Statements").nth(1).unwrap();
    let (mut rows, mut problems) = (0, Vec::new());
    for line in table.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        let cells: Vec<&str> = line.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect();
        let [place, _, shown] = cells.as_slice() else { panic!("{line}") };
        let rfc = place.split(' ').next().unwrap();
        assert!(rfc.len() == 4 && rfc.bytes().all(|octet| octet.is_ascii_digit()), "{line}");
        for name in quoted(shown) {
            let is_there = match name.rsplit_once("::") {
                Some((file, test)) => has_test(root, file, test),
                None => root.join(&name).exists(),
            };
            if !is_there {
                problems.push(format!("RFC {place} is shown by {name}, which is not there"));
            }
        }
        if quoted(shown).is_empty() {
            problems.push(format!("RFC {place} is shown by nothing"));
        }
        rows += 1;
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(rows >= 50, "{rows}");
}

/// The rows of the table whose first cell is a statement's number. A cell's files and tests stand in
/// backquotes.
fn rows(manual: &str) -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::new();
    for line in manual.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, number, _, lives, shown, ..] = cells.as_slice() else { continue };
        let statement = number.chars().next().is_some_and(|first| "RHTEX".contains(first))
            && number.len() > 1
            && number.chars().skip(1).all(|digit| digit.is_ascii_digit());
        if statement {
            let row = Row { lives: quoted(lives), shown: quoted(shown) };
            assert!(rows.insert((*number).to_owned(), row).is_none(), "{number} is in the table twice");
        }
    }
    rows
}

fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn faults(root: &Path, statement: &str, row: &Row) -> Vec<String> {
    let mut faults = Vec::new();
    for path in &row.lives {
        if !root.join("src").join(path).exists() {
            faults.push(format!("{statement} lives in src/{path}, which is not there"));
        }
    }
    if row.lives.is_empty() {
        faults.push(format!("{statement} lives nowhere"));
    }
    let mut own = false;
    for name in &row.shown {
        let scenario = root.join("tests/scenarios").join(format!("{name}.txt"));
        let path = root.join(name);
        // A scenario by its name, a file by its path, or a test as `file::function`.
        let shown = scenario.exists()
            || path.exists()
            || name.rsplit_once("::").is_some_and(|(file, test)| has_test(root, file, test));
        if !shown {
            faults.push(format!("{statement} is shown by {name}, which is not there"));
        }
        let bare = name.rsplit("::").next().unwrap_or(name);
        own |= bare.to_lowercase().starts_with(&format!("{}_", statement.to_lowercase()));
    }
    if !own {
        faults.push(format!("nothing that shows {statement} bears its number"));
    }
    faults
}

fn has_test(root: &Path, file: &str, test: &str) -> bool {
    std::fs::read_to_string(root.join(file)).is_ok_and(|text| text.contains(&format!("fn {test}(")))
}
