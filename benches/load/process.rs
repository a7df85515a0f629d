//! Servers as processes: started on a core of their own, looked at through `/proc`, stopped.

use std::fs::File;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;

/// A server that does not answer by then is broken. Under an instrument it starts a hundred times slower.
const START_MAX: Duration = Duration::from_secs(900);
/// After a request to end.
const STOP_MAX: Duration = Duration::from_secs(20);
/// For one answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// How often a question is repeated until a server answers: the resolution of start times.
const ASK_AGAIN: Duration = Duration::from_millis(10);
/// Where servers listen: below the ports that the kernel gives out.
const PORTS: RangeInclusive<u16> = 20_053..=20_999;
/// The kernel's unit of CPU time towards programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// Where a server may run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cores {
    /// On core 0: the generator has core 1.
    First,
    /// On both: for what two workers cost.
    Both,
}

impl Cores {
    /// In the words of taskset(1).
    fn list(self) -> &'static str {
        match self {
            Cores::First => "0",
            Cores::Both => "0,1",
        }
    }
}

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    /// Its processes: more than one where each worker is one.
    processes: Vec<u32>,
    /// Where it answers.
    pub address: SocketAddr,
    /// From the start of the process to the first answer.
    pub started_in: Duration,
}

impl Server {
    /// Starts a program and waits until it answers `question`.
    pub fn start(
        command: &[String],
        cores: Cores,
        address: SocketAddr,
        log: &Path,
        question: &[u8],
    ) -> Result<Server> {
        let log_file = File::create(log)?;
        let start = Instant::now();
        let child = Command::new("taskset")
            .args(["-c", cores.list()])
            .args(command)
            .stdin(Stdio::null())
            .stdout(log_file.try_clone()?)
            .stderr(log_file)
            .spawn()?;
        let mut server = Server { child, processes: Vec::new(), address, started_in: Duration::ZERO };
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(ASK_AGAIN))?;
        let mut reply = [0; 1232];
        loop {
            if let Some(status) = server.child.try_wait()? {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                return Err(format!("{} ended ({status}): {said}", command.join(" ")).into());
            }
            if start.elapsed() > START_MAX {
                return Err(format!("{} does not answer", command.join(" ")).into());
            }
            // Refused until the server listens: wait for it here instead of in the kernel.
            if socket.send(question).is_err() {
                std::thread::sleep(ASK_AGAIN);
                continue;
            }
            match socket.recv(&mut reply) {
                // An answer of NOERROR; a reflector's has neither QR nor RCODE of its own.
                Ok(octets) if octets >= 12 && reply[3] & 15 == 0 => break,
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::thread::sleep(ASK_AGAIN),
                _ => {}
            }
        }
        server.started_in = start.elapsed();
        server.processes = family(server.id())?;
        Ok(server)
    }

    /// Asks it one question.
    pub fn ask(&self, question: &[u8]) -> Result<Vec<u8>> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(self.address)?;
        socket.set_read_timeout(Some(ANSWER_MAX))?;
        socket.send(question)?;
        let mut reply = vec![0; 1232];
        let octets = socket.recv(&mut reply)?;
        reply.truncate(octets);
        Ok(reply)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// CPU time used so far, user and system, by all its processes.
    pub fn cpu_time(&self) -> Result<Duration> {
        self.processes.iter().map(|process| cpu_time(*process)).sum()
    }

    /// How often its threads have gone to sleep, and how often another has taken their core.
    pub fn switches(&self) -> Result<[u64; 2]> {
        let mut sum = [0; 2];
        for process in &self.processes {
            for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
                let file = thread?.path().join("status").display().to_string();
                for (sum, key) in
                    sum.iter_mut().zip(["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"])
                {
                    *sum += figure(&file, key)?;
                }
            }
        }
        Ok(sum)
    }

    /// Begins to count how often it makes a system call, for so long.
    pub fn count_calls(&self, call: &str, time: Duration) -> Result<Counting> {
        let processes: Vec<String> = self.processes.iter().map(u32::to_string).collect();
        let perf = Command::new("perf")
            .args(["stat", "-x", ",", "-e", &format!("syscalls:sys_enter_{call}")])
            .args(["-p", &processes.join(","), "--timeout", &time.as_millis().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(Counting(perf))
    }

    /// Resident memory now and at its peak, in KiB. A page that several processes share counts once in the
    /// first figure; the second is the largest process's.
    pub fn memory_kib(&self) -> Result<(u64, u64)> {
        let (mut resident, mut peak) = (0, 0);
        for process in &self.processes {
            resident += figure(&format!("/proc/{process}/smaps_rollup"), "Pss:")?;
            peak = peak.max(figure(&format!("/proc/{process}/status"), "VmHWM:")?);
        }
        Ok((resident, peak))
    }

    /// Asks it to end and waits; kills it if it does not.
    pub fn stop(mut self) -> Result<()> {
        Command::new("kill").args(["-TERM", &self.id().to_string()]).status()?;
        let start = Instant::now();
        while start.elapsed() < STOP_MAX {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(ASK_AGAIN);
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already ended is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A count of system calls under way.
pub struct Counting(Child);

impl Counting {
    /// How many there were.
    pub fn calls(self) -> Result<f64> {
        let output = self.0.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        let figure = text.lines().find_map(|line| line.split(',').next()?.parse().ok());
        Ok(figure.ok_or_else(|| format!("perf does not count: {text}"))?)
    }
}

/// A port of 127.0.0.1 that is free now for datagrams and connections. Not one of those that the kernel
/// gives out: a server that compiles a map first binds seconds later, and somebody else may have it then.
pub fn free_port() -> Result<u16> {
    let is_free = |port: &u16| {
        UdpSocket::bind(("127.0.0.1", *port)).is_ok() && TcpListener::bind(("127.0.0.1", *port)).is_ok()
    };
    Ok(PORTS.into_iter().find(is_free).ok_or("no free port")?)
}

/// A process and all that come from it.
fn family(root: u32) -> Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Ok(process) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        // One that has ended meanwhile has no parent.
        if let Ok(fields) = stat(process) {
            parents.extend(fields.get(1).and_then(|parent| Some((process, parent.parse::<u32>().ok()?))));
        }
    }
    let mut family = vec![root];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(process, _)| *process));
        next += 1;
    }
    Ok(family)
}

/// The fields of /proc/PID/stat from the third on: the name, which may hold spaces, and the number before
/// it are gone.
fn stat(process: u32) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    Ok(text.rsplit(')').next().unwrap_or_default().split_whitespace().map(str::to_owned).collect())
}

/// Time on a core of all threads that it has now, in nanoseconds of the scheduler: the same sum as user and
/// system time in /proc/PID/stat, which has it in hundredths of a second only.
fn cpu_time(process: u32) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let file = thread?.path().join("schedstat");
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let on_core = text.split(' ').next().and_then(|ns| ns.parse().ok());
        total += Duration::from_nanos(on_core.ok_or_else(|| format!("{} is unreadable", file.display()))?);
    }
    Ok(total)
}

/// A figure of a file of /proc.
fn figure(file: &str, key: &str) -> Result<u64> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let line =
        text.lines().find(|line| line.starts_with(key)).and_then(|line| line.split_whitespace().nth(1));
    Ok(line.ok_or_else(|| format!("{file} has no {key}"))?.parse()?)
}

/// Busy time of a core since the start of the machine, in seconds.
pub fn busy_seconds(core: usize) -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().find(|line| line.starts_with(&format!("cpu{core} "))).ok_or("no such core")?;
    let fields: Vec<f64> = line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // All but idle and iowait; guests are counted in user.
    let busy = fields.iter().take(8).enumerate().filter(|(index, _)| !matches!(index, 3 | 4));
    Ok(busy.map(|(_, ticks)| ticks).sum::<f64>() / TICKS_PER_SECOND)
}
