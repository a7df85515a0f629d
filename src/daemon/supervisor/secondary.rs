//! Zones from primaries: who is asked, and what comes of it put in force.

use std::sync::Arc;

use super::Supervisor;
use super::tell::OURSELVES;
use crate::daemon::command::RefreshRequest;
use crate::daemon::secondaries::{Change, News, Todo, Weight};
use crate::ids::ZoneId;
use crate::now::Now;
use crate::refresh::Report;
use crate::state::{Outcome, What};
use crate::transfer::Changed;
use crate::zone::{Replacement, Validity};

impl Supervisor {
    /// Asks the primaries that are to be asked now; takes back what nobody has confirmed for too long.
    pub(super) fn refresh_due(&mut self, now: Now) {
        for todo in self.secondaries.poll(now) {
            match todo {
                Todo::Ask(order) => self.refresher.start(order),
                Todo::Expire(id, recipe) => {
                    let zone = &*recipe.name;
                    let text = "no primary has confirmed it for as long as its SOA allows";
                    tracing::error!(
                        zone,
                        "the zone has expired: {text}. SERVFAIL is answered, but for steered names"
                    );
                    self.record(OURSELVES, What::ZoneExpired, zone, "", Outcome::Done, text);
                    self.revalidate(id, Validity::Expired);
                }
            }
        }
    }

    /// Takes in what a primary had.
    pub(super) fn refreshed(&mut self, report: Report) {
        // A configuration that has changed meanwhile lays the zone again.
        let now = self.clock.now();
        let (change, news) = tokio::task::block_in_place(|| self.secondaries.finished(report, now));
        match change {
            Change::None => {}
            Change::Confirm(id) => self.revalidate(id, Validity::Current),
            Change::Replace(replacement) => self.replacements.push(replacement),
        }
        if let Some(news) = news {
            self.tell_zone(&news);
        }
    }

    /// A primary tells of a change.
    pub(super) fn notified(&mut self, changed: &Changed) {
        self.secondaries.notified(&changed.zone, changed.serial, changed.from, self.clock.now());
    }

    /// An operator wants a zone checked.
    pub(super) fn refresh(&mut self, request: RefreshRequest) {
        let RefreshRequest { zone, force, actor, reply } = request;
        tracing::info!(zone, force, who = actor, "asked to refresh a zone");
        self.record(&actor, What::Refresh, &zone, if force { "forced" } else { "" }, Outcome::Done, "");
        self.secondaries.asked(&zone, force, reply, self.clock.now());
    }

    /// The zone that is in force, with another validity.
    fn revalidate(&mut self, id: ZoneId, validity: Validity) {
        // What waits to be put in force is newer than what is.
        let waiting = self.replacements.iter().rev().find(|waiting| waiting.id == id);
        let zone = waiting.map(|waiting| Arc::clone(&waiting.zone));
        let zone = zone.or_else(|| self.prepared.snapshot.catalog.zones().get(id.index()).cloned());
        self.replacements.extend(zone.map(|zone| Replacement { id, zone, validity }));
    }

    /// Puts zones that wait for it into the snapshot that the next view is made of.
    pub(super) fn replace_zones(&mut self) {
        if self.replacements.is_empty() {
            return;
        }
        let replacements = std::mem::take(&mut self.replacements);
        self.prepared.snapshot = Arc::new(self.prepared.snapshot.with_zones(&replacements));
    }

    fn tell_zone(&self, news: &News) {
        let (zone, text) = (&*news.zone, &*news.text);
        match news.weight {
            Weight::Silent => tracing::debug!(zone, "{text}"),
            Weight::Warning => tracing::warn!(zone, "{text}"),
            Weight::Journal => {
                tracing::info!(zone, "zone transferred: {text}");
                self.record(OURSELVES, What::Transfer, zone, "", Outcome::Done, text);
            }
        }
    }
}
