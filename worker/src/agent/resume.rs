//! Coming back to a coordinator with what this worker still has: what it says first, and what it keeps.

use super::driver::Driver;
use crate::os::monotonic_ns;
use muster_core::agent::Input;
use muster_core::id::{Epoch, JobId, LeaseId};
use muster_core::range::RangeSet;
use muster_core::scheduler::Held;
use muster_proto::convert::{Adopted, HELD_RANGES_MAX, held_to_wire};
use muster_proto::v1::{self, WorkerHello};
use std::collections::{BTreeMap, BTreeSet};

impl Driver {
    /// The first message of a link: who this is, and what it has.
    pub fn greeting(&self) -> WorkerHello {
        let held = if self.state == 0 { Vec::new() } else { self.held() };
        WorkerHello { state: self.state, held, ..self.hello.clone() }
    }

    /// Tasks whose results the coordinator may not have, by lease: those that run or wait here, and those whose results wait
    /// to last.
    fn held(&self) -> Vec<v1::HeldTasks> {
        let mut tasks: BTreeMap<LeaseId, RangeSet> = self.outbox.results();
        for lease in self.report.leases_of_results() {
            tasks.entry(lease.0).or_default().insert(lease.1);
        }
        for held in self.agent.held() {
            if held.can_be_adopted {
                let tasks = tasks.entry(held.lease).or_default();
                held.outstanding.iter().for_each(|range| tasks.insert(range));
            } else {
                tasks.remove(&held.lease);
            }
        }
        let mut left = HELD_RANGES_MAX;
        let mut all = Vec::new();
        for (lease, tasks) in tasks {
            // A combined block is not what its tasks gave one by one.
            let Some(name) = self.names.get(lease).filter(|name| !name.whole) else { continue };
            let ranges = tasks.iter().count();
            let Some(rest) = left.checked_sub(ranges.max(1)) else { break };
            left = rest;
            let open = self.jobs.contains_key(&name.job) && self.agent.is_open(name.job);
            let held = Held { claim: lease.0, job: name.job, attempt: name.attempt, tasks, open };
            all.push(held_to_wire(&held));
        }
        all
    }

    /// A coordinator greets this worker: what it does not let it keep is of no use any more.
    pub fn take_up(&mut self, state: u64, adopted: &[Adopted]) {
        self.outbox.rewind();
        self.report.forget_asides();
        if state != self.state {
            // Its jobs have the same numbers and are others.
            self.outbox.clear();
            self.drop_all();
            self.state = state;
            return;
        }
        let counts: BTreeMap<LeaseId, u64> = adopted.iter().map(|it| (LeaseId(it.claim), it.count)).collect();
        let of_claims = self.names_of_claims();
        self.names.rename(adopted.iter().map(|it| (LeaseId(it.claim), it.lease)));
        let kept: u64 = adopted.iter().map(|it| it.count).sum();
        tracing::info!(tasks = kept, "the coordinator lets this worker keep what it had");
        let jobs: BTreeSet<JobId> =
            counts.keys().filter_map(|&lease| Some(self.names.get(lease)?.job)).collect();
        let others: Vec<JobId> = self.jobs.keys().copied().filter(|job| !jobs.contains(job)).collect();
        others.into_iter().for_each(|job| self.abandon(job));
        // Of leases that it may keep in part, or not at all, at least nothing is begun any more.
        let cut: Vec<LeaseId> = of_claims
            .into_iter()
            .filter(|(lease, held)| counts.get(lease) != Some(held))
            .map(|(lease, _)| lease)
            .collect();
        for lease in cut {
            self.feed(Input::Recall { lease, count: u64::MAX });
        }
    }

    /// The leases that are here, and how many of their tasks the coordinator was told of.
    fn names_of_claims(&self) -> Vec<(LeaseId, u64)> {
        let held: BTreeMap<LeaseId, u64> =
            self.held().into_iter().map(|held| (LeaseId(held.claim), held.counts.iter().sum())).collect();
        self.leases.keys().map(|&lease| (lease, held.get(&lease).copied().unwrap_or(0))).collect()
    }

    fn drop_all(&mut self) {
        self.names.rename(std::iter::empty());
        for executor in self.executors.values_mut().filter(|executor| executor.seat.is_some()) {
            executor.circumstances.outdated = true;
        }
        self.feed(Input::Attached);
    }

    /// Ends a job of which this worker keeps nothing.
    fn abandon(&mut self, job: JobId) {
        for executor in self.executors.values_mut().filter(|it| it.seat.is_some_and(|seat| seat.job == job)) {
            executor.circumstances.outdated = true;
        }
        self.feed(Input::Close { job, cancel: true });
    }

    /// A report with the names that the coordinator gave to leases. What is about others is dropped and counted.
    pub fn for_coordinator(&self, mut report: v1::Report, epoch: Epoch) -> v1::Report {
        let mut refused = 0;
        let wire = |lease: &mut u64| {
            let found = self.names.wire(LeaseId(*lease));
            found.is_some_and(|wire| {
                *lease = wire.0;
                true
            })
        };
        report.blocks.retain_mut(|block| {
            let stays = wire(&mut block.lease);
            refused += if stays { 0 } else { block.count };
            stays
        });
        report.failures.retain_mut(|failure| wire(&mut failure.lease));
        report.returned.retain_mut(|returned| wire(&mut returned.lease));
        if refused > 0 {
            self.metrics.results_refused(refused);
        }
        v1::Report { epoch: epoch.0, sent_ns: monotonic_ns(), ..report }
    }
}
