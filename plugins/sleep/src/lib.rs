//! `sleep`: waits for a time that is drawn anew for each task, to see how a cluster copes with tasks of uneven
//! length without using its processors.
//!
//! A task draws the same time on every attempt, machine and shape: it follows from the job's seed and the task's
//! number. Sleeps shorter than a millisecond are as exact as the timer slack of the thread allows (50 us by
//! default); with `spin=1` the whole time is spent computing, exactly.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod duration;
mod wait;

use duration::{Distribution, Law};
use muster_sdk::{AsyncContext, AsyncWorkload, Context, Error, Job, Task, Workload};

muster_sdk::choices! {
    /// How the times of the tasks are distributed.
    pub enum Dist {
        /// All the same.
        Const = "const",
        /// Exponential.
        Exponential = "exp",
        /// Log-normal.
        LogNormal = "lognormal",
        /// Pareto.
        Pareto = "pareto",
    }
}

muster_sdk::params! {
    /// How long the tasks wait.
    pub struct Params {
        /// Mean time in milliseconds, whatever the distribution.
        pub ms: f64 = 10.0 => 0.0..=86_400_000.0,
        /// How the times of the tasks are distributed.
        pub dist: Dist = Dist::Const,
        /// Spread of lognormal: the deviation of the logarithm.
        pub sigma: f64 = 1.0 => 0.0..=5.0,
        /// Tail of pareto: the smaller, the heavier.
        pub alpha: f64 = 2.5 => 1.01..=100.0,
        /// Share of the time spent computing instead of sleeping.
        pub spin: f64 = 0.0 => 0.0..=1.0,
    }
}

struct Sleep {
    distribution: Distribution,
    spin: f64,
}

impl Workload for Sleep {
    type Params = Params;
    type Output = ();

    fn create(params: Params, _job: &Job) -> Result<Self, Error> {
        let law = match params.dist {
            Dist::Const => Law::Const,
            Dist::Exponential => Law::Exponential,
            Dist::LogNormal => Law::LogNormal { sigma: params.sigma },
            Dist::Pareto => Law::Pareto { alpha: params.alpha },
        };
        Ok(Self { distribution: Distribution { mean_seconds: params.ms / 1e3, law }, spin: params.spin })
    }

    fn run(&self, _task: Task<'_>, ctx: &mut Context<'_>) -> Result<(), Error> {
        let time = self.distribution.draw(ctx.random());
        wait::wait(time, self.spin, ctx)
    }
}

impl AsyncWorkload for Sleep {
    /// The share that computes holds up all other tasks of the thread.
    async fn run_async(&self, _task: Task<'_>, ctx: &AsyncContext) -> Result<(), Error> {
        let time = self.distribution.draw(&mut ctx.random());
        wait::wait_async(time, self.spin).await;
        Ok(())
    }
}

muster_sdk::export! {
    Sleep: Async {
        name: "sleep",
        description: "Waits for a drawn time, asleep or computing",
        default_tasks: 100,
        deterministic: true,
        idempotent: true,
    }
}
