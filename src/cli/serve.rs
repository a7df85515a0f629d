//! `meridian serve`

use super::{Exit, ServeArgs, fail, logging};
use crate::daemon::{self, Failed};

pub(super) fn run(args: &ServeArgs) -> Exit {
    logging::start(args.log_format);
    match daemon::serve(&args.config.path()) {
        Ok(()) => Exit::Done,
        Err(Failed::Refused(refused)) => {
            eprintln!("{}", refused.problems.trim_end());
            Exit::Refused
        }
        Err(failed) => fail(&failed),
    }
}
