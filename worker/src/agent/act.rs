//! Does what the agent's state machine says.

use super::driver::Driver;
use super::executor::{ExecutorHandle, Seat, Surroundings};
use super::exit::Refusal;
use super::inquest::Charge;
use super::job::{JobState, Memory};
use super::report::Results;
use crate::frame::{OpenJob, ToExecutor};
use crate::metrics::Executors;
use crate::sandbox::Sandbox;
use muster_core::agent::{ExitCause, Input, Output};
use muster_core::id::{ExecutorId, JobId, LeaseId};
use muster_core::range::IndexRange;
use muster_core::shape::Flow;
use muster_core::time::Span;
use muster_proto::convert::RanOn;
use muster_proto::packed::Items;
use std::sync::Arc;

/// What the outputs speak of that is not in them.
pub(super) enum Arrived<'a> {
    /// Nothing.
    Nothing,
    /// Results that were just handed in.
    Results {
        range: IndexRange,
        items: &'a Items,
        busy_ns: u64,
        ended_ns: u64,
        ran_on: RanOn,
        skipped: &'a [u64],
    },
    /// Why a task failed, and how long it ran.
    Failure { text: &'a str, busy_ns: u64, ran_on: Option<RanOn> },
    /// Something that is told of later: whoever is charged with it is put down here, and how long the attempt ran.
    Inquest { charges: &'a mut Vec<Charge>, busy_ns: u64, ran_on: Option<RanOn> },
}

impl Driver {
    /// Hands an input to the agent and does what it says.
    pub fn feed(&mut self, input: Input) {
        self.feed_with(input, Arrived::Nothing);
    }

    /// As [`Driver::feed`], for an input that came with something.
    pub fn feed_with(&mut self, input: Input, arrived: Arrived<'_>) {
        self.say_what_runs();
        self.agent.handle(self.now(), input);
        self.act(arrived);
        self.feed_backlog();
    }

    /// Hands in what arose meanwhile.
    pub fn feed_backlog(&mut self) {
        while let Some(input) = self.backlog.pop_front() {
            self.say_what_runs();
            self.agent.handle(self.now(), input);
            self.act(Arrived::Nothing);
        }
    }

    /// Jobs that are here together share the slots: the agent has to know who still has which, and who has run dry.
    fn say_what_runs(&mut self) {
        if self.jobs.len() < 2 {
            return;
        }
        for (&id, job) in &mut self.jobs {
            let Some(memory) = &mut job.memory else { continue };
            self.agent.set_running(id, memory.page.busy_slots());
            // A job that has nothing left to claim needs no more than what runs.
            let drained = memory.take_drained().into_iter();
            self.backlog.extend(drained.map(|entry| Input::Drained { job: id, entry }));
        }
    }

    /// Lets the agent do what is due.
    pub fn turn(&mut self) {
        self.say_what_runs();
        self.agent.handle_timeout(self.now());
        self.act(Arrived::Nothing);
        self.feed_backlog();
    }

    /// Does everything that the agent wants done.
    fn act(&mut self, mut arrived: Arrived<'_>) {
        while let Some(output) = self.agent.poll_output() {
            match output {
                Output::MakePage { job, shape } => {
                    let made = self.jobs.get_mut(&job).map(|job| job.make_memory(shape));
                    if let Some(Err(error)) = made {
                        self.give_up(job, format!("no memory for the job: {error}"));
                    }
                }
                Output::RenewPage { job } => {
                    let memory = self.jobs.get_mut(&job).and_then(|job| job.memory.as_mut());
                    if let Some(Err(error)) = memory.map(Memory::renew_page) {
                        self.give_up(job, format!("no memory for the job: {error}"));
                    }
                }
                Output::Start { executor, job, threads, first_slot } => {
                    self.start(executor, Seat { job, first_slot, threads });
                }
                Output::Assign { executor, job, threads, first_slot } => {
                    self.open_job(executor, Seat { job, first_slot, threads });
                }
                Output::CloseJob { executor, job } => {
                    self.tell(executor, &ToExecutor::Close { job: job.0 });
                }
                Output::Terminate { executor } => {
                    if let Some(executor) = self.executors.get_mut(&executor) {
                        executor.circumstances.terminated = true;
                        executor.terminate();
                    }
                }
                Output::Stop { executor, kill } => self.stop(executor, kill),
                Output::CancelTasks { job } => {
                    self.jobs.get_mut(&job).into_iter().for_each(JobState::cancel_tasks);
                }
                Output::Publish { job, entry, lease, range, .. } => self.publish(job, entry, lease, range),
                Output::Reclaim { job, entry, count } => self.reclaim(job, entry, count),
                Output::Allow { job, slots } => {
                    let now = self.now();
                    self.jobs.get_mut(&job).into_iter().for_each(|job| job.allow(now, slots));
                }
                Output::Forward { lease, range } => self.forward(lease, range, &arrived),
                Output::Refuse { range, .. } => self.metrics.results_refused(range.len()),
                Output::ReportFailed { lease, index, class } => {
                    if let Some(job) = self.leases.get(&lease).and_then(|lease| self.jobs.get(&lease.job)) {
                        self.metrics.attempt_failed(&job.plugin.name, class);
                    }
                    let charge = |busy_ns, ran_on| Charge { lease, index, class, busy_ns, ran_on };
                    let (text, charge) = match &mut arrived {
                        Arrived::Failure { text, busy_ns, ran_on } => (*text, charge(*busy_ns, *ran_on)),
                        Arrived::Inquest { charges, busy_ns, ran_on } => {
                            charges.push(charge(*busy_ns, *ran_on));
                            continue;
                        }
                        Arrived::Nothing | Arrived::Results { .. } => (class.name(), charge(0, None)),
                    };
                    self.report.failure(charge, text.to_owned(), None);
                }
                Output::Return { lease, range } => self.report.returned(lease, range),
                Output::ReportTrouble { job } => {
                    let text = self.jobs.get(&job).map(|job| job.trouble.clone()).unwrap_or_default();
                    self.report.trouble(job, text);
                }
                Output::ForgetLease { lease } => self.forget_lease(lease),
                Output::ForgetJob { job } => self.forget_job(job),
            }
        }
    }

    fn start(&mut self, id: ExecutorId, seat: Seat) {
        let Some(job) = self.jobs.get(&seat.job).filter(|job| job.memory.is_some()) else {
            return self.backlog.push_back(not_started(id));
        };
        let path = job.plugin.path.to_string_lossy().into_owned();
        let plugin = Arc::clone(&job.plugin);
        let confinement = job.confinement.clone();
        let sandbox = Sandbox::clone(&confinement.sandbox);
        let scratch = self.scratch.as_ref().map(|place| place.join(id.0.to_string()));
        let around = Surroundings { scratch, spawner: &self.spawner, events: &self.events, log: &self.log };
        let (handle, shelf) =
            ExecutorHandle::start(self.now(), id, seat, Arc::clone(&plugin), confinement, around);
        let record = handle.crash.as_ref().and_then(|crash| crash.for_executor().ok());
        let scratch = handle.scratch_text();
        let (digest, record_comes, shelf_comes) = (plugin.digest, record.is_some(), shelf.is_some());
        let load =
            ToExecutor::Load { path, digest, record: record_comes, shelf: shelf_comes, sandbox, scratch };
        handle.send(load.encode(), record.into_iter().chain(shelf).collect());
        self.executors.insert(id, handle);
        let again = self.jobs.get_mut(&seat.job).is_some_and(JobState::replaces_crashed);
        self.metrics.executor_started(again);
        self.open_job(id, seat);
        self.count_executors();
    }

    fn open_job(&mut self, id: ExecutorId, seat: Seat) {
        let (Some(executor), Some(job)) = (self.executors.get_mut(&id), self.jobs.get_mut(&seat.job)) else {
            return;
        };
        executor.seat = Some(seat);
        if let Some(memory) = &job.memory {
            let interleaves = matches!(job.open.shape.flow, Flow::InFlight(_));
            executor.watch.set(seat, &memory.page, interleaves);
        }
        let Some(Ok(descriptors)) = job.descriptors() else {
            job.trouble = "the worker has no file descriptors left; raise its limit (ulimit -n)".to_owned();
            executor.circumstances.refusal = Some(Refusal::of(job.trouble.clone()));
            return executor.kill();
        };
        let open = ToExecutor::Open(OpenJob {
            job: seat.job.0,
            params: job.open.params.clone(),
            seed: job.open.seed,
            tasks: job.open.tasks,
            threads: seat.threads,
            first_slot: seat.first_slot,
            reduce_leaf: job.open.reduce_leaf.unwrap_or(0),
            result_bytes_max: job.open.result_max_bytes,
            max_attempts: job.open.max_attempts,
            timeout_ns: job.open.limits.timeout.map_or(0, |limit| limit.0),
            grace_ns: job.open.limits.grace.0,
            memory_bytes: job.open.limits.memory_bytes.unwrap_or(0),
            extra_millionths: self.config.emulation.speed.extra_millionths(),
            scratch: executor.scratch_text(),
            flow: job.open.shape.flow,
            gil: job.open.gil,
            arrivals: job.open.arrivals,
            task_samples: job.open.task_samples,
        });
        executor.send(open.encode(), descriptors);
    }

    /// Says what executors do, for who looks at the metrics.
    pub fn count_executors(&self) {
        let mut counts = Executors::default();
        for executor in self.executors.values() {
            match (executor.has_opened, executor.seat) {
                (false, _) => counts.starting += 1,
                (true, Some(_)) => counts.busy += 1,
                (true, None) => counts.idle += 1,
            }
        }
        self.metrics.set_executors(counts);
    }

    fn tell(&self, executor: ExecutorId, message: &ToExecutor) {
        if let Some(executor) = self.executors.get(&executor) {
            executor.send(message.encode(), Vec::new());
        }
    }

    fn stop(&mut self, id: ExecutorId, kill: bool) {
        let Some(executor) = self.executors.get_mut(&id) else { return };
        if kill {
            executor.circumstances.killed = true;
            executor.kill();
        } else {
            executor.circumstances.stopped = true;
            executor.send(ToExecutor::Stop.encode(), Vec::new());
        }
    }

    fn publish(&mut self, job: JobId, entry: usize, lease: LeaseId, range: IndexRange) {
        let memory = self.jobs.get_mut(&job).and_then(|job| job.memory.as_mut());
        if let (Some(memory), Some(state)) = (memory, self.leases.get_mut(&lease)) {
            memory.publish(entry, lease, state, range);
        }
    }

    fn reclaim(&mut self, job: JobId, entry: usize, count: u64) {
        let memory = self.jobs.get_mut(&job).and_then(|job| job.memory.as_mut());
        let range = memory.map(|memory| memory.reclaim(entry, count)).unwrap_or_default();
        self.backlog.push_back(Input::Reclaimed { job, entry, range });
        self.note_drained(job);
    }

    /// Tells the agent which page entries have run empty.
    pub fn note_drained(&mut self, id: JobId) {
        let Some(memory) = self.jobs.get_mut(&id).and_then(|job| job.memory.as_mut()) else { return };
        for entry in memory.take_drained() {
            self.backlog.push_back(Input::Drained { job: id, entry });
        }
    }

    fn forward(&mut self, id: LeaseId, range: IndexRange, arrived: &Arrived<'_>) {
        let Arrived::Results { range: all, items, busy_ns, ended_ns, ran_on, skipped } = arrived else {
            return;
        };
        let Some(lease) = self.leases.get(&id) else { return };
        let Some(job) = self.jobs.get(&lease.job) else { return };
        let combined = lease.whole || job.reduces();
        let (packed, busy_ns) = if combined || range == *all {
            ((*items).clone().into_packed(), *busy_ns)
        } else {
            let from = (range.start - all.start) as usize;
            let busy = Span(*busy_ns).share(range.len(), all.len());
            (items.slice(from..from + range.len() as usize), busy.0)
        };
        if !lease.whole {
            self.metrics.attempts_ok(&job.plugin.name, range.len() - skipped.len() as u64);
        }
        self.report.results(Results {
            job: lease.job,
            lease: id,
            range,
            packed,
            busy_ns,
            ended_ns: *ended_ns,
            ran_on: *ran_on,
            skipped: skipped.to_vec(),
            combined,
        });
    }

    pub fn forget_lease(&mut self, id: LeaseId) {
        let now = self.now();
        let Some(lease) = self.leases.remove(&id) else { return };
        self.metrics.set_leases(self.leases.len());
        let Some(job) = self.jobs.get_mut(&lease.job) else { return };
        job.count_slot_time(now);
        job.leases = job.leases.saturating_sub(1);
        if let Some(memory) = &mut job.memory {
            memory.forget(lease);
        }
    }

    fn forget_job(&mut self, id: JobId) {
        self.log.close_job(id.0);
        if let Some(mut job) = self.jobs.remove(&id) {
            job.crashes.tell_rest(id);
            super::arrive::report_phases(&mut job, &mut self.report, &self.metrics);
            if let Some(stop) = job.stop {
                if let Some(took) = stop.took() {
                    self.metrics.cancelled(took);
                }
                self.report.stopped(stop.to_proto(id));
            }
        }
        for executor in self.executors.values_mut() {
            executor.seat.take_if(|seat| seat.job == id);
        }
        self.tell_memory_soon();
        self.start_next_life(id);
    }

    /// A job cannot run here, for a reason that the agent does not know.
    pub fn give_up(&mut self, job: JobId, reason: String) {
        tracing::error!(%job, reason, "this worker cannot run the job");
        self.report.trouble(job, reason);
        self.backlog.push_back(Input::Close { job, cancel: true });
    }
}

fn not_started(executor: ExecutorId) -> Input {
    Input::ExecutorExited {
        executor,
        cause: ExitCause::LoadFailed,
        held: Vec::new(),
        running: Vec::new(),
        culprits: Vec::new(),
    }
}
