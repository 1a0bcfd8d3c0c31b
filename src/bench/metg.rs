//! METG(50 %) by the method of Task Bench (Slaughter et al., SC 2020): the smallest task granularity, that is
//! wall time x slots / tasks, at which the machine still does half of the useful work per second that it does
//! with large tasks. Work is counted in additions of the `loop` plugin, so no clock is asked within a task.

use super::Bench;
use crate::exit::Failure;
use crate::plugin::PluginFile;
use serde::Serialize;
use std::time::Instant;

/// How long one measurement should take, in seconds.
const POINT_S: f64 = 0.3;
/// A task of the peak measurement, in seconds: long against any overhead.
const PEAK_TASK_S: f64 = 0.01;
/// The useful share that is looked for.
const SHARE: f64 = 0.5;
/// Steps of the search: each halves the interval between two task sizes that differ by the factor 2.
const REFINEMENTS: u32 = 4;
const TASKS_MAX: f64 = 100e6;

/// One measured task size.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Point {
    iters: u64,
    tasks: u64,
    /// Wall time x slots / tasks.
    granularity_s: f64,
    /// Useful work per second as a share of the peak.
    efficiency: f64,
}

/// The answer, and what it is read from.
#[derive(Clone, Debug)]
pub struct Metg {
    /// `None`: even tasks of one addition reach half of the peak.
    pub metg50_s: Option<f64>,
    pub points: Vec<Point>,
}

/// Searches from large tasks to small ones.
pub async fn find(bench: &Bench<'_>, plugin: &PluginFile) -> Result<Metg, Failure> {
    let mut search = Search { bench, plugin, peak: 0.0, points: Vec::new() };
    let per_second = search.calibrate().await?;
    let large = (per_second * PEAK_TASK_S).max(1.0) as u64;
    search.peak = search.work_per_second(large, per_second).await?.0;
    let mut good = large;
    let mut bad = None;
    let mut iters = (per_second * 1e-5).max(1.0) as u64;
    while bad.is_none() && iters >= 1 {
        if search.measure(iters, per_second).await? >= SHARE {
            good = iters
        } else {
            bad = Some(iters)
        }
        if iters == 1 {
            break;
        }
        iters = (iters / 2).max(1);
    }
    // Even 10 us may have been too small to begin with.
    while good == large
        && let Some(found) = bad
        && found * 2 < large
    {
        let larger = found * 2;
        if search.measure(larger, per_second).await? >= SHARE { good = larger } else { bad = Some(larger) }
    }
    if let Some(mut bad) = bad {
        for _ in 0..REFINEMENTS {
            let middle = (good + bad) / 2;
            if middle == good || middle == bad {
                break;
            }
            if search.measure(middle, per_second).await? >= SHARE { good = middle } else { bad = middle }
        }
    }
    let reached = search.points.iter().filter(|point| point.efficiency >= SHARE);
    let smallest = reached.map(|point| point.granularity_s).min_by(f64::total_cmp);
    Ok(Metg { metg50_s: smallest.filter(|_| bad.is_some()), points: search.points })
}

struct Search<'a> {
    bench: &'a Bench<'a>,
    plugin: &'a PluginFile,
    /// Additions per second with large tasks.
    peak: f64,
    points: Vec<Point>,
}

impl Search<'_> {
    /// Additions per second of one slot, roughly: from a job of few large tasks.
    async fn calibrate(&self) -> Result<f64, Failure> {
        let iters = 20_000_000;
        let tasks = u64::from(self.bench.slots()) * 4;
        let began = Instant::now();
        self.run(iters, tasks).await?;
        Ok((iters * tasks) as f64 / began.elapsed().as_secs_f64() / f64::from(self.bench.slots()))
    }

    /// The useful work of tasks of this size per second, with the number of tasks and the wall time.
    async fn work_per_second(&self, iters: u64, per_second: f64) -> Result<(f64, u64, f64), Failure> {
        let slots = f64::from(self.bench.slots());
        let wanted = POINT_S * slots * per_second / iters as f64;
        let tasks = wanted.clamp(slots * 8.0, TASKS_MAX) as u64;
        let began = Instant::now();
        self.run(iters, tasks).await?;
        let wall = began.elapsed().as_secs_f64();
        Ok(((iters * tasks) as f64 / wall, tasks, wall))
    }

    /// The efficiency at this size: the better of two measurements.
    async fn measure(&mut self, iters: u64, per_second: f64) -> Result<f64, Failure> {
        let first = self.work_per_second(iters, per_second).await?;
        let second = self.work_per_second(iters, per_second).await?;
        let (work, tasks, wall) = if first.0 >= second.0 { first } else { second };
        let efficiency = work / self.peak;
        let granularity_s = wall * f64::from(self.bench.slots()) / tasks as f64;
        self.points.push(Point { iters, tasks, granularity_s, efficiency });
        Ok(efficiency)
    }

    async fn run(&self, iters: u64, tasks: u64) -> Result<(), Failure> {
        let params = serde_json::json!({"iters": iters, "n": 1});
        self.bench.run(self.plugin, params, tasks).await.map(drop)
    }
}
