//! What scheduler and agents keep is bounded by what is there: nothing stays behind.

use super::in_force::InForce;
use super::{Checker, Fact, Verdict, hold};
use muster_core::agent::{self, Agent};
use muster_core::id::{ExecutorId, JobId};
use muster_core::scheduler::{Input, Output, Scheduler};
use muster_core::time::Time;
use std::collections::{BTreeMap, BTreeSet};

/// An agent as far as its memory goes.
#[derive(Debug, Default)]
struct Memories {
    /// Executors of the jobs whose page it made.
    jobs: BTreeMap<JobId, usize>,
    executors: BTreeSet<ExecutorId>,
    granted: u64,
}

#[derive(Debug, Default)]
pub(super) struct Memory {
    leases: InForce,
    most_leases: usize,
    /// Tasks and whether they are combined.
    jobs: BTreeMap<JobId, u64>,
    agents: BTreeMap<usize, Memories>,
}

impl Checker for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn look(&mut self, _now: Time, fact: &Fact<'_>) -> Verdict {
        self.leases.follow(fact);
        self.most_leases = self.most_leases.max(self.leases.leases.len());
        match fact {
            Fact::Told(Input::Submit { job, spec }) => {
                self.jobs.insert(*job, spec.tasks);
            }
            Fact::Said { output: Output::Extended { job, range, .. }, .. } => {
                self.jobs.insert(*job, range.end);
            }
            Fact::Said { output: Output::Ended { job, .. }, .. } => {
                self.jobs.remove(job);
            }
            Fact::Settled(scheduler) => self.compare(scheduler)?,
            Fact::Restarted { jobs, .. } => {
                self.most_leases = 0;
                self.jobs = jobs.iter().map(|job| (job.job, job.tasks)).collect();
            }
            Fact::Born { machine } => drop(self.agents.insert(*machine, Memories::default())),
            Fact::Handed { machine, input } => self.agents.entry(*machine).or_default().handed(input),
            Fact::Answered { machine, output } => self.agents.entry(*machine).or_default().answered(output),
            Fact::Rested { machine, agent } => self.agents.entry(*machine).or_default().compare(agent)?,
            _ => {}
        }
        Ok(())
    }
}

impl Memory {
    fn compare(&self, scheduler: &Scheduler) -> Verdict {
        let sizes = scheduler.sizes();
        let tasks = self.jobs.values().sum::<u64>() as usize;
        let fair = sizes.jobs == self.jobs.len()
            && sizes.workers == self.leases.workers.len()
            && sizes.leases == self.leases.leases.len()
            && sizes.lease_places <= self.most_leases
            && sizes.charged <= tasks
            && sizes.waiting <= sizes.charged
            // They are told before the worker or the job is there.
            && sizes.unfit <= (sizes.jobs + 1) * (sizes.workers + 1)
            && sizes.blocks <= tasks;
        hold!(
            fair,
            "{sizes:?}, but {} jobs of {tasks} tasks, {} workers, {} leases, {} at the most",
            self.jobs.len(),
            self.leases.workers.len(),
            self.leases.leases.len(),
            self.most_leases
        );
        Ok(())
    }
}

impl Memories {
    fn handed(&mut self, input: &agent::Input) {
        match input {
            agent::Input::Grant(grant) => self.granted += grant.range.len(),
            agent::Input::ExecutorExited { executor, .. } => {
                self.executors.remove(executor);
            }
            _ => {}
        }
    }

    fn answered(&mut self, output: &agent::Output) {
        match output {
            agent::Output::MakePage { job, shape } => {
                self.jobs.insert(*job, shape.processes as usize);
            }
            agent::Output::ForgetJob { job } => {
                self.jobs.remove(job);
            }
            agent::Output::Start { executor, .. } => {
                self.executors.insert(*executor);
            }
            _ => {}
        }
    }

    fn compare(&self, agent: &Agent) -> Verdict {
        let sizes = agent.sizes();
        let owed = agent.outstanding() as usize;
        let fair = sizes.jobs == self.jobs.len()
            && sizes.leases <= owed
            && owed as u64 <= self.granted
            && sizes.executors == self.executors.len()
            && sizes.turns <= sizes.jobs
            && sizes.pieces <= owed + muster_core::page::ENTRIES * sizes.jobs;
        hold!(
            fair,
            "an agent keeps {sizes:?} for {} jobs, {} executors and {owed} tasks owed",
            self.jobs.len(),
            self.executors.len()
        );
        Ok(())
    }
}
