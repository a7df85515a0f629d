//! Serial numbers: a circle, on which each is before half of the others (RFC 1982).

/// How one serial number stands to another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Compared {
    /// The same.
    Equal,
    /// Ahead of the other.
    Newer,
    /// Behind the other.
    Older,
    /// Just opposite on the circle: the RFC leaves open which is ahead.
    Undefined,
}

/// How `serial` stands to `other` (RFC 1982 section 3.2).
pub const fn compare(serial: u32, other: u32) -> Compared {
    match serial.wrapping_sub(other) {
        0 => Compared::Equal,
        0x8000_0000 => Compared::Undefined,
        1..0x8000_0000 => Compared::Newer,
        _ => Compared::Older,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rfc1982_3_2_serials_are_compared_on_a_circle() {
        let check = |serial, other, expected| assert_eq!(compare(serial, other), expected);
        check(1, 0, Compared::Newer);
        check(0, 1, Compared::Older);
        check(0, 0, Compared::Equal);
        check(0, u32::MAX, Compared::Newer);
        check(0x7fff_ffff, 0, Compared::Newer);
        check(0x8000_0000, 0, Compared::Undefined);
        check(0, 0x8000_0000, Compared::Undefined);
        check(0x8000_0001, 0, Compared::Older);
        check(44, 100, Compared::Older);
    }

    proptest! {
        #[test]
        fn rfc1982_3_1_adding_up_to_half_a_circle_makes_a_serial_newer(start: u32, step in 1..=0x7fff_ffffu32) {
            let next = start.wrapping_add(step);
            prop_assert_eq!(compare(next, start), Compared::Newer);
            prop_assert_eq!(compare(start, next), Compared::Older);
        }
    }
}
