//! The one cell: who answers reads the view here, and the supervisor alone replaces it.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::view::View;

/// Holds the view in force. Readers never wait; a reader keeps the view it loaded until it lets go.
pub struct Cell(ArcSwap<View>);

impl Cell {
    /// A cell with its first view: there is never a time without one.
    pub fn new(first: Arc<View>) -> Cell {
        Cell(ArcSwap::new(first))
    }

    /// The view in force, for the time of one batch.
    pub fn load(&self) -> Guard<Arc<View>> {
        self.0.load()
    }

    /// The view in force, for longer than a batch.
    pub fn load_full(&self) -> Arc<View> {
        self.0.load_full()
    }

    /// Replaces the view. Who loads afterwards gets the new one, whole.
    pub fn publish(&self, next: Arc<View>) {
        self.0.store(next);
    }
}
