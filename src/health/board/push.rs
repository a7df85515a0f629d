//! Verdicts that somebody posts instead of a probe (H4): each holds for a time, and then nothing is known
//! any more (H13). A posted verdict is a verdict at once; thresholds are the poster's affair.

use std::time::Duration;

use super::Board;
use crate::health::{Check, Event, News, Refusal, Selector, Verdict};
use crate::ids::TargetId;
use crate::now::Now;

impl Board {
    /// Posts a verdict for the `push` monitors of the endpoints selected; how many took it. It holds for
    /// `ttl`, at most for the monitor's own time, and that long if none is given. Unknown takes a verdict
    /// back.
    ///
    /// # Errors
    /// When nobody is selected, or nobody there has a `push` monitor.
    pub fn post(
        &mut self,
        selector: &Selector,
        verdict: Verdict,
        ttl: Option<Duration>,
        actor: &str,
        now: Now,
    ) -> Result<usize, Refusal> {
        let endpoints = self.selected(selector)?;
        let own = endpoints.iter().filter_map(|id| self.spec.endpoints.get(id.index()));
        let addresses = own.flat_map(|own| own.addresses.iter());
        let addresses = addresses.filter_map(|address| self.spec.addresses.get(address.index()));
        let mut targets: Vec<(TargetId, Duration)> = addresses
            .flat_map(|own| own.checks.targets().chain(own.watched.iter().copied()))
            .filter_map(|id| match self.spec.targets.get(id.index())?.check {
                Check::Push { ttl: most } => Some((id, ttl.map_or(most, |ttl| ttl.min(most)))),
                _ => None,
            })
            .collect();
        targets.sort_unstable();
        targets.dedup();
        if targets.is_empty() {
            return Err(Refusal::NoPush(selector.clone()));
        }
        for (id, ttl) in &targets {
            self.post_one(*id, verdict, *ttl, actor, now);
        }
        self.tell(
            News::Posted {
                selector: selector.clone(),
                verdict,
                targets: targets.len(),
                actor: actor.to_owned(),
            },
            now,
        );
        Ok(targets.len())
    }

    fn post_one(&mut self, id: TargetId, verdict: Verdict, ttl: Duration, actor: &str, now: Now) {
        let (Some(memory), Some(target)) =
            (self.memories.get_mut(id.index()), self.spec.targets.get(id.index()))
        else {
            return;
        };
        let before = memory.health(&target.cadence);
        let change = memory.post(verdict, now.monotonic + ttl, actor, now.monotonic);
        let changed = memory.health(&target.cadence) != before;
        if let Some(change) = change {
            self.events.push_back(Event::Transition(super::transition(id, target, change, now)));
        }
        if changed {
            self.target_changed(id, now);
        }
    }
}
