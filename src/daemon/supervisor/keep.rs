//! What the next process is to know (T2).

use super::Supervisor;
use crate::state::{Kept, rfc3339};

impl Supervisor {
    /// Everything that is worth remembering, as it is now.
    pub(super) fn remembered(&self) -> Kept {
        Kept { saved_at: rfc3339(self.clock.now().wall) }
    }
}
