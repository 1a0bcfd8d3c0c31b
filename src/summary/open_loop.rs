//! What is told of a job whose tasks arrived at a rate of their own: their latency from when they were meant to start, and
//! whether that can be believed.

use super::table::seconds;
use super::times::{Percentiles, in_flight, mean_run, percentiles, secs, sketch};
use crate::job::short;
use muster_core::arrivals::{Arrivals, Pattern, Timetable};
use muster_core::sketch::Sketch;
use muster_proto::v1::{self, JobState};
use serde::Serialize;

/// Latencies are wrong by more than this share when tasks began later than they could have: the load generator fell behind.
const LAG_SHARE_MAX: f64 = 0.05;
/// Tasks that ended must be so many times as long behind the last arrival as a task takes, and by this share of all
/// arrivals, to have been too slow.
const BACKLOG_TASKS: f64 = 10.0;
const BACKLOG_SHARE: f64 = 0.05;
/// Arrivals that are added up one by one; of more the mean is good enough.
const SUMMED_MAX: u64 = 10_000_000;

/// The numbers of an open loop.
#[derive(Debug, Serialize)]
pub struct OpenLoop {
    rate_per_s: f64,
    arrivals: &'static str,
    /// From the intended start to the end of tasks with a result.
    latency_s: Percentiles,
    /// How late tasks began although a slot was free.
    start_lag_s: Lag,
    /// The load generator fell behind: the latencies are those of a slower one.
    fell_behind: bool,
    /// Arrivals in the time that all slots need for them: the queue grows from 1 on.
    load: Option<f64>,
    /// Tasks arrived faster than they could be run: latencies grow with the number of tasks.
    outran: bool,
    /// From the last arrival to the end of the last task.
    backlog_s: Option<f64>,
    #[serde(skip)]
    ended_per_s: f64,
}

#[derive(Debug, Serialize)]
struct Lag {
    mean: Option<f64>,
    max: Option<f64>,
    sum: f64,
}

/// How arrivals are spread, with its name.
pub fn pattern(wire: v1::Arrivals) -> (Pattern, &'static str) {
    match wire.pattern() {
        v1::ArrivalPattern::Poisson => (Pattern::Poisson, "poisson"),
        v1::ArrivalPattern::Unspecified | v1::ArrivalPattern::Constant => (Pattern::Constant, "constant"),
    }
}

impl OpenLoop {
    /// Of a job with arrivals.
    pub fn new(status: &v1::JobStatus) -> Option<Self> {
        let spec = status.spec.as_ref()?;
        let wire = spec.arrivals?;
        let (pattern, name) = pattern(wire);
        let arrivals = Arrivals::try_new(wire.rate_per_s, pattern)?;
        let (latency, lag) = (sketch(status.latency.as_ref()), sketch(status.start_lag.as_ref()));
        let load = load(status, spec, arrivals);
        let backlog_s = (status.state() == JobState::Done).then(|| backlog_s(status, spec, arrivals));
        Some(Self {
            rate_per_s: wire.rate_per_s,
            arrivals: name,
            fell_behind: fell_behind(&lag, &latency),
            outran: load.is_some_and(|load| load >= 1.0)
                || backlog_s.is_some_and(|backlog| is_long(backlog, status, arrivals)),
            latency_s: percentiles(&latency),
            start_lag_s: Lag::new(&lag),
            load,
            backlog_s,
            ended_per_s: if status.wall_s > 0.0 { status.ok as f64 / status.wall_s } else { 0.0 },
        })
    }

    /// Tasks arrived faster than they could be run.
    pub const fn outran(&self) -> bool {
        self.outran
    }

    /// For people.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let Percentiles { p50, p95, p99, max, .. } = &self.latency_s;
        let named = [("p50", p50), ("p95", p95), ("p99", p99), ("max", max)];
        let shown: Vec<String> = named
            .iter()
            .filter_map(|(name, time)| time.map(|time| format!("{name} {}", seconds(time))))
            .collect();
        let load = self.load.map_or_else(String::new, |load| format!(", load {:.0} %", load * 100.0));
        let mut rows = vec![("arrivals", format!("{}/s, {}{load}", short(self.rate_per_s), self.arrivals))];
        if !shown.is_empty() {
            rows.push(("latency", format!("{} from the intended start", shown.join(", "))));
        }
        if let (Some(mean), Some(max)) = (self.start_lag_s.mean, self.start_lag_s.max) {
            let text = format!("{} mean, max {} though a slot was free", seconds(mean), seconds(max));
            rows.push(("late", text));
        }
        if self.fell_behind {
            let text =
                "the load generator fell behind: do not believe the latencies; give it CPUs, or lower --rate";
            rows.push(("invalid", text.to_owned()));
        }
        if self.outran {
            let text = format!(
                "tasks came faster than they were run ({}/s ended): the queue grew, and latency with it",
                short(self.ended_per_s)
            );
            rows.push(("overload", text));
        }
        rows
    }
}

/// Whether latencies are those of a load generator that fell behind: tasks began late although a slot was free, and that is
/// too much of their latency.
pub fn fell_behind(lag: &Sketch, latency: &Sketch) -> bool {
    secs(lag.sum()) > secs(latency.sum()) * LAG_SHARE_MAX
}

impl Lag {
    fn new(lag: &Sketch) -> Self {
        let max = (lag.count() > 0).then(|| secs(lag.max()));
        Self { mean: lag.mean().map(secs), max, sum: secs(lag.sum()) }
    }
}

/// The share of all slots that arrivals keep busy.
fn load(status: &v1::JobStatus, spec: &v1::JobSpec, arrivals: Arrivals) -> Option<f64> {
    let places = if status.stand_ins == 0 { in_flight(spec) } else { 1 };
    let lanes = f64::from(status.slots) * f64::from(places);
    (lanes > 0.0).then_some(arrivals.rate_per_s() * mean_run(status)? / lanes)
}

/// From the last arrival to the end.
fn backlog_s(status: &v1::JobStatus, spec: &v1::JobSpec, arrivals: Arrivals) -> f64 {
    let last = status.tasks.saturating_sub(1);
    let due_s = if last < SUMMED_MAX {
        secs(Timetable::new(arrivals, spec.seed).due(last))
    } else {
        last as f64 / arrivals.rate_per_s()
    };
    status.wall_s - due_s
}

fn is_long(backlog_s: f64, status: &v1::JobStatus, arrivals: Arrivals) -> bool {
    let all_s = status.tasks as f64 / arrivals.rate_per_s();
    backlog_s > BACKLOG_TASKS * mean_run(status).unwrap_or(0.0) && backlog_s > BACKLOG_SHARE * all_s
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_core::time::Span;
    use muster_proto::convert::sketch_to_wire;

    /// 1,000 tasks of 10 ms at 50/s on one slot, all of which took `latency`, and began so late.
    fn status(latency: Span, lag: Span, wall_s: f64) -> v1::JobStatus {
        let all = |span| {
            let mut sketch = Sketch::new();
            sketch.record_many(span, 1_000);
            sketch_to_wire(&sketch)
        };
        let arrivals = Some(v1::Arrivals { rate_per_s: 50.0, pattern: 1 });
        v1::JobStatus {
            spec: Some(v1::JobSpec { arrivals, ..Default::default() }),
            state: JobState::Done.into(),
            tasks: 1_000,
            ok: 1_000,
            slots: 1,
            busy_ns: 10_000_000_000,
            wall_s,
            latency: all(latency),
            start_lag: all(lag),
            ..Default::default()
        }
    }

    fn texts(status: &v1::JobStatus) -> String {
        OpenLoop::new(status).unwrap().rows().iter().map(|(name, text)| format!("{name}: {text}\n")).collect()
    }

    #[test]
    fn a_load_that_was_kept_up_with_is_told_without_a_warning() {
        let calm = status(Span::from_millis(10), Span::from_micros(100), 20.0);
        let text = texts(&calm);
        assert!(text.starts_with("arrivals: 50.0/s, constant, load 50 %\nlatency: p50 10"), "{text}");
        assert!(text.contains("p99 ") && text.contains("from the intended start\nlate: 100"), "{text}");
        assert!(!text.contains("invalid") && !text.contains("overload"), "{text}");
        let open = OpenLoop::new(&calm).unwrap();
        assert!((open.load.unwrap() - 0.5).abs() < 1e-9 && (open.backlog_s.unwrap() - 0.02).abs() < 1e-9);
    }

    #[test]
    fn a_load_generator_that_falls_behind_makes_latencies_invalid() {
        let text = texts(&status(Span::from_millis(10), Span::from_micros(600), 20.0));
        assert!(text.contains("invalid: the load generator fell behind"), "{text}");
    }

    #[test]
    fn arrivals_that_are_too_fast_are_named() {
        let text = texts(&status(Span::from_millis(500), Span::from_micros(100), 30.0));
        assert!(text.contains("overload: tasks came faster than they were run (33"), "{text}");
        let mut slow = status(Span::from_millis(500), Span::ZERO, 20.0);
        slow.busy_ns *= 2;
        assert!(OpenLoop::new(&slow).unwrap().outran, "a load of 1 is too much");
    }

    #[test]
    fn percentiles_need_ten_samples_above_them_and_a_closed_loop_has_none() {
        let mut few = status(Span::from_millis(10), Span::ZERO, 20.0);
        let mut sketch = Sketch::new();
        sketch.record_many(Span::from_millis(10), 100);
        few.latency = sketch_to_wire(&sketch);
        let open = OpenLoop::new(&few).unwrap();
        let json = serde_json::to_value(&open).unwrap();
        assert!(json["latency_s"]["p50"].is_f64() && json["latency_s"]["p95"].is_null(), "{json}");
        assert_eq!(json["latency_s"]["samples"], 100);
        few.spec = Some(v1::JobSpec::default());
        assert!(OpenLoop::new(&few).is_none());
    }
}
