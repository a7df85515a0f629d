//! The server under demonstration: `meridian serve` as a child process, its log at hand.

use std::collections::VecDeque;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

/// Log lines kept: a screenful.
const LOG_LINES_MAX: usize = 200;
/// The child has a drain to finish; after that it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The running child.
pub struct Server {
    child: tokio::sync::Mutex<Child>,
    log: Arc<Mutex<Log>>,
}

/// The child's last lines.
#[derive(Default)]
struct Log {
    lines: VecDeque<String>,
    /// How many there have been.
    count: u64,
}

impl Server {
    /// Starts this very program with `serve`.
    pub fn start(config: &Path) -> Result<Server, String> {
        let program =
            std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
        let mut child = Command::new(program)
            .arg("serve")
            .arg("--config")
            .arg(config)
            // Whatever ends the demo closes the other end of this pipe, and the server stops.
            .arg("--until-stdin-closes")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            // A key that interrupts the demo must not reach the server before the demo stops it.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot start the server: {error}"))?;
        let log = Arc::new(Mutex::new(Log::default()));
        if let Some(out) = child.stdout.take() {
            follow(out, &log);
        }
        if let Some(err) = child.stderr.take() {
            follow(err, &log);
        }
        Ok(Server { child: tokio::sync::Mutex::new(child), log })
    }

    /// The log lines after the first `seen`, and how many there have been.
    pub fn log_after(&self, seen: u64) -> (Vec<String>, u64) {
        let Ok(log) = self.log.lock() else { return (Vec::new(), seen) };
        let fresh = usize::try_from(log.count.saturating_sub(seen)).unwrap_or(usize::MAX);
        let skip = log.lines.len().saturating_sub(fresh);
        (log.lines.iter().skip(skip).cloned().collect(), log.count)
    }

    /// Whether it has ended.
    pub async fn has_ended(&self) -> bool {
        !matches!(self.child.lock().await.try_wait(), Ok(None))
    }

    /// Asks it to stop, and waits.
    pub async fn stop(&self) {
        let mut child = self.child.lock().await;
        if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) {
            // Twice: the second one cuts the drain short, nobody is left to ask.
            for _ in 0..2 {
                let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
                if tokio::time::timeout(Duration::from_millis(200), child.wait()).await.is_ok() {
                    return;
                }
            }
        }
        if tokio::time::timeout(STOP_TIMEOUT, child.wait()).await.is_err() {
            let _ = child.kill().await;
        }
    }
}

fn follow(from: impl AsyncRead + Unpin + Send + 'static, log: &Arc<Mutex<Log>>) {
    let log = Arc::clone(log);
    tokio::spawn(async move {
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Ok(mut log) = log.lock() {
                if log.lines.len() == LOG_LINES_MAX {
                    log.lines.pop_front();
                }
                log.lines.push_back(line);
                log.count += 1;
            }
        }
    });
}
