//! `loop`: adds `i * n` for every `i` below a bound, one addition after the other: work of a known length that
//! touches no memory.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod sum;

use muster_sdk::{Context, Error, FromResult, Job, Reduce, Task, Workload};

muster_sdk::params! {
    /// What every task adds up.
    pub struct Params {
        /// Additions per task; a million take about a millisecond.
        pub iters: u64 = 1_000_000 => 0..=1_000_000_000_000_000,
        /// The factor n; -1 takes the number of the task.
        pub n: i64 = -1 => -1..=i64::MAX,
    }
}

/// The workload. Sums wrap at 2^64.
struct Loop {
    iters: u64,
    /// The same for all tasks; none: the number of the task.
    factor: Option<u64>,
}

impl Workload for Loop {
    type Params = Params;
    type Output = u64;

    fn create(params: Params, _job: &Job) -> Result<Self, Error> {
        Ok(Self { iters: params.iters, factor: u64::try_from(params.n).ok() })
    }

    fn run(&self, task: Task<'_>, ctx: &mut Context<'_>) -> Result<u64, Error> {
        let factor = self.factor.unwrap_or(task.index());
        let total = sum::by_adding(self.iters, factor, || ctx.checkpoint())?;
        let expected = sum::by_formula(self.iters, factor);
        if total == expected {
            return Ok(total);
        }
        Err(Error::failed(format_args!(
            "the sum is {total} and should be {expected}: this machine miscalculates"
        )))
    }
}

impl Reduce for Loop {
    type Partial = u64;
    type Total = String;

    fn zero(&self) -> u64 {
        0
    }

    fn add(&self, partial: &mut u64, _index: u64, result: &[u8]) -> Result<(), Error> {
        self.merge(partial, u64::from_result(result)?)
    }

    fn merge(&self, left: &mut u64, right: u64) -> Result<(), Error> {
        *left = left.wrapping_add(right);
        Ok(())
    }

    fn encode(&self, partial: &u64) -> Result<Vec<u8>, Error> {
        Ok(partial.to_le_bytes().to_vec())
    }

    fn decode(&self, bytes: &[u8]) -> Result<u64, Error> {
        u64::from_result(bytes)
    }

    /// The sum over all tasks as a line of text.
    fn finish(&self, partial: u64) -> Result<String, Error> {
        Ok(format!("{partial}\n"))
    }
}

muster_sdk::export! {
    Loop: Reduce {
        name: "loop",
        description: "Sums i * n for i below a bound",
        default_tasks: 1_000,
        deterministic: true,
        idempotent: true,
    }
}
