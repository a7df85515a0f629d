//! R11: `skip_first` answers everybody's second choice, so that it is known before it is needed.

use crate::steer::plan::Node;

use super::{Outcome, Walk};

impl Walk<'_, '_> {
    /// What a node that has a choice answers with: the choice, or `None` where it is the first and is to be
    /// skipped. Only what has candidates can be a second choice.
    pub(super) fn second(
        &mut self,
        node: &Node,
        outcome: Outcome,
        skipped: &mut Option<Outcome>,
        name: impl FnOnce() -> String,
    ) -> Option<Outcome> {
        match (&outcome, node.skip_first, &skipped) {
            (_, false, _) | (Outcome::Chosen(_), true, Some(_)) => Some(outcome),
            (Outcome::Chosen(_), true, None) => {
                self.trace
                    .note(&node.name, || format!("{} skipped: it is the first choice (skip_first)", name()));
                *skipped = Some(outcome);
                None
            }
            (_, true, None) => Some(outcome),
            (_, true, Some(_)) => None,
        }
    }

    /// Where nothing followed what was skipped, it answers after all.
    pub(super) fn only_one(&mut self, node: &Node, skipped: Option<Outcome>) -> Outcome {
        if skipped.is_some() {
            self.trace.note(&node.name, || "there is no second choice: the first answers".to_owned());
        }
        skipped.unwrap_or(Outcome::Failed)
    }
}
