//! The ways to run tasks that experiments lay side by side.

use muster_proto::v1::{self, Model};

/// One of them.
#[derive(Clone, Debug)]
pub struct Shape {
    /// As in tables: `process 4x1`.
    pub name: String,
    /// As jobs ask for it.
    pub wire: v1::Shape,
    /// Executors; of spawn, those that there are at a time.
    pub processes: u32,
    /// Threads of each.
    pub threads: u32,
}

impl Shape {
    fn new(model: Model, name: &str, processes: u32, threads: u32) -> Self {
        let wire =
            v1::Shape { model: model.into(), processes, threads, oversubscribe: true, ..Default::default() };
        Self { name: format!("{name} {processes}x{threads}"), wire, processes, threads }
    }

    /// Threads of one executor.
    pub fn thread(threads: u32) -> Self {
        Self::new(Model::Thread, "thread", 1, threads)
    }

    /// Executors of one thread.
    pub fn process(processes: u32) -> Self {
        Self::new(Model::Process, "process", processes, 1)
    }

    /// Executors of several threads.
    pub fn hybrid(processes: u32, threads: u32) -> Self {
        Self::new(Model::Hybrid, "hybrid", processes, threads)
    }

    /// An executor for each task.
    pub fn spawn(processes: u32) -> Self {
        let shape = Self::new(Model::Spawn, "spawn", processes, 1);
        Self { name: format!("spawn {processes}"), ..shape }
    }

    /// So many tasks under way on one thread.
    pub fn in_flight(tasks: u32) -> Self {
        let mut shape = Self::new(Model::Async, "async", 1, 1);
        shape.wire.in_flight = tasks;
        Self { name: format!("async 1x1/{tasks}"), ..shape }
    }

    /// With so many slots: threads, processes, both where that is something else, and a process for each task.
    pub fn all(slots: u32) -> Vec<Self> {
        let mut all = vec![Self::thread(slots), Self::process(slots)];
        if slots >= 4 {
            all.push(Self::hybrid(2, slots / 2));
        }
        all.push(Self::spawn(slots));
        all
    }

    /// Its slots.
    pub const fn slots(&self) -> u32 {
        self.processes * self.threads
    }

    /// Whether a process ends with its task.
    pub fn is_spawn(&self) -> bool {
        self.wire.model() == Model::Spawn
    }

    /// A job of tasks without inputs.
    pub fn job(&self, params: &serde_json::Value, tasks: u64) -> v1::JobSpec {
        v1::JobSpec {
            params: params.to_string().into_bytes().into(),
            tasks,
            shape: Some(self.wire),
            weight: 1,
            max_attempts: 3,
            ..Default::default()
        }
    }
}
