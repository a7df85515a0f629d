//! The PROXY protocol, version 2: a load balancer in front says at the head of a connection who the client is.
//!
//! Only addresses that the configuration lists are believed, and from them nothing else is taken.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What every header begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const HEAD_OCTETS: usize = 16;
/// Addresses and what is said beside them: real headers have 12 to 200 octets.
const REST_OCTETS_MAX: usize = 1024;

/// What a header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// The client is there.
    Client(SocketAddr),
    /// The connection is the proxy's own, as when it looks whether we are well; or the client has no address.
    Nobody,
}

/// How many octets are missing, at least, of a header that begins so; `None` where this is none.
pub fn missing(received: &[u8]) -> Option<usize> {
    let Some((head, rest)) = received.split_first_chunk::<HEAD_OCTETS>() else {
        let known = received.len().min(SIGNATURE.len());
        return (received.get(..known) == SIGNATURE.get(..known)).then(|| HEAD_OCTETS - received.len());
    };
    let announced = rest_octets(head)?;
    (announced <= REST_OCTETS_MAX).then(|| announced.saturating_sub(rest.len()))
}

/// What a whole header says; `None` for what is none.
pub fn read_header(header: &[u8]) -> Option<Said> {
    let (head, rest) = header.split_first_chunk::<HEAD_OCTETS>()?;
    parse(head, rest.get(..rest_octets(head)?)?)
}

/// How many octets follow a head; `None` for what is no head of version 2.
fn rest_octets(head: &[u8; HEAD_OCTETS]) -> Option<usize> {
    let [signature @ .., version, _, length_high, length_low] = head;
    let sound = *signature == SIGNATURE && version >> 4 == 2;
    sound.then(|| usize::from(u16::from_be_bytes([*length_high, *length_low])))
}

fn parse(head: &[u8; HEAD_OCTETS], rest: &[u8]) -> Option<Said> {
    let [.., version, family, _, _] = *head;
    match (version & 0x0f, family >> 4) {
        (0, _) | (1, 0) => Some(Said::Nobody),
        (1, 1) => {
            let (from, rest) = rest.split_first_chunk::<4>()?;
            Some(client(Ipv4Addr::from(*from).into(), rest.get(4..6)?))
        }
        (1, 2) => {
            let (from, rest) = rest.split_first_chunk::<16>()?;
            Some(client(Ipv6Addr::from(*from).into(), rest.get(16..18)?))
        }
        // Clients of a local socket are not ours to know; other commands are of no version we know.
        (1, _) => Some(Said::Nobody),
        _ => None,
    }
}

fn client(address: IpAddr, port: &[u8]) -> Said {
    let port = port.first_chunk().map_or(0, |port| u16::from_be_bytes(*port));
    Said::Client(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    #[track_caller]
    fn check(version: u8, family: u8, rest: &[u8], expected: Option<Option<&str>>) {
        let length = (rest.len() as u16).to_be_bytes();
        let head = [&SIGNATURE[..], &[version, family], &length].concat();
        let head = head.first_chunk().unwrap();
        let said = rest_octets(head).filter(|octets| *octets == rest.len()).and_then(|_| parse(head, rest));
        let client =
            expected.map(|client| client.map_or(Said::Nobody, |at| Said::Client(at.parse().unwrap())));
        assert_eq!(said, client);
    }

    #[test]
    fn headers_of_version_2() {
        let v4 = [203, 0, 113, 9, 192, 0, 2, 1, 0x12, 0x34, 0, 53];
        let v6 = [[0x20; 16], [1; 16]].concat();
        let v6 = [&v6[..], &[0, 9, 0, 53]].concat();
        check(0x21, 0x11, &v4, Some(Some("203.0.113.9:4660")));
        check(0x21, 0x12, &v4, Some(Some("203.0.113.9:4660")));
        check(0x21, 0x11, &[&v4[..], &[4, 0, 1, 7]].concat(), Some(Some("203.0.113.9:4660")));
        check(0x21, 0x21, &v6, Some(Some("[2020:2020:2020:2020:2020:2020:2020:2020]:9")));
        check(0x20, 0x11, &v4, Some(None));
        check(0x20, 0, &[], Some(None));
        check(0x21, 0, &[], Some(None));
        check(0x21, 0x31, &[0; 216], Some(None));
        check(0x21, 0x11, &v4[..9], None);
        check(0x21, 0x21, &v4, None);
        check(0x22, 0x11, &v4, None);
        check(0x11, 0x11, &v4, None);
        assert_eq!(rest_octets(b"PROXY TCP4 203.0"), None);
    }

    #[test]
    fn headers_in_pieces() {
        let header = [&SIGNATURE[..], &[0x21, 0x11, 0, 12], &[7; 12]].concat();
        for octets in 0..HEAD_OCTETS {
            assert_eq!(missing(&header[..octets]), Some(HEAD_OCTETS - octets));
        }
        for octets in HEAD_OCTETS..=header.len() {
            assert_eq!(missing(&header[..octets]), Some(header.len() - octets));
        }
        assert_eq!(read_header(&header), Some(Said::Client("7.7.7.7:1799".parse().unwrap())));
        assert_eq!(read_header(&header[..27]), None);
        assert_eq!(missing(b"\r\n\r\r"), None);
        let long = [&SIGNATURE[..], &[0x21, 0x11, 4, 1]].concat();
        assert_eq!(missing(&long), None, "longer than any real one");
    }
}
