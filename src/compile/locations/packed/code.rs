//! The codes of the columns: counts, and ranks of places used lately.

/// A count's octet in `counts`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Count {
    /// The count itself.
    Is(u64),
    /// It is in `long counts`, in this many octets.
    Long(usize),
}

/// Small counts that are not powers of two have octets of their own up to this one.
const SMALL_MAX: u64 = 128;
/// Octets below are exponents of two.
const SMALL_BASE: u8 = 64;
/// Octets from here say how many octets a long count has, less one.
const LONG_BASE: u8 = 248;

impl Count {
    /// The octet of a count above zero, and whether it needs to be spelt out.
    pub(super) fn encode(count: u64) -> (u8, Option<usize>) {
        match count {
            _ if count.is_power_of_two() => (count.trailing_zeros() as u8, None),
            0..=SMALL_MAX => (SMALL_BASE + count as u8, None),
            _ => {
                let octets = (71 - count.leading_zeros() as usize) / 8;
                (LONG_BASE + (octets as u8 - 1), Some(octets))
            }
        }
    }

    /// What an octet means; `None`: it has no meaning.
    pub(super) fn decode(octet: u8) -> Option<Count> {
        match octet {
            0..SMALL_BASE => Some(Count::Is(1 << octet)),
            LONG_BASE.. => Some(Count::Long(usize::from(octet - LONG_BASE) + 1)),
            _ if u64::from(octet - SMALL_BASE) <= SMALL_MAX && octet > SMALL_BASE => {
                Some(Count::Is(u64::from(octet - SMALL_BASE)))
            }
            _ => None,
        }
    }
}

/// How many places are remembered.
const REMEMBERED: usize = 250;

/// The rank of a place that is not remembered.
pub(super) const NEW: u8 = 255;

/// The places used last, the latest first.
pub(super) struct Recent([u32; REMEMBERED]);

impl Recent {
    /// Before the first: no place and the first of the table.
    pub(super) fn new() -> Recent {
        Recent(std::array::from_fn(|rank| rank as u32))
    }

    /// The rank of a place, which becomes the latest.
    pub(super) fn rank(&mut self, place: u32) -> Option<u8> {
        let rank = self.0.iter().position(|recent| *recent == place);
        self.bring(rank.unwrap_or(REMEMBERED - 1), place);
        rank.map(|rank| rank as u8)
    }

    /// The place of a rank, which becomes the latest; `None`: there is no such rank.
    pub(super) fn place(&mut self, rank: u8) -> Option<u32> {
        let place = *self.0.get(usize::from(rank))?;
        self.bring(usize::from(rank), place);
        Some(place)
    }

    /// A place that was not remembered becomes the latest.
    pub(super) fn enter(&mut self, place: u32) {
        self.bring(REMEMBERED - 1, place);
    }

    fn bring(&mut self, rank: usize, place: u32) {
        if let Some(shifted) = self.0.get_mut(..=rank) {
            shifted.rotate_right(1);
            if let Some(first) = shifted.first_mut() {
                *first = place;
            }
        }
    }
}
