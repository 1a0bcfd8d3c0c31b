//! The blocks of results and the failures that came last, of all jobs together: what a task stream is drawn from. One
//! bounded ring of plain numbers, written only where somebody may look at it.

use super::{Driver, Refusal};
use muster_core::id::{JobId, WorkerId};
use muster_core::range::IndexRange;
use muster_core::time::Span;
use std::collections::{BTreeMap, VecDeque};

/// Blocks that are kept.
const BLOCKS_MAX: usize = 8_192;

/// Results or a failure that came in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The number of the block among those of all jobs.
    pub sequence: u64,
    /// The job.
    pub job: JobId,
    /// Who ran them.
    pub worker: WorkerId,
    /// When the last of them had ended, else when they came: nanoseconds of Unix time.
    pub ended_ns: u64,
    /// The executor's number on the worker, and the thread of that executor; `None`: not known.
    pub thread: Option<(u64, u32)>,
    /// Thread time spent on them.
    pub busy: Span,
    /// The tasks.
    pub range: IndexRange,
    /// It is a failed attempt of one task.
    pub failed: bool,
}

/// What is asked about the blocks of a job.
#[derive(Clone, Copy, Debug)]
pub struct BlocksAsk {
    /// The job.
    pub job: JobId,
    /// Blocks below this number are known.
    pub from: u64,
    /// The last so many at the most.
    pub limit: usize,
}

/// The last blocks of a job.
#[derive(Clone, Debug, Default)]
pub struct LastBlocks {
    /// The blocks, oldest first.
    pub blocks: Vec<Block>,
    /// The names of the workers in them that are there.
    pub workers: BTreeMap<WorkerId, String>,
    /// The number that the next block gets.
    pub next: u64,
}

/// The ring.
#[derive(Debug)]
pub struct Blocks {
    wanted: bool,
    next: u64,
    ring: VecDeque<Block>,
}

impl Blocks {
    /// An empty ring; one that nobody wants stays empty.
    pub const fn new(wanted: bool) -> Self {
        Self { wanted, next: 1, ring: VecDeque::new() }
    }

    /// A worker reported this.
    pub fn add(
        &mut self,
        (job, worker): (JobId, WorkerId),
        (ended_ns, thread): (u64, Option<(u64, u32)>),
        busy: Span,
        range: IndexRange,
        failed: bool,
    ) {
        if !self.wanted {
            return;
        }
        if self.ring.len() == BLOCKS_MAX {
            self.ring.pop_front();
        }
        self.ring.push_back(Block {
            sequence: self.next,
            job,
            worker,
            ended_ns,
            thread,
            busy,
            range,
            failed,
        });
        self.next += 1;
    }

    /// The last blocks of a job, oldest first.
    fn last(&self, ask: BlocksAsk) -> Vec<Block> {
        // Numbers have no gaps: what is known lies before this place.
        let first = self.next - self.ring.len() as u64;
        let known = usize::try_from(ask.from.saturating_sub(first)).unwrap_or(usize::MAX);
        let new = self.ring.range(known.min(self.ring.len())..).rev();
        let mut blocks: Vec<Block> =
            new.filter(|block| block.job == ask.job).take(ask.limit).copied().collect();
        blocks.reverse();
        blocks
    }
}

impl Driver {
    /// The last blocks of a job.
    pub(super) fn last_blocks(&self, ask: BlocksAsk) -> Result<LastBlocks, Refusal> {
        let blocks = self.blocks.last(ask);
        let mut workers = BTreeMap::new();
        for block in &blocks {
            if let Some(worker) = self.workers.get(&block.worker) {
                workers.entry(block.worker).or_insert_with(|| worker.hello.name.clone());
            }
        }
        Ok(LastBlocks { blocks, workers, next: self.blocks.next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: u64) -> Blocks {
        let mut blocks = Blocks::new(true);
        for number in 0..count {
            let of = (JobId(number % 2), WorkerId(1));
            blocks.add(of, (number, Some((1, 0))), Span(5), IndexRange::from_count(number, 1), false);
        }
        blocks
    }

    #[test]
    fn the_last_of_a_job_are_given_and_each_once() {
        let blocks = filled(3 * BLOCKS_MAX as u64);
        let ask = BlocksAsk { job: JobId(1), from: 0, limit: 3 };
        let last: Vec<u64> = blocks.last(ask).iter().map(|block| block.range.start).collect();
        let end = 3 * BLOCKS_MAX as u64 - 1;
        assert_eq!(last, [end - 4, end - 2, end]);
        let all = blocks.last(BlocksAsk { limit: usize::MAX, ..ask });
        assert_eq!(all.len(), BLOCKS_MAX / 2);
        // The block of index i has number i + 1.
        let from = end - 1;
        let new: Vec<u64> = blocks.last(BlocksAsk { from, ..ask }).iter().map(|it| it.sequence).collect();
        assert_eq!(new, [end - 1, end + 1]);
        assert_eq!(blocks.last(BlocksAsk { from: blocks.next, ..ask }), []);
        assert_eq!(blocks.last(BlocksAsk { from: u64::MAX, ..ask }), []);
    }

    #[test]
    fn nothing_is_kept_where_nobody_looks() {
        let mut blocks = Blocks::new(false);
        blocks.add((JobId(1), WorkerId(1)), (1, None), Span(1), IndexRange::from_count(0, 1), true);
        assert_eq!((blocks.ring.len(), blocks.next), (0, 1));
    }
}
