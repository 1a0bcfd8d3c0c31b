//! A job on this worker: its page entries, the pieces that wait for one, and its executors' places.

use super::Agent;
use super::alone::Alone;
use super::io::{Input, Output, PluginKey};
use crate::id::{ExecutorId, JobId, LeaseId};
use crate::page::ENTRIES;
use crate::range::IndexRange;
use crate::shape::Shape;
use crate::time::{Span, Time};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use smallvec::{SmallVec, smallvec};

#[derive(Debug)]
pub(super) struct Job {
    pub(super) shape: Shape,
    pub(super) plugin: PluginKey,
    pub(super) reusable: bool,
    pub(super) reduce: bool,
    /// From the cancel flag to SIGKILL.
    pub(super) grace: Span,
    /// It is over; its executors are ending.
    pub(super) closing: bool,
    /// The executor at each place of the shape.
    pub(super) places: SmallVec<[Option<ExecutorId>; 1]>,
    /// What the page holds, as far as its entries were ever used.
    entries: SmallVec<[Option<Piece>; 1]>,
    /// How many of them hold something.
    published: u32,
    /// What waits for a free entry.
    pub(super) waiting: VecDeque<Piece>,
    /// Threads that may claim, as last said.
    pub(super) allowed: u32,
    /// Threads that run something, as last heard.
    pub(super) running: u32,
    /// Executors that ended in a row without having become ready.
    pub(super) failed_starts: u32,
    /// Tasks one of which ended an executor while several ran: until they are done, one thread runs alone, so
    /// that the next crash has one culprit.
    pub(super) suspects: Vec<(LeaseId, IndexRange)>,
    /// What runs alone, because one of its tasks lost the page.
    pub(super) alone: Alone,
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
    pub(super) fn new(shape: Shape, plugin: PluginKey, reusable: bool, reduce: bool, grace: Span) -> Self {
        Self {
            shape,
            plugin,
            reusable,
            reduce,
            grace,
            closing: false,
            places: smallvec![None; shape.processes as usize],
            entries: SmallVec::new(),
            published: 0,
            waiting: VecDeque::new(),
            allowed: 0,
            running: 0,
            failed_starts: 0,
            suspects: Vec::new(),
            alone: Alone::default(),
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

    /// Whether one thread alone may run its tasks, the first of the first place.
    pub(super) fn is_tried_alone(&self) -> bool {
        self.alone.is_on() || !self.suspects.is_empty()
    }

    /// Whether its threads can find something to claim, as far as is known.
    pub(super) fn has_tasks(&self) -> bool {
        let waits = !self.waiting.is_empty() || self.alone.has_tasks();
        !self.closing && (waits || self.published > 0)
    }

    /// Everything that waits or stands in the page.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.waiting.iter().chain(self.alone.pieces()).chain(self.entries.iter().flatten())
    }

    /// Takes a free entry for these tasks, when there is one.
    pub(super) fn put_into_page(&mut self, piece: Piece) -> Option<usize> {
        let entry = self.entries.iter().position(Option::is_none).unwrap_or(self.entries.len());
        if entry == ENTRIES {
            return None;
        }
        if entry == self.entries.len() {
            self.entries.push(None);
        }
        self.entries[entry] = Some(piece);
        self.published += 1;
        Some(entry)
    }

    /// Takes an entry's tasks out of the page; `false`: there were none.
    fn take_from_page(&mut self, entry: usize) -> bool {
        let taken = self.entries.get_mut(entry).and_then(Option::take).is_some();
        self.published -= u32::from(taken);
        taken
    }

    /// Its page is new: nothing stands in it, and nobody may claim.
    pub(super) fn empty_page(&mut self) {
        self.clear_entries();
        self.suspects.clear();
        self.allowed = 0;
    }
}

impl Job {
    fn clear_entries(&mut self) {
        self.entries.clear();
        self.published = 0;
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
        job.clear_entries();
        job.suspects.clear();
        job.alone = Alone::default();
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
        let piece = Piece { lease, range };
        if job.waiting.is_empty()
            && !job.alone.is_on()
            && let Some(entry) = job.put_into_page(piece)
        {
            self.share_slots();
            let whole = self.leases.get(&lease).is_some_and(|lease| lease.whole);
            self.outputs.push_back(Output::Publish { job: id, entry, lease, range, whole });
            return;
        }
        job.waiting.push_back(piece);
        self.publish(id);
    }

    /// Puts waiting pieces into free entries.
    pub(super) fn publish(&mut self, id: JobId) {
        self.share_slots();
        if self.jobs.get(&id).is_some_and(|job| job.alone.is_on()) {
            if self.publish_alone(id) {
                return;
            }
            self.share_slots();
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        while let Some(&piece) = job.waiting.front() {
            let Some(entry) = job.put_into_page(piece) else { break };
            job.waiting.pop_front();
            let Piece { lease, range } = piece;
            let whole = self.leases.get(&lease).is_some_and(|lease| lease.whole);
            self.outputs.push_back(Output::Publish { job: id, entry, lease, range, whole });
        }
    }

    /// All tasks of an entry were claimed: it is free, and the job goes to the back of the queue for slots.
    pub(super) fn on_drained(&mut self, id: JobId, entry: usize) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if !job.take_from_page(entry) {
            return;
        }
        self.turns.retain(|turn| *turn != id);
        self.publish(id);
    }

    /// What is owed and neither waits nor stands in the page was lost there. Whoever lost it may do so again.
    pub(super) fn on_quiet(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| !job.closing) else { return };
        if job.published > 0 || job.places.iter().all(Option::is_none) {
            return;
        }
        job.alone.interrupt();
        self.run_owed_alone(id);
    }
}
