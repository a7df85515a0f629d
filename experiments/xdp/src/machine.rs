//! The machine: network namespaces, processor sets, and where the processors' time went.

use std::fs;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, CpuSet, sched_setaffinity, setns};
use nix::unistd::Pid;

use crate::Result;

/// Moves the calling thread into a network namespace.
pub fn enter(namespace: &Path) -> Result<()> {
    let file = File::open(namespace).map_err(|error| format!("{}: {error}", namespace.display()))?;
    Ok(setns(file, CloneFlags::CLONE_NEWNET)?)
}

/// Keeps a thread on one core; 0 is the calling one.
pub fn pin(thread: i32, core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(thread), &set)?)
}

/// Keeps the kernel's thread that polls an interface on one core; an error where there is none.
pub fn pin_poller(interface: &str, core: usize) -> Result<()> {
    let prefix = format!("napi/{interface}-");
    let mut found = false;
    for entry in fs::read_dir("/proc")?.flatten() {
        let Ok(thread) = entry.file_name().to_string_lossy().parse() else { continue };
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if name.starts_with(&prefix) {
            pin(thread, core)?;
            found = true;
        }
    }
    found.then_some(()).ok_or_else(|| format!("no thread {prefix}*: is it threaded?").into())
}

/// meridian itself. It ends with the value.
pub struct Meridian(Child);

impl Meridian {
    /// Starts it in the calling thread's network namespace, on the calling thread's core.
    pub fn start(program: &Path, config: &Path) -> Result<Meridian> {
        let log = File::create(config.with_extension("log"))?;
        let (out, err) = (log.try_clone()?, log);
        let mut command = Command::new(program);
        command.args(["serve", "--config"]).arg(config).stdin(Stdio::null()).stdout(out).stderr(err);
        Ok(Meridian(command.spawn().map_err(|error| format!("{}: {error}", program.display()))?))
    }
}

impl Drop for Meridian {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Seconds that each core was not idle, since the machine started.
#[derive(Clone, Copy, Debug)]
pub struct Busy {
    at: Instant,
    idle_s: [f64; 2],
    softirq_s: f64,
}

/// Where the time between two readings went.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    /// By the clock.
    pub elapsed: Duration,
    /// Seconds of each core.
    pub cores_s: [f64; 2],
    /// Seconds in softirqs, as the kernel's ticks found them (sampled, not measured).
    pub softirq_s: f64,
}

impl Busy {
    /// Reads the kernel's accounts. Idle time is exact, what it was used for is sampled by the tick: hence this way round.
    pub fn read() -> Result<Busy> {
        let text = fs::read_to_string("/proc/stat")?;
        let at = Instant::now();
        let (mut idle_s, mut softirq_s) = ([0.0; 2], 0.0);
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let name = words.next().unwrap_or_default();
            // user nice system idle iowait irq softirq ..., in hundredths of a second.
            let ticks: Vec<f64> = words.map_while(|word| word.parse().ok()).collect();
            let tick = |index: usize| ticks.get(index).copied().unwrap_or(0.0) / 100.0;
            match name {
                "cpu0" => idle_s[0] = tick(3) + tick(4),
                "cpu1" => idle_s[1] = tick(3) + tick(4),
                "cpu" => softirq_s = tick(5) + tick(6),
                _ => {}
            }
        }
        Ok(Busy { at, idle_s, softirq_s })
    }

    /// What was spent since.
    pub fn spent(&self) -> Result<Spent> {
        let now = Busy::read()?;
        let elapsed = now.at - self.at;
        let core = |index: usize| (elapsed.as_secs_f64() - (now.idle_s[index] - self.idle_s[index])).max(0.0);
        Ok(Spent { elapsed, cores_s: [core(0), core(1)], softirq_s: now.softirq_s - self.softirq_s })
    }
}

impl Meridian {
    /// Whether it has not ended.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_none())
    }
}

/// Turns an interface's GRO on or off, in the calling thread's network namespace: with it, a virtual interface
/// receives by polling (NAPI), which can be moved to a thread.
pub fn offload(interface: &str, on: bool) -> Result<()> {
    let value = if on { "on" } else { "off" };
    let status = Command::new("ethtool").args(["-K", interface, "gro", value]).status()?;
    if status.success() { Ok(()) } else { Err(format!("ethtool: {status}").into()) }
}
