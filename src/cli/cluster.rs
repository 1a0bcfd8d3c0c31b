//! `muster up`, `down`, `worker` and `coordinator`.

use super::job::ViewArgs;
use super::quantity;
use clap::{Args, Subcommand};
use muster_coordinator::args::{POLICY_HELP, parse_address};
use muster_core::sandbox::{Level, Need};
use muster_core::scheduler::PolicySpec;
use std::path::PathBuf;
use std::time::Duration;

/// Which cluster a command talks to.
#[derive(Clone, Debug, Default, Args)]
pub struct ClusterArg {
    /// The cluster: its name, a join string or the file that holds it, or unix:PATH
    #[arg(long, value_name = "CLUSTER", env = "MUSTER_CLUSTER")]
    pub cluster: Option<String>,
}

#[derive(Debug, Args)]
pub struct UpArgs {
    /// Workers
    #[arg(short = 'w', long, value_name = "WORKERS", value_parser = quantity::small, default_value = "2")]
    #[arg(allow_hyphen_values = true)]
    pub workers: u32,
    /// Slots of each worker are P x T
    #[arg(short = 'p', long, value_name = "P", value_parser = quantity::small, allow_hyphen_values = true)]
    pub processes: Option<u32>,
    /// Threads of each executor process
    #[arg(short = 't', long, value_name = "T", value_parser = quantity::small, allow_hyphen_values = true)]
    pub threads: Option<u32>,
    /// Allow more slots than a worker has CPUs
    #[arg(long)]
    pub oversubscribe: bool,
    /// Keep jobs, results and logs in this folder (default: in the XDG state folder)
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// The cluster's name
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub name: String,
    /// Register the plugin files of this folder
    #[arg(long, value_name = "DIR")]
    pub plugins: Vec<PathBuf>,
    /// Address of the coordinator's live page, /metrics and /healthz, or "none"; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0", value_parser = parse_address)]
    pub http: String,
    /// Let jobs run plugins that are made to harm their process; without it they are refused
    #[arg(long)]
    pub allow_chaos: bool,
    #[arg(long, value_name = "POLICY", help = POLICY_HELP, allow_hyphen_values = true)]
    pub policy: Option<PolicySpec>,
    /// What workers keep from plugins at least: none, limits or standard (default: none)
    #[arg(long, value_name = "LEVEL", value_parser = str::parse::<Level>)]
    pub sandbox: Option<Level>,
    /// What plugins that need it may do in a sandbox: network, exec, read:PATH, write:PATH or env:NAME; may be given several
    /// times
    #[arg(long, value_name = "WHAT", value_parser = str::parse::<Need>)]
    pub allow: Vec<Need>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct DownArgs {
    /// The cluster's name
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub name: String,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum CoordinatorCommand {
    /// Run a coordinator in the foreground; prints the join string for workers
    Start(Box<CoordinatorStartArgs>),
}

#[derive(Debug, Args)]
pub struct CoordinatorStartArgs {
    #[command(flatten)]
    pub coordinator: muster_coordinator::args::CoordinatorArgs,
    /// Folder of comparisons that the page shows reports of, such as .muster/runs where muster compare was called
    #[arg(long, value_name = "DIR", conflicts_with = "no_page")]
    pub runs: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum WorkerCommand {
    /// List the workers of a cluster
    Ls {
        /// Show workers that left, too
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        view: ViewArgs,
    },
    /// Give a worker nothing new; it ends when its tasks are done
    Drain {
        /// Its name or number
        worker: String,
        /// After this long it goes at once, and what it still runs is given to others [default: it may take its time]
        #[arg(long, value_name = "DURATION", value_parser = quantity::duration, allow_hyphen_values = true)]
        deadline: Option<Duration>,
        #[command(flatten)]
        view: ViewArgs,
    },
    /// Run a worker
    Start(Box<WorkerStartArgs>),
}

#[derive(Debug, Args)]
pub struct WorkerStartArgs {
    #[command(flatten)]
    pub worker: muster_worker::WorkerArgs,
    /// Run in the background; prints the process id
    #[arg(long)]
    pub detach: bool,
}
