//! The machine: network namespaces, processor sets, and where the processors' time went.

use std::fs;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

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

/// Nanoseconds that the scheduler has given to everything that has a part in the answers. The softirq work of a sender is
/// in the time of the task that it interrupts, which is the sender; other programs on the machine are not counted.
#[derive(Clone, Copy, Default, Debug)]
pub struct Accounts {
    /// meridian, the thread at the AF_XDP socket, and the kernel's thread that polls the server's interface.
    pub server_ns: u64,
    /// The generator, and the kernel's thread that polls the client's interface.
    pub client_ns: u64,
    /// What softirqs got where they were too much for the tasks that they interrupted, whosesoever they were.
    pub softirq_ns: u64,
    /// What the machine was not idle, all programs together.
    pub machine_ns: u64,
}

impl Accounts {
    /// Reads the scheduler's accounts.
    pub fn read(meridian: &Meridian) -> Result<Accounts> {
        let mut accounts = Accounts { machine_ns: busy_ns()?, ..Accounts::default() };
        for task in fs::read_dir(format!("/proc/{}/task", meridian.0.id()))?.flatten() {
            accounts.server_ns += runtime_ns(&task.path());
        }
        for task in fs::read_dir("/proc/self/task")?.flatten() {
            let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            let runtime_ns = runtime_ns(&task.path());
            if name.trim() == "af-xdp" {
                accounts.server_ns += runtime_ns;
            } else {
                accounts.client_ns += runtime_ns;
            }
        }
        for process in fs::read_dir("/proc")?.flatten() {
            if !process.file_name().to_string_lossy().starts_with(|first: char| first.is_ascii_digit()) {
                continue;
            }
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            match name.trim() {
                name if name.starts_with("napi/server-") => accounts.server_ns += runtime_ns(&process.path()),
                name if name.starts_with("napi/client-") => accounts.client_ns += runtime_ns(&process.path()),
                name if name.starts_with("ksoftirqd/") => accounts.softirq_ns += runtime_ns(&process.path()),
                _ => {}
            }
        }
        Ok(accounts)
    }

    /// What was spent since.
    pub fn spent(&self, meridian: &Meridian) -> Result<Accounts> {
        let now = Accounts::read(meridian)?;
        Ok(Accounts {
            server_ns: now.server_ns.saturating_sub(self.server_ns),
            client_ns: now.client_ns.saturating_sub(self.client_ns),
            softirq_ns: now.softirq_ns.saturating_sub(self.softirq_ns),
            machine_ns: now.machine_ns.saturating_sub(self.machine_ns),
        })
    }
}

/// Nanoseconds that a task has run.
fn runtime_ns(task: &Path) -> u64 {
    let text = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Nanoseconds that the cores were not idle, by the kernel's ticks of 10 ms.
fn busy_ns() -> Result<u64> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().skip(1).map_while(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal.
    Ok(ticks
        .iter()
        .take(8)
        .enumerate()
        .filter(|(index, _)| !matches!(index, 3 | 4))
        .map(|(_, ticks)| ticks * 10_000_000)
        .sum())
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
