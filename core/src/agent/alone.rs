//! Tasks that run alone. When the page was lost, or executors die and nothing says in which task, what stood in the page
//! runs again piece by piece: no other piece is in the page, and one thread claims. A piece in which the executor is lost
//! again holds the culprit; it is cut until it is one task, and that is charged.

use super::Agent;
use super::io::{ExitCause, Output};
use super::job::Piece;
use crate::id::{ExecutorId, JobId, LeaseId};
use crate::range::IndexRange;
use crate::scheduler::FailureClass;
use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

/// Parts into which a piece with a culprit is cut.
const PARTS: u64 = 16;
/// Crashes of a job with nobody to blame, after which its tasks run alone.
const UNBLAMED_MAX: u32 = 3;

/// What of a job runs alone; without memory of its own until something does.
#[derive(Debug, Default)]
pub(super) struct Alone(Option<Box<State>>);

static NOTHING: State =
    State { leaving: BTreeSet::new(), queue: VecDeque::new(), running: None, unblamed: 0 };

impl Deref for Alone {
    type Target = State;

    fn deref(&self) -> &State {
        self.0.as_deref().unwrap_or(&NOTHING)
    }
}

impl DerefMut for Alone {
    fn deref_mut(&mut self) -> &mut State {
        self.0.get_or_insert_default()
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Executors that had the lost page; nothing runs before they are gone.
    leaving: BTreeSet<ExecutorId>,
    /// What is to run alone, before anything else of the job.
    queue: VecDeque<Piece>,
    /// The piece that does.
    running: Option<Piece>,
    /// Crashes with nobody to blame, since the page was last made.
    unblamed: u32,
}

impl State {
    /// Whether nothing else of the job may run.
    pub(super) fn is_on(&self) -> bool {
        !self.leaving.is_empty() || !self.queue.is_empty() || self.running.is_some()
    }

    pub(super) fn has_tasks(&self) -> bool {
        !self.queue.is_empty()
    }

    /// What runs alone was lost, and nobody is to blame.
    pub(super) fn interrupt(&mut self) {
        self.queue.extend(self.running.take());
    }

    pub(super) fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.queue.iter()
    }
}

impl Agent {
    /// The page is of no use any more: it is made anew for new executors, and what stood in it runs alone.
    pub(super) fn on_page_lost(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| !job.closing) else { return };
        let running = job.alone.running.take();
        self.renew_page(id);
        if let Some(piece) = running {
            self.convict(id, piece);
        }
        self.run_owed_alone(id);
        self.share_slots();
    }

    /// Ends all executors of a job and gives it a new page.
    fn renew_page(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        self.outputs.push_back(Output::RenewPage { job: id });
        job.empty_page();
        job.alone.unblamed = 0;
        job.alone.leaving.extend(job.places.iter().copied().flatten());
        for &executor in &job.alone.leaving {
            self.outputs.push_back(Output::Stop { executor, kill: true });
        }
    }

    /// An executor ended; `true`: it had a page that was lost, and is to blame for nothing more.
    pub(super) fn has_left(&mut self, id: JobId, executor: ExecutorId) -> bool {
        self.jobs
            .get_mut(&id)
            .is_some_and(|job| !job.alone.leaving.is_empty() && job.alone.leaving.remove(&executor))
    }

    /// Whatever is owed, and neither waits nor stands in the page, runs alone, once nothing else can be running.
    pub(super) fn run_owed_alone(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.alone.leaving.is_empty()) else { return };
        for (&lease, view) in self.leases.iter().filter(|(_, view)| view.job == id) {
            let mut owed = view.outstanding.clone();
            for piece in job.pieces().filter(|piece| piece.lease == lease) {
                owed.remove(piece.range);
            }
            job.alone.queue.extend(owed.iter().map(|range| Piece { lease, range }));
        }
        self.publish(id);
    }

    /// Lets the next piece run alone, when none does; `false`: there is none, and others may run.
    pub(super) fn publish_alone(&mut self, id: JobId) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return true };
        if !job.alone.leaving.is_empty() || job.alone.running.is_some() {
            return true;
        }
        while let Some(Piece { lease, range }) = job.alone.queue.pop_front() {
            let Some(view) = self.leases.get(&lease) else { continue };
            let mut owed = view.outstanding.overlap(range).map(|range| Piece { lease, range });
            let Some(piece) = owed.next() else { continue };
            let rest: Vec<Piece> = owed.collect();
            rest.into_iter().rev().for_each(|piece| job.alone.queue.push_front(piece));
            let Some(entry) = job.put_into_page(piece) else {
                job.alone.queue.push_front(piece);
                return true;
            };
            job.alone.running = Some(piece);
            let Piece { lease, range } = piece;
            self.outputs.push_back(Output::Publish { job: id, entry, lease, range, whole: view.whole });
            return true;
        }
        false
    }

    /// When the piece that runs alone is done, the next one's turn has come.
    pub(super) fn go_on_alone(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(Piece { lease, range }) = job.alone.running else { return };
        let owes = |view: &super::lease::Lease| view.outstanding.overlap(range).next().is_some();
        if !self.leases.get(&lease).is_some_and(owes) {
            job.alone.running = None;
            self.publish(id);
        }
    }

    /// An executor ended while a piece ran alone; `false`: none did there.
    pub(super) fn settle_alone(
        &mut self,
        id: JobId,
        place: usize,
        cause: ExitCause,
        running: &[(LeaseId, u64)],
    ) -> bool {
        // One thread may claim, and it is the first one of the first place.
        let job = self.jobs.get_mut(&id).filter(|_| place == 0);
        let Some(piece) = job.and_then(|job| job.alone.running.take()) else { return false };
        // What the thread had not claimed still stands in the page.
        self.renew_page(id);
        match running {
            _ if !cause.is_crash() => {}
            &[(lease, index)] if lease == piece.lease && piece.range.contains(index) => {
                self.on_failed(lease, index, cause.failure_class());
            }
            _ => self.convict(id, piece),
        }
        self.run_owed_alone(id);
        true
    }

    /// Counts a crash with nobody to blame. A job with too many of them finds the culprit one by one.
    pub(super) fn count_unblamed(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.alone.unblamed += 1;
        if job.alone.unblamed >= UNBLAMED_MAX {
            self.on_page_lost(id);
        }
    }

    /// One task of a piece that ran alone is to blame.
    fn convict(&mut self, id: JobId, piece: Piece) {
        let (Some(job), Some(view)) = (self.jobs.get_mut(&id), self.leases.get(&piece.lease)) else { return };
        let owed: Vec<IndexRange> = view.outstanding.overlap(piece.range).collect();
        let tasks: u64 = owed.iter().map(|range| range.len()).sum();
        let Some(first) = owed.first().map(|range| range.start) else { return };
        if view.whole || tasks == 1 {
            self.on_failed(piece.lease, first, FailureClass::Crashed);
            return;
        }
        let size = tasks.div_ceil(PARTS);
        for range in owed.into_iter().rev() {
            for part in (0..range.len().div_ceil(size)).rev() {
                let start = range.start + part * size;
                let range = IndexRange::new(start, range.end.min(start + size));
                job.alone.queue.push_front(Piece { lease: piece.lease, range });
            }
        }
    }
}
