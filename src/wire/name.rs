//! Domain names: labels with a length octet each, ended by the root's zero.

use std::fmt::Write;

/// The longest name, with its length octets and the root (RFC 1035 section 2.3.4).
pub const NAME_OCTETS_MAX: usize = 255;

/// The longest label (RFC 1035 section 2.3.4).
pub const LABEL_OCTETS_MAX: usize = 63;

/// Room for a name: any octet's number is a place in it, so that looking there needs no check.
const NAME_ROOM_OCTETS: usize = 256;

/// Room for the places of labels: each takes two octets at least, so 127 are the most.
const LABELS_ROOM: usize = 128;

/// A name for look-ups, on the stack: lower case (RFC 4343), with the places of its labels.
#[derive(Clone, Copy)]
pub struct Name {
    octets: [u8; NAME_ROOM_OCTETS],
    length: u8,
    starts: [u8; LABELS_ROOM],
    labels: u8,
}

impl Name {
    /// The name that `wire` begins with; `None` where it begins with none that is uncompressed and
    /// within the limits.
    pub fn from_wire(wire: &[u8]) -> Option<Name> {
        let mut name = Name { octets: [0; NAME_ROOM_OCTETS], length: 0, starts: [0; LABELS_ROOM], labels: 0 };
        let room = wire.len().min(NAME_OCTETS_MAX);
        name.octets.get_mut(..room)?.copy_from_slice(wire.get(..room)?);
        let mut position = 0usize;
        while position < room {
            let length = name.octets[position % NAME_ROOM_OCTETS];
            if length == 0 {
                name.length = (position + 1) as u8;
                name.lower();
                return Some(name);
            }
            if usize::from(length) > LABEL_OCTETS_MAX {
                return None;
            }
            name.starts[usize::from(name.labels) % LABELS_ROOM] = position as u8;
            name.labels += 1;
            position += 1 + usize::from(length);
        }
        None
    }

    /// Lowers the letters, eight octets at a time. Length octets are
    /// below 64 and so below every letter: lowering all octets keeps them.
    fn lower(&mut self) {
        let length = usize::from(self.length);
        let (words, _) = self.octets.as_chunks_mut::<8>();
        for word in words.iter_mut().take(length.div_ceil(8)) {
            *word = lowered(u64::from_le_bytes(*word)).to_le_bytes();
        }
    }

    /// `prefix`, the first labels of a name without a root, followed by the name `suffix`; `None`
    /// where that is longer than a name may be.
    pub fn joined(prefix: &[u8], suffix: &[u8]) -> Option<Name> {
        let mut wire = [0; NAME_OCTETS_MAX];
        wire.get_mut(..prefix.len())?.copy_from_slice(prefix);
        let suffix_octets = name_octets(suffix)?;
        wire.get_mut(prefix.len()..prefix.len() + suffix_octets)?
            .copy_from_slice(suffix.get(..suffix_octets)?);
        Name::from_wire(&wire)
    }

    /// Wire form, root included.
    pub fn octets(&self) -> &[u8] {
        self.octets.get(..usize::from(self.length)).unwrap_or(&[])
    }

    /// The same in words of eight octets, with anything behind it.
    #[inline]
    pub fn room(&self) -> &[[u8; 8]] {
        self.octets.as_chunks().0
    }

    /// The number of labels, the root not counted.
    pub fn labels(&self) -> usize {
        usize::from(self.labels)
    }

    /// Where label `index`, counted from the left, begins; the root's place for the last and beyond.
    pub fn start(&self, index: usize) -> usize {
        if index < self.labels() {
            usize::from(self.starts[index % LABELS_ROOM])
        } else {
            usize::from(self.length).saturating_sub(1)
        }
    }

    /// Label `index`, counted from the left, without its length octet.
    pub fn label(&self, index: usize) -> &[u8] {
        let start = self.start(index);
        let length = usize::from(self.octets[start % NAME_ROOM_OCTETS]);
        self.octets.get(start + 1..start + 1 + length).unwrap_or(&[])
    }

    /// The name from label `index` on.
    pub fn suffix(&self, index: usize) -> &[u8] {
        self.octets().get(self.start(index)..).unwrap_or(&[0])
    }

    /// How many labels this name has in front of `other`; `None` where it is not at or below it.
    pub fn depth_below(&self, other: &Name) -> Option<usize> {
        let depth = self.labels().checked_sub(other.labels())?;
        (self.suffix(depth) == other.octets()).then_some(depth)
    }

    /// Whether this name is `other` or one below it.
    pub fn is_at_or_below(&self, other: &Name) -> bool {
        self.depth_below(other).is_some()
    }

    /// The labels before label `index`, without a root.
    pub fn prefix(&self, index: usize) -> &[u8] {
        self.octets().get(..self.start(index)).unwrap_or(&[])
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.octets() == other.octets()
    }
}

impl Eq for Name {}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&name_text(self.octets()))
    }
}

/// Eight octets with their ASCII letters in lower case, all at once: bit 7 of an octet is set in one sum
/// from `A` on and in the other past `Z`.
fn lowered(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let low_bits = word & (0x7f * EACH);
    let from_a = low_bits + (0x80 - b'A' as u64) * EACH;
    let past_z = low_bits + (0x7f - b'Z' as u64) * EACH;
    let upper = (from_a ^ past_z) & !word & (0x80 * EACH);
    word | upper >> 2
}

/// The length of the uncompressed name that `wire` begins with, root included.
pub fn name_octets(wire: &[u8]) -> Option<usize> {
    let mut position = 0;
    loop {
        let length = usize::from(*wire.get(position)?);
        position += 1;
        if length == 0 {
            return (position <= NAME_OCTETS_MAX && position <= wire.len()).then_some(position);
        }
        if length > LABEL_OCTETS_MAX {
            return None;
        }
        position += length;
        if position >= NAME_OCTETS_MAX {
            return None;
        }
    }
}

/// The name that begins at an octet of a message, pointers followed, and where what comes after it begins.
/// `None` where it is none: every pointer must lead to before the part of the name that it ends (RFC 1035
/// section 4.1.4: a prior occurrence), so that the walk ends.
pub fn read_name(message: &[u8], at: usize) -> Option<(Name, usize)> {
    let (mut wire, mut length) = ([0; NAME_OCTETS_MAX], 0);
    let (mut part, mut position, mut after) = (at, at, None);
    loop {
        match *message.get(position)? {
            0 => return Some((Name::from_wire(wire.get(..length + 1)?)?, after.unwrap_or(position + 1))),
            octets @ 1..=63 => {
                let label = message.get(position..position + 1 + usize::from(octets))?;
                // The root comes behind it.
                wire.get_mut(length..length + label.len() + 1)?.split_last_mut()?.1.copy_from_slice(label);
                length += label.len();
                position += label.len();
            }
            high @ 0xc0.. => {
                let target = usize::from(u16::from_be_bytes([high & 0x3f, *message.get(position + 1)?]));
                if target >= part {
                    return None;
                }
                after = after.or(Some(position + 2));
                (part, position) = (target, target);
            }
            _ => return None,
        }
    }
}

/// Why a text is no name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameTextError {
    /// Nothing is written.
    Empty,
    /// Two dots in a row, or a leading one.
    EmptyLabel,
    /// More than 63 octets between two dots.
    LongLabel,
    /// More than 255 octets.
    LongName,
    /// A backslash that is followed neither by a character nor by three digits up to 255.
    BadEscape,
    /// White space, a quote, or an octet beyond ASCII: they have to be escaped.
    Unescaped,
}

impl std::fmt::Display for NameTextError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            NameTextError::Empty => "an empty name",
            NameTextError::EmptyLabel => "a name with an empty label",
            NameTextError::LongLabel => "a name with a label of more than 63 octets",
            NameTextError::LongName => "a name of more than 255 octets",
            NameTextError::BadEscape => "a name with a bad escape",
            NameTextError::Unescaped => "a name with a character to be written as \\DDD, or in its xn-- form",
        })
    }
}

/// Reads a name in presentation form (RFC 1035 section 5.1) into wire form, case kept. A name without a
/// final dot, and `@`, are relative to `origin` (wire form).
pub fn parse_name(text: &[u8], origin: &[u8]) -> Result<Vec<u8>, NameTextError> {
    match text {
        b"" => return Err(NameTextError::Empty),
        b"@" => return Ok(origin.to_vec()),
        b"." => return Ok(vec![0]),
        _ => {}
    }
    let mut wire = Vec::with_capacity(text.len() + 1 + origin.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (label, dot, after) = split_label(rest)?;
        if label.is_empty() {
            return Err(NameTextError::EmptyLabel);
        }
        if label.len() > LABEL_OCTETS_MAX {
            return Err(NameTextError::LongLabel);
        }
        wire.push(label.len() as u8);
        wire.extend_from_slice(&label);
        match dot {
            Dot::Found if after.is_empty() => {
                wire.push(0);
                return within_limit(wire);
            }
            Dot::Found => rest = after,
            Dot::End => break,
        }
    }
    wire.extend_from_slice(origin);
    within_limit(wire)
}

fn within_limit(wire: Vec<u8>) -> Result<Vec<u8>, NameTextError> {
    if wire.len() > NAME_OCTETS_MAX { Err(NameTextError::LongName) } else { Ok(wire) }
}

/// How a label ended.
enum Dot {
    /// With a dot.
    Found,
    /// With the text.
    End,
}

/// The first label of a text, how it ended, and what comes after it.
fn split_label(text: &[u8]) -> Result<(Vec<u8>, Dot, &[u8]), NameTextError> {
    let mut label = Vec::new();
    let mut rest = text;
    while let [first, after @ ..] = rest {
        match (first, after) {
            (b'.', _) => return Ok((label, Dot::Found, after)),
            (b'\\', [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', tail @ ..]) => {
                let value = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
                label.push(u8::try_from(value).map_err(|_| NameTextError::BadEscape)?);
                rest = tail;
            }
            (b'\\', [b'0'..=b'9', ..] | []) => return Err(NameTextError::BadEscape),
            (b'\\', [escaped, tail @ ..]) => {
                label.push(*escaped);
                rest = tail;
            }
            (octet @ 0x21..=0x7e, tail) if *octet != b'"' => {
                label.push(*octet);
                rest = tail;
            }
            _ => return Err(NameTextError::Unescaped),
        }
    }
    Ok((label, Dot::End, rest))
}

/// A wire name in presentation form, without the final dot (`.` for the root).
pub fn name_text(wire: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = wire;
    while let [length @ 1..=63, after @ ..] = rest {
        let Some((label, tail)) = after.split_at_checked(usize::from(*length)) else { break };
        if !text.is_empty() {
            text.push('.');
        }
        label.iter().for_each(|octet| push_octet(&mut text, *octet));
        rest = tail;
    }
    if text.is_empty() { ".".to_owned() } else { text }
}

fn push_octet(text: &mut String, octet: u8) {
    match octet {
        b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => {
            text.push('\\');
            text.push(char::from(octet));
        }
        0x21..=0x7e => text.push(char::from(octet)),
        _ => {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\{octet:03}");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn rfc1035_5_1_names_in_presentation_form() {
        let origin = b"\x07example\x00";
        let check = |text: &str, expected: Result<&[u8], NameTextError>| {
            assert_eq!(
                parse_name(text.as_bytes(), origin).as_deref(),
                expected.as_ref().map(|w| *w),
                "{text}"
            );
        };
        check("www", Ok(b"\x03www\x07example\x00"));
        check("WwW.", Ok(b"\x03WwW\x00"));
        check("@", Ok(origin));
        check(".", Ok(b"\x00"));
        check("*.a", Ok(b"\x01*\x01a\x07example\x00"));
        check(r"a\.b.", Ok(b"\x03a.b\x00"));
        check(r"a\046b.", Ok(b"\x03a.b\x00"));
        check("", Err(NameTextError::Empty));
        check("a..b", Err(NameTextError::EmptyLabel));
        check(".a", Err(NameTextError::EmptyLabel));
        check(r"a\256", Err(NameTextError::BadEscape));
        check(r"a\12", Err(NameTextError::BadEscape));
        check(r"a\", Err(NameTextError::BadEscape));
        check("a b", Err(NameTextError::Unescaped));
        check("b\u{fc}cher", Err(NameTextError::Unescaped));
        check(&"x".repeat(64), Err(NameTextError::LongLabel));
        check(&format!("{}.", vec!["x".repeat(63); 4].join(".")), Err(NameTextError::LongName));
    }

    #[test]
    fn text_and_wire_agree_for_every_octet() {
        for octet in 0..=255u8 {
            let wire = [1, octet, 2, b'a', b'b', 0];
            let text = format!("{}.", name_text(&wire));
            assert_eq!(parse_name(text.as_bytes(), &[0]).unwrap(), wire, "{text}");
        }
        assert_eq!(name_text(&[0]), ".");
    }

    #[test]
    fn labels_are_found_from_the_left_and_lowered() {
        let name = Name::from_wire(b"\x03WwW\x07eXample\x02de\x00trailing").unwrap();
        assert_eq!(name.octets(), b"\x03www\x07example\x02de\x00");
        assert_eq!(name.labels(), 3);
        assert_eq!(name.label(1), b"example");
        assert_eq!(name.suffix(1), b"\x07example\x02de\x00");
        assert_eq!(name.suffix(3), b"\x00");
        assert_eq!(name.prefix(1), b"\x03www");
        assert_eq!(name.prefix(3), b"\x03www\x07example\x02de");
    }

    #[test]
    fn rfc1035_2_3_4_names_beyond_the_limits_are_none() {
        let longest = [[&[63u8][..], &[b'a'; 63]].concat(), [&[63u8][..], &[b'a'; 63]].concat()].concat();
        let at_limit = [&longest[..], &[63], &[b'a'; 63], &[61], &[b'a'; 61], &[0]].concat();
        assert_eq!(at_limit.len(), 255);
        assert!(Name::from_wire(&at_limit).is_some());
        assert_eq!(name_octets(&at_limit), Some(255));
        let beyond = [&longest[..], &[63], &[b'a'; 63], &[62], &[b'a'; 62], &[0]].concat();
        assert!(Name::from_wire(&beyond).is_none());
        assert_eq!(name_octets(&beyond), None);
        for broken in [&b""[..], b"\x03ww", b"\x03www", b"\x40a\x00", b"\xc0\x0c", b"\x80"] {
            assert!(Name::from_wire(broken).is_none());
            assert_eq!(name_octets(broken), None);
        }
        let many = [[1u8, b'a'].repeat(127), vec![0]].concat();
        assert_eq!(Name::from_wire(&many).unwrap().labels(), 127);
        assert!(Name::joined(&[1, b'a'], &many).is_none());
    }
}
