//! Pausing a job most of whose tasks end their executors.
//!
//! A job is paused when of the last attempts that ended more than half were the first of their task to end an executor.
//! What a task does when it is tried again does not count, unless it succeeds: the few culprits of a good job come
//! together at its end, and say nothing new about it. So a job with fewer tasks than the window has places is never
//! paused, and one in which every task crashes is, after as many tasks as that.

use super::Scheduler;
use super::io::Output;
use crate::id::JobId;
use crate::mutation::Mutation;

/// The most attempts that are looked at.
const WINDOW_MAX: u32 = 64;

/// How the last attempts of a job ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    /// A bit for each attempt, the last one lowest: whether it ended an executor.
    bits: u64,
    /// Attempts that ended.
    len: u32,
}

impl Window {
    /// So many attempts ended without the end of an executor.
    pub(super) fn passed(&mut self, attempts: u64) {
        let attempts = attempts.min(WINDOW_MAX.into()) as u32;
        self.bits = self.bits.checked_shl(attempts).unwrap_or(0);
        self.len = (self.len + attempts).min(WINDOW_MAX);
    }

    /// An attempt ended its executor.
    pub(super) fn crashed(&mut self) {
        self.passed(1);
        self.bits |= 1;
    }

    /// How many of the last `size` attempts ended an executor, when these are more than half.
    fn mostly_crashed(self, size: u32) -> Option<u32> {
        let size = size.min(WINDOW_MAX);
        let seen = u64::MAX.checked_shr(WINDOW_MAX - size).unwrap_or(0);
        let crashed = (self.bits & seen).count_ones();
        (self.len >= size && 2 * crashed > size).then_some(crashed)
    }
}

impl Scheduler {
    /// Pauses a job that still has something to do when it has mostly crashed.
    pub(super) fn check_crashes(&mut self, id: JobId) {
        let ended = self.config.pause_window;
        let Some(job) = self.jobs.get_mut(&id).filter(|job| !job.paused && !job.all_ended()) else { return };
        let Some(crashed) = job.window.mostly_crashed(ended) else { return };
        if self.broken.strikes(Mutation::CrashesUncounted) {
            return;
        }
        job.paused = true;
        let pos = self.log();
        self.outputs.push_back(Output::Paused { job: id, crashed, ended, pos });
        if self.broken.strikes(Mutation::PauseUnheard) {
            if let Some(job) = self.jobs.get_mut(&id) {
                job.paused = false;
            }
            return;
        }
        self.recall_unstarted(id, false);
        self.settle(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_must_be_full_and_half_is_not_most() {
        let mut window = Window::default();
        (0..19).for_each(|_| window.crashed());
        assert_eq!(window.mostly_crashed(20), None);
        window.crashed();
        assert_eq!(window.mostly_crashed(20), Some(20));
        window.passed(9);
        assert_eq!(window.mostly_crashed(20), Some(11));
        window.passed(1);
        assert_eq!(window.mostly_crashed(20), None);
        window.passed(1_000_000);
        window.crashed();
        assert_eq!(window.mostly_crashed(1), Some(1));
        assert_eq!(window.mostly_crashed(2), None);
    }
}
