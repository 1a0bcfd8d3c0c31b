//! `muster simulate`.

use super::quantity;
use clap::Args;
use muster_core::scheduler::PolicySpec;
use muster_sim::scenario::{Override, SEED_MAX, Sweep};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// The scenario file: workers, links, jobs, faults and policy
    #[arg(required_unless_present = "beside")]
    pub scenario: Option<PathBuf>,
    /// Seed of all randomness (default: the scenario's)
    #[arg(long, value_name = "S", value_parser = seed, allow_hyphen_values = true)]
    pub seed: Option<u64>,
    /// Change a key of the scenario, as in workers.count=500 or latency=5ms; may be repeated
    #[arg(long, value_name = "KEY=VALUE", allow_hyphen_values = true)]
    pub set: Vec<Override>,
    /// Runs of the same with the seeds S, S+1 and so on
    #[arg(long, alias = "repeats", value_name = "R", value_parser = replicas, default_value = "1")]
    #[arg(allow_hyphen_values = true)]
    pub replicas: u32,
    /// Run once for each value of a key: workers=10,100 or workers=10..1000:5; repeated, every combination
    #[arg(long, value_name = "KEY=VALUES", allow_hyphen_values = true)]
    pub sweep: Vec<Sweep>,
    /// The policy instead of the scenario's; of several (a,b) each runs with the same seeds and they are compared
    #[arg(long, value_name = "POLICIES", value_delimiter = ',', value_parser = policy)]
    #[arg(allow_hyphen_values = true)]
    pub policy: Vec<String>,
    /// Runs at the same time (default: the CPUs that may be used)
    #[arg(long, value_name = "N", value_parser = quantity::small, allow_hyphen_values = true)]
    pub threads: Option<u32>,
    /// Also write when and where each task ran, into tasks.csv in DIR; of one run
    #[arg(long, requires = "out", conflicts_with_all = ["replicas", "sweep"])]
    pub task_times: bool,
    /// Simulate what `muster emulate -o RUN` ran, and show both side by side
    #[arg(long, value_name = "RUN")]
    #[arg(conflicts_with_all = ["scenario", "replicas", "sweep", "policy", "threads", "out"])]
    pub beside: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Write report, scenario, metrics, charts and all runs into this folder, which must be new or empty
    #[arg(short = 'o', long, alias = "output", value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Runs of one command.
pub const RUNS_MAX: usize = 100_000;

/// As a scenario may have it.
pub(super) fn seed(text: &str) -> Result<u64, String> {
    let wrong = || format!("not a whole number from 0 to {SEED_MAX}");
    text.parse().ok().filter(|seed| *seed <= SEED_MAX).ok_or_else(wrong)
}

fn replicas(text: &str) -> Result<u32, String> {
    quantity::count(text, RUNS_MAX as u64).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

fn policy(text: &str) -> Result<String, String> {
    text.trim().parse::<PolicySpec>().map(|policy| policy.to_string()).map_err(|error| error.to_string())
}
