//! `muster experiment`.

use super::quantity;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Which experiment, and how long it may take.
#[derive(Debug, Args)]
pub struct ExperimentArgs {
    /// Which one
    #[arg(value_enum)]
    pub experiment: Experiment,
    /// Slots that each model gets
    #[arg(long, value_name = "N", value_parser = quantity::small, default_value = "4", allow_hyphen_values = true)]
    pub slots: u32,
    /// Time for all of it
    #[arg(long, value_name = "DURATION", value_parser = quantity::duration, default_value = "90s", allow_hyphen_values = true)]
    pub budget: Duration,
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

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Experiment {
    /// Starts and ends of threads, processes, executors and spawned tasks
    Lifecycle,
    /// Context switches by what passes the turn, and more threads or processes than processors
    Switch,
    /// Memory of each model, and of a table that several read
    Memory,
    /// What a fault costs under each model
    Isolate,
    /// How fast running tasks stop
    Interrupt,
    /// What muster itself costs, by the size of a task
    Overhead,
}
