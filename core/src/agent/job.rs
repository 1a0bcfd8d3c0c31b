//! A job on this worker: its page entries, the pieces that wait for one, and its executors' places.

use super::Agent;
use super::io::{Input, Output, PluginKey};
use crate::id::{ExecutorId, JobId, LeaseId};
use crate::page::ENTRIES;
use crate::range::{IndexRange, RangeSet};
use crate::shape::Shape;
use crate::time::Time;
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

#[derive(Debug)]
pub(super) struct Job {
    pub(super) shape: Shape,
    pub(super) plugin: PluginKey,
    pub(super) reusable: bool,
    pub(super) reduce: bool,
    /// It is over; its executors are ending.
    pub(super) closing: bool,
    /// The executor at each place of the shape.
    pub(super) places: Vec<Option<ExecutorId>>,
    /// What the page holds.
    entries: Vec<Option<Piece>>,
    /// What waits for a free entry.
    pub(super) waiting: VecDeque<Piece>,
    /// Threads that may claim, as last said.
    pub(super) allowed: u32,
    /// Executors that ended in a row without having become ready.
    pub(super) failed_starts: u32,
    /// Tasks one of which ended an executor while several ran: until they are done, one thread runs alone, so
    /// that the next crash has one culprit.
    pub(super) suspects: Vec<(LeaseId, IndexRange)>,
    /// What came for a new life of this job before the old one was gone.
    deferred: Vec<Input>,
}

/// Tasks of a lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) lease: LeaseId,
    pub(super) range: IndexRange,
}

impl Job {
    pub(super) fn new(shape: Shape, plugin: PluginKey, reusable: bool, reduce: bool) -> Self {
        Self {
            shape,
            plugin,
            reusable,
            reduce,
            closing: false,
            places: vec![None; shape.processes as usize],
            entries: vec![None; ENTRIES],
            waiting: VecDeque::new(),
            allowed: 0,
            failed_starts: 0,
            suspects: Vec::new(),
            deferred: Vec::new(),
        }
    }

    pub(super) fn entry(&self, at: usize) -> Option<Piece> {
        self.entries.get(at).copied().flatten()
    }

    /// The entries that hold tasks of a lease, with the first index each was published with.
    pub(super) fn published(&self, lease: LeaseId) -> impl Iterator<Item = (u64, usize)> + '_ {
        self.entries.iter().enumerate().filter_map(move |(at, piece)| {
            piece.filter(|piece| piece.lease == lease).map(|piece| (piece.range.start, at))
        })
    }

    /// Whether its threads can find something to claim, as far as is known.
    pub(super) fn has_tasks(&self) -> bool {
        !self.closing && (!self.waiting.is_empty() || self.entries.iter().any(Option::is_some))
    }
}

impl Agent {
    /// Whether an input has to wait until an earlier life of its job is gone.
    pub(super) fn defer(&mut self, now: Time, input: Input) -> Option<Input> {
        let job = match &input {
            Input::Open { job, .. } | Input::Close { job, .. } => *job,
            Input::Grant(grant) => grant.job,
            _ => return Some(input),
        };
        let Some(view) = self.jobs.get_mut(&job).filter(|view| view.closing) else { return Some(input) };
        let reopens = matches!(input, Input::Open { .. });
        if reopens || !view.deferred.is_empty() {
            view.deferred.push(input);
        }
        if reopens {
            self.stop_executors(now, job, true);
        }
        None
    }

    /// A new session: everything of the old one is void.
    pub(super) fn on_attached(&mut self, now: Time) {
        let jobs: Vec<JobId> = self.jobs.keys().copied().collect();
        for job in jobs {
            if let Some(view) = self.jobs.get_mut(&job) {
                view.deferred.clear();
            }
            self.close(now, job, true);
        }
    }

    pub(super) fn on_open(&mut self, id: JobId, job: Job) {
        if self.jobs.contains_key(&id) {
            return;
        }
        self.outputs.push_back(Output::MakePage { job: id, shape: job.shape });
        self.jobs.insert(id, job);
        self.staff_job(id);
    }

    pub(super) fn close(&mut self, now: Time, id: JobId, cancel: bool) {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| !job.closing) else { return };
        job.closing = true;
        job.waiting.clear();
        job.entries.fill(None);
        job.suspects.clear();
        self.drop_leases(id);
        if cancel {
            self.outputs.push_back(Output::CancelTasks { job: id });
        }
        self.release_executors(now, id, cancel);
        self.share_slots();
        self.forget_when_empty(now, id);
    }

    /// Drops a closed job once its executors are gone, and starts its next life when one waits.
    pub(super) fn forget_when_empty(&mut self, now: Time, id: JobId) {
        let empty =
            self.jobs.get(&id).is_some_and(|job| job.closing && job.places.iter().all(Option::is_none));
        if !empty {
            return;
        }
        let deferred = self.jobs.remove(&id).map(|job| job.deferred).unwrap_or_default();
        self.outputs.push_back(Output::ForgetJob { job: id });
        for input in deferred {
            self.handle(now, input);
        }
    }

    /// Takes tasks up for the page.
    pub(super) fn queue(&mut self, id: JobId, lease: LeaseId, range: IndexRange) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.waiting.push_back(Piece { lease, range });
        self.publish(id);
    }

    /// Puts waiting pieces into free entries.
    fn publish(&mut self, id: JobId) {
        self.share_slots();
        let Some(job) = self.jobs.get_mut(&id) else { return };
        for entry in 0..job.entries.len() {
            if job.waiting.is_empty() {
                break;
            }
            if job.entries[entry].is_some() {
                continue;
            }
            let Some(piece) = job.waiting.pop_front() else { break };
            job.entries[entry] = Some(piece);
            let Piece { lease, range } = piece;
            let whole = self.leases.get(&lease).is_some_and(|lease| lease.whole);
            self.outputs.push_back(Output::Publish { job: id, entry, lease, range, whole });
        }
    }

    /// All tasks of an entry were claimed: it is free, and the job goes to the back of the queue for slots.
    pub(super) fn on_drained(&mut self, id: JobId, entry: usize) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.entries.get_mut(entry).and_then(Option::take).is_none() {
            return;
        }
        self.turns.retain(|&turn| turn != id);
        self.publish(id);
    }

    /// Publishes again what is owed and neither waits nor stands in the page.
    pub(super) fn on_quiet(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id).filter(|job| !job.has_tasks() && !job.closing) else { return };
        if job.places.iter().all(Option::is_none) {
            return;
        }
        let owed: Vec<(LeaseId, RangeSet)> = self
            .leases
            .iter()
            .filter(|(_, lease)| lease.job == id)
            .map(|(&lease, view)| (lease, view.outstanding.clone()))
            .collect();
        for (lease, tasks) in owed {
            for range in tasks.iter() {
                self.queue(id, lease, range);
            }
        }
    }
}
