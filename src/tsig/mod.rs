//! Transaction signatures of messages (RFC 8945) (pure): keys, a message's TSIG, what proves a query and
//! signs its answers, and the other side of both.
//!
//! Who answers begins at [`check`]; who asks begins at [`sign_request`]. Time is an argument, in seconds
//! since 1970.

mod answer;
mod key;
mod record;
mod request;
#[cfg(test)]
mod tests;

pub use answer::{Unproven, Verifier, sign_request};
pub use key::{Algorithm, Key, Keys};
pub use record::{Found, Record, TsigError};
pub use request::{Checked, Proven, Refusal, Signer, check};
