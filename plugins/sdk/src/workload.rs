//! The traits that a workload implements.

use crate::{Context, Error, Job, Output, Params, Task};

/// The code of one kind of task. One object is made per job and process; its tasks run on several threads at
/// once, so state shared between tasks needs the usual means (atomics, locks).
pub trait Workload: Sized + Send + Sync + 'static {
    /// The job's parameters: a struct made by [`params!`](crate::params!), or `()`.
    type Params: Params;
    /// What a task gives back.
    type Output: Output;

    /// Makes the object of a job. An error fails the job; it is shown to whoever submitted it.
    ///
    /// # Errors
    /// [`Error::params`] when the parameters do not fit together, others when something is missing.
    fn create(params: Self::Params, job: &Job) -> Result<Self, Error>;

    /// Runs one task. A long task asks [`Context::check`] at least every 10 ms.
    ///
    /// # Errors
    /// [`Error::failed`] is final for the task, [`Error::transient`] is tried again.
    fn run(&self, task: Task<'_>, ctx: &mut Context<'_>) -> Result<Self::Output, Error>;

    /// Runs the tasks that `ctx` hands out. Override it when work can be shared between neighbouring tasks;
    /// it must give the same results as [`Workload::run`]. After an error the host goes on behind the task
    /// that failed, with a new call.
    ///
    /// # Errors
    /// That of the task which [`Context::next_task`] gave last.
    #[inline]
    fn run_range(&self, ctx: &mut Context<'_>) -> Result<(), Error> {
        ctx.each(|task, ctx| self.run(task, ctx))
    }
}

/// A workload whose results can be combined. muster combines along a fixed tree over the task indexes, in the
/// executors and again on the way, so the operation must be associative but need not be commutative, and sums
/// of floating-point numbers repeat bit for bit.
pub trait Reduce: Workload {
    /// The combined results of neighbouring tasks.
    type Partial: Send;
    /// The output of the job.
    type Total: Output;

    /// The partial of no tasks.
    fn zero(&self) -> Self::Partial;

    /// Adds the result of task `index`; [`FromResult`](crate::FromResult) reads its bytes.
    ///
    /// # Errors
    /// When the bytes are not a result of this workload.
    fn add(&self, partial: &mut Self::Partial, index: u64, result: &[u8]) -> Result<(), Error>;

    /// Adds `right`, whose tasks are the ones behind those in `left`.
    ///
    /// # Errors
    /// When the two do not fit together.
    fn merge(&self, left: &mut Self::Partial, right: Self::Partial) -> Result<(), Error>;

    /// A partial as bytes, for another process. Equal partials should give equal bytes.
    ///
    /// # Errors
    /// When it cannot be written.
    fn encode(&self, partial: &Self::Partial) -> Result<Vec<u8>, Error>;

    /// The partial from the bytes of [`Reduce::encode`].
    ///
    /// # Errors
    /// When the bytes are no partial.
    fn decode(&self, bytes: &[u8]) -> Result<Self::Partial, Error>;

    /// The output of the job from the partial of all its tasks.
    ///
    /// # Errors
    /// When there is no sensible output.
    fn finish(&self, partial: Self::Partial) -> Result<Self::Total, Error>;
}
