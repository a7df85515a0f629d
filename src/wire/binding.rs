//! SVCB and HTTPS records (RFC 9460) of steered names: what is known beforehand in wire form, with a
//! place for the address hints that each answer decides.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// The parameters that the code speaks of by name (RFC 9460 section 14.3.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SvcParamKey(pub u16);

impl SvcParamKey {
    /// The keys that must be understood.
    pub const MANDATORY: SvcParamKey = SvcParamKey(0);
    /// The protocols that are spoken.
    pub const ALPN: SvcParamKey = SvcParamKey(1);
    /// The default protocol is not among them.
    pub const NO_DEFAULT_ALPN: SvcParamKey = SvcParamKey(2);
    /// The port.
    pub const PORT: SvcParamKey = SvcParamKey(3);
    /// IPv4 addresses.
    pub const IPV4HINT: SvcParamKey = SvcParamKey(4);
    /// Encrypted ClientHello (RFC 9848).
    pub const ECH: SvcParamKey = SvcParamKey(5);
    /// IPv6 addresses.
    pub const IPV6HINT: SvcParamKey = SvcParamKey(6);
    /// The path of DNS over HTTPS (RFC 9461).
    pub const DOHPATH: SvcParamKey = SvcParamKey(7);
    /// Oblivious HTTP is spoken (RFC 9540).
    pub const OHTTP: SvcParamKey = SvcParamKey(8);
    /// The groups that a TLS server takes.
    pub const TLS_SUPPORTED_GROUPS: SvcParamKey = SvcParamKey(9);
}

/// A record in ServiceMode for its own owner, without the hints.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceBinding {
    /// SvcPriority, TargetName and the parameters before `ipv4hint`.
    before: Box<[u8]>,
    /// The parameters between the hints.
    between: Box<[u8]>,
    /// The parameters after `ipv6hint`.
    after: Box<[u8]>,
    priority: u16,
    parameters: BTreeMap<SvcParamKey, Box<[u8]>>,
}

impl ServiceBinding {
    /// `parameters` are values in wire form. Priority 0 would be AliasMode: it counts as 1. Hints among the
    /// parameters are left out: each answer has its own.
    pub fn new(priority: u16, mut parameters: BTreeMap<SvcParamKey, Box<[u8]>>) -> ServiceBinding {
        parameters.retain(|key, _| !matches!(*key, SvcParamKey::IPV4HINT | SvcParamKey::IPV6HINT));
        let priority = priority.max(1);
        // TargetName "." is the owner itself (RFC 9460 section 2.5.2).
        let mut before = [&priority.to_be_bytes()[..], &[0]].concat();
        let (mut between, mut after) = (Vec::new(), Vec::new());
        for (key, value) in &parameters {
            let part = match key.0 {
                0..=3 => &mut before,
                4 | 5 => &mut between,
                _ => &mut after,
            };
            part.extend_from_slice(&key.0.to_be_bytes());
            part.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
            part.extend_from_slice(value.get(..usize::from(u16::MAX)).unwrap_or(value));
        }
        ServiceBinding {
            before: before.into(),
            between: between.into(),
            after: after.into(),
            priority,
            parameters,
        }
    }

    /// SvcPriority.
    pub fn priority(&self) -> u16 {
        self.priority
    }

    /// The parameters but the hints, in order.
    pub fn parameters(&self) -> impl Iterator<Item = (SvcParamKey, &[u8])> {
        self.parameters.iter().map(|(key, value)| (*key, &**value))
    }

    /// The RDATA with these addresses as hints.
    pub fn rdata(&self, addresses: &[IpAddr]) -> Vec<u8> {
        let mut rdata = Vec::new();
        self.push(addresses, &mut rdata);
        rdata
    }

    /// Appends it.
    pub fn push(&self, addresses: &[IpAddr], out: &mut Vec<u8>) {
        let Ok(()) = self.compose(addresses, |octets| -> Result<(), std::convert::Infallible> {
            out.extend_from_slice(octets);
            Ok(())
        });
    }

    /// Whether `rdata` is this record with these addresses as hints. Allocates nothing.
    pub fn is(&self, addresses: &[IpAddr], rdata: &[u8]) -> bool {
        let mut rest = rdata;
        let compared = self.compose(addresses, |octets| match rest.strip_prefix(octets) {
            Some(after) => {
                rest = after;
                Ok(())
            }
            None => Err(()),
        });
        compared.is_ok() && rest.is_empty()
    }

    /// Writes the RDATA with these addresses as hints, each family's in the order given.
    pub(super) fn compose<E>(
        &self,
        addresses: &[IpAddr],
        mut put: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        put(&self.before)?;
        head(&mut put, SvcParamKey::IPV4HINT, addresses.iter().filter(|own| own.is_ipv4()).count() * 4)?;
        for address in addresses {
            if let IpAddr::V4(v4) = address {
                put(&v4.octets())?;
            }
        }
        put(&self.between)?;
        head(&mut put, SvcParamKey::IPV6HINT, addresses.iter().filter(|own| own.is_ipv6()).count() * 16)?;
        for address in addresses {
            if let IpAddr::V6(v6) = address {
                put(&v6.octets())?;
            }
        }
        put(&self.after)
    }
}

/// Key and length of a hint; none without addresses.
fn head<E>(put: &mut impl FnMut(&[u8]) -> Result<(), E>, key: SvcParamKey, octets: usize) -> Result<(), E> {
    if octets == 0 {
        return Ok(());
    }
    put(&key.0.to_be_bytes())?;
    put(&u16::try_from(octets).unwrap_or(u16::MAX).to_be_bytes())
}
