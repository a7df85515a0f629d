//! What the state file holds, as it is written.

use serde::{Deserialize, Serialize};

/// All of it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Kept {
    /// When it was written, in RFC 3339.
    pub saved_at: String,
}
