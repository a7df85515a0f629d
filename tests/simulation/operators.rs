//! Operators: what they say to the board, and another account of what is to come of it (H8, H9).

use std::collections::BTreeMap;
use std::time::Duration;

use meridian::health::{Board, Command, OverrideKind, Refusal, Selector, Which};
use meridian::now::Now;

use crate::checks::{Checker, Violation};
use crate::design::Design;
use crate::node::PUBLISH_INTERVAL;

/// What stands, by region.
#[derive(Default)]
pub struct Operators(BTreeMap<usize, Standing>);

#[derive(Clone, Copy)]
struct Standing {
    kind: OverrideKind,
    /// From when on nobody is sent there any more; `None`: somebody may be.
    out_at: Option<Duration>,
}

impl Operators {
    /// Says something of a region: its number, its name, and whether it is in the files.
    pub fn set(
        &mut self,
        board: &mut Board,
        (region, name, present): (usize, &str, bool),
        kind: OverrideKind,
        force: bool,
        now: Now,
    ) -> Result<(), Violation> {
        let before = board.table();
        let (reason, actor) = ("it is drawn".to_owned(), "simulation".to_owned());
        let selector = Selector::region(name);
        let command = Command::Override { kind, selector, reason, actor, expires_in: None, force };
        let wrong = |text: String| Err(Violation::new(Checker::Operator, text));
        match board.command(command, now) {
            Ok(receipt) => {
                let takes = match kind {
                    OverrideKind::Drain { over } => Some(over.unwrap_or_default()),
                    OverrideKind::ForceDown => Some(Duration::ZERO),
                    OverrideKind::ForceUp => None,
                };
                let out_at = takes.map(|takes| now.monotonic + takes);
                let told = receipt.out_at.map(|at| at.monotonic);
                if told != out_at {
                    return wrong(format!("{kind:?}: out at {told:?} was told, {out_at:?} is right"));
                }
                self.0.insert(region, Standing { kind, out_at });
                Ok(())
            }
            Err(Refusal::NoMatch { .. }) if !present => {
                self.0.remove(&region);
                Ok(())
            }
            Err(Refusal::Harm(_)) if !force && board.table() == before => Ok(()),
            Err(refusal) => wrong(format!("{kind:?} of {name}, force {force}: refused: {refusal}")),
        }
    }

    /// Takes back what was said of a region.
    pub fn remove(
        &mut self,
        board: &mut Board,
        design: &Design,
        region: usize,
        now: Now,
    ) -> Result<(), Violation> {
        let stood = self.0.remove(&region).is_some();
        let which = Which::Selector(Selector::region(design.regions[region].name));
        let (reason, actor) = ("it is over".to_owned(), "simulation".to_owned());
        match board.command(Command::Remove { which, reason, actor, force: true }, now) {
            Ok(_) => Ok(()),
            Err(Refusal::NoOverride(_)) if !stood => Ok(()),
            Err(refusal) => Err(Violation::new(Checker::Operator, format!("not taken back: {refusal}"))),
        }
    }

    /// Takes back everything.
    pub fn remove_all(&mut self, board: &mut Board, design: &Design, now: Now) -> Result<(), Violation> {
        let regions: Vec<usize> = self.0.keys().copied().collect();
        regions.into_iter().try_for_each(|region| self.remove(board, design, region, now))
    }

    /// Says it all again to a board that has forgotten it.
    pub fn repeat(&mut self, board: &mut Board, design: &Design, now: Now) -> Result<(), Violation> {
        let all: Vec<(usize, OverrideKind)> =
            self.0.iter().map(|(region, own)| (*region, own.kind)).collect();
        all.into_iter().try_for_each(|(region, kind)| {
            let own = &design.regions[region];
            self.set(board, (region, own.name, own.present), kind, true, now)
        })
    }

    /// Nobody polls the board for so long: steps that are due meanwhile come after it.
    pub fn delay(&mut self, now: Duration, by: Duration) {
        for own in self.0.values_mut() {
            own.out_at = own.out_at.map(|at| if at >= now { at.max(now + by) } else { at });
        }
    }

    /// Whether nobody is to be sent to a region any more, if there is anybody else.
    pub fn is_out(&self, region: usize, now: Duration) -> bool {
        let own = self.0.get(&region).and_then(|own| own.out_at);
        own.is_some_and(|at| now > at + PUBLISH_INTERVAL * 2)
    }
}
