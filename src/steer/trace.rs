//! The account of a decision: every child kept or dropped, and why (X1).

/// One line of the account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// How deep in the tree.
    pub depth: u8,
    /// The node's name.
    pub node: String,
    /// What happened there, in plain words.
    pub what: String,
}

/// A recorder that costs nothing when it is off.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trace {
    recording: bool,
    depth: u8,
    /// What was recorded, in the order in which it happened.
    pub steps: Vec<Step>,
}

impl Trace {
    /// A trace that records nothing.
    pub fn off() -> Trace {
        Trace::default()
    }

    /// A trace that records.
    pub fn recording() -> Trace {
        Trace { recording: true, ..Trace::default() }
    }

    /// Whether it records.
    pub fn is_recording(&self) -> bool {
        self.recording
    }

    /// Records one line; `what` is called only when recording.
    pub fn note(&mut self, node: &str, what: impl FnOnce() -> String) {
        if self.recording {
            self.steps.push(Step { depth: self.depth, node: node.to_owned(), what: what() });
        }
    }

    /// Goes one level down.
    pub fn enter(&mut self) {
        self.depth = self.depth.saturating_add(1);
    }

    /// Comes back up.
    pub fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }
}
