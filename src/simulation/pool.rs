//! Runs spread over threads. Which thread runs what does not show in the results: each run follows from its seed.

use super::plan::Plan;
use super::run::Run;
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::simulation::progress::Progress;
use muster_core::sketch::Sketch;
use muster_sim::cluster::Cluster;
use muster_sim::outcome::Report;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Each run counts so much on its way to its end.
pub const PARTS: u64 = 1_000;
/// After a signal, runs have so long to stop.
const GRACE: Duration = Duration::from_millis(700);
const TICK: Duration = Duration::from_millis(100);

/// Runs on their threads.
#[derive(Debug)]
pub struct Running {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    results: UnboundedReceiver<Result>,
}

/// What all threads look at.
#[derive(Debug, Default)]
struct Shared {
    next: AtomicUsize,
    stop: AtomicBool,
    parts: AtomicU64,
}

/// What came of one run.
#[derive(Debug)]
struct Result {
    index: usize,
    run: Run,
    queue_wait: Sketch,
    stopped: bool,
    /// Kept of the first run only.
    report: Option<Box<Report>>,
}

/// What came of all runs.
#[derive(Debug)]
pub struct Finished {
    /// By number; none: it did not come to its end.
    pub runs: Vec<Option<Run>>,
    /// Queue waits by point, of all its runs.
    pub queue_waits: Vec<Sketch>,
    /// Everything about the first run, when it came to its end or was the only one.
    pub first: Option<Box<Report>>,
    /// The signal that stopped it.
    pub stopped_by: Option<&'static str>,
}

impl Running {
    /// Starts at most so many threads.
    pub fn start(plan: Arc<Plan>, threads: usize) -> Outcome<Self> {
        let shared = Arc::new(Shared::default());
        let (sender, results) = unbounded_channel();
        for _ in 0..threads.min(plan.runs()).max(1) {
            let (plan, shared, sender) = (Arc::clone(&plan), Arc::clone(&shared), sender.clone());
            let thread = std::thread::Builder::new().name("simulation".to_owned());
            thread.spawn(move || work(&plan, &shared, &sender)).map_err(|error| {
                Failure::new(Exit::Limit, format_args!("cannot start a thread: {error}"))
                    .hint("use fewer --threads")
            })?;
        }
        Ok(Self { plan, shared, results })
    }

    /// Waits for all runs, or for a signal; a second one ends this at once.
    pub async fn finish(mut self, interrupt: &mut Interrupt, progress: &mut Progress) -> Outcome<Finished> {
        let mut finished = Finished {
            runs: vec![None; self.plan.runs()],
            queue_waits: vec![Sketch::new(); self.plan.points.len()],
            first: None,
            stopped_by: None,
        };
        let mut ticks = tokio::time::interval(TICK);
        let deadline = tokio::time::sleep(Duration::MAX);
        tokio::pin!(deadline);
        let mut came = 0;
        loop {
            tokio::select! {
                result = self.results.recv() => {
                    let Some(result) = result else { break };
                    came += u64::from(!result.stopped);
                    finished.take(&self.plan, result);
                }
                signal = interrupt.next() => {
                    if finished.stopped_by.replace(signal).is_some() {
                        break;
                    }
                    self.shared.stop.store(true, Ordering::Relaxed);
                    deadline.as_mut().reset(tokio::time::Instant::now() + GRACE);
                }
                () = &mut deadline, if finished.stopped_by.is_some() => break,
                _ = ticks.tick() => progress.update(self.shared.parts.load(Ordering::Relaxed), came),
            }
        }
        progress.finish();
        match (finished.stopped_by, finished.missing()) {
            (None, Some(index)) => {
                let (_, seed) = self.plan.run(index);
                Err(Failure::new(
                    Exit::Job,
                    format_args!("the run with seed {seed} broke off: this is a bug in muster"),
                ))
            }
            _ => Ok(finished),
        }
    }
}

impl Finished {
    fn take(&mut self, plan: &Plan, result: Result) {
        // Of one run among many, half is no number; of the only one it is all there is.
        if result.stopped && !plan.is_single() {
            return;
        }
        self.queue_waits[result.index / plan.replicas].merge(&result.queue_wait);
        self.first = result.report.or(self.first.take());
        self.runs[result.index] = Some(result.run);
    }

    fn missing(&self) -> Option<usize> {
        self.runs.iter().position(Option::is_none)
    }
}

fn work(plan: &Plan, shared: &Shared, results: &UnboundedSender<Result>) {
    while !shared.stop.load(Ordering::Relaxed) {
        let index = shared.next.fetch_add(1, Ordering::Relaxed);
        if index >= plan.runs() {
            return;
        }
        let result = run(plan, shared, index);
        if results.send(result).is_err() {
            return;
        }
    }
}

fn run(plan: &Plan, shared: &Shared, index: usize) -> Result {
    let (point, seed) = plan.run(index);
    let tasks: u64 = point.scenario.jobs.iter().map(|job| job.spec.tasks).sum();
    let mut told = 0;
    let mut tell = |parts: u64| {
        // A coordinator that starts again may know of fewer than before.
        shared.parts.fetch_add(parts.saturating_sub(told), Ordering::Relaxed);
        told = told.max(parts);
    };
    let cluster = Cluster::new(point.scenario.clone(), seed);
    let cluster = if plan.task_times { cluster.with_columns() } else { cluster };
    let report = cluster.run_watched(|ended| {
        tell((u128::from(ended) * u128::from(PARTS) / u128::from(tasks.max(1))).min(PARTS.into()) as u64);
        shared.stop.load(Ordering::Relaxed)
    });
    tell(PARTS);
    Result {
        index,
        run: Run::new(&plan.axes, point, &report),
        queue_wait: report.measures.queue_wait.clone(),
        stopped: report.stopped,
        report: (index == 0).then(|| Box::new(report)),
    }
}
