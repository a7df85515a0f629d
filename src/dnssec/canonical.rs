//! The canonical form of records (RFC 4034 section 6.2, as RFC 6840 section 5.1 has it).

use crate::wire::{Rtype, name_octets};

/// Where the names in an RDATA stand that are lowered.
enum Names {
    /// None are.
    None,
    /// So many of them, after so many octets.
    After(usize, usize),
    /// One, after four octets and three character strings (NAPTR).
    AfterStrings,
}

fn names(rtype: Rtype) -> Names {
    match rtype.0 {
        // NS, MD, MF, CNAME, MB, MG, MR, PTR, DNAME
        2 | 3 | 4 | 5 | 7 | 8 | 9 | 12 | 39 => Names::After(0, 1),
        // SOA, MINFO, RP
        6 | 14 | 17 => Names::After(0, 2),
        // MX, AFSDB, RT, KX
        15 | 18 | 21 | 36 => Names::After(2, 1),
        // PX
        26 => Names::After(2, 2),
        // SRV
        33 => Names::After(6, 1),
        // NAPTR
        35 => Names::AfterStrings,
        _ => Names::None,
    }
}

/// Appends an RDATA in canonical form: the names of the older types in lower case.
pub(super) fn push_canonical(rtype: Rtype, rdata: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(rdata);
    let (before, count) = match names(rtype) {
        Names::None => return,
        Names::After(before, count) => (before, count),
        Names::AfterStrings => {
            let mut at = 4;
            for _ in 0..3 {
                at += 1 + rdata.get(at).map_or(0, |length| usize::from(*length));
            }
            (at, 1)
        }
    };
    let mut at = before;
    for _ in 0..count {
        // RDATA given as octets (RFC 3597) need not hold a name: then it is signed as it is.
        let Some(octets) = rdata.get(at..).and_then(name_octets) else { return };
        if let Some(name) = out.get_mut(start + at..start + at + octets) {
            // Length octets are below 64 and so below every letter.
            name.make_ascii_lowercase();
        }
        at += octets;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rfc4034_6_2_names_of_the_older_types_are_lowered() {
        let check = |rtype: u16, rdata: &[u8], expected: &[u8]| {
            let mut out = b"X".to_vec();
            push_canonical(Rtype(rtype), rdata, &mut out);
            assert_eq!(out, [b"X", expected].concat(), "{rtype}");
        };
        check(2, b"\x02NS\x00", b"\x02ns\x00");
        check(
            6,
            b"\x01A\x00\x01B\x00\x00\x00\x00AAAAAAAAAAAAAAAAAAAA",
            b"\x01a\x00\x01b\x00\x00\x00\x00AAAAAAAAAAAAAAAAAAAA",
        );
        check(15, b"AA\x01A\x00", b"AA\x01a\x00");
        check(33, b"AABBCC\x01A\x00", b"AABBCC\x01a\x00");
        check(35, b"AABB\x01U\x02XY\x01R\x01Z\x00", b"AABB\x01U\x02XY\x01R\x01z\x00");
        // TXT, SVCB, and what is no name.
        check(16, b"\x01A", b"\x01A");
        check(64, b"\x00\x01\x01A\x00", b"\x00\x01\x01A\x00");
        check(2, b"\xc0AAA", b"\xc0AAA");
    }
}
