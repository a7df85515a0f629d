//! The thread that writes, and the handle to it.
//!
//! Whoever has something to keep hands it over and goes on: a slow or full disk holds up nobody. Of
//! states only the latest is written; lines wait in a bounded queue.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::directory::Directory;
use super::file::{self, Read};
use super::journal::{self, Line, RECENT_MAX};

/// Lines waiting to be written; more come only when the disk hangs, and then the oldest are given up.
const LINES_WAITING_MAX: usize = 4096;
/// How long the end of the process waits for the last state to be written.
const FINISH_PATIENCE: Duration = Duration::from_secs(3);
/// How often the end of the process looks whether it is.
const FINISH_PAUSE: Duration = Duration::from_millis(5);

/// Whether something is on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durable {
    /// It survives a crash.
    Yes,
    /// It was not written; the log says why.
    Failed,
    /// There is no state directory.
    Nowhere,
}

/// Called with the outcome once a state was written, or was not.
type Told = Box<dyn FnOnce(Durable) + Send>;

/// What was written, and what was not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, serde::Deserialize)]
pub struct Counts {
    /// State files written.
    pub states: u64,
    /// State files that could not be written.
    pub state_failures: u64,
    /// Lines written to the journal.
    pub lines: u64,
    /// Lines that could not be written, or waited for too long.
    pub line_failures: u64,
}

/// Keeps states of one kind, and the journal. Clones are the same keeper.
pub struct Keeper<T> {
    shared: Arc<Shared<T>>,
    /// Whether there is a directory.
    durable: bool,
}

impl<T> Clone for Keeper<T> {
    fn clone(&self) -> Keeper<T> {
        Keeper { shared: self.shared.clone(), durable: self.durable }
    }
}

struct Shared<T> {
    thread: Mutex<Option<JoinHandle<()>>>,
    queue: Mutex<Queue<T>>,
    wake: Condvar,
    recent: Mutex<Recent>,
    states: AtomicU64,
    state_failures: AtomicU64,
    lines: AtomicU64,
    line_failures: AtomicU64,
}

/// A state, to be put into its written form where it is written.
type Later<T> = Box<dyn FnOnce() -> T + Send>;

/// What waits to be written.
struct Queue<T> {
    state: Option<Later<T>>,
    told: Vec<Told>,
    lines: Vec<Line>,
    ending: bool,
}

/// The last lines, also of earlier processes.
struct Recent {
    lines: VecDeque<Line>,
    next: u64,
}

impl<T: Serialize + DeserializeOwned + Send + 'static> Keeper<T> {
    /// Opens a directory, or none, and gives what an earlier process has kept there. `at_s` names a file
    /// that has to be set aside. Call it when privileges are dropped: it starts a thread.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn open(path: Option<&Path>, at_s: u64) -> io::Result<(Keeper<T>, Read<T>)> {
        let shared = Arc::new(Shared {
            thread: Mutex::new(None),
            queue: Mutex::new(Queue { state: None, told: Vec::new(), lines: Vec::new(), ending: false }),
            wake: Condvar::new(),
            recent: Mutex::new(Recent { lines: VecDeque::new(), next: 1 }),
            states: AtomicU64::new(0),
            state_failures: AtomicU64::new(0),
            lines: AtomicU64::new(0),
            line_failures: AtomicU64::new(0),
        });
        let Some(path) = path else { return Ok((Keeper { shared, durable: false }, Read::Nothing)) };
        let mut directory = Directory::at(path.to_owned());
        let held = directory.hold();
        if let Err(error) = &held {
            tracing::warn!(directory = %path.display(), %error, "the state directory cannot be held: nothing is kept until it can");
        }
        let found = file::read(&directory, held.is_ok(), at_s);
        {
            let mut recent = locked(&shared.recent);
            recent.lines = journal::recent(&directory);
            recent.next = recent.lines.back().map_or(1, |line| line.number.saturating_add(1));
        }
        let own = shared.clone();
        let thread =
            std::thread::Builder::new().name("state".to_owned()).spawn(move || own.write(directory))?;
        *locked(&shared.thread) = Some(thread);
        Ok((Keeper { shared, durable: true }, found))
    }

    /// Has a state written, in place of any that still waits. `told` hears what came of it.
    pub fn keep(
        &self,
        state: impl FnOnce() -> T + Send + 'static,
        told: Option<impl FnOnce(Durable) + Send + 'static>,
    ) {
        let alive = locked(&self.shared.thread).as_ref().is_some_and(|thread| !thread.is_finished());
        if !alive {
            if let Some(told) = told {
                told(if self.durable { Durable::Failed } else { Durable::Nowhere });
            }
            return;
        }
        let mut queue = locked(&self.shared.queue);
        queue.state = Some(Box::new(state));
        queue.told.extend(told.map(|told| Box::new(told) as Told));
        drop(queue);
        self.shared.wake.notify_one();
    }

    /// Whether anything outlives the process.
    pub fn is_durable(&self) -> bool {
        self.durable
    }

    /// Adds a line to the journal; its number is given here.
    pub fn journal(&self, mut line: Line) {
        {
            let mut recent = locked(&self.shared.recent);
            line.number = recent.next;
            recent.next += 1;
            if recent.lines.len() >= RECENT_MAX {
                recent.lines.pop_front();
            }
            recent.lines.push_back(line.clone());
        }
        if !self.durable {
            return;
        }
        let mut queue = locked(&self.shared.queue);
        if queue.lines.len() >= LINES_WAITING_MAX {
            queue.lines.remove(0);
            self.shared.line_failures.fetch_add(1, Ordering::Relaxed);
        }
        queue.lines.push(line);
        drop(queue);
        self.shared.wake.notify_one();
    }

    /// The lines after a number, the oldest first; of more than `most` the latest.
    pub fn recent(&self, after: u64, most: usize) -> Vec<Line> {
        let recent = locked(&self.shared.recent);
        let wanted = recent.lines.iter().rev().take_while(|line| line.number > after).take(most);
        let mut lines: Vec<Line> = wanted.cloned().collect();
        lines.reverse();
        lines
    }

    /// What was written so far.
    pub fn counts(&self) -> Counts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            states: of(&self.shared.states),
            state_failures: of(&self.shared.state_failures),
            lines: of(&self.shared.lines),
            line_failures: of(&self.shared.line_failures),
        }
    }

    /// Writes what still waits and ends; a disk that hangs is not waited for.
    pub fn finish(&self) {
        locked(&self.shared.queue).ending = true;
        self.shared.wake.notify_one();
        let Some(thread) = locked(&self.shared.thread).take() else { return };
        let begun = Instant::now();
        while !thread.is_finished() && begun.elapsed() < FINISH_PATIENCE {
            std::thread::sleep(FINISH_PAUSE);
        }
        if !thread.is_finished() {
            tracing::warn!("the state directory does not take the last state in time");
        }
    }
}

impl<T: Serialize> Shared<T> {
    /// The thread.
    fn write(&self, mut directory: Directory) {
        let mut failing = false;
        loop {
            let (state, told, lines, ending) = self.next();
            let has_state = state.is_some();
            let written = directory.hold().and_then(|()| {
                let lines = self.write_lines(&directory, &lines);
                let state = state.map_or(Ok(()), |state| self.write_state(&directory, &state()));
                lines.and(state)
            });
            if written.is_err() {
                // Held or not: what was not written is counted where it was tried, or here.
                self.count_unheld(&directory, has_state, lines.len());
            }
            let durable = if written.is_ok() { Durable::Yes } else { Durable::Failed };
            for told in told {
                told(durable);
            }
            match (&written, failing) {
                (Err(error), false) => {
                    tracing::warn!(%error, "the state directory cannot be written to: a restart would forget what changes now");
                }
                (Ok(()), true) => tracing::info!("the state directory can be written to again"),
                _ => {}
            }
            failing = written.is_err();
            if ending {
                return;
            }
        }
    }

    fn next(&self) -> (Option<Later<T>>, Vec<Told>, Vec<Line>, bool) {
        let idle = |queue: &mut Queue<T>| queue.state.is_none() && queue.lines.is_empty() && !queue.ending;
        let queue = locked(&self.queue);
        let mut queue = self.wake.wait_while(queue, idle).unwrap_or_else(PoisonError::into_inner);
        let (state, told) = (queue.state.take(), std::mem::take(&mut queue.told));
        (state, told, std::mem::take(&mut queue.lines), queue.ending)
    }

    fn write_lines(&self, directory: &Directory, lines: &[Line]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let written = journal::append(directory, lines);
        let count = if written.is_ok() { &self.lines } else { &self.line_failures };
        count.fetch_add(lines.len() as u64, Ordering::Relaxed);
        written
    }

    fn write_state(&self, directory: &Directory, state: &T) -> io::Result<()> {
        let written = file::write(directory, state);
        let count = if written.is_ok() { &self.states } else { &self.state_failures };
        count.fetch_add(1, Ordering::Relaxed);
        written
    }

    /// Counts what was not even tried because the directory is not ours.
    fn count_unheld(&self, directory: &Directory, state: bool, lines: usize) {
        if !directory.is_held() {
            self.state_failures.fetch_add(u64::from(state), Ordering::Relaxed);
            self.line_failures.fetch_add(lines as u64, Ordering::Relaxed);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::state::{Outcome, What};
    use std::sync::mpsc;

    fn line(what: What) -> Line {
        let text = String::new;
        Line {
            number: 0,
            when: text(),
            generation: 1,
            who: text(),
            what,
            on: text(),
            why: text(),
            outcome: Outcome::Done,
            detail: text(),
        }
    }

    fn keep(keeper: &Keeper<Vec<u32>>, state: &[u32]) -> Durable {
        let (sender, outcome) = mpsc::channel();
        let state = state.to_vec();
        keeper.keep(|| state, Some(move |durable| sender.send(durable).unwrap()));
        outcome.recv().unwrap()
    }

    #[test]
    fn t2_the_next_process_finds_what_was_kept() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Keeper::<Vec<u32>>::open(Some(folder.path()), 0).unwrap();
        let (first, found) = open();
        assert!(matches!(found, Read::Nothing));
        assert_eq!(keep(&first, &[1]), Durable::Yes);
        first.journal(line(What::Start));
        first.keep(|| vec![2], None::<fn(Durable)>);
        first.finish();
        assert_eq!(first.counts(), Counts { states: 2, lines: 1, ..Counts::default() });
        let (second, found) = open();
        assert!(matches!(found, Read::Kept(kept) if kept == [2]));
        second.journal(line(What::Stop));
        let numbers: Vec<_> = second.recent(0, 10).iter().map(|line| (line.number, line.what)).collect();
        assert_eq!(numbers, [(1, What::Start), (2, What::Stop)]);
        assert_eq!(second.recent(1, 10).len(), 1);
        assert_eq!(second.recent(0, 1)[0].number, 2);
    }

    #[test]
    fn a_directory_that_goes_away_is_a_count_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        std::fs::create_dir(&path).unwrap();
        let (keeper, _) = Keeper::<Vec<u32>>::open(Some(&path), 0).unwrap();
        std::fs::remove_dir_all(&path).unwrap();
        assert_eq!(keep(&keeper, &[1]), Durable::Failed);
        std::fs::create_dir(&path).unwrap();
        assert_eq!(keep(&keeper, &[2]), Durable::Yes);
        assert_eq!((keeper.counts().states, keeper.counts().state_failures), (1, 1));
    }

    #[test]
    fn two_processes_do_not_share_a_directory() {
        let folder = tempfile::tempdir().unwrap();
        let (first, _) = Keeper::<Vec<u32>>::open(Some(folder.path()), 0).unwrap();
        let (second, _) = Keeper::<Vec<u32>>::open(Some(folder.path()), 0).unwrap();
        assert_eq!((keep(&first, &[1]), keep(&second, &[2])), (Durable::Yes, Durable::Failed));
        first.finish();
        // Once the first has ended the second may.
        assert_eq!(keep(&second, &[2]), Durable::Yes);
    }

    #[test]
    fn without_a_directory_lines_are_kept_in_memory() {
        let (keeper, _) = Keeper::<Vec<u32>>::open(None, 0).unwrap();
        assert_eq!(keep(&keeper, &[1]), Durable::Nowhere);
        for _ in 0..RECENT_MAX + 10 {
            keeper.journal(line(What::Reload));
        }
        let kept = keeper.recent(0, usize::MAX);
        assert_eq!((kept.len(), kept[0].number), (RECENT_MAX, 11));
        assert_eq!(keeper.counts(), Counts::default());
    }
}
