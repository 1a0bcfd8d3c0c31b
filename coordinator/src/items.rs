//! Parts of packed items.

use crate::store::Piece;
use bytes::Bytes;
use muster_core::range::IndexRange;
use muster_proto::v1::Packed;

/// Bytes that packed items take, lengths included.
#[must_use]
pub fn weight(items: &Packed) -> usize {
    items.data.len() + items.lengths.len() * 4
}

/// Copies the items of the tasks `within` out of items that begin with task `start`, until `bytes_max` are
/// reached; the first one is taken however large it is. `within` must lie in the items and hold a task.
#[must_use]
pub fn copy_part(
    start: u64,
    count: u64,
    width: u32,
    lengths: &[u32],
    data: &[u8],
    within: IndexRange,
    bytes_max: usize,
) -> Piece {
    debug_assert!(start <= within.start && within.end <= start + count && !within.is_empty());
    let skip = (within.start - start) as usize;
    let wanted = within.len() as usize;
    if lengths.is_empty() {
        let width_bytes = width as usize;
        let fits = bytes_max.checked_div(width_bytes).unwrap_or(wanted).clamp(1, wanted);
        let data = Bytes::copy_from_slice(&data[skip * width_bytes..(skip + fits) * width_bytes]);
        let range = IndexRange::from_count(within.start, fits as u64);
        return Piece { range, items: Packed { width, lengths: Vec::new(), data } };
    }
    let from: usize = lengths[..skip].iter().map(|&length| length as usize).sum();
    let (mut taken, mut to) = (0, from);
    for &length in &lengths[skip..skip + wanted] {
        if taken > 0 && to - from + length as usize + taken * 4 > bytes_max {
            break;
        }
        to += length as usize;
        taken += 1;
    }
    let range = IndexRange::from_count(within.start, taken as u64);
    let lengths = lengths[skip..skip + taken].to_vec();
    Piece { range, items: Packed { width, lengths, data: Bytes::copy_from_slice(&data[from..to]) } }
}
