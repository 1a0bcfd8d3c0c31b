//! The command line as it is typed: raw flags, checked one by one. What they mean together is decided where
//! they are used.

mod bench;
mod cluster;
mod compare;
mod emulate;
mod grafana;
mod health;
mod http_server;
mod job;
mod limits;
mod plugin;
pub mod quantity;
mod report;
mod retry;
mod runs;
mod simulate;
mod state;
mod token;
mod tour;
mod trace;
mod usage;

pub use bench::{BenchCommand, OverheadArgs};
pub use cluster::{
    ClusterArg, CoordinatorCommand, CoordinatorStartArgs, DownArgs, UpArgs, WorkerCommand, WorkerStartArgs,
};
pub use compare::{Axis, CompareArgs, Models, model as compare_model};
pub use emulate::EmulateArgs;
pub use grafana::{GrafanaCommand, GrafanaInitArgs};
pub use health::HealthArgs;
pub use http_server::HttpServerArgs;
pub use job::{
    ArrivalArgs, JobArgs, JobCommand, JobRef, LogsArgs, Model, RunArgs, ShapeArgs, Spread, SubmitArgs,
    ViewArgs, WhyArgs,
};
pub use plugin::{Language, PluginCommand, PluginTestArgs};
pub use report::{ExportArgs, Format, ReportArgs};
pub use runs::{DiffArgs, RunRef, RunsCommand};
pub use simulate::{RUNS_MAX, SimulateArgs};
pub use state::{StateArgs, StateCommand};
pub use token::{TokenCommand, TokenNewArgs};
pub use tour::TourArgs;
pub use trace::{TraceArgs, TraceOf};
pub use usage::parse;

use crate::exit::EXIT_CODES;
use clap::{Parser, Subcommand};

/// Take a workload you wrote, run it unchanged under any concurrency model on any cluster, and see which wins.
#[derive(Debug, Parser)]
#[command(name = "muster", version, after_help = EXIT_CODES, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = false)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// Only `run` starts a cluster for itself.
const RUN_CLUSTER: &str =
    "The cluster: its name, a join string or the file that holds it, unix:PATH, or `private`";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a job and wait for it; without a cluster on a private one
    #[command(mut_arg("cluster", |cluster| cluster.help(RUN_CLUSTER)))]
    Run(Box<RunArgs>),
    /// Compare the models of concurrency for a workload: which to use, what it costs, and how sure that is
    Compare(Box<CompareArgs>),
    /// What is said about threads and processes, held against this machine: a claim after the other, in three minutes
    Tour(TourArgs),
    /// Say whether this machine is fit to measure and to run, and what to change
    Doctor {
        /// Exit with 10 when it is not
        #[arg(long)]
        strict: bool,
        #[command(flatten)]
        view: ViewArgs,
    },
    /// List or delete kept comparisons
    #[command(subcommand, arg_required_else_help = false)]
    Runs(RunsCommand),
    /// Compare two kept comparisons: what takes longer now
    Diff(DiffArgs),
    /// Draw kept comparisons as one HTML file that loads nothing: charts, tables, environment and raw data
    Report(ReportArgs),
    /// Write what was measured in kept comparisons as one table for other programs
    Export(ExportArgs),
    /// Write single tasks of a traced job over time as a file for Perfetto (docs/trace.md)
    Trace(TraceArgs),
    /// Start a cluster on this machine in the background; jobs that were not finished go on
    Up(UpArgs),
    /// Stop the cluster that `up` started; jobs and results are kept for the next `up`
    Down(DownArgs),
    /// Give a job to a cluster and return; prints the job's number
    Submit(Box<SubmitArgs>),
    /// List, watch, cancel, retry and read jobs
    #[command(subcommand, arg_required_else_help = false)]
    Job(JobCommand),
    /// List, drain and start workers
    #[command(subcommand, arg_required_else_help = false)]
    Worker(WorkerCommand),
    /// Make, list and revoke the tokens by which workers and clients on other machines join
    #[command(subcommand, arg_required_else_help = false)]
    Token(TokenCommand),
    /// Check, copy and mend the state folders of coordinators
    #[command(subcommand, arg_required_else_help = false)]
    State(StateCommand),
    /// Start a coordinator
    #[command(subcommand, arg_required_else_help = false)]
    Coordinator(CoordinatorCommand),
    /// Run a scenario with real processes on this machine that seem to be elsewhere, and that fail on schedule
    Emulate(EmulateArgs),
    /// Write, build, check and share plugins
    #[command(subcommand, arg_required_else_help = false)]
    Plugin(PluginCommand),
    /// Run a scenario in virtual time: what a cluster that is not there would do with a job
    Simulate(Box<SimulateArgs>),
    /// Ask a coordinator or a worker whether it is well, for containers and supervisors
    Health(HealthArgs),
    /// Write what Prometheus and Grafana need to show a cluster
    #[command(subcommand, arg_required_else_help = false)]
    Grafana(GrafanaCommand),
    /// Measure muster itself
    #[command(subcommand, arg_required_else_help = false)]
    Bench(BenchCommand),
    /// Serve answers that wait, have a size or fail, for workloads that fetch; prints the address
    HttpServer(Box<HttpServerArgs>),
    /// Print the completion script of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    /// A heading holds for the flags below it that say nothing else.
    #[test]
    fn the_many_flags_of_run_have_headings() {
        let run = super::Cli::command().find_subcommand("run").unwrap().clone();
        let heading = |name: &str| {
            let flag = run.get_arguments().find(|flag| flag.get_long() == Some(name)).unwrap();
            flag.get_help_heading().unwrap_or("Options")
        };
        for (name, wanted) in [
            ("tasks", "Options"),
            ("seed", "Options"),
            ("gil", "Model"),
            ("retry", "Failures"),
            ("mem", "Limits"),
            ("priority", "Cluster"),
            ("workers", "Cluster"),
            ("policy", "Cluster"),
            ("out", "Output"),
            ("explain", "Output"),
        ] {
            assert_eq!(heading(name), wanted, "--{name}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
