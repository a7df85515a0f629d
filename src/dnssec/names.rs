//! Names before and after others in canonical order (RFC 4034 section 6.1, RFC 4471): the ends of spans that
//! cover one name and as little else as can be.

use std::cmp::Ordering;

use crate::wire::{LABEL_OCTETS_MAX, NAME_OCTETS_MAX, Name};

/// Canonical order: by labels from the right, as octets in lower case.
pub(super) fn compare(a: &Name, b: &Name) -> Ordering {
    let (mut left, mut right) = (a.labels(), b.labels());
    while left > 0 && right > 0 {
        (left, right) = (left - 1, right - 1);
        match a.label(left).cmp(b.label(right)) {
            Ordering::Equal => {}
            other => return other,
        }
    }
    left.cmp(&right)
}

/// The name right after another that exists: its first possible child, where a name can be that long.
/// Otherwise the next label that may follow, or the origin where none can.
pub(super) fn successor(name: &Name, origin: &Name) -> Name {
    if let Some(child) = Name::joined(b"\x01\x00", name.octets()) {
        return child;
    }
    let depth = name.labels().saturating_sub(origin.labels());
    let next = (0..depth).find_map(|index| after_label(name, index));
    next.unwrap_or(*origin)
}

/// The name after everything at and below the name that `name` has from label `index` on; `None` where
/// nothing under the same parent can follow.
pub(super) fn after_label(name: &Name, index: usize) -> Option<Name> {
    let label = name.label(index);
    let parent = name.suffix(index + 1);
    let mut room = [0; LABEL_OCTETS_MAX + 2];
    room.get_mut(1..1 + label.len())?.copy_from_slice(label);
    let mut length = label.len();
    if length < LABEL_OCTETS_MAX && length + 2 + parent.len() <= NAME_OCTETS_MAX {
        length += 1;
    } else {
        while length > 0 && room.get(length) == Some(&0xff) {
            length -= 1;
        }
        let last = room.get_mut(length).filter(|_| length > 0)?;
        // Upper case is lower case in canonical order.
        *last = if *last == b'@' { b'[' } else { *last + 1 };
    }
    *room.first_mut()? = length as u8;
    Name::joined(room.get(..1 + length)?, parent)
}

/// A name before the one that `name` has from label `index` on, and after everything else that can be
/// expected to exist under the same parent; `None`: only the parent is before it.
pub(super) fn before_label(name: &Name, index: usize) -> Option<Name> {
    let label = name.label(index);
    let parent = name.suffix(index + 1);
    let (last, before) = label.split_last()?;
    let mut room = [0xff; 2 * (LABEL_OCTETS_MAX + 1)];
    if *last == 0 {
        // Everything below what is left of the label is before it too.
        let rest = parent.len() + before.len() + 1;
        let filling = LABEL_OCTETS_MAX.min(NAME_OCTETS_MAX.checked_sub(rest + 1)?);
        if before.is_empty() || filling == 0 {
            return None;
        }
        *room.first_mut()? = filling as u8;
        *room.get_mut(1 + filling)? = before.len() as u8;
        room.get_mut(2 + filling..2 + filling + before.len())?.copy_from_slice(before);
        return Name::joined(room.get(..2 + filling + before.len())?, parent);
    }
    let length = LABEL_OCTETS_MAX.min(NAME_OCTETS_MAX.checked_sub(parent.len() + 1)?);
    *room.first_mut()? = length as u8;
    room.get_mut(1..label.len())?.copy_from_slice(before);
    *room.get_mut(label.len())? = if *last == b'[' { b'@' } else { *last - 1 };
    Name::joined(room.get(..1 + length)?, parent)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn name(labels: &[Vec<u8>]) -> Option<Name> {
        let mut wire = Vec::new();
        for label in labels {
            wire.push(label.len() as u8);
            wire.extend(label);
        }
        wire.push(0);
        Name::from_wire(&wire).filter(|name| name.octets().len() == wire.len())
    }

    fn label() -> impl Strategy<Value = Vec<u8>> {
        let octet = prop_oneof![any::<u8>(), Just(0u8), Just(0xff), Just(b'@'), Just(b'['), Just(b'a')];
        prop_oneof![
            prop::collection::vec(octet.clone(), 1..4),
            prop::collection::vec(octet, 60..=63),
            Just(vec![0xff; 63]),
        ]
    }

    /// The example of RFC 4034 section 6.1.
    #[test]
    fn rfc4034_6_1_canonical_order() {
        let sorted: &[&[u8]] = &[
            b"\x07example\x00",
            b"\x01a\x07example\x00",
            b"\x08yljkjljk\x01a\x07example\x00",
            b"\x01Z\x01a\x07example\x00",
            b"\x04zABC\x01a\x07EXAMPLE\x00",
            b"\x01z\x07example\x00",
            b"\x01\x01\x01z\x07example\x00",
            b"\x01*\x01z\x07example\x00",
            b"\x01\xc8\x01z\x07example\x00",
        ];
        let names: Vec<Name> = sorted.iter().map(|wire| Name::from_wire(wire).unwrap()).collect();
        assert!(names.windows(2).all(|pair| compare(&pair[0], &pair[1]) == Ordering::Less));
        assert_eq!(compare(&names[3], &names[3]), Ordering::Equal);
    }

    proptest! {
        #[test]
        fn rfc4471_neighbours_are_before_and_after(labels in prop::collection::vec(label(), 1..6)) {
            let origin = name(&[b"example".to_vec()]).unwrap();
            let all: Vec<Vec<u8>> = labels.into_iter().chain([b"example".to_vec()]).collect();
            let Some(own) = name(&all) else { return Ok(()) };
            let next = successor(&own, &origin);
            prop_assert!(next == origin || compare(&own, &next) == Ordering::Less);
            prop_assert!(next.is_at_or_below(&origin));
            let parent = Name::from_wire(own.suffix(1)).unwrap();
            if let Some(after) = after_label(&own, 0) {
                prop_assert_eq!(compare(&own, &after), Ordering::Less);
                prop_assert!(after.is_at_or_below(&parent) && !after.is_at_or_below(&own));
                if let Some(child) = Name::joined(b"\x02\xff\xff", own.octets()) {
                    prop_assert_eq!(compare(&child, &after), Ordering::Less);
                }
            }
            if let Some(before) = before_label(&own, 0) {
                prop_assert_eq!(compare(&before, &own), Ordering::Less);
                prop_assert!(before.is_at_or_below(&parent) && before != parent);
            }
        }
    }
}
