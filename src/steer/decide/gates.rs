//! R12: partial shares. An endpoint with a share below everybody's stands behind the *gate* of its region;
//! a client passes where its value at the gate is below the share, and has one value at each gate.
//!
//! A walk does not know the client. Where a gate matters it goes on for the clients inside and leaves those
//! outside for later, so that one class of places comes to a tree of forks with a decision at each leaf.

use std::collections::VecDeque;

use crate::health::{Share, ShareCause};
use crate::steer::decision::{Decided, Decision, Mix, Mode};
use crate::steer::sticky;

/// Leaves of one class of places and lane: partial shares in five regions that are candidates together
/// make 32, and in seven regions one behind the other 8. Beyond it a share counts as full.
pub(super) const LEAVES_MAX: usize = 64;

/// The clients that a walk is about: at each gate those with values from `from` to below `to`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Span {
    gate: u64,
    from: u16,
    to: u16,
}

/// A gate at which a walk went on inside: those outside are still to be decided for.
struct Split {
    gate: u64,
    permille: u16,
    /// The clients before it.
    before: Vec<Span>,
}

/// What one walk knows of its clients.
#[derive(Default)]
pub(super) struct Gates {
    spans: Vec<Span>,
    splits: Vec<Split>,
    /// How many more splits there may be.
    room: usize,
    /// Whether every share counts as full.
    aside: bool,
    /// Whether some gate kept the clients out.
    pub(super) refused: bool,
    /// What has been told of gates, so that it is told once.
    told: Vec<(u64, Share)>,
}

/// Whether the clients of a walk pass a gate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Passes {
    Yes,
    No,
    /// Yes, because more shares are partial than can be told apart.
    TooMany,
}

impl Gates {
    /// For a walk for all clients that is given up where they are told apart.
    pub(super) fn watched() -> Gates {
        Gates { room: 1, ..Gates::default() }
    }

    /// Whether no gate has mattered.
    pub(super) fn are_unasked(&self) -> bool {
        self.splits.is_empty() && !self.refused
    }

    /// Whether the clients pass; where some do and some do not, the walk goes on for those who do.
    pub(super) fn ask(&mut self, gate: u64, permille: u16) -> Passes {
        if self.aside {
            return Passes::Yes;
        }
        let passes = match self.known(gate, permille) {
            Some(true) => Passes::Yes,
            Some(false) => Passes::No,
            None if self.room == 0 => Passes::TooMany,
            None => {
                self.room -= 1;
                self.splits.push(Split { gate, permille, before: self.spans.clone() });
                cut(&mut self.spans, gate, 0, permille);
                Passes::Yes
            }
        };
        self.refused |= passes == Passes::No;
        passes
    }

    /// Whether the clients pass the gate of a trickle: it keeps nobody out, and where shares are left aside
    /// or too many it lets nobody in.
    pub(super) fn ask_to(&mut self, gate: u64, permille: u16) -> bool {
        let refused = self.refused;
        let passes = !self.aside && self.ask(gate, permille) == Passes::Yes;
        self.refused = refused;
        passes
    }

    /// What [`Gates::ask`] has said before.
    pub(super) fn has_passed(&self, gate: u64, permille: u16) -> bool {
        self.aside || self.known(gate, permille) != Some(false)
    }

    /// `None` where some pass and some do not.
    fn known(&self, gate: u64, permille: u16) -> Option<bool> {
        let own = self.spans.iter().find(|span| span.gate == gate);
        let (from, to) = own.map_or((0, Share::PERMILLE_MAX), |span| (span.from, span.to));
        match permille {
            permille if permille >= to => Some(true),
            permille if permille <= from => Some(false),
            _ => None,
        }
    }

    /// Whether a share is told of for the first time.
    pub(super) fn is_news(&mut self, gate: u64, share: Share) -> bool {
        let news = !self.told.contains(&(gate, share));
        if news {
            self.told.push((gate, share));
        }
        news
    }
}

/// Narrows the clients to those from `from` to below `to` at a gate.
fn cut(spans: &mut Vec<Span>, gate: u64, from: u16, to: u16) {
    match spans.iter_mut().find(|span| span.gate == gate) {
        Some(span) => (span.from, span.to) = (span.from.max(from), span.to.min(to)),
        None => spans.push(Span { gate, from, to }),
    }
}

/// The decisions of one class of places.
pub(super) struct Forks {
    forks: Vec<Fork>,
    leaves: Vec<Leaf>,
    root: Next,
}

struct Fork {
    gate: u64,
    permille: u16,
    inside: Next,
    outside: Next,
}

#[derive(Clone, Copy)]
enum Next {
    Fork(usize),
    Leaf(usize),
}

#[derive(Clone)]
struct Leaf {
    decided: Decided,
    /// The clients, as the walk knew them that decided.
    spans: Vec<Span>,
    /// Whether it left shares aside.
    aside: bool,
}

impl Forks {
    /// Decides for all clients. `walk` decides for those that its gates say, and gives the gates back.
    pub(super) fn new(mut walk: impl FnMut(Gates) -> (Decided, Gates)) -> Forks {
        let mut all = Forks { forks: Vec::new(), leaves: Vec::new(), root: Next::Leaf(0) };
        // Clients still to be decided for, and the fork outside of which they are. The first to come are
        // the first to be served: what is cut off is deep in the tree.
        let mut open: VecDeque<(Vec<Span>, Option<usize>)> = VecDeque::from([(Vec::new(), None)]);
        while let Some((spans, place)) = open.pop_front() {
            let room = LEAVES_MAX.saturating_sub(all.leaves.len() + open.len() + 1);
            let (decided, gates) = walk(Gates { spans, room, ..Gates::default() });
            let mut next = Next::Leaf(all.leaves.len());
            all.leaves.push(Leaf { decided, spans: gates.spans, aside: false });
            let first = all.forks.len();
            let count = gates.splits.len();
            for (number, split) in gates.splits.into_iter().enumerate() {
                let Split { gate, permille, before: mut outside } = split;
                let inside = if number + 1 < count { Next::Fork(first + number + 1) } else { next };
                all.forks.push(Fork { gate, permille, inside, outside: next });
                cut(&mut outside, gate, permille, Share::PERMILLE_MAX);
                open.push_back((outside, Some(first + number)));
            }
            if count > 0 {
                next = Next::Fork(first);
            }
            match place.and_then(|place| all.forks.get_mut(place)) {
                Some(fork) => fork.outside = next,
                None => all.root = next,
            }
        }
        all.mend_empty(&mut walk);
        all
    }

    /// R10: whether an answer is empty must not depend on the client. Who would get none, where others get
    /// one, is decided for with every share left aside.
    fn mend_empty(&mut self, walk: &mut impl FnMut(Gates) -> (Decided, Gates)) {
        let answers = |leaf: &Leaf| matches!(leaf.decided.decision, Decision::Answer(_));
        if self.leaves.iter().all(answers) || !self.leaves.iter().any(answers) {
            return;
        }
        let (decided, gates) = walk(Gates { aside: true, ..Gates::default() });
        let whole = Leaf { decided, spans: gates.spans, aside: true };
        let Some(other) = [&whole].into_iter().chain(&self.leaves).find(|leaf| answers(leaf)).cloned() else {
            return;
        };
        self.leaves.iter_mut().filter(|leaf| !answers(leaf)).for_each(|leaf| *leaf = other.clone());
    }

    /// All leaves as one decision.
    pub(super) fn decided(self) -> Decided {
        let bounds = self.leaves.iter().filter_map(|leaf| leaf.decided.ttl_bound_s);
        Decided {
            ttl_bound_s: bounds.min(),
            mode: self.leaves.iter().map(|leaf| leaf.decided.mode).max().unwrap_or(Mode::Normal),
            decision: self.decision(self.root),
        }
    }

    fn decision(&self, next: Next) -> Decision {
        match next {
            Next::Leaf(leaf) => {
                self.leaf(leaf).map_or(Decision::NoData, |leaf| leaf.decided.decision.clone())
            }
            Next::Fork(fork) => {
                let Some(fork) = self.forks.get(fork) else { return Decision::NoData };
                match (self.decision(fork.inside), self.decision(fork.outside)) {
                    (Decision::Answer(inside), Decision::Answer(outside)) => {
                        Decision::Answer(Mix::gated(fork.gate, fork.permille, inside, outside))
                    }
                    // All leaves alike.
                    (inside, _) => inside,
                }
            }
        }
    }

    fn leaf(&self, number: usize) -> Option<&Leaf> {
        self.leaves.get(number)
    }

    /// The gates as the walk knew them that decided for one client (its [`sticky::client_key`]): another
    /// walk with them goes the same way.
    pub(super) fn gates_of(&self, client: u64) -> Gates {
        let mut next = self.root;
        let leaf = loop {
            match next {
                Next::Leaf(leaf) => break self.leaf(leaf),
                Next::Fork(fork) => {
                    let Some(fork) = self.forks.get(fork) else { break None };
                    let passes = sticky::gate_value(fork.gate, client) < fork.permille;
                    next = if passes { fork.inside } else { fork.outside };
                }
            }
        };
        let Some(leaf) = leaf else { return Gates::default() };
        Gates { spans: leaf.spans.clone(), aside: leaf.aside, ..Gates::default() }
    }
}

/// What people read of a share: `lets 20 % in (ramp)`.
pub(super) fn told(share: Share) -> String {
    let why = match share.why {
        ShareCause::Full => "full",
        ShareCause::Hold => "held until it has been well for long enough",
        ShareCause::Manual => "held until an operator lets it back",
        ShareCause::Ramp => "ramp",
        ShareCause::Draining => "draining",
        ShareCause::Shed => "shedding load",
    };
    match share.permille {
        0 => format!("lets nobody in ({why})"),
        permille => format!("lets {} in ({why})", percent(permille)),
    }
}

/// Thousandths as `5 %` or `0.5 %`.
pub(super) fn percent(permille: u16) -> String {
    match permille % 10 {
        0 => format!("{} %", permille / 10),
        tenths => format!("{}.{tenths} %", permille / 10),
    }
}
