//! Client subnets: options are judged as RFC 7871 section 6 does, and echoed as sent.

use hickory_proto::op::Message;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use meridian::respond::Transport;

use super::world;

/// Sends an option's data in a query for a steered name.
pub fn check(data: &[u8]) {
    if data.len() > 1000 {
        return;
    }
    let mut packet = vec![1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    packet.extend(b"\x04near\x07example\x03com\0\0\x01\0\x01");
    packet.extend([0, 0, 41, 4, 208, 0, 0, 0, 0]);
    packet.extend((data.len() as u16 + 4).to_be_bytes());
    packet.extend([0, 8]);
    packet.extend((data.len() as u16).to_be_bytes());
    packet.extend(data);
    let reply = world::ask(Transport::Udp, "203.0.113.7".parse().unwrap(), &packet, 0).expect("a reply");
    super::query::check(&packet);
    let rcode = reply[3] & 0x0f;
    let sound = is_sound(data);
    assert_eq!(rcode, if sound { 0 } else { 1 }, "{data:?}");
    let echo: Vec<u8> =
        [&[0, 8][..], &(data.len() as u16).to_be_bytes(), &data[..data.len().min(3)]].concat();
    let place = reply.windows(echo.len()).rposition(|window| window == echo);
    if sound {
        let place = place.expect("the option comes back") + echo.len();
        assert!(reply[place] <= data[2].max(if data[1] == 2 { 128 } else { 32 }), "scope {}", reply[place]);
        assert_eq!(reply[place + 1..], data[4..], "the address comes back, and ends the message");
    } else {
        let edns =
            Message::from_vec(&reply).expect("hickory-proto reads it").edns.expect("an OPT for an OPT");
        let is_subnet = |(code, _): &(EdnsCode, EdnsOption)| *code == EdnsCode::Subnet;
        assert!(!edns.options().options.iter().any(is_subnet), "a malformed option comes back");
    }
}

/// RFC 7871 section 6, written anew.
fn is_sound(data: &[u8]) -> bool {
    let [family_high, family_low, source, scope, address @ ..] = data else { return false };
    let bits_max = match (family_high, family_low) {
        (0, 0) => 0,
        (0, 1) => 32,
        (0, 2) => 128,
        _ => return false,
    };
    let bits = usize::from(*source);
    let set_past_the_length =
        || (bits..address.len() * 8).any(|bit| address[bit / 8] & 0x80 >> (bit % 8) != 0);
    *scope == 0 && bits <= bits_max && address.len() == bits.div_ceil(8) && !set_past_the_length()
}
