//! Ethernet, IPv4 and UDP around a DNS message: what the kernel does for a socket and nobody does for AF_XDP.

use std::net::Ipv4Addr;

/// Ethernet, IPv4 without options, UDP.
pub const HEAD_OCTETS: usize = 14 + 20 + 8;
const ETHERTYPE_IPV4: [u8; 2] = [8, 0];
const PROTOCOL_UDP: u8 = 17;
const TTL: u8 = 64;
const DONT_FRAGMENT: [u8; 2] = [0x40, 0];

/// The sender and the message of a whole IPv4 datagram; `None` for everything else.
pub fn message(frame: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let head: &[u8; HEAD_OCTETS] = frame.first_chunk()?;
    // Version 4 with five words of header, no fragment: the program in the hook lets nothing else through.
    if head[12..14] != ETHERTYPE_IPV4 || head[14] != 0x45 || head[23] != PROTOCOL_UDP {
        return None;
    }
    let octets = usize::from(u16::from_be_bytes([head[38], head[39]]));
    let message = frame.get(HEAD_OCTETS..34 + octets)?;
    Some((Ipv4Addr::new(head[26], head[27], head[28], head[29]), message))
}

/// Writes the head before a reply of so many octets to a query's frame; returns the frame's length.
pub fn address(query: &[u8], reply: &mut [u8], octets: usize) -> Option<usize> {
    let asked: &[u8; HEAD_OCTETS] = query.first_chunk()?;
    let datagram = u16::try_from(8 + octets).ok()?;
    let length = HEAD_OCTETS + octets;
    let reply = reply.get_mut(..length)?;
    let (head, message) = reply.split_first_chunk_mut::<HEAD_OCTETS>()?;
    *head = *asked;
    head[..6].copy_from_slice(&asked[6..12]);
    head[6..12].copy_from_slice(&asked[..6]);
    // Type of service and identification 0, as from a socket.
    head[15] = 0;
    head[16..18].copy_from_slice(&(20 + datagram).to_be_bytes());
    head[18..20].fill(0);
    head[20..22].copy_from_slice(&DONT_FRAGMENT);
    head[22] = TTL;
    head[24..26].fill(0);
    head[26..30].copy_from_slice(&asked[30..34]);
    head[30..34].copy_from_slice(&asked[26..30]);
    head[34..36].copy_from_slice(&asked[36..38]);
    head[36..38].copy_from_slice(&asked[34..36]);
    head[38..40].copy_from_slice(&datagram.to_be_bytes());
    head[40..42].fill(0);
    let header = folded(sum(&head[14..34]));
    head[24..26].copy_from_slice(&header.to_be_bytes());
    let pseudo = u64::from(PROTOCOL_UDP) + u64::from(datagram) + sum(&head[26..34]);
    let whole = match folded(pseudo + sum(&head[34..]) + sum(message)) {
        // 0 would say that there is none (RFC 768).
        0 => 0xffff,
        whole => whole,
    };
    head[40..42].copy_from_slice(&whole.to_be_bytes());
    Some(length)
}

/// The sum of 16-bit words, not yet folded: four octets at a time, which the folding evens out.
fn sum(octets: &[u8]) -> u64 {
    let mut words = octets.chunks_exact(4);
    let whole: u64 =
        words.by_ref().map(|word| u64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]]))).sum();
    let mut last = [0; 4];
    let rest = words.remainder();
    last[..rest.len()].copy_from_slice(rest);
    whole + u64::from(u32::from_be_bytes(last))
}

fn folded(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 1071 section 3.
    #[test]
    fn rfc1071_3_sums() {
        assert_eq!(folded(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), !0xddf2);
        assert_eq!(folded(sum(&[0x00, 0x01, 0xf2])), !0xf201);
    }

    #[test]
    fn a_reply_goes_back_with_sums_that_add_up() {
        let mut query = [0; HEAD_OCTETS + 17];
        query[..6].fill(1);
        query[6..12].fill(2);
        query[12..15].copy_from_slice(&[8, 0, 0x45]);
        query[23] = PROTOCOL_UDP;
        query[26..38].copy_from_slice(&[198, 18, 0, 2, 198, 18, 0, 1, 0x80, 1, 0, 53]);
        query[39] = 8 + 17;
        assert_eq!(
            message(&query).map(|(from, message)| (from, message.len())),
            Some(([198, 18, 0, 2].into(), 17))
        );
        let mut reply = [7; HEAD_OCTETS + 21];
        assert_eq!(address(&query, &mut reply, 21), Some(HEAD_OCTETS + 21));
        assert_eq!(reply[26..38], [198, 18, 0, 1, 198, 18, 0, 2, 0, 53, 0x80, 1]);
        assert_eq!(folded(sum(&reply[14..34])), 0);
        let pseudo = u64::from(PROTOCOL_UDP) + 29 + sum(&reply[26..34]);
        assert_eq!(folded(pseudo + sum(&reply[34..])), 0);
    }
}
