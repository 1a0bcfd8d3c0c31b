//! `muster tour`.

use super::quantity;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// How long it may take, and where its workloads are.
#[derive(Debug, Args)]
pub struct TourArgs {
    /// Time for all of it, building aside
    #[arg(long, value_name = "DURATION", value_parser = quantity::duration, default_value = "170s", allow_hyphen_values = true)]
    pub budget: Duration,
    /// Slots that each model gets
    #[arg(long, value_name = "N", value_parser = quantity::small, default_value = "4", allow_hyphen_values = true)]
    pub slots: u32,
    /// Seed of all that is random (default: 0)
    #[arg(long, value_name = "S", value_parser = quantity::whole, default_value = "0", hide_default_value = true)]
    #[arg(allow_hyphen_values = true)]
    pub seed: u64,
    /// The folder with muster's own plugins: built files, or their source folders
    #[arg(long, value_name = "DIR", default_value = "plugins")]
    pub plugins: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
