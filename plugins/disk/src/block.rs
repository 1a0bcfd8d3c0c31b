//! The memory of one block, where devices can reach it.

use muster_sdk::Random;

/// What O_DIRECT asks for, of memory, offsets and lengths.
pub const ALIGNMENT: usize = 4_096;

/// Memory of one block, aligned.
#[derive(Debug)]
pub struct Block {
    room: Vec<u8>,
    begin: usize,
    length: usize,
}

impl Block {
    /// A block of so many bytes, at most 64 MiB, all 0.
    pub fn new(length: u64) -> Self {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let room = vec![0; length.saturating_add(ALIGNMENT)];
        let begin = room.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self { room, begin, length }
    }

    /// Fills it with numbers that no file system can make smaller.
    pub fn fill(&mut self, random: &mut Random) {
        random.fill(self.bytes_mut());
    }

    pub fn bytes(&self) -> &[u8] {
        &self.room[self.begin..self.begin + self.length]
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.room[self.begin..self.begin + self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_and_as_long_as_asked() {
        for length in [512, 4_096, 65_536] {
            let mut block = Block::new(length);
            assert_eq!(block.bytes().len() as u64, length);
            assert_eq!(block.bytes().as_ptr().align_offset(ALIGNMENT), 0);
            block.fill(&mut Random::new(1));
            assert!(block.bytes().iter().any(|byte| *byte != 0));
        }
    }
}
