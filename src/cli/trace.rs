//! `muster trace`.

use super::cluster::ClusterArg;
use super::job::JobRef;
use super::quantity;
use super::runs::RunRef;
use clap::Args;
use std::path::PathBuf;
use std::str::FromStr;

/// What is drawn, and where it goes.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// The job: its number, or `last` for the newest; or run:N (run:last) for a comparison of `muster runs ls`
    #[arg(value_name = "JOB|run:RUN", default_value = "last")]
    pub of: TraceOf,
    /// The file to write, `-` for stdout; one that is there is replaced when it is a trace of muster
    #[arg(short, long, value_name = "FILE", default_value = "trace.json")]
    pub output: PathBuf,
    /// Of a comparison: the block of runs that is drawn (default: the first one whose tasks are kept)
    #[arg(long, value_name = "N", value_parser = quantity::whole, allow_hyphen_values = true)]
    pub block: Option<u64>,
    #[command(flatten)]
    pub cluster: ClusterArg,
}

/// A job of a cluster, or a kept comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceOf {
    Job(JobRef),
    Run(RunRef),
}

impl FromStr for TraceOf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("run:") {
            Some(run) => run.parse().map(Self::Run),
            None => {
                let wrong = |_| "a job is its number or `last`, a comparison run:N or run:last".to_owned();
                text.parse().map(Self::Job).map_err(wrong)
            }
        }
    }
}
