//! `muster bench`.

use super::quantity;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Measure what muster itself costs: tasks per second, the time of one task, start, memory, METG
    Overhead(OverheadArgs),
}

#[derive(Debug, Args)]
pub struct OverheadArgs {
    /// Workers of the private cluster
    #[arg(short = 'w', long, value_name = "WORKERS", value_parser = quantity::small, allow_hyphen_values = true, default_value = "2")]
    pub workers: u32,
    /// Threads of each
    #[arg(short = 't', long, value_name = "T", value_parser = quantity::small, allow_hyphen_values = true, default_value = "1")]
    pub threads: u32,
    /// Allow more threads than a worker has CPUs
    #[arg(long)]
    pub oversubscribe: bool,
    /// The folder with the `null` and `loop` plugins: built files, or their source folders
    #[arg(long, value_name = "DIR", default_value = "plugins")]
    pub plugins: PathBuf,
    /// Tasks of the throughput measurements
    #[arg(short = 'n', long, value_name = "N", value_parser = quantity::tasks, allow_hyphen_values = true, default_value = "100000000")]
    pub tasks: u64,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
