//! The inputs of a job's tasks, from when they come in until their tasks have ended.
//!
//! They stay in the blocks they came in; leases get slices that share the bytes.

use muster_core::range::{IndexRange, RangeSet};
use muster_proto::packed::{Items, Packed, Packer};
use std::collections::BTreeMap;

/// Inputs by the index of their first task.
#[derive(Debug, Default)]
pub struct Inputs {
    blocks: BTreeMap<u64, Block>,
    /// Bytes of the blocks that are there.
    bytes: u64,
}

#[derive(Debug)]
struct Block {
    items: Items,
    /// Tasks that have not ended.
    undone: u64,
}

impl Inputs {
    /// Bytes of the inputs of tasks that have not ended, rounded up to whole blocks.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds the inputs of the tasks from `start`, of which those in `done` have ended.
    pub fn add(&mut self, start: u64, items: Items, done: &RangeSet) {
        let range = IndexRange::from_count(start, items.len() as u64);
        let ended: u64 = done.overlap(range).map(IndexRange::len).sum();
        let undone = range.len() - ended;
        if undone > 0 {
            self.bytes += weight(&items);
            self.blocks.insert(start, Block { items, undone });
        }
    }

    /// The inputs of the tasks in `range`; `None` when not all of them are there.
    #[must_use]
    pub fn slice(&self, range: IndexRange) -> Option<Packed> {
        let (&start, first) = self.blocks.range(..=range.start).next_back()?;
        let part = |start: u64, block: &Block| {
            let within = range.intersect(IndexRange::from_count(start, block.items.len() as u64));
            // Behind a gap, in a state that was damaged, a block may end before the range begins.
            if within.is_empty() {
                0..0
            } else {
                (within.start - start) as usize..(within.end - start) as usize
            }
        };
        let here = part(start, first);
        if here.len() as u64 == range.len() {
            return Some(first.items.slice(here));
        }
        let mut packer = Packer::new();
        for (&start, block) in self.blocks.range(start..range.end) {
            packer.push_items(&block.items, part(start, block));
        }
        (packer.len() as u64 == range.len()).then(|| packer.finish().into_packed())
    }

    /// Bytes of the inputs of the tasks in `range`, or of as many of them from the start as fit into `max`.
    #[must_use]
    pub fn fitting(&self, range: IndexRange, max: usize) -> u64 {
        let Some((&start, _)) = self.blocks.range(..=range.start).next_back() else { return range.len() };
        let mut left = max;
        let mut tasks = 0;
        for (&start, block) in self.blocks.range(start..range.end) {
            let within = range.intersect(IndexRange::from_count(start, block.items.len() as u64));
            if within.is_empty() {
                continue;
            }
            let (from, to) = ((within.start - start) as usize, (within.end - start) as usize);
            let bytes = block.items.bytes_of(from..to).len() + (to - from) * 5;
            if bytes <= left {
                (left, tasks) = (left - bytes, tasks + within.len());
                continue;
            }
            for at in from..to {
                let bytes = block.items.item(at).len() + 5;
                if bytes > left {
                    return tasks;
                }
                (left, tasks) = (left - bytes, tasks + 1);
            }
        }
        tasks
    }

    /// Forgets the inputs of tasks that ended; calls `gone` with each block that nobody needs any more.
    pub fn done(&mut self, range: IndexRange, mut gone: impl FnMut(IndexRange)) {
        let Some((&first, _)) = self.blocks.range(..=range.start).next_back() else { return };
        let mut empty = Vec::new();
        for (&start, block) in self.blocks.range_mut(first..range.end.max(first)) {
            let all = IndexRange::from_count(start, block.items.len() as u64);
            block.undone = block.undone.saturating_sub(all.intersect(range).len());
            if block.undone == 0 {
                empty.push(all);
            }
        }
        for all in empty {
            if let Some(block) = self.blocks.remove(&all.start) {
                self.bytes -= weight(&block.items);
            }
            gone(all);
        }
    }
}

/// Memory that items take: lengths are four bytes each, and are there unless the width is fixed.
fn weight(items: &Items) -> u64 {
    items.data().len() as u64 + 4 * items.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(packed: Packed, count: u64) -> Vec<String> {
        let items = Items::try_new(packed, count).unwrap();
        items.iter().map(|item| String::from_utf8(item.to_vec()).unwrap()).collect()
    }

    fn inputs() -> Inputs {
        let mut inputs = Inputs::default();
        inputs.add(0, Items::of(["a", "bb", "ccc"]), &RangeSet::new());
        inputs.add(3, Items::of(["dd", "ee"]), &RangeSet::new());
        inputs.add(5, Items::of(["f"]), &RangeSet::new());
        inputs
    }

    #[test]
    fn slices_within_and_across_blocks() {
        let inputs = inputs();
        assert_eq!(texts(inputs.slice(IndexRange::new(1, 3)).unwrap(), 2), ["bb", "ccc"]);
        assert_eq!(texts(inputs.slice(IndexRange::new(2, 6)).unwrap(), 4), ["ccc", "dd", "ee", "f"]);
        assert_eq!(inputs.slice(IndexRange::new(4, 7)), None);
        assert_eq!(inputs.slice(IndexRange::new(9, 11)), None);
    }

    #[test]
    fn forgets_a_block_when_all_its_tasks_ended() {
        let mut inputs = inputs();
        let mut gone = Vec::new();
        inputs.done(IndexRange::new(1, 4), |range| gone.push(range));
        assert_eq!(gone, []);
        inputs.done(IndexRange::new(0, 1), |range| gone.push(range));
        inputs.done(IndexRange::new(4, 6), |range| gone.push(range));
        assert_eq!(gone, [IndexRange::new(0, 3), IndexRange::new(3, 5), IndexRange::new(5, 6)]);
        assert_eq!(inputs.bytes(), 0);
    }

    #[test]
    fn says_how_many_fit() {
        let inputs = inputs();
        let all = IndexRange::new(0, 6);
        assert_eq!(inputs.fitting(all, 1000), 6);
        assert_eq!(inputs.fitting(all, 6 + 7), 2);
        assert_eq!(inputs.fitting(all, 6 + 7 + 8 + 7), 4);
        assert_eq!(inputs.fitting(all, 3), 0);
    }

    #[test]
    fn blocks_whose_tasks_ended_before_are_not_kept() {
        let mut inputs = Inputs::default();
        inputs.add(0, Items::of(["a", "b"]), &RangeSet::from(IndexRange::new(0, 2)));
        assert_eq!(inputs.bytes(), 0);
        inputs.add(2, Items::of(["c", "d"]), &RangeSet::from(IndexRange::new(0, 3)));
        let mut gone = 0;
        inputs.done(IndexRange::new(3, 4), |_| gone += 1);
        assert_eq!(gone, 1);
    }
}
