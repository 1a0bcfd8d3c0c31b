//! In which order a block runs its configurations.

use muster_core::random::Stream;

/// Keeps these draws apart from others that start from the same seed.
const PURPOSE: u64 = 0x006F_7264_6572; // "order"

/// A random order of the numbers `0..configurations` for each block, every order with the same chance. The same seed
/// and block give the same order.
///
/// Source: Fisher and Yates, "Statistical Tables", 1938, in the form of Durstenfeld, "Algorithm 235", 1964.
#[must_use]
pub fn block_order(seed: u64, block: u64, configurations: usize) -> Vec<usize> {
    let stream = Stream::new(seed).split(PURPOSE).split(block);
    let mut order: Vec<usize> = (0..configurations).collect();
    for last in (1..configurations).rev() {
        let drawn = below(last + 1, stream.bits(last as u64));
        order.swap(last, drawn);
    }
    order
}

/// A number in `0..bound` out of 64 random bits: the upper half of their product.
const fn below(bound: usize, bits: u64) -> usize {
    ((bits as u128 * bound as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_of_three_comes_equally_often() {
        let mut counts = std::collections::BTreeMap::new();
        for block in 0..6_000 {
            *counts.entry(block_order(7, block, 3)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        // 1,000 of each are expected; the standard deviation is 29.
        assert!(counts.values().all(|count| (885..=1_115).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_same_seed_and_block_give_the_same_permutation() {
        assert_eq!(block_order(1, 5, 9), block_order(1, 5, 9));
        assert_ne!(block_order(1, 5, 9), block_order(1, 6, 9));
        assert_ne!(block_order(1, 5, 9), block_order(2, 5, 9));
        let mut sorted = block_order(3, 0, 100);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_eq!(block_order(1, 1, 0), Vec::<usize>::new());
        assert_eq!(block_order(1, 1, 1), [0]);
    }
}
