//! Blocks: which, and there and back.

use crate::block::{ALIGNMENT, Block};
use crate::failure::Failure;
use muster_sdk::{Error, Random};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// A file cut into blocks.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Bytes of the file.
    pub size: u64,
    /// Bytes of a block.
    pub block: u64,
}

/// Which block is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The one behind the last.
    Sequential,
    /// Any, with the same chance.
    Random,
}

impl Extent {
    /// # Errors
    /// The file is not made of whole blocks, or a block cannot go past the page cache.
    pub fn new(size: u64, block: u64, direct: bool) -> Result<Self, Error> {
        if !size.is_multiple_of(block) {
            let (below, above) = (size / block * block, size.div_ceil(block) * block);
            let near = if below == 0 { above } else { below };
            return Err(Error::params(format_args!(
                "size={size} is no multiple of block={block}; take size={near}"
            )));
        }
        if direct && !block.is_multiple_of(ALIGNMENT as u64) {
            return Err(Error::params(format_args!(
                "block={block} is no multiple of {ALIGNMENT}, which direct=true needs"
            )));
        }
        Ok(Self { size, block })
    }

    /// How many blocks there are.
    pub const fn blocks(&self) -> u64 {
        self.size / self.block
    }

    /// Where the block is that comes at this place in the order.
    pub fn offset(&self, order: Order, number: u64, random: &mut Random) -> u64 {
        let block = match order {
            Order::Sequential => number,
            Order::Random => random.below(self.blocks()),
        };
        block * self.block
    }
}

/// Writes a block; with `syncs` it is on the device then.
pub fn write(file: &File, at: u64, block: &Block, syncs: bool) -> io::Result<()> {
    file.write_all_at(block.bytes(), at)?;
    if syncs { file.sync_data() } else { Ok(()) }
}

/// Reads a block.
pub fn read(file: &File, at: u64, block: &mut Block) -> io::Result<()> {
    file.read_exact_at(block.bytes_mut(), at)
}

/// How long a step took.
pub fn timed(step: impl FnOnce() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let begin = Instant::now();
    step()?;
    Ok(begin.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_made_of_whole_blocks() {
        assert_eq!(Extent::new(8_192, 4_096, true).unwrap().blocks(), 2);
        for (size, block, direct, words) in [
            (8_193, 4_096, false, "take size=8192"),
            (1_000, 4_096, false, "take size=4096"),
            (8_192, 1_024, true, "multiple of 4096"),
        ] {
            let error = Extent::new(size, block, direct).unwrap_err();
            assert!(error.message().contains(words), "{error}");
        }
    }

    #[test]
    fn offsets_are_within_the_file() {
        let extent = Extent::new(40_960, 4_096, false).unwrap();
        let mut random = Random::new(1);
        let sequential: Vec<u64> =
            (0..10).map(|n| extent.offset(Order::Sequential, n, &mut random)).collect();
        assert!(sequential.iter().zip(0..).all(|(at, n)| *at == n * 4_096));
        let drawn: Vec<u64> = (0..1_000).map(|n| extent.offset(Order::Random, n, &mut random)).collect();
        assert!(drawn.iter().all(|at| at % 4_096 == 0 && *at < 40_960));
        assert!((0..10).all(|n| drawn.contains(&(n * 4_096))));
    }

    #[test]
    fn a_block_comes_back_as_it_was_written() {
        let file = tempfile::tempfile().unwrap();
        let (mut block, mut other) = (Block::new(4_096), Block::new(4_096));
        block.fill(&mut Random::new(3));
        write(&file, 8_192, &block, true).unwrap();
        read(&file, 8_192, &mut other).unwrap();
        assert_eq!(block.bytes(), other.bytes());
        assert!(read(&file, 12_288, &mut other).is_err(), "behind the end");
    }
}
