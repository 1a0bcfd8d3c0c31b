//! The tasks of a job that are looked at one by one. They are kept in memory and not in the store: they are for whoever
//! watches an experiment, and no result depends on them.
//!
//! Their times are told by the clocks of their workers. Each report says when it was sent by that clock, and it cannot have come
//! before it was sent: the least time that there was between the two is how far the clocks are apart, and how long the fastest
//! of these reports took. So no run seems to begin before its job was submitted, or to end after it was heard of.
//! (The one-way half of Cristian, "Probabilistic clock synchronization", Distributed Computing 3, 1989.)

use super::{Driver, Refusal};
use muster_core::id::{JobId, WorkerId};
use muster_core::sampling::Sampling;
use muster_core::time::Time;
use muster_proto::convert::{Hello, RanOn, Submission, TaskSample};
use muster_proto::v1;
use std::collections::BTreeMap;

/// Runs of ended jobs that are kept in all; those of the oldest go first.
const ENDED_SAMPLES_MAX: usize = 1_000_000;
/// Runs of one task that are kept: the first ones and the last.
const RUNS_MAX: usize = 8;

/// The samples of one job: those with the lowest lots, so that they are a random sample of all of its tasks.
#[derive(Debug, Default)]
pub struct Samples {
    wanted: u32,
    sampling: Option<Sampling>,
    submitted_unix_ns: u64,
    by_lot: BTreeMap<u64, Vec<Run>>,
    workers: BTreeMap<WorkerId, Told>,
}

/// One run of a task.
#[derive(Debug)]
struct Run {
    worker: WorkerId,
    /// When it began, by the clock of its worker.
    began: Time,
    sample: TaskSample,
}

/// A worker that told of tasks.
#[derive(Debug)]
struct Told {
    name: String,
    host: String,
    /// What its clock lacks to the coordinator's Unix time, in nanoseconds.
    behind_ns: i128,
}

/// When a report was sent by the clock of its worker, and when it came by Unix time.
#[derive(Clone, Copy, Debug)]
pub struct WorkerClock {
    pub now_ns: u64,
    pub sent: Time,
}

impl WorkerClock {
    /// What the worker's clock lacks to Unix time, at the most.
    fn behind_ns(self) -> i128 {
        i128::from(self.now_ns) - i128::from(self.sent.0)
    }

    /// When tasks had ended by Unix time, and on which thread of which executor. What is not known ended now.
    pub(super) fn of(self, ran_on: Option<RanOn>) -> (u64, Option<(u64, u32)>) {
        let Some(RanOn { executor, thread, ended }) = ran_on else { return (self.now_ns, None) };
        let age = self.sent.0.saturating_sub(ended.0);
        (self.now_ns.saturating_sub(age), Some((executor, thread)))
    }
}

impl Samples {
    /// None yet, of as many as a job wants.
    pub fn new(submission: &Submission, submitted_unix_ns: u64) -> Self {
        let wanted = submission.task_samples;
        let sampling = Sampling::new(wanted, submission.spec.tasks, submission.seed);
        Self { wanted, sampling, submitted_unix_ns, ..Self::default() }
    }

    /// A worker tells of runs, which began at their times after `zero` of its clock.
    pub fn add(
        &mut self,
        worker: WorkerId,
        hello: Option<&Hello>,
        clock: WorkerClock,
        zero: Time,
        samples: Vec<TaskSample>,
    ) {
        let Some(sampling) = self.sampling else { return };
        let told = self.workers.entry(worker).or_insert_with(|| Told {
            name: hello.map(|hello| hello.name.clone()).unwrap_or_default(),
            host: hello.map(|hello| hello.host.clone()).unwrap_or_default(),
            behind_ns: clock.behind_ns(),
        });
        told.behind_ns = told.behind_ns.min(clock.behind_ns());
        for sample in samples {
            let runs = self.by_lot.entry(sampling.lot(sample.index)).or_default();
            runs.truncate(RUNS_MAX - 1);
            runs.push(Run { worker, began: Time(zero.0.saturating_add(sample.start.0)), sample });
            if self.by_lot.len() > self.wanted as usize {
                self.by_lot.pop_last();
            }
        }
    }

    /// All of them, by index and then as they began.
    fn list(&self) -> Vec<v1::TaskSample> {
        let mut samples: Vec<_> = self.by_lot.values().flatten().map(|run| self.to_wire(run)).collect();
        samples.sort_by_key(|sample| (sample.index, sample.at_ns));
        samples
    }

    fn to_wire(&self, run: &Run) -> v1::TaskSample {
        let behind_ns = self.workers.get(&run.worker).map_or(0, |told| told.behind_ns);
        let at_ns = i128::from(run.began.0) + behind_ns - i128::from(self.submitted_unix_ns);
        v1::TaskSample {
            at_ns: u64::try_from(at_ns.max(0)).unwrap_or(u64::MAX),
            ..run.sample.to_wire(run.worker.0)
        }
    }

    fn workers(&self) -> Vec<v1::SampledWorker> {
        let of = |(worker, told): (&WorkerId, &Told)| v1::SampledWorker {
            worker: worker.0,
            name: told.name.clone(),
            host: told.host.clone(),
        };
        self.workers.iter().map(of).collect()
    }

    fn runs(&self) -> usize {
        self.by_lot.values().map(Vec::len).sum()
    }
}

impl Driver {
    /// What is known of single tasks of a job; 0 is the newest.
    pub(super) fn task_samples(&self, id: JobId) -> Result<v1::TaskSamplesReply, Refusal> {
        let id = self.resolve(id)?;
        let live = self.jobs.get(&id).map(|job| &job.samples);
        let samples = live.or_else(|| Some(&self.ended.get(&id)?.samples)).ok_or_else(|| self.no_job(id))?;
        Ok(v1::TaskSamplesReply {
            job: id.0,
            samples: samples.list(),
            workers: samples.workers(),
            wanted: samples.wanted,
        })
    }

    /// Forgets samples of ended jobs beyond the limit, oldest first.
    pub(super) fn forget_samples(&mut self) {
        let mut kept: usize = self.ended.values().map(|ended| ended.samples.runs()).sum();
        for ended in self.ended.values_mut() {
            if kept <= ENDED_SAMPLES_MAX {
                return;
            }
            kept -= ended.samples.runs();
            ended.samples.by_lot.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(wanted: u32) -> Samples {
        Samples {
            wanted,
            sampling: Sampling::new(wanted, 0, 7),
            submitted_unix_ns: 1_000,
            ..Samples::default()
        }
    }

    fn sample(index: u64, failed: bool) -> TaskSample {
        TaskSample { index, failed, ..TaskSample::default() }
    }

    const CLOCK: WorkerClock = WorkerClock { now_ns: 2_000, sent: Time(50) };

    #[test]
    fn the_lowest_lots_stay_with_the_first_runs_of_a_task_and_the_last() {
        let mut samples = samples(3);
        samples.add(WorkerId(1), None, CLOCK, Time(0), (0..50).map(|index| sample(index, true)).collect());
        let mut lots: Vec<u64> = (0..50).collect();
        lots.sort_by_key(|&index| samples.sampling.map(|sampling| sampling.lot(index)));
        let mut lowest = lots[..3].to_vec();
        lowest.sort_unstable();
        let indexes = |samples: &Samples| samples.list().iter().map(|it| it.index).collect::<Vec<_>>();
        assert_eq!(indexes(&samples), lowest);
        samples.add(WorkerId(2), None, CLOCK, Time(0), vec![sample(lowest[1], false)]);
        assert_eq!(indexes(&samples), [lowest[0], lowest[1], lowest[1], lowest[2]]);
        assert_eq!((samples.list()[1].failed, samples.list()[1].worker), (true, 1));
        assert_eq!((samples.list()[2].failed, samples.list()[2].worker), (false, 2));
        (3..20).for_each(|worker| {
            samples.add(WorkerId(worker), None, CLOCK, Time(0), vec![sample(lowest[0], true)]);
        });
        let workers: Vec<u64> =
            samples.list().iter().filter(|it| it.index == lowest[0]).map(|it| it.worker).collect();
        assert_eq!(workers, [1, 3, 4, 5, 6, 7, 8, 19]);
        let mut unwanted = Samples::default();
        unwanted.add(WorkerId(1), None, CLOCK, Time(0), vec![sample(1, false)]);
        assert_eq!((unwanted.list(), unwanted.workers()), (vec![], vec![]));
    }

    #[test]
    fn the_fastest_report_of_a_worker_says_how_far_its_clock_is_from_ours() {
        let mut samples = samples(10);
        let run = |index, start| TaskSample { start: muster_core::time::Span(start), ..sample(index, false) };
        // The worker's clock is 1,900 behind; the first report took 50, the second 10, the third 400.
        samples.add(WorkerId(1), None, CLOCK, Time(20), vec![run(0, 5)]);
        samples.add(
            WorkerId(1),
            None,
            WorkerClock { now_ns: 2_210, sent: Time(300) },
            Time(20),
            vec![run(1, 90)],
        );
        samples.add(
            WorkerId(1),
            None,
            WorkerClock { now_ns: 2_800, sent: Time(500) },
            Time(20),
            vec![run(2, 300)],
        );
        // Another one's is ahead of it.
        samples.add(
            WorkerId(2),
            None,
            WorkerClock { now_ns: 2_000, sent: Time(9_000) },
            Time(8_500),
            vec![run(3, 100)],
        );
        let at: Vec<u64> = samples.list().iter().map(|it| it.at_ns).collect();
        assert_eq!(at, [20 + 5 + 1_910 - 1_000, 20 + 90 + 910, 20 + 300 + 910, 8_600 - 7_000 - 1_000]);
    }
}
