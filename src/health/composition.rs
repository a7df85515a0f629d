//! How several checks of one address add up to one verdict (H4).

use super::Verdict;
use crate::ids::TargetId;

/// Weighted votes: well when those that are well weigh enough. Empty: nothing checks it, always well.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Composition {
    /// The weight that is needed: the sum of all for "all", 1 for "any".
    pub needed: u32,
    /// The votes.
    pub votes: Box<[Vote]>,
}

/// One check's part.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Vote {
    /// Whose verdict.
    pub target: TargetId,
    /// How much it weighs, at least 1.
    pub weight: u16,
    /// Down counts as well, up as not.
    pub inverted: bool,
}

impl Composition {
    /// One check decides alone.
    pub fn single(target: TargetId) -> Composition {
        Composition { needed: 1, votes: Box::new([Vote { target, weight: 1, inverted: false }]) }
    }

    /// The verdict, given those of the targets. A target that nothing is known of can still turn out
    /// either way, so it decides nothing (H13).
    pub fn verdict(&self, of: impl Fn(TargetId) -> Verdict) -> Verdict {
        let (mut well, mut open) = (0u32, 0u32);
        for vote in &self.votes {
            match (of(vote.target), vote.inverted) {
                (Verdict::Up, false) | (Verdict::Down, true) => well += u32::from(vote.weight),
                (Verdict::Unknown, _) => open += u32::from(vote.weight),
                (Verdict::Down, false) | (Verdict::Up, true) => {}
            }
        }
        if well >= self.needed {
            Verdict::Up
        } else if well + open >= self.needed {
            Verdict::Unknown
        } else {
            Verdict::Down
        }
    }

    /// The targets that vote.
    pub fn targets(&self) -> impl Iterator<Item = TargetId> + '_ {
        self.votes.iter().map(|vote| vote.target)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;
    use Verdict::{Down, Unknown, Up};

    fn check(needed: u32, votes: &[(u16, bool)], verdicts: &[Verdict], expected: Verdict) {
        let vote = |(at, (weight, inverted)): (usize, &(u16, bool))| Vote {
            target: TargetId(at as u32),
            weight: *weight,
            inverted: *inverted,
        };
        let composition = Composition { needed, votes: votes.iter().enumerate().map(vote).collect() };
        let found = composition.verdict(|target| verdicts[target.index()]);
        assert_eq!(found, expected, "{needed} of {votes:?} with {verdicts:?}");
    }

    #[test]
    fn h4_checks_add_up() {
        let two = [(1, false), (1, false)];
        check(0, &[], &[], Up);
        check(2, &two, &[Up, Up], Up);
        check(2, &two, &[Up, Down], Down);
        check(2, &two, &[Up, Unknown], Unknown);
        check(2, &two, &[Unknown, Down], Down);
        check(1, &two, &[Up, Unknown], Up);
        check(1, &two, &[Down, Unknown], Unknown);
        check(1, &two, &[Down, Down], Down);
        let weighed = [(3, false), (1, false), (1, false)];
        check(3, &weighed, &[Up, Down, Down], Up);
        check(3, &weighed, &[Down, Up, Up], Down);
        check(4, &weighed, &[Up, Unknown, Down], Unknown);
        check(2, &[(1, false), (1, true)], &[Up, Down], Up);
        check(2, &[(1, false), (1, true)], &[Up, Up], Down);
        check(2, &[(1, false), (1, true)], &[Up, Unknown], Unknown);
    }
}
