//! Workers with more threads than cores: the threads that compute share the cores evenly, as a fair operating system
//! has them do over times longer than its slices (processor sharing: Kleinrock, "Queueing Systems" II, 1976). Threads
//! that wait for something else need none.

use super::Cluster;
use super::message::Event;
use super::thread::State;
use muster_core::time::{Span, Time};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Progress is counted in this many parts of a nanosecond.
const PARTS: u128 = 1 << 20;

/// The cores of one worker.
#[derive(Debug)]
pub(super) struct Cores {
    cores: u32,
    /// How far a thread has come that was computing all the time.
    progress: u128,
    counted: Time,
    /// By the progress at which each thread is done. Threads that were stopped stay until their turn comes.
    computing: BinaryHeap<Reverse<Computing>>,
    /// Threads that compute.
    count: u32,
    version: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Computing {
    done: u128,
    thread: u32,
    version: u32,
}

impl Cores {
    pub(super) const fn new(cores: u32) -> Self {
        Self { cores, progress: 0, counted: Time::ZERO, computing: BinaryHeap::new(), count: 0, version: 0 }
    }

    fn count(&mut self, now: Time) {
        let parts = u128::from(now.since(self.counted).0) * PARTS;
        self.progress += parts * u128::from(self.cores.min(self.count)) / u128::from(self.count.max(1));
        self.counted = self.counted.max(now);
    }

    /// When the first thread is done, as things stand.
    fn next(&self) -> Option<Time> {
        let Reverse(first) = self.computing.peek()?;
        let left = first.done.saturating_sub(self.progress);
        let rate = u128::from(self.cores.min(self.count).max(1));
        let ns = (left * u128::from(self.count.max(1))).div_ceil(rate * PARTS);
        Some(self.counted + Span(u64::try_from(ns).unwrap_or(u64::MAX / 4)))
    }
}

impl Cluster {
    /// Whether what a job computes on a worker may have to share cores: its threads may be more than those, or other
    /// jobs may run beside it.
    pub(super) fn shares_cores(&self, worker: u32, job: u32) -> bool {
        let group = &self.scenario.workers[self.machines.get(worker).group as usize];
        let jobs = &self.scenario.jobs;
        let spec = &jobs[job as usize].spec;
        let threads = if spec.oversubscribe { spec.shape.resolve(group.slots).slots() } else { 0 };
        group.cores < group.slots.max(threads) || (jobs.len() > 1 && jobs[job as usize].io < 1.0)
    }

    /// A thread has waited for what it waits for and computes from now on.
    pub(super) fn compute(&mut self, number: u32) {
        let thread = self.threads.get_mut(number);
        thread.state = State::Computing;
        let (version, left) = (thread.version, thread.computing);
        let worker = self.pages.get(thread.page).worker;
        let group = self.machines.get(worker).group;
        let cores = self.scenario.workers[group as usize].cores;
        let now = self.now;
        let shared = self.cores.entry(worker).or_insert_with(|| Cores::new(cores));
        shared.count(now);
        let done = shared.progress + u128::from(left.0) * PARTS;
        shared.computing.push(Reverse(Computing { done, thread: number, version }));
        shared.count += 1;
        self.look_at_cores(worker);
    }

    /// A computing thread was stopped.
    pub(super) fn stop_computing(&mut self, worker: u32) {
        let now = self.now;
        if let Some(shared) = self.cores.get_mut(&worker) {
            shared.count(now);
            shared.count = shared.count.saturating_sub(1);
            self.look_at_cores(worker);
        }
    }

    /// All threads of a worker stand still until then.
    pub(super) fn freeze_cores(&mut self, worker: u32, until: Time) {
        let now = self.now;
        if let Some(shared) = self.cores.get_mut(&worker) {
            shared.count(now);
            shared.counted = shared.counted.max(until);
            self.look_at_cores(worker);
        }
    }

    fn look_at_cores(&mut self, worker: u32) {
        let Some(shared) = self.cores.get_mut(&worker) else { return };
        while let Some(&Reverse(Computing { thread, version, .. })) = shared.computing.peek()
            && !self.threads.get(thread).is_computing(version)
        {
            shared.computing.pop();
        }
        shared.version = shared.version.wrapping_add(1);
        if let Some(next) = shared.next() {
            self.queue.push(next, Event::Computed { worker, version: shared.version });
        }
    }

    /// Some thread of a worker has computed all it had to.
    pub(super) fn computed(&mut self, worker: u32, version: u32) {
        let now = self.now;
        let Some(shared) = self.cores.get_mut(&worker).filter(|shared| shared.version == version) else {
            return;
        };
        shared.count(now);
        let mut done = Vec::new();
        while let Some(&Reverse(Computing { done: at, thread, version })) = shared.computing.peek() {
            let is_there = self.threads.get(thread).is_computing(version);
            if is_there && at > shared.progress {
                break;
            }
            shared.computing.pop();
            if is_there {
                shared.count -= 1;
                // What happens to one of them may end the others: none computes any more.
                let ended = self.threads.get_mut(thread);
                ended.state = State::Running;
                ended.ends = now;
                ended.running.busy = Span(now.since(ended.began).0.saturating_sub(ended.stood.0));
                done.push((thread, version));
            }
        }
        self.look_at_cores(worker);
        for (number, version) in done {
            let thread = self.threads.get(number);
            let (range, began, job) = (thread.running.range, thread.began, self.pages.get(thread.page).job);
            if self.first_poisoned(job, range, began).is_some() {
                self.poisoned(number, version);
            } else {
                self.ran(number, version);
            }
        }
    }
}
