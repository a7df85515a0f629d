//! Figures as a table, as JSON and as a line of history.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::Result;
use crate::compare::{Entrant, Measured, Plan, Sample, Start};
use crate::histogram::Histogram;
use crate::packet::Kind;
use crate::reload::Reloads;
use crate::servers::Peer;
use crate::statistics::{Estimate, estimate, median};

/// What a run says, in one place for the table and the JSON.
pub struct Report {
    rows: Vec<Row>,
    starts: Vec<(Entrant, f64, f64, f64)>,
    reloads: Vec<Reloads>,
    troubles: Vec<String>,
    conditions: Value,
}

struct Row {
    entrant: Entrant,
    kind: Kind,
    cpu_us: f64,
    queries_per_second: f64,
    to_reflector: Estimate,
    meridian_to_it: Option<Estimate>,
    to_one_worker: Option<Estimate>,
    /// The same over the reflector's own: what more than the machine and the kernel ask of a second worker.
    to_reflectors: Option<Estimate>,
    switches: [f64; 2],
    per_call: Option<f64>,
    even: Option<Even>,
    answered: u64,
    lost: u64,
    wrong: u64,
    busy: f64,
    foreign: f64,
}

impl Report {
    /// Draws it up.
    pub fn new(plan: &Plan, measured: &Measured, agreement: &[(Peer, usize, usize)]) -> Report {
        let mut rows = Vec::new();
        for kind in &plan.kinds {
            let entrants = plan.entrants().into_iter().filter(|entrant| entrant.peer.answers(*kind));
            rows.extend(entrants.map(|entrant| row(measured, entrant, *kind)));
        }
        let starts = plan.entrants().into_iter().map(|entrant| starts(measured, entrant)).collect();
        let agreement: Vec<Value> = agreement
            .iter()
            .map(|(peer, same, all)| json!({ "peer": peer.name(), "same": same, "networks": all }))
            .collect();
        let versions: serde_json::Map<String, Value> = plan
            .peers
            .iter()
            .filter_map(|peer| Some((peer.name().to_owned(), Value::String(peer.version()?))))
            .collect();
        let conditions = json!({
            "rounds": plan.rounds,
            "queries_per_second_even": plan.rate,
            "seconds_even": plan.even.as_secs_f64(),
            "seconds_per_stretch": plan.stretch.as_secs_f64(),
            "processor": processor(),
            "kernel": one_line("/proc/sys/kernel/osrelease"),
            "load_average": one_line("/proc/loadavg"),
            "unix_time": std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            "date": command("date", &["--utc", "+%Y-%m-%dT%H:%M:%SZ"]),
            "commit": command("git", &["describe", "--always", "--dirty", "--exclude=*"]),
            "cores": one_line("/proc/cpuinfo").matches("processor\t:").count(),
            "versions": versions,
            "same_answers_as_meridian": agreement,
        });
        let (reloads, troubles) = (measured.reloads.clone(), measured.troubles.clone());
        Report { rows, starts, reloads, troubles, conditions }
    }

    /// The table for people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{:<9} {:<12} {:>9} {:>8} {:>24} {:>24} {:>11} {:>5} {:>5} {:>7} {:>7}",
            "kind",
            "server",
            "us/query",
            "q/s",
            "ratio to reflector",
            "meridian's ratio to it",
            "answered",
            "lost",
            "wrong",
            "busy",
            "foreign"
        );
        for row in &self.rows {
            let _ = writeln!(
                out,
                "{:<9} {:<12} {:>9.3} {:>8.0} {:>24} {:>24} {:>11} {:>5} {:>5} {:>6.1}% {:>6.1}%",
                row.kind.name(),
                row.entrant.name(),
                row.cpu_us,
                row.queries_per_second,
                show(&row.to_reflector),
                row.meridian_to_it.as_ref().map_or(String::new(), show),
                row.answered,
                row.lost,
                row.wrong,
                row.busy * 100.0,
                row.foreign * 100.0,
            );
            if let Some(ratio) = row.to_one_worker.as_ref().filter(|ratio| !ratio.median.is_nan()) {
                let own = row.to_reflectors.as_ref().filter(|own| !own.median.is_nan());
                let own =
                    own.map_or(String::new(), |own| format!("; {} of what the reflector's does", show(own)));
                let _ = writeln!(out, "{:<9} {:<12} {} of one worker's CPU time{own}", "", "", show(ratio));
            }
        }
        self.switches_text(&mut out);
        let _ =
            writeln!(out, "\n{:<12} {:>9} {:>13} {:>9}", "server", "start, s", "resident, MiB", "peak, MiB");
        for (entrant, start, resident, peak) in &self.starts {
            let _ = writeln!(out, "{:<12} {start:>9.2} {resident:>13.1} {peak:>9.1}", entrant.name());
        }
        self.even_text(&mut out);
        if !self.reloads.is_empty() {
            out.push('\n');
        }
        for reloads in &self.reloads {
            let _ = writeln!(out, "{}", reloads.line());
        }
        for trouble in &self.troubles {
            let _ = writeln!(out, "\nTROUBLE: {trouble}");
        }
        let _ = writeln!(out, "\n{}", self.conditions);
        out
    }

    /// Where several workers are compared: why what they cost differs.
    fn switches_text(&self, out: &mut String) {
        if self.rows.iter().all(|row| row.entrant.workers == 1) {
            return;
        }
        let _ = writeln!(
            out,
            "\n{:<9} {:<12} {:>18} {:>12} {:>15}",
            "kind", "server", "sleeps per 1000", "displaced", "datagrams/call"
        );
        for row in &self.rows {
            let [sleeps, displaced] = row.switches;
            let _ = writeln!(
                out,
                "{:<9} {:<12} {sleeps:>18.2} {displaced:>12.2} {:>15}",
                row.kind.name(),
                row.entrant.name(),
                row.per_call.map_or(String::new(), |per_call| format!("{per_call:.1}")),
            );
        }
    }

    fn even_text(&self, out: &mut String) {
        let rows: Vec<(&Row, &Even)> =
            self.rows.iter().filter_map(|row| Some((row, row.even.as_ref()?))).collect();
        if rows.is_empty() {
            return;
        }
        let _ = writeln!(
            out,
            "\nlatency at {} queries a second, us\n{:<9} {:<12} {:>9} {:>9} {:>9} {:>17} {:>9} {:>5} {:>5}",
            self.conditions["queries_per_second_even"],
            "kind",
            "server",
            "p50",
            "p99",
            "p99.9",
            "slowest, median",
            "slowest",
            "lost",
            "wrong"
        );
        for (row, even) in rows {
            let [p50, p99, p999] = even.quantiles_us();
            let _ = writeln!(
                out,
                "{:<9} {:<12} {p50:>9.0} {p99:>9.0} {p999:>9.0} {:>17.0} {:>9.0} {:>5} {:>5}",
                row.kind.name(),
                row.entrant.name(),
                even.slowest_us,
                even.latency.max_us(),
                even.lost,
                even.wrong,
            );
        }
    }

    /// Everything for programs.
    pub fn json(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
        let starts: Vec<Value> = self
            .starts
            .iter()
            .map(|(entrant, start, resident, peak)| {
                json!({ "peer": entrant.peer.name(), "workers": entrant.workers, "start_s": start, "resident_mib": resident, "peak_mib": peak })
            })
            .collect();
        let reloads: Vec<Value> = self.reloads.iter().map(reloads_json).collect();
        json!({
            "conditions": self.conditions,
            "rows": rows,
            "starts": starts,
            "reloads": reloads,
            "troubles": self.troubles,
        })
    }

    /// Appends the JSON to a file as one line.
    pub fn append(&self, history: &Path) -> Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(history)?;
        Ok(writeln!(file, "{}", self.json())?)
    }
}

impl Row {
    fn json(&self) -> Value {
        let interval = |estimate: &Estimate| json!([estimate.median, estimate.low, estimate.high]);
        json!({
            "kind": self.kind.name(),
            "peer": self.entrant.peer.name(),
            "workers": self.entrant.workers,
            "cpu_us_per_query": self.cpu_us,
            "queries_per_second": self.queries_per_second,
            "ratio_to_reflector": interval(&self.to_reflector),
            "meridian_to_it": self.meridian_to_it.as_ref().map(interval),
            "to_one_worker": self.to_one_worker.as_ref().map(interval),
            "to_the_reflectors_own": self.to_reflectors.as_ref().map(interval),
            "sleeps_and_displaced_per_1000": self.switches,
            "datagrams_per_call": self.per_call,
            "at_an_even_rate": self.even.as_ref().map(Even::json),
            "answered": self.answered,
            "lost": self.lost,
            "wrong": self.wrong,
            "busy_share": self.busy,
            "foreign_share_of_core": self.foreign,
        })
    }
}

fn row(measured: &Measured, entrant: Entrant, kind: Kind) -> Row {
    let of = |entrant: Entrant| {
        measured.samples.iter().filter(move |sample| (sample.entrant, sample.kind) == (entrant, kind))
    };
    let values = |value: fn(&Sample) -> f64| of(entrant).map(value).collect::<Vec<_>>();
    let ratios = |above: Entrant, below: Entrant| {
        let pairs = of(above).filter_map(|a| {
            let b = of(below).find(|b| b.round == a.round)?;
            Some(a.cpu_us / b.cpu_us)
        });
        estimate(&pairs.collect::<Vec<_>>())
    };
    let meridian = Entrant { peer: Peer::Meridian, ..entrant };
    let is_other = !matches!(entrant.peer, Peer::Meridian | Peer::Reflector) && of(meridian).next().is_some();
    let one = Entrant { workers: 1, ..entrant };
    let reflector = Entrant { peer: Peer::Reflector, ..entrant };
    let is_compared = entrant.workers > 1 && entrant.peer != Peer::Reflector;
    let own = || {
        let cost = |entrant: Entrant, round: usize| {
            of(entrant).find(|sample| sample.round == round).map(|sample| sample.cpu_us)
        };
        let reflector_one = Entrant { workers: 1, ..reflector };
        let ratios = of(entrant).filter_map(|sample| {
            let round = sample.round;
            let ratio = sample.cpu_us / cost(one, round)?;
            Some(ratio / (cost(reflector, round)? / cost(reflector_one, round)?))
        });
        estimate(&ratios.collect::<Vec<_>>())
    };
    Row {
        entrant,
        kind,
        cpu_us: median(&values(|sample| sample.cpu_us)),
        queries_per_second: median(&values(|sample| {
            sample.outcome.answered as f64 / sample.outcome.elapsed.as_secs_f64()
        })),
        to_reflector: ratios(entrant, reflector),
        meridian_to_it: is_other.then(|| ratios(meridian, entrant)),
        to_one_worker: (entrant.workers > 1).then(|| ratios(entrant, one)),
        to_reflectors: is_compared.then(own),
        switches: [0, 1]
            .map(|which| median(&of(entrant).map(|sample| sample.switches[which]).collect::<Vec<_>>())),
        per_call: {
            let counted: Vec<f64> = of(entrant).filter_map(|sample| sample.per_call).collect();
            (!counted.is_empty()).then(|| median(&counted))
        },
        even: Even::of(of(entrant)),
        answered: of(entrant).map(|sample| sample.outcome.answered).sum(),
        lost: of(entrant).map(|sample| sample.outcome.lost).sum(),
        wrong: of(entrant).map(|sample| sample.outcome.wrong).sum(),
        busy: median(&values(|sample| sample.busy)),
        foreign: median(&values(|sample| sample.foreign)),
    }
}

/// Latencies at an even rate, of all rounds together.
struct Even {
    latency: Histogram,
    /// The median of the rounds' slowest answers, in microseconds: one bad round does not make it.
    slowest_us: f64,
    answered: u64,
    lost: u64,
    wrong: u64,
}

impl Even {
    fn of<'s>(samples: impl Iterator<Item = &'s Sample>) -> Option<Even> {
        let rounds: Vec<_> = samples.filter_map(|sample| sample.even.as_ref()).collect();
        let mut latency = Histogram::default();
        rounds.iter().for_each(|round| latency.add(&round.latency));
        let slowest: Vec<f64> = rounds.iter().map(|round| round.latency.max_us()).collect();
        (!rounds.is_empty()).then(|| Even {
            latency,
            slowest_us: median(&slowest),
            answered: rounds.iter().map(|round| round.answered).sum(),
            lost: rounds.iter().map(|round| round.lost).sum(),
            wrong: rounds.iter().map(|round| round.wrong).sum(),
        })
    }

    fn quantiles_us(&self) -> [f64; 3] {
        [0.5, 0.99, 0.999].map(|share| self.latency.quantile_us(share))
    }

    fn json(&self) -> Value {
        let [p50, p99, p999] = self.quantiles_us();
        json!({
            "p50_us": p50,
            "p99_us": p99,
            "p999_us": p999,
            "slowest_median_us": self.slowest_us,
            "slowest_us": self.latency.max_us(),
            "answered": self.answered,
            "lost": self.lost,
            "wrong": self.wrong,
        })
    }
}

fn starts(measured: &Measured, entrant: Entrant) -> (Entrant, f64, f64, f64) {
    let of = |value: &dyn Fn(&Start) -> f64| {
        let starts = measured.starts.iter().filter(|start| start.entrant == entrant);
        median(&starts.map(value).collect::<Vec<_>>())
    };
    let start = of(&|start| start.started_in.as_secs_f64());
    let resident = of(&|start| start.memory_kib.0 as f64 / 1024.0);
    (entrant, start, resident, of(&|start| start.memory_kib.1 as f64 / 1024.0))
}

fn reloads_json(reloads: &Reloads) -> Value {
    json!({
        "peer": reloads.peer.name(),
        "changed": reloads.change.name(),
        "took_s": reloads.took_s,
        "answered": reloads.outcome.answered,
        "lost": reloads.outcome.lost,
        "wrong": reloads.outcome.wrong,
        "slowest_answer_us": reloads.outcome.latency.max_us(),
    })
}

fn show(estimate: &Estimate) -> String {
    if estimate.median.is_nan() {
        return String::new();
    }
    format!("{:.3} [{:.3}-{:.3}]", estimate.median, estimate.low, estimate.high)
}

fn one_line(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn processor() -> String {
    let text = one_line("/proc/cpuinfo");
    let line = text.lines().find(|line| line.starts_with("model name")).unwrap_or_default();
    line.split(": ").nth(1).unwrap_or_default().to_owned()
}

fn command(program: &str, arguments: &[&str]) -> String {
    let output = std::process::Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
