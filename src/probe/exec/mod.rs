//! Exec probes: commands, run by a helper process.
//!
//! The helper is this same program, started before the server drops its privileges, so that the server
//! can be kept from starting programs. It becomes the server's own user. Both talk over a pair of
//! sockets, a line of JSON for each command and one for each end. When the helper is gone nothing can
//! be said of the endpoints (H13).

mod helper;
mod wire;

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc, oneshot};

pub use self::helper::main;
use self::wire::{End, Ended, Order};
use super::stopwatch::Stopwatch;
use crate::health::{ExecCheck, Failure, NotRun, TargetAddress};

/// Commands at once: each is a process.
const COMMANDS_MAX: usize = 32;

/// What the helper is called on the command line.
pub const HELPER_VERB: &str = "run-commands";

/// The helper, started and not yet talked to.
#[derive(Debug)]
pub struct Helper {
    socket: StdStream,
    child: Option<Child>,
}

impl Helper {
    /// Starts the helper, as this user and group if the process may choose.
    ///
    /// # Errors
    /// When the system refuses another process.
    pub fn spawn(identity: Option<(u32, u32)>) -> io::Result<Helper> {
        let (socket, theirs) = StdStream::pair()?;
        let mut command = Command::new("/proc/self/exe");
        command
            .arg(HELPER_VERB)
            .env_clear()
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            // What a terminal sends is for the server, which ends the helper by leaving.
            .process_group(0);
        if let Some((user, group)) = identity {
            command.uid(user).gid(group);
        }
        let child = Some(command.spawn()?);
        Ok(Helper { socket, child })
    }
}

/// Where commands are sent.
#[derive(Clone, Debug)]
pub struct Commands {
    orders: mpsc::Sender<(Order, oneshot::Sender<End>)>,
    places: Arc<Semaphore>,
}

impl Commands {
    /// Begins to talk to the helper. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the socket cannot be used.
    pub fn new(helper: Helper) -> io::Result<Commands> {
        helper.socket.set_nonblocking(true)?;
        let socket = UnixStream::from_std(helper.socket)?;
        let (orders, waiting) = mpsc::channel(COMMANDS_MAX);
        tokio::spawn(async move {
            let error = talk(socket, waiting).await.err();
            let error = error.map(|error| error.to_string());
            tracing::error!(error, "the helper that runs commands is gone: what it checks becomes unknown");
            if let Some(mut child) = helper.child {
                let _ = tokio::task::spawn_blocking(move || child.wait()).await;
            }
        });
        Ok(Commands { orders, places: Arc::new(Semaphore::new(COMMANDS_MAX)) })
    }

    async fn run(&self, order: Order, stopwatch: &Stopwatch) -> Result<(), Failure> {
        let gone = Failure::NotRun(NotRun::NoHelper);
        stopwatch.waiting();
        let _place = self.places.acquire().await.map_err(|_| gone)?;
        let (sender, end) = oneshot::channel();
        stopwatch.running();
        self.orders.send((order, sender)).await.map_err(|_| gone)?;
        match end.await.map_err(|_| gone)? {
            End::Exit(0) => Ok(()),
            End::Exit(status) => Err(Failure::Exit(status)),
            End::Signal(signal) => Err(Failure::Signal(signal)),
            End::Timeout => Err(Failure::CommandTimeout),
            End::OutputTooLarge => Err(Failure::OutputTooLarge),
            End::NoCommand => Err(Failure::NotRun(NotRun::NoCommand)),
            End::Exhausted => Err(Failure::NotRun(NotRun::Exhausted)),
        }
    }
}

/// Passes orders on and hands out what they came to, until one of the two sides has left. Who still
/// waits then is told by the silence.
async fn talk(
    socket: UnixStream,
    mut waiting: mpsc::Receiver<(Order, oneshot::Sender<End>)>,
) -> io::Result<()> {
    let (reader, mut writer) = socket.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut under_way: HashMap<u64, oneshot::Sender<End>> = HashMap::new();
    let mut number = 0;
    loop {
        tokio::select! {
            order = waiting.recv() => {
                let Some((mut order, sender)) = order else { return Ok(()) };
                number += 1;
                order.number = number;
                under_way.retain(|_, waiting| !waiting.is_closed());
                under_way.insert(number, sender);
                writer.write_all(&wire::line(&order)?).await?;
            }
            line = lines.next_line() => {
                let line = line?.ok_or(io::ErrorKind::UnexpectedEof)?;
                let Ended { number, end } = serde_json::from_str(&line)?;
                if let Some(waiting) = under_way.remove(&number) {
                    let _ = waiting.send(end);
                }
            }
        }
    }
}

/// An exec check of one target.
#[derive(Debug)]
pub struct ExecProbe {
    order: Order,
    commands: Option<Commands>,
}

impl ExecProbe {
    /// Makes the order of a check.
    pub fn new(
        check: &ExecCheck,
        target: &TargetAddress,
        endpoint: &str,
        timeout: std::time::Duration,
        commands: Option<Commands>,
    ) -> ExecProbe {
        let address = match target {
            TargetAddress::Address(address) => address.to_string(),
            TargetAddress::Host(host) => host.clone(),
        };
        let filled = |argument: &String| argument.replace("{address}", &address);
        let order = Order {
            number: 0,
            program: check.program.clone(),
            arguments: check.arguments.iter().map(filled).collect(),
            // The label ends in the address.
            endpoint: endpoint.split(' ').next().unwrap_or_default().to_owned(),
            address,
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
        };
        ExecProbe { order, commands }
    }

    /// Runs the command.
    pub async fn run(&self, stopwatch: &Stopwatch) -> Result<(), Failure> {
        match &self.commands {
            Some(commands) => commands.run(self.order.clone(), stopwatch).await,
            None => Err(Failure::NotRun(NotRun::NoHelper)),
        }
    }
}

#[cfg(test)]
mod tests;
