//! What happened, as a hash that two runs of one seed must share, and as lines for people on demand.

use std::collections::VecDeque;
use std::time::Duration;

/// Lines that a failure shows.
const LAST_LINES: usize = 60;

/// The account of a run.
pub struct Trace {
    hash: u64,
    lines: Lines,
}

/// Who reads it.
#[derive(Debug)]
pub enum Lines {
    /// Nobody: only the hash counts.
    Off,
    /// The last lines are kept.
    Last(VecDeque<String>),
    /// Printed as it goes.
    Print,
}

impl Trace {
    /// An empty one.
    pub fn new(lines: Lines) -> Trace {
        Trace { hash: 0x9e37_79b9_7f4a_7c15, lines }
    }

    /// Something happened; `text` is called only where somebody reads.
    pub fn note(&mut self, now: Duration, numbers: &[u64], text: impl FnOnce() -> String) {
        self.mix(now.as_nanos() as u64);
        numbers.iter().for_each(|number| self.mix(*number));
        let line = || format!("{:>12.3} {}", now.as_secs_f64(), text());
        match &mut self.lines {
            Lines::Off => {}
            Lines::Print => println!("{}", line()),
            Lines::Last(lines) => {
                if lines.len() == LAST_LINES {
                    lines.pop_front();
                }
                lines.push_back(line());
            }
        }
    }

    fn mix(&mut self, number: u64) {
        let mixed = (self.hash ^ number).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        self.hash = mixed ^ (mixed >> 29);
    }

    /// The hash of everything so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The last lines.
    pub fn last_lines(&self) -> String {
        match &self.lines {
            Lines::Last(lines) => lines.iter().map(|line| format!("    {line}\n")).collect(),
            Lines::Off | Lines::Print => String::new(),
        }
    }
}
