//! `comparison.json` as it is read: what may be missing in the files of other versions is optional here.

use crate::compare::{Measure, Shares, Spread};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The whole.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Comparison {
    pub experiment: Option<String>,
    pub plugin: Option<Plugin>,
    /// What was compared.
    pub measure: Measure,
    pub open_loop: Option<Load>,
    /// Names and values, as the version that measured knew them.
    pub machine: Map<String, Value>,
    pub tasks: Option<u64>,
    pub seed: Option<u64>,
    pub blocks: usize,
    pub stopped_by: Option<String>,
    pub noise_floor: Option<f64>,
    pub enough: Option<bool>,
    pub rows: Vec<Row>,
    pub groups: Vec<Group>,
    pub tables: Vec<Table>,
    pub claims: Vec<Claim>,
    /// `None`: private clusters of the machine.
    pub cluster: Option<Cluster>,
    pub overhead: Option<Overhead>,
    pub verdict: Vec<String>,
    pub notes: Vec<String>,
}

/// When tasks of an open loop started.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Load {
    pub rate_per_s: f64,
    pub arrivals: String,
}

/// The workload.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct Plugin {
    pub name: String,
    #[serde(default)]
    pub version: String,
    #[serde(default)]
    pub digest: String,
    #[serde(default)]
    pub params: Value,
    #[serde(default)]
    pub deterministic: bool,
}

/// One configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Row {
    pub name: String,
    pub model: String,
    pub processes: u32,
    pub threads: u32,
    pub in_flight: u32,
    pub gil: bool,
    pub valid: bool,
    pub is_wrong: bool,
    pub invalid_because: Vec<String>,
    /// Of what is compared, also of blocks that are too few for an interval.
    pub median_s: Option<f64>,
    pub time_s: Option<Spread>,
    pub ratio_to_best: Option<Spread>,
    pub ratio_to_baseline: Option<Spread>,
    pub claim: String,
    pub cpu_s: Option<f64>,
    pub cores: Option<f64>,
    pub pss_base_bytes: Option<u64>,
    pub pss_peak_bytes: Option<u64>,
    pub ctx_switches_per_task: Option<f64>,
    pub gil_wait_share: Option<f64>,
    pub lost_by_one_crash: Option<u64>,
    pub cancel_p95_s: Option<f64>,
    pub cancel_max_s: Option<f64>,
    pub stand_in_threads: u32,
    pub warm_up_blocks: usize,
    pub interference: Shares,
    pub checksum: String,
    /// Rows of one group are compared with each other only.
    pub group: Option<String>,
    /// What sets it apart beside its model: a number or a word each.
    pub factors: Map<String, Value>,
    pub values: Vec<ValueOf>,
    /// Of an open loop; then this is what is compared.
    pub latency_p95_s: Option<Spread>,
    /// Its tasks arrived faster than they were run.
    pub overload: bool,
    pub latency_s: Option<Latency>,
    /// Quantile from 0 to 1, seconds.
    pub latency: Vec<(f64, f64)>,
}

/// A further quantity of a row.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ValueOf {
    pub name: String,
    pub unit: String,
    pub median: f64,
    pub lo: Option<f64>,
    pub hi: Option<f64>,
}

/// Percentiles in seconds; `null`: fewer than ten samples are above.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Latency {
    pub p50: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
    pub max: Option<f64>,
    pub samples: u64,
    /// From when it counts.
    pub kind: String,
}

/// Rows that are compared with each other.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Group {
    pub name: String,
    /// What sets it apart from other groups.
    pub factors: Map<String, Value>,
    pub plugin: Option<Plugin>,
    pub tasks: Option<u64>,
    pub noise_floor: Option<f64>,
    pub enough: Option<bool>,
    pub verdict: Vec<String>,
}

/// What people claim, and what became of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Claim {
    pub claim: String,
    pub measured: String,
    /// `yes`, `no`, `depends` or `unknown`.
    pub verdict: String,
    /// Repeats it.
    pub command: String,
}

/// A cluster that was up already.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Cluster {
    pub name: String,
    pub workers: u32,
    pub slots: u32,
}

/// What as many tasks take that do nothing.
#[derive(Clone, Debug, Deserialize)]
pub struct Overhead {
    #[serde(default)]
    pub name: String,
    pub tasks: u64,
    pub median_s: Option<f64>,
    /// `None`: too few blocks.
    pub time_s: Option<Spread>,
}

/// Quantities of several things.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Table {
    pub title: String,
    /// What the first column holds.
    pub of: String,
    pub columns: Vec<Quantity>,
    pub rows: Vec<TableRow>,
    pub notes: Vec<String>,
}

/// What a column holds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Quantity {
    pub name: String,
    pub unit: String,
}

/// One thing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TableRow {
    pub name: String,
    /// One for each column; `null`: not measured.
    pub cells: Vec<Option<Cell>>,
}

/// One quantity.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// A median with its interval of 95 %.
    Measured { median: f64, lo: f64, hi: f64, samples: Option<u64> },
    /// A number without interval.
    Number { number: f64 },
    /// Words.
    Text { text: String },
}

impl Comparison {
    /// With the factors of groups in their rows, too: there they tell rows apart.
    #[must_use]
    pub fn with_factors(mut self) -> Self {
        for row in &mut self.rows {
            let group = self.groups.iter().find(|group| Some(&group.name) == row.group.as_ref());
            for (name, value) in group.iter().flat_map(|group| &group.factors) {
                row.factors.entry(name).or_insert_with(|| value.clone());
            }
        }
        self
    }
}

impl Row {
    /// What is compared of it: its time, or the p95 latency of an open loop.
    pub fn compared(&self) -> Option<Spread> {
        self.latency_p95_s.or(self.time_s)
    }

    /// With its group, where it has one: names are different only within a group.
    pub fn full_name(&self) -> String {
        self.group.as_ref().map_or_else(|| self.name.clone(), |group| format!("{group}: {}", self.name))
    }
}
