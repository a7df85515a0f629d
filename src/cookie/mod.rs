//! DNS cookies: whether a query comes from where it says (RFC 7873), made so that servers of several makers that share a
//! secret know each other's (RFC 9018). Pure: the time is an argument.

mod siphash;

use std::fmt;
use std::net::IpAddr;

use crate::wire::{CLIENT_COOKIE_OCTETS, COOKIE_OCTETS, Cookie};
use siphash::SipHash24;

/// A server cookie as RFC 9018 has it.
const SERVER_OCTETS: usize = COOKIE_OCTETS - CLIENT_COOKIE_OCTETS;

/// The version that RFC 9018 section 4 describes, and its reserved octets.
const HEAD: [u8; 4] = [1, 0, 0, 0];
/// An older cookie is not taken any more, in seconds (RFC 9018 section 4.3).
const AGE_MAX_S: u32 = 3600;
/// Nor one from a future that clocks of servers that share a secret do not explain.
const AHEAD_MAX_S: u32 = 300;
/// An older cookie is taken, and answered with a new one.
const RENEWED_AFTER_S: u32 = 1800;
/// Secrets at a time: the one that cookies are made with, the one before it and the one after it.
pub const SECRETS_MAX: usize = 3;

/// A secret, shared by all servers of a name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u8; 16]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a query's cookie is worth.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Worth {
    /// The server's part is one of ours, for this address, and not too old: the query comes from where it says.
    Valid,
    /// There is no server's part: the client asks for one.
    ClientOnly,
    /// The server's part is not ours, of another address or too old: as if there were none (RFC 7873 section
    /// 5.2.4).
    Invalid,
}

impl Worth {
    /// All of them, in the order of their numbers.
    pub const ALL: [Worth; 3] = [Worth::Valid, Worth::ClientOnly, Worth::Invalid];

    /// The label in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Worth::Valid => "valid",
            Worth::ClientOnly => "client_only",
            Worth::Invalid => "invalid",
        }
    }
}

/// The secrets in force: cookies are made with the first, and those made with any are taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Secrets {
    first: Keyed,
    others: [Option<Keyed>; SECRETS_MAX - 1],
}

/// A secret made ready.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Keyed(SipHash24);

impl fmt::Debug for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secrets {
    /// One to make cookies with, and those of at most [`SECRETS_MAX`] - 1 others to take besides.
    pub fn new(made_with: Secret, taken: &[Secret]) -> Secrets {
        let keyed = |secret: &Secret| Keyed(SipHash24::new(secret.0));
        let mut others = [None; SECRETS_MAX - 1];
        for (place, secret) in others.iter_mut().zip(taken) {
            *place = Some(keyed(secret));
        }
        Secrets { first: keyed(&made_with), others }
    }

    /// Judges a query's cookie, and makes the one that goes with the answer (RFC 9018 section 4.3): the same again
    /// where it is valid, made with the first secret and not old; else a new one. `now_s` is since 1970.
    pub fn judge(&self, sent: &Cookie<'_>, source: IpAddr, now_s: u64) -> (Worth, [u8; COOKIE_OCTETS]) {
        // Cookies count seconds in 32 bits; differences are right beyond 2106 too (RFC 9018 section 4.3).
        let now_s = now_s as u32;
        let worth = match <&[u8; SERVER_OCTETS]>::try_from(sent.server) {
            Ok(server) => match self.made(server, &sent.client, source, now_s) {
                Some(Freshness::Fresh) => return (Worth::Valid, joined(&sent.client, *server)),
                Some(Freshness::Renew) => Worth::Valid,
                None => Worth::Invalid,
            },
            Err(_) if sent.server.is_empty() => Worth::ClientOnly,
            Err(_) => Worth::Invalid,
        };
        let [t3, t2, t1, t0] = now_s.to_be_bytes();
        let [v, r2, r1, r0] = HEAD;
        let head = [v, r2, r1, r0, t3, t2, t1, t0];
        let [h0, h1, h2, h3, h4, h5, h6, h7] = self.first.hash(&sent.client, &head, source).to_le_bytes();
        let server = [v, r2, r1, r0, t3, t2, t1, t0, h0, h1, h2, h3, h4, h5, h6, h7];
        (worth, joined(&sent.client, server))
    }

    /// Whether one of the secrets made this, for this client, and lately.
    #[inline]
    fn made(
        &self,
        server: &[u8; SERVER_OCTETS],
        client: &[u8; CLIENT_COOKIE_OCTETS],
        source: IpAddr,
        now_s: u32,
    ) -> Option<Freshness> {
        let (head, hash) = server.split_first_chunk::<8>()?;
        let hash = u64::from_le_bytes(*hash.first_chunk()?);
        let [version, _, _, _, t3, t2, t1, t0] = *head;
        let age_s = now_s.wrapping_sub(u32::from_be_bytes([t3, t2, t1, t0])) as i32;
        if version != HEAD[0] || age_s > AGE_MAX_S as i32 || age_s < -(AHEAD_MAX_S as i32) {
            return None;
        }
        // The reserved octets are hashed as they came (RFC 9018 section 4.2). Both sides are whole words: how long
        // the comparison takes says nothing.
        if self.first.hash(client, head, source) == hash {
            let fresh = age_s <= RENEWED_AFTER_S as i32;
            return Some(if fresh { Freshness::Fresh } else { Freshness::Renew });
        }
        let others = self.others.iter().flatten();
        others
            .map(|secret| secret.hash(client, head, source))
            .any(|own| own == hash)
            .then_some(Freshness::Renew)
    }
}

/// What comes of a valid cookie.
enum Freshness {
    /// It is given back.
    Fresh,
    /// A new one is given, because it is old or made with another secret.
    Renew,
}

impl Keyed {
    /// RFC 9018 section 4.4: over client cookie, version, reserved octets, timestamp and address.
    #[inline]
    fn hash(&self, client: &[u8; CLIENT_COOKIE_OCTETS], head: &[u8; 8], source: IpAddr) -> u64 {
        let words = [u64::from_le_bytes(*client), u64::from_le_bytes(*head)];
        match source {
            // An IPv4 client of a socket for both families has one address, not two.
            IpAddr::V4(v4) => self.0.hash(words, &[], u64::from(u32::from_le_bytes(v4.octets())), 20),
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => self.0.hash(words, &[], u64::from(u32::from_le_bytes(v4.octets())), 20),
                None => {
                    let address = u128::from_le_bytes(v6.octets());
                    self.0.hash(words, &[address as u64, (address >> 64) as u64], 0, 32)
                }
            },
        }
    }
}

#[inline]
fn joined(client: &[u8; CLIENT_COOKIE_OCTETS], server: [u8; SERVER_OCTETS]) -> [u8; COOKIE_OCTETS] {
    let mut cookie = [0; COOKIE_OCTETS];
    let (own, rest) = cookie.split_at_mut(CLIENT_COOKIE_OCTETS);
    own.copy_from_slice(client);
    rest.copy_from_slice(&server);
    cookie
}

#[cfg(test)]
mod tests;
