//! IPv6 addresses that carry an IPv4 address: it is the one to locate.

use super::ClientPrefix;
use crate::ids::Family;

/// A block of IPv6 addresses with IPv4 addresses inside. Nothing else is ever looked up there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EmbeddingBlock {
    /// What it is called.
    pub name: &'static str,
    /// The first address.
    pub first: u128,
    /// The prefix length.
    pub length: u8,
    /// Where the IPv4 address is.
    inside: Inside,
}

/// Where in the IPv6 address the IPv4 address is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Inside {
    /// Right after the block's prefix.
    AfterPrefix,
    /// The last 32 bits, inverted (Teredo hides it from address translators).
    LastInverted,
}

/// How many blocks there are: the classes after those of the special-purpose blocks stand for them.
pub(super) const EMBEDDING_BLOCK_COUNT: usize = 4;

/// The table: RFC 4291 (2.5.5.2), RFC 6052, RFC 3056, RFC 4380.
pub const EMBEDDING_BLOCKS: [EmbeddingBlock; EMBEDDING_BLOCK_COUNT] = [
    EmbeddingBlock { name: "IPv4-mapped", first: 0xffff << 32, length: 96, inside: Inside::AfterPrefix },
    EmbeddingBlock {
        name: "IPv4/IPv6 translation",
        first: 0x0064_ff9b << 96,
        length: 96,
        inside: Inside::AfterPrefix,
    },
    EmbeddingBlock { name: "6to4", first: 0x2002 << 112, length: 16, inside: Inside::AfterPrefix },
    EmbeddingBlock { name: "Teredo", first: 0x2001 << 112, length: 32, inside: Inside::LastInverted },
];

/// What stands in for a client when it is looked up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LookUp {
    /// The client itself.
    Itself,
    /// The IPv4 network inside.
    Inner {
        /// The network to look up.
        prefix: ClientPrefix,
        /// How a scope in IPv4 becomes one in IPv6.
        scope: InnerScope,
    },
    /// Nothing: the prefix ends before the embedded address tells anything.
    Nothing {
        /// The index of the block.
        block: usize,
        /// The scope to announce.
        scope: u8,
    },
}

/// How the scope of an embedded address is announced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum InnerScope {
    /// The IPv4 scope and this offset.
    Offset(u8),
    /// Always this: the embedded bits are at the end, so nothing shorter holds.
    Whole(u8),
}

impl InnerScope {
    /// The scope in IPv6.
    pub(super) fn announce(self, inner: u8) -> u8 {
        match self {
            InnerScope::Offset(offset) => offset.saturating_add(inner).min(128),
            InnerScope::Whole(scope) => scope,
        }
    }
}

/// A client as one to count: the IPv4 network inside where there is one, else itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effective {
    /// The network.
    pub prefix: ClientPrefix,
    scope: InnerScope,
}

impl Effective {
    /// Sees through IPv6 prefixes that carry IPv4 networks.
    pub fn of(client: ClientPrefix) -> Effective {
        match look_up(client) {
            LookUp::Inner { prefix, scope } => Effective { prefix, scope },
            LookUp::Itself | LookUp::Nothing { .. } => {
                Effective { prefix: client, scope: InnerScope::Offset(0) }
            }
        }
    }

    /// A length of the network as a length of the client's own prefix.
    pub fn announce(&self, length: u8) -> u8 {
        self.scope.announce(length)
    }
}

/// Whether a client may have an IPv4 address inside, by the first 16 bits: quick, and seldom so.
#[inline(always)]
pub(super) fn may_embed(client: &ClientPrefix) -> bool {
    let begins = |block: &EmbeddingBlock| client.bits() >> 112 == block.first >> 112;
    client.family() == Family::V6 && EMBEDDING_BLOCKS.iter().any(begins)
}

/// What to look up for a client.
pub(super) fn look_up(client: ClientPrefix) -> LookUp {
    if client.family() == Family::V4 {
        return LookUp::Itself;
    }
    let found = EMBEDDING_BLOCKS.iter().enumerate().find(|(_, block)| block.covers(client.bits()));
    match found {
        Some((number, block)) => block.look_up(number, client),
        None => LookUp::Itself,
    }
}

impl EmbeddingBlock {
    fn covers(&self, bits: u128) -> bool {
        (bits ^ self.first) >> (128 - u32::from(self.length)) == 0
    }

    fn look_up(&self, block: usize, client: ClientPrefix) -> LookUp {
        match self.inside {
            Inside::AfterPrefix if client.length() <= self.length => {
                LookUp::Nothing { block, scope: self.length }
            }
            Inside::AfterPrefix => LookUp::Inner {
                prefix: ClientPrefix::from_bits(
                    Family::V4,
                    client.bits() << self.length,
                    client.length().saturating_sub(self.length),
                ),
                scope: InnerScope::Offset(self.length),
            },
            Inside::LastInverted if client.length() < 128 => LookUp::Nothing { block, scope: 128 },
            Inside::LastInverted => LookUp::Inner {
                prefix: ClientPrefix::from_bits(Family::V4, !client.bits() << 96, 32),
                scope: InnerScope::Whole(128),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn prefix(text: &str) -> ClientPrefix {
        let (address, length) = text.split_once('/').unwrap();
        ClientPrefix::new(address.parse().unwrap(), length.parse().unwrap())
    }

    fn check(client: &str, expected: &str) {
        let found = match look_up(prefix(client)) {
            LookUp::Itself => "itself".to_string(),
            LookUp::Inner { prefix, scope } => format!("{prefix} 24->{}", scope.announce(24)),
            LookUp::Nothing { block, scope } => format!("{} {scope}", EMBEDDING_BLOCKS[block].name),
        };
        assert_eq!(found, expected, "{client}");
    }

    #[test]
    fn the_ipv4_inside_is_found() {
        check("192.0.2.0/24", "itself");
        check("2001:db8::/32", "itself");
        check("::/0", "itself");
        check("::ffff:192.0.2.0/120", "192.0.2.0/24 24->120");
        check("::ffff:192.0.2.1/128", "192.0.2.1/32 24->120");
        check("::ffff:0:0/96", "IPv4-mapped 96");
        check("::ffff:128.0.0.0/97", "128.0.0.0/1 24->120");
        check("64:ff9b::198.51.100.0/120", "198.51.100.0/24 24->120");
        check("64:ff9b::/80", "IPv4/IPv6 translation 96");
        check("64:ff9b:1::/48", "itself");
        check("2002:c000:0201::/48", "192.0.2.1/32 24->40");
        check("2002:c000:0201:7::/64", "192.0.2.1/32 24->40");
        check("2002:c000::/20", "192.0.0.0/4 24->40");
        check("2002::/16", "6to4 16");
        check("2002::/8", "itself");
        check("2001::/32", "Teredo 128");
        check("2001:0:1::/64", "Teredo 128");
        check("2001:0:4136:e378:8000:63bf:3fff:fdd2/128", "192.0.2.45/32 24->128");
        check("2001:1::/64", "itself");
    }
}
