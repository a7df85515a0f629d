//! RFC 8945 as statements. That others read the same is shown with real servers in `tests/transfers`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;

use super::*;
use crate::wire::{HEADER_OCTETS, Name, Rtype, parse_name};

const NOW_S: u64 = 1_800_000_000;

fn key(name: &str, algorithm: Algorithm, secret: &[u8]) -> Arc<Key> {
    let name = Name::from_wire(&parse_name(name.as_bytes(), &[0]).unwrap()).unwrap();
    Arc::new(Key::new(&name, algorithm, secret))
}

fn usual() -> Arc<Key> {
    key("xfr.example", Algorithm::HmacSha256, b"0123456789abcdef0123456789abcdef")
}

/// A query for example.com AXFR.
fn query(id: u16) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    message.extend(b"\x07example\x03com\x00\x00\xfc\x00\x01");
    message
}

fn answer(id: u16, text: &[u8]) -> Vec<u8> {
    let mut message = query(id);
    message[2] = 0x84;
    message[7] = 1;
    message.extend(b"\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x05\x00");
    message.push(text.len() as u8);
    message.extend(text);
    message
}

fn record(message: &[u8]) -> Record<'_> {
    match Found::in_message(message) {
        Found::Tsig(record) => record,
        other => panic!("{other:?}"),
    }
}

fn checked(message: &[u8], keys: &[Arc<Key>], now_s: u64) -> Checked {
    check(message, &record(message), &Keys::new(keys.to_vec()), now_s)
}

fn error(checked: &Checked) -> Option<TsigError> {
    match checked {
        Checked::Refused(refusal) => Some(refusal.error),
        Checked::Proven(_) => None,
        Checked::Malformed => panic!("malformed"),
    }
}

fn proven(message: &[u8]) -> Proven {
    match checked(message, &[usual()], NOW_S) {
        Checked::Proven(proven) => proven,
        other => panic!("{other:?}"),
    }
}

/// Signs a message in place.
fn sign(signer: &mut Signer, mut message: Vec<u8>) -> Vec<u8> {
    let length = message.len();
    message.resize(length + signer.octets(), 0);
    assert_eq!(signer.sign(&mut message, length, NOW_S), Some(message.len()));
    message
}

#[test]
fn rfc8945_5_2_a_signed_query_is_proven_and_a_changed_one_is_not() {
    for algorithm in Algorithm::ALL {
        let key = key("K.example", algorithm, b"some secret of some length");
        let mut message = query(7);
        sign_request(&key, &mut message, NOW_S).unwrap();
        assert_eq!(error(&checked(&message, &[usual(), key.clone()], NOW_S)), None);
        let other = super::tests::key("k.example", algorithm, b"another secret of some length");
        assert_eq!(error(&checked(&message, &[other], NOW_S)), Some(TsigError::BadSig));
        // The ID may change on the way: the original one counts.
        message[0] ^= 1;
        assert_eq!(error(&checked(&message, std::slice::from_ref(&key), NOW_S)), None);
        for at in [2, 3, HEADER_OCTETS + 1, message.len() - 10] {
            let mut changed = message.clone();
            changed[at] ^= 1;
            assert_eq!(
                error(&checked(&changed, std::slice::from_ref(&key), NOW_S)),
                Some(TsigError::BadSig),
                "{at}"
            );
        }
    }
}

#[test]
fn rfc8945_5_2_1_unknown_keys_and_algorithms_are_badkey() {
    let mut message = query(7);
    sign_request(&usual(), &mut message, NOW_S).unwrap();
    assert_eq!(error(&checked(&message, &[], NOW_S)), Some(TsigError::BadKey));
    let same_name = key("xfr.example", Algorithm::HmacSha512, b"0123456789abcdef0123456789abcdef");
    assert_eq!(error(&checked(&message, &[same_name], NOW_S)), Some(TsigError::BadKey));
}

#[test]
fn rfc8945_5_2_3_a_message_of_another_time_is_badtime_and_the_answer_is_signed() {
    let mut message = query(7);
    let mut verifier = sign_request(&usual(), &mut message, NOW_S).unwrap();
    for now_s in [NOW_S - 300, NOW_S + 300] {
        assert_eq!(error(&checked(&message, &[usual()], now_s)), None);
    }
    for now_s in [NOW_S - 301, NOW_S + 301, 0, u64::MAX >> 16] {
        assert_eq!(error(&checked(&message, &[usual()], now_s)), Some(TsigError::BadTime));
    }
    let Checked::Refused(refusal) = checked(&message, &[usual()], NOW_S + 1000) else { panic!() };
    let mut reply = answer(7, b"");
    let length = reply.len();
    reply.resize(length + refusal.octets(), 0);
    assert_eq!(refusal.append(&mut reply, length, NOW_S + 1000), Some(reply.len()));
    let own = record(&reply);
    assert_eq!((own.time_signed_s, own.error, own.mac.len()), (NOW_S, 18, 32));
    assert_eq!(own.other, &(NOW_S + 1000).to_be_bytes()[2..]);
    assert_eq!(verifier.accept(&reply, NOW_S), Err(Unproven::Refused(TsigError::BadTime)));
}

#[test]
fn rfc8945_5_3_2_badkey_and_badsig_are_said_unsigned() {
    let mut message = query(7);
    let mut verifier = sign_request(&usual(), &mut message, NOW_S).unwrap();
    let Checked::Refused(refusal) = checked(&message, &[], NOW_S) else { panic!() };
    let mut reply = answer(7, b"");
    let length = reply.len();
    reply.resize(length + refusal.octets(), 0);
    assert_eq!(refusal.append(&mut reply, length, NOW_S), Some(reply.len()));
    let own = record(&reply);
    assert_eq!((own.error, own.mac.len(), own.other.len()), (17, 0, 0));
    assert_eq!(own.name, *usual().name());
    assert_eq!(verifier.accept(&reply, NOW_S), Err(Unproven::Refused(TsigError::BadKey)));
}

#[test]
fn rfc8945_5_2_2_1_short_codes_are_formerr_and_shortened_ones_badtrunc() {
    let mut message = query(7);
    sign_request(&usual(), &mut message, NOW_S).unwrap();
    let whole = record(&message);
    let cut = |octets: usize| {
        let mut message = message.clone();
        // Name, fixed fields, algorithm, time and fudge stand before the length of the code.
        let at = whole.start + whole.name.octets().len() + 10 + whole.algorithm.octets().len() + 8;
        message[at..at + 2].copy_from_slice(&(octets as u16).to_be_bytes());
        message.drain(at + 2 + octets..at + 2 + 32);
        let rdlength = whole.start + whole.name.octets().len() + 8;
        let rdata = (message.len() - rdlength - 2) as u16;
        message[rdlength..rdlength + 2].copy_from_slice(&rdata.to_be_bytes());
        message
    };
    assert!(matches!(checked(&cut(15), &[usual()], NOW_S), Checked::Malformed));
    assert!(matches!(checked(&cut(0), &[usual()], NOW_S), Checked::Malformed));
    assert_eq!(error(&checked(&cut(16), &[usual()], NOW_S)), Some(TsigError::BadTrunc));
    assert_eq!(error(&checked(&cut(31), &[usual()], NOW_S)), Some(TsigError::BadTrunc));
}

#[test]
fn rfc8945_5_3_1_streams_are_proven_message_by_message() {
    let mut message = query(7);
    let mut verifier = sign_request(&usual(), &mut message, NOW_S).unwrap();
    let mut signer = proven(&message).signer();
    let messages: Vec<_> = (0..5).map(|n| sign(&mut signer, answer(7, &[n]))).collect();
    for message in &messages {
        assert_eq!(verifier.accept(message, NOW_S), Ok(()));
        assert!(verifier.is_complete());
    }
    // Out of order, twice, or the first one missing.
    for order in [&[1][..], &[0, 2], &[0, 0], &[0, 1, 1]] {
        let mut message = query(7);
        let mut verifier = sign_request(&usual(), &mut message, NOW_S).unwrap();
        let outcome = order.iter().map(|&n| verifier.accept(&messages[n], NOW_S)).collect::<Vec<_>>();
        assert_eq!(outcome.last(), Some(&Err(Unproven::BadSig)), "{order:?}");
    }
}

#[test]
fn rfc8945_5_3_1_up_to_99_messages_may_be_unsigned_but_not_the_first_or_the_last() {
    let mut request = query(7);
    let mut verifier = sign_request(&usual(), &mut request, NOW_S).unwrap();
    assert_eq!(verifier.accept(&answer(7, b"first"), NOW_S), Err(Unproven::Unsigned));
    let first = sign(&mut proven(&request).signer(), answer(7, b"first"));
    verifier.accept(&first, NOW_S).unwrap();
    let mut context = usual().context();
    context.update(&32u16.to_be_bytes());
    context.update(record(&first).mac);
    for n in 0..99 {
        assert_eq!(verifier.accept(&answer(7, &[n]), NOW_S), Ok(()));
        assert!(!verifier.is_complete());
        context.update(&answer(7, &[n]));
    }
    let mut last = answer(7, b"last");
    context.update(&last);
    let key = usual();
    let draft = super::record::Draft::of(&key, NOW_S, 7);
    draft.timers(&mut context);
    let length = last.len();
    last.resize(length + draft.octets(32), 0);
    draft.append(super::key::Mac::of(context).octets(), &mut last, length).unwrap();
    assert_eq!(verifier.accept(&last, NOW_S), Ok(()));
    assert!(verifier.is_complete());
    for n in 0..99 {
        verifier.accept(&answer(7, &[n]), NOW_S).unwrap();
    }
    assert_eq!(verifier.accept(&answer(7, b"100"), NOW_S), Err(Unproven::Unsigned));
}

#[test]
fn rfc8945_5_1_a_tsig_that_is_not_the_last_record_is_malformed() {
    let mut message = query(7);
    sign_request(&usual(), &mut message, NOW_S).unwrap();
    let mut second = message.clone();
    sign_request(&usual(), &mut second, NOW_S).unwrap();
    assert!(matches!(Found::in_message(&second), Found::Malformed));
    let mut elsewhere = message.clone();
    // ARCOUNT to NSCOUNT.
    (elsewhere[9], elsewhere[11]) = (1, 0);
    assert!(matches!(Found::in_message(&elsewhere), Found::Malformed));
    assert!(matches!(Found::in_message(&query(7)), Found::Nothing));
    // Whatever is cut off or changed, reading ends.
    for length in 0..message.len() {
        let found = Found::in_message(&message[..length]);
        assert!(matches!(found, Found::Malformed), "{length}");
    }
    for at in 0..message.len() {
        for value in [0, 1, 0x3f, 0x40, 0xc0, 0xff] {
            let mut changed = message.clone();
            changed[at] = value;
            if let Found::Tsig(record) = Found::in_message(&changed) {
                let _ = check(&changed, &record, &Keys::new(vec![usual()]), NOW_S);
            }
        }
    }
    assert_eq!(Rtype::TSIG.0, 250);
}
