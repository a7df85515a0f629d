//! `meridian healthcheck`: for containers that hold no other program to ask with.

use super::client::{self, Answer};
use super::{Exit, HealthcheckArgs, fail, print_text};

pub(super) fn run(args: &HealthcheckArgs) -> Exit {
    let address = client::address(args.control.control, &args.config.path());
    match client::ready(address) {
        Answer::Given(phase) => print_text(&format!("{phase}\n")),
        Answer::Refused(phase) => fail(&format!("not ready: {phase}")),
        Answer::Nobody(why) => fail(&why),
    }
}
