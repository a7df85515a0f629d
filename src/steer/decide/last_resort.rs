//! R8 and R9: what a node does under which nothing is healthy, where it must not fail to its parent.

use crate::steer::decision::{Decision, Mode};
use crate::steer::plan::{AllDown, Branch, Node, Rule};

use super::members::Regard;
use super::{Outcome, Walk};

impl<'a> Walk<'a, '_> {
    /// R8: a node with too few healthy members has failed, but not for those whom a fence below holds.
    pub(super) fn fenced_below(&mut self, node: &'a Node, regard: Regard) -> Outcome {
        let has_fence = |node: &Node| match &node.rule {
            Rule::Geo { rules, default, unknown, .. } => {
                let mut branches = rules.iter().map(|(_, branch)| branch).chain(default).chain(unknown);
                branches.any(|branch| branch.geofence)
            }
            _ => false,
        };
        if matches!(node.rule, Rule::Pool { .. }) || !self.inputs.plan.nodes.iter().any(has_fence) {
            return Outcome::Failed;
        }
        let (fences, mode) = (self.fences, self.mode);
        let outcome = self.rule(node, None, regard);
        if self.fences == fences {
            self.mode = mode;
            return Outcome::Failed;
        }
        self.trace.note(&node.name, || "failed, but a fence below is never left".to_owned());
        outcome
    }

    /// Nothing is healthy below a node that must not be left: its own mode acts.
    pub(super) fn held(&mut self, branch: Branch) -> Outcome {
        let Some(child) = self.node(branch.node) else { return Outcome::Failed };
        if branch.geofence {
            self.trace.note(&child.name, || "fenced: never left".to_owned());
        }
        match self.all_down(child, child.all_down.unwrap_or(AllDown::ServeAll)) {
            Outcome::Failed if branch.geofence => Outcome::Final(Decision::NoData),
            outcome => outcome,
        }
    }

    /// R9: what happens at a node (or fence, or root) under which nothing is healthy.
    pub(super) fn all_down(&mut self, node: &'a Node, mode: AllDown) -> Outcome {
        if let Some(outcome) = self.without_shares(node) {
            return outcome;
        }
        let before = std::mem::replace(&mut self.mode, Mode::AllDown);
        let fallback = match mode {
            AllDown::Fallback(other) => self.node(other).map(|other| &other.name),
            _ => None,
        };
        self.trace.note(&node.name, || {
            let named = fallback.map_or(String::new(), |name| format!(" ({name})"));
            format!("nothing healthy below: {}{named}", mode_name(mode))
        });
        match mode {
            AllDown::NoData => Outcome::Final(Decision::NoData),
            AllDown::Refuse => Outcome::Final(Decision::Refused),
            AllDown::ServeAll => self.serve_all(node, before),
            AllDown::LastGood => {
                let table = self.inputs.last_good.and_then(|last_good| last_good.of(&node.name));
                let outer = std::mem::replace(&mut self.last_good, table);
                let outcome = self.rule(node, None, Regard::LastGood);
                self.last_good = outer;
                self.or_serve_all(outcome, node, before)
            }
            AllDown::Fallback(other) => {
                let mut outcome = self.eval(other, None, Regard::Health);
                if let Some(other) = self.node(other) {
                    outcome = self.or_serve_all(outcome, other, before);
                }
                self.or_serve_all(outcome, node, before)
            }
        }
    }

    /// Where gates keep clients out of what is healthy, they do so no longer (R12): a share says how many are
    /// to come, never that nobody is answered.
    fn without_shares(&mut self, node: &'a Node) -> Option<Outcome> {
        if !self.gates.refused || !self.is_on(node) || !self.enough(node, None, Regard::Unshared) {
            return None;
        }
        match self.rule(node, None, Regard::Unshared) {
            Outcome::Failed => None,
            outcome => {
                self.trace.note(&node.name, || {
                    "nothing healthy below lets this client in: shares are left aside".to_owned()
                });
                Some(outcome)
            }
        }
    }

    fn or_serve_all(&mut self, outcome: Outcome, node: &'a Node, before: Mode) -> Outcome {
        match outcome {
            Outcome::Failed => self.serve_all(node, before),
            outcome => outcome,
        }
    }

    /// `before` is the mode as it was: nothing is down where the policy only had nobody for this place.
    fn serve_all(&mut self, node: &'a Node, before: Mode) -> Outcome {
        // Off by its schedule, a node may be healthy all the same: then it serves as if it were on.
        if node.schedule.is_some()
            && let outcome @ (Outcome::Chosen(_) | Outcome::Final(_)) = self.rule(node, None, Regard::Health)
        {
            return outcome;
        }
        for regard in [Regard::Anything, Regard::Drained] {
            match self.rule(node, None, regard) {
                Outcome::Failed => {}
                outcome => return outcome,
            }
            // A policy that has nobody for this place (a branch without this family, a geo node without
            // default) must not make an empty answer while an endpoint exists: best a healthy one.
            for regard in [Regard::Health, Regard::Unshared, regard] {
                let members = self.eligible_of(&node.members, None, regard);
                if members.is_empty() {
                    continue;
                }
                if matches!(regard, Regard::Health | Regard::Unshared) {
                    self.mode = before;
                }
                return self.draw_among(members, 1, &|id, own| self.counts(id, own.id, regard));
            }
        }
        Outcome::Failed
    }
}

fn mode_name(mode: AllDown) -> &'static str {
    match mode {
        AllDown::ServeAll => "serve-all, health is ignored",
        AllDown::LastGood => "last-good, as when something last was",
        AllDown::Fallback(_) => "the fallback answers",
        AllDown::NoData => "an empty answer",
        AllDown::Refuse => "REFUSED",
    }
}
