//! The world simulation: drawn worlds in virtual time, through the very code that answers queries, with
//! checkers that look at everything (tests/simulation/README.md).
//!
//! `SIM_SEED=7 cargo test --test simulation worlds -- --nocapture` replays one seed and says all that
//! happens; `SIM_SEEDS=100000` runs more than the usual thousand.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs
)]

mod checks;
#[path = "../world/compile.rs"]
mod compile;
mod design;
#[path = "../world/dice.rs"]
mod dice;
mod figures;
mod ledger;
mod mutants;
mod node;
mod operators;
#[path = "../scenario/question.rs"]
#[allow(dead_code, reason = "the scenarios use all of it")]
mod question;
mod removals;
#[path = "../scenario/reply.rs"]
#[allow(dead_code, reason = "the scenarios use all of it")]
mod reply;
mod run;
mod script;
mod sweep;
mod trace;
mod tree;
mod truth;
mod users;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use checks::{Checker, Violation};
use run::{Clock, Report, run};
use trace::Lines;

/// Seeds in the usual run.
const SEEDS: u64 = 1000;

/// Of so many seeds one is run a second time, on another thread and in another order.
const REPEATED: u64 = 25;

/// After so many failures the rest is not run.
const FAILURES_MAX: usize = 12;

#[test]
fn worlds() {
    if let Some(seed) = from_environment("SIM_SEED") {
        let report = one(seed, Lines::Print);
        println!("{report:#?}");
        assert!(report.is_ok(), "seed {seed}");
        return;
    }
    let seeds: Vec<u64> = (0..from_environment("SIM_SEEDS").unwrap_or(SEEDS)).collect();
    let reports = all(&seeds);
    let again: Vec<u64> = seeds.iter().copied().filter(|seed| seed % REPEATED == 0).rev().collect();
    for (seed, report) in again.iter().zip(all(&again)) {
        if report != reports[*seed as usize] {
            let text = format!("{report:?} after {:?}", reports[*seed as usize]);
            fail(*seed, &Violation::new(Checker::Trace, text), "");
        }
    }
    summary(&reports);
}

/// A jump of the wall clock changes no health and no answer (T3).
#[test]
fn t3_wall_clock_changes_nothing() {
    for seed in 0..30 {
        let with = run(seed, Clock::Jumps, Lines::Off).map(|report| report.hash);
        let without = run(seed, Clock::Steady, Lines::Off).map(|report| report.hash);
        if let (Ok(with), Ok(without)) = (with, without)
            && with != without
        {
            fail(seed, &Violation::new(Checker::Wall, "a jump made a difference".into()), "");
        }
    }
}

/// Runs seeds on all cores; the reports come in the order of the seeds.
fn all(seeds: &[u64]) -> Vec<Report> {
    let next = AtomicU64::new(0);
    let failed = AtomicBool::new(false);
    let reports = Mutex::new(vec![Report::default(); seeds.len()]);
    let failures = Mutex::new(Vec::new());
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed) as usize;
            let Some(seed) = seeds.get(at) else { return };
            match one(*seed, Lines::Off) {
                Ok(report) => reports.lock().unwrap()[at] = report,
                Err(violation) => {
                    let mut failures = failures.lock().unwrap();
                    failures.push((*seed, violation));
                    failed.store(failures.len() >= FAILURES_MAX, Ordering::Relaxed);
                }
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    let mut failures = failures.into_inner().unwrap();
    failures.sort_by_key(|(seed, _)| *seed);
    if let Some((seed, violation)) = failures.first() {
        for (seed, violation) in &failures {
            println!("seed {seed}, checker {:?}: {}", violation.checker, violation.text);
        }
        // Once more, with what happened last.
        let lines = match catch_unwind(|| run(*seed, Clock::Jumps, Lines::Last(VecDeque::new()))) {
            Ok(Err((_, lines))) => lines,
            _ => String::new(),
        };
        fail(*seed, violation, &lines);
    }
    reports.into_inner().unwrap()
}

fn one(seed: u64, lines: Lines) -> Result<Report, Violation> {
    let ran = catch_unwind(AssertUnwindSafe(|| run(seed, Clock::Jumps, lines)));
    match ran {
        Ok(ran) => ran.map_err(|(violation, _)| violation),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(Violation::new(Checker::Panic, text.unwrap_or_default()))
        }
    }
}

/// Says which seed, which checker, what happened last, and how to see it again.
fn fail(seed: u64, violation: &Violation, lines: &str) -> ! {
    panic!(
        "seed {seed}, checker {:?}: {}\n{lines}\n  SIM_SEED={seed} cargo test --test simulation worlds -- --nocapture\n",
        violation.checker, violation.text
    );
}

fn summary(reports: &[Report]) {
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let simulated: Duration = reports.iter().map(|report| report.simulated).sum();
    println!(
        "{} worlds, {:.2} simulated years: {} probes, {} changes of verdict, {} views, {} answers, \
         {} users moved, {} reloads, {} refused",
        reports.len(),
        simulated.as_secs_f64() / (365.25 * 86400.0),
        sum(|own| own.probes),
        sum(|own| own.transitions),
        sum(|own| own.views),
        sum(|own| own.answers),
        sum(|own| own.moves),
        sum(|own| own.reloads),
        sum(|own| own.refused_reloads),
    );
}

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}
