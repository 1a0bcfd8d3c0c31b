//! How the running tasks of a cancelled job come to a stop here: what the coordinator is told of it.

use crate::os::monotonic_ns;
use muster_core::id::JobId;
use muster_core::time::Span;
use muster_proto::v1;

/// Counts for one job.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StopCount {
    /// When its tasks were told to stop; 0: they were not yet.
    asked_ns: u64,
    running: u64,
    terminated: u64,
    killed: u64,
    longest_ns: u64,
}

/// How an executor of it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopHow {
    /// By itself.
    Asked,
    /// At SIGTERM.
    Terminated,
    /// By SIGKILL.
    Killed,
}

impl StopCount {
    /// The running tasks were told to stop.
    pub fn begin(&mut self, running: u32) {
        self.asked_ns = monotonic_ns();
        self.running = running.into();
    }

    /// An executor ended while this many of its threads still ran a task.
    pub fn ended(&mut self, how: StopHow, running: u32) {
        if self.asked_ns == 0 {
            return;
        }
        let running = u64::from(running);
        match how {
            StopHow::Asked => {}
            StopHow::Terminated => self.terminated += running,
            StopHow::Killed => self.killed += running,
        }
        self.longest_ns = monotonic_ns().saturating_sub(self.asked_ns);
    }

    /// How long it took until all that ran had stopped; `None`: nothing ran.
    pub fn took(&self) -> Option<Span> {
        (self.running > 0).then_some(Span(self.longest_ns))
    }

    /// The message.
    pub fn to_proto(self, job: JobId) -> v1::JobStopped {
        let Self { running, terminated, killed, longest_ns, .. } = self;
        // A thread may have begun a task while the flag was being set.
        let asked = running.saturating_sub(terminated + killed);
        v1::JobStopped { job: job.0, asked, terminated, killed, longest_ns }
    }
}
