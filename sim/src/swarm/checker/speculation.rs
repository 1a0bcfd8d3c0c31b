//! Second leases: given where the policy says so, to another worker, for tasks that one lease has for longer than the
//! policy is patient. The first end of a task ends it for both; a failure for now is no end while the other lease has
//! the task.

use super::in_force::{Held, InForce};
use super::{Checker, Fact, Verdict, hold, source};
use muster_core::id::{JobId, LeaseId, WorkerId};
use muster_core::range::IndexRange;
use muster_core::scheduler::{self, Config, DropReason, Grant, GrantKind, Input, Outcome, Output};
use muster_core::time::{Span, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Once a job's tasks have run for longer than this, and are more than so many, what was measured of them counts half.
const WINDOW: Span = Span::from_millis(2_000);
const WINDOW_TASKS: u64 = 16;

/// How long the tasks of a job took, by what workers said of those that ended.
#[derive(Debug, Default)]
struct Measured {
    busy_ns: u64,
    tasks: u64,
}

impl Measured {
    fn add(&mut self, tasks: u64, busy: Span) {
        self.busy_ns = self.busy_ns.saturating_add(busy.0);
        self.tasks += tasks;
        if self.busy_ns > WINDOW.0 && self.tasks > WINDOW_TASKS {
            (self.busy_ns, self.tasks) = (self.busy_ns / 2, self.tasks / 2);
        }
    }

    /// The time of so many tasks, one after the other, by a mean in whole picoseconds.
    fn time_of(&self, tasks: u64) -> Option<Span> {
        let mean_ps = (u128::from(self.busy_ns) * 1_000).checked_div(self.tasks.into())?.max(1);
        let mean_ps = u64::try_from(mean_ps).unwrap_or(u64::MAX);
        Some(Span(mean_ps.saturating_mul(tasks) / 1_000))
    }
}

/// When a lease was given, and how many tasks each slot of its worker then had ahead.
#[derive(Clone, Copy, Debug)]
struct Given {
    at: Time,
    rounds: u64,
}

#[derive(Debug)]
pub(super) struct Speculation {
    leases: InForce,
    spec: Option<scheduler::Speculation>,
    reduced: BTreeSet<JobId>,
    given: BTreeMap<LeaseId, Given>,
    measured: BTreeMap<JobId, Measured>,
    /// Jobs that had second leases.
    jobs: BTreeSet<JobId>,
    /// What workers were told in this step about jobs that they need no longer: whether to stop what runs.
    closed: Vec<(JobId, bool)>,
    /// Leases that lost their last task to the other: their workers must be told.
    beaten: BTreeSet<LeaseId>,
    /// A failure that must be dropped.
    void: Option<(WorkerId, u64)>,
    /// Tasks with a failure that was dropped, until the other lease has ended for them.
    uncharged: BTreeSet<(JobId, u64)>,
}

impl Speculation {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            leases: InForce::default(),
            spec: config.policy.speculation,
            reduced: BTreeSet::new(),
            given: BTreeMap::new(),
            measured: BTreeMap::new(),
            jobs: BTreeSet::new(),
            closed: Vec::new(),
            beaten: BTreeSet::new(),
            void: None,
            uncharged: BTreeSet::new(),
        }
    }

    fn told(&mut self, input: &Input) {
        match input {
            Input::Submit { job, spec } if spec.reduce => drop(self.reduced.insert(*job)),
            Input::Done { worker, lease, range, busy, .. } => self.measure(*worker, *lease, *range, *busy),
            Input::Failed { worker, lease, index, class, busy } => {
                let of_worker = self.leases.leases.get(lease).is_some_and(|held| held.worker == *worker);
                let task = IndexRange::from_count(*index, 1);
                if of_worker && class.retryable() && self.leases.stays_elsewhere(*lease, task) {
                    self.void = Some((*worker, *index));
                } else if !class.ends_executor() {
                    self.measure(*worker, *lease, task, *busy);
                }
            }
            _ => {}
        }
    }

    /// A worker says how long tasks took. Of those that its lease has not, or has no more, it says nothing.
    fn measure(&mut self, worker: WorkerId, lease: LeaseId, range: IndexRange, busy: Span) {
        let held = self.leases.leases.get(&lease).filter(|held| held.worker == worker && !held.combines);
        let Some(held) = held.filter(|_| self.spec.is_some()) else { return };
        let tasks: u64 = held.tasks.overlap(range).map(IndexRange::len).sum();
        if tasks > 0 {
            self.measured.entry(held.job).or_default().add(tasks, busy.share(tasks, range.len()));
        }
    }

    fn said(&mut self, now: Time, output: &Output, cause: Option<&Input>) -> Verdict {
        match output {
            Output::Grant { worker, grant } => {
                if grant.speculative {
                    self.second(now, *worker, grant)?;
                    self.jobs.insert(grant.job);
                }
                let slots = self.leases.workers.get(worker).copied().unwrap_or(1);
                let ahead = self.leases.of(*worker).map(Held::units).sum::<u64>() + grant.range.len();
                self.given.insert(grant.lease, Given { at: now, rounds: ahead.div_ceil(slots) });
            }
            Output::Commit { job, range, .. } => self.over(*job, *range, cause),
            Output::Fail { job, index, class, .. } => {
                if class.retryable() {
                    self.alone(*job, *index, cause)?;
                }
                // It may be released again.
                self.uncharged.remove(&(*job, *index));
                self.over(*job, IndexRange::from_count(*index, 1), cause);
            }
            Output::Retry { job, index, .. } => {
                self.alone(*job, *index, cause)?;
                self.uncharged.remove(&(*job, *index));
            }
            Output::Dropped { worker, job, range, reason: DropReason::OtherLease } => {
                let void = self.void.take();
                self.uncharged.extend(job.map(|job| (job, range.start)));
                hold!(void == Some((*worker, range.start)), "{output:?}, and {void:?} stays elsewhere");
            }
            Output::Recall { lease, .. } => drop(self.beaten.remove(lease)),
            Output::Close { job, cancel, .. } => self.closed.push((*job, *cancel)),
            Output::Ended { job, outcome, .. } => {
                let cancels = *outcome != Outcome::Done || self.jobs.remove(job);
                let wrong = self.closed.iter().find(|&&(other, cancel)| other == *job && cancel != cancels);
                hold!(wrong.is_none(), "{job} ends as {outcome:?} and is closed, cancel: {}", !cancels);
                self.jobs.remove(job);
                self.reduced.remove(job);
                self.measured.remove(job);
                self.uncharged.retain(|(other, _)| other != job);
                self.given.retain(|lease, _| self.leases.leases.contains_key(lease));
            }
            _ => {}
        }
        Ok(())
    }

    fn second(&self, now: Time, worker: WorkerId, grant: &Grant) -> Verdict {
        let Grant { lease, job, range, ref kind, .. } = *grant;
        let Some(spec) = self.spec else { return Err(format!("{lease} is speculative by no policy")) };
        hold!(*kind == GrantKind::Run && !self.reduced.contains(&job), "{job} is combined and gets {lease}");
        let first: Vec<_> = self.leases.others(None, job, range).collect();
        let [(id, held)] = first[..] else {
            return Err(format!("{range} of {job} has {} leases and gets {lease}", first.len()));
        };
        hold!(held.tasks.covers(range), "{id} has {:?} and {lease} {range}", held.tasks);
        let uncharged = self.uncharged.range((job, range.start)..(job, range.end)).next();
        hold!(uncharged.is_none(), "{uncharged:?} failed, was not charged, and gets {lease}");
        hold!(held.worker != worker, "{worker} has {id} and gets {lease}");
        let paired = held.tasks.iter().find_map(|piece| self.leases.others(Some(id), job, piece).next());
        hold!(paired.is_none(), "{id} and {paired:?} have tasks in common, and {lease} comes to that");
        let slots = |worker| self.leases.workers.get(&worker).copied().unwrap_or(0);
        hold!(held.units() <= slots(held.worker), "{id} has tasks that wait, and gets {lease}");
        let busy: u64 = self.leases.of(worker).map(|held| held.units()).sum();
        let free = slots(worker).saturating_sub(busy);
        hold!(range.len() <= free, "{worker} has {free} free slots and gets {lease}: {range}");
        let Some(given) = self.given.get(&id) else {
            return Err(format!("nobody gave {id}, and it gets {lease}"));
        };
        let measured = self.measured.get(&job);
        let Some(expected) = measured.and_then(|measured| measured.time_of(given.rounds)) else {
            return Err(format!("nobody knows how long {id} takes, and it gets {lease}"));
        };
        let out = now.since(given.at);
        let wait = Span(expected.0.saturating_mul(spec.factor.into())).max(spec.wait_min);
        hold!(
            out >= wait,
            "{id} is out for {out}, {wait} is patience, and it gets {lease}: {given:?}, {measured:?}"
        );
        Ok(())
    }

    /// No other lease has a task that failed for now.
    fn alone(&self, job: JobId, index: u64, cause: Option<&Input>) -> Verdict {
        let source = source(cause).map(|(_, lease)| lease);
        let other = self.leases.others(source, job, IndexRange::from_count(index, 1)).next();
        hold!(
            other.is_none() && self.void.is_none(),
            "{index} of {job} failed for now, and {other:?} has it"
        );
        Ok(())
    }

    /// Tasks end, and other leases may have nothing but these.
    fn over(&mut self, job: JobId, range: IndexRange, cause: Option<&Input>) {
        let source = source(cause).map(|(_, lease)| lease);
        let others = self.leases.others(source, job, range);
        let beaten = others.filter(|(_, held)| {
            let left: u64 = held.tasks.overlap(range).map(IndexRange::len).sum();
            left == held.tasks.len()
        });
        self.beaten.extend(beaten.map(|(id, _)| id));
    }
}

impl Checker for Speculation {
    fn name(&self) -> &'static str {
        "speculation"
    }

    fn look(&mut self, now: Time, fact: &Fact<'_>) -> Verdict {
        match fact {
            Fact::Told(input) => self.told(input),
            Fact::Said { output, cause, .. } => self.said(now, output, *cause)?,
            Fact::Settled(_) => {
                hold!(self.beaten.is_empty(), "{:?} ended, and nobody was told", self.beaten);
                hold!(self.void.is_none(), "{:?} failed for now elsewhere and is not dropped", self.void);
                self.closed.clear();
            }
            Fact::Restarted { jobs, .. } => {
                self.reduced = jobs.iter().filter(|job| job.spec.reduce).map(|job| job.job).collect();
                self.given.clear();
                self.measured.clear();
                self.uncharged.clear();
                self.jobs.clear();
                self.closed.clear();
            }
            _ => {}
        }
        self.leases.follow(fact);
        if !self.uncharged.is_empty() {
            for back in self.leases.back.iter().filter(|back| !back.elsewhere) {
                self.uncharged.retain(|&(job, index)| job != back.job || !back.range.contains(index));
            }
        }
        Ok(())
    }
}
