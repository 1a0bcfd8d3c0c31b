//! The fixed tree of a reduction: aligned power-of-two blocks of task indexes. A floating-point sum repeats
//! bit for bit because the order of every combination follows from the number of tasks alone, however leases
//! were cut and whoever ran them.

use crate::range::IndexRange;

/// An aligned block: `size` is a power of two and `start` a multiple of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    /// The first index.
    pub start: u64,
    /// How many indexes it spans, a power of two.
    pub size: u64,
}

/// More leaves than this are not kept apart: longer jobs get wider leaves.
const LEAVES_MAX: u64 = 1 << 16;

/// The number of tasks that one leaf of the tree spans, for a job of `tasks` tasks (0: an open job).
#[must_use]
pub const fn leaf_size(tasks: u64) -> u64 {
    match tasks.div_ceil(LEAVES_MAX) {
        0 | 1 => 1,
        leaf => leaf.next_power_of_two(),
    }
}

impl Block {
    /// The block that `range` is, when it is one.
    #[must_use]
    pub const fn from_range(range: IndexRange) -> Option<Self> {
        let size = range.len();
        if size.is_power_of_two() && range.start.is_multiple_of(size) {
            Some(Self { start: range.start, size })
        } else {
            None
        }
    }

    /// The indexes it spans.
    #[must_use]
    pub const fn range(self) -> IndexRange {
        IndexRange::from_count(self.start, self.size)
    }

    /// The block that holds this one and its neighbour.
    #[must_use]
    pub const fn parent(self) -> Self {
        let size = self.size * 2;
        Self { start: self.start & !(size - 1), size }
    }

    /// Its two halves.
    #[must_use]
    pub const fn halves(self) -> (Self, Self) {
        let size = self.size / 2;
        (Self { start: self.start, size }, Self { start: self.start + size, size })
    }

    /// The smallest block from index 0 that spans `tasks` tasks.
    #[must_use]
    pub const fn root(tasks: u64) -> Self {
        Self { start: 0, size: if tasks < 2 { 1 } else { tasks.next_power_of_two() } }
    }
}

/// The fewest aligned blocks that make up `range`, in order. Blocks that reach beyond `tasks`, the last
/// index of the job, are cut by the job's end: the tree has no other leaf there.
pub fn blocks(range: IndexRange) -> impl Iterator<Item = Block> {
    let mut at = range.start;
    core::iter::from_fn(move || {
        if at >= range.end {
            return None;
        }
        let left = range.end - at;
        let aligned = if at == 0 { u64::MAX } else { 1 << at.trailing_zeros() };
        let fits = 1u64 << (63 - left.leading_zeros());
        let block = Block { start: at, size: fits.min(aligned) };
        at += block.size;
        Some(block)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn leaves_depend_on_the_number_of_tasks_alone() {
        assert_eq!(leaf_size(0), 1);
        assert_eq!(leaf_size(65_536), 1);
        assert_eq!(leaf_size(65_537), 2);
        assert_eq!(leaf_size(1_000_000_000), 16_384);
    }

    proptest! {
        #[test]
        fn blocks_cover_a_range_once_and_are_maximal(start in 0..5_000u64, count in 0..5_000u64) {
            let range = IndexRange::from_count(start, count);
            let found: Vec<Block> = blocks(range).collect();
            let mut at = start;
            for block in &found {
                prop_assert_eq!(block.start, at);
                prop_assert_eq!(Block::from_range(block.range()), Some(*block));
                let parent = block.parent();
                prop_assert!(parent.start < range.start || parent.range().end > range.end, "not maximal");
                at = block.range().end;
            }
            prop_assert_eq!(at, range.end);
        }
    }
}
