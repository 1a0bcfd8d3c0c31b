//! The coordinator's disk: what was appended is durable after a while, and what was not is lost in a crash.

use super::partial::{Partial, bytes_of};
use muster_core::id::{JobId, LogPos};
use muster_core::range::{IndexRange, RangeSet};
use muster_core::reduce::Block;
use muster_core::scheduler::{Charges, FailureClass, JobSpec, RecoveredJob};
use muster_core::time::Time;
use std::collections::{BTreeMap, VecDeque};

/// An entry of the log.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Accepted { job: JobId, spec: JobSpec },
    Extended { job: JobId, range: IndexRange },
    Sealed { job: JobId },
    Commit { job: JobId, range: IndexRange, partial: Option<Partial> },
    Combined { job: JobId, block: Block, partial: Option<Partial> },
    Fail { job: JobId, index: u64 },
    Retry { job: JobId, index: u64, class: FailureClass, charged: u32 },
    Paused { job: JobId },
    Released { job: JobId, tasks: RangeSet },
    Ended { job: JobId },
}

impl Entry {
    pub(super) const fn job(&self) -> JobId {
        match self {
            Self::Accepted { job, .. }
            | Self::Extended { job, .. }
            | Self::Sealed { job }
            | Self::Commit { job, .. }
            | Self::Combined { job, .. }
            | Self::Fail { job, .. }
            | Self::Retry { job, .. }
            | Self::Paused { job }
            | Self::Released { job, .. }
            | Self::Ended { job } => *job,
        }
    }
}

/// Partial results by the first index of their block.
pub(super) type Partials = BTreeMap<u64, (Block, Partial)>;

/// Puts a partial result in place of those inside its block.
pub(super) fn keep(partials: &mut Partials, block: Block, partial: Option<&Partial>) {
    partials.retain(|&start, _| !block.range().contains(start));
    if let Some(partial) = partial {
        partials.insert(block.start, (block, partial.clone()));
    }
}

/// A job as the disk has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    spec: JobSpec,
    tasks: u64,
    sealed: bool,
    committed: RangeSet,
    failed: RangeSet,
    charged: BTreeMap<u64, Charges>,
    paused: bool,
    pub partials: Partials,
    pub ended: bool,
}

/// What is durable, and what is on its way there.
#[derive(Debug, Default)]
pub(super) struct Disk {
    waiting: VecDeque<(Time, LogPos, Entry)>,
    pub jobs: BTreeMap<JobId, Stored>,
    last: LogPos,
}

impl Disk {
    /// Appends an entry that is durable at `at`, or with the one before it when that is later; says when.
    pub(super) fn append(&mut self, at: Time, pos: LogPos, entry: Entry) -> Time {
        let at = self.waiting.back().map_or(at, |(last, ..)| at.max(*last));
        self.waiting.push_back((at, pos, entry));
        at
    }

    /// The next entry that has become durable.
    pub(super) fn settle(&mut self, now: Time) -> Option<Entry> {
        self.waiting.front().filter(|(at, ..)| *at <= now)?;
        self.store()
    }

    /// The disk had more than it said when the coordinator ended: so many entries of those on their way.
    pub(super) fn store(&mut self) -> Option<Entry> {
        let (_, pos, entry) = self.waiting.pop_front()?;
        self.last = pos;
        self.apply(&entry);
        Some(entry)
    }

    pub(super) fn waiting(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// What was not durable is gone; says the next place in the log.
    pub(super) fn crash(&mut self) -> LogPos {
        self.waiting.clear();
        LogPos(self.last.0 + 1)
    }

    pub(super) fn recovered(&self) -> Vec<RecoveredJob> {
        let live = self.jobs.iter().filter(|(_, job)| !job.ended);
        live.map(|(&job, stored)| RecoveredJob {
            job,
            spec: stored.spec.clone(),
            tasks: stored.tasks,
            bytes: 0,
            sealed: stored.sealed,
            committed: stored.committed.clone(),
            failed: stored.failed.clone(),
            charged: stored.charged.clone(),
            last_attempt: 0,
            paused: stored.paused,
            blocks: stored.partials.values().map(|(block, _)| (*block, bytes_of(block.range()))).collect(),
        })
        .collect()
    }

    fn apply(&mut self, entry: &Entry) {
        let stored = self.jobs.entry(entry.job()).or_default();
        match entry {
            Entry::Accepted { spec, .. } => {
                stored.spec = spec.clone();
                (stored.tasks, stored.sealed) = (spec.tasks, !spec.open);
            }
            Entry::Extended { range, .. } => stored.tasks = range.end,
            Entry::Sealed { .. } => stored.sealed = true,
            Entry::Commit { range, partial, .. } => {
                let mut good = RangeSet::from(*range);
                let failed: Vec<IndexRange> = stored.failed.overlap(*range).collect();
                for gone in failed {
                    good.remove(gone);
                }
                good.iter().for_each(|piece| stored.committed.insert(piece));
                stored.charged.retain(|index, _| !range.contains(*index));
                if stored.spec.reduce
                    && let Some(block) = Block::from_range(*range)
                {
                    keep(&mut stored.partials, block, partial.as_ref());
                }
            }
            Entry::Combined { block, partial, .. } => keep(&mut stored.partials, *block, partial.as_ref()),
            Entry::Fail { index, .. } => {
                stored.failed.insert(IndexRange::from_count(*index, 1));
                stored.charged.remove(index);
            }
            Entry::Retry { index, class, charged, .. } => {
                stored.charged.entry(*index).or_default().set(*class, *charged);
            }
            Entry::Paused { .. } => stored.paused = true,
            Entry::Released { tasks, .. } => {
                stored.paused = false;
                tasks.iter().for_each(|range| _ = stored.failed.remove(range));
            }
            Entry::Ended { .. } => {
                stored.ended = true;
                stored.partials.clear();
            }
        }
    }
}
