//! The inputs of leases, in one shared file per job: the agent writes them once when a lease arrives, the
//! executors read them in place, and the room is used again when the lease is done.

mod allocator;
mod inputs;
mod view;

pub use allocator::{Allocator, Place};
pub use inputs::{CombineInputs, RunInputs};
pub use view::{ArenaReader, ArenaView};

use crate::os::memory;
use muster_core::reduce::Block;
use muster_proto::packed::Items;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// The most bytes of inputs that one job may have on one worker.
pub const ARENA_BYTES_MAX: u64 = 16 << 30;
/// Areas from this size on are given back to the machine as soon as they are free.
const PUNCH_BYTES: u64 = 1 << 20;
/// Pages are given back in this unit.
const PAGE_BYTES: u64 = 4096;

/// The agent's side: writes inputs, never reads them.
#[derive(Debug)]
pub struct Arena {
    file: File,
    for_executors: OwnedFd,
    allocator: Allocator,
    /// Everything from 0 to here may hold pages that were written.
    touched: u64,
}

impl Arena {
    /// An arena without room; it grows as inputs come.
    pub fn create() -> io::Result<Self> {
        let fd = memory::shared_file(c"muster-inputs", 0)?;
        let for_executors = memory::read_only(&fd)?;
        Ok(Self { file: fd.into(), for_executors, allocator: Allocator::new(ARENA_BYTES_MAX), touched: 0 })
    }

    /// The read-only descriptor to give to an executor.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.for_executors.as_fd()
    }

    /// Bytes in use.
    #[must_use]
    pub const fn used(&self) -> u64 {
        self.allocator.used()
    }

    /// Stores the inputs of a lease's tasks side by side.
    pub fn store_run(&mut self, inputs: &Items) -> io::Result<Place> {
        let table: Vec<u64> = std::iter::once(inputs.len() as u64).chain(inputs.offsets()).collect();
        self.write(&table, inputs.data())
    }

    /// Stores the partial results of a combine lease, one for each of `blocks` .
    pub fn store_combine(&mut self, partials: &Items, blocks: &[Block]) -> io::Result<Place> {
        if blocks.len() != partials.len() {
            let text = format!("{} partial results for {} blocks", partials.len(), blocks.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let mut table = vec![blocks.len() as u64];
        table.extend(blocks.iter().flat_map(|block| [block.start, block.size]));
        table.push(partials.len() as u64);
        table.extend(partials.offsets());
        self.write(&table, partials.data())
    }

    /// Makes the room free again.
    pub fn free(&mut self, place: Place) {
        if !self.allocator.free(place) {
            return;
        }
        let punch = if self.allocator.used() == 0 && self.touched >= PUNCH_BYTES {
            std::mem::take(&mut self.touched);
            Some((0, self.allocator.capacity()))
        } else if place.len >= PUNCH_BYTES {
            Some((place.at, place.at + place.len))
        } else {
            None
        };
        if let Some((start, end)) = punch {
            let (start, end) = (start.next_multiple_of(PAGE_BYTES), end / PAGE_BYTES * PAGE_BYTES);
            // A machine that cannot punch holes only keeps the memory longer.
            let _ = punch_hole(&self.file, start, end);
        }
    }

    fn write(&mut self, table: &[u64], data: &[u8]) -> io::Result<Place> {
        let len = size_of_val(table) as u64 + data.len() as u64;
        let place = match self.allocator.take(len) {
            Some(place) => place,
            None => self.grow(len)?,
        };
        let mut bytes = Vec::with_capacity(size_of_val(table));
        table.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        self.file.write_all_at(&bytes, place.at)?;
        self.file.write_all_at(data, place.at + bytes.len() as u64)?;
        self.touched = self.touched.max(place.at + place.len);
        Ok(place)
    }

    fn grow(&mut self, len: u64) -> io::Result<Place> {
        let Some(capacity) = self.allocator.capacity_for(len) else {
            let text = format!("inputs of one job on this worker exceed {ARENA_BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::StorageFull, text));
        };
        self.file.set_len(capacity)?;
        self.allocator.grow(capacity);
        self.allocator.take(len).ok_or_else(|| io::Error::from(io::ErrorKind::StorageFull))
    }
}

fn punch_hole(file: &File, start: u64, end: u64) -> io::Result<()> {
    if end <= start {
        return Ok(());
    }
    memory::punch_hole(file.as_fd(), start, end - start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(arena: &Arena) -> ArenaReader {
        ArenaReader::new(ArenaView::new(arena.fd().try_clone_to_owned().unwrap()).into())
    }

    #[test]
    fn what_is_stored_is_read_in_place() {
        let mut arena = Arena::create().unwrap();
        let mut reader = reader(&arena);
        let first = arena.store_run(&Items::of(["one", "", "three"])).unwrap();
        let inputs = RunInputs::parse(reader.bytes(first.at, first.len).unwrap()).unwrap();
        assert_eq!(inputs.offsets, [0, 3, 3, 8]);
        assert_eq!(inputs.data, b"onethree");
        let second = arena.store_run(&Items::of(["aa", "bb", "cc"])).unwrap();
        let inputs = RunInputs::parse(reader.bytes(second.at, second.len).unwrap()).unwrap();
        assert_eq!((inputs.offsets, inputs.data), (&[0, 2, 4, 6][..], &b"aabbcc"[..]));
        arena.free(first);
        arena.free(second);
        assert_eq!(arena.used(), 0);
    }

    #[test]
    fn a_reader_follows_when_the_arena_grows() {
        let mut arena = Arena::create().unwrap();
        let mut reader = reader(&arena);
        let small = arena.store_run(&Items::of(["x"])).unwrap();
        assert!(reader.bytes(small.at, small.len).is_ok());
        let big = vec![7u8; 5 << 20];
        let place = arena.store_run(&Items::of([&big])).unwrap();
        let inputs = RunInputs::parse(reader.bytes(place.at, place.len).unwrap()).unwrap();
        assert!(inputs.data == big);
        assert!(reader.bytes(1 << 40, 8).is_err());
        assert!(reader.bytes(u64::MAX, 8).is_err());
    }

    #[test]
    fn partials_come_with_their_blocks() {
        let mut arena = Arena::create().unwrap();
        let blocks = [Block { start: 0, size: 8 }, Block { start: 8, size: 4 }];
        let place = arena.store_combine(&Items::of(["left", "right"]), &blocks).unwrap();
        let mut reader = reader(&arena);
        let inputs = CombineInputs::parse(reader.bytes(place.at, place.len).unwrap()).unwrap();
        let found: Vec<_> = inputs.iter().collect();
        assert_eq!(found, [(blocks[0], &b"left"[..]), (blocks[1], &b"right"[..])]);
    }

    #[test]
    fn another_number_of_partials_than_blocks_is_refused() {
        let mut arena = Arena::create().unwrap();
        assert!(arena.store_combine(&Items::of(["one"]), &[]).is_err());
        assert_eq!(arena.used(), 0);
    }

    #[test]
    fn freed_memory_goes_back_to_the_machine() {
        let mut arena = Arena::create().unwrap();
        let blocks = |arena: &Arena| std::os::unix::fs::MetadataExt::blocks(&arena.file.metadata().unwrap());
        let place = arena.store_run(&Items::of([vec![1u8; 8 << 20]])).unwrap();
        let before = blocks(&arena);
        arena.free(place);
        assert!(blocks(&arena) < before / 10, "{} of {before} blocks left", blocks(&arena));
    }
}
