//! The threads of simulated executors: what each has claimed, runs and holds.

use muster_core::claim::Pace;
use muster_core::id::{ExecutorId, LeaseId};
use muster_core::range::IndexRange;
use muster_core::time::{Span, Time};
use std::ops::Range;

/// A thread of an executor, or the place for one.
#[derive(Debug)]
pub(super) struct Thread {
    pub page: u32,
    pub state: State,
    /// Rises with every change of what it does: what was to happen before is not wanted any more.
    pub version: u32,
    pub executor: ExecutorId,
    /// The page entry that gave the last claim.
    pub cursor: u32,
    pub pace: Pace,
    /// The time that what was unclaimed after the last claim will take.
    pub ahead_ns: u64,
    /// What it runs.
    pub running: Claimed,
    pub began: Time,
    pub ends: Time,
    /// What of its claim needs a core, when cores are shared.
    pub computing: Span,
    /// For how long it stands still with its worker, since it began.
    pub stood: Span,
    /// It stands still.
    pub stands: bool,
    /// Finished results that wait for others.
    pub held: Vec<Results>,
    pub held_since: Time,
}

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No executor is there.
    Absent,
    /// Its executor is starting.
    Starting,
    /// It has nothing to do.
    Idle,
    /// It runs what it claimed, on a core of its own or waiting for something else than a core.
    Running,
    /// It runs what it claimed and shares cores with others.
    Computing,
}

/// Tasks that a thread took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Claimed {
    pub lease: LeaseId,
    pub range: IndexRange,
    /// The thread time of its tasks.
    pub busy: Span,
}

/// Results of tasks of one lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Results {
    pub lease: LeaseId,
    pub range: IndexRange,
    pub busy: Span,
}

impl Thread {
    fn new(claim: Span) -> Self {
        Self {
            page: u32::MAX,
            state: State::Absent,
            version: 0,
            executor: ExecutorId(0),
            cursor: 0,
            pace: Pace::new(claim),
            ahead_ns: 0,
            running: Claimed::default(),
            began: Time::ZERO,
            ends: Time::ZERO,
            computing: Span::ZERO,
            stood: Span::ZERO,
            stands: false,
            held: Vec::new(),
            held_since: Time::ZERO,
        }
    }

    /// Whether it runs something.
    pub(super) const fn is_busy(&self) -> bool {
        matches!(self.state, State::Running | State::Computing)
    }

    /// Whether it still computes what it computed at this version.
    pub(super) fn is_computing(&self, version: u32) -> bool {
        self.state == State::Computing && self.version == version
    }

    /// Adds results to those that wait; neighbours of the same lease are joined.
    pub(super) fn hold(&mut self, results: Results) {
        if let Some(last) = self.held.last_mut()
            && last.lease == results.lease
            && last.range.end == results.range.start
        {
            last.range.end = results.range.end;
            last.busy += results.busy;
            return;
        }
        self.held.push(results);
    }
}

/// All threads. Those of a page lie side by side.
#[derive(Debug)]
pub(super) struct Threads {
    places: Vec<Thread>,
    /// The page of each, side by side: looked up before the thread itself is there.
    pages: Vec<u32>,
    /// First numbers of blocks that nobody uses, with their length.
    free: Vec<(u32, u32)>,
    claim: Span,
}

impl Threads {
    pub(super) fn new(claim: Span) -> Self {
        Self { places: Vec::new(), pages: Vec::new(), free: Vec::new(), claim }
    }

    /// A block of threads for a page.
    pub(super) fn allocate(&mut self, page: u32, count: u32) -> u32 {
        let first = match self.free.iter().position(|&(_, length)| length == count) {
            Some(at) => self.free.swap_remove(at).0,
            None => {
                let first = self.places.len() as u32;
                self.places.extend((0..count).map(|_| Thread::new(self.claim)));
                self.pages.resize(self.places.len(), page);
                first
            }
        };
        let block = first as usize..(first + count) as usize;
        self.pages[block.clone()].fill(page);
        for thread in &mut self.places[block] {
            thread.page = page;
        }
        first
    }

    pub(super) fn release(&mut self, seats: Range<u32>) {
        for thread in &mut self.places[seats.start as usize..seats.end as usize] {
            let version = thread.version + 1;
            *thread = Thread { version, ..Thread::new(self.claim) };
        }
        self.free.push((seats.start, seats.end - seats.start));
    }

    pub(super) fn page_of(&self, thread: u32) -> u32 {
        self.pages[thread as usize]
    }

    pub(super) fn get(&self, thread: u32) -> &Thread {
        &self.places[thread as usize]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Thread> {
        self.places.iter()
    }

    pub(super) fn get_mut(&mut self, thread: u32) -> &mut Thread {
        &mut self.places[thread as usize]
    }

    /// A thread starts for an executor.
    pub(super) fn seat(&mut self, thread: u32, executor: ExecutorId, state: State) {
        let claim = self.claim;
        let thread = self.get_mut(thread);
        let (page, version) = (thread.page, thread.version + 1);
        *thread = Thread { page, version, executor, state, ..Thread::new(claim) };
    }
}
