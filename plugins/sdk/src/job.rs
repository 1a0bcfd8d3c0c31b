//! What a workload learns about its job, and its metrics.

use crate::host;
use crate::{Level, Log};
use muster_plugin_abi::{METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM};
use std::fmt::Arguments;

/// The job that a workload object is made for.
#[derive(Debug, Clone)]
pub struct Job {
    pub(crate) id: u128,
    pub(crate) seed: u64,
    pub(crate) threads: u32,
    pub(crate) tasks: u64,
    pub(crate) memory_limit: u64,
}

impl Job {
    /// The job's id.
    #[must_use]
    pub const fn id(&self) -> u128 {
        self.id
    }

    /// The same in every process of the job.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// How many threads of this process may run tasks at once.
    #[must_use]
    pub const fn threads(&self) -> u32 {
        self.threads
    }

    /// How many tasks the job has, when that is known.
    #[must_use]
    pub fn tasks(&self) -> Option<u64> {
        (self.tasks != 0).then_some(self.tasks)
    }

    /// How many bytes this process may use, when there is a limit.
    #[must_use]
    pub fn memory_limit(&self) -> Option<u64> {
        (self.memory_limit != 0).then_some(self.memory_limit)
    }

    /// Memory that all executors of the job on this worker have in common, zeros at first: whoever asks for the same name
    /// gets the same. It ends with the job on this worker, and survives executors that are killed. Its pages count as memory of
    /// the executor that touches them first.
    ///
    /// # Errors
    /// [`Error::params`](crate::Error::params) for a name of more than 64 bytes or no length; it has another length; the
    /// regions of the job have more than 1 GiB or are more than 64; or the host shares no memory.
    #[cfg(feature = "shared")]
    pub fn shared(&self, name: &str, bytes: usize) -> Result<crate::shared::Region, crate::Error> {
        crate::shared::Region::named(self.id, name, bytes)
    }

    /// A counter that [`export!`](crate::export!) lists. One that is not listed counts nothing.
    #[must_use]
    pub fn counter(&self, name: &str) -> Counter {
        Counter(host::metric(METRIC_COUNTER, name))
    }

    /// A gauge that [`export!`](crate::export!) lists.
    #[must_use]
    pub fn gauge(&self, name: &str) -> Gauge {
        Gauge(host::metric(METRIC_GAUGE, name))
    }

    /// A histogram that [`export!`](crate::export!) lists.
    #[must_use]
    pub fn histogram(&self, name: &str) -> Histogram {
        Histogram(host::metric(METRIC_HISTOGRAM, name))
    }
}

impl Log for Job {
    fn log(&self, level: Level, message: Arguments<'_>) {
        host::log(std::ptr::null_mut(), level as u32, &message.to_string());
    }
}

/// A metric that only rises. Adding costs an atomic: add per batch when tasks are tiny.
#[derive(Clone, Copy, Debug)]
pub struct Counter(u32);

/// A metric that is set.
#[derive(Clone, Copy, Debug)]
pub struct Gauge(u32);

/// A metric of observations.
#[derive(Clone, Copy, Debug)]
pub struct Histogram(u32);

impl Counter {
    /// Counts `n` more.
    pub fn add(self, n: u64) {
        host::metric_record(self.0, n as f64);
    }
}

impl Gauge {
    /// The value is now `value`.
    pub fn set(self, value: f64) {
        host::metric_record(self.0, value);
    }
}

impl Histogram {
    /// One observation.
    pub fn record(self, value: f64) {
        host::metric_record(self.0, value);
    }
}
