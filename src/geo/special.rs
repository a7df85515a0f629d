//! Special-purpose addresses: no client on the internet has one, so no location database knows them.
//!
//! From IANA's IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, RFC 8190), the blocks
//! that are not globally reachable, outermost blocks only; with multicast (RFC 5771, RFC 4291), the
//! deprecated site-local block (RFC 3879) and the deprecated 6to4 relay block (RFC 7526). Blocks that
//! carry an IPv4 address inside are in `embedded`.

use super::ClientPrefix;
use super::embedded::{self, LookUp};
use crate::ids::Family::{self, V4, V6};

/// One block of the registries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpecialBlock {
    /// The registry's name for it.
    pub name: &'static str,
    /// The family.
    pub family: Family,
    /// The first address, left-aligned.
    pub first: u128,
    /// The prefix length.
    pub length: u8,
}

/// The table. Blocks do not overlap.
pub const SPECIAL_BLOCKS: [SpecialBlock; SPECIAL_BLOCK_COUNT] = [
    v4("This network", [0, 0, 0, 0], 8),
    v4("Private-Use", [10, 0, 0, 0], 8),
    v4("Shared Address Space", [100, 64, 0, 0], 10),
    v4("Loopback", [127, 0, 0, 0], 8),
    v4("Link Local", [169, 254, 0, 0], 16),
    v4("Private-Use", [172, 16, 0, 0], 12),
    v4("IETF Protocol Assignments", [192, 0, 0, 0], 24),
    v4("Documentation (TEST-NET-1)", [192, 0, 2, 0], 24),
    v4("Deprecated (6to4 Relay Anycast)", [192, 88, 99, 0], 24),
    v4("Private-Use", [192, 168, 0, 0], 16),
    v4("Benchmarking", [198, 18, 0, 0], 15),
    v4("Documentation (TEST-NET-2)", [198, 51, 100, 0], 24),
    v4("Documentation (TEST-NET-3)", [203, 0, 113, 0], 24),
    v4("Multicast", [224, 0, 0, 0], 4),
    v4("Reserved", [240, 0, 0, 0], 4),
    v6("Unspecified Address", 0, 128),
    v6("Loopback Address", 1, 128),
    v6("IPv4-IPv6 Translation (local use)", 0x0064_ff9b_0001 << 80, 48),
    v6("Discard-Only Address Block", 0x0100 << 112, 64),
    v6("Dummy IPv6 Prefix", (0x0100 << 112) | (1 << 64), 64),
    v6("IETF Protocol Assignments", 0x2001 << 112, 23),
    v6("Documentation", 0x2001_0db8 << 96, 32),
    v6("Documentation", 0x3fff << 112, 20),
    v6("Segment Routing (SRv6) SIDs", 0x5f00 << 112, 16),
    v6("Unique-Local", 0xfc00 << 112, 7),
    v6("Link-Local Unicast", 0xfe80 << 112, 10),
    v6("Deprecated (Site-Local Unicast)", 0xfec0 << 112, 10),
    v6("Multicast", 0xff00 << 112, 8),
];

/// How many there are: the first classes of every map stand for them.
pub(super) const SPECIAL_BLOCK_COUNT: usize = 28;

/// The block on whose addresses no location source has a say: a special-purpose one, or one with IPv4
/// addresses inside where the prefix ends before these.
pub fn unlocated_block(client: ClientPrefix) -> Option<&'static str> {
    let prefix = match embedded::look_up(client) {
        LookUp::Nothing { block, .. } => {
            return embedded::EMBEDDING_BLOCKS.get(block).map(|block| block.name);
        }
        LookUp::Inner { prefix, .. } => prefix,
        LookUp::Itself => client,
    };
    let covers = |block: &&SpecialBlock| {
        let inside = prefix.bits().checked_shr(128 - u32::from(block.length));
        block.family == prefix.family() && inside == block.first.checked_shr(128 - u32::from(block.length))
    };
    SPECIAL_BLOCKS.iter().find(covers).map(|block| block.name)
}

const fn v4(name: &'static str, address: [u8; 4], length: u8) -> SpecialBlock {
    let first = (u32::from_be_bytes(address) as u128) << 96;
    SpecialBlock { name, family: V4, first, length }
}

const fn v6(name: &'static str, first: u128, length: u8) -> SpecialBlock {
    SpecialBlock { name, family: V6, first, length }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_prefixes_and_do_not_overlap() {
        let prefix = |block: &SpecialBlock| ClientPrefix::from_bits(block.family, block.first, block.length);
        for (number, block) in SPECIAL_BLOCKS.iter().enumerate() {
            assert_eq!(prefix(block).bits(), block.first, "{block:?} has host bits");
            for other in SPECIAL_BLOCKS.iter().skip(number + 1).filter(|other| other.family == block.family) {
                let shorter = block.length.min(other.length);
                assert_ne!(
                    prefix(block).widened(shorter),
                    prefix(other).widened(shorter),
                    "{block:?} overlaps {other:?}"
                );
            }
        }
    }

    #[test]
    fn r7_a_client_in_a_block_is_in_no_place() {
        let named = |client: &str| {
            let (address, length) = client.split_once('/').unwrap_or((client, "128"));
            unlocated_block(ClientPrefix::new(address.parse().ok()?, length.parse().ok()?))
        };
        assert_eq!(named("10.255.0.0/16"), Some("Private-Use"));
        assert_eq!(named("11.0.0.0"), None);
        assert_eq!(named("::"), Some("Unspecified Address"));
        assert_eq!(named("::ffff:10.0.0.1"), Some("Private-Use"));
        assert_eq!(named("::ffff:11.0.0.1"), None);
        assert_eq!(named("2002::/16"), Some("6to4"));
        assert_eq!(named("2001:0:1::/64"), Some("Teredo"));
        assert_eq!(named("2a00::/32"), None);
    }

    #[test]
    fn prefixes_read_as_in_the_registry() {
        let written: Vec<String> = SPECIAL_BLOCKS
            .iter()
            .map(|b| ClientPrefix::from_bits(b.family, b.first, b.length).to_string())
            .collect();
        let expected = "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 \
             192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 \
             240.0.0.0/4 ::/128 ::1/128 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23 2001:db8::/32 3fff::/20 \
             5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8";
        assert_eq!(written.join(" "), expected);
    }
}
