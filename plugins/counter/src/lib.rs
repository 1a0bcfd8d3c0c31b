//! `counter`: tasks add 1 to a number that they share, again and again, and say how many of the additions were lost.
//!
//! The number lies in the memory of an executor (`scope=executor`: the threads of one process share it) or in a region that
//! all executors of the job on a worker have in common (`scope=worker`). Additions are made as `mode` says: without any care,
//! under a lock, atomically, or in shards.
//!
//! Where the interpreter lock is on (`--gil`), tasks take turns: it is handed over only at checkpoints and while a task
//! waits. A careless addition has neither, so that nothing is lost within an executor; with `checkpoint=true` there is one
//! between reading and writing, and with it the race is back.
//!
//! Every task gives a tally of its number when it is done. The one that was the last of its number saw all additions, so
//! the reduction keeps the latest tally of each number and adds those up.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod board;
mod count;
mod tally;

use board::Board;
use count::Count;
use muster_sdk::{Context, Error, Job, Json, Reduce, Task, Workload};
use std::time::Duration;
use tally::{Tallies, Tally, Total};

muster_sdk::choices! {
    /// How a task adds.
    pub enum Mode {
        /// Reads, adds, writes: what others wrote in between is lost.
        Racy = "racy",
        /// Under a lock that one has at a time.
        Mutex = "mutex",
        /// Under a lock that many readers or one writer have; each addition writes.
        RwLock = "rwlock",
        /// Under a semaphore.
        Semaphore = "semaphore",
        /// In one step of the processor.
        Atomic = "atomic",
        /// Each thread adds to a number of its own, and the numbers are added up at the end.
        Sharded = "sharded",
    }
}

muster_sdk::choices! {
    /// Who shares the number.
    pub enum Scope {
        /// The threads of each executor.
        Executor = "executor",
        /// All executors of the job on a worker.
        Worker = "worker",
    }
}

muster_sdk::params! {
    /// How tasks add, to which number, and how often.
    pub struct Params {
        /// How a task adds.
        pub mode: Mode = Mode::Racy,
        /// Who shares the number.
        pub scope: Scope = Scope::Worker,
        /// Additions of a task.
        pub increments: u64 = 100_000 => 1..=1_000_000_000_000,
        /// Permits of the semaphore. With more than one, several add at the same time, and additions are lost.
        pub permits: u32 = 1 => 1..=64,
        /// A checkpoint between reading and writing: there the interpreter lock may be handed over.
        pub checkpoint: bool = false,
        /// Microseconds of waiting between reading and writing, under the lock if there is one.
        pub hold_us: u64 = 0 => 0..=60_000_000,
    }
}

struct Counter {
    board: Board,
    increments: u64,
    count: Count,
}

impl Workload for Counter {
    type Params = Params;
    type Output = Json<Tally>;

    fn create(params: Params, job: &Job) -> Result<Self, Error> {
        let board = Board::open(params.scope, params.permits as usize, job)?;
        let count = Count {
            mode: params.mode,
            checkpoint: params.checkpoint,
            hold: Duration::from_micros(params.hold_us),
        };
        Ok(Self { board, increments: params.increments, count })
    }

    fn run(&self, _task: Task<'_>, ctx: &mut Context<'_>) -> Result<Json<Tally>, Error> {
        self.board.begin(self.increments);
        self.count.run(&self.board, self.increments, ctx)?;
        Ok(Json(self.board.end(self.increments)))
    }
}

impl Reduce for Counter {
    type Partial = Tallies;
    type Total = Json<Total>;

    fn zero(&self) -> Tallies {
        Tallies::default()
    }

    fn add(&self, partial: &mut Tallies, index: u64, result: &[u8]) -> Result<(), Error> {
        let tally =
            tally::read(result).map_err(|error| error.context(format_args!("result of task {index}")))?;
        partial.add(tally);
        Ok(())
    }

    fn merge(&self, left: &mut Tallies, right: Tallies) -> Result<(), Error> {
        left.merge(right);
        Ok(())
    }

    fn encode(&self, partial: &Tallies) -> Result<Vec<u8>, Error> {
        partial.encode()
    }

    fn decode(&self, bytes: &[u8]) -> Result<Tallies, Error> {
        Tallies::decode(bytes)
    }

    fn finish(&self, partial: Tallies) -> Result<Json<Total>, Error> {
        Ok(Json(partial.total()))
    }
}

muster_sdk::export! {
    Counter: Reduce {
        name: "counter",
        description: "Adds 1 to a shared number, with or without a lock, and counts what was lost",
        default_tasks: 4,
    }
}
