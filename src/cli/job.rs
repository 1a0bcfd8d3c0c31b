//! `muster run`, `submit` and `job`.

use super::cluster::ClusterArg;
use super::limits::LimitArgs;
use super::quantity;
use super::retry::RetryArgs;
use crate::postmortem::TaskOf;
use clap::{Args, Subcommand, ValueEnum};
use muster_coordinator::args::POLICY_HELP;
use muster_core::sandbox::{Level, Need};
use muster_core::scheduler::PolicySpec;
use muster_proto::v1;
use std::path::PathBuf;
use std::time::Duration;

/// Where jobs run, and beside which others.
const CLUSTER: &str = "Cluster";
/// What is said, and where outputs go.
const OUTPUT: &str = "Output";

/// What a job is: shared by `run` and `submit`.
#[derive(Debug, Args)]
pub struct JobArgs {
    /// The workload: a plugin's source folder (built first), a plugin file, or the name, name@version or
    /// digest of a registered plugin
    pub plugin: String,
    /// Parameters of the plugin; `muster plugin info PLUGIN` lists them
    #[arg(value_name = "KEY=VALUE", value_parser = quantity::pair)]
    pub params: Vec<(String, String)>,
    /// Number of tasks, for a workload that needs nothing but the task's index
    #[arg(short = 'n', long, value_name = "N", value_parser = quantity::tasks, allow_hyphen_values = true)]
    #[arg(conflicts_with_all = ["lines", "files"])]
    pub tasks: Option<u64>,
    /// A task per line of FILE, or of stdin (-)
    #[arg(long, value_name = "FILE|-", conflicts_with = "files")]
    pub lines: Option<PathBuf>,
    /// A task per file; folders are walked, quoted globs expanded
    #[arg(long, value_name = "PATH|GLOB", num_args = 1..)]
    pub files: Vec<String>,
    /// Cut files at line ends into tasks of at most this size; a line that is longer is a task by itself
    #[arg(long, value_name = "SIZE", value_parser = quantity::size, allow_hyphen_values = true)]
    #[arg(requires = "files", conflicts_with_all = ["lines", "tasks"])]
    pub chunk: Option<u64>,
    /// Combine all outputs into one, when the plugin can
    #[arg(long)]
    pub reduce: bool,
    #[command(flatten, next_help_heading = "Arrivals")]
    pub arrivals: ArrivalArgs,
    #[command(flatten, next_help_heading = "Model")]
    pub shape: ShapeArgs,
    /// Seed of the job's random numbers (default: 0)
    #[arg(help_heading = None::<&str>)]
    #[arg(long, value_name = "S", value_parser = quantity::whole, default_value = "0", hide_default_value = true)]
    #[arg(allow_hyphen_values = true)]
    pub seed: u64,
    #[command(flatten, next_help_heading = "Failures")]
    pub retry: RetryArgs,
    #[command(flatten, next_help_heading = "Limits")]
    pub limits: LimitArgs,
    /// The least that is kept from the plugin: none, limits or standard (default: as each worker has it); a job never runs
    /// where less is kept
    #[arg(long, value_name = "LEVEL", value_parser = str::parse::<Level>, help_heading = "Limits")]
    pub sandbox: Option<Level>,
    /// Jobs of higher priority go first
    #[arg(long, value_name = "P", default_value_t = 0, allow_hyphen_values = true, help_heading = CLUSTER)]
    pub priority: i32,
    /// Share of the workers among jobs of the same priority
    #[arg(long, value_name = "W", value_parser = quantity::small, default_value = "1", allow_hyphen_values = true)]
    #[arg(help_heading = CLUSTER)]
    pub weight: u32,
    #[command(flatten, next_help_heading = CLUSTER)]
    pub cluster: ClusterArg,
    /// Look at so many tasks one by one, drawn at random, for `muster trace` (1,000 where N is left out)
    #[arg(long, value_name = "N", value_parser = quantity::traced, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "1000", help_heading = OUTPUT)]
    pub trace: Option<u32>,
}

/// When tasks start, unless that is as soon as a slot is free.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct ArrivalArgs {
    /// Start tasks at this rate (200/s, 5/min), whatever became of those before, and count their latency from then: open
    /// loop. One worker serves such a job
    #[arg(long, value_name = "N/s", value_parser = quantity::rate, allow_hyphen_values = true)]
    pub rate: Option<f64>,
    /// How the time between two starts is spread (default: constant)
    #[arg(long, value_enum, value_name = "HOW", requires = "rate")]
    pub arrivals: Option<Spread>,
}

/// How arrivals are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Spread {
    /// All alike
    Constant,
    /// Exponential, as of many clients that do not know of each other
    Poisson,
}

impl ArrivalArgs {
    /// For the wire.
    pub fn to_proto(self) -> Option<v1::Arrivals> {
        let pattern = match self.arrivals {
            None | Some(Spread::Constant) => v1::ArrivalPattern::Constant,
            Some(Spread::Poisson) => v1::ArrivalPattern::Poisson,
        };
        Some(v1::Arrivals { rate_per_s: self.rate?, pattern: pattern.into() })
    }
}

/// How the executors of a worker look: P processes of T threads.
#[derive(Clone, Debug, Default, Args)]
pub struct ShapeArgs {
    /// The model: threads of one process (1xT), processes (Px1), both (PxT), a process for every task, or many
    /// tasks in flight on each thread
    #[arg(long, value_enum)]
    pub model: Option<Model>,
    /// Executor processes on each worker
    #[arg(short = 'p', long, value_name = "P", value_parser = quantity::small, allow_hyphen_values = true)]
    pub processes: Option<u32>,
    /// Threads of each executor process
    #[arg(short = 't', long, value_name = "T", value_parser = quantity::small, allow_hyphen_values = true)]
    pub threads: Option<u32>,
    /// Allow more threads than a worker has CPUs
    #[arg(long)]
    pub oversubscribe: bool,
    /// Tasks that each thread of --model async keeps going (default: 64)
    #[arg(long, value_name = "N", value_parser = quantity::in_flight, allow_hyphen_values = true)]
    pub in_flight: Option<u32>,
    /// Only one task of each process computes at a time, as under CPython's interpreter lock, with any model
    #[arg(long)]
    pub gil: bool,
    /// How long a task waits before it asks for the lock (default: 5ms, as CPython)
    #[arg(long, value_name = "DURATION", value_parser = quantity::duration, allow_hyphen_values = true)]
    pub gil_switch: Option<Duration>,
    /// Locks of each process: 1 as in CPython, one per thread as in free-threaded Python (default: 1)
    #[arg(long, value_name = "N", value_parser = quantity::small, allow_hyphen_values = true)]
    pub gil_domains: Option<u32>,
}

/// The models of concurrency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Model {
    /// One executor process, a thread per slot
    Thread,
    /// An executor process per slot
    Process,
    /// Several executor processes of several threads: 2 that share the slots, unless -p or -t say otherwise
    Hybrid,
    /// A fresh executor process for every task
    Spawn,
    /// Many tasks in flight on each thread, when the plugin has an async form; else on stand-in threads
    Async,
    /// The thread model under a lock (--gil)
    Gil,
}

impl Model {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Process => "process",
            Self::Hybrid => "hybrid",
            Self::Spawn => "spawn",
            Self::Async => "async",
            Self::Gil => "gil",
        }
    }
}

#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub job: JobArgs,
    /// Workers of the private cluster (default: 1)
    #[arg(help_heading = CLUSTER)]
    #[arg(short = 'w', long, value_name = "WORKERS", value_parser = quantity::small, allow_hyphen_values = true)]
    pub workers: Option<u32>,
    /// Where outputs go: FILE gets a JSON line per task, DIR (a folder that exists, or a path that ends in /)
    /// a file per task, - is stdout; with --reduce FILE or stdout gets the combined output as it is. Without
    /// it outputs are checksummed, and dropped unless --state keeps them
    #[arg(long, value_name = "FILE|DIR|-", help_heading = OUTPUT)]
    pub out: Option<PathBuf>,
    /// Print one JSON object about the run on stdout
    #[arg(long, help_heading = OUTPUT)]
    pub json: bool,
    /// Say before what will run where, and after where the time went
    #[arg(long, help_heading = OUTPUT)]
    pub explain: bool,
    /// Keep the private cluster's jobs and results in this folder
    #[arg(long, value_name = "DIR", help_heading = CLUSTER)]
    pub state: Option<PathBuf>,
    #[arg(long, value_name = "POLICY", help = format!("{POLICY_HELP}; of the private cluster"), allow_hyphen_values = true)]
    #[arg(help_heading = CLUSTER)]
    pub policy: Option<PolicySpec>,
    /// What a plugin that needs it may do in a sandbox of the private cluster: network, exec, read:PATH, write:PATH or
    /// env:NAME; may be given several times
    #[arg(long, value_name = "WHAT", value_parser = str::parse::<Need>, help_heading = CLUSTER)]
    pub allow: Vec<Need>,
}

#[derive(Debug, Args)]
pub struct SubmitArgs {
    #[command(flatten)]
    pub job: JobArgs,
    /// Print one JSON object instead of the job's number
    #[arg(long, help_heading = OUTPUT)]
    pub json: bool,
}

/// A job: its number or `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobRef(pub u64);

impl std::str::FromStr for JobRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "last" => Ok(Self(0)),
            text => match text.parse() {
                Ok(number) if number > 0 => Ok(Self(number)),
                _ => Err("a job is its number, or `last`".to_owned()),
            },
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum JobCommand {
    /// List jobs, the newest first
    Ls {
        /// How many
        #[arg(long, value_name = "N", value_parser = quantity::small, default_value = "20")]
        #[arg(allow_hyphen_values = true)]
        limit: u32,
        #[command(flatten)]
        view: ViewArgs,
    },
    /// Show one job
    Info {
        /// The job's number, or `last` for the newest
        #[arg(default_value = "last")]
        job: JobRef,
        #[command(flatten)]
        view: ViewArgs,
    },
    /// Wait until a job has ended; exits as `run` would, with 1 also when it is paused
    Wait {
        /// The job's number, or `last` for the newest
        #[arg(default_value = "last")]
        job: JobRef,
        /// Give up after this long (exit 7); the job goes on
        #[arg(long, value_name = "DURATION", value_parser = quantity::duration, allow_hyphen_values = true)]
        timeout: Option<Duration>,
        #[command(flatten)]
        view: ViewArgs,
    },
    /// Stop a job; its results so far are kept
    Cancel {
        /// The job's number, or `last` for the newest
        #[arg(default_value = "last")]
        job: JobRef,
        /// Do not wait until its running tasks have really stopped
        #[arg(long)]
        no_wait: bool,
        #[command(flatten)]
        view: ViewArgs,
    },
    /// Remove jobs that have ended, with their results
    Rm {
        /// Their numbers, or `last` for the newest
        #[arg(required = true)]
        jobs: Vec<JobRef>,
        #[command(flatten)]
        view: ViewArgs,
    },
    /// Let a paused job go on, and try its failed tasks again, with all their attempts before them; also of a
    /// job that has ended
    Retry {
        /// The job's number, or `last` for the newest
        #[arg(default_value = "last")]
        job: JobRef,
        /// Only the failed tasks with these indexes, with commas between them
        #[arg(long, value_name = "INDEX[,INDEX..]", value_parser = quantity::whole, value_delimiter = ',', allow_hyphen_values = true)]
        index: Vec<u64>,
        #[command(flatten)]
        view: ViewArgs,
    },
    /// Print what a job's tasks logged and wrote to stdout and stderr, in the order of time
    Logs(LogsArgs),
    /// Say why a job waits or failed, or why one of its tasks failed; without a cluster of the last failed run
    Why(WhyArgs),
    /// Print a job's results in index order as JSON lines; follows a running job
    Results {
        /// The job's number, or `last` for the newest
        #[arg(default_value = "last")]
        job: JobRef,
        /// First index (default: 0)
        #[arg(
            long,
            value_name = "INDEX",
            value_parser = quantity::whole,
            default_value = "0",
            hide_default_value = true,
            allow_hyphen_values = true,
            conflicts_with = "tail"
        )]
        from: u64,
        /// Only the last N results
        #[arg(long, value_name = "N", value_parser = quantity::tasks, allow_hyphen_values = true)]
        tail: Option<u64>,
        /// Do not wait for results that are still to come
        #[arg(long)]
        now: bool,
        /// Where to: FILE gets a JSON line per task, DIR (a folder that exists, or a path that ends in /) a
        /// file per task, - is stdout; a combined output is written as it is
        #[arg(long, value_name = "FILE|DIR|-", default_value = "-", hide_default_value = true)]
        out: PathBuf,
        #[command(flatten)]
        cluster: ClusterArg,
    },
}

/// What `job logs` prints.
#[derive(Clone, Debug, Args)]
pub struct LogsArgs {
    /// The job: its number, or `last` for the newest; with .INDEX one of its tasks
    #[arg(value_name = "JOB[.INDEX]", default_value = "last")]
    pub task: TaskOf,
    /// Only lines of tasks that failed
    #[arg(long)]
    pub failed: bool,
    /// Go on until the job has ended
    #[arg(short = 'f', long)]
    pub follow: bool,
    /// Only the last N lines
    #[arg(long, value_name = "N", value_parser = quantity::lines, allow_hyphen_values = true)]
    pub tail: Option<u64>,
    #[command(flatten)]
    pub view: ViewArgs,
}

/// What `job why` is about.
#[derive(Clone, Debug, Args)]
pub struct WhyArgs {
    /// The job: its number, or `last` for the newest; with .INDEX one of its tasks
    #[arg(value_name = "JOB[.INDEX]", default_value = "last")]
    pub task: TaskOf,
    #[command(flatten)]
    pub view: ViewArgs,
}

/// Which cluster is asked, and how the answer looks.
#[derive(Clone, Debug, Args)]
pub struct ViewArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub cluster: ClusterArg,
}
