//! One task thread: claims from the page, runs, gathers results, sends them, sleeps when there is nothing.

use super::crash;
use super::flush::Held;
use super::job::Shared;
use super::pending::Pending;
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
    };
    loop {
        let sequence = shared.page.sequence();
        if shared.is_closing() {
            break;
        }
        let may_claim = number < shared.page.allowed() && !shared.page.is_cancelled();
        if may_claim && worker.claim_and_run() {
            if shared.open.flow == Flow::Once {
                break;
            }
            continue;
        }
        worker.flush();
        shared.page.park(number, sequence);
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
}

impl TaskThread<'_> {
    /// Claims and runs some tasks; `false` when there are none.
    fn claim_and_run(&mut self) -> bool {
        self.settle_what_was_sent();
        let Some((entry, claim)) = self.claim() else { return false };
        self.cursor = entry;
        let place = EntryUse { entry: entry as u16, generation: claim.generation };
        let claimed_ns = monotonic_ns();
        let waited = Span(claimed_ns.saturating_sub(self.shared.page.published_ns(entry)));
        self.record.started_ns.store(claimed_ns, Relaxed);
        self.record.attempt.store(claim.facts.attempt, SeqCst);
        self.holdings().gather.dispatch.record_many(waited, claim.range.len());
        let busy = self.runner.run(place, &claim, claimed_ns);
        self.mark_output(&claim);
        self.record.current.store(SlotRecord::IDLE, Relaxed);
        self.record.busy_ns.fetch_add(busy, Relaxed);
        self.record.tasks.fetch_add(claim.range.len(), Relaxed);
        if claim.facts.kind == KIND_RUN {
            self.pace.record(claim.range.len() as u32, busy);
        }
        self.send_or_hold(busy);
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
