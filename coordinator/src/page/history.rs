//! Rates over the last minutes, kept here so that whoever opens the page sees what was before. What is asked for it once a
//! second are counts: as much as a scrape of the metrics.

use crate::driver::{BrowseAsk, Command, Handle, JobRow, Numbers, Refusal};
use muster_core::id::JobId;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

const INTERVAL: Duration = Duration::from_secs(1);
/// Points that come sooner than this after the one before are left out: a driver that is busy answers late, and then twice.
const GAP_MIN_S: f64 = 0.5;
/// Points of a course: five minutes.
const POINTS_MAX: usize = 300;
/// Jobs whose course is kept.
const JOBS_MAX: usize = 200;
/// The time that a rate is the mean of.
const RATE_WINDOW_S: f64 = 10.0;

/// The courses of the cluster and of its jobs.
#[derive(Debug)]
pub struct History {
    began: Instant,
    courses: Mutex<Courses>,
}

#[derive(Debug, Default)]
struct Courses {
    cluster: Course,
    jobs: BTreeMap<JobId, Course>,
}

/// Counts over time.
#[derive(Debug, Default)]
struct Course {
    next: u64,
    points: VecDeque<Point>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Point {
    at_s: f64,
    ok: u64,
    failed: u64,
    queued: u64,
    busy: u64,
}

impl History {
    /// Begins to look; it ends with the driver.
    pub fn start(driver: Handle) -> Arc<Self> {
        let history = Arc::new(Self { began: Instant::now(), courses: Mutex::default() });
        let kept = Arc::clone(&history);
        tokio::spawn(async move {
            let mut timer = tokio::time::interval(INTERVAL);
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                timer.tick().await;
                if let Err(Refusal::Stopping) = kept.look(&driver).await {
                    return;
                }
            }
        });
        history
    }

    async fn look(&self, driver: &Handle) -> Result<(), Refusal> {
        let numbers = driver.ask(Command::Numbers).await?;
        let at_s = self.began.elapsed().as_secs_f64();
        let mut rows = Vec::new();
        if numbers.jobs_live > 0 {
            let ask = BrowseAsk { live: true, limit: JOBS_MAX, ..BrowseAsk::default() };
            rows = driver.ask(|reply| Command::Browse(ask, reply)).await?.rows;
        }
        self.add(at_s, &numbers, &rows);
        Ok(())
    }

    fn add(&self, at_s: f64, numbers: &Numbers, rows: &[JobRow]) {
        let mut courses = self.courses.lock().unwrap_or_else(PoisonError::into_inner);
        let (ok, failed) = ended(numbers);
        let (queued, busy) = (numbers.queued_tasks(), numbers.slots_busy);
        courses.cluster.add(Point { at_s, ok, failed, queued, busy });
        for row in rows {
            let point = Point { at_s, ok: row.ok, failed: row.failed, queued: 0, busy: 0 };
            courses.jobs.entry(row.job).or_default().add(point);
        }
        while courses.jobs.len() > JOBS_MAX {
            courses.jobs.pop_first();
        }
    }

    /// Tasks a second that ended in the last seconds, in all jobs or in one. `None` as long as that is not known.
    pub fn rate(&self, job: Option<JobId>) -> Option<f64> {
        let courses = self.courses.lock().unwrap_or_else(PoisonError::into_inner);
        let course = match job {
            None => &courses.cluster,
            Some(job) => courses.jobs.get(&job)?,
        };
        course.rate(self.began.elapsed().as_secs_f64())
    }

    /// The course of the cluster, or of a job, by the number of the point: seconds before now, and tasks a second that ended
    /// well and failed; for the cluster also tasks that wait and busy slots.
    pub fn show(&self, job: Option<JobId>) -> Value {
        let courses = self.courses.lock().unwrap_or_else(PoisonError::into_inner);
        let course = match job {
            None => Some(&courses.cluster),
            Some(job) => courses.jobs.get(&job),
        };
        Value::Object(course.map(|course| course.show(job.is_none())).unwrap_or_default())
    }
}

/// Tasks that ended, well and for good not.
pub fn ended(numbers: &Numbers) -> (u64, u64) {
    numbers.plugins.values().fold((0, 0), |(ok, failed), plugin| (ok + plugin.ok, failed + plugin.failed))
}

impl Course {
    fn add(&mut self, point: Point) {
        if self.points.back().is_some_and(|last| point.at_s - last.at_s < GAP_MIN_S) {
            return;
        }
        if self.points.len() == POINTS_MAX {
            self.points.pop_front();
        }
        self.points.push_back(point);
        self.next += 1;
    }

    fn rate(&self, now_s: f64) -> Option<f64> {
        let last = self.points.back().filter(|last| now_s - last.at_s < RATE_WINDOW_S)?;
        let first = self.points.iter().find(|it| last.at_s - it.at_s <= RATE_WINDOW_S)?;
        let (ok, failed) = last.per_s(first)?;
        Some(ok + failed)
    }

    fn show(&self, whole: bool) -> Map<String, Value> {
        let first = self.next - self.points.len() as u64;
        let pairs = self.points.iter().zip(self.points.iter().skip(1)).zip(first + 1..);
        let shown = pairs.filter_map(|((before, point), number)| {
            let (ok, failed) = point.per_s(before)?;
            let (at_s, ok, failed) = (tenth(point.at_s), tenth(ok), tenth(failed));
            let value = if whole {
                json!([at_s, ok, failed, point.queued, point.busy])
            } else {
                json!([at_s, ok, failed])
            };
            Some((number.to_string(), value))
        });
        shown.collect()
    }
}

impl Point {
    /// Tasks a second since an earlier point. Failures that were taken back count as none.
    fn per_s(&self, before: &Self) -> Option<(f64, f64)> {
        let time = self.at_s - before.at_s;
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / time;
        (time > 0.0).then(|| (rate(self.ok, before.ok), rate(self.failed, before.failed)))
    }
}

/// Rounded, so that it is short as text.
fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_last_seconds_and_courses_are_bounded() {
        let mut course = Course::default();
        assert_eq!(course.rate(0.0), None);
        for second in 0..1_000_u32 {
            let at_s = f64::from(second);
            // Ten a second, of them one that failed; five hundred a second at the end.
            let ok = if second < 990 { u64::from(second) * 9 } else { 8_910 + u64::from(second - 990) * 499 };
            course.add(Point { at_s, ok, failed: u64::from(second), ..Point::default() });
        }
        assert_eq!(course.points.len(), POINTS_MAX);
        let rate = course.rate(999.5).unwrap();
        assert!((400.0..=500.0).contains(&rate), "{rate}");
        assert_eq!(course.rate(2_000.0), None, "of what was long ago there is none");
        let shown = course.show(false);
        assert_eq!(shown.len(), POINTS_MAX - 1);
        assert_eq!(shown["701"], json!([701.0, 9.0, 1.0]));
        assert_eq!(shown["999"], json!([999.0, 499.0, 1.0]));
    }
}
