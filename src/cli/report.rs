//! `muster report` and `muster export`.

use super::runs::RunRef;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Which runs, and where their page goes.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The runs: their numbers, or `last` for the newest (default: last)
    #[arg(value_name = "RUN")]
    pub runs: Vec<RunRef>,
    /// The file to write, `-` for stdout; one that is there is replaced when it is a report
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    pub output: PathBuf,
}

/// Which runs, and in which form they go where.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The runs: their numbers, or `last` for the newest (default: last)
    #[arg(value_name = "RUN")]
    pub runs: Vec<RunRef>,
    /// The form
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    pub format: Format,
    /// A line for each task whose times were kept, instead of one for each run of a configuration
    #[arg(long)]
    pub tasks: bool,
    /// The folder that samples.csv or tasks.csv (or .parquet) is written to, `-` for stdout
    #[arg(short, long, value_name = "DIR", default_value = "-")]
    pub output: PathBuf,
}

/// Files that other programs read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text that every program reads
    Csv,
    /// Apache Parquet; only in builds with the feature `parquet`
    Parquet,
}
