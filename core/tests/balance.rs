//! How evenly the scheduler spreads a job, in virtual time: workers whose tasks take as long as told, whose results
//! travel late and together, and who need a while to start. No clock, so every number here repeats.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use muster_core::id::{JobId, LeaseId, LogPos, WorkerId};
use muster_core::range::IndexRange;
use muster_core::scheduler::{Config, Input, JobSpec, Output, Scheduler};
use muster_core::time::{Span, Time};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

const JOB: JobId = JobId(1);
/// From the scheduler to a worker or back.
const LATENCY: Span = Span::from_micros(200);
/// Results wait so long for others, as executors let them while there is more to claim.
const HOLD: Span = Span::from_millis(100);
/// What threads claim at once.
const CLAIM: Span = Span::from_millis(1);
/// A worker that has just joined fetches the plugin and starts an executor first.
const START: Span = Span::from_millis(50);

/// What happens at some time.
#[derive(Debug)]
enum Event {
    Down(usize, Output),
    Up(Input),
    /// A slot has run its claim.
    Ran(usize),
    Started(usize),
}

#[derive(Debug, Default)]
struct Worker {
    slots: u64,
    busy: u64,
    started: bool,
    /// Unclaimed tasks.
    queue: VecDeque<(LeaseId, IndexRange)>,
    /// Claims that are running, by the time they end.
    running: VecDeque<(LeaseId, IndexRange, Span)>,
    done: Vec<Input>,
    done_since: Option<Time>,
    ran: u64,
}

struct Site {
    now: Time,
    scheduler: Scheduler,
    workers: Vec<Worker>,
    events: BinaryHeap<Reverse<(Time, u64)>>,
    waiting: BTreeMap<u64, Event>,
    sequence: u64,
    task: Span,
    committed: u64,
    ended: bool,
}

impl Site {
    fn new(workers: usize, slots: u64, task: Span) -> Self {
        let mut site = Self {
            now: Time::ZERO,
            scheduler: Scheduler::new(Config::default(), LogPos(1)),
            workers: Vec::new(),
            events: BinaryHeap::new(),
            waiting: BTreeMap::new(),
            sequence: 0,
            task,
            committed: 0,
            ended: false,
        };
        (0..workers).for_each(|_| site.join(slots));
        site
    }

    fn join(&mut self, slots: u64) {
        self.workers.push(Worker { slots, ..Worker::default() });
        let worker = WorkerId(self.workers.len() as u64);
        self.tell(Input::Joined { worker, slots: slots as u32 });
        self.after(START, Event::Started(self.workers.len() - 1));
    }

    fn after(&mut self, span: Span, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((self.now + span, self.sequence)));
        self.waiting.insert(self.sequence, event);
    }

    fn tell(&mut self, input: Input) {
        self.scheduler.handle(self.now, input);
        while let Some(output) = self.scheduler.poll_output() {
            match output {
                Output::Grant { worker, .. } | Output::Recall { worker, .. } => {
                    self.after(LATENCY, Event::Down(worker.0 as usize - 1, output));
                }
                Output::Commit { range, .. } => self.committed += range.len(),
                Output::Ended { .. } => self.ended = true,
                Output::Dropped { .. } => panic!("nothing is lost or repeated here: {output:?}"),
                _ => {}
            }
        }
    }

    /// Goes on until `enough`, or to the job's end.
    fn run_until(&mut self, enough: impl Fn(&Self) -> bool) {
        while !self.ended && !enough(self) {
            let Reverse((time, sequence)) = self.events.pop().expect("something happens until the job ends");
            self.now = time;
            match self.waiting.remove(&sequence).unwrap() {
                Event::Up(input) => self.tell(input),
                Event::Started(at) => {
                    self.workers[at].started = true;
                    self.claim(at);
                }
                Event::Down(at, Output::Grant { grant, .. }) => {
                    self.workers[at].queue.push_back((grant.lease, grant.range));
                    self.claim(at);
                }
                Event::Down(at, Output::Recall { worker, lease, count }) => {
                    let range = self.workers[at].give_back(lease, count);
                    self.after(LATENCY, Event::Up(Input::Returned { worker, lease, range }));
                }
                Event::Down(_, output) => unreachable!("not sent: {output:?}"),
                Event::Ran(at) => self.ran(at),
            }
        }
    }

    /// Free slots take what is there.
    fn claim(&mut self, at: usize) {
        let task = self.task;
        let worker = &mut self.workers[at];
        let mut ends = Vec::new();
        while worker.started && worker.busy < worker.slots {
            let unclaimed: u64 = worker.queue.iter().map(|(_, range)| range.len()).sum();
            let Some((lease, range)) = worker.queue.front_mut() else { break };
            let share = unclaimed.div_ceil(2 * worker.slots);
            let count = (CLAIM.0 / task.0).min(share).clamp(1, range.len());
            let claimed = IndexRange::from_count(range.start, count);
            range.start = claimed.end;
            let lease = *lease;
            worker.queue.retain(|(_, range)| !range.is_empty());
            worker.busy += 1;
            let busy = Span(task.0 * count);
            worker.running.push_back((lease, claimed, busy));
            ends.push(busy);
        }
        ends.into_iter().for_each(|busy| self.after(busy, Event::Ran(at)));
    }

    fn ran(&mut self, at: usize) {
        let now = self.now;
        let worker = &mut self.workers[at];
        // All claims of a worker take about as long, so the one that began first ends first, give or take some tasks.
        let (lease, range, busy) = worker.running.pop_front().unwrap();
        worker.busy -= 1;
        worker.ran += range.len();
        worker.done.push(Input::Done { worker: WorkerId(at as u64 + 1), lease, range, bytes: 0, busy });
        let since = *worker.done_since.get_or_insert(now);
        self.claim(at);
        let worker = &mut self.workers[at];
        if worker.queue.is_empty() || now.since(since) >= HOLD || busy >= HOLD {
            worker.done_since = None;
            let done = std::mem::take(&mut worker.done);
            done.into_iter().for_each(|input| self.after(LATENCY, Event::Up(input)));
        }
    }
}

impl Worker {
    fn give_back(&mut self, lease: LeaseId, count: u64) -> IndexRange {
        let Some((_, range)) = self.queue.iter_mut().rev().find(|(id, _)| *id == lease) else {
            return IndexRange::default();
        };
        let back = IndexRange::new(range.end - count.min(range.len()), range.end);
        range.end = back.start;
        self.queue.retain(|(_, range)| !range.is_empty());
        back
    }
}

/// Another worker joins when half of the tasks are done: the part of its fair share of the rest that it runs.
fn share_of_late_worker(workers: usize, slots: u64, task: Span, tasks: u64) -> f64 {
    let mut site = Site::new(workers, slots, task);
    site.tell(Input::Submit { job: JOB, spec: JobSpec { tasks, ..JobSpec::default() } });
    site.run_until(|site| site.committed >= tasks / 2);
    let rest = tasks - site.workers.iter().map(|worker| worker.ran).sum::<u64>();
    site.join(slots);
    site.run_until(|_| false);
    assert_eq!(site.workers.iter().map(|worker| worker.ran).sum::<u64>(), tasks);
    assert_eq!(site.committed, tasks);
    site.workers[workers].ran as f64 / (rest as f64 / (workers + 1) as f64)
}

#[test]
fn a_worker_that_joins_late_takes_its_share() {
    let mut least = f64::INFINITY;
    for task in [Span::from_micros(1), Span::from_micros(50), Span::from_millis(1), Span::from_millis(20)] {
        for (workers, slots) in [(1, 1), (1, 4), (2, 1), (3, 2), (8, 4)] {
            // The old workers alone would need two seconds or more for what is left when the new one comes.
            let tasks = (4_000_000_000 / task.0).max(30) * workers as u64 * slots;
            let share = share_of_late_worker(workers, slots, task, tasks);
            println!("{workers} workers of {slots} slots, {tasks} tasks of {task}: {share:.3} of its share");
            least = least.min(share);
        }
    }
    assert!(least >= 0.8, "a late worker took {least} of its fair share");
}
