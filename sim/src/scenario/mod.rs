//! What is to be simulated or emulated: workers, links, jobs, faults, policy. Checked once, when it is read; the
//! types here hold nothing that cannot be run.

mod bare;
mod cluster;
mod error;
mod faults;
mod field;
mod jobs;
mod keys;
mod nearest;
mod overrides;
mod read;
mod source;
mod sweep;
mod times;
mod tree;
mod write;

#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod tests;

pub use error::{Place, ScenarioError};
pub use overrides::Override;
pub use read::SEED_MAX;
pub use source::Source;
pub use sweep::{SWEEP_POINTS_MAX, SWEEP_VALUES_MAX, Sweep, SweepError, points};

use muster_core::scheduler::{JobSpec, PolicySpec};
use muster_core::time::Span;

/// The JSON schema of scenario files, for editors: every key with its meaning, limits and default.
pub const SCHEMA: &str = include_str!("../../scenario.schema.json");

/// A cluster, what it is to do, and what goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Its title.
    pub name: String,
    /// Where all randomness comes from, unless the command line says another.
    pub seed: u64,
    /// The simulation ends here at the latest; what is unfinished is said.
    pub until: Span,
    /// The policy and the settings of the scheduler.
    pub scheduling: Scheduling,
    /// What the coordinator costs.
    pub coordinator: Coordinator,
    /// Groups of equal workers, at least one with at least one worker.
    pub workers: Vec<WorkerGroup>,
    /// Links by which groups reach the coordinator. A group without a link has one without latency and limit.
    pub links: Vec<Link>,
    /// The jobs, at least one.
    pub jobs: Vec<Job>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// What is probably not meant as it is written, one line each.
    pub notes: Vec<String>,
}

/// How tasks are handed out.
#[derive(Clone, Debug, PartialEq)]
pub struct Scheduling {
    /// Whose turn it is, how leases are cut, and whether tasks get a second one.
    pub policy: PolicySpec,
    /// How long a lease holds without a sign of life.
    pub lease: Span,
    /// Tasks per slot that a worker may always have.
    pub credit_tasks: u64,
    /// Work per slot that a worker may have waiting.
    pub credit: Span,
    /// The time that one claim of an executor's thread should take.
    pub claim: Span,
    /// How long finished results wait at an executor at the most for others to travel with.
    pub hold: Span,
}

/// The coordinator's own costs. Messages are handled one at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coordinator {
    /// Time per message, in either direction.
    pub per_message: Span,
    /// Time per byte of a message, in picoseconds.
    pub per_byte_ps: u64,
    /// Time until what is to last is durable.
    pub commit: Span,
    /// Bytes per second that it sends, and that it receives; none: no limit.
    pub bandwidth: Option<u64>,
}

/// Equal workers.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerGroup {
    /// Its name, used by faults.
    pub name: String,
    /// How many there are from the start.
    pub count: u32,
    /// Tasks that one runs at the same time, at least 1.
    pub slots: u32,
    /// Cores of one; fewer than computing threads make those slower.
    pub cores: u32,
    /// Computing takes its time divided by this; above 0.
    pub speed: f64,
    /// Time to start an executor.
    pub executor_start: Span,
    /// Time to load a plugin.
    pub plugin_load: Span,
    /// Index of its link.
    pub link: Option<usize>,
}

/// How a group of workers reaches the coordinator. Both directions are alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// One way.
    pub latency: Span,
    /// Added to the latency of each message: even between nothing and this.
    pub jitter: Span,
    /// Bytes per second that all its workers share in each direction; none: no limit.
    pub bandwidth: Option<u64>,
    /// Bytes per second of one worker in each direction; none: no limit.
    pub worker_bandwidth: Option<u64>,
    /// Messages are lost, sent twice or overtaken with these probabilities.
    pub unreliable: Unreliable,
}

/// What a link does to messages, as probabilities in 0..1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Unreliable {
    /// A message does not arrive.
    pub drop: f64,
    /// A message arrives twice.
    pub duplicate: f64,
    /// A message is overtaken by later ones.
    pub reorder: f64,
}

/// A job: tasks whose time comes from a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// When it is submitted.
    pub submit_at: Span,
    /// What the scheduler is told of it.
    pub spec: JobSpec,
    /// How long its tasks take on a core of speed 1.
    pub time: TaskTime,
    /// The part of a task's time, 0..1, in which it waits and needs no core.
    pub io: f64,
    /// Bytes that each worker needs once before it can start.
    pub plugin_bytes: u64,
    /// Input bytes per task.
    pub input_bytes: u64,
    /// Result bytes per task.
    pub result_bytes: u64,
    /// What an emulation runs instead of the model.
    pub plugin: Option<Plugin>,
}

/// A real plugin and its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugin {
    /// As `muster run` takes it.
    pub name: String,
    /// `name=value`.
    pub params: Vec<(String, String)>,
}

/// How long tasks take.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskTime {
    /// Always the same.
    Const(Span),
    /// Even between two times.
    Uniform {
        /// The shortest.
        min: Span,
        /// The longest.
        max: Span,
    },
    /// Exponential.
    Exp {
        /// Its mean.
        mean: Span,
    },
    /// The logarithm is normal.
    Lognormal {
        /// Half of the tasks are shorter.
        median: Span,
        /// Standard deviation of the logarithm.
        sigma: f64,
    },
    /// Pareto: P(time > t) = (min / t)^shape.
    Pareto {
        /// The shortest.
        min: Span,
        /// Below 2 the variance, up to 1 the mean is without bound; above 0.
        shape: f64,
    },
    /// One of two times.
    Bimodal {
        /// The usual time.
        short: Span,
        /// The other.
        long: Span,
        /// The part of the tasks that take the other, 0..1.
        share: f64,
    },
    /// Drawn with replacement from recorded times, at least one, in order of their length.
    Recorded(std::sync::Arc<[Span]>),
}

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// When, and how often.
    pub when: When,
}

/// When a fault happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// Once, so long after the start.
    At(Span),
    /// Again and again, with exponential gaps of this mean: per worker for what hits workers.
    Every(Span),
}

/// Which workers a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Index of the group; none: any.
    pub group: Option<usize>,
    /// How many, chosen at random; none: all of them.
    pub count: Option<u32>,
}

/// Directions of a link that are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    Both,
    /// From the coordinator to workers.
    ToWorkers,
    /// From workers to the coordinator.
    ToCoordinator,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultKind {
    /// A worker ends with all it has, and comes back after a while, or not.
    WorkerCrash {
        /// Which.
        target: Target,
        /// Until it is back.
        restart: Option<Span>,
    },
    /// An executor ends while it runs a task.
    ExecutorCrash {
        /// On which workers.
        target: Target,
    },
    /// The coordinator ends and comes back with what was durable.
    CoordinatorCrash {
        /// Until it is back.
        restart: Span,
    },
    /// A worker stands still: nothing runs, nothing is said or heard.
    Pause {
        /// Which.
        target: Target,
        /// For how long.
        length: Span,
    },
    /// Messages between workers and coordinator are lost.
    Partition {
        /// Which workers.
        target: Target,
        /// Which way.
        direction: Direction,
        /// For how long.
        length: Span,
    },
    /// Some workers are slow from then on.
    Straggler {
        /// Which.
        target: Target,
        /// Tasks take so many times as long; at least 1.
        factor: f64,
    },
    /// Tasks end their executor whenever they run.
    Poison {
        /// Index of the job.
        job: usize,
        /// The part of its tasks, 0..1.
        share: f64,
    },
    /// Workers join.
    Join {
        /// Index of the group.
        group: usize,
        /// How many.
        count: u32,
    },
    /// Workers say goodbye: they finish what they have and go.
    Leave {
        /// Which.
        target: Target,
    },
    /// Workers' clocks run fast or slow by so many parts per million.
    ClockDrift {
        /// Which.
        target: Target,
        /// Parts per million.
        ppm: i64,
    },
}
