//! The fixed first classes of every map: blocks that never merge with their neighbours.

use crate::geo::embedded::{EMBEDDING_BLOCK_COUNT, EMBEDDING_BLOCKS};
use crate::geo::special::{SPECIAL_BLOCK_COUNT, SPECIAL_BLOCKS};
use crate::ids::ClassId;

/// How many classes are barriers: `0..BARRIER_COUNT`.
pub(super) const BARRIER_COUNT: u32 = (SPECIAL_BLOCK_COUNT + EMBEDDING_BLOCK_COUNT) as u32;

/// How many of them, the first, stand for special-purpose blocks.
pub(super) const SPECIAL_COUNT: u32 = SPECIAL_BLOCK_COUNT as u32;

/// The class of addresses of which nothing is known.
pub(super) const UNKNOWN: ClassId = ClassId(BARRIER_COUNT);

/// What a class stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ClassKind {
    /// A special-purpose block of this name.
    Special(&'static str),
    /// A block with IPv4 addresses inside.
    Embedding,
    /// Places.
    Place,
}

/// The class of a special-purpose block.
pub(super) fn special(block: usize) -> ClassId {
    ClassId(block as u32)
}

/// The class of an embedding block.
pub(super) fn embedding(block: usize) -> ClassId {
    ClassId(SPECIAL_COUNT + block as u32)
}

/// What a class stands for.
pub(super) fn kind(class: ClassId) -> ClassKind {
    match SPECIAL_BLOCKS.get(class.index()) {
        Some(block) => ClassKind::Special(block.name),
        None if class.index() < SPECIAL_BLOCKS.len() + EMBEDDING_BLOCKS.len() => ClassKind::Embedding,
        None => ClassKind::Place,
    }
}
