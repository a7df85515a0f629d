//! Lists of RDATA by number, in one piece of memory.

use crate::zone::Rdata;

/// For each number a list of RDATA, each with two octets of length before it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Slices {
    /// Where each begins, and where the last ends.
    starts: Box<[u32]>,
    octets: Box<[u8]>,
}

impl Slices {
    /// What a number has; empty for one that is not there.
    pub fn get(&self, number: usize) -> Rdata<'_> {
        let range = self.starts.get(number).zip(self.starts.get(number + 1));
        let octets = range.and_then(|(start, end)| self.octets.get(*start as usize..*end as usize));
        Rdata::new(octets.unwrap_or(&[]))
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory taken, in octets.
    pub fn octets(&self) -> usize {
        self.octets.len() + self.starts.len() * size_of::<u32>()
    }
}

/// Lists in the making: one number after the other. A part of a zone has some thousand numbers, so its
/// octets fit 32 bits; what would not is left out, and found to be missing.
#[derive(Debug)]
pub(super) struct SlicesBuilder {
    starts: Vec<u32>,
    octets: Vec<u8>,
}

impl SlicesBuilder {
    pub(super) fn new() -> SlicesBuilder {
        SlicesBuilder { starts: vec![0], octets: Vec::new() }
    }

    /// Adds RDATA to the list of the number that is being made.
    pub(super) fn push(&mut self, rdata: &[u8]) {
        push_rdata(&mut self.octets, rdata);
    }

    /// Ends the list of this number.
    pub(super) fn next(&mut self) {
        self.starts.push(u32::try_from(self.octets.len()).unwrap_or(u32::MAX));
    }

    pub(super) fn build(self) -> Slices {
        Slices { starts: self.starts.into(), octets: self.octets.into() }
    }
}

/// Appends RDATA with its length.
pub(super) fn push_rdata(octets: &mut Vec<u8>, rdata: &[u8]) {
    if let Ok(length) = u16::try_from(rdata.len()) {
        octets.extend_from_slice(&length.to_be_bytes());
        octets.extend_from_slice(rdata);
    }
}
