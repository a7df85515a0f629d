//! Addresses that are never probed, whoever names them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where clouds keep their metadata services outside the link-local range: Azure's host, Alibaba's, and
/// the IPv6 ones of AWS and Google. A probe there could carry secrets into logs, or do harm.
const METADATA: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254)),
];

/// Whether an address may be probed: not link-local, multicast, unspecified or metadata, and loopback
/// only if allowed. An IPv4 address inside an IPv6 one is judged itself.
pub fn is_allowed(address: IpAddr, allow_loopback: bool) -> bool {
    let address = embedded_ipv4(address).map_or(address, IpAddr::V4);
    if METADATA.contains(&address) || address.is_multicast() || address.is_unspecified() {
        return false;
    }
    if address.is_loopback() {
        return allow_loopback;
    }
    match address {
        // "This network" (0.0.0.0/8) reaches the host itself on Linux.
        IpAddr::V4(v4) => !(v4.is_link_local() || v4.is_broadcast() || v4.octets()[0] == 0),
        IpAddr::V6(v6) => !v6.is_unicast_link_local(),
    }
}

/// The address inside ::ffff:0:0/96 and 64:ff9b::/96.
fn embedded_ipv4(address: IpAddr) -> Option<Ipv4Addr> {
    const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];
    let IpAddr::V6(v6) = address else { return None };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return Some(v4);
    }
    let [a, b, c, d, e, f, high, low] = v6.segments();
    ([a, b, c, d, e, f] == NAT64).then(|| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::is_allowed;

    #[test]
    fn only_addresses_that_can_be_endpoints_are_probed() {
        let check = |address: &str, expected: bool, with_loopback: bool| {
            let parsed = address.parse().unwrap();
            assert_eq!(is_allowed(parsed, false), expected, "{address}");
            assert_eq!(is_allowed(parsed, true), with_loopback, "{address} with loopback");
        };
        for good in ["192.0.2.1", "10.0.0.1", "2001:db8::1", "fd00::1", "64:ff9b::c000:201", "100.64.0.1"] {
            check(good, true, true);
        }
        for loopback in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"] {
            check(loopback, false, true);
        }
        for never in [
            "169.254.169.254",
            "169.254.0.1",
            "fe80::1",
            "febf::1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "168.63.129.16",
            "100.100.100.200",
            "fd00:ec2::254",
            "fd20:ce::254",
        ] {
            check(never, false, false);
        }
    }
}
