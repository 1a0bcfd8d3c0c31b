//! The coordinator: the real scheduler, the partial results it keeps, and its log.

use super::checker::{Fact, log};
use super::connection::Down;
use super::disk::{Entry, keep};
use super::mutation::Shell;
use super::partial::Partial;
use super::world::{Event, World};
use muster_core::id::{JobId, LogPos, WorkerId};
use muster_core::range::IndexRange;
use muster_core::reduce::Block;
use muster_core::scheduler::{GrantKind, Input, Loss, Output, Scheduler};
use muster_core::time::{Span, Time};

/// Leases that liars remember.
const RECENT_MAX: usize = 64;

impl World {
    /// Tells the scheduler something, with the partial result that belongs to it, and does what it says.
    pub(super) fn tell(&mut self, input: Input, subject: Option<&Partial>) {
        self.inputs += 1;
        self.check(&Fact::Told(&input));
        self.note(|| format!("  scheduler <- {input:?}"));
        self.scheduler.handle(self.now, input.clone());
        self.pump(Some(&input), subject);
        self.let_leave();
    }

    /// Workers that have finished go.
    fn let_leave(&mut self) {
        while let Some(left) = self.left.pop_front() {
            self.check(&Fact::Told(&left));
            self.scheduler.handle(self.now, left.clone());
            self.pump(Some(&left), None);
        }
    }

    pub(super) fn pump(&mut self, cause: Option<&Input>, subject: Option<&Partial>) {
        while let Some(output) = self.scheduler.poll_output() {
            self.digest(&output);
            self.check(&Fact::Said { output: &output, cause, subject });
            self.note(|| format!("  scheduler -> {output:?}"));
            if self.has_violation() {
                return;
            }
            self.act(output, subject);
        }
        self.check_scheduler();
        if let Some((at, _)) = self.scheduler.poll_timeout()
            && at < self.scheduler_due
        {
            self.scheduler_due = at;
            self.queue.push(at.max(self.now), Event::SchedulerDue);
        }
    }

    pub(super) fn scheduler_due(&mut self) {
        if self.up && self.now >= self.scheduler_due {
            self.scheduler_due = Time(u64::MAX);
            self.scheduler.handle_timeout(self.now);
            self.pump(None, None);
            self.let_leave();
        }
    }

    fn act(&mut self, output: Output, subject: Option<&Partial>) {
        let place = log::place(&output);
        let entry = match output {
            Output::Open { worker, .. } | Output::Recall { worker, .. } | Output::Close { worker, .. } => {
                return self.say(worker, Down::Say(output, Vec::new()));
            }
            Output::Grant { worker, ref grant } => {
                self.second_leases += u64::from(grant.speculative);
                self.recent.push_back((worker, grant.lease, grant.job, grant.range));
                if self.recent.len() > RECENT_MAX {
                    self.recent.pop_front();
                }
                let parts = match &grant.kind {
                    GrantKind::Run => Vec::new(),
                    GrantKind::Combine { blocks, .. } => self.parts(grant.job, blocks),
                };
                return self.say(worker, Down::Say(output, parts));
            }
            Output::Lost { worker } => return self.close_session(worker),
            Output::Drained { worker } => return self.let_go(worker),
            // Simulated workers come back with nothing.
            Output::Dropped { .. } | Output::Adopted { .. } => return,
            Output::Accepted { job, .. } => {
                let client = self.clients.iter().position(|client| client.id == Some(job));
                let Some(client) = client else { return };
                Entry::Accepted { job, spec: self.setting.jobs[client].spec.clone() }
            }
            Output::Extended { job, range, .. } => Entry::Extended { job, range },
            Output::Sealed { job, .. } => Entry::Sealed { job },
            Output::Commit { job, range, .. } => {
                self.committed += range.len();
                self.keep_partial(job, Block::from_range(range), subject);
                Entry::Commit { job, range, partial: subject.cloned() }
            }
            Output::Combined { job, block, .. } => {
                self.keep_partial(job, Some(block), subject);
                Entry::Combined { job, block, partial: subject.cloned() }
            }
            Output::Fail { job, index, .. } => Entry::Fail { job, index },
            Output::Retry { job, index, class, charged, .. } => Entry::Retry { job, index, class, charged },
            Output::Paused { job, .. } => Entry::Paused { job },
            Output::Released { job, tasks, .. } => Entry::Released { job, tasks },
            Output::Ended { job, .. } => {
                self.partials.remove(&job);
                Entry::Ended { job }
            }
        };
        if let Some(pos) = place {
            self.append(pos, entry);
        }
    }

    fn append(&mut self, pos: LogPos, entry: Entry) {
        if self.strikes(Shell::CommitBeforeStore) {
            self.check(&Fact::Shown(&entry));
        }
        let commit = self.setting.commit;
        let at = self.now + commit + Span(self.net.below(commit.0 / 2 + 1));
        let at = self.disk.append(at, pos, entry);
        self.queue.push(at, Event::Durable);
    }

    /// What has become durable is shown.
    pub(super) fn durable(&mut self) {
        while let Some(entry) = self.disk.settle(self.now) {
            self.show(&entry);
        }
    }

    fn show(&mut self, entry: &Entry) {
        self.check(&Fact::Shown(entry));
        self.acknowledge(entry);
    }

    fn parts(&self, job: JobId, blocks: &[Block]) -> Vec<(Block, Partial)> {
        let Some(partials) = self.partials.get(&job) else { return Vec::new() };
        blocks.iter().filter_map(|block| partials.get(&block.start).cloned()).collect()
    }

    fn keep_partial(&mut self, job: JobId, block: Option<Block>, subject: Option<&Partial>) {
        if let (Some(block), Some(_)) = (block, subject) {
            keep(self.partials.entry(job).or_default(), block, subject);
        }
    }

    fn say(&mut self, worker: WorkerId, what: Down) {
        if let Some(&connection) = self.sessions.get(&worker) {
            self.send_down(connection, what);
        }
    }

    /// A worker has finished and goes for good.
    fn let_go(&mut self, worker: WorkerId) {
        if let Some(&connection) = self.sessions.get(&worker) {
            let machine = self.connections[connection].machine;
            self.stop_machine(machine);
            self.machines[machine].gone = true;
        }
        self.close_session(worker);
        self.left.push_back(Input::Left { worker, reason: Loss::Left });
    }

    /// The coordinator ends. The disk may have had more than it had said.
    pub(super) fn crash_coordinator(&mut self) {
        self.up = false;
        self.scheduler_due = Time(u64::MAX);
        let stored = self.luck.below(self.disk.waiting() + 1);
        for _ in 0..stored {
            if let Some(entry) = self.disk.store() {
                self.show(&entry);
            }
        }
        let connections: Vec<usize> = std::mem::take(&mut self.sessions).into_values().collect();
        for connection in connections {
            self.connections[connection].open = false;
            let at = self.now + self.setting.latency;
            self.queue.push(at, Event::Closed { connection });
        }
        let down = self.luck.micros(1_000, 500_000);
        self.queue.push(self.now + down, Event::CoordinatorUp);
    }

    /// It starts again from what was stored.
    pub(super) fn coordinator_up(&mut self) {
        let next = self.disk.crash();
        self.strikes_before += self.scheduler_strikes();
        (self.up, self.epoch) = (true, self.epoch + 1);
        self.scheduler = Scheduler::new(self.setting.config.clone(), next);
        self.take_guarantee();
        self.next_worker = 1;
        self.next_job = self.disk.jobs.keys().next_back().map_or(1, |job| job.0 + 1);
        self.recent.clear();
        self.left.clear();
        let live = self.disk.jobs.iter().filter(|(_, job)| !job.ended);
        self.partials = live.map(|(&id, job)| (id, job.partials.clone())).collect();
        let jobs = self.disk.recovered();
        let ended: Vec<JobId> =
            self.disk.jobs.iter().filter(|(_, job)| job.ended).map(|(&id, _)| id).collect();
        self.check(&Fact::Restarted { jobs: &jobs, ended: &ended });
        self.note(|| format!("  coordinator starts with {jobs:?}"));
        jobs.into_iter().for_each(|job| self.scheduler.recover(job));
        self.pump(None, None);
        self.begin_again();
    }

    fn digest(&mut self, output: &Output) {
        let mut add = |kind: u64, id: u64, range: IndexRange| {
            self.digest.add(kind << 56 ^ id);
            self.digest.add(range.start << 32 ^ range.end);
        };
        let none = IndexRange::default();
        match *output {
            Output::Accepted { job, .. } => add(1, job.0, none),
            Output::Extended { job, range, .. } => add(2, job.0, range),
            Output::Sealed { job, .. } => add(3, job.0, none),
            Output::Open { worker, job, .. } => add(4, worker.0 << 20 ^ job.0, none),
            Output::Grant { worker, ref grant } => add(5, worker.0 ^ grant.lease.0 << 8, grant.range),
            Output::Recall { lease, count, .. } => add(6, lease.0, IndexRange::new(0, count)),
            Output::Close { worker, job, .. } => add(7, worker.0 << 20 ^ job.0, none),
            Output::Commit { job, range, .. } => add(8, job.0, range),
            Output::Combined { job, block, .. } => add(9, job.0, block.range()),
            Output::Fail { job, index, charged, .. } => {
                add(10, job.0 ^ u64::from(charged) << 20, IndexRange::from_count(index, 1));
            }
            Output::Retry { job, index, charged, .. } => {
                add(11, job.0 ^ u64::from(charged) << 20, IndexRange::from_count(index, 1));
            }
            Output::Dropped { worker, range, .. } => add(12, worker.0, range),
            Output::Lost { worker } => add(13, worker.0, none),
            Output::Drained { worker } => add(14, worker.0, none),
            Output::Ended { job, .. } => add(15, job.0, none),
            Output::Paused { job, crashed, .. } => add(16, job.0 ^ crashed << 20, none),
            Output::Released { job, ref tasks, .. } => add(17, job.0, IndexRange::new(0, tasks.len())),
            Output::Adopted { lease, ref tasks, .. } => add(18, lease.0, IndexRange::new(0, tasks.len())),
        }
    }
}
