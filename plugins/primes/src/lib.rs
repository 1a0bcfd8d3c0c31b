//! `primes`: counts the primes up to a limit. The numbers are divided evenly among the tasks, and each task counts
//! in its share with a segmented sieve; added up, the counts are pi(limit).
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod base;
mod share;
mod sieve;
mod stamp;

use muster_sdk::{Context, Error, FromResult, Job, Reduce, Task, Workload};
use share::share;
use sieve::Sieve;

muster_sdk::params! {
    /// Where to count.
    pub struct Params {
        /// The last number that counts.
        pub limit: u64 = 1_000_000 => 0..=1_000_000_000_000_000,
    }
}

struct Primes {
    limit: u64,
    tasks: u64,
    sieve: Sieve,
}

impl Workload for Primes {
    type Params = Params;
    type Output = u64;

    fn create(params: Params, job: &Job) -> Result<Self, Error> {
        let limit = params.limit;
        let tasks = job.tasks().ok_or_else(|| {
            Error::params(
                "primes divides the numbers among all tasks, so it must know how many there are: give -n, no inputs",
            )
        })?;
        Ok(Self { limit, tasks, sieve: Sieve::new(limit) })
    }

    fn run(&self, task: Task<'_>, ctx: &mut Context<'_>) -> Result<u64, Error> {
        let numbers = share(self.limit, task.index(), self.tasks);
        self.sieve.count(numbers, || ctx.checkpoint())
    }
}

impl Reduce for Primes {
    type Partial = u64;
    type Total = String;

    fn zero(&self) -> u64 {
        0
    }

    fn add(&self, partial: &mut u64, _index: u64, result: &[u8]) -> Result<(), Error> {
        self.merge(partial, u64::from_result(result)?)
    }

    fn merge(&self, left: &mut u64, right: u64) -> Result<(), Error> {
        *left += right;
        Ok(())
    }

    fn encode(&self, partial: &u64) -> Result<Vec<u8>, Error> {
        Ok(partial.to_le_bytes().to_vec())
    }

    fn decode(&self, bytes: &[u8]) -> Result<u64, Error> {
        u64::from_result(bytes)
    }

    /// pi(limit) as a line of text.
    fn finish(&self, partial: u64) -> Result<String, Error> {
        Ok(format!("{partial}\n"))
    }
}

muster_sdk::export! {
    Primes: Reduce {
        name: "primes",
        description: "Counts the primes up to a limit with a segmented sieve",
        default_tasks: 64,
        deterministic: true,
        idempotent: true,
    }
}
