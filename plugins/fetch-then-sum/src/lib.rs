//! `fetch-then-sum`: each task fetches some URLs on threads of its own, which wait, and then adds up the squares of a
//! range of numbers on the thread of its slot, which computes. Half waiting and half computing is what processes with
//! threads in them are said to be best at.
//!
//! Task i sums the squares from `i * count` on, modulo 2^64. The inner threads are beside the slots: a job of P x T
//! slots has up to `P * T * threads` of them. The gauge `inner_threads` has how many there are in a process now, and each
//! task says so in the log.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod inner;
mod squares;

use inner::Crew;
use muster_http::Template;
use muster_sdk::{Context, Error, Job, Task, Workload};
use std::time::Duration;

muster_sdk::params! {
    /// What every task fetches and sums.
    pub struct Params {
        /// The address, http://HOST/PATH; {index} is the number of the task from 0, {number} from 1.
        pub url: String,
        /// How often each task fetches it.
        pub urls: u32 = 10 => 0..=1_000_000,
        /// Threads that each task starts for fetching, beside its slot.
        pub threads: u32 = 5 => 1..=4_096,
        /// Numbers whose squares each task adds up.
        pub count: u64 = 1_000_000 => 0..=1_000_000_000_000,
        /// A fetch that takes longer, in seconds, fails; its task is tried again.
        pub timeout_s: f64 = 30.0 => 0.001..=86_400.0,
    }
}

struct FetchThenSum {
    template: Template,
    crew: Crew,
    count: u64,
}

impl Workload for FetchThenSum {
    type Params = Params;
    type Output = u64;

    fn create(params: Params, job: &Job) -> Result<Self, Error> {
        let crew = Crew {
            fetches: params.urls,
            threads: params.threads,
            limit: Duration::from_secs_f64(params.timeout_s),
            working: inner::Working::new(job.gauge("inner_threads")),
        };
        Ok(Self { template: Template::new(&params.url)?, crew, count: params.count })
    }

    fn run(&self, task: Task<'_>, ctx: &mut Context<'_>) -> Result<u64, Error> {
        let url = self.template.url(task.index())?;
        self.crew.fetch_all(&url, ctx)?;
        let first = task.index().wrapping_mul(self.count);
        squares::sum(first, self.count, || ctx.checkpoint())
    }
}

muster_sdk::export! {
    FetchThenSum {
        name: "fetch-then-sum",
        description: "Fetches URLs on threads of its own, beside the slots, then sums squares",
        default_tasks: 2,
        deterministic: true,
        idempotent: true,
        needs: &["network"],
        metrics: &[MetricSpec::gauge("inner_threads", "Threads that tasks of this process have started beside its slots")],
    }
}
