//! `mixed`: tasks that compute and wait by turns, in amounts that parameters give: which model is the best one depends on
//! how much of each there is.
//!
//! Computing is counted in additions, so it is the same work however many tasks share a processor. A part of it can be
//! made outside of the interpreter lock (`--gil`), as extension modules of CPython do that release it. Every so-manieth task
//! can be one that only waits, to see what becomes of short waits beside tasks that compute.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod plan;
mod sum;

use muster_sdk::{AsyncContext, AsyncWorkload, Context, Error, Job, Task, Workload, tokio};
use plan::{Piece, Plan};

muster_sdk::params! {
    /// What every task does.
    pub struct Params {
        /// Additions per task; a million take about a millisecond.
        pub additions: u64 = 1_000_000 => 0..=1_000_000_000_000_000,
        /// Share of the additions that is made outside of the interpreter lock.
        pub outside: f64 = 0.0 => 0.0..=1.0,
        /// Microseconds of waiting per task.
        pub wait_us: u64 = 1_000 => 0..=86_400_000_000,
        /// Turns: each computes its part of the additions and then waits its part of the time.
        pub turns: u32 = 4 => 1..=10_000,
        /// Of so many tasks one only waits, once; 0: none does.
        pub waiter_every: u64 = 0 => 0..=1_000_000,
        /// Microseconds that such a task waits.
        pub waiter_us: u64 = 1_000 => 0..=86_400_000_000,
    }
}

/// Additions without the lock before it is taken back to ask whether to go on: about 16 ms.
const OUTSIDE: u64 = 1 << 24;

struct Mixed(Plan);

impl Workload for Mixed {
    type Params = Params;
    /// The sum of its numbers, modulo 2^64; 0 of a task that only waits.
    type Output = u64;

    fn create(params: Params, _job: &Job) -> Result<Self, Error> {
        Ok(Self(Plan::new(&params)))
    }

    fn run(&self, task: Task<'_>, ctx: &mut Context<'_>) -> Result<u64, Error> {
        let mut total = 0_u64;
        for piece in self.0.pieces(task.index()) {
            match piece {
                Piece::Inside(range) => total = sum::add(total, range, || ctx.checkpoint())?,
                Piece::Outside(range) => {
                    // The context cannot be asked while the lock is given up.
                    for part in sum::parts(range, OUTSIDE) {
                        total = ctx.blocking(|| sum::add(total, part, || Ok(())))?;
                        ctx.check()?;
                    }
                }
                Piece::Wait(time) => ctx.sleep(time)?,
            }
        }
        Ok(total)
    }
}

impl AsyncWorkload for Mixed {
    /// While one task computes, no other of its thread goes on; between its turns all may.
    async fn run_async(&self, task: Task<'_>, _ctx: &AsyncContext) -> Result<u64, Error> {
        let mut total = 0_u64;
        for piece in self.0.pieces(task.index()) {
            match piece {
                Piece::Inside(range) | Piece::Outside(range) => {
                    for part in sum::parts(range, sum::PART) {
                        total = sum::add(total, part, || Ok(()))?;
                        tokio::task::yield_now().await;
                    }
                }
                Piece::Wait(time) => tokio::time::sleep(time).await,
            }
        }
        Ok(total)
    }
}

muster_sdk::export! {
    Mixed: Async {
        name: "mixed",
        description: "Computes and waits by turns",
        default_tasks: 100,
        deterministic: true,
        idempotent: true,
    }
}
