//! What workers say: checked as a whole first, then handed to the scheduler piece by piece.

use super::command::FromWorker;
use super::job::Job;
use super::samples::WorkerClock;
use super::{Driver, Refusal};
use muster_core::id::{JobId, LeaseId, LogPos, WorkerId};
use muster_core::range::IndexRange;
use muster_core::scheduler::{Input, Loss};
use muster_core::time::Span;
use muster_proto::PARTIAL_MAX_BYTES;
use muster_proto::convert::{
    ConvertError, Evidence, Heartbeat, Phases, RanOn, Report, ResultBlock, TaskFailure,
};
use muster_proto::packed::Items;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

/// Reports that wait for the driver or the store, in KiB over all workers.
pub const PLACES_MAX: u32 = 128 << 10;

/// A report that waits until what came of it is durable.
#[derive(Debug)]
pub struct Place {
    pos: LogPos,
    worker: WorkerId,
    number: u64,
    _permit: OwnedSemaphorePermit,
}

/// What the scheduler's next outputs are about.
#[derive(Debug)]
pub enum Subject {
    /// Nothing that carries data.
    Nothing,
    /// Results of these tasks: one each, or one partial result.
    Results(WorkerId, IndexRange, Items),
    /// What went wrong, in words.
    Failure {
        /// Who says so.
        worker: WorkerId,
        /// In words.
        message: String,
        /// What else is known.
        evidence: Option<Evidence>,
    },
}

/// A block of results that was checked.
struct Checked {
    job: Option<JobId>,
    lease: LeaseId,
    range: IndexRange,
    busy: Span,
    ran_on: Option<RanOn>,
    /// `None`: the lease is not in force, the scheduler will say so.
    items: Option<Items>,
}

impl Driver {
    /// Takes in what a worker said.
    pub(super) fn hear(&mut self, id: WorkerId, message: FromWorker) {
        let now = self.clock.now();
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.heard = now;
        match message {
            FromWorker::Heartbeat(heartbeat) => {
                self.heartbeat(id, heartbeat);
                self.tell(Input::Heartbeat { worker: id }, Subject::Nothing);
            }
            FromWorker::Report(report, places) => {
                if let Err(refusal) = self.report(id, *report, places) {
                    self.count_rejected(&refusal);
                    self.lose(id, Loss::Misbehaved, Some(refusal.into()));
                }
            }
            FromWorker::Log(chunk) => self.log_chunk(id, chunk),
            FromWorker::Leaving => {
                tracing::info!(worker = id.0, "worker wants to leave; it finishes what it has");
                self.let_go(id);
            }
            FromWorker::Goodbye(reason) => {
                tracing::info!(worker = id.0, reason, "worker says goodbye");
                self.lose(id, Loss::Left, None);
            }
            FromWorker::Gone => self.lose(id, Loss::Disconnected, None),
            FromWorker::Misbehaved(status) => self.lose(id, Loss::Misbehaved, Some(status)),
        }
    }

    /// Ends a worker, for the scheduler too.
    pub(super) fn lose(&mut self, id: WorkerId, why: Loss, status: Option<Status>) {
        self.dismiss(id, why, status);
        self.tell(Input::Left { worker: id, reason: why }, Subject::Nothing);
    }

    fn heartbeat(&mut self, id: WorkerId, mut heartbeat: Heartbeat) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        self.pss_bytes = self.pss_bytes - worker.heartbeat.pss_bytes + heartbeat.pss_bytes;
        let progress = std::mem::take(&mut heartbeat.progress);
        worker.heartbeat = heartbeat;
        for job_id in &worker.jobs {
            if let Some(job) = self.jobs.get_mut(job_id) {
                job.numbers.peak_pss_bytes = job.numbers.peak_pss_bytes.max(self.pss_bytes);
                job.progress.hear(id, progress.get(job_id).copied().unwrap_or_default());
            }
        }
    }

    fn report(&mut self, id: WorkerId, report: Report, places: OwnedSemaphorePermit) -> Result<(), Refusal> {
        if report.epoch != self.epoch {
            return Err(Refusal::StaleEpoch { found: report.epoch.0, current: self.epoch.0 });
        }
        let Report { epoch: _, blocks, failures, returned, troubles, phases, .. } = report;
        let Report { exits, stopped, notices, sent, number, .. } = report;
        // Everything is checked before anything changes.
        let blocks: Vec<Checked> =
            blocks.into_iter().map(|block| self.check(id, block)).collect::<Result<_, _>>()?;
        let now_ns = self.clock.unix_ns(self.clock.now());
        let clock = WorkerClock { now_ns, sent };
        phases.into_iter().for_each(|phases| self.count_phases(id, clock, phases));
        for exit in exits {
            *self.totals.exits.entry(exit.cause.name()).or_default() += 1;
            if let Some(job) = self.jobs.get_mut(&exit.job) {
                job.numbers.count_exit(exit.cause);
                job.numbers.lost_tasks = job.numbers.lost_tasks.saturating_add(exit.lost_tasks);
                tracing::warn!(
                    worker = id.0,
                    job = exit.job.0,
                    cause = exit.cause.name(),
                    detail = exit.detail,
                    "executor ended"
                );
            }
        }
        stopped.into_iter().for_each(|said| self.stopping.stopped(id, said));
        for (job, text) in notices {
            if let Some(job) = self.jobs.get_mut(&job) {
                job.take_notice(text);
            }
        }
        for failure in failures {
            let TaskFailure { lease, index, class, message, busy, evidence, ran_on } = failure;
            let job = self.scheduler.lease_job(id, lease);
            if let Some(job) = job {
                let range = IndexRange::from_count(index, 1);
                self.blocks.add((job, id), clock.of(ran_on), busy, range, true);
            }
            if let Some(job) = job.and_then(|job| self.jobs.get_mut(&job)) {
                job.progress.ended(id, 1);
            }
            let input = Input::Failed { worker: id, lease, index, class, busy };
            self.tell(input, Subject::Failure { worker: id, message, evidence });
        }
        for Checked { job, lease, range, busy, ran_on, items } in blocks {
            if let Some(job) = job {
                self.blocks.add((job, id), clock.of(ran_on), busy, range, false);
            }
            let bytes = items.as_ref().map_or(0, |items| items.data().len() as u64);
            let subject = items.map_or(Subject::Nothing, |items| Subject::Results(id, range, items));
            self.tell(Input::Done { worker: id, lease, range, bytes, busy }, subject);
        }
        for (lease, range) in returned {
            self.tell(Input::Returned { worker: id, lease, range }, Subject::Nothing);
        }
        for trouble in troubles {
            if let Some(job) = self.jobs.get_mut(&trouble.job) {
                job.trouble = Some(trouble.message);
            }
            self.tell(Input::Trouble { worker: id, job: trouble.job }, Subject::Nothing);
        }
        self.places.push_back(Place { pos: self.written, worker: id, number, _permit: places });
        Ok(())
    }

    fn check(&self, worker: WorkerId, block: ResultBlock) -> Result<Checked, ConvertError> {
        let (lease, range, busy, ran_on) = (block.lease, block.range, block.busy, block.ran_on);
        let job = self.scheduler.lease_job(worker, lease);
        let items = match job {
            None => None,
            Some(job) => {
                let reduces = self.jobs.get(&job).is_some_and(Job::reduces);
                if reduces && block.bytes() > PARTIAL_MAX_BYTES && !self.scheduler.lease_finishes(lease) {
                    return Err(ConvertError::too_much("results (bytes)", block.bytes(), PARTIAL_MAX_BYTES));
                }
                Some(block.into_items(reduces)?)
            }
        };
        Ok(Checked { job, lease, range, busy, ran_on, items })
    }

    fn count_phases(&mut self, worker: WorkerId, clock: WorkerClock, phases: Phases) {
        let hello = self.workers.get(&worker).map(|worker| &worker.hello);
        let Some(job) = self.jobs.get_mut(&phases.job) else { return };
        let numbers = &mut job.numbers;
        numbers.dispatch.merge(&phases.dispatch);
        numbers.run.merge(&phases.run);
        numbers.report.merge(&phases.report);
        numbers.busy += phases.busy;
        numbers.slot += phases.slot;
        numbers.retried = numbers.retried.saturating_add(phases.retried);
        numbers.gil_wait.merge(&phases.gil_wait);
        numbers.gil_handovers = numbers.gil_handovers.saturating_add(phases.gil_handovers);
        numbers.start.merge(&phases.start);
        numbers.latency.merge(&phases.latency);
        numbers.start_lag.merge(&phases.start_lag);
        job.samples.add(worker, hello, clock, phases.zero, phases.samples);
        numbers.stand_ins = numbers.stand_ins.max(phases.stand_ins);
        numbers.retried_there = numbers.retried_there.saturating_add(phases.retried);
        self.totals.plugin(&job.plugin_name).report.merge(&phases.report);
    }

    /// Gives places back whose reports are durable, and tells their workers.
    pub(super) fn free_places(&mut self, durable: LogPos) {
        while self.places.front().is_some_and(|place| place.pos <= durable) {
            let Some(place) = self.places.pop_front() else { return };
            if let Some(worker) = self.workers.get_mut(&place.worker).filter(|_| place.number > 0) {
                worker.lasts(place.number);
                self.changed_workers.insert(place.worker);
            }
        }
    }
}
