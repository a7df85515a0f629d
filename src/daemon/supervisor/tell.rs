//! What has happened, in the words of the log, the journal and the status.

use std::collections::BTreeSet;

use tokio::sync::oneshot;

use super::life::Life;
use super::{COALESCING_INTERVAL, Supervisor};
use crate::daemon::command::{Phase, Status, ZoneStatus};
use crate::daemon::signing::came;
use crate::daemon::status::{Facts, status, zones};
use crate::health::{Event, Figures, Level, News, Notice, OverrideEnd, Transition, Verdict};
use crate::ids::ServiceId;
use crate::state::{Line, Outcome, What, rfc3339};
use crate::steer::Mode;

/// Whom the journal names for what happens by itself.
pub(super) const OURSELVES: &str = "meridian";

impl Supervisor {
    pub(super) fn tell_events(&mut self) {
        while let Some(event) = self.board.poll_event() {
            match event {
                Event::Transition(transition) => {
                    self.transitions += 1;
                    log_transition(&transition);
                }
                Event::Notice(notice) => {
                    log_notice(&notice);
                    self.journal_notice(&notice);
                }
            }
        }
    }

    /// Tells telemetry where the endpoints of the generation to come are.
    pub(super) fn tell_places(&self) {
        let fleet = &self.prepared.snapshot.fleet;
        let regions = fleet.endpoints.iter().map(|own| (&*own.name, fleet.region_name(own.region)));
        self.telemetry.place(regions);
    }

    /// One line per service that has lost its last healthy endpoint somewhere, or has one again (R9).
    pub(super) fn tell_last_resorts(&mut self) {
        let plans = self.view.snapshot.plans.iter().enumerate();
        let all_down = plans
            .filter(|(index, _)| {
                self.view.table(ServiceId(*index as u32)).is_some_and(|table| table.has(Mode::AllDown))
            })
            .map(|(_, plan)| plan.name.to_string())
            .collect::<BTreeSet<_>>();
        for service in all_down.difference(&self.all_down) {
            tracing::error!(service, "nothing healthy is left for some clients: the last resort answers");
            self.record(OURSELVES, What::AllDown, service, "", Outcome::Done, "the last resort answers");
        }
        for service in self.all_down.difference(&all_down) {
            tracing::info!(service, "healthy again for all clients");
            self.record(OURSELVES, What::Recovered, service, "", Outcome::Done, "");
        }
        self.all_down = all_down;
    }

    pub(super) fn tell_status(&self, reply: oneshot::Sender<Box<Status>>) {
        let now = self.clock.now();
        let mut signed = super::held(&self.signing).report(now);
        signed.extend(came::report(&self.prepared.config, &self.view.snapshot, now));
        let facts = Facts {
            phase: match self.life {
                Life::Starting { .. } => Phase::Starting,
                Life::Serving { .. } => Phase::Serving,
                Life::Draining { .. } => Phase::Draining,
            },
            published: self.published,
            listen: &self.listen,
            reloads: self.reloads,
            transitions: self.transitions,
            delay: COALESCING_INTERVAL,
            signed,
        };
        let status = status(&self.view, &self.board, &self.telemetry, self.clock.now(), &facts);
        // Who asked may have left.
        let _ = reply.send(Box::new(status));
    }

    /// Every zone: what it is, and how it is.
    pub(super) fn tell_zones(&self, reply: oneshot::Sender<Vec<ZoneStatus>>) {
        let zones = zones(&self.prepared.config, &self.view, &self.secondaries.status(self.clock.now()));
        // Who asked may have left.
        let _ = reply.send(zones);
    }

    /// What happens by itself; what operators do is in the journal already.
    fn journal_notice(&mut self, notice: &Notice) {
        let (what, on) = match &notice.news {
            News::OverrideEnded { own, how: OverrideEnd::Expired } => {
                (What::Expire, own.selector.to_string())
            }
            News::Drained(own) => (What::Drained, own.selector.to_string()),
            News::OverrideDormant(own) => (What::Dormant, own.selector.to_string()),
            News::Frozen { service, figures: Figures { held: 0, .. }, .. } => {
                (What::Thaw, service.to_string())
            }
            News::Frozen { service, .. } => (What::Freeze, service.to_string()),
            News::DistrustBegun { .. } => (What::Freeze, "*".to_owned()),
            News::DistrustEnded { .. } => (What::Thaw, "*".to_owned()),
            // A way back is remembered, and its steps are for the log.
            News::Failback { .. } | News::Resolved { .. } => return self.keeping.hurry(),
            News::OverrideSet(_)
            | News::OverrideEnded { .. }
            | News::Approved { .. }
            | News::Released { .. } => {
                return;
            }
            News::CertificateExpires(_) | News::Posted { .. } => return,
        };
        self.keeping.hurry();
        self.record(OURSELVES, what, &on, "", Outcome::Done, &notice.to_string());
    }

    /// Adds a line to the journal.
    pub(super) fn record(&self, who: &str, what: What, on: &str, why: &str, outcome: Outcome, detail: &str) {
        self.keeper.journal(Line {
            number: 0,
            when: rfc3339(self.clock.now().wall),
            generation: self.view.snapshot.generation,
            who: who.to_owned(),
            what,
            on: on.to_owned(),
            why: why.to_owned(),
            outcome,
            detail: detail.trim_end().to_owned(),
        });
    }
}

fn log_notice(notice: &Notice) {
    let event = notice.word();
    match notice.level() {
        Level::Info => tracing::info!(event, "{notice}"),
        Level::Warning => tracing::warn!(event, "{notice}"),
        Level::Alert => tracing::error!(event, "{notice}"),
    }
}

fn log_transition(transition: &Transition) {
    let (endpoint, cause) = (&transition.label, &transition.cause);
    let (from, to) = (verdict_label(transition.from), verdict_label(transition.to));
    match transition.to {
        Verdict::Down => tracing::warn!(endpoint, from, to, cause, "health changed"),
        Verdict::Up | Verdict::Unknown => tracing::info!(endpoint, from, to, cause, "health changed"),
    }
}

const fn verdict_label(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Up => "up",
        Verdict::Down => "down",
        Verdict::Unknown => "unknown",
    }
}
