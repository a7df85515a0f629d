//! Private keys (edge): in memory, in files, and the ring of each signed zone with its state on disk.
//!
//! Nothing outside this module sees a private key: who signs gets a [`Signer`](crate::dnssec::Signer).

mod bind;
mod pair;
mod pem;

pub use bind::{KeyFile, KeyTimes, file_stem, private_text, public_text, read_private, read_public};
pub use pair::{KeyPair, NoKey, PRIVATE_OCTETS};
pub use pem::read_pem;
