//! The rules of ARCHITECTURE.md, enforced: who may use whom, and who may know a clock.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

struct Row {
    pure: bool,
    may_use: BTreeSet<String>,
}

/// The layer table as written.
fn table() -> BTreeMap<String, Row> {
    let text = std::fs::read_to_string("ARCHITECTURE.md").unwrap();
    let section = text.split("## Layers").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut rows = BTreeMap::new();
    for line in section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if cells[0] == "module" {
            continue;
        }
        let pure = match cells[1] {
            "pure" => true,
            "edge" => false,
            other => panic!("{}: layer {other:?}?", cells[0]),
        };
        let may_use =
            cells[2].split(',').map(|name| name.trim().to_owned()).filter(|n| !n.is_empty()).collect();
        rows.insert(cells[0].to_owned(), Row { pure, may_use });
    }
    rows
}

fn files(dir: &Path, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push(path);
        }
    }
}

/// (module, path, text without its tests) of every source file.
fn sources() -> Vec<(String, PathBuf, String)> {
    let mut all = Vec::new();
    files(Path::new("src"), &mut all);
    all.sort();
    let own = all.into_iter().filter_map(|path| {
        let inside = path.strip_prefix("src").unwrap().to_owned();
        let module = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        // Test modules may look anywhere.
        if stem == "tests" || stem.ends_with("_tests") || inside.iter().any(|part| part == "tests") {
            return None;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap().to_owned();
        Some((module, path, code))
    });
    own.collect()
}

#[test]
fn every_module_has_a_row_and_every_row_a_module() {
    let rows = table();
    let modules: BTreeSet<String> =
        sources().into_iter().map(|s| s.0).filter(|m| m != "lib" && m != "main").collect();
    assert_eq!(rows.keys().cloned().collect::<BTreeSet<_>>(), modules);
}

#[test]
fn modules_use_only_what_their_row_names() {
    let rows = table();
    let mut broken = Vec::new();
    for (module, path, code) in sources() {
        let Some(row) = rows.get(&module) else { continue };
        for (number, line) in code.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for used in line.split("crate::").skip(1) {
                let used: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if rows.contains_key(&used) && used != module && !row.may_use.contains(&used) {
                    broken.push(format!("{}:{}: {module} may not use {used}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn pure_modules_name_no_edge() {
    let rows = table();
    let words = [
        "tokio::",
        "tracing::",
        "reqwest::",
        "axum::",
        "std::fs",
        "std::process",
        "std::thread",
        "Instant::now",
        "SystemTime::now",
        "arc_swap",
        "dashmap",
        "async fn",
        ".await",
        "std::env",
    ];
    let mut broken = Vec::new();
    for (module, path, code) in sources() {
        if !rows.get(&module).is_some_and(|row| row.pure) {
            continue;
        }
        for (number, line) in
            code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            for word in words.iter().filter(|word| line.contains(**word)) {
                broken.push(format!("{}:{}: {module} is pure and names {word}", path.display(), number + 1));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn only_edges_are_exempt_from_the_bans_and_only_in_one_place() {
    let rows = table();
    let lib = std::fs::read_to_string("src/lib.rs").unwrap();
    let mut exempt = BTreeSet::new();
    let mut lines = lib.lines().peekable();
    while let Some(line) = lines.next() {
        if line.contains("clippy::disallowed_methods") {
            let next = lines.peek().unwrap();
            exempt.insert(next.trim_start_matches("pub mod ").trim_end_matches(';').to_owned());
        }
    }
    let edges: BTreeSet<String> =
        rows.iter().filter(|(_, row)| !row.pure).map(|(name, _)| name.clone()).collect();
    assert_eq!(exempt, edges);
    for (_, path, code) in sources() {
        let elsewhere = code.contains("clippy::disallowed") && !path.ends_with("src/lib.rs");
        assert!(!elsewhere, "{}: the exemptions stand in src/lib.rs", path.display());
    }
}

#[test]
fn unsafe_stands_in_the_batch_socket_module_only() {
    for (_, path, code) in sources() {
        let code: String =
            code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        let has = code.contains("unsafe {") || code.contains("unsafe fn") || code.contains("unsafe impl");
        assert!(!has || path.ends_with("src/server/batch.rs"), "{}: unsafe", path.display());
    }
}
