//! Whose turn it is: a lease goes to no job while another one that the policy prefers has ready tasks and fits the worker,
//! and a second lease is given to no worker that something ready fits.

use super::in_force::InForce;
use super::{Checker, Fact, Verdict, hold};
use muster_core::id::{JobId, WorkerId};
use muster_core::range::{IndexRange, RangeSet};
use muster_core::scheduler::{self, Config, Grant, GrantKind, Input, JobSpec, Output, RecoveredJob};
use muster_core::time::Time;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug)]
struct Queued {
    spec: JobSpec,
    ready: RangeSet,
    /// Tasks that wait before they are tried again.
    later: BTreeMap<u64, Time>,
    held: bool,
    paused: bool,
    /// Workers that cannot run it.
    troubled: BTreeSet<WorkerId>,
}

#[derive(Debug)]
pub(super) struct Order {
    leases: InForce,
    order: scheduler::Order,
    jobs: BTreeMap<JobId, Queued>,
    /// Who must not run which job, said before the two are there.
    unfit: BTreeSet<(WorkerId, JobId)>,
}

impl Queued {
    fn new(spec: &JobSpec) -> Self {
        let ready = RangeSet::from(IndexRange::new(0, spec.tasks));
        Self {
            spec: spec.clone(),
            ready,
            later: BTreeMap::new(),
            held: false,
            paused: false,
            troubled: BTreeSet::new(),
        }
    }

    fn recovered(job: &RecoveredJob) -> Self {
        let mut ready = RangeSet::from(IndexRange::new(0, job.tasks));
        job.committed.iter().chain(job.failed.iter()).for_each(|range| _ = ready.remove(range));
        Self { ready, paused: job.paused, ..Self::new(&job.spec) }
    }

    fn waits(&self) -> bool {
        !self.held && !self.paused && !self.ready.is_empty()
    }

    /// Tasks that have waited long enough are ready.
    fn ripen(&mut self, now: Time) {
        let ripe: Vec<u64> =
            self.later.iter().filter(|(_, due)| **due <= now).map(|(&index, _)| index).collect();
        for index in ripe {
            self.later.remove(&index);
            self.ready.insert(IndexRange::from_count(index, 1));
        }
    }

    fn fits(&self, worker: WorkerId, slots: u64) -> bool {
        let shape = self.spec.shape.resolve(slots as u32);
        // A paced job may have its worker, and which that is cannot be told from here.
        !self.spec.paced
            && !self.troubled.contains(&worker)
            && (self.spec.oversubscribe || u64::from(shape.slots()) <= slots)
    }
}

impl Order {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            leases: InForce::default(),
            order: config.policy.order,
            jobs: BTreeMap::new(),
            unfit: BTreeSet::new(),
        }
    }

    /// Whether one job goes before another; of two that the policy does not tell apart, or by what it cannot be told
    /// from outside, neither does.
    fn before(&self, one: (JobId, &Queued), other: (JobId, &Queued)) -> bool {
        let older = one.0 < other.0;
        let (first, second) = (one.1.spec.priority, other.1.spec.priority);
        match self.order {
            scheduler::Order::Fifo => older,
            scheduler::Order::Fair => first > second,
            scheduler::Order::Priority => first > second || (first == second && older),
            scheduler::Order::Random => false,
        }
    }

    fn granted(&mut self, worker: WorkerId, grant: &Grant) -> Verdict {
        let Grant { lease, job, range, ref kind, speculative, .. } = *grant;
        let slots = self.leases.workers.get(&worker).copied().unwrap_or(0);
        let could_go = |id: JobId, queued: &Queued| {
            queued.waits() && queued.fits(worker, slots) && !self.unfit.contains(&(worker, id))
        };
        if speculative {
            let waits = self.jobs.iter().find(|&(&id, queued)| could_go(id, queued));
            hold!(waits.is_none(), "{job} gets a second lease, {lease}, and {waits:?} waits");
            return Ok(());
        }
        if let Some(served) = self.jobs.get(&job) {
            let passed = self
                .jobs
                .iter()
                .find(|&(&id, queued)| self.before((id, queued), (job, served)) && could_go(id, queued));
            hold!(passed.is_none(), "{worker} gets {lease} of {job}, and {passed:?} goes before that");
        }
        if let (Some(served), GrantKind::Run) = (self.jobs.get_mut(&job), kind) {
            served.ready.remove(range);
        }
        Ok(())
    }

    fn told(&mut self, input: &Input) {
        match input {
            Input::Submit { job, spec } => drop(self.jobs.insert(*job, Queued::new(spec))),
            Input::Unfit { worker, job } => _ = self.unfit.insert((*worker, *job)),
            Input::Hold { job, held } => {
                if let Some(queued) = self.jobs.get_mut(job) {
                    queued.held = *held;
                }
            }
            Input::Trouble { worker, job } if self.leases.opened.contains(&(*worker, *job)) => {
                if let Some(queued) = self.jobs.get_mut(job) {
                    queued.troubled.insert(*worker);
                }
            }
            _ => {}
        }
    }

    fn said(&mut self, now: Time, output: &Output) -> Verdict {
        match output {
            Output::Grant { worker, grant } => {
                self.jobs.values_mut().for_each(|queued| queued.ripen(now));
                self.granted(*worker, grant)?;
            }
            Output::Extended { job, range, .. } => self.ready(*job, *range),
            Output::Retry { job, index, not_before, .. } => {
                if let Some(queued) = self.jobs.get_mut(job) {
                    queued.later.insert(*index, *not_before);
                }
            }
            Output::Paused { job, .. } => {
                if let Some(queued) = self.jobs.get_mut(job) {
                    queued.paused = true;
                }
            }
            Output::Released { job, tasks, .. } => {
                if let Some(queued) = self.jobs.get_mut(job) {
                    queued.paused = false;
                }
                tasks.iter().for_each(|range| self.ready(*job, range));
            }
            Output::Ended { job, .. } => drop(self.jobs.remove(job)),
            _ => {}
        }
        Ok(())
    }

    fn ready(&mut self, job: JobId, range: IndexRange) {
        if let Some(queued) = self.jobs.get_mut(&job) {
            queued.ready.insert(range);
        }
    }
}

impl Checker for Order {
    fn name(&self) -> &'static str {
        "order"
    }

    fn look(&mut self, now: Time, fact: &Fact<'_>) -> Verdict {
        match fact {
            Fact::Told(input) => self.told(input),
            Fact::Said { output, .. } => self.said(now, output)?,
            Fact::Restarted { jobs, .. } => {
                self.unfit.clear();
                self.jobs = jobs.iter().map(|job| (job.job, Queued::recovered(job))).collect();
            }
            _ => {}
        }
        self.leases.follow(fact);
        let back = std::mem::take(&mut self.leases.back);
        for back in back.iter().filter(|back| !back.elsewhere) {
            self.ready(back.job, back.range);
        }
        Ok(())
    }
}
