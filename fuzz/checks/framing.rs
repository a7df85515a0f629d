//! Streams: messages come out of the octets as their lengths say, however the octets come in.

use meridian::server::whole_message;

/// The first octet says in what pieces the rest comes.
pub fn check(octets: &[u8]) {
    let Some((piece, stream)) = octets.split_first() else { return };
    let at_once = messages(stream, stream.len().max(1));
    assert_eq!(messages(stream, usize::from(*piece).max(1)), at_once, "pieces of {piece} octets");
    // Written anew, the messages are what came, but for the one that has not ended.
    let again: Vec<u8> = at_once.iter().flat_map(|message| framed(message)).collect();
    assert!(stream.starts_with(&again));
    let rest = &stream[again.len()..];
    assert!(rest.len() < 2 || rest.len() - 2 < usize::from(u16::from_be_bytes([rest[0], rest[1]])));
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

/// What a connection that reads `piece` octets at a time takes for messages.
fn messages(stream: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let (mut received, mut found) = (Vec::new(), Vec::new());
    for octets in stream.chunks(piece) {
        received.extend_from_slice(octets);
        while let Some(message) = whole_message(&received).map(<[u8]>::to_vec) {
            received.drain(..2 + message.len());
            found.push(message);
        }
    }
    found
}
