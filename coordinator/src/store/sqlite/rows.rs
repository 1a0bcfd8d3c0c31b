//! Packed items as rows: neighbouring small items side by side in one row, each large item as a file.

use crate::store::blobs::{Blobs, Digest};
use crate::store::{INLINE_MAX_BYTES, Piece, StoreError};
use bytes::Bytes;
use muster_core::range::IndexRange;
use muster_proto::v1::Packed;
use rusqlite::{Row, RowIndex};

/// What a row holds of some items.
pub struct ItemsRow<'a> {
    /// The tasks.
    pub range: IndexRange,
    /// Bytes of each item; 0 when `lengths` says so.
    pub width: u32,
    /// Bytes of each item, little-endian `u32`s.
    pub lengths: Vec<u8>,
    /// The items.
    pub data: &'a [u8],
    /// Or the one item as a file.
    pub blob: Option<Digest>,
}

/// Calls `each` with rows that together hold all items.
pub fn split<'a>(
    range: IndexRange,
    items: &'a Packed,
    blobs: &Blobs,
    mut each: impl FnMut(ItemsRow<'a>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let small = |length: &u32| *length as usize <= INLINE_MAX_BYTES;
    if small(&items.width) && items.lengths.iter().all(small) {
        let lengths = lengths_to_bytes(&items.lengths);
        return each(ItemsRow { range, width: items.width, lengths, data: &items.data, blob: None });
    }
    let all_wide = vec![items.width; if items.lengths.is_empty() { range.len() as usize } else { 0 }];
    let lengths = if items.lengths.is_empty() { &all_wide } else { &items.lengths };
    let (mut index, mut at) = (range.start, 0);
    for run in lengths.chunk_by(|a, b| small(a) && small(b)) {
        let bytes: usize = run.iter().map(|&length| length as usize).sum();
        let data = &items.data[at..at + bytes];
        let range = IndexRange::from_count(index, run.len() as u64);
        if small(&run[0]) {
            each(ItemsRow { range, width: 0, lengths: lengths_to_bytes(run), data, blob: None })?;
        } else {
            let blob = Some(blobs.put(data)?);
            each(ItemsRow { range, width: run[0], lengths: Vec::new(), data: &[], blob })?;
        }
        index = range.end;
        at += bytes;
    }
    Ok(())
}

/// A column with a number that is never below zero.
pub fn whole(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<u64> {
    let column = column.idx(row.as_ref())?;
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// Reads a row of (start, count, width, lengths, data, blob) back. `None`: the row is damaged.
pub fn read(row: &Row<'_>, blobs: &Blobs) -> rusqlite::Result<Option<Piece>> {
    let (start, count) = (whole(row, 0)?, whole(row, 1)?);
    let width: u32 = row.get(2)?;
    let bytes = |column: usize| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_blob_or_null()?);
    let lengths = lengths_from_bytes(bytes(3)?.unwrap_or_default());
    let data = match bytes(5)? {
        None => Bytes::copy_from_slice(bytes(4)?.unwrap_or_default()),
        Some(blob) => match Digest::try_from(blob).ok().and_then(|digest| blobs.get(&digest).ok()) {
            Some(data) => data,
            None => return Ok(None),
        },
    };
    let expected = if lengths.is_empty() {
        u64::from(width).saturating_mul(count)
    } else {
        lengths.iter().map(|&length| u64::from(length)).sum()
    };
    let sound = data.len() as u64 == expected && (lengths.is_empty() || lengths.len() as u64 == count);
    let range = IndexRange::from_count(start, count);
    Ok(sound.then_some(Piece { range, items: Packed { width, lengths, data } }))
}

fn lengths_to_bytes(lengths: &[u32]) -> Vec<u8> {
    lengths.iter().flat_map(|length| length.to_le_bytes()).collect()
}

fn lengths_from_bytes(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks::<4>().0.iter().map(|&four| u32::from_le_bytes(four)).collect()
}
