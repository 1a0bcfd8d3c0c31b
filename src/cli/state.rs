//! `muster state`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// Read all of a state folder and say what is damaged; a coordinator may be using it
    Check(StateArgs),
    /// Copy a state folder as it is at one moment; a coordinator may be using it
    Backup {
        #[command(flatten)]
        state: StateArgs,
        /// The folder to make; it must not be there, or be empty
        #[arg(value_name = "TO")]
        to: PathBuf,
    },
    /// Write the database of a state folder anew, without the room that removed jobs left; stop its coordinator first
    Compact(StateArgs),
    /// Remove jobs with their results, also damaged ones that keep a coordinator from starting; stop it first
    Rm {
        #[command(flatten)]
        state: StateArgs,
        /// The jobs
        #[arg(value_name = "JOB", required = true, value_parser = clap::value_parser!(u64).range(1..))]
        jobs: Vec<u64>,
    },
}

#[derive(Debug, Args)]
pub struct StateArgs {
    /// The state folder, as the coordinator's --state has it
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
