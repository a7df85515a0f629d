//! The transports give the same message: whatever is asked, but for what each of them is free to say.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsCode;

use super::{LIMITS, World, query};

const QUERIES: usize = 10_000;

const NAMES: &[&str] = &[
    "example.com",
    "www.example.com",
    "WWW.eXample.COM",
    "link.example.com",
    "tonear.example.com",
    "near.example.com",
    "first.example.com",
    "alias.example.com",
    "x.apps.example.com",
    "any.wild.example.com",
    "ent.example.com",
    "c.ent.example.com",
    "missing.example.com",
    "x.cut.example.com",
    "x.old.example.com",
    "old.example.com",
    "large.example.com",
    "mail.example.com",
    "elsewhere.test",
    "",
];

const TYPES: &[u16] = &[1, 2, 5, 6, 12, 15, 16, 28, 33, 43, 64, 65, 252, 255, 257, 65_400];

/// NSID, client subnets, keepalive, padding, an unknown option, and subnets that make no sense.
const OPTIONS: &[&[u8]] = &[
    &[0, 3, 0, 0],
    &[0, 8, 0, 7, 0, 1, 24, 0, 203, 0, 113],
    &[0, 8, 0, 6, 0, 1, 16, 0, 198, 51],
    &[0, 8, 0, 4, 0, 1, 0, 0],
    &[0, 11, 0, 0],
    &[0, 12, 0, 5, 0, 0, 0, 0, 0],
    &[0xff, 0xee, 0, 2, 1, 2],
    &[0, 8, 0, 4, 0, 9, 0, 0],
];

/// SplitMix64: the same queries on every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A query that every transport answers: not a response, and long enough for a header. RFC 9250 wants its
    /// ID to be 0 over QUIC, and so it is over all of them.
    fn query(&mut self) -> Vec<u8> {
        let name = match self.below(4) {
            0 => format!("n{}.{}", self.below(1000), self.of(&NAMES[..NAMES.len() - 1])),
            _ => self.of(NAMES).to_owned(),
        };
        let mut options = Vec::new();
        for _ in 0..self.below(4) {
            options.extend_from_slice(self.of(OPTIONS));
        }
        let edns = self.below(4) > 0;
        let mut packet = query(0, &name, self.of(TYPES), edns.then_some(&options));
        match self.below(12) {
            // Another class, another opcode, flags that mean nothing to us.
            0 => {
                let class = 12 + name.len() + if name.is_empty() { 1 } else { 2 } + 3;
                packet[class] = self.of(&[3, 4, 255]);
            }
            1 => packet[2] = self.of(&[0x08, 0x10, 0x20, 0x28, 0x78]),
            2 => packet[3] = self.of(&[0x10, 0x20, 0x30, 0x40]),
            _ => {}
        }
        packet
    }
}

/// A message without what its transport is free to say: the idle timeout and padding.
fn bare(message: &[u8]) -> Message {
    let mut message = Message::from_vec(message).unwrap();
    if let Some(edns) = &mut message.edns {
        edns.options_mut().remove(EdnsCode::from(11));
        edns.options_mut().remove(EdnsCode::from(12));
    }
    message
}

#[test]
fn ten_thousand_queries_get_the_same_message_by_every_transport() {
    let world = World::start(LIMITS);
    let mut chance = Chance(2_026);
    let queries: Vec<_> = (0..QUERIES).map(|_| chance.query()).collect();
    let (tcp, tls) = (world.ask_tcp(&queries), world.ask_tls(&queries));
    let https = world.ask_https(&queries);
    let quic = world.ask_quic(&queries);
    // Over UDP only the ID tells which answer is whose: it is the number, and 0 again afterwards.
    let numbered = |(number, query): (usize, &Vec<u8>)| {
        let mut query = query.clone();
        query[..2].copy_from_slice(&(number as u16).to_be_bytes());
        query
    };
    let mut udp = world.ask_udp(&queries.iter().enumerate().map(numbered).collect::<Vec<_>>());
    udp.sort_by_key(|answer| u16::from_be_bytes([answer[0], answer[1]]));
    udp.iter_mut().for_each(|answer| answer[..2].fill(0));

    let (mut octet_for_octet, mut truncated, mut refused) = (0, 0, 0);
    for (number, query) in queries.iter().enumerate() {
        let whole = bare(&tcp[number]);
        assert_eq!(bare(&tls[number]), whole, "TLS and TCP: {query:?}");
        assert_eq!(bare(&https[number]), whole, "HTTPS and TCP: {query:?}");
        // What it does not read itself hickory-server refuses in its own words: a class or an opcode that is none.
        let by_quic = bare(&quic[number]);
        if by_quic != whole {
            refused += 1;
            let own = by_quic.metadata.response_code == ResponseCode::FormErr && by_quic.queries.is_empty();
            assert!(own && whole.answers.is_empty(), "QUIC and TCP: {by_quic} {whole} {query:?}");
        }
        if udp[number][2] & 2 != 0 {
            truncated += 1;
            assert!(tcp[number].len() > 512, "{query:?}");
        } else {
            assert_eq!(bare(&udp[number]), whole, "UDP and TCP: {query:?}");
        }
        let plain = !query.windows(4).any(|four| four == [0, 11, 0, 0] || four == [0, 12, 0, 5]);
        if plain && udp[number][2] & 2 == 0 {
            octet_for_octet += 1;
            assert!(udp[number] == tcp[number] && tcp[number] == tls[number] && tls[number] == https[number]);
        }
    }
    assert!(octet_for_octet > QUERIES / 3, "{octet_for_octet}");
    assert!((10..QUERIES / 5).contains(&truncated), "{truncated}");
    assert!(refused < QUERIES / 5, "{refused}");
}
