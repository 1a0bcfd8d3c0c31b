//! What a comparison came to, as `--json` prints it and as it is kept.

use super::environment::Machine;
use super::group::Factors;
use super::latency::Latency;
use super::machine::Interference;
use super::measure::Measure;
use super::verdict::NoAnswer;
use crate::experiment::{Claim, Findings, Table};
use crate::statistics::Interval;
use crate::summary::pattern;
use muster_proto::v1;
use serde::{Deserialize, Serialize};

/// The whole.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// `compare`, or the name of an experiment.
    pub experiment: String,
    /// The workload of the first row; `null`: the experiment has several that it measures by itself.
    pub plugin: Option<Plugin>,
    /// What is compared: ratios, claims and the verdict are about this.
    pub measure: Measure,
    /// When tasks started; `null`: as soon as a slot was free.
    pub open_loop: Option<Load>,
    pub machine: Machine,
    /// Where it ran; `null`: on private clusters of this machine.
    pub cluster: Option<Cluster>,
    /// Tasks of each run of the first row.
    pub tasks: u64,
    pub seed: u64,
    /// Blocks in which every configuration ran.
    pub blocks: usize,
    /// Why there are no more.
    pub stopped_by: &'static str,
    /// Processor time of a cluster that starts and ends without a job; it is part of `cpu_s`.
    pub cluster_cpu_s: f64,
    /// What as many tasks take that do nothing; `null`: the plugin `null` was not found.
    pub overhead: Option<Overhead>,
    /// The smallest effect that is claimed, as a share, the largest of all groups; `null`: there were too few blocks.
    pub noise_floor: Option<f64>,
    pub rows: Vec<Row>,
    /// Rows of one group are compared with each other. Without groups all rows are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupResult>,
    /// What was measured beside times of runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<Table>,
    /// What people claim about it, and what became of that here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Claim>,
    /// Whether so many blocks can show that one configuration is slower.
    pub enough: bool,
    pub verdict: Vec<String>,
    pub notes: Vec<String>,
    /// The folder of the run; `null`: it was not kept.
    pub run: Option<String>,
}

impl Comparison {
    /// What an experiment found that compares no times of workloads.
    pub fn of(experiment: &str, seed: u64, machine: Machine, found: Findings, claims: Vec<Claim>) -> Self {
        Self {
            experiment: experiment.to_owned(),
            plugin: None,
            measure: Measure::Time,
            open_loop: None,
            machine,
            cluster: None,
            tasks: 0,
            seed,
            blocks: 0,
            stopped_by: "rounds",
            cluster_cpu_s: 0.0,
            overhead: None,
            noise_floor: None,
            rows: Vec::new(),
            groups: Vec::new(),
            tables: found.tables,
            claims,
            enough: true,
            verdict: found.verdict,
            notes: found.notes,
            run: None,
        }
    }
}

/// An open loop: tasks start at times of their own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Load {
    pub rate_per_s: f64,
    /// `constant` or `poisson`.
    pub arrivals: &'static str,
}

impl From<v1::Arrivals> for Load {
    fn from(arrivals: v1::Arrivals) -> Self {
        Self { rate_per_s: arrivals.rate_per_s, arrivals: pattern(arrivals).1 }
    }
}

/// A cluster that was up already. What else its machines did is not known here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cluster {
    pub name: String,
    pub workers: u32,
    pub slots: u32,
}

/// What muster itself costs: as many tasks of the plugin `null` under the first configuration.
#[derive(Clone, Debug, Serialize)]
pub struct Overhead {
    pub name: String,
    pub tasks: u64,
    /// Of the runs' times.
    pub median_s: f64,
    /// The same with its interval; `null` with fewer than 5 blocks.
    pub time_s: Option<Spread>,
    pub cpu_s: Option<f64>,
}

/// What came of the rows that are compared with each other.
#[derive(Clone, Debug, Serialize)]
pub struct GroupResult {
    pub name: String,
    /// What distinguishes it from other groups.
    pub factors: Factors,
    pub plugin: Plugin,
    /// Tasks of each run.
    pub tasks: u64,
    pub noise_floor: Option<f64>,
    pub enough: bool,
    /// The row to use; `null`: there is no answer.
    pub use_row: Option<String>,
    /// Why there is none; the verdict says it in words.
    #[serde(skip)]
    pub no_answer: Option<NoAnswer>,
    pub verdict: Vec<String>,
}

/// The workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plugin {
    pub name: String,
    pub version: String,
    pub digest: String,
    pub params: serde_json::Value,
    pub deterministic: bool,
}

/// One configuration.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    pub name: String,
    /// The group that it is compared in; `null`: there is only one.
    pub group: Option<String>,
    /// What distinguishes it from others of its group, beside its model.
    #[serde(skip_serializing_if = "Factors::is_empty")]
    pub factors: Factors,
    /// What its outputs told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<ValueOf>,
    pub model: &'static str,
    pub processes: u32,
    pub threads: u32,
    pub in_flight: u32,
    pub gil: bool,
    /// The first of its group, which runs twice in each block.
    pub is_baseline: bool,
    /// Its numbers mean what they say.
    pub valid: bool,
    /// The plugin is deterministic, and its outputs are not those of the first row.
    pub is_wrong: bool,
    /// Why not.
    pub invalid_because: Vec<String>,
    /// It is not valid, and would be but for what else used the machine.
    #[serde(skip)]
    pub is_disturbed: bool,
    /// Of what is compared, also of blocks that are too few for an interval.
    pub median_s: Option<f64>,
    /// From submitting a job to its end; `null`: too few blocks for an interval.
    pub time_s: Option<Spread>,
    /// Of the runs' 95th percentiles of latency, where that is what is compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_p95_s: Option<Spread>,
    /// Of the tasks of all runs; `null`: none was looked at.
    pub latency_s: Option<Latency>,
    /// Quantile and seconds, as far as ten tasks are above.
    pub latency: Vec<(f64, f64)>,
    /// Tasks arrived faster than they were run: its latency says how long the run was.
    pub overload: bool,
    /// Paired by block; `null` for the best one, under overload, and with too few blocks.
    pub ratio_to_best: Option<Spread>,
    /// Paired by block; `null` for the first row of the group, which is the baseline, and with too few blocks.
    pub ratio_to_baseline: Option<Spread>,
    /// What may be claimed of it.
    pub claim: &'static str,
    /// Of a run: all processes, user and system.
    /// `null` on a cluster that was up already.
    pub cpu_s: Option<f64>,
    /// Processors that were busy on average while a run lasted, without those for the start and end of its cluster; `null`:
    /// that comes out as more than there are, because the run is not much longer than those.
    pub cores: Option<f64>,
    pub pss_base_bytes: Option<u64>,
    pub pss_peak_bytes: Option<u64>,
    pub ctx_switches_per_task: Option<f64>,
    /// Share of the slots' time in which tasks waited for their lock; `null`: there is none.
    pub gil_wait_share: Option<f64>,
    pub lost_by_one_crash: Option<u64>,
    /// `null` with fewer than 200 cancelled jobs.
    pub cancel_p95_s: Option<f64>,
    /// The longest of a few cancelled jobs.
    pub cancel_max_s: Option<f64>,
    pub stand_in_threads: u32,
    /// The first blocks are slower than the rest: this many.
    pub warm_up_blocks: usize,
    /// Blocks whose time is far from the others'. They count all the same.
    pub outliers: Vec<Outlier>,
    pub interference: Shares,
    pub checksum: String,
}

impl Row {
    /// With its group, where there are several: names are different only within one.
    pub fn full_name(&self) -> String {
        self.group.as_ref().map_or_else(|| self.name.clone(), |group| format!("{}, {group}", self.name))
    }

    /// The share of the processors that something else used while it was measured, by which it may look slower than it is: 0
    /// for a valid row; `None`: it is invalid for another reason, and nothing can be said of it.
    pub fn disturbed(&self) -> Option<f64> {
        if self.valid { Some(0.0) } else { self.is_disturbed.then(|| self.interference.all().min(1.0)) }
    }

    /// What is compared of it.
    pub const fn compared(&self, measure: Measure) -> Option<Spread> {
        match measure {
            Measure::Time => self.time_s,
            Measure::LatencyP95 => self.latency_p95_s,
        }
    }
}

/// A further quantity: a median with its interval, which is its only value where there were too few blocks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ValueOf {
    pub name: &'static str,
    pub unit: &'static str,
    #[serde(flatten)]
    pub spread: Spread,
}

/// A median with its interval of 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub median: f64,
    pub lo: f64,
    pub hi: f64,
}

impl Spread {
    /// Of the ratio the other way round.
    #[must_use]
    pub fn inverse(self) -> Self {
        Self { median: 1.0 / self.median, lo: 1.0 / self.hi, hi: 1.0 / self.lo }
    }
}

impl From<Spread> for Interval {
    fn from(spread: Spread) -> Self {
        Self { estimate: spread.median, lo: spread.lo, hi: spread.hi }
    }
}

impl From<Interval> for Spread {
    fn from(interval: Interval) -> Self {
        Self { median: interval.estimate, lo: interval.lo, hi: interval.hi }
    }
}

/// A time that is far from the others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outlier {
    pub block: usize,
    /// Of the run.
    pub time_s: f64,
    /// What is compared of it.
    #[serde(skip)]
    pub value_s: f64,
    pub likely_cause: String,
}

/// What else happened on the machine, as shares of what its processors could do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shares {
    pub stolen: f64,
    pub throttled: f64,
    pub others: f64,
}

impl Shares {
    /// Of all of them together.
    pub fn all(self) -> f64 {
        self.stolen + self.throttled + self.others
    }
}

impl From<Interference> for Shares {
    fn from(found: Interference) -> Self {
        let Interference { stolen, throttled, others } = found;
        Self { stolen, throttled, others }
    }
}
