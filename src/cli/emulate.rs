//! `muster emulate`.

use super::quantity;
use super::simulate::seed;
use clap::Args;
use muster_sim::scenario::Override;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct EmulateArgs {
    /// The scenario file; docs/scenario.md says what it may hold, docs/emulation.md what of it can be emulated
    #[arg(value_name = "SCENARIO")]
    pub scenario: PathBuf,
    /// Where faults, jitter and drawn task times come from (default: what the scenario says)
    #[arg(long, value_name = "S", value_parser = seed, allow_hyphen_values = true)]
    pub seed: Option<u64>,
    /// Change a key of the scenario, as in workers.count=8; may be given several times
    #[arg(long, value_name = "KEY=VALUE", allow_hyphen_values = true)]
    pub set: Vec<Override>,
    /// How often it is run, each time on a new cluster
    #[arg(long, alias = "replicas", value_name = "R", value_parser = quantity::small, default_value = "1")]
    #[arg(allow_hyphen_values = true)]
    pub repeats: u32,
    /// Simulate the same scenario, and show both side by side
    #[arg(long)]
    pub simulate: bool,
    /// The folder with muster's own plugins, built or as sources, for jobs that name one of them or none
    #[arg(long, value_name = "DIR", default_value = "plugins")]
    pub plugins: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Keep the report and the scenario as it was run in this folder, which must be new or empty
    #[arg(short = 'o', long, alias = "output", value_name = "DIR")]
    pub out: Option<PathBuf>,
}
