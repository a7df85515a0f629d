//! A new configuration: read elsewhere, judged against the one in force, put in its place or refused
//! (T1).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Ready, Supervisor, held, make_ready};
use crate::daemon::command::{ReloadRequest, Reloaded};
use crate::daemon::prepare::{Refused, needs_restart};
use crate::daemon::secondaries::Carried;
use crate::daemon::signing::Signing;
use crate::server::give_way;
use crate::state::{Outcome, What};
use crate::view::{Emptied, Loss, View};

/// A reload, and who waits for it.
#[derive(Default)]
pub(super) struct Reloading {
    replies: Vec<oneshot::Sender<Reloaded>>,
    actors: Vec<String>,
    /// Also if it takes away more answers than allowed.
    force: bool,
}

impl Reloading {
    /// Asked for over the control listener.
    pub fn asked(request: ReloadRequest) -> Reloading {
        Reloading { replies: vec![request.reply], actors: vec![request.actor], force: request.force }
    }

    /// Asked for by SIGHUP.
    pub fn signalled() -> Reloading {
        Reloading { actors: vec!["SIGHUP".to_owned()], ..Reloading::default() }
    }

    fn join(&mut self, other: Reloading) {
        self.replies.extend(other.replies);
        self.actors.extend(other.actors);
        self.force |= other.force;
    }

    fn who(&self) -> String {
        self.actors.join(", ")
    }
}

impl Supervisor {
    /// Begins to read and compile the configuration on another thread. A request during a reload starts
    /// another one after it.
    pub(super) fn reload(&mut self, request: Reloading) {
        if self.reloading.is_some() {
            self.reload_again.get_or_insert_default().join(request);
            return;
        }
        tracing::info!(config = %self.source.path.display(), who = request.who(), "reloading");
        self.reloading = Some(request);
        let (source, telemetry, earlier) =
            (self.source.clone(), self.telemetry.clone(), self.prepared.maps());
        let generation = self.view.snapshot.generation + 1;
        let sender = self.inputs.compiled_sender.clone();
        let (signing, now) = (Arc::clone(&self.signing), self.clock.now());
        let (memory, store) = (self.secondaries.in_memory(), self.refresher.store().cloned());
        let runtime = tokio::runtime::Handle::current();
        let work = move || {
            let _inside = runtime.enter();
            give_way();
            let reading = AssertUnwindSafe(|| {
                let mut counter = |service: &str, endpoint: &str| telemetry.counter(service, endpoint);
                let mut prepared = source.read(generation, &earlier, &mut counter).outcome()?;
                prepared.carry_zones(&memory, store.as_ref());
                make_ready(prepared, &source, &signing, now)
            });
            let compiled = match catch_unwind(reading) {
                Ok(compiled) => compiled.map(Box::new),
                Err(_) => Err(Refused { problems: "reading the configuration panicked".to_owned() }),
            };
            // Fails only when the supervisor is gone.
            let _ = sender.blocking_send(compiled);
        };
        // A thread of its own: what has given way to others once cannot be lent to somebody else's work.
        if let Err(error) = std::thread::Builder::new().name("reload".to_owned()).spawn(work) {
            let problems = format!("error: there is no thread to read the configuration on: {error}\n");
            self.finish_reload(Err(Refused { problems }));
        }
    }

    pub(super) fn finish_reload(&mut self, compiled: Result<Box<Ready>, Refused>) {
        let request = self.reloading.take().unwrap_or_default();
        let outcome = compiled.and_then(|ready| self.take_over(*ready, request.force));
        let outcome = match outcome {
            Ok(reloaded) => reloaded,
            Err(refused) => self.refuse_reload(refused),
        };
        self.journal_reload(&request, &outcome);
        for reply in request.replies {
            // Who asked may have left.
            let _ = reply.send(outcome.clone());
        }
        if let Some(again) = self.reload_again.take() {
            self.reload(again);
        }
    }

    fn refuse_reload(&mut self, refused: Refused) -> Reloaded {
        self.reloads.refused += 1;
        tracing::error!(
            generation = self.view.snapshot.generation,
            "reload refused, the old generation stays:\n{}",
            refused.problems
        );
        Reloaded::Refused { problems: refused.problems }
    }

    /// Puts a new generation in force: health and counters are carried over by identity, sockets stay.
    fn take_over(&mut self, ready: Ready, force: bool) -> Result<Reloaded, Refused> {
        let Ready { mut prepared, mut opened, bases } = ready;
        let carried = std::mem::take(&mut prepared.carried);
        let restart = needs_restart(&self.prepared.config, &prepared.config);
        let now = self.clock.now();
        let spec = Arc::clone(&prepared.snapshot.board);
        let board = self.board.clone().succeed(spec, prepared.board_limits(), now);
        let (snapshot, table, previous) = (prepared.snapshot.clone(), board.table(), self.view.clone());
        let calendar = snapshot.calendar(now);
        let percent = self.prepared.config.server.reload_removed_max_percent;
        let (view, emptied) = tokio::task::block_in_place(|| {
            let view = View::new(snapshot, table, calendar, Some(&previous));
            let emptied = if force { Emptied::default() } else { Emptied::between(&previous, &view) };
            (view, emptied)
        });
        if let Some(problems) = too_much(&emptied, percent) {
            return Err(Refused { problems });
        }
        // From here on nothing fails: signing comes last of what can.
        let path = self.source.path.clone();
        let (view, bases) = tokio::task::block_in_place(|| {
            let bases = held(&self.signing).settle((&prepared.config, &path), &mut opened, bases, now)?;
            Signing::sign_with(bases, view, now)
        })
        .map_err(|why| Refused { problems: format!("error: {why}\n") })?;
        let troubles = held(&self.signing).take_over(&prepared.config, &path, opened, bases, now);
        self.board = board;
        if prepared.probe_limits() != self.prepared.probe_limits() {
            self.prober = self.prober.limited(prepared.probe_limits());
        }
        self.prober.retarget(self.board.targets());
        let mut remarks = prepared.warnings.clone();
        if !remarks.is_empty() {
            tracing::warn!("{}", remarks.trim_end());
        }
        remarks.push_str(&prepared.certificate_problems);
        if !prepared.certificate_problems.is_empty() {
            tracing::error!("{}", prepared.certificate_problems.trim_end());
        }
        self.certificates.take_over(&prepared.certificates);
        prepared.keep_maps();
        self.prepared = prepared;
        // What waited was for the numbers of the old generation; it is in memory, and laid again.
        self.replacements.clear();
        let laid = Carried::in_memory(&carried);
        self.secondaries.succeed(carried, now);
        self.replacements =
            tokio::task::block_in_place(|| self.secondaries.overdue(&self.prepared.snapshot.catalog, &laid));
        self.locations.store(self.prepared.location_files());
        self.tell_places();
        for remark in self.put_in_force(view) {
            remarks.push_str(&remark);
            remarks.push('\n');
        }
        for trouble in troubles {
            remarks.push_str(&trouble);
            remarks.push('\n');
        }
        self.reloads.done += 1;
        for setting in restart {
            tracing::warn!(setting, "changed, and takes effect only after a restart");
            remarks.push_str(&format!("{setting} has changed and takes effect only after a restart\n"));
        }
        let generation = self.view.snapshot.generation;
        tracing::info!(generation, services = self.view.snapshot.plans.len(), "reloaded");
        Ok(Reloaded::Done { generation, remarks })
    }

    fn journal_reload(&self, request: &Reloading, outcome: &Reloaded) {
        let (outcome, detail) = match outcome {
            Reloaded::Done { remarks, .. } => (Outcome::Done, remarks),
            Reloaded::Refused { problems } => (Outcome::Refused, problems),
        };
        let why = if request.force { "forced" } else { "" };
        let on = self.source.path.display().to_string();
        self.record(&request.who(), What::Reload, &on, why, outcome, detail);
    }
}

/// What is wrong with a reload that takes away so many answers; `None`: nothing.
fn too_much(emptied: &Emptied, percent: u8) -> Option<String> {
    let mut problems = String::new();
    for (loss, kind) in [(&emptied.steered, "steered"), (&emptied.plain, "static")] {
        if loss.exceeds(percent) {
            problems.push_str(&too_much_of(loss, kind, percent));
        }
    }
    (!problems.is_empty()).then_some(problems)
}

fn too_much_of(loss: &Loss, kind: &str, percent: u8) -> String {
    let Loss { had, lost, examples } = loss;
    let more = if *lost > examples.len() as u64 { ", ..." } else { "" };
    format!(
        "{lost} of {had} {kind} answers would be gone, more than {percent}% (server.reload_removed_max): \
         {}{more}\nif that is meant: meridian reload --force\n",
        examples.join(", ")
    )
}
