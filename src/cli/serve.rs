//! `meridian serve`

use std::io::{Read, stdin};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::getpid;

use super::{Exit, ServeArgs, fail, logging, tell};
use crate::daemon::{self, Failed};

/// Two signals of a kind that come at once are one.
const SECOND_SIGNAL_PAUSE: Duration = Duration::from_millis(200);

pub(super) fn run(args: &ServeArgs) -> Exit {
    logging::start(args.log_format);
    if args.until_stdin_closes
        && let Err(error) = stop_with_stdin()
    {
        return fail(&format!("cannot watch standard input: {error}"));
    }
    match daemon::serve(&args.config.path()) {
        Ok(()) => Exit::Done,
        Err(Failed::Refused(refused)) => {
            tell(&format!("{}\n", refused.problems.trim_end()));
            Exit::Refused
        }
        Err(failed) => fail(&failed),
    }
}

/// Ends this process when standard input ends.
fn stop_with_stdin() -> std::io::Result<()> {
    let watch = || {
        // Signals are for the threads that expect them.
        let _ = SigSet::all().thread_block();
        let mut octets = [0; 64];
        while stdin().read(&mut octets).is_ok_and(|read| read > 0) {}
        // Twice: whoever held the other end is gone, and nobody is left to drain for. Before there are
        // handlers the first one is the end.
        for _ in 0..2 {
            let _ = kill(getpid(), Signal::SIGTERM);
            std::thread::sleep(SECOND_SIGNAL_PAUSE);
        }
    };
    std::thread::Builder::new().name("stdin".to_owned()).spawn(watch).map(drop)
}
