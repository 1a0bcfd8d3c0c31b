//! What is to be run: plain data.

use muster_core::shape::ShapeRequest;
use muster_worker::emulation::{Direction, LinkModel, Speed};
use std::path::PathBuf;
use std::time::Duration;

/// A cluster, its jobs, and what happens meanwhile.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The `muster` that workers are; none: this program.
    pub program: Option<PathBuf>,
    /// What the coordinator is started with. Its addresses, name and folders are not used.
    pub coordinator: muster_coordinator::Config,
    /// The workers, at least one.
    pub workers: Vec<Worker>,
    /// What happens, in any order.
    pub events: Vec<Event>,
    /// The jobs, at least one.
    pub jobs: Vec<Job>,
    /// Where jitter comes from. Each worker and each repeat has its own.
    pub seed: u64,
    /// How often it is run, each time on a new cluster; 0 is 1.
    pub repeats: u32,
    /// A run that takes longer is given up.
    pub limit: Duration,
    /// A folder for the logs of workers; none: they go with the run.
    pub logs: Option<PathBuf>,
}

/// A worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Worker {
    /// Its name, unlike those of others.
    pub name: String,
    /// Tasks that it runs at the same time.
    pub slots: u32,
    /// Its speed, as a part of this machine's.
    pub speed: Speed,
    /// Its link to the coordinator.
    pub link: LinkModel,
    /// Whether it is there from the start; otherwise an event starts it.
    pub is_present: bool,
}

/// Something happens to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, counted from the start.
    pub at: Duration,
    /// The worker's place in the list.
    pub worker: usize,
    /// What.
    pub fault: Fault,
}

/// What happens to workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It ends at once, with all that runs on it (SIGKILL).
    Kill,
    /// It stands still, with all that runs on it (SIGSTOP).
    Stop,
    /// It goes on (SIGCONT).
    Continue,
    /// It starts: for the first time, or again after it was killed.
    Start,
    /// It is drained: it finishes what it has and goes.
    Leave,
    /// Its link carries nothing for a time.
    Cut {
        /// For how long.
        length: Duration,
        /// Which way.
        direction: Direction,
    },
}

/// A job of tasks that need no inputs.
#[derive(Clone, Debug, Default)]
pub struct Job {
    /// What messages call it.
    pub name: String,
    /// When it is submitted, counted from the start.
    pub submit_at: Duration,
    /// The plugin's source folder, which is built first, or its file.
    pub plugin: String,
    /// Whether workers have the plugin from the start, instead of fetching it through their links.
    pub has_plugin: bool,
    /// Its parameters.
    pub params: Vec<(String, String)>,
    /// How many tasks.
    pub tasks: u64,
    /// The executors on a worker.
    pub shape: ShapeRequest,
    /// Whether all outputs are combined into one.
    pub reduce: bool,
    /// Where the job's own random numbers come from.
    pub seed: u64,
    /// How often a task is tried; 0 is 3.
    pub max_attempts: u32,
    /// The longest wait before a second attempt; none: the usual one.
    pub backoff: Option<Duration>,
    /// Jobs of higher priority go first.
    pub priority: i32,
    /// Its share among jobs of the same priority; 0 is 1.
    pub weight: u32,
    /// Where its outputs go, as `muster run --out` has it; none: they are checksummed and dropped. With several repeats
    /// the last one's outputs remain.
    pub out: Option<PathBuf>,
}

impl Default for Experiment {
    fn default() -> Self {
        Self {
            program: None,
            coordinator: muster_coordinator::Config::default(),
            workers: Vec::new(),
            events: Vec::new(),
            jobs: Vec::new(),
            seed: 0,
            repeats: 1,
            limit: Duration::from_secs(3_600),
            logs: None,
        }
    }
}

impl Worker {
    /// A worker at full speed, behind no link, from the start.
    #[must_use]
    pub fn new(name: impl Into<String>, slots: u32) -> Self {
        let (speed, link) = (Speed::default(), LinkModel::default());
        Self { name: name.into(), slots, speed, link, is_present: true }
    }
}
