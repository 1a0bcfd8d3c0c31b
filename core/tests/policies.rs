//! Where each policy is the best one: jobs made for it, in virtual time, through the real scheduler. Workers have one
//! slot, ask for the next lease when they have finished one, and give nothing back, so that what is compared is the
//! policy alone.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use muster_core::id::{JobId, LogPos, WorkerId};
use muster_core::range::IndexRange;
use muster_core::scheduler::{
    Batch, Candidate, Config, DropReason, Grant, Input, JobSpec, Outlook, Output, Policy, Rank, Scheduler,
};
use muster_core::time::{Span, Time};
use std::collections::BTreeMap;

/// A job: when it comes, what it is, and the time of its tasks by index on a worker of the usual speed.
struct Arrival {
    at: Span,
    spec: JobSpec,
    task: Box<dyn Fn(u64) -> Span>,
}

/// A worker: when it joins, and how many times as long as usual its tasks take.
#[derive(Clone, Copy)]
struct Worker {
    joins: Span,
    slowness: u64,
}

/// Workers, what they are given, and how long a message takes.
struct Site {
    workers: Vec<Worker>,
    jobs: Vec<Arrival>,
    latency: Span,
}

enum Event {
    Join(usize),
    Submit(usize),
    Tell(Input),
}

/// A run of a site: what is still to happen, and when jobs ended.
struct Run<'a> {
    site: &'a Site,
    now: Time,
    scheduler: Scheduler,
    events: BTreeMap<(Time, u64), Event>,
    sequence: u64,
    ends: BTreeMap<JobId, Span>,
}

const fn ms(ms: u64) -> Span {
    Span::from_millis(ms)
}

/// A worker has one lease at a time.
fn one_by_one() -> Config {
    // Workers say nothing while they work.
    let lease = Span(u64::MAX);
    Config { lease, credit_tasks: 1, credit: Span::ZERO, ..Config::default() }
}

fn mean(times: &[f64]) -> f64 {
    times.iter().sum::<f64>() / times.len() as f64
}

fn job(tasks: u64, task: impl Fn(u64) -> Span + 'static) -> Arrival {
    Arrival { at: Span::ZERO, spec: JobSpec { tasks, ..JobSpec::default() }, task: Box::new(task) }
}

impl Site {
    fn new(workers: usize, latency: Span, jobs: Vec<Arrival>) -> Self {
        Self { workers: vec![Worker { joins: Span::ZERO, slowness: 1 }; workers], jobs, latency }
    }

    /// When each job ended, in milliseconds.
    fn ends(&self, policy: &str, seed: u64) -> Vec<f64> {
        let config = Config { policy: policy.parse().unwrap(), seed, ..one_by_one() };
        self.ends_under(Scheduler::new(config, LogPos(1)))
    }

    fn ends_under(&self, scheduler: Scheduler) -> Vec<f64> {
        let (events, ends) = (BTreeMap::new(), BTreeMap::new());
        let mut run = Run { site: self, now: Time::ZERO, scheduler, events, sequence: 0, ends };
        // Who comes at the same time as a job comes before it.
        (0..self.workers.len()).for_each(|at| run.after(self.workers[at].joins, Event::Join(at)));
        (0..self.jobs.len()).for_each(|at| run.after(self.jobs[at].at, Event::Submit(at)));
        run.until_all_ended();
        run.ends.into_values().map(|end| end.0 as f64 / 1e6).collect()
    }

    fn makespan(&self, policy: &str) -> f64 {
        self.ends(policy, 0).into_iter().fold(0.0, f64::max)
    }

    /// The mean time from a job's arrival to its end, of the jobs that count.
    fn mean_time(&self, policy: &str, counts: impl Fn(&Arrival) -> bool) -> f64 {
        let of_job = |(job, end): (&Arrival, f64)| counts(job).then_some(end - job.at.0 as f64 / 1e6);
        let times: Vec<f64> = self.jobs.iter().zip(self.ends(policy, 0)).filter_map(of_job).collect();
        mean(&times)
    }
}

impl Run<'_> {
    fn after(&mut self, span: Span, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now + span, self.sequence), event);
    }

    fn until_all_ended(&mut self) {
        while self.ends.len() < self.site.jobs.len() {
            let next = self.events.first_key_value().map(|(&(time, _), _)| time);
            if let Some((time, _)) = self.scheduler.poll_timeout().filter(|&(time, _)| Some(time) < next) {
                self.now = time;
                self.scheduler.handle_timeout(time);
                self.pump();
                continue;
            }
            let ((time, _), event) = self.events.pop_first().expect("something happens until all jobs end");
            self.now = time;
            let input = match event {
                Event::Join(at) => Input::Joined { worker: WorkerId(at as u64 + 1), slots: 1 },
                Event::Submit(at) => {
                    Input::Submit { job: JobId(at as u64 + 1), spec: self.site.jobs[at].spec.clone() }
                }
                Event::Tell(input) => input,
            };
            self.scheduler.handle(time, input);
            self.pump();
        }
    }

    fn pump(&mut self) {
        while let Some(output) = self.scheduler.poll_output() {
            self.act(output);
        }
    }

    fn act(&mut self, output: Output) {
        let latency = self.site.latency;
        match output {
            Output::Grant { worker, grant: Grant { lease, job, range, .. } } => {
                let task = &self.site.jobs[job.0 as usize - 1].task;
                let slowness = self.site.workers[worker.0 as usize - 1].slowness;
                let busy = Span((range.start..range.end).map(|index| task(index).0 * slowness).sum());
                let done = Input::Done { worker, lease, range, bytes: 0, busy };
                self.after(latency + busy + latency, Event::Tell(done));
            }
            Output::Recall { worker, lease, .. } => {
                let range = IndexRange::default();
                self.after(latency + latency, Event::Tell(Input::Returned { worker, lease, range }));
            }
            // What a second lease has made late.
            Output::Dropped { reason: DropReason::StaleLease, .. } => {}
            Output::Dropped { .. } => panic!("nothing is repeated here: {output:?}"),
            Output::Ended { job, .. } => {
                self.ends.insert(job, self.now.since(Time::ZERO));
            }
            _ => {}
        }
    }
}

/// Says what each policy comes to, and holds that the first is better than all others by a margin in percent.
fn first_wins(what: &str, policies: &[&str], margin: f64, measure: impl Fn(&str) -> f64) {
    let measured: Vec<(f64, &str)> = policies.iter().map(|&policy| (measure(policy), policy)).collect();
    println!("{what}: {measured:?}");
    let (best, winner) = measured[0];
    for &(other, policy) in &measured[1..] {
        assert!(best * (1.0 + margin / 100.0) < other, "{what}: {winner} {best}, {policy} {other}");
    }
}

/// A number from 0 to 1 that looks drawn.
fn scattered(index: u64) -> f64 {
    let bits = (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// No lease costs anything, and the long tasks lie side by side: whoever gets two of them at once is late.
#[test]
fn fixed_1_wins_with_very_unequal_tasks_and_no_latency() {
    let site = Site::new(4, Span::ZERO, vec![job(400, |index| if index < 8 { ms(100) } else { ms(1) })]);
    let policies = ["fixed:1", "fixed:16", "guided", "factoring", "adaptive"];
    first_wins("makespan, 8 of 400 tasks 100 times as long", &policies, 10.0, |policy| site.makespan(policy));
}

/// All tasks are equal and each lease costs a round trip; workers come free one after the other, so equal parts would
/// not end together.
#[test]
fn guided_wins_with_equal_tasks_and_latency() {
    let before = (0..4).map(|at| job(1, move |_| ms(1 + at * 300)));
    let site = Site::new(4, ms(20), before.chain([job(4_000, |_| ms(1))]).collect());
    let policies = ["guided", "fixed:1", "fixed:50", "fixed:1000", "factoring", "adaptive"];
    first_wins("makespan, equal tasks, 20 ms of latency", &policies, 1.0, |policy| site.makespan(policy));
}

/// Each lease costs a round trip and the times of tasks are far apart: a quarter of all tasks may be much more work
/// than another.
#[test]
fn factoring_wins_with_unequal_tasks_and_latency() {
    let time = |index| {
        Span((10e6 * scattered(index).powi(6)) as u64 + if index < 1_000 { 2_000_000 } else { 100_000 })
    };
    let site = Site::new(4, ms(20), vec![job(4_000, time)]);
    let policies = ["factoring", "fixed:1", "fixed:50", "fixed:1000", "guided", "adaptive"];
    first_wins("makespan, unequal tasks, 20 ms of latency", &policies, 1.0, |policy| site.makespan(policy));
}

/// Tasks of a microsecond on workers of which one is slow: neither the number of tasks nor that of slots says how long a
/// lease may be.
#[test]
fn adaptive_wins_with_tiny_tasks_on_unequal_workers() {
    let mut site = Site::new(4, Span::from_micros(200), vec![job(4_000_000, |_| Span::from_micros(1))]);
    site.workers[0].slowness = 16;
    let policies = ["adaptive", "fixed:100", "fixed:1000", "fixed:500000", "guided", "factoring"];
    first_wins("makespan, tiny tasks, a slow worker", &policies, 5.0, |policy| site.makespan(policy));
}

/// Equal jobs that come one after the other, each called more urgent than those before: who shares or lets them pass
/// ends all of them late.
#[test]
fn fifo_wins_in_the_mean_time_of_equal_jobs() {
    let jobs = (0..4).map(|at| {
        let mut job = job(100, |_| ms(10));
        (job.at, job.spec.priority) = (ms(at * 400), at as i32);
        job
    });
    let shared = (0..4).map(|at| Arrival { at: ms(at * 400), ..job(100, |_| ms(10)) });
    for (jobs, policies) in [
        (jobs.collect(), vec!["fifo", "priority", "fair", "random"]),
        (shared.collect(), vec!["fifo", "fair", "random"]),
    ] {
        let site = Site::new(2, Span::ZERO, jobs);
        let measure = |policy: &str| site.mean_time(&format!("{policy}+fixed:1"), |_| true);
        first_wins("mean time of equal jobs", &policies, 10.0, measure);
    }
}

/// A short job behind a long one of longer tasks: only by the time that each was given does it get its half.
#[test]
fn fair_wins_for_a_short_job_behind_a_long_one() {
    let short = Arrival { at: ms(100), ..job(40, |_| ms(2)) };
    let site = Site::new(2, Span::ZERO, vec![job(200, |_| ms(20)), short]);
    let policies = ["fair+fixed:1", "fifo+fixed:1", "priority+fixed:1", "random+fixed:1"];
    let measure = |policy: &str| site.mean_time(policy, |job| job.spec.tasks == 40);
    first_wins("time of a short job", &policies, 50.0, measure);
}

/// Two urgent jobs behind one that is not: sharing between the two would end both late.
#[test]
fn priority_wins_for_urgent_jobs() {
    let urgent = || {
        let spec = JobSpec { tasks: 50, priority: 5, ..JobSpec::default() };
        Arrival { at: ms(100), spec, task: Box::new(|_| ms(10)) }
    };
    let site = Site::new(2, Span::ZERO, vec![job(200, |_| ms(10)), urgent(), urgent()]);
    let policies = ["priority+fixed:1", "fair+fixed:1", "fifo+fixed:1", "random+fixed:1"];
    let measure = |policy: &str| site.mean_time(policy, |job| job.spec.priority > 0);
    first_wins("mean time of urgent jobs", &policies, 10.0, measure);
}

/// Jobs come in the order that is worst for whoever goes by age, share or priority: one long task, again and again
/// behind all short ones, so that it always begins last. Only who looks at none of these begins it sooner, on the average.
/// That is all that is to be said for drawing lots: it has no worst case that others can build.
#[test]
fn random_wins_against_an_order_made_for_the_others() {
    let mut jobs: Vec<Arrival> = (0..40).map(|_| job(1, |_| ms(10))).collect();
    jobs.push(job(1, |_| ms(200)));
    let site = Site::new(2, Span::ZERO, jobs);
    let policies = ["random", "fifo", "priority", "fair"];
    first_wins("mean makespan, the longest job last", &policies, 10.0, |policy| {
        let makespan = |seed| site.ends(policy, seed).into_iter().fold(0.0, f64::max);
        mean(&(0..50).map(makespan).collect::<Vec<f64>>())
    });
}

/// One worker is slow, and has a task when nothing else is left: who waits for it waits long.
#[test]
fn speculation_wins_with_a_slow_worker() {
    let mut site = Site::new(4, ms(1), vec![job(400, |_| ms(10))]);
    site.workers[0].slowness = 50;
    let policies = ["fixed:1+speculation", "fixed:1", "adaptive", "guided", "factoring"];
    first_wins("makespan, a worker 50 times slower", &policies, 5.0, |policy| site.makespan(policy));
}

/// A policy that is none of the known ones: the job with the fewest tasks left goes first.
#[derive(Debug)]
struct FewestFirst;

impl Policy for FewestFirst {
    fn rank(&self, _: u64, job: &Candidate) -> Rank {
        Rank(0, job.ready)
    }

    fn lease_tasks(&self, _: &Outlook, _: &mut Batch) -> u64 {
        1
    }
}

#[test]
fn a_policy_of_ones_own_decides_as_the_known_ones_do() {
    let jobs = (1..=5u64).rev().map(|length| job(length * 40, |_| ms(10)));
    let site = Site::new(2, Span::ZERO, jobs.collect());
    let own =
        || mean(&site.ends_under(Scheduler::with_policy(one_by_one(), LogPos(1), Box::new(FewestFirst))));
    let policies = ["fewest first", "fifo+fixed:1", "priority+fixed:1", "fair+fixed:1", "random+fixed:1"];
    first_wins("mean time, the shortest jobs last", &policies, 10.0, |policy| match policy {
        "fewest first" => own(),
        known => site.mean_time(known, |_| true),
    });
}
