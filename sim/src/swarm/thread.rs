//! What the threads of executors do: claim, run, hand in, and sometimes end their executor.

use super::fault::Fault;
use super::machine::{Claimed, Ending};
use super::mutation::Shell;
use super::partial;
use super::setting::Nature;
use super::world::{Event, World};
use muster_core::agent::{ExitCause, Input};
use muster_core::id::{ExecutorId, JobId, LeaseId};
use muster_core::range::{IndexRange, RangeSet};
use muster_core::reduce::blocks;
use muster_core::scheduler::FailureClass;
use muster_core::time::Span;

/// The longest claim, in tasks.
const CLAIM_MAX: u64 = 12;
/// One in so many combinations fails, where tasks may fail.
const COMBINE_FAILS: u64 = 6;

/// A task that a thread runs.
type Running = (LeaseId, u64);

impl World {
    /// Threads that have nothing and may claim do.
    pub(super) fn wake(&mut self, machine: usize) {
        while !self.has_violation() {
            let threads = 0..self.machines[machine].threads.len();
            let claimed = threads.into_iter().any(|thread| self.claim(machine, thread));
            if !claimed {
                return;
            }
        }
    }

    /// The client's number of a job.
    pub(super) fn plan_of(&self, job: JobId) -> Option<usize> {
        self.clients.iter().position(|client| client.id == Some(job))
    }

    fn claim(&mut self, machine: usize, thread: usize) -> bool {
        let view = &mut self.machines[machine];
        let (executor, job, slot) = {
            let thread = &view.threads[thread];
            if thread.claim.is_some() {
                return false;
            }
            (thread.executor, thread.job, thread.slot)
        };
        let works = view.executors.get(&executor).is_some_and(|view| view.ready && !view.stopping);
        let Some(page) = view.pages.get(&job).filter(|page| works && slot < page.allowed) else {
            return false;
        };
        if page.entries.iter().all(|entry| entry.word().unclaimed() == 0) {
            return false;
        }
        let size = self.work.between(1, CLAIM_MAX) as u32;
        let size = if page.leaf.is_some() { size.next_power_of_two() } else { size };
        let taken = page.entries.iter().enumerate().find_map(|(at, entry)| {
            let claim = entry.claim(|_| size, |_, _| {})?;
            Some((at, claim, entry.word().unclaimed() == 0))
        });
        let Some((at, claim, drained)) = taken else { return false };
        let Some(&published) = page.published.get(&at) else { return false };
        self.start(machine, thread, Claimed { published, claim, ending: None });
        if drained {
            self.hand(machine, Input::Drained { job, entry: at });
        }
        true
    }

    /// A thread begins with what it claimed.
    fn start(&mut self, machine: usize, thread: usize, mut claimed: Claimed) {
        let job = self.machines[machine].threads[thread].job;
        let range = claimed.claim.range;
        let mut time = Span::from_micros(10);
        if let Some(plan) = self.plan_of(job).map(|plan| &self.setting.jobs[plan]) {
            if claimed.published.whole {
                time += Span(plan.task.0 / 2);
            } else {
                for index in range.start..range.end {
                    time += plan.time(index);
                    let (seen, harm) = match plan.nature(index, 0) {
                        Nature::Poison { seen } => (seen, false),
                        Nature::Harm => (false, true),
                        Nature::Good | Nature::Fails(_) => continue,
                    };
                    claimed.ending = Some(Ending { index, seen, harm });
                    break;
                }
            }
        }
        self.turns += 1;
        let (turn, life) = (self.turns, self.machines[machine].life);
        let view = &mut self.machines[machine].threads[thread];
        (view.turn, view.claim) = (turn, Some(claimed));
        self.queue.push(self.now + time, Event::Finish { machine, life, turn });
    }

    pub(super) fn finish(&mut self, machine: usize, life: u32, turn: u32) {
        if !self.is_awake(machine, life, Event::Finish { machine, life, turn }) {
            return;
        }
        let view = &mut self.machines[machine];
        let Some(thread) = view.threads.iter().position(|thread| thread.turn == turn) else { return };
        let (executor, job) = (view.threads[thread].executor, view.threads[thread].job);
        let ending = view.threads[thread].claim.as_ref().and_then(|claimed| claimed.ending);
        match ending {
            Some(Ending { harm: true, .. }) => {
                self.struck.count(Fault::Poison);
                self.hand(machine, Input::PageLost { job });
            }
            Some(Ending { index, seen, .. }) => {
                self.struck.count(Fault::Poison);
                self.crash(machine, executor, seen, Some((turn, index)));
            }
            None => {
                let Some(claimed) = view.threads[thread].claim.take() else { return };
                // What an executor of an earlier session hands in is not taken.
                if view.executors.get(&executor).is_some_and(|executor| !executor.outdated) {
                    self.deliver(machine, &claimed, job);
                }
            }
        }
        self.wake(machine);
    }

    fn deliver(&mut self, machine: usize, claimed: &Claimed, job: JobId) {
        let (lease, range) = (claimed.published.lease, claimed.claim.range);
        if claimed.published.whole {
            return self.combine(machine, lease, claimed.published.range);
        }
        let leaf = self.machines[machine].pages.get(&job).and_then(|page| page.leaf);
        let mut good = RangeSet::from(range);
        for index in range.start..range.end {
            self.runs += 1;
            let nature = self.plan_of(job).map(|plan| self.setting.jobs[plan].nature(index, self.runs));
            if let Some(Nature::Fails(class)) = nature {
                self.struck.count(Fault::FailTask);
                good.remove(IndexRange::from_count(index, 1));
                self.hand(machine, Input::Failed { lease, index, class });
            }
        }
        match leaf {
            // Blocks of wide leaves leave failed tasks out.
            Some(leaf) if leaf > 1 => self.hand_in(machine, lease, range, leaf, &good),
            Some(leaf) => {
                let pieces: Vec<IndexRange> = good.iter().collect();
                pieces.into_iter().for_each(|piece| self.hand_in(machine, lease, piece, leaf, &good));
            }
            None => {
                for piece in good.iter() {
                    // Frames cut results anywhere.
                    let cut = piece.start + self.work.below(piece.len() + 1);
                    for range in [IndexRange::new(piece.start, cut), IndexRange::new(cut, piece.end)] {
                        if !range.is_empty() {
                            self.hand(machine, Input::Done { lease, range });
                        }
                    }
                }
            }
        }
    }

    fn hand_in(&mut self, machine: usize, lease: LeaseId, claim: IndexRange, leaf: u64, good: &RangeSet) {
        debug_assert!(blocks(claim).next().is_some());
        for (block, partial) in partial::of_claim(claim, leaf, good) {
            self.machines[machine].handed = Some(partial);
            self.hand(machine, Input::Done { lease, range: block.range() });
        }
    }

    fn combine(&mut self, machine: usize, lease: LeaseId, range: IndexRange) {
        if self.may(Fault::FailTask) && self.work.once_in(COMBINE_FAILS) {
            self.struck.count(Fault::FailTask);
            let class = FailureClass::Transient;
            return self.hand(machine, Input::Failed { lease, index: range.start, class });
        }
        let view = &mut self.machines[machine];
        let job = view.agent.job_of(lease);
        let leaf = job.and_then(|job| view.pages.get(&job)).and_then(|page| page.leaf).unwrap_or(1);
        let (mut parts, finish) = view.parts.get(&lease).cloned().unwrap_or_default();
        if parts.len() > 1 && parts[0].0.size == parts[1].0.size && self.strikes(Shell::PartsSwapped) {
            let [(_, first), (_, second), ..] = &mut parts[..] else { return };
            std::mem::swap(first, second);
        }
        let whole = (!parts.is_empty()).then(|| partial::of_parts(&parts, leaf, finish));
        self.machines[machine].handed = whole;
        self.hand(machine, Input::Done { lease, range });
    }

    /// An executor dies of a signal. `seen`: its page says what its threads were running; `culprit`: the thread of this
    /// turn was running this task.
    pub(super) fn crash(
        &mut self,
        machine: usize,
        executor: ExecutorId,
        seen: bool,
        culprit: Option<(u32, u64)>,
    ) {
        let mut held = self.machines[machine].held(executor);
        let (mut running, mut blamed) = (Vec::new(), None);
        if seen {
            let threads = self.machines[machine].threads.iter().filter(|thread| thread.executor == executor);
            for thread in threads {
                let Some(claimed) = &thread.claim else { continue };
                let range = claimed.claim.range;
                let index = match culprit {
                    Some((turn, index)) if turn == thread.turn => index,
                    _ => range.start + self.luck.below(range.len()),
                };
                running.push((claimed.published.lease, index));
                // Half of the executors that a task ends leave a record. A few that nobody's task ended do so, too.
                let recorded = match culprit {
                    Some((turn, index)) => turn == thread.turn && index % 2 == 0,
                    None => executor.0.is_multiple_of(3),
                };
                if recorded {
                    blamed = Some((claimed.published.lease, index));
                }
            }
        } else if self.luck.once_in(3) {
            // It has written over its record as well.
            held.clear();
        }
        self.die(machine, executor, ExitCause::Signal, held, (running, blamed));
    }

    /// An executor is gone, with what it ran and what its record says of that.
    pub(super) fn die(
        &mut self,
        machine: usize,
        executor: ExecutorId,
        cause: ExitCause,
        held: Vec<(LeaseId, IndexRange)>,
        (running, culprit): (Vec<Running>, Option<Running>),
    ) {
        let view = &mut self.machines[machine];
        view.executors.remove(&executor);
        view.threads.retain(|thread| thread.executor != executor);
        self.hand(
            machine,
            Input::ExecutorExited { executor, cause, held, running, culprits: culprit.into_iter().collect() },
        );
    }

    /// Tells the agent of jobs in which nothing moves.
    pub(super) fn look_for_quiet(&mut self, machine: usize) {
        let view = &self.machines[machine];
        let quiet: Vec<JobId> = view.pages.keys().copied().filter(|&job| !view.is_busy(job)).collect();
        for job in quiet {
            if self.machines[machine].agent.outstanding() > 0 && self.strikes(Shell::NoQuiet) {
                continue;
            }
            self.hand(machine, Input::Quiet { job });
        }
        self.wake(machine);
    }
}
