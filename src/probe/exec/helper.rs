//! The helper: runs what it is told, one process group for each command, until the server leaves.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::COMMANDS_MAX;
use super::wire::{self, End, Ended, Order};
use crate::probe::cause;

/// What a command may write, to both of its outputs together. It is read and thrown away.
const OUTPUT_OCTETS_MAX: usize = 64 * 1024;

/// Where commands that name no path themselves are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The helper process: its standard input is the socket.
///
/// # Errors
/// When there is no server at the other end.
pub fn main() -> io::Result<()> {
    let socket = StdStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { serve(UnixStream::from_std(socket)?).await })
}

/// Serves until the other end closes; what is still running then is killed.
pub async fn serve(socket: UnixStream) -> io::Result<()> {
    let (reader, mut writer) = socket.into_split();
    let mut orders = BufReader::new(reader).lines();
    let (sender, mut ended) = mpsc::channel::<Ended>(COMMANDS_MAX);
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            line = orders.next_line() => {
                let Some(line) = line? else { return Ok(()) };
                let order: Order = serde_json::from_str(&line)?;
                let sender = sender.clone();
                running.spawn(async move {
                    let end = run(&order).await;
                    let _ = sender.send(Ended { number: order.number, end }).await;
                });
            }
            Some(ended) = ended.recv() => writer.write_all(&wire::line(&ended)?).await?,
            Some(_) = running.join_next() => {}
        }
    }
}

async fn run(order: &Order) -> End {
    let started = Command::new(&order.program)
        .args(&order.arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("MERIDIAN_ADDRESS", &order.address)
        .env("MERIDIAN_ENDPOINT", &order.endpoint)
        .env("MERIDIAN_TIMEOUT_MS", order.timeout_ms.to_string())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn();
    let mut command = match started {
        Ok(child) => Group(child),
        Err(error) if cause::is_exhausted(&error) || error.raw_os_error() == Some(libc::EAGAIN) => {
            return End::Exhausted;
        }
        Err(_) => return End::NoCommand,
    };
    let time = Duration::from_millis(order.timeout_ms);
    tokio::time::timeout(time, command.end()).await.unwrap_or(End::Timeout)
}

/// A command with all that it starts: killed when it is dropped before its end.
struct Group(Child);

impl Group {
    async fn end(&mut self) -> End {
        let (out, err) = (self.0.stdout.take(), self.0.stderr.take());
        let too_large = too_large(out, err);
        tokio::select! {
            biased;
            status = self.0.wait() => status.map_or(End::Exhausted, end_of),
            () = too_large => End::OutputTooLarge,
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // None once it has been waited for: then the number may be another's.
        if let Some(id) = self.0.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

fn end_of(status: ExitStatus) -> End {
    let octet = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Exit(octet(code)),
        (None, signal) => End::Signal(signal.map_or(0, octet)),
    }
}

/// Ends when too much has been written, and otherwise never.
async fn too_large(mut out: Option<impl AsyncRead + Unpin>, mut err: Option<impl AsyncRead + Unpin>) {
    let mut written = 0;
    let (mut a, mut b) = ([0; 4096], [0; 4096]);
    while written <= OUTPUT_OCTETS_MAX {
        let read = tokio::select! {
            read = read(&mut out, &mut a) => read,
            read = read(&mut err, &mut b) => read,
        };
        written += read;
    }
}

/// The next octets; waits for ever at the end.
async fn read(source: &mut Option<impl AsyncRead + Unpin>, buffer: &mut [u8]) -> usize {
    if let Some(open) = source {
        match open.read(buffer).await {
            Ok(length) if length > 0 => return length,
            _ => *source = None,
        }
    }
    std::future::pending().await
}
