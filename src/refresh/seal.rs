//! Requests and answers with their TSIG, where a key is configured.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::check::Failure;
use crate::tsig::{Key, Verifier, sign_request};

/// What the answers to one request are held against.
pub enum Seal {
    /// Nothing: whoever answers on the connection is believed.
    None,
    /// The key that signed the request.
    Key(Box<Verifier>),
}

impl Seal {
    /// Signs a request, if there is a key.
    pub fn request(key: Option<&Arc<Key>>, message: &mut Vec<u8>) -> Result<Seal, Failure> {
        let Some(key) = key else { return Ok(Seal::None) };
        let verifier = sign_request(key, message, now_s());
        verifier.map(|verifier| Seal::Key(Box::new(verifier))).ok_or(Failure::Protocol("no room for a TSIG"))
    }

    /// Takes the next message of an answer.
    pub fn accept(&mut self, message: &[u8]) -> Result<(), Failure> {
        match self {
            Seal::None => Ok(()),
            Seal::Key(verifier) => verifier.accept(message, now_s()).map_err(Failure::Unproven),
        }
    }

    /// Whether everything that came is proven.
    pub fn end(&self) -> Result<(), Failure> {
        match self {
            Seal::Key(verifier) if !verifier.is_complete() => {
                Err(Failure::Protocol("the last message is not signed"))
            }
            _ => Ok(()),
        }
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
