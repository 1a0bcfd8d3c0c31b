//! One task thread: claims from the page, runs, gathers results, sends them, sleeps when there is nothing.

use super::crash;
use super::flush::Held;
use super::job::Shared;
use super::pending::Pending;
use super::queue::{Next, Queue};
use super::runner::Runner;
use crate::frame::EntryUse;
use crate::log::TaskRef;
use crate::os::monotonic_ns;
use crate::page::KIND_RUN;
use muster_core::claim::{CLAIM, HOLD_MAX, Pace, hold_ns, whole_leaves};
use muster_core::page::{Claim, SlotRecord};
use muster_core::shape::Flow;
use muster_core::time::Span;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// Results wait for others during a sleep that is shorter than this.
const SHORT_SLEEP_NS: u64 = 1_000_000;

/// Serves a job until it closes.
pub(super) fn run(shared: &Shared, ordinal: u32) {
    let number = shared.open.first_slot + ordinal;
    let Some(record) = shared.page.slot(number) else { return };
    let _guard = AbortOnPanic;
    let _stack = crash::enter_task(number);
    let mut worker = TaskThread {
        shared,
        ordinal: ordinal as usize,
        record,
        cursor: 0,
        pending: Pending::new(record),
        pace: Pace::new(CLAIM),
        ahead_ns: 0,
        runner: Runner::new(shared, ordinal, record),
        queue: shared.queue(number),
        free_ns: monotonic_ns(),
    };
    loop {
        let sequence = shared.page.sequence();
        if shared.is_closing() {
            break;
        }
        let is_allowed = number < shared.page.allowed();
        let may_claim = is_allowed && !shared.page.is_cancelled() && shared.has_begun();
        worker.wake_up(is_allowed);
        if may_claim && worker.claim_and_run() {
            if shared.open.flow == Flow::Once {
                break;
            }
            continue;
        }
        let until_ns = worker.next_arrival(may_claim);
        worker.flush_before(until_ns);
        shared.page.park_until(number, sequence, until_ns);
    }
    worker.flush();
}

/// A mistake of muster's own inside a thread ends the process, so that the agent sees it.
pub(super) struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

struct TaskThread<'a> {
    shared: &'a Shared,
    ordinal: usize,
    record: &'a SlotRecord,
    /// The page entry that gave the last claim.
    cursor: usize,
    pending: Pending<'a>,
    pace: Pace,
    /// The time that what was unclaimed after the last claim will take.
    ahead_ns: u64,
    runner: Runner<'a>,
    /// Where tasks arrive: which is next.
    queue: Option<Queue<'a>>,
    /// When the last task ended.
    free_ns: u64,
}

impl TaskThread<'_> {
    /// Claims and runs some tasks; `false` when there are none.
    fn claim_and_run(&mut self) -> bool {
        self.settle_what_was_sent();
        let Some((entry, claim)) = self.claim() else { return false };
        self.cursor = entry;
        let place = EntryUse { entry: entry as u16, generation: claim.generation };
        let claimed_ns = monotonic_ns();
        let since_ns = self.runner.due_ns.unwrap_or(0).max(self.shared.page.published_ns(entry));
        let waited = Span(claimed_ns.saturating_sub(since_ns));
        self.record.started_ns.store(claimed_ns, Relaxed);
        self.record.attempt.store(claim.facts.attempt, SeqCst);
        let mut held = self.holdings();
        held.gather.dispatch.record_many(waited, claim.range.len());
        if let Some(due_ns) = self.runner.due_ns {
            held.gather.timings.start_lag.record(Span(claimed_ns.saturating_sub(due_ns.max(self.free_ns))));
        }
        drop(held);
        let busy = self.runner.run(place, &claim, claimed_ns);
        self.mark_output(&claim);
        self.record.current.store(SlotRecord::IDLE, Relaxed);
        self.record.busy_ns.fetch_add(busy, Relaxed);
        self.record.tasks.fetch_add(claim.range.len(), Relaxed);
        if claim.facts.kind == KIND_RUN {
            self.pace.record(claim.range.len() as u32, busy);
        }
        self.send_or_hold(busy);
        if self.queue.is_some() {
            self.free_ns = monotonic_ns();
        }
        true
    }

    /// Says whose it is what was written so far, before anybody can see another task in the slot.
    fn mark_output(&self, claim: &Claim) {
        if let Some(marks) = &self.shared.marks {
            let index = self.record.current.load(Relaxed);
            marks.end(TaskRef { index, attempt: claim.facts.attempt });
        }
    }

    fn claim(&mut self) -> Option<(usize, Claim)> {
        if self.queue.is_some() {
            return self.claim_arrived();
        }
        let (shared, pace, pending) = (self.shared, &self.pace, &self.pending);
        let (leaf, is_once) = (shared.open.reduce_leaf, shared.open.flow == Flow::Once);
        let is_careful = self.is_careful();
        let slots = shared.page.allowed().clamp(1, shared.page.slots());
        let mut left = 0;
        let (entry, claim) = shared.page.claim(
            self.cursor,
            |start, unclaimed, total| {
                left = total;
                let wanted = if is_once || is_careful { 1 } else { pace.tasks(total, slots).min(unclaimed) };
                if leaf == 0 || is_once { wanted } else { whole_leaves(start, wanted, leaf) }
            },
            |entry, generation, range| pending.announce(entry, generation, range),
        )?;
        self.pending.claimed(entry, &claim);
        self.ahead_ns = pace.time_of(left.saturating_sub(claim.range.len()), slots);
        Some((entry, claim))
    }

    /// Takes the first task in the queue.
    fn claim_arrived(&mut self) -> Option<(usize, Claim)> {
        loop {
            let Next::Due(arrival) = self.queue.as_mut()?.next() else { return None };
            let (pending, entry) = (&self.pending, arrival.entry);
            let announce = |generation, range| pending.announce(entry, generation, range);
            // Otherwise somebody else was faster, and another one is the first now.
            if let Some(claim) = self.shared.page.entries()[entry].claim_one(arrival.index, announce) {
                self.pending.claimed(entry, &claim);
                self.runner.due_ns = arrival.due_ns;
                return Some((entry, claim));
            }
        }
    }

    /// The thread has slept. What it slept for is up to others when it may not claim any more.
    fn wake_up(&self, is_allowed: bool) {
        if self.queue.as_ref().is_some_and(Queue::is_awake) && !is_allowed {
            self.shared.page.wake(u32::MAX);
        }
    }

    /// When the next task arrives that this thread sleeps for; `u64::MAX`: none, or nobody knows.
    fn next_arrival(&mut self, may_claim: bool) -> u64 {
        self.queue.as_mut().filter(|_| may_claim).map_or(u64::MAX, Queue::await_one)
    }

    /// Sends what there is before the thread sleeps. When it sleeps for less than results may wait, they do.
    fn flush_before(&mut self, until_ns: u64) {
        let now = monotonic_ns();
        if until_ns.saturating_sub(now) < SHORT_SLEEP_NS {
            let mut held = self.holdings();
            if !held.gather.is_empty() && !held.has_waited(now, SHORT_SLEEP_NS) {
                return self.shared.holdings.hold(&mut held, 0, &self.shared.outbox);
            }
        }
        self.flush();
    }

    /// Whether results do not wait. Those of reductions do: apart from each other they cost the coordinator too much.
    fn is_careful(&self) -> bool {
        self.shared.open.reduce_leaf == 0 && self.shared.page.is_careful()
    }

    /// Claims whose results are with the agent need not be known to it by the page any more.
    fn settle_what_was_sent(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let sent = self.holdings().gather.is_empty();
        if sent {
            self.pending.settle();
        } else if self.pending.is_full() {
            self.flush();
        }
    }

    /// `busy_ns`: what the last claim took. Results of a claim that was long itself do not wait for others.
    fn send_or_hold(&mut self, busy_ns: u64) {
        let hold_ns = if self.is_careful() { 0 } else { hold_ns(self.ahead_ns, HOLD_MAX) };
        let mut held = self.holdings();
        if busy_ns >= hold_ns || held.is_full() || held.has_waited(monotonic_ns(), hold_ns) {
            self.shared.holdings.send(&mut held, &self.shared.outbox);
        } else {
            self.shared.holdings.hold(&mut held, busy_ns, &self.shared.outbox);
        }
    }

    fn flush(&mut self) {
        let mut held = self.holdings();
        self.shared.holdings.send(&mut held, &self.shared.outbox);
        drop(held);
        self.pending.settle();
    }

    fn holdings(&self) -> MutexGuard<'_, Held> {
        self.shared.holdings.lock(self.ordinal)
    }
}
