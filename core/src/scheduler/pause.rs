//! Pausing a job most of whose tasks end their executors.
//!
//! A job is paused when some tasks were given up because they end their executors, and these are several times as many as
//! those that ended otherwise. Ends of tasks count, not attempts: an executor that crashes takes results of good tasks with it that
//! were not handed in, so crashes come early and results late; when a task has used up its attempts, the good ones around
//! it have had time to end. And all ends count, not the last ones, because the few culprits of a good job come together
//! at its end. Many slots crash many tasks before the first has used up its attempts: then several times as many tasks
//! that crashed once are enough, when hardly any has ended otherwise.

use super::Scheduler;
use super::io::Output;
use crate::id::JobId;
use crate::mutation::Mutation;

/// So many times as many tasks must have crashed when they were not given up yet.
const CRASHED_ONCE: u64 = 5;
/// So many of them must have crashed for each that ended otherwise.
const GOOD_SHARE: u64 = 5;

/// How the tasks of a job ended since it began, was released or was taken up again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    /// Tasks that ended an executor.
    pub(super) crashed: u64,
    /// Those of them that were given up for that.
    pub(super) given_up: u64,
    /// All tasks that ended.
    pub(super) ended: u64,
}

impl Ends {
    /// Tasks that ended otherwise.
    const fn good(self) -> u64 {
        self.ended - self.given_up
    }

    fn are_mostly_crashes(self, least: u32) -> bool {
        let least = u64::from(least);
        let good = GOOD_SHARE * self.good();
        let given_up = self.given_up >= least && self.given_up > good;
        let hopeless = self.crashed >= CRASHED_ONCE * least && self.crashed > good;
        least > 0 && (given_up || hopeless)
    }
}

impl Scheduler {
    /// Pauses a job that still has something to do when most of its tasks crash.
    pub(super) fn check_crashes(&mut self, id: JobId) {
        let least = self.config.pause_crashes;
        let Some(job) = self.jobs.get_mut(&id).filter(|job| !job.paused && !job.all_ended()) else { return };
        let (ends, crashed, good) = (job.ends, job.ends.crashed, job.ends.good());
        if !ends.are_mostly_crashes(least) || self.broken.strikes(Mutation::CrashesUncounted) {
            return;
        }
        job.paused = true;
        let pos = self.log();
        self.outputs.push_back(Output::Paused { job: id, crashed, good, pos });
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
    fn crashes_must_be_many_and_several_times_as_many_as_the_others() {
        let mostly = |given_up, ended| Ends { crashed: given_up, given_up, ended }.are_mostly_crashes(20);
        assert!(mostly(20, 20) && mostly(20, 23) && mostly(1_000, 1_199));
        assert!(!mostly(19, 19) && !mostly(20, 24) && !mostly(1_000, 1_200));
        let once = |crashed, ended| Ends { crashed, given_up: 0, ended }.are_mostly_crashes(20);
        assert!(once(100, 0) && once(100, 19) && !once(99, 0) && !once(100, 20));
        let never = Ends { crashed: 900, given_up: 900, ended: 900 }.are_mostly_crashes(0);
        assert!(!never, "0 means never");
    }
}
