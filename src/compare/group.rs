//! What is compared with what.

use super::configuration::Configuration;
use super::measure::Measure;
use super::sample::Sample;
use super::subject::Subject;
use super::usage::Usage;
use crate::exit::Outcome;
use muster_proto::v1;
use serde_json::Value;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// What distinguishes a group, or a row beside its model: names and values.
pub type Factors = BTreeMap<String, Value>;

/// A workload under a configuration: a row.
#[derive(Clone, Debug)]
pub struct Case {
    pub configuration: Configuration,
    pub subject: Rc<Subject>,
    /// What distinguishes it from the others of its group, beside its model.
    pub factors: Factors,
}

/// Cases of which one is the best. The first is the baseline.
#[derive(Clone, Debug)]
pub struct Group {
    /// As in tables; empty where there is only one.
    pub name: String,
    /// What distinguishes it from other groups.
    pub factors: Factors,
    /// Of each run; `None`: to be found out.
    pub tasks: Option<u64>,
    pub cases: Vec<Case>,
    /// Whether memory, crashes and cancelling are looked at, and how many jobs are cancelled for that.
    pub cancels: Option<u32>,
}

impl Case {
    /// Without further factors.
    pub fn new(configuration: Configuration, subject: &Rc<Subject>) -> Self {
        Self { configuration, subject: Rc::clone(subject), factors: Factors::new() }
    }

    /// With one more factor.
    #[must_use]
    pub fn factor(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.factors.insert(name.to_owned(), value.into());
        self
    }

    /// Slots of a worker that has just what it needs.
    pub const fn slots(&self) -> u32 {
        self.configuration.slots()
    }

    /// The job.
    pub fn spec(&self, tasks: u64) -> v1::JobSpec {
        self.subject.spec(&self.configuration, tasks)
    }

    /// Runs so many tasks on fresh processes. `lines`: so many of them are kept one by one.
    pub async fn run(&self, tasks: u64, lines: usize) -> Outcome<Sample> {
        self.subject.run(&self.configuration, tasks, lines).await
    }

    /// It is not waited for any more.
    pub async fn abandon(&self) {
        self.subject.abandon().await;
    }

    /// Processor time of a cluster that starts and ends without a job: the median of a few.
    pub async fn idle(&self) -> Outcome<Duration> {
        const TIMES: usize = 3;
        if self.subject.cluster.is_some() {
            return Ok(Duration::ZERO);
        }
        let mut times = Vec::new();
        for _ in 0..TIMES {
            let used = Usage::now();
            self.subject.cluster(&self.configuration).await?.stop().await;
            times.push(Usage::now().since(used).cpu);
        }
        times.sort_unstable();
        Ok(times[TIMES / 2])
    }

    /// As in tables.
    pub fn name(&self) -> &str {
        &self.configuration.name
    }
}

impl Group {
    /// Cases with so many tasks in each run, without probes.
    pub fn of(name: &str, cases: Vec<Case>, tasks: u64) -> Self {
        Self { name: name.to_owned(), factors: Factors::new(), tasks: Some(tasks), cases, cancels: None }
    }

    /// With probes that cancel so many jobs, or without.
    #[must_use]
    pub fn with_probes(self, cancels: Option<u32>) -> Self {
        Self { cancels, ..self }
    }

    /// With one more factor.
    #[must_use]
    pub fn factor(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.factors.insert(name.to_owned(), value.into());
        self
    }

    /// What is compared.
    pub fn measure(&self) -> Measure {
        Measure::of(self.baseline().subject.arrivals)
    }

    /// The first case, which runs twice in each block.
    ///
    /// # Panics
    /// When there is none: groups have two cases at least.
    pub fn baseline(&self) -> &Case {
        self.cases.first().expect("a group has cases")
    }
}
