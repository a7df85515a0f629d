//! The one cell: who answers reads the view here, and the supervisor alone replaces it.

mod retired;

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use self::retired::Retired;
use crate::view::View;

/// Holds the view in force. Readers never wait; a reader keeps the view it loaded until it lets go, and never frees it:
/// a view may hold maps and zones of hundreds of megabytes.
pub struct Cell {
    current: ArcSwap<View>,
    retired: Retired<View>,
}

impl Cell {
    /// A cell with its first view: there is never a time without one.
    pub fn new(first: Arc<View>) -> Cell {
        Cell {
            current: ArcSwap::new(first),
            retired: Retired::new(|next: &View, before, goes_on| next.learn(before, goes_on)),
        }
    }

    /// The view in force, for the time of one batch.
    pub fn load(&self) -> Guard<Arc<View>> {
        self.current.load()
    }

    /// The view in force, for longer than a batch.
    pub fn load_full(&self) -> Arc<View> {
        self.current.load_full()
    }

    /// Replaces the view. Who loads afterwards gets the new one, whole. What the one before has been asked the new one
    /// then finds out for itself, on another thread.
    pub fn publish(&self, next: Arc<View>) {
        let successor = Arc::downgrade(&next);
        self.retired.take(self.current.swap(next), successor);
    }
}
