//! What is measured on the way: sums, histograms, and how busy the cluster was over time. Memory does not grow with
//! the number of tasks.

use muster_core::sketch::Sketch;
use muster_core::time::{Span, Time};

/// Points of a series; when there are more, neighbours are merged.
pub const POINTS_MAX: usize = 512;
/// The first distance between points.
const STEP_FIRST: Span = Span::from_micros(100);

/// Sums and histograms of one run.
#[derive(Clone, Debug, Default)]
pub struct Measures {
    /// Attempts that ran to their end.
    pub attempts: u64,
    /// Attempts whose work was lost: in a crash, or because nobody wanted their result any more.
    pub lost: u64,
    /// Of them, those that did not come to their end.
    pub interrupted: u64,
    /// Tasks that ran and whose results were on their way to the coordinator when the run ended.
    pub on_the_way: u64,
    /// Tasks that were leased again after they had been lost or had failed, started or not: what a real coordinator
    /// calls retried.
    pub retried: u64,
    /// Thread time spent on tasks.
    pub busy: Span,
    /// Thread time of what was lost.
    pub wasted: Span,
    /// From a job's submission to the start of a task; of tasks claimed together, each counts with the start of the
    /// first.
    pub queue_wait: Sketch,
    /// Thread time of tasks; of tasks claimed together, each counts with their mean.
    pub run: Sketch,
    /// Messages to workers, and to the coordinator.
    pub messages: [u64; 2],
    /// Their bytes.
    pub bytes: [u64; 2],
    /// Time that the coordinator spent on messages.
    pub coordinating: Span,
    /// Results and other messages that the scheduler dropped, in tasks.
    pub dropped: u64,
    /// Results that agents refused, in tasks.
    pub refused: u64,
    /// Faults that struck, by kind.
    pub faults: std::collections::BTreeMap<&'static str, u64>,
    /// Workers whose connection broke or that were silent for too long.
    pub workers_lost: u64,
    /// How the cluster was doing over time.
    pub series: Series,
    /// Every attempt, when asked for.
    pub columns: Option<Columns>,
}

/// How a cluster was doing, at even distances in time.
#[derive(Clone, Debug)]
pub struct Series {
    step: Span,
    points: Vec<Point>,
    open: Point,
    next: Time,
    busy_threads: u64,
    counted: Time,
}

/// What one step of a series holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// Thread time spent on tasks in this step, in nanoseconds.
    pub busy_ns: u64,
    /// Tasks that nobody had at its end.
    pub queued: u64,
    /// Tasks committed until its end.
    pub committed: u64,
    /// Tasks that failed for good until its end.
    pub failed: u64,
    /// Attempts that ran to their end until its end.
    pub attempts: u64,
    /// Attempts whose work was lost until its end.
    pub lost: u64,
    /// Workers that were given up until its end.
    pub workers_lost: u64,
    /// Jobs at its end that were submitted and have not ended.
    pub jobs: u64,
    /// Workers there at its end.
    pub workers: u64,
    /// Slots of those.
    pub slots: u64,
    /// Time that the coordinator spent on messages in this step, in nanoseconds.
    pub coordinating_ns: u64,
    /// The most queued tasks that were seen in this step; set by the series, as those below.
    pub queued_most: u64,
    /// The fewest workers that were seen in this step.
    pub workers_least: u64,
    /// The most workers that were seen in this step.
    pub workers_most: u64,
}

impl Point {
    /// A step that ends like this one, after what was counted in it.
    fn closed(self, counted: &Self) -> Self {
        Self {
            busy_ns: counted.busy_ns,
            coordinating_ns: counted.coordinating_ns,
            queued_most: self.queued,
            workers_least: self.workers,
            workers_most: self.workers,
            ..self
        }
    }

    /// This step and the one after it as one.
    fn and(self, next: Self) -> Self {
        Self {
            busy_ns: self.busy_ns + next.busy_ns,
            coordinating_ns: self.coordinating_ns + next.coordinating_ns,
            queued_most: self.queued_most.max(next.queued_most),
            workers_least: self.workers_least.min(next.workers_least),
            workers_most: self.workers_most.max(next.workers_most),
            ..next
        }
    }
}

impl Default for Series {
    fn default() -> Self {
        Self {
            step: STEP_FIRST,
            points: Vec::new(),
            open: Point::default(),
            next: Time::ZERO + STEP_FIRST,
            busy_threads: 0,
            counted: Time::ZERO,
        }
    }
}

impl Series {
    /// The distance between points.
    #[must_use]
    pub const fn step(&self) -> Span {
        self.step
    }

    /// The points; the last one may cover less than a step.
    #[must_use]
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Whether the step that is being filled has ended.
    #[inline]
    pub fn is_due(&self, now: Time) -> bool {
        now >= self.next
    }

    /// Threads that run tasks, more or fewer.
    #[inline]
    pub fn busy(&mut self, now: Time, more: i64) {
        self.count(now);
        self.busy_threads = self.busy_threads.saturating_add_signed(more);
    }

    /// The coordinator spends time on a message.
    #[inline]
    pub fn coordinate(&mut self, span: Span) {
        self.open.coordinating_ns += span.0;
    }

    fn count(&mut self, now: Time) {
        self.open.busy_ns += self.busy_threads.saturating_mul(now.since(self.counted).0);
        self.counted = self.counted.max(now);
    }

    /// The time of each point: where its step starts and ends. Nothing happened after `end`.
    pub fn spans(&self, end: Time) -> impl Iterator<Item = (Time, Time, Point)> + '_ {
        let starts =
            self.points.iter().enumerate().map(|(at, point)| (Time(at as u64 * self.step.0), *point));
        let spans = starts.map(move |(start, point)| (start, end.min(start + self.step), point));
        spans.filter(|(start, until, _)| start < until)
    }

    /// Ends all steps that ended until `now`; `state` is how things stand.
    pub fn advance(&mut self, now: Time, state: Point) {
        while self.next <= now {
            self.count(self.next);
            self.close(state, self.step);
        }
    }

    /// Ends the last step.
    pub fn finish(&mut self, now: Time, state: Point) {
        self.advance(now, state);
        self.count(now);
        let start = self.next - self.step;
        let length = now.since(start);
        match self.points.last_mut() {
            // What happened at the last moment belongs to the step before.
            Some(last) if length == Span::ZERO => *last = last.and(state.closed(&Point::default())),
            _ => self.close(state, length),
        }
    }

    fn close(&mut self, state: Point, length: Span) {
        self.points.push(state.closed(&self.open));
        // What the coordinator has taken on and not done goes on in the next step.
        let later = self.open.coordinating_ns.saturating_sub(length.0);
        if let Some(point) = self.points.last_mut() {
            point.coordinating_ns -= later;
        }
        self.open = Point { coordinating_ns: later, ..Point::default() };
        if self.points.len() == POINTS_MAX {
            self.step = Span(self.step.0 * 2);
            let halves = self.points.chunks(2);
            self.points =
                halves.filter_map(|pair| pair.iter().copied().reduce(|one, next| one.and(next))).collect();
        }
        self.next = Time(self.points.len() as u64 * self.step.0) + self.step;
    }
}

/// Every attempt that ran to its end, one column per fact; 32 bytes each, so only on request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// The job's place in the scenario.
    pub job: Vec<u32>,
    /// The task's index in the job.
    pub index: Vec<u64>,
    /// The worker's number, from 0 in the order of the scenario; those that joined later follow.
    pub worker: Vec<u32>,
    /// When it began, in nanoseconds from the start of the simulation.
    pub began_ns: Vec<u64>,
    /// How long it ran, in nanoseconds.
    pub ran_ns: Vec<u64>,
}

impl Columns {
    /// Attempts in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    pub(crate) fn push(&mut self, job: u32, index: u64, worker: u32, began: Time, ran: Span) {
        self.job.push(job);
        self.index.push(index);
        self.worker.push(worker);
        self.began_ns.push(began.0);
        self.ran_ns.push(ran.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_thread_time_by_step_and_merges() {
        let mut series = Series::default();
        series.busy(Time::ZERO, 3);
        let end = Time(STEP_FIRST.0 * 1_500 + 7);
        series.advance(end, Point { queued: 5, ..Point::default() });
        series.busy(end, -3);
        series.finish(end, Point::default());
        assert_eq!(series.step(), Span(STEP_FIRST.0 * 4));
        assert_eq!(series.points().iter().map(|point| point.busy_ns).sum::<u64>(), 3 * end.0);
        assert_eq!(series.points().len(), 376);
        assert!(series.points()[..375].iter().all(|point| point.busy_ns == 3 * STEP_FIRST.0 * 4));
        assert_eq!(series.points()[10].queued, 5);
        let spans: Vec<_> = series.spans(end).collect();
        assert_eq!((spans.len(), spans[375].1), (376, end), "the last step ends where the run does");
    }

    #[test]
    fn merged_steps_keep_what_was_most_and_least() {
        let mut series = Series::default();
        let at = |step: u64| Time(STEP_FIRST.0 * step);
        series.advance(at(1), Point { queued: 9, workers: 8, ..Point::default() });
        series.advance(at(2), Point { queued: 3, workers: 1, ..Point::default() });
        series.advance(at(600), Point { queued: 5, workers: 4, ..Point::default() });
        let first = series.points()[0];
        assert_eq!((first.queued, first.queued_most), (3, 9));
        assert_eq!((first.workers, first.workers_least, first.workers_most), (1, 1, 8));
    }

    #[test]
    fn the_end_of_a_run_is_seen_when_nothing_runs_any_more() {
        let mut series = Series::default();
        series.advance(Time(STEP_FIRST.0), Point { workers: 8, ..Point::default() });
        series.finish(Time(STEP_FIRST.0 + 5), Point::default());
        assert_eq!(series.points().last().map(|point| point.workers), Some(0));
    }
}
