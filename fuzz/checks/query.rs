//! Reading packets: whatever comes, `wire` and hickory-proto see the same query in it.

use hickory_proto::op::{Message, OpCode};
use hickory_proto::serialize::binary::BinEncodable;
use meridian::wire::{HEADER_OCTETS, Malformed, Name, Opcode, Parsed, Query, Silence};

/// Reads a packet twice and compares.
pub fn check(packet: &[u8]) {
    match Parsed::from_packet(packet) {
        Parsed::Silent(Silence::Short) => assert!(packet.len() < HEADER_OCTETS),
        Parsed::Silent(Silence::Response) => assert!(packet[2] & 0x80 != 0),
        Parsed::Rejected(rejected) => {
            assert!(packet.len() >= HEADER_OCTETS && packet[2] & 0x80 == 0);
            assert_eq!(rejected.header.id.to_be_bytes(), packet[..2]);
            if let Some(question) = rejected.question {
                assert_eq!(
                    Name::from_wire(question.name).map(|name| name.octets().len()),
                    Some(question.name.len())
                );
            }
            refused_by_both(packet, rejected.why);
        }
        Parsed::CookieRequest(request) => {
            assert_eq!(request.header.opcode, Opcode::QUERY);
            assert_eq!(packet[4..6], [0, 0], "no question");
            assert!(request.edns.is_some_and(|edns| edns.cookie.is_some()));
        }
        Parsed::Notify(query) => assert_eq!(query.header.opcode, Opcode::NOTIFY),
        Parsed::Query(query) => {
            assert!(packet.len() >= HEADER_OCTETS && packet[2] & 0x80 == 0);
            assert_eq!(query.header.opcode, Opcode::QUERY);
            assert_eq!(packet[4..6], [0, 1], "one question");
            read_alike(packet, &query);
        }
    }
}

/// hickory-proto is laxer than we are in some points and stricter in others; what we refuse as unreadable it must not
/// have read as a plain query either.
fn refused_by_both(packet: &[u8], why: Malformed) {
    let Ok(message) = Message::from_vec(packet) else { return };
    if message.metadata.op_code != OpCode::Query {
        return;
    }
    let plain = message.queries.len() == 1
        && message.answers.is_empty()
        && message.authorities.is_empty()
        && message.additionals.is_empty()
        && message.signature.is_none();
    let known = match why {
        // It takes compressed questions (a pointer into the header), OPT of other owners, and anything at the end.
        Malformed::Question | Malformed::MisplacedOpt | Malformed::TrailingOctets => true,
        // Options and their contents it does not look at as we do.
        Malformed::Options | Malformed::ClientSubnet | Malformed::Version | Malformed::SecondOpt => {
            message.edns.is_some()
        }
        // TSIG may have to be the last record, and hickory-proto tells it apart only there.
        Malformed::Tsig => true,
        Malformed::Unproven => panic!("a reader knows no keys"),
        Malformed::Record => false,
        Malformed::QuestionCount => packet[4..6] != [0, 1],
        Malformed::UnknownOpcode | Malformed::ForbiddenOpcode => false,
    };
    assert!(known || !plain, "refused as {why:?}, and hickory-proto reads {message:?}");
}

fn read_alike(packet: &[u8], query: &Query<'_>) {
    let name = Name::from_wire(query.question.name).expect("a question's name is a name");
    assert_eq!(name.octets().len(), query.question.name.len());
    assert!(name.octets().eq_ignore_ascii_case(query.question.name));
    if let Some(edns) = &query.edns {
        assert_eq!(edns.version, 0);
        assert!(edns.options().count() <= packet.len() / 4);
    }
    // Records that a query has no business with may be such that hickory-proto does not read them.
    let Ok(message) = Message::from_vec(packet) else { return };
    assert_eq!(message.metadata.id, query.header.id);
    assert_eq!(message.metadata.recursion_desired, query.header.recursion_desired);
    assert_eq!(message.metadata.op_code, OpCode::Query);
    let [question] = &message.queries[..] else { panic!("one question: {message:?}") };
    assert_eq!(question.name.to_bytes().unwrap(), query.question.name);
    assert_eq!(u16::from(question.query_type), query.question.rtype.0);
    let (ours, theirs) = (query.edns.as_ref(), message.edns.as_ref());
    assert_eq!(ours.is_some(), theirs.is_some(), "OPT");
    if let (Some(ours), Some(theirs)) = (ours, theirs) {
        assert_eq!(ours.payload_octets.max(512), theirs.max_payload());
        assert_eq!(ours.dnssec_ok, theirs.flags().dnssec_ok);
        assert_eq!(ours.version, theirs.version());
    }
}
