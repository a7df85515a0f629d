//! The asking side: a request is signed, and what answers it is held against that.

use std::sync::Arc;

use aws_lc_rs::hmac;

use super::key::{Key, Mac};
use super::record::{Draft, Found, Record, TsigError, prior};

/// Messages of a stream that may follow each other unsigned: at least every hundredth is signed (RFC 8945
/// section 5.3.1).
const UNSIGNED_MAX: u32 = 99;

/// Signs a request, which must have no TSIG yet; gives what checks its answers. `None` where the request is
/// no message or has no room for a record in its 64 KiB.
pub fn sign_request(key: &Arc<Key>, message: &mut Vec<u8>, now_s: u64) -> Option<Verifier> {
    let id = u16::from_be_bytes(*message.first_chunk()?);
    let draft = Draft::of(key, now_s, id);
    let mut context = key.context();
    context.update(message);
    draft.variables(&mut context);
    let mac = Mac::of(context);
    let length = message.len();
    message.resize(length + draft.octets(mac.octets().len()), 0);
    draft.append(mac.octets(), message, length)?;
    Some(Verifier { key: Arc::clone(key), prior: mac, first: true, unsigned: 0, pending: None })
}

/// Why an answer is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Unproven {
    /// It is no message, or its TSIG makes no sense.
    Malformed,
    /// A message that has to be signed is not: the first, or the one after 99 others.
    Unsigned,
    /// It is signed with another key or algorithm.
    OtherKey,
    /// The code is wrong, or cut short.
    BadSig,
    /// It was signed at another time.
    BadTime,
    /// The server says that it does not accept our signature.
    Refused(TsigError),
}

impl std::fmt::Display for Unproven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unproven::Malformed => f.write_str("its TSIG cannot be read"),
            Unproven::Unsigned => f.write_str("it is not signed, and the request was"),
            Unproven::OtherKey => f.write_str("it is signed with another key than the request"),
            Unproven::BadSig => f.write_str("its signature is wrong"),
            Unproven::BadTime => f.write_str("it was signed at another time: one of the clocks is wrong"),
            Unproven::Refused(error) => {
                write!(f, "the other end does not accept our signature: {}", error.mnemonic())
            }
        }
    }
}

/// Checks what answers a signed request: one message, or a stream.
pub struct Verifier {
    key: Arc<Key>,
    prior: Mac,
    first: bool,
    /// Messages since the last signed one.
    unsigned: u32,
    /// What they were.
    pending: Option<hmac::Context>,
}

impl Verifier {
    /// Takes the next message. What came in unsigned messages is proven only when a signed one follows: ask
    /// [`Verifier::is_complete`] after the last.
    ///
    /// # Errors
    /// Why it is not believed; nothing that comes after it is, either.
    pub fn accept(&mut self, message: &[u8], now_s: u64) -> Result<(), Unproven> {
        match Found::in_message(message) {
            Found::Malformed => Err(Unproven::Malformed),
            Found::Tsig(record) => self.accept_signed(message, &record, now_s),
            Found::Nothing if self.first || self.unsigned >= UNSIGNED_MAX => Err(Unproven::Unsigned),
            Found::Nothing => {
                self.unsigned += 1;
                let mut context = self.running();
                context.update(message);
                self.pending = Some(context);
                Ok(())
            }
        }
    }

    /// Whether the last message was signed: a stream's last must be.
    pub fn is_complete(&self) -> bool {
        !self.first && self.unsigned == 0
    }

    fn accept_signed(&mut self, message: &[u8], record: &Record<'_>, now_s: u64) -> Result<(), Unproven> {
        let told = TsigError::from_number(record.error);
        // BADKEY and BADSIG come unsigned: nothing in them can be proven, and nothing is taken from them.
        if let Some(error) = told.filter(|_| record.mac.is_empty()) {
            return Err(Unproven::Refused(error));
        }
        if record.name != *self.key.name() || record.algorithm.octets() != self.key.algorithm().wire() {
            return Err(Unproven::OtherKey);
        }
        let mut context = self.running();
        record.unsigned_message(message, &mut context);
        if self.first {
            record.variables(&mut context);
        } else {
            record.timers(&mut context);
        }
        let mac = Mac::of(context);
        if !mac.is(record.mac) {
            return Err(Unproven::BadSig);
        }
        if let Some(error) = told {
            return Err(Unproven::Refused(error));
        }
        if !record.is_timely(now_s) {
            return Err(Unproven::BadTime);
        }
        (self.prior, self.first, self.unsigned) = (mac, false, 0);
        Ok(())
    }

    /// What the next code is made over, so far.
    fn running(&mut self) -> hmac::Context {
        self.pending.take().unwrap_or_else(|| {
            let mut context = self.key.context();
            prior(&self.prior, &mut context);
            context
        })
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a verifier with {:?}", self.key)
    }
}
