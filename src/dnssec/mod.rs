//! Signed zones (pure): keys as resolvers see them, what is signed and how, and what proves that something
//! does not exist.
//!
//! Private keys are the edge's: here they are a [`Signer`] that turns octets into a signature.

mod key;
pub mod ring;

pub use key::{Algorithm, KeyUse, SIGNATURE_OCTETS, Signature, Signer, SigningFailed, ZoneKey};
