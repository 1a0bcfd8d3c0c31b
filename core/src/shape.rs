//! How the executors of a job look on a worker: P processes of T threads.

use crate::time::Span;
use core::fmt;

/// How a job asks for executors. `resolve` turns it into numbers once a worker's slots are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShapeRequest {
    /// One executor with a thread per slot, or with `threads` threads.
    Thread {
        /// Threads of the one executor; `None`: as many as the worker has slots.
        threads: Option<u32>,
    },
    /// An executor of one thread per slot, or `processes` of them.
    Process {
        /// Executors; `None`: as many as the worker has slots.
        processes: Option<u32>,
    },
    /// Several executors of several threads.
    Hybrid {
        /// Executors; `None`: 2.
        processes: Option<u32>,
        /// Threads of each; `None`: what the slots leave to each executor.
        threads: Option<u32>,
    },
    /// A fresh executor of one thread for every task.
    Spawn {
        /// Executors at the same time; `None`: as many as the worker has slots.
        processes: Option<u32>,
    },
    /// Executors whose threads keep many tasks going at the same time.
    Async {
        /// Executors; `None`: 1.
        processes: Option<u32>,
        /// Threads of each; `None`: what the slots leave to each executor.
        threads: Option<u32>,
        /// Tasks that a thread keeps going; `None`: [`IN_FLIGHT_DEFAULT`].
        in_flight: Option<u32>,
    },
}

/// Tasks that a thread of the async model keeps going unless told otherwise.
pub const IN_FLIGHT_DEFAULT: u32 = 64;
/// The most of them.
pub const IN_FLIGHT_MAX: u32 = 1_000_000;

/// P executors with T threads each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Executors, at least 1.
    pub processes: u32,
    /// Threads of each, at least 1.
    pub threads: u32,
    /// How each of them goes through its tasks.
    pub flow: Flow,
}

/// How a thread of an executor goes through its tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// One after the other.
    #[default]
    InTurn,
    /// One, and then its executor ends.
    Once,
    /// Up to so many at the same time, interleaved by the plugin's own runtime.
    InFlight(u32),
}

impl Flow {
    /// Tasks that one thread has going at the same time.
    #[must_use]
    pub const fn in_flight(self) -> u32 {
        match self {
            Self::InTurn | Self::Once => 1,
            Self::InFlight(tasks) => tasks,
        }
    }
}

/// A lock per executor that a task holds while it computes, as CPython's interpreter lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gil {
    /// Locks of an executor, at least 1; its threads are divided among them in turn.
    pub domains: u32,
    /// How long a task waits before it asks for the lock, and then again.
    pub switch: Span,
}

/// The switch interval of CPython (`sys.getswitchinterval`).
pub const GIL_SWITCH_DEFAULT: Span = Span::from_millis(5);

impl Shape {
    /// Executors of threads that run one task after the other.
    #[must_use]
    pub const fn new(processes: u32, threads: u32) -> Self {
        Self { processes, threads, flow: Flow::InTurn }
    }

    /// Threads of all executors.
    #[must_use]
    pub const fn slots(self) -> u32 {
        self.processes.saturating_mul(self.threads)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.processes, self.threads)
    }
}

impl Default for ShapeRequest {
    fn default() -> Self {
        Self::Thread { threads: None }
    }
}

impl ShapeRequest {
    /// The shape on a worker with `slots` slots.
    #[must_use]
    pub fn resolve(self, slots: u32) -> Shape {
        let slots = slots.max(1);
        match self {
            Self::Thread { threads } => Shape::new(1, threads.unwrap_or(slots).max(1)),
            Self::Process { processes } => Shape::new(processes.unwrap_or(slots).max(1), 1),
            Self::Hybrid { processes, threads } => {
                let processes = match (processes, threads) {
                    (Some(processes), _) => processes.max(1),
                    (None, Some(threads)) => (slots / threads.max(1)).max(1),
                    (None, None) => 2.min(slots),
                };
                Shape::new(processes, threads.unwrap_or(slots / processes).max(1))
            }
            Self::Spawn { processes } => {
                Shape { flow: Flow::Once, ..Shape::new(processes.unwrap_or(slots).max(1), 1) }
            }
            Self::Async { processes, threads, .. } => {
                let processes = processes.unwrap_or(1).max(1);
                let threads = threads.unwrap_or(slots / processes).max(1);
                Shape { flow: Flow::InFlight(self.in_flight()), ..Shape::new(processes, threads) }
            }
        }
    }

    /// Tasks that one thread has going at the same time.
    #[must_use]
    pub fn in_flight(self) -> u32 {
        match self {
            Self::Thread { .. } | Self::Process { .. } | Self::Hybrid { .. } | Self::Spawn { .. } => 1,
            Self::Async { in_flight, .. } => in_flight.unwrap_or(IN_FLIGHT_DEFAULT).max(1),
        }
    }

    /// The model's name as the command line spells it.
    #[must_use]
    pub const fn model(self) -> &'static str {
        match self {
            Self::Thread { .. } => "thread",
            Self::Process { .. } => "process",
            Self::Hybrid { .. } => "hybrid",
            Self::Spawn { .. } => "spawn",
            Self::Async { .. } => "async",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(processes: u32, threads: u32) -> Shape {
        Shape::new(processes, threads)
    }

    #[test]
    fn fills_the_slots_unless_told() {
        assert_eq!(ShapeRequest::Thread { threads: None }.resolve(4), shape(1, 4));
        assert_eq!(ShapeRequest::Thread { threads: Some(2) }.resolve(4), shape(1, 2));
        assert_eq!(ShapeRequest::Process { processes: None }.resolve(4), shape(4, 1));
        assert_eq!(ShapeRequest::Hybrid { processes: None, threads: None }.resolve(4), shape(2, 2));
        assert_eq!(ShapeRequest::Hybrid { processes: None, threads: Some(4) }.resolve(16), shape(4, 4));
        assert_eq!(ShapeRequest::Hybrid { processes: Some(3), threads: None }.resolve(8), shape(3, 2));
        assert_eq!(ShapeRequest::Hybrid { processes: None, threads: None }.resolve(1), shape(1, 1));
        assert_eq!(ShapeRequest::Thread { threads: None }.resolve(0), shape(1, 1));
        let spawn = ShapeRequest::Spawn { processes: None }.resolve(4);
        assert_eq!(spawn, Shape { flow: Flow::Once, ..shape(4, 1) });
        let tasks = |processes, threads, in_flight| ShapeRequest::Async { processes, threads, in_flight };
        let in_flight = |tasks, shape| Shape { flow: Flow::InFlight(tasks), ..shape };
        assert_eq!(tasks(None, None, None).resolve(4), in_flight(IN_FLIGHT_DEFAULT, shape(1, 4)));
        assert_eq!(tasks(Some(2), None, Some(9)).resolve(4), in_flight(9, shape(2, 2)));
        assert_eq!(tasks(None, Some(1), Some(0)).resolve(4), in_flight(1, shape(1, 1)));
    }
}
