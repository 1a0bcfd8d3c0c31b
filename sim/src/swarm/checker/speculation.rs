//! Second leases: given where the policy says so, to another worker, for tasks that one lease has for long enough. The
//! first end of a task ends it for both; a failure for now is no end while the other lease has the task.

use super::in_force::InForce;
use super::{Checker, Fact, Verdict, hold, source};
use muster_core::id::{JobId, LeaseId, WorkerId};
use muster_core::range::IndexRange;
use muster_core::scheduler::{self, Config, DropReason, Grant, GrantKind, Input, Outcome, Output};
use muster_core::time::Time;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug)]
pub(super) struct Speculation {
    leases: InForce,
    spec: Option<scheduler::Speculation>,
    reduced: BTreeSet<JobId>,
    /// When leases were given.
    given: BTreeMap<LeaseId, Time>,
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
            Input::Failed { worker, lease, index, class, .. } => {
                let of_worker = self.leases.leases.get(lease).is_some_and(|held| held.worker == *worker);
                let task = IndexRange::from_count(*index, 1);
                if of_worker && class.retryable() && self.leases.stays_elsewhere(*lease, task) {
                    self.void = Some((*worker, *index));
                }
            }
            _ => {}
        }
    }

    fn said(&mut self, now: Time, output: &Output, cause: Option<&Input>) -> Verdict {
        match output {
            Output::Grant { worker, grant } => {
                if grant.speculative {
                    self.second(now, *worker, grant)?;
                    self.jobs.insert(grant.job);
                }
                self.given.insert(grant.lease, now);
            }
            Output::Commit { job, range, .. } => self.over(*job, *range, cause),
            Output::Fail { job, index, class, .. } => {
                if class.retryable() {
                    self.alone(*job, *index, cause)?;
                }
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
        let out = self.given.get(&id).map(|&given| now.since(given));
        hold!(out >= Some(spec.wait_min), "{id} is out for {out:?} and gets {lease}");
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
