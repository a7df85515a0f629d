//! Private keys (edge): in memory, in files, and the ring of each signed zone with its state on disk.
//!
//! Nothing outside this module sees a private key: who signs gets a [`Signer`](crate::dnssec::Signer).

mod bind;
mod folder;
mod kept;
mod keyring;
mod pair;
mod pem;
mod problem;

pub use bind::{KeyFile, KeyTimes, file_stem, private_text, public_text, read_private, read_public};
pub use folder::{Folder, read_secret, read_text};
pub use keyring::{Announce, Care, Keyring, NotDone, RingVersion, Settings, TooEarly};
pub use pair::{KeyPair, NoKey, PRIVATE_OCTETS};
pub use pem::read_pem;
pub use problem::KeyProblem;
