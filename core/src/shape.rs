//! How the executors of a job look on a worker: P processes of T threads.

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
}

/// P executors with T threads each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Executors, at least 1.
    pub processes: u32,
    /// Threads of each, at least 1.
    pub threads: u32,
}

impl Shape {
    /// Tasks that can run at the same time.
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
            Self::Thread { threads } => Shape { processes: 1, threads: threads.unwrap_or(slots).max(1) },
            Self::Process { processes } => Shape { processes: processes.unwrap_or(slots).max(1), threads: 1 },
            Self::Hybrid { processes, threads } => {
                let processes = match (processes, threads) {
                    (Some(processes), _) => processes.max(1),
                    (None, Some(threads)) => (slots / threads.max(1)).max(1),
                    (None, None) => 2.min(slots),
                };
                Shape { processes, threads: threads.unwrap_or(slots / processes).max(1) }
            }
        }
    }

    /// The model's name as the command line spells it.
    #[must_use]
    pub const fn model(self) -> &'static str {
        match self {
            Self::Thread { .. } => "thread",
            Self::Process { .. } => "process",
            Self::Hybrid { .. } => "hybrid",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(processes: u32, threads: u32) -> Shape {
        Shape { processes, threads }
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
    }
}
