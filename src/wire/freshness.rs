//! How long a response stays true, for caches that do not read DNS (RFC 8484 section 5.1).

use super::query::{split_question, split_record};
use super::types::{Rcode, Rtype};
use super::writer::HEADER_OCTETS;

/// The least TTL of a response's answers in seconds; of a negative one what RFC 2308 section 5 lets it be kept
/// for; 0 of an error and of what cannot be read.
pub fn freshness(message: &[u8]) -> u32 {
    least(message).unwrap_or(0)
}

fn least(message: &[u8]) -> Option<u32> {
    let (head, mut rest) = message.split_first_chunk::<HEADER_OCTETS>()?;
    let [_, _, _, flags, qd_high, qd_low, an_high, an_low, ns_high, ns_low, _, _] = *head;
    let rcode = u16::from(flags & 0x0f);
    if rcode != Rcode::NoError.number() && rcode != Rcode::NxDomain.number() {
        return None;
    }
    for _ in 0..u16::from_be_bytes([qd_high, qd_low]) {
        rest = split_question(rest)?.1;
    }
    let (answers, authorities) =
        (u16::from_be_bytes([an_high, an_low]), u16::from_be_bytes([ns_high, ns_low]));
    let mut least: Option<u32> = None;
    // Aliases that end in nothing are as fresh as the alias and the proof that there is nothing.
    for _ in 0..u32::from(answers) + u32::from(authorities) {
        let (record, after) = split_record(message, rest)?;
        let minimum = match (record.rtype, record.rdata.last_chunk::<4>()) {
            (Rtype::SOA, Some(minimum)) => u32::from_be_bytes(*minimum),
            _ => u32::MAX,
        };
        least = Some(least.unwrap_or(u32::MAX).min(record.ttl).min(minimum));
        rest = after;
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record of `.` with this type, TTL and RDATA.
    fn record(rtype: u8, ttl: u8, rdata: &[u8]) -> Vec<u8> {
        [&[0, 0, rtype, 0, 1, 0, 0, 0, ttl, 0, rdata.len() as u8][..], rdata].concat()
    }

    #[test]
    fn rfc8484_5_1_the_least_ttl_or_that_of_nothing() {
        let soa = |ttl, minimum| record(6, ttl, &[[0; 21].as_slice(), &[minimum]].concat());
        let check = |rcode: u8, answers: &[Vec<u8>], authorities: &[Vec<u8>], expected: u32| {
            let head = [0, 0, 0x84, rcode, 0, 1, 0, answers.len() as u8, 0, authorities.len() as u8, 0, 0];
            let question = [0, 0, 1, 0, 1];
            let message = [&head[..], &question, &answers.concat(), &authorities.concat()].concat();
            assert_eq!(freshness(&message), expected);
            (0..message.len()).for_each(|cut| {
                freshness(message.get(..cut).unwrap_or_default());
            });
        };
        check(0, &[record(1, 60, &[0; 4]), record(1, 30, &[0; 4])], &[], 30);
        check(0, &[record(5, 20, &[0]), record(1, 30, &[0; 4])], &[], 20);
        check(3, &[], &[soa(90, 60)], 60);
        check(0, &[], &[soa(30, 60)], 30);
        check(0, &[record(5, 20, &[0])], &[soa(90, 10)], 10);
        check(0, &[], &[record(2, 50, &[0])], 50);
        check(5, &[], &[], 0);
        check(2, &[record(1, 60, &[0; 4])], &[], 0);
        check(0, &[], &[], 0);
    }
}
