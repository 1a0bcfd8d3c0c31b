//! What a task is told.

use crate::Error;
use muster_plugin_abi::task_seed;

/// One task: its number and its input.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    pub(crate) index: u64,
    pub(crate) job_seed: u64,
    pub(crate) input: &'a [u8],
}

impl<'a> Task<'a> {
    /// The number of the task within its job, from 0.
    #[inline]
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The input; empty when the job has none.
    #[inline]
    #[must_use]
    pub const fn input(&self) -> &'a [u8] {
        self.input
    }

    /// The input as text.
    ///
    /// # Errors
    /// When it is not UTF-8; says where.
    pub fn text(&self) -> Result<&'a str, Error> {
        std::str::from_utf8(self.input).map_err(|error| {
            Error::params(format_args!("the input of task {} is not UTF-8: {error}", self.index))
        })
    }

    /// A number that is the same on every attempt of this task, and different for other tasks.
    #[inline]
    #[must_use]
    pub const fn seed(&self) -> u64 {
        task_seed(self.job_seed, self.index)
    }
}
