//! EDNS(0): what a query's OPT record says (RFC 6891), and the options this server knows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use super::query::Malformed;

/// An option's number in the IANA registry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OptionCode(pub u16);

impl OptionCode {
    /// The name server's identity (RFC 5001).
    pub const NSID: OptionCode = OptionCode(3);
    /// The client's network (RFC 7871).
    pub const CLIENT_SUBNET: OptionCode = OptionCode(8);
    /// A proof that the client is where it says (RFC 7873).
    pub const COOKIE: OptionCode = OptionCode(10);
    /// How long a connection may be idle (RFC 7828).
    pub const TCP_KEEPALIVE: OptionCode = OptionCode(11);
    /// Octets that say nothing but hide a message's length (RFC 7830).
    pub const PADDING: OptionCode = OptionCode(12);
    /// Extended errors (RFC 8914).
    pub const EXTENDED_ERROR: OptionCode = OptionCode(15);
}

/// The extended errors that this server gives (RFC 8914).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ExtendedError {
    /// 3: what was good before, while nothing better is known.
    StaleAnswer,
    /// 14: not now; another try may succeed.
    NotReady,
    /// 18: never for anybody, as a zone transfer here.
    Prohibited,
    /// 20: the name is in none of our zones.
    NotAuthoritative,
    /// 21: this server does not do such things.
    NotSupported,
    /// 24: the zone has expired.
    InvalidData,
    /// 30: the type exists in bitmaps only.
    InvalidQueryType,
}

impl ExtendedError {
    /// The INFO-CODE.
    pub const fn number(self) -> u16 {
        match self {
            ExtendedError::StaleAnswer => 3,
            ExtendedError::NotReady => 14,
            ExtendedError::Prohibited => 18,
            ExtendedError::NotAuthoritative => 20,
            ExtendedError::NotSupported => 21,
            ExtendedError::InvalidData => 24,
            ExtendedError::InvalidQueryType => 30,
        }
    }
}

/// A query's OPT record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Edns<'p> {
    /// The requester's UDP payload size as sent; below 512 counts as 512.
    pub payload_octets: u16,
    /// Only version 0 is known.
    pub version: u8,
    /// DO: the requester wants DNSSEC records.
    pub dnssec_ok: bool,
    /// CO: the requester takes NXDOMAIN with a compact denial (RFC 9824 section 5.1). Says nothing
    /// without DO.
    pub compact_ok: bool,
    /// NSID was asked for.
    pub nsid: bool,
    /// A well-formed client subnet.
    pub subnet: Option<ClientSubnet<'p>>,
    /// A cookie of a length that cookies have.
    pub cookie: Option<Cookie<'p>>,
    /// Whether the connection's idle timeout was asked for.
    pub keepalive: Keepalive,
    /// There was padding: the requester asks for some (RFC 7830 section 4).
    pub padding: bool,
    options: &'p [u8],
}

/// What a query says by the keepalive option. Whether that matters depends on the transport.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Keepalive {
    /// Nothing.
    Absent,
    /// It asks for the idle timeout.
    Asked,
    /// It states a timeout, which is the server's to state (RFC 7828 section 3.2.1).
    Stated,
}

/// One option as sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EdnsOption<'p> {
    /// Its number.
    pub code: OptionCode,
    /// Its data.
    pub data: &'p [u8],
}

impl<'p> Edns<'p> {
    /// From OPT's CLASS, TTL and RDATA, options not yet looked at.
    pub(super) fn new(class: u16, ttl: u32, options: &'p [u8]) -> Edns<'p> {
        Edns {
            payload_octets: class,
            version: (ttl >> 16) as u8,
            dnssec_ok: ttl & 0x8000 != 0,
            compact_ok: ttl & 0xc000 == 0xc000,
            nsid: false,
            subnet: None,
            cookie: None,
            keepalive: Keepalive::Absent,
            padding: false,
            options,
        }
    }

    /// The options in the order sent; ends at the first that is cut short.
    pub fn options(&self) -> impl Iterator<Item = EdnsOption<'p>> + use<'p> {
        let mut rest = self.options;
        std::iter::from_fn(move || {
            let (option, after) = split_option(rest)?;
            rest = after;
            Some(option)
        })
    }

    /// Reads the options; with a fault among them, none of them.
    pub(super) fn read_options(&mut self) -> Result<(), Malformed> {
        let (mut nsid, mut client_subnet, mut cookie) = (false, None, None);
        let (mut keepalive, mut padding) = (Keepalive::Absent, false);
        let mut rest = self.options;
        while !rest.is_empty() {
            let Some((option, after)) = split_option(rest) else { return Err(Malformed::Options) };
            match option.code {
                OptionCode::NSID => nsid = true,
                OptionCode::CLIENT_SUBNET if client_subnet.is_some() => return Err(Malformed::ClientSubnet),
                OptionCode::CLIENT_SUBNET => {
                    client_subnet = Some(ClientSubnet::parse(option.data).ok_or(Malformed::ClientSubnet)?);
                }
                // The first counts; the lengths of the others say nothing.
                OptionCode::COOKIE if cookie.is_none() => {
                    cookie = Some(Cookie::parse(option.data).ok_or(Malformed::Options)?);
                }
                OptionCode::TCP_KEEPALIVE if option.data.is_empty() && keepalive != Keepalive::Stated => {
                    keepalive = Keepalive::Asked;
                }
                OptionCode::TCP_KEEPALIVE => keepalive = Keepalive::Stated,
                OptionCode::PADDING => padding = true,
                _ => {}
            }
            rest = after;
        }
        (self.nsid, self.subnet, self.cookie) = (nsid, client_subnet, cookie);
        (self.keepalive, self.padding) = (keepalive, padding);
        Ok(())
    }
}

fn split_option(octets: &[u8]) -> Option<(EdnsOption<'_>, &[u8])> {
    let (head, rest) = octets.split_first_chunk::<4>()?;
    let [code_high, code_low, length_high, length_low] = *head;
    let length = u16::from_be_bytes([length_high, length_low]);
    let (data, after) = rest.split_at_checked(usize::from(length))?;
    Some((EdnsOption { code: OptionCode(u16::from_be_bytes([code_high, code_low])), data }, after))
}

/// The client's part of a cookie (RFC 7873 section 4).
pub const CLIENT_COOKIE_OCTETS: usize = 8;
/// A server's part, whoever made it.
const SERVER_COOKIE_OCTETS: RangeInclusive<usize> = 8..=32;

/// A cookie option of a query, its lengths right (RFC 7873 section 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cookie<'p> {
    /// The client's part.
    pub client: [u8; CLIENT_COOKIE_OCTETS],
    /// The server's part; empty where the client has none yet.
    pub server: &'p [u8],
}

impl<'p> Cookie<'p> {
    /// From an option's data; `None` for lengths that no cookie has (RFC 7873 section 5.2.2).
    pub fn parse(data: &'p [u8]) -> Option<Cookie<'p>> {
        let (client, server) = data.split_first_chunk()?;
        let right = server.is_empty() || SERVER_COOKIE_OCTETS.contains(&server.len());
        right.then_some(Cookie { client: *client, server })
    }
}

/// A well-formed client subnet option of a query (RFC 7871 section 6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientSubnet<'p> {
    /// FAMILY, SOURCE PREFIX-LENGTH, SCOPE PREFIX-LENGTH and ADDRESS as sent.
    data: &'p [u8],
    /// ADDRESS, zero past the source length: the first bit is the highest.
    bits: u128,
}

impl<'p> ClientSubnet<'p> {
    /// Strict: a scope other than 0, a length beyond the family's, too few or too many address
    /// octets, bits past the length, an unknown family are all `None`.
    #[inline(always)]
    pub(crate) fn parse(data: &'p [u8]) -> Option<ClientSubnet<'p>> {
        let (head, octets) = data.split_first_chunk::<4>()?;
        let [0, family, source, 0] = *head else { return None };
        if octets.len() != usize::from(source).div_ceil(8) {
            return None;
        }
        let bits = match family {
            0 if source == 0 => 0,
            1 if octets.len() <= 4 => {
                // The last four octets of the option, those before the address shifted out of them.
                let last = u64::from(u32::from_be_bytes(*data.last_chunk()?));
                let address = (last << (32 - 8 * octets.len())) as u32;
                if u64::from(address) << source & u64::from(u32::MAX) != 0 {
                    return None;
                }
                u128::from(address) << 96
            }
            2 => {
                let mut address = [0; 16];
                address.get_mut(..octets.len())?.copy_from_slice(octets);
                let bits = u128::from_be_bytes(address);
                if bits.checked_shl(u32::from(source)).unwrap_or(0) != 0 {
                    return None;
                }
                bits
            }
            _ => return None,
        };
        Some(ClientSubnet { data, bits })
    }

    /// The network's first address; `None` for family 0, which old tools send with length 0 to say "none".
    #[inline(always)]
    pub fn address(&self) -> Option<IpAddr> {
        match self.data {
            [_, 1, ..] => Some(IpAddr::V4(Ipv4Addr::from((self.bits >> 96) as u32))),
            [_, 2, ..] => Some(IpAddr::V6(Ipv6Addr::from(self.bits))),
            _ => None,
        }
    }

    /// The network's first address as an address of 128 bits, of either family the highest ones; zeros past the source
    /// length.
    #[inline]
    pub fn bits(&self) -> u128 {
        self.bits
    }

    /// SOURCE PREFIX-LENGTH. 0 means: do not use my address.
    #[inline(always)]
    pub fn source_length(&self) -> u8 {
        self.data.get(2).copied().unwrap_or(0)
    }

    /// The option's data as sent: all of it is echoed but the scope, its fourth octet.
    pub fn data(&self) -> &'p [u8] {
        self.data
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn rfc9824_5_1_co_counts_beside_do_only() {
        let check = |flags: u32, dnssec_ok, compact_ok| {
            let edns = Edns::new(1232, flags, &[]);
            assert_eq!((edns.dnssec_ok, edns.compact_ok), (dnssec_ok, compact_ok), "{flags:x}");
        };
        check(0x0000, false, false);
        check(0x8000, true, false);
        check(0xc000, true, true);
        check(0x4000, false, false);
        check(0x3fff, false, false);
    }

    #[test]
    fn rfc7873_4_a_cookie_has_8_octets_or_16_to_40() {
        for length in 0..64_usize {
            let right = length == 8 || (16..=40).contains(&length);
            assert_eq!(Cookie::parse(&vec![0; length]).is_some(), right, "{length}");
        }
    }

    #[test]
    fn rfc7871_6_client_subnet_is_read_strictly() {
        let check = |data: &[u8], expected: Option<(Option<&str>, u8)>| {
            let subnet = ClientSubnet::parse(data);
            let got = subnet.map(|s| (s.address().map(|a| a.to_string()), s.source_length()));
            assert_eq!(got, expected.map(|(a, l)| (a.map(str::to_owned), l)), "{data:?}");
        };
        check(&[0, 1, 24, 0, 192, 0, 2], Some((Some("192.0.2.0"), 24)));
        check(&[0, 1, 32, 0, 192, 0, 2, 1], Some((Some("192.0.2.1"), 32)));
        check(&[0, 1, 20, 0, 192, 0, 0x20], Some((Some("192.0.32.0"), 20)));
        check(&[0, 1, 0, 0], Some((Some("0.0.0.0"), 0)));
        check(&[0, 2, 0, 0], Some((Some("::"), 0)));
        check(&[0, 2, 48, 0, 0x20, 1, 0xd, 0xb8, 0, 1], Some((Some("2001:db8:1::"), 48)));
        check(&[0, 0, 0, 0], Some((None, 0)));
        // Unknown families, lengths beyond the family, scopes, octet counts, spare bits.
        check(&[0, 3, 0, 0], None);
        check(&[0, 0, 8, 0, 1], None);
        check(&[0, 1, 33, 0, 1, 2, 3, 4, 0], None);
        check(&[0, 2, 129, 0], None);
        check(&[0, 1, 24, 24, 192, 0, 2], None);
        check(&[0, 1, 24, 0, 192, 0], None);
        check(&[0, 1, 24, 0, 192, 0, 2, 0], None);
        check(&[0, 1, 20, 0, 192, 0, 0x21], None);
        check(&[0, 1, 1, 0, 0x40], None);
        check(&[0, 1, 1, 0, 0x80], Some((Some("128.0.0.0"), 1)));
        check(&[0, 1, 24], None);
        check(&[], None);
    }
}
