//! A task fails for good when its last failure says so, or the budget of that failure's class or that of all classes
//! together is used up, not earlier and not later, and is charged once for each failure of its own. So are
//! combinations.

use super::in_force::InForce;
use super::{Checker, Fact, Verdict, hold};
use muster_core::id::JobId;
use muster_core::reduce::leaf_size;
use muster_core::scheduler::{Charges, Config, FailureClass, Input, JobSpec, Outcome, Output};
use muster_core::time::Time;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug)]
struct Budget {
    spec: JobSpec,
    /// Executors try again on the spot inside leaves wider than one task.
    wide: bool,
    combinations: u32,
}

impl Budget {
    /// The most failures of a class, and of all together.
    fn limits(&self, class: FailureClass) -> (u32, u32) {
        let (max, retry) = (self.spec.max_attempts, &self.spec.retry);
        let [transient, crashed] = [retry.transient, retry.crashed].map(|attempts| attempts.unwrap_or(max));
        let all = [transient, crashed, retry.panicked, retry.timeout, retry.memory];
        let of_class = match class {
            FailureClass::Transient => transient,
            FailureClass::Crashed => crashed,
            FailureClass::Panicked => retry.panicked,
            FailureClass::Timeout => retry.timeout,
            FailureClass::Memory => retry.memory,
            FailureClass::Failed | FailureClass::Cancelled | FailureClass::Limit => 1,
        };
        (of_class, all.into_iter().max().unwrap_or(1))
    }
}

#[derive(Debug)]
pub(super) struct Budgets {
    leases: InForce,
    leaves_max: u64,
    jobs: BTreeMap<JobId, Budget>,
    /// Failures by class.
    charged: BTreeMap<(JobId, u64), BTreeMap<FailureClass, u32>>,
    /// Jobs that some worker could not run.
    troubled: BTreeSet<JobId>,
    cancelled: BTreeSet<JobId>,
}

impl Budgets {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            leases: InForce::default(),
            leaves_max: config.leaves_max,
            jobs: BTreeMap::new(),
            charged: BTreeMap::new(),
            troubled: BTreeSet::new(),
            cancelled: BTreeSet::new(),
        }
    }

    fn budget(&self, spec: &JobSpec) -> Budget {
        let tasks = if spec.open || spec.paced { 0 } else { spec.tasks };
        Budget {
            spec: spec.clone(),
            wide: spec.reduce && leaf_size(tasks, self.leaves_max) > 1,
            combinations: 0,
        }
    }

    fn charge(&mut self, job: JobId, index: u64, class: FailureClass, charged: u32, again: bool) -> Verdict {
        let Some(budget) = self.jobs.get(&job) else { return Err(format!("{job} is not there")) };
        let mut failures = self.charged.remove(&(job, index)).unwrap_or_default();
        *failures.entry(class).or_default() += 1;
        let (count, all) = (failures[&class], failures.values().sum::<u32>());
        hold!(charged == count, "{index} of {job} failed {count} times and {charged} attempts are charged");
        let (of_class, of_all) = budget.limits(class);
        let survived = !matches!(class, FailureClass::Crashed | FailureClass::Memory);
        let may = class.retryable() && count < of_class && all < of_all && !(budget.wide && survived);
        hold!(
            may == again,
            "{index} of {job} {class:?} for the {count}. time of {of_class}, all: {all} of {of_all}, and is {}",
            if again { "tried again" } else { "given up" }
        );
        if again {
            self.charged.insert((job, index), failures);
        }
        Ok(())
    }
}

impl Checker for Budgets {
    fn name(&self) -> &'static str {
        "budgets"
    }

    fn look(&mut self, _now: Time, fact: &Fact<'_>) -> Verdict {
        match fact {
            Fact::Told(Input::Submit { job, spec }) => {
                self.jobs.insert(*job, self.budget(spec));
            }
            Fact::Told(Input::Failed { worker, lease, .. }) => {
                let held = self.leases.leases.get(lease);
                if let Some(held) = held.filter(|held| held.worker == *worker && held.combines)
                    && let Some(budget) = self.jobs.get_mut(&held.job)
                {
                    budget.combinations += 1;
                }
            }
            Fact::Told(Input::Trouble { job, .. }) => {
                self.troubled.insert(*job);
            }
            Fact::Told(Input::Cancel { job }) => {
                self.cancelled.insert(*job);
            }
            Fact::Said { output: Output::Retry { job, index, class, charged, .. }, .. } => {
                self.charge(*job, *index, *class, *charged, true)?;
            }
            Fact::Said { output: Output::Fail { job, index, class, charged, .. }, .. } => {
                self.charge(*job, *index, *class, *charged, false)?;
            }
            Fact::Said { output: Output::Commit { job, range, .. }, .. } => {
                for index in range.start..range.end.min(range.start + 1_000_000) {
                    self.charged.remove(&(*job, index));
                }
            }
            Fact::Said { output: Output::Ended { job, outcome, .. }, .. } => {
                let ended = self.jobs.remove(job);
                let combinations = ended.map_or((0, 0), |job| (job.combinations, job.spec.max_attempts));
                self.charged.retain(|(other, _), _| other != job);
                let fair = match outcome {
                    Outcome::Done => true,
                    Outcome::Cancelled => self.cancelled.contains(job),
                    Outcome::Unrunnable => self.troubled.contains(job),
                    Outcome::Uncombined { .. } => combinations.0 == combinations.1,
                };
                hold!(fair, "{job} ends as {outcome:?}; combinations failed and may fail: {combinations:?}");
            }
            Fact::Restarted { jobs, .. } => {
                self.jobs = jobs.iter().map(|job| (job.job, self.budget(&job.spec))).collect();
                self.charged.clear();
                for job in *jobs {
                    let counts =
                        |(&index, charges): (&u64, &Charges)| ((job.job, index), charges.iter().collect());
                    self.charged.extend(job.charged.iter().map(counts));
                }
                self.troubled.clear();
                self.cancelled.clear();
            }
            _ => {}
        }
        self.leases.follow(fact);
        Ok(())
    }
}
