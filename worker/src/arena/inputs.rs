//! How inputs lie in the arena. For running: their number, one offset more, then the bytes. For combining: the
//! number of partial results, first index and length of each one's block, then the same.

use muster_core::reduce::Block;

/// The inputs of a range of tasks.
#[derive(Clone, Copy, Debug)]
pub struct RunInputs<'a> {
    /// One more than there are tasks; task i has `data[offsets[i]..offsets[i + 1]]`.
    pub offsets: &'a [u64],
    /// All inputs side by side.
    pub data: &'a [u8],
}

impl<'a> RunInputs<'a> {
    /// Reads what [`super::Arena::store_run`] wrote; `None` when the bytes do not hold it.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (count, rest) = split_words(bytes, 1)?;
        let (offsets, data) = split_words(rest, count.first()?.checked_add(1)?)?;
        Some(Self { offsets, data })
    }

    /// The inputs of `count` tasks from the task at position `from`; `None` when they are not there or
    /// their offsets do not rise.
    #[must_use]
    pub fn slice(self, from: usize, count: usize) -> Option<Self> {
        let end = from.checked_add(count)?.checked_add(1)?;
        let offsets = self.offsets.get(from..end)?;
        let sound = offsets.is_sorted() && offsets.last().is_some_and(|&end| end <= self.data.len() as u64);
        sound.then_some(Self { offsets, data: self.data })
    }
}

/// The partial results of a combine lease.
#[derive(Clone, Copy, Debug)]
pub struct CombineInputs<'a> {
    blocks: &'a [u64],
    partials: RunInputs<'a>,
}

impl<'a> CombineInputs<'a> {
    /// Reads what [`super::Arena::store_combine`] wrote.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (count, rest) = split_words(bytes, 1)?;
        let count = *count.first()?;
        let (blocks, rest) = split_words(rest, count.checked_mul(2)?)?;
        Some(Self { blocks, partials: RunInputs::parse(rest)?.slice(0, count as usize)? })
    }

    /// Each block with its partial result.
    pub fn iter(&self) -> impl Iterator<Item = (Block, &'a [u8])> + use<'a> {
        let partials = self.partials;
        let items =
            partials.offsets.windows(2).map(move |ends| &partials.data[ends[0] as usize..ends[1] as usize]);
        self.blocks.chunks_exact(2).map(|block| Block { start: block[0], size: block[1] }).zip(items)
    }
}

/// The first `count` words of `bytes`, which must be aligned for them, and the rest.
fn split_words(bytes: &[u8], count: u64) -> Option<(&[u64], &[u8])> {
    let len = usize::try_from(count).ok()?.checked_mul(size_of::<u64>())?;
    let (table, rest) = bytes.split_at_checked(len)?;
    // SAFETY: every bit pattern is a valid u64; align_to takes care of the address.
    let (before, words, after) = unsafe { table.align_to::<u64>() };
    (before.is_empty() && after.is_empty()).then_some((words, rest))
}
