//! A server over AF_XDP: frames to meridian's responder and back, in one thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use meridian::view::View;

use crate::Result;
use crate::frame::{HEAD_OCTETS, address, message};
use crate::hook::{Hook, INTERFACE};
use crate::machine::{enter, pin};
use crate::world::{Chance, REPLY_OCTETS_MAX, Responder};
use crate::xsk::Xsk;

/// How long the thread sleeps at most before it looks whether it is to end.
const WAIT_MS_MAX: i32 = 100;

/// The thread that answers.
pub struct Server {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Binds to the first queue of the server's interface and answers what the hook hands over.
    pub fn start(
        hook: &mut Hook,
        view: Arc<View>,
        namespace: &std::path::Path,
        core: usize,
    ) -> Result<Server> {
        enter(namespace)?;
        let mut socket = Xsk::open(nix::net::if_::if_nametoindex(INTERFACE)?, 0)?;
        hook.register(0, socket_of(&socket))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("af-xdp".into()).spawn(move || {
            if let Err(error) = pin(0, core) {
                eprintln!("AF_XDP: {error}");
            }
            let mut responder = Responder::new(&view);
            let mut chance = Chance(1);
            while !stopped.load(Ordering::Acquire) {
                let served = socket.serve(|frame, room| {
                    let (source, query) = message(frame)?;
                    let place = room.get_mut(HEAD_OCTETS..HEAD_OCTETS + REPLY_OCTETS_MAX)?;
                    let octets = responder.reply_into(query, source.into(), chance.next(), place)?;
                    address(frame, room, octets)
                });
                match served {
                    Ok(0) => socket.wait(WAIT_MS_MAX),
                    Ok(_) => {}
                    Err(error) => return eprintln!("AF_XDP: {error}"),
                }
            }
        })?;
        Ok(Server { stop, thread: Some(thread) })
    }
}

/// The map takes a descriptor by value; the socket stays where it is.
fn socket_of(socket: &Xsk) -> std::os::fd::RawFd {
    std::os::fd::AsRawFd::as_raw_fd(socket)
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
