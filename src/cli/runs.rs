//! `muster runs` and `muster diff`.

use super::quantity;
use clap::{Args, Subcommand};
use std::str::FromStr;

#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// List the runs that are kept here, the newest first
    Ls {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete runs
    Rm {
        /// Their numbers, or `last` for the newest; when one is not there, none is deleted
        #[arg(required = true, value_name = "RUN", allow_hyphen_values = true)]
        runs: Vec<RunRef>,
    },
}

#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The run to compare with: its number, or `last` for the newest
    #[arg(value_name = "RUN_A", allow_hyphen_values = true)]
    pub first: RunRef,
    /// The run that may be better or worse
    #[arg(value_name = "RUN_B", allow_hyphen_values = true)]
    pub second: RunRef,
    /// Exit with 11 when a configuration surely takes longer in RUN_B by more than this, with 10 when that cannot be known or RUN_B
    /// does not have it
    #[arg(long, value_name = "slower:PERCENT", value_parser = slower, allow_hyphen_values = true)]
    pub fail_if: Option<f64>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// A kept run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunRef {
    /// The newest.
    Last,
    /// By its number.
    Number(u64),
}

impl FromStr for RunRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "last" => Ok(Self::Last),
            text => match text.parse() {
                Ok(number) if number > 0 => Ok(Self::Number(number)),
                _ => Err("a run is its number, or `last`".to_owned()),
            },
        }
    }
}

fn slower(text: &str) -> Result<f64, String> {
    let percent = text.strip_prefix("slower:").ok_or("written slower:PERCENT, as in slower:5%")?;
    quantity::percent(percent).map_err(|wrong| format!("{wrong} (slower:5%)"))
}
