//! The types at a name, as NSEC and NSEC3 have them (RFC 4034 section 4.1.2).

use crate::wire::Rtype;

/// The octets of a window's bits.
const WINDOW_OCTETS_MAX: usize = 32;

/// Appends the bitmap of types, which come sorted.
pub(super) fn push_bitmap(types: &[Rtype], out: &mut Vec<u8>) {
    for window in types.chunk_by(|a, b| a.0 >> 8 == b.0 >> 8) {
        let mut bits = [0u8; WINDOW_OCTETS_MAX];
        let mut used = 0;
        for rtype in window {
            let low = usize::from(rtype.0 & 0xff);
            if let Some(octet) = bits.get_mut(low / 8) {
                *octet |= 0x80 >> (low % 8);
            }
            used = used.max(low / 8 + 1);
        }
        let number = window.first().map_or(0, |rtype| (rtype.0 >> 8) as u8);
        out.extend_from_slice(&[number, used as u8]);
        out.extend_from_slice(bits.get(..used).unwrap_or(&[]));
    }
}

/// Appends a bitmap without one type.
pub(super) fn push_without(bitmap: &[u8], rtype: Rtype, out: &mut Vec<u8>) {
    let mut rest = bitmap;
    while let Some((number, octets, after)) = split_window(rest) {
        rest = after;
        let start = out.len();
        out.extend_from_slice(&[number, octets.len() as u8]);
        out.extend_from_slice(octets);
        if number != (rtype.0 >> 8) as u8 {
            continue;
        }
        let low = usize::from(rtype.0 & 0xff);
        if let Some(octet) = out.get_mut(start + 2 + low / 8) {
            *octet &= !(0x80 >> (low % 8));
        }
        // No zero octets at the end, and no empty windows.
        while out.len() > start + 2 && out.last() == Some(&0) {
            out.pop();
        }
        let used = out.len() - start - 2;
        if used == 0 {
            out.truncate(start);
        } else if let Some(length) = out.get_mut(start + 1) {
            *length = used as u8;
        }
    }
}

/// Whether a type is in a bitmap.
pub(super) fn has(bitmap: &[u8], rtype: Rtype) -> bool {
    let mut rest = bitmap;
    while let Some((number, octets, after)) = split_window(rest) {
        if number == (rtype.0 >> 8) as u8 {
            let low = usize::from(rtype.0 & 0xff);
            return octets.get(low / 8).is_some_and(|octet| octet & 0x80 >> (low % 8) != 0);
        }
        rest = after;
    }
    false
}

fn split_window(bitmap: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let ([number, length], rest) = bitmap.split_first_chunk::<2>()?;
    let (octets, after) = rest.split_at_checked(usize::from(*length))?;
    Some((*number, octets, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc4034_4_1_2_bitmaps() {
        let types: Vec<Rtype> = [1, 15, 46, 47, 1234].map(Rtype).into();
        let mut bitmap = Vec::new();
        push_bitmap(&types, &mut bitmap);
        // The example of RFC 4034 section 4.3.
        let mut expected = vec![0, 6, 0x40, 1, 0, 0, 0, 3, 4, 0x1b];
        expected.extend([0; 26]);
        expected.push(0x20);
        assert_eq!(bitmap, expected);
        for rtype in 0..2000 {
            assert_eq!(has(&bitmap, Rtype(rtype)), types.contains(&Rtype(rtype)), "{rtype}");
        }
        for gone in [1, 15, 46, 47, 1234, 2, 255, 4000] {
            let (mut less, mut same) = (Vec::new(), Vec::new());
            push_without(&bitmap, Rtype(gone), &mut less);
            let kept: Vec<Rtype> = types.iter().copied().filter(|own| own.0 != gone).collect();
            push_bitmap(&kept, &mut same);
            assert_eq!(less, same, "{gone}");
        }
        let mut none = Vec::new();
        push_without(&[0, 1, 0x40], Rtype(1), &mut none);
        assert!(none.is_empty());
    }
}
