//! Task inputs and results side by side. [`Items`] is a checked [`Packed`]: the number of items is known and
//! fits the bytes, so taking items and slices of it cannot fail on what a peer sent. Bytes are shared, never
//! copied, when slicing; lengths are copied as one block.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

pub use crate::v1::Packed;

/// Items between two remembered sums of lengths.
const STRIDE: usize = 256;

/// What is wrong with a [`Packed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Both ways of saying lengths.
    #[error("it has a width and lengths at the same time")]
    TwoLayouts,
    /// Another number of lengths than of items.
    #[error("it has {found} lengths for {wanted} items")]
    Count {
        /// Lengths that are there.
        found: u64,
        /// Items that should be.
        wanted: u64,
    },
    /// Another number of bytes than the lengths say.
    #[error("it has {found} bytes where its lengths say {wanted}")]
    Bytes {
        /// Bytes that are there.
        found: u64,
        /// Bytes that should be.
        wanted: u64,
    },
}

/// Items with the proof that they are well formed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Items {
    len: usize,
    layout: Layout,
    data: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Layout {
    /// Every item has this many bytes.
    Fixed(u32),
    /// `sums[k]` is where item `k * STRIDE` begins.
    Varied { lengths: Vec<u32>, sums: Vec<u64> },
}

impl Default for Layout {
    fn default() -> Self {
        Self::Fixed(0)
    }
}

impl Items {
    /// The items of a message that says elsewhere how many there are.
    ///
    /// # Errors
    /// What does not fit.
    pub fn try_new(packed: Packed, count: u64) -> Result<Self, Malformed> {
        let Packed { width, lengths, data } = packed;
        if width != 0 && !lengths.is_empty() {
            return Err(Malformed::TwoLayouts);
        }
        let wrong_count = Malformed::Count { found: lengths.len() as u64, wanted: count };
        let len = usize::try_from(count).map_err(|_| wrong_count)?;
        let wanted = if lengths.is_empty() {
            u64::from(width).saturating_mul(count)
        } else if lengths.len() == len {
            sum(&lengths)
        } else {
            return Err(wrong_count);
        };
        if wanted != data.len() as u64 {
            return Err(Malformed::Bytes { found: data.len() as u64, wanted });
        }
        let layout = if lengths.is_empty() {
            Layout::Fixed(width)
        } else {
            let sums = sums(&lengths);
            Layout::Varied { lengths, sums }
        };
        Ok(Self { len, layout, data })
    }

    /// Packs items given one by one.
    pub fn of<T: AsRef<[u8]>>(items: impl IntoIterator<Item = T>) -> Self {
        let mut packer = Packer::new();
        items.into_iter().for_each(|item| packer.push(item.as_ref()));
        packer.finish()
    }

    /// How many items there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes of all items.
    #[must_use]
    pub const fn data(&self) -> &Bytes {
        &self.data
    }

    /// The bytes of the longest item.
    #[must_use]
    pub fn longest(&self) -> u32 {
        match &self.layout {
            Layout::Fixed(width) if self.len > 0 => *width,
            Layout::Fixed(_) => 0,
            Layout::Varied { lengths, .. } => lengths.iter().copied().max().unwrap_or(0),
        }
    }

    /// One item. Panics when there is no such item, as a slice does.
    #[must_use]
    pub fn item(&self, at: usize) -> &[u8] {
        &self.data[self.place(at)]
    }

    /// One item that shares its bytes.
    #[must_use]
    pub fn item_bytes(&self, at: usize) -> Bytes {
        self.data.slice(self.place(at))
    }

    /// Where the bytes of `range` lie in [`Items::data`]. Panics when the range reaches beyond the end.
    #[must_use]
    pub fn bytes_of(&self, range: Range<usize>) -> Range<usize> {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {} items", self.len);
        self.offset(range.start)..self.offset(range.end)
    }

    /// The items of `range` for the wire. Panics when the range reaches beyond the end.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Packed {
        let data = self.data.slice(self.bytes_of(range.clone()));
        match &self.layout {
            Layout::Fixed(width) => Packed { width: *width, lengths: Vec::new(), data },
            Layout::Varied { lengths, .. } => Packed { width: 0, lengths: lengths[range].to_vec(), data },
        }
    }

    /// All items for the wire.
    #[must_use]
    pub fn into_packed(self) -> Packed {
        match self.layout {
            Layout::Fixed(width) => Packed { width, lengths: Vec::new(), data: self.data },
            Layout::Varied { lengths, .. } => Packed { width: 0, lengths, data: self.data },
        }
    }

    /// The items in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + '_ {
        let mut rest = &self.data[..];
        (0..self.len).map(move |at| {
            let (item, behind) = rest.split_at(self.length(at));
            rest = behind;
            item
        })
    }

    /// Where each item begins, and at last the end of all: `len() + 1` numbers.
    pub fn offsets(&self) -> impl Iterator<Item = u64> + '_ {
        let mut at = 0;
        std::iter::once(0).chain((0..self.len).map(move |item| {
            at += self.length(item) as u64;
            at
        }))
    }

    fn length(&self, at: usize) -> usize {
        match &self.layout {
            Layout::Fixed(width) => *width as usize,
            Layout::Varied { lengths, .. } => lengths[at] as usize,
        }
    }

    fn place(&self, at: usize) -> Range<usize> {
        assert!(at < self.len, "item {at} of {} items", self.len);
        let start = self.offset(at);
        start..start + self.length(at)
    }

    fn offset(&self, at: usize) -> usize {
        match &self.layout {
            Layout::Fixed(width) => *width as usize * at,
            Layout::Varied { lengths, sums } => {
                let known = at / STRIDE;
                // Fits: it is at most the length of `data`.
                (sums[known] + sum(&lengths[known * STRIDE..at])) as usize
            }
        }
    }
}

/// Gathers items, as fixed-width ones for as long as they are.
#[derive(Clone, Debug, Default)]
pub struct Packer {
    len: usize,
    /// The length of every item so far, unless `lengths` has them.
    width: u32,
    lengths: Vec<u32>,
    data: BytesMut,
}

impl Packer {
    /// A packer without items.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many items it holds.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of all items so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.data.len()
    }

    /// Adds one item of less than 4 GiB.
    pub fn push(&mut self, item: &[u8]) {
        let length = u32::try_from(item.len()).expect("callers check items against a limit far below 4 GiB");
        self.push_lengths(&[length]);
        self.data.extend_from_slice(item);
    }

    /// Adds items that lie side by side.
    ///
    /// # Errors
    /// `data` has another number of bytes than the lengths say; nothing is added then.
    pub fn push_many(&mut self, lengths: &[u32], data: &[u8]) -> Result<(), Malformed> {
        let wanted = sum(lengths);
        if wanted != data.len() as u64 {
            return Err(Malformed::Bytes { found: data.len() as u64, wanted });
        }
        self.push_lengths(lengths);
        self.data.extend_from_slice(data);
        Ok(())
    }

    /// Adds items out of others.
    pub fn push_items(&mut self, items: &Items, range: Range<usize>) {
        let place = items.bytes_of(range.clone());
        match &items.layout {
            Layout::Fixed(width) => self.push_fixed(*width, range.len()),
            Layout::Varied { lengths, .. } => self.push_lengths(&lengths[range]),
        }
        self.data.extend_from_slice(&items.data[place]);
    }

    /// The items.
    #[must_use]
    pub fn finish(self) -> Items {
        let layout = if self.lengths.is_empty() {
            Layout::Fixed(self.width)
        } else {
            let sums = sums(&self.lengths);
            Layout::Varied { lengths: self.lengths, sums }
        };
        Items { len: self.len, layout, data: self.data.freeze() }
    }

    fn push_fixed(&mut self, width: u32, count: usize) {
        if count == 0 {
            return;
        }
        if self.len == 0 {
            self.width = width;
        } else if width != self.width || !self.lengths.is_empty() {
            self.write_lengths_out();
            self.lengths.resize(self.len + count, width);
        }
        self.len += count;
    }

    fn push_lengths(&mut self, lengths: &[u32]) {
        let Some(&first) = lengths.first() else { return };
        if self.len == 0 {
            self.width = first;
        }
        if !self.lengths.is_empty() || lengths.iter().any(|&length| length != self.width) {
            self.write_lengths_out();
            self.lengths.extend_from_slice(lengths);
        }
        self.len += lengths.len();
    }

    /// From here on every item has a length of its own.
    fn write_lengths_out(&mut self) {
        if self.lengths.is_empty() {
            self.lengths.resize(self.len, self.width);
        }
    }
}

impl Packed {
    /// Items with the given lengths side by side in `data`; equal lengths are sent as one width. The caller
    /// answers for the lengths: the receiver checks them.
    #[must_use]
    pub fn from_lengths(lengths: Vec<u32>, data: Bytes) -> Self {
        match lengths.first() {
            Some(&width) if lengths.iter().all(|&length| length == width) => {
                Self { width, lengths: Vec::new(), data }
            }
            _ => Self { width: 0, lengths, data },
        }
    }
}

/// All items of several parts, one behind the other. A single part is not copied.
#[must_use]
pub fn concat(mut parts: Vec<Items>) -> Items {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    let mut packer = Packer::new();
    packer.data.reserve(parts.iter().map(|part| part.data.len()).sum());
    for part in &parts {
        packer.push_items(part, 0..part.len());
    }
    packer.finish()
}

fn sum(lengths: &[u32]) -> u64 {
    lengths.iter().map(|&length| u64::from(length)).sum()
}

fn sums(lengths: &[u32]) -> Vec<u64> {
    // One more than there are full strides, so that the end has a sum as well.
    let mut sums = Vec::with_capacity(lengths.len() / STRIDE + 1);
    let mut at = 0;
    sums.push(0);
    for stride in lengths.chunks_exact(STRIDE) {
        at += sum(stride);
        sums.push(at);
    }
    sums
}
