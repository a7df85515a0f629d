//! Signed zones (pure): keys as resolvers see them, what is signed and how, and what proves that something
//! does not exist.
//!
//! A [`crate::zone::Zone`] stays what its file says; [`Signed`] lies over it. Private keys are the edge's:
//! here they are a [`Signer`] that turns octets into a signature.

mod answers;
mod bitmap;
mod build;
mod canonical;
mod chain;
mod compact;
mod given;
mod job;
mod key;
mod names;
mod online;
mod proofs;
pub mod ring;
mod rrsig;
mod signed;
mod slices;

pub use answers::{AnswerData, Content, PossibleAnswer, Steered};
pub use given::{GivenFault, Separated, separate};
pub use job::{Denial, KeyRecords, SigningJob, Spread, Validity, in_order};
pub use key::{Algorithm, KeyUse, SIGNATURE_OCTETS, Signature, Signer, SigningFailed, ZoneKey};
pub use online::{OnlineCounts, OnlineLimits, OnlineSignatures, Unsigned};
pub use proofs::{Hashed, HashedLabel, Proof};
pub use signed::{Came, OverlayRrset, Signed};
pub use slices::Slices;
