//! Figures as a table, as JSON and as a line of history.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::Result;
use crate::compare::{Measured, Plan, Sample, Start};
use crate::packet::Kind;
use crate::reload::Reloads;
use crate::servers::Peer;
use crate::statistics::{Estimate, estimate, median};

/// What a run says, in one place for the table and the JSON.
pub struct Report {
    rows: Vec<Row>,
    starts: Vec<(Peer, f64, f64, f64)>,
    reloads: Vec<Reloads>,
    troubles: Vec<String>,
    conditions: Value,
}

struct Row {
    peer: Peer,
    kind: Kind,
    cpu_us: f64,
    queries_per_second: f64,
    to_reflector: Estimate,
    meridian_to_it: Option<Estimate>,
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
            let kind_peers = plan.peers.iter().filter(|peer| peer.answers(*kind));
            rows.extend(kind_peers.map(|peer| row(measured, *peer, *kind)));
        }
        let starts = plan.peers.iter().map(|peer| starts(measured, *peer)).collect();
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
            "{:<9} {:<9} {:>9} {:>8} {:>24} {:>24} {:>11} {:>5} {:>5} {:>7} {:>7}",
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
                "{:<9} {:<9} {:>9.3} {:>8.0} {:>24} {:>24} {:>11} {:>5} {:>5} {:>6.1}% {:>6.1}%",
                row.kind.name(),
                row.peer.name(),
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
        }
        let _ =
            writeln!(out, "\n{:<9} {:>9} {:>13} {:>9}", "server", "start, s", "resident, MiB", "peak, MiB");
        for (peer, start, resident, peak) in &self.starts {
            let _ = writeln!(out, "{:<9} {start:>9.2} {resident:>13.1} {peak:>9.1}", peer.name());
        }
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

    /// Everything for programs.
    pub fn json(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
        let starts: Vec<Value> = self
            .starts
            .iter()
            .map(|(peer, start, resident, peak)| {
                json!({ "peer": peer.name(), "start_s": start, "resident_mib": resident, "peak_mib": peak })
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
            "peer": self.peer.name(),
            "cpu_us_per_query": self.cpu_us,
            "queries_per_second": self.queries_per_second,
            "ratio_to_reflector": interval(&self.to_reflector),
            "meridian_to_it": self.meridian_to_it.as_ref().map(interval),
            "answered": self.answered,
            "lost": self.lost,
            "wrong": self.wrong,
            "busy_share": self.busy,
            "foreign_share_of_core": self.foreign,
        })
    }
}

fn row(measured: &Measured, peer: Peer, kind: Kind) -> Row {
    let of =
        |peer: Peer| measured.samples.iter().filter(move |sample| (sample.peer, sample.kind) == (peer, kind));
    let values = |value: fn(&Sample) -> f64| of(peer).map(value).collect::<Vec<_>>();
    let ratios = |above: Peer, below: Peer| {
        let pairs = of(above).filter_map(|a| {
            let b = of(below).find(|b| b.round == a.round)?;
            Some(a.cpu_us / b.cpu_us)
        });
        estimate(&pairs.collect::<Vec<_>>())
    };
    let is_other = !matches!(peer, Peer::Meridian | Peer::Reflector) && of(Peer::Meridian).next().is_some();
    Row {
        peer,
        kind,
        cpu_us: median(&values(|sample| sample.cpu_us)),
        queries_per_second: median(&values(|sample| {
            sample.outcome.answered as f64 / sample.outcome.elapsed.as_secs_f64()
        })),
        to_reflector: ratios(peer, Peer::Reflector),
        meridian_to_it: is_other.then(|| ratios(Peer::Meridian, peer)),
        answered: of(peer).map(|sample| sample.outcome.answered).sum(),
        lost: of(peer).map(|sample| sample.outcome.lost).sum(),
        wrong: of(peer).map(|sample| sample.outcome.wrong).sum(),
        busy: median(&values(|sample| sample.busy)),
        foreign: median(&values(|sample| sample.foreign)),
    }
}

fn starts(measured: &Measured, peer: Peer) -> (Peer, f64, f64, f64) {
    let of = |value: &dyn Fn(&Start) -> f64| {
        let starts = measured.starts.iter().filter(|start| start.peer == peer);
        median(&starts.map(value).collect::<Vec<_>>())
    };
    let start = of(&|start| start.started_in.as_secs_f64());
    let resident = of(&|start| start.memory_kib.0 as f64 / 1024.0);
    (peer, start, resident, of(&|start| start.memory_kib.1 as f64 / 1024.0))
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
