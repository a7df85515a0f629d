//! DNS over HTTPS: from a request to the message in it, and on to the answer.

use hyper::Request;
use meridian::server::{Refusal, RequestMessage, read_request};

/// Lines: method, path with its query, content type, content length.
pub fn check(octets: &[u8]) {
    let mut lines = octets.splitn(4, |octet| *octet == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (method, uri, media_type, length) = (line(), line(), line(), line());
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .header("content-type", media_type)
        .header("content-length", length)
        .body(());
    // What hyper itself refuses does not come to us.
    let Ok(request) = request else { return };
    let (head, ()) = request.into_parts();
    let read = read_request(&head, "/dns-query");
    if head.uri.path() != "/dns-query" {
        assert_eq!(read, Err(Refusal::NotFound));
        return;
    }
    match read {
        Ok(RequestMessage::InBody) => {
            assert_eq!(method, b"POST");
            assert!(
                media_type.to_ascii_lowercase().windows(23).any(|part| part == b"application/dns-message")
            );
        }
        Ok(RequestMessage::Whole(message)) => {
            assert!(method == b"GET" || method == b"HEAD");
            let query = head.uri.query().unwrap();
            let given: Vec<&str> = query.split('&').filter_map(|part| part.strip_prefix("dns=")).collect();
            assert_eq!(given.len(), 1);
            same_bits(&message, given[0].as_bytes());
            // From here on it is a packet like others; 3 is DNS over HTTPS there.
            super::respond::check(&[&[3], &message[..]].concat());
        }
        Err(refusal) => {
            let status = refusal.status();
            assert!(status.is_client_error());
        }
    }
}

/// The octets and their base64url have the same bits (RFC 4648 section 5): six in each character.
fn same_bits(octets: &[u8], text: &[u8]) {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    assert_eq!(octets.len(), text.len() * 6 / 8);
    for bit in 0..octets.len() * 8 {
        let character = ALPHABET.iter().position(|c| *c == text[bit / 6]).expect("of the alphabet");
        assert_eq!(octets[bit / 8] >> (7 - bit % 8) & 1, (character >> (5 - bit % 6) & 1) as u8);
    }
}
