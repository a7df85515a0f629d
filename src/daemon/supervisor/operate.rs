//! Operators' commands on their way to the board, and the outcome on its way back (H8-H11).

use tokio::sync::oneshot;

use super::{COALESCING_INTERVAL, Supervisor};
use crate::daemon::operated::{Done, Entry, NotOperated, OperateRequest, Operated, PostRequest};
use crate::state::{Durable, Outcome};

impl Supervisor {
    /// Does what is asked, publishes it at once, and has it kept before anybody hears that it is done.
    pub(super) fn operate(&mut self, request: OperateRequest) {
        let entry = Entry::of(&request.asked);
        let now = self.clock.now();
        let outcome = match self.board.command(request.asked, now) {
            Ok(receipt) => {
                let summary = Done::new(&receipt, &self.view.snapshot, COALESCING_INTERVAL).summary();
                // The cause before its effects.
                self.record(&entry.who, entry.what, &entry.on, &entry.why, Outcome::Done, &summary);
                self.tell_events();
                if self.board.generation() != self.published_health {
                    self.publish();
                }
                let delay = self.clock.now().monotonic.saturating_sub(now.monotonic);
                let done = Done::new(&receipt, &self.view.snapshot, delay.max(COALESCING_INTERVAL));
                Ok(Operated { done, durable: self.keep_and_tell() })
            }
            Err(refusal) => {
                let refused = NotOperated::new(&refusal);
                tracing::warn!(
                    who = entry.who,
                    what = entry.what.label(),
                    on = entry.on,
                    "refused: {refusal}"
                );
                self.record(&entry.who, entry.what, &entry.on, &entry.why, Outcome::Refused, &refused.why);
                Err(refused)
            }
        };
        // Who asked may have left.
        let _ = request.reply.send(outcome);
    }

    /// Takes in a posted verdict.
    pub(super) fn post(&mut self, request: PostRequest) {
        let PostRequest { selector, verdict, ttl, actor, reply } = request;
        let posted = self.board.post(&selector, verdict, ttl, &actor, self.clock.now());
        // Who asked may have left.
        let _ = reply.send(posted.map_err(|refusal| NotOperated::new(&refusal)));
    }

    /// Has the state written, and tells when it was.
    fn keep_and_tell(&mut self) -> oneshot::Receiver<Durable> {
        let (sender, durable) = oneshot::channel();
        let tell = move |outcome| {
            // Who asked may have left.
            let _ = sender.send(outcome);
        };
        self.keep(self.clock.now(), Some(tell));
        durable
    }
}
