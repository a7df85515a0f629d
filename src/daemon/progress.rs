//! How far something slow is: a bar on a terminal, a line now and then elsewhere, nothing if it is quick.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// What is done sooner shows nothing.
const SHOWN_AFTER: Duration = Duration::from_millis(500);
/// Lines follow each other no faster than this.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// A piece of work under way.
pub struct Progress {
    what: &'static str,
    begun: Instant,
    shown: Option<Shown>,
}

enum Shown {
    Bar(ProgressBar),
    Lines { next: Instant },
}

impl Progress {
    /// Nothing shown yet.
    pub fn new(what: &'static str) -> Progress {
        Progress { what, begun: Instant::now(), shown: None }
    }

    /// So much of it is done.
    pub fn at(&mut self, done: u64, total: u64) {
        if self.begun.elapsed() < SHOWN_AFTER {
            return;
        }
        let what = self.what;
        match self.shown.get_or_insert_with(|| show(what)) {
            Shown::Bar(bar) => {
                bar.set_length(total);
                bar.set_position(done);
            }
            Shown::Lines { next } => {
                if Instant::now() >= *next {
                    *next = Instant::now() + LINE_INTERVAL;
                    tracing::info!(percent = (done * 100).checked_div(total).unwrap_or(100), "{what}");
                }
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(Shown::Bar(bar)) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

fn show(what: &'static str) -> Shown {
    if !std::io::stderr().is_terminal() {
        return Shown::Lines { next: Instant::now() };
    }
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{msg} [{bar:40}] {percent:>3}% {eta}");
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(what);
    Shown::Bar(bar)
}
