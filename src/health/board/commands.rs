//! Operators' commands: each is done whole or refused, and what it did is told (H8, H9).

use std::time::Duration;

use super::Board;
use crate::health::overrides::{Drains, Harm, OVERRIDES_MAX, REASON_OCTETS_MAX, harm};
use crate::health::{
    Command, News, Override, OverrideEnd, OverrideKind, Overrides, Receipt, Refusal, Selector, Shortfall,
    Which, Word,
};
use crate::ids::{EndpointId, ServiceId};
use crate::now::Now;

/// A longer drain or override is one without an end.
const SPAN_MAX: Duration = Duration::from_secs(10 * 366 * 86_400);

impl Board {
    /// Does what an operator says.
    ///
    /// # Errors
    /// With the reason why nothing was done.
    pub fn command(&mut self, command: Command, now: Now) -> Result<Receipt, Refusal> {
        self.settle(now);
        let receipt = match command {
            Command::Override { kind, selector, reason, actor, expires_in, force } => {
                check_text(&[&reason, &actor])?;
                let endpoints = self.selected(&selector)?;
                let own = self.written(kind, selector, (actor, reason), endpoints, expires_in, now);
                self.set(own, force, now)
            }
            Command::Remove { which, reason, actor, force } => {
                check_text(&[&reason, &actor])?;
                self.remove(&which, (actor, reason), force, now)
            }
            Command::Approve { selector, actor } => {
                check_text(&[&actor])?;
                self.approve(selector, actor, now)
            }
            Command::Release { service, actor } => {
                check_text(&[&actor])?;
                self.release(service, actor, now)
            }
        }?;
        self.settle(now);
        Ok(receipt)
    }

    fn approve(&mut self, selector: Selector, actor: String, now: Now) -> Result<Receipt, Refusal> {
        let endpoints = self.selected(&selector)?;
        let own = endpoints.iter().filter_map(|id| self.spec.endpoints.get(id.index()));
        let addresses = own.flat_map(|own| own.addresses.iter().map(|address| (*address, own.failback)));
        let approved = self.standings.failback.approve(addresses, now.monotonic);
        if approved.is_empty() {
            return Err(Refusal::NothingWaits);
        }
        self.tell(News::Approved { selector, actor, addresses: approved.len() }, now);
        for (address, stage) in approved {
            self.tell_stage(address, stage, now);
        }
        Ok(Receipt { endpoints: endpoints.into(), ..Receipt::default() })
    }

    fn release(&mut self, service: Option<String>, actor: String, now: Now) -> Result<Receipt, Refusal> {
        let number = |name: &String| self.spec.services.iter().position(|own| *own.name == **name);
        let id = match &service {
            None => None,
            Some(name) => match number(name) {
                Some(number) => Some(ServiceId(number as u32)),
                None => return Err(Refusal::NoService(name.clone())),
            },
        };
        // Doubt is about this node, not about a service.
        let ended = match id {
            None => self.standings.distrust.release(now.monotonic),
            Some(_) => None,
        };
        let held = self.standings.frozen.iter().filter(|(own, _)| id.is_none_or(|id| id == *own)).count();
        if held == 0 && ended.is_none() {
            return Err(Refusal::NothingFrozen);
        }
        if let Some(after) = ended {
            self.standings.governor.trust(now.monotonic);
            self.tell(News::DistrustEnded { how: None, after }, now);
        }
        self.standings.governor.release(id, now.monotonic);
        self.tell(News::Released { service, actor, addresses: held }, now);
        Ok(Receipt::default())
    }

    pub(super) fn selected(&self, selector: &Selector) -> Result<Box<[EndpointId]>, Refusal> {
        let endpoints = selector.matches(&self.spec);
        if endpoints.is_empty() {
            let near = selector.near(&self.spec);
            return Err(Refusal::NoMatch { selector: selector.clone(), near });
        }
        Ok(endpoints)
    }

    fn written(
        &mut self,
        kind: OverrideKind,
        selector: Selector,
        (actor, reason): (String, String),
        endpoints: Box<[EndpointId]>,
        expires_in: Option<Duration>,
        now: Now,
    ) -> Override {
        let expires_in = expires_in.filter(|length| *length <= SPAN_MAX);
        let (kind, out_in) = match kind {
            OverrideKind::Drain { over: Some(over) } if !over.is_zero() => {
                let over = over.min(SPAN_MAX);
                (OverrideKind::Drain { over: Some(over) }, over)
            }
            OverrideKind::Drain { .. } => (OverrideKind::Drain { over: None }, Duration::ZERO),
            OverrideKind::ForceUp | OverrideKind::ForceDown => (kind, Duration::ZERO),
        };
        Override {
            id: self.overrides.next_id(),
            kind,
            selector,
            reason,
            actor,
            since: now.wall,
            until: expires_in.map(|length| now.wall.saturating_add(length)),
            ttl_max_s: self.spec.ttl_max_s(&endpoints),
            endpoints,
            out_at: now.monotonic + out_in,
            out_at_wall: now.wall.saturating_add(out_in),
            deadline: expires_in.map(|length| now.monotonic + length),
            wall_past_since: None,
            told_out: out_in.is_zero(),
        }
    }

    fn set(&mut self, own: Override, force: bool, now: Now) -> Result<Receipt, Refusal> {
        let mut after = self.overrides.clone();
        let replaced = after.set(own.clone());
        if after.all().len() > OVERRIDES_MAX {
            return Err(Refusal::TooMany(OVERRIDES_MAX));
        }
        let shortfalls = self.guard(&after, force, now)?;
        self.overrides = after;
        let out = own.kind != OverrideKind::ForceUp;
        let receipt = Receipt {
            set: Some(own.id),
            ended: replaced.iter().map(|old| old.id).collect(),
            endpoints: own.endpoints.to_vec(),
            outranked: self.outranked(&own, now),
            shortfalls,
            out_at: out.then_some(Now { monotonic: own.out_at, wall: own.out_at_wall }),
            ttl_max_s: own.ttl_max_s,
        };
        if let Some(old) = replaced {
            self.tell(News::OverrideEnded { own: old, how: OverrideEnd::Replaced(own.id) }, now);
        }
        self.tell(News::OverrideSet(own), now);
        Ok(receipt)
    }

    /// For whom of an override's endpoints another one stands.
    fn outranked(&self, own: &Override, now: Now) -> Vec<(EndpointId, crate::health::OverrideId)> {
        let words = self.overrides.words(self.spec.endpoints.len(), Drains::Ended, now.monotonic);
        let standing = own.endpoints.iter().filter_map(|id| Some((*id, words.get(id.index())?.by?)));
        standing.filter(|(_, by)| *by != own.id).collect()
    }

    fn remove(
        &mut self,
        which: &Which,
        (actor, reason): (String, String),
        force: bool,
        now: Now,
    ) -> Result<Receipt, Refusal> {
        let mut after = self.overrides.clone();
        let Some(own) = after.remove(which) else { return Err(Refusal::NoOverride(which.clone())) };
        let shortfalls = self.guard(&after, force, now)?;
        self.overrides = after;
        let receipt = Receipt {
            ended: vec![own.id],
            endpoints: own.endpoints.to_vec(),
            shortfalls,
            ttl_max_s: own.ttl_max_s,
            ..Receipt::default()
        };
        self.tell(News::OverrideEnded { own, how: OverrideEnd::Removed { actor, reason } }, now);
        Ok(receipt)
    }

    /// What services would fall short of; with `force` that is no reason to refuse.
    fn guard(&self, after: &Overrides, force: bool, now: Now) -> Result<Vec<Shortfall>, Refusal> {
        let words = |overrides: &Overrides| -> Vec<Word> {
            overrides.words(self.spec.endpoints.len(), Drains::Ended, now.monotonic)
        };
        let well = |service, address| self.share_well(service, address);
        let of = Harm { spec: &self.spec, well: &well };
        let shortfalls = harm(&of, &words(&self.overrides), &words(after));
        if shortfalls.is_empty() || force { Ok(shortfalls) } else { Err(Refusal::Harm(shortfalls)) }
    }

    /// The operators' words, by number.
    pub fn overrides(&self) -> &[Override] {
        self.overrides.all()
    }

    /// What operators say of an endpoint, and who.
    pub fn word(&self, endpoint: EndpointId) -> Word {
        self.words.get(endpoint.index()).copied().unwrap_or(Word::NONE)
    }

    /// What time has done to overrides; whether words have to be worked out again.
    pub(super) fn settle_overrides(&mut self, now: Now) {
        for own in self.overrides.expire(now) {
            self.tell(News::OverrideEnded { own, how: OverrideEnd::Expired }, now);
        }
        for own in self.overrides.ended_drains(now.monotonic) {
            self.tell(News::Drained(own), now);
        }
        let words = self.overrides.words(self.spec.endpoints.len(), Drains::AsTheyAre, now.monotonic);
        if words == self.words {
            return;
        }
        self.generation += 1;
        let before = std::mem::replace(&mut self.words, words);
        for (index, before) in before.into_iter().enumerate() {
            let endpoint = EndpointId(index as u32);
            if before != self.word(endpoint) {
                self.word_changed(endpoint, before, now);
            }
        }
    }
}

fn check_text(texts: &[&str]) -> Result<(), Refusal> {
    let fits = |text: &&&str| text.len() <= REASON_OCTETS_MAX && !text.chars().any(char::is_control);
    if texts.iter().all(|text| fits(&text)) { Ok(()) } else { Err(Refusal::Unfit(REASON_OCTETS_MAX)) }
}
