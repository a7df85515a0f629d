//! Instructions per query against the committed figures: what fails when the query path grows.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;
use crate::instructions::instructions_in;
use crate::packet::Kind;

/// What may be more than the committed figure, as a share of it.
const GROWTH_MAX: f64 = 0.05;
/// Queries counted of each kind.
const QUERIES: usize = 10_000;
/// What is counted.
const KINDS: [Kind; 5] = [Kind::Static, Kind::Subnet, Kind::Weighted, Kind::Nxdomain, Kind::Cookie];
/// The function that is counted, with all that it calls; see pure.rs.
const COUNTED: &str = "*pure::counted*";
/// Above the figures in their file.
const HEAD: &str = "\
# User-space instructions per query of the pure path, by callgrind over a small made-up world, built as
# benches/counted.toml says: `make instructions` counts, and fails at 5 % over a figure. A change that is worth its
# instructions accepts new ones by `make instructions-accept` and says in its commit what they buy.
# static: a name with an A record. subnet: the nearest of eight regions by client subnet. weighted: the same
# with two weighted endpoints in each region, all monitored, one region down. nxdomain: a name that does not
# exist, never the same twice. cookie: static, with a valid cookie. All with a rate limit that lets them through.
";

/// Whether figures are compared or written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Figures {
    /// Those of the file hold.
    Hold,
    /// Those counted are written to it.
    Accept,
}

/// Counts every kind, compares, and fails if one has grown.
pub fn run(folder: &Path, file: &Path, figures: Figures) -> Result<()> {
    let committed = if figures == Figures::Hold { read(file)? } else { BTreeMap::new() };
    let mut counted = BTreeMap::new();
    let mut grown = Vec::new();
    for kind in KINDS {
        let count = count(folder, kind)?;
        counted.insert(kind.name().to_owned(), count);
        let Some(before) = committed.get(kind.name()) else {
            println!("{:<9} {count:>6} instructions per query", kind.name());
            if figures == Figures::Hold {
                grown.push(format!("{} has no figure in {}", kind.name(), file.display()));
            }
            continue;
        };
        let growth = count as f64 / *before as f64 - 1.0;
        println!(
            "{:<9} {count:>6} instructions per query, {before:>6} committed, {:+.1} %",
            kind.name(),
            growth * 100.0
        );
        if growth > GROWTH_MAX {
            grown.push(format!(
                "{}: {count} instructions per query, {:.1} % more than the {before} in {}",
                kind.name(),
                growth * 100.0,
                file.display()
            ));
        } else if growth < -GROWTH_MAX {
            println!("          make instructions-accept keeps what was gained");
        }
    }
    if figures == Figures::Accept {
        let lines: String = counted.iter().map(|(kind, count)| format!("{kind} = {count}\n")).collect();
        return Ok(std::fs::write(file, format!("{HEAD}{lines}"))?);
    }
    if grown.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}\nAllowed are {:.0} % more. callgrind_annotate {} tells where they go. If they are worth it: make \
         instructions-accept, and say in the commit what they buy.",
        grown.join("\n"),
        GROWTH_MAX * 100.0,
        folder.join("callgrind.gate.KIND").display(),
    )
    .into())
}

fn read(file: &Path) -> Result<BTreeMap<String, u64>> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?)
}

/// Runs this program's `answer-synthetic` under callgrind.
fn count(folder: &Path, kind: Kind) -> Result<u64> {
    let profile = folder.join(format!("callgrind.gate.{}", kind.name()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", &format!("--toggle-collect={COUNTED}")])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(std::env::current_exe()?)
        .args(["answer-synthetic", "--kind", kind.name(), "--queries", &QUERIES.to_string()])
        .arg("--folder")
        .arg(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind: {error}: scripts/tools.sh valgrind:valgrind installs it"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(instructions_in(&profile)? / QUERIES as u64)
}
