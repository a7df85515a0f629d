//! Signed zones in the loop: work that is due goes to other threads, and what came of it into a view.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::Supervisor;
use crate::daemon::command::{KeysAsked, KeysDone, KeysRequest};
use crate::daemon::operated::{Fault, NotOperated};
use crate::daemon::prepare::{Prepared, Refused, Source};
use crate::daemon::signing::{Based, NotAsked, Opened, Signing};
use crate::dnssec::SigningFailed;
use crate::health::Board;
use crate::ids::ZoneId;
use crate::keys::NotDone;
use crate::now::Now;
use crate::state::{Outcome, What};
use crate::view::View;

/// A zone that was signed beside the loop, of the generation that it was signed for.
pub(super) struct SignedAnew {
    generation: u64,
    zone: ZoneId,
    based: Result<Based, SigningFailed>,
}

/// A configuration with everything signed that does not depend on health.
pub struct Ready {
    /// What was read.
    pub prepared: Prepared,
    /// The keyrings that it needs and that were not open.
    pub opened: Opened,
    /// By [`ZoneId`].
    pub bases: Vec<Option<Based>>,
}

/// The signed zones; only for moments is it held, never while signatures are made.
pub type SharedSigning = Arc<Mutex<Signing>>;

/// Takes hold of it.
pub fn held(signing: &SharedSigning) -> MutexGuard<'_, Signing> {
    signing.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens the keys of a configuration and signs its zones, each as a whole. Takes long: not for the loop.
///
/// # Errors
/// When a zone that is to be signed cannot be; every problem with keys is told.
pub fn make_ready(
    prepared: Prepared,
    source: &Source,
    signing: &SharedSigning,
    now: Now,
) -> Result<Ready, Refused> {
    let config = &prepared.config;
    if let Some(origin) = crate::daemon::signing::signed_twice(&prepared, &source.path) {
        return Err(Refused {
            problems: format!(
                "error: the zone {origin} came signed, and its [dnssec] would sign it again; \
                 remove the one or the other\n"
            ),
        });
    }
    let opened = held(signing).open(config, &source.path, now).map_err(|problems| {
        let lines = problems.iter().map(|problem| format!("error: {problem}\n"));
        Refused { problems: lines.collect() }
    })?;
    let work = held(signing).first_work(config, &source.path, &opened);
    let refused = |why: String| Refused { problems: format!("error: {why}\n") };
    let work = work.map_err(|problem| refused(problem.to_string()))?;
    let mut bases: Vec<Option<Based>> = Vec::new();
    if !work.is_empty() {
        // Health is the supervisor's: what it brings is signed when the view is made.
        let board = Board::new(Arc::clone(&prepared.snapshot.board), prepared.board_limits(), now, 0);
        let snapshot = prepared.snapshot.clone();
        let calendar = snapshot.calendar(now);
        let view = View::new(snapshot, board.table(), calendar, None);
        bases.resize_with(view.snapshot.catalog.zones().len(), || None);
        for (id, work) in work {
            let origin = crate::daemon::signing::origin_of(&view, id);
            let based = work.run(&view, id, now);
            let based =
                based.map_err(|SigningFailed| refused(format!("the zone {origin} cannot be signed")))?;
            if let Some(base) = bases.get_mut(id.index()) {
                *base = based;
            }
        }
    }
    Ok(Ready { prepared, opened, bases })
}

impl Supervisor {
    /// Hands out what has to be signed, and keeps the rings going.
    pub(super) fn sign_if_due(&mut self, now: Now) {
        if now.monotonic < self.signing_looked_at.saturating_add(super::SIGNING_INTERVAL) {
            return;
        }
        self.signing_looked_at = now.monotonic;
        let due = tokio::task::block_in_place(|| held(&self.signing).poll(&self.view, now));
        for (zone, work) in due {
            let (view, sender) = (Arc::clone(&self.view), self.inputs.signed_sender.clone());
            tokio::spawn(async move {
                let generation = view.snapshot.generation;
                let working = tokio::task::spawn_blocking(move || work.run(&view, zone, now));
                let based = working.await.unwrap_or(Err(SigningFailed));
                let based = based.and_then(|based| based.ok_or(SigningFailed));
                // Fails only when the supervisor is gone.
                let _ = sender.send(Box::new(SignedAnew { generation, zone, based })).await;
            });
        }
    }

    /// Puts a zone that was signed anew in force.
    pub(super) fn take_signed(&mut self, anew: SignedAnew) {
        // A reload came between: its zones are others, and were signed with it.
        if anew.generation != self.view.snapshot.generation {
            return;
        }
        let now = self.clock.now();
        if tokio::task::block_in_place(|| held(&self.signing).done(anew.zone, anew.based, now)) {
            self.publish();
        }
    }

    /// Does what an operator asks of a zone's keys.
    pub(super) fn keys(&mut self, request: KeysRequest) {
        let KeysRequest { zone, asked, actor, reply } = request;
        let now = self.clock.now();
        let done = match asked {
            KeysAsked::Roll(role) => held(&self.signing).roll(&zone, role, now),
            KeysAsked::DsSeen => held(&self.signing).ds_seen(&zone, now),
        };
        let what = match asked {
            KeysAsked::Roll(_) => What::Roll,
            KeysAsked::DsSeen => What::DsSeen,
        };
        let outcome = match done {
            Ok(key) => {
                tracing::info!(zone, key = key.tag, who = actor, "{}", what.label());
                self.record(&actor, what, &zone, "", Outcome::Done, &format!("key {}", key.tag));
                Ok(KeysDone { zone, tag: key.tag })
            }
            Err(why) => {
                tracing::warn!(zone, who = actor, "refused: {} {why}", what.label());
                self.record(&actor, what, &zone, "", Outcome::Refused, &why.to_string());
                Err(refusal(&why, &zone))
            }
        };
        send(reply, outcome);
        // What was asked takes effect with the next signatures: at once.
        self.signing_looked_at = std::time::Duration::ZERO;
    }
}

fn send(reply: oneshot::Sender<Result<KeysDone, NotOperated>>, outcome: Result<KeysDone, NotOperated>) {
    // Who asked may have left.
    let _ = reply.send(outcome);
}

fn refusal(why: &NotAsked, zone: &str) -> NotOperated {
    let (kind, mend) = match why {
        NotAsked::NotSigned(_) => {
            (Fault::Missing, "`meridian status` lists the zones that are signed here".to_owned())
        }
        NotAsked::Elsewhere => (Fault::Conflict, String::new()),
        NotAsked::NotDone(NotDone::Refused(_)) => {
            (Fault::Conflict, format!("`meridian keys list {zone}` shows what is waited for"))
        }
        NotAsked::NotDone(NotDone::Problem(_)) => (Fault::Conflict, "nothing has changed".to_owned()),
    };
    NotOperated { kind, why: why.to_string(), mend }
}
