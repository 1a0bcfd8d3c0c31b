//! The checksum of a job's outputs: the same however leases were cut and whoever ran them.
//!
//! Every task adds one 64-bit number to a wrapping sum, so the order does not matter and parts can be added
//! up. The number of the task with index `i` and the bytes `b`, `n` of them, is
//!
//! ```text
//! h = mix(i + 1)                            mix is the finalizer of splitmix64
//! for each 8 bytes w of b, little-endian, the last ones filled up with zeros:
//!     h = mix(h ^ w)
//! number = mix(h ^ n)
//! ```
//!
//! The reduced output of a job counts as a task with index 0. The sum finds mistakes, not forgery.

use muster_core::range::IndexRange;
use muster_proto::v1::Packed;

/// The finalizer of splitmix64 (Steele, Lea, Flood 2014), over a number that is never 0 for it.
#[must_use]
pub const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What one task adds.
#[must_use]
pub fn of_task(index: u64, bytes: &[u8]) -> u64 {
    let mut hash = mix(index.wrapping_add(1));
    let (words, rest) = bytes.as_chunks::<8>();
    for &word in words {
        hash = mix(hash ^ u64::from_le_bytes(word));
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = mix(hash ^ u64::from_le_bytes(word));
    }
    mix(hash ^ bytes.len() as u64)
}

/// What the tasks of `range` add, whose results are `items`.
#[must_use]
pub fn of_items(range: IndexRange, items: &Packed) -> u64 {
    let data = &items.data[..];
    if !items.lengths.is_empty() {
        return of_lengths(range.start, &items.lengths, data);
    }
    let indexes = range.start..range.end;
    match items.width as usize {
        0 => indexes.fold(0, |sum, index| sum.wrapping_add(mix(mix(index.wrapping_add(1))))),
        // Three mixes without a branch: four lanes run side by side in one core.
        8 => indexes.zip(data.as_chunks::<8>().0).fold(0, |sum, (index, &word)| {
            let hash = mix(mix(index.wrapping_add(1)) ^ u64::from_le_bytes(word));
            sum.wrapping_add(mix(hash ^ 8))
        }),
        width => indexes
            .zip(data.chunks_exact(width))
            .fold(0, |sum, (index, item)| sum.wrapping_add(of_task(index, item))),
    }
}

fn of_lengths(start: u64, lengths: &[u32], mut data: &[u8]) -> u64 {
    let mut sum = 0u64;
    for (index, &length) in (start..).zip(lengths) {
        let (item, rest) = data.split_at(length as usize);
        sum = sum.wrapping_add(of_task(index, item));
        data = rest;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(width: u32, lengths: &[u32], data: &[u8]) -> Packed {
        Packed { width, lengths: lengths.to_vec(), data: data.to_vec().into() }
    }

    #[test]
    fn does_not_depend_on_how_items_are_packed_or_cut() {
        let data: Vec<u8> = (0..80).collect();
        let whole = of_items(IndexRange::new(5, 15), &packed(8, &[], &data));
        assert_eq!(whole, of_items(IndexRange::new(5, 15), &packed(0, &[8; 10], &data)));
        let left = of_items(IndexRange::new(5, 8), &packed(8, &[], &data[..24]));
        let right = of_items(IndexRange::new(8, 15), &packed(8, &[], &data[24..]));
        assert_eq!(whole, right.wrapping_add(left));
        let single =
            (5..15).zip(data.chunks(8)).fold(0, |sum: u64, (i, item)| sum.wrapping_add(of_task(i, item)));
        assert_eq!(whole, single);
        assert_eq!(
            of_items(IndexRange::new(3, 6), &packed(0, &[], &[])),
            of_items(IndexRange::new(3, 6), &packed(0, &[0; 3], &[]))
        );
    }

    #[test]
    fn sees_swapped_missing_and_padded_results() {
        let one = of_task(1, b"a").wrapping_add(of_task(2, b"b"));
        assert_ne!(one, of_task(1, b"b").wrapping_add(of_task(2, b"a")));
        assert_ne!(one, of_task(1, b"a"));
        assert_ne!(of_task(0, b""), of_task(0, b"\0"));
        assert_ne!(of_task(0, b"a"), of_task(0, b"a\0"));
        assert_ne!(of_task(0, b""), 0);
    }
}
