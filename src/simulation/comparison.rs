//! What several runs say together: means with intervals for each point, and which of several policies wins.
//!
//! Policies run with the same seeds, and the same seed gives the same task the same time under each, so they are
//! compared seed by seed: the difference of two runs with one seed has none of the noise that both share.

use super::plan::Plan;
use super::pool::Finished;
use super::run::{Run, Times};
use muster_sim::statistics::Estimate;
use serde::Serialize;
use std::collections::BTreeMap;

/// The part of experiments whose interval holds the true mean.
const CONFIDENCE: f64 = 0.95;

/// How intervals are found, as reports say it.
pub const METHOD: &str = "95 % interval of the mean, Student's t; differences are paired by seed";

/// A mean and how sure it is; `null` where one run is too few.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Interval {
    pub mean: f64,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub deviation: Option<f64>,
    pub min: f64,
    pub max: f64,
    pub samples: usize,
}

impl From<Estimate> for Interval {
    fn from(estimate: Estimate) -> Self {
        Self {
            mean: estimate.mean,
            low: estimate.low(),
            high: estimate.high(),
            deviation: estimate.deviation,
            min: estimate.min,
            max: estimate.max,
            samples: estimate.samples,
        }
    }
}

/// All runs of one point together.
#[derive(Clone, Debug, Serialize)]
pub struct PointSummary {
    /// What makes it differ from other points, in the order of the command line.
    #[serde(skip)]
    pub name: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    pub policy: String,
    /// Runs that came to their end.
    pub runs: usize,
    /// Of those, with jobs that did not end: their makespan is only a lower bound.
    pub not_ended: usize,
    pub makespan_s: Interval,
    pub throughput: Interval,
    pub utilisation: Interval,
    pub coordinator_load: Interval,
    pub lost: Interval,
    pub lost_thread_s: Interval,
    pub repeated: Interval,
    pub lost_workers: Interval,
    /// Of the tasks of all runs.
    pub queue_wait_s: Times,
}

/// Policies against each other where everything else is the same.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    /// The policy that the others are compared with: the first.
    pub base: String,
    pub pairs: Vec<Pair>,
    /// The policy that is faster than every other beyond the noise; `null`: none is.
    pub winner: Option<String>,
    /// The same in words, also why there is none.
    pub verdict: String,
}

/// A policy against the base.
#[derive(Clone, Debug, Serialize)]
pub struct Pair {
    pub policy: String,
    /// Its makespan less that of the base, by seed.
    pub difference_s: Interval,
    /// The mean difference as a part of the base's mean makespan.
    pub relative: f64,
    /// The interval holds 0, or there is none.
    pub within_noise: bool,
}

/// The points of a plan, those without any run left out.
pub fn points(plan: &Plan, finished: &Finished) -> Vec<PointSummary> {
    let of_point = |(at, queue_wait): (usize, &muster_core::sketch::Sketch)| {
        let runs: Vec<&Run> = runs_of(plan, finished, at).flatten().collect();
        let over = |number: &dyn Fn(&Run) -> f64| {
            let values: Vec<f64> = runs.iter().map(|run| number(run)).collect();
            Estimate::of(&values, CONFIDENCE).map(Interval::from)
        };
        let first = runs.first()?;
        Some(PointSummary {
            name: plan.point_name(at),
            set: first.set.clone(),
            policy: first.policy.clone(),
            runs: runs.len(),
            not_ended: runs.iter().filter(|run| !run.ended).count(),
            makespan_s: over(&|run| run.makespan_s)?,
            throughput: over(&|run| run.throughput)?,
            utilisation: over(&|run| run.utilisation)?,
            coordinator_load: over(&|run| run.coordinator_load)?,
            lost: over(&|run| run.lost as f64)?,
            lost_thread_s: over(&|run| run.lost_thread_s)?,
            repeated: over(&|run| run.repeated as f64)?,
            lost_workers: over(&|run| run.lost_workers as f64)?,
            queue_wait_s: Times::of(queue_wait),
        })
    };
    finished.queue_waits.iter().enumerate().filter_map(of_point).collect()
}

/// The runs of a point, by seed.
fn runs_of<'a>(plan: &Plan, finished: &'a Finished, point: usize) -> impl Iterator<Item = Option<&'a Run>> {
    finished.runs[point * plan.replicas..][..plan.replicas].iter().map(Option::as_ref)
}

/// Policies against each other; nothing when there is only one.
pub fn comparisons(plan: &Plan, finished: &Finished) -> Vec<Comparison> {
    let Some(axis) = plan.axes.iter().position(|axis| axis.key == "policy") else { return Vec::new() };
    // Points that differ in the policy alone, in the order in which they come first.
    let mut groups: Vec<(Vec<&String>, Vec<usize>)> = Vec::new();
    for (at, point) in plan.points.iter().enumerate() {
        let rest: Vec<&String> = point
            .values
            .iter()
            .enumerate()
            .filter(|(place, _)| *place != axis)
            .map(|(_, value)| value)
            .collect();
        match groups.iter_mut().find(|(other, _)| *other == rest) {
            Some((_, points)) => points.push(at),
            None => groups.push((rest, vec![at])),
        }
    }
    let compared = groups.iter().filter_map(|(_, points)| {
        let contestants = points.iter().map(|&point| Contestant {
            policy: plan.points[point].scenario.scheduling.policy.to_string(),
            runs: runs_of(plan, finished, point).collect(),
        });
        compare(&contestants.collect::<Vec<_>>())
    });
    compared.collect()
}

/// A policy and its runs by seed.
struct Contestant<'a> {
    policy: String,
    runs: Vec<Option<&'a Run>>,
}

impl Contestant<'_> {
    /// The differences of its makespans to another's.
    fn against(&self, other: &Self, confidence: f64) -> Option<Estimate> {
        let both = self.runs.iter().zip(&other.runs).filter_map(|(own, other)| own.zip(*other));
        let differences: Vec<f64> = both.map(|(own, other)| own.makespan_s - other.makespan_s).collect();
        Estimate::of(&differences, confidence)
    }

    fn mean(&self) -> f64 {
        let makespans: Vec<f64> = self.runs.iter().flatten().map(|run| run.makespan_s).collect();
        makespans.iter().sum::<f64>() / makespans.len() as f64
    }
}

fn compare(contestants: &[Contestant<'_>]) -> Option<Comparison> {
    let [base, others @ ..] = contestants else { return None };
    if others.is_empty() || contestants.iter().any(|one| one.runs.iter().flatten().next().is_none()) {
        return None;
    }
    let pair = |one: &Contestant<'_>| {
        let difference = one.against(base, CONFIDENCE)?;
        Some(Pair {
            policy: one.policy.clone(),
            difference_s: difference.into(),
            relative: difference.mean / base.mean(),
            within_noise: !difference.differs_from_zero(),
        })
    };
    let mut set = base.runs.iter().flatten().next()?.set.clone();
    set.remove("policy");
    let (winner, verdict) = verdict(contestants);
    let pairs = others.iter().filter_map(pair).collect();
    Some(Comparison { set, base: base.policy.clone(), pairs, winner, verdict })
}

/// The policy with the least mean wins when it is faster than each other one beyond the noise. With several others
/// each interval is wider (Bonferroni), so that by chance alone a winner is found in at most 5 of 100 comparisons.
fn verdict(contestants: &[Contestant<'_>]) -> (Option<String>, String) {
    let not_ended =
        contestants.iter().flat_map(|one| one.runs.iter().flatten()).filter(|run| !run.ended).count();
    if not_ended > 0 {
        let what = if not_ended == 1 { "a run" } else { "some runs" };
        return (
            None,
            format!("no winner is named: {what} did not end, and how long they would take is not known"),
        );
    }
    let Some(best) = contestants.iter().min_by(|one, other| one.mean().total_cmp(&other.mean())) else {
        return (None, "nothing was compared".to_owned());
    };
    let others: Vec<&Contestant<'_>> = contestants.iter().filter(|one| one.policy != best.policy).collect();
    let confidence = 1.0 - (1.0 - CONFIDENCE) / others.len().max(1) as f64;
    let differences: Vec<(&str, Option<Estimate>)> =
        others.iter().map(|one| (one.policy.as_str(), one.against(best, confidence))).collect();
    if differences.iter().any(|(_, difference)| difference.is_none_or(|found| found.samples < 2)) {
        return (None, "one run each says nothing about the noise: use --replicas 20".to_owned());
    }
    let is_noise = |difference: &Option<Estimate>| !difference.is_some_and(|found| found.differs_from_zero());
    let noise: Vec<&str> =
        differences.iter().filter(|(_, found)| is_noise(found)).map(|(policy, _)| *policy).collect();
    if noise.is_empty() {
        let next = differences.iter().filter_map(|(policy, found)| found.map(|found| (*policy, found.mean)));
        let (next, by) = next.min_by(|one, other| one.1.total_cmp(&other.1)).unwrap_or(("", 0.0));
        let share = 100.0 * by / (best.mean() + by);
        return (Some(best.policy.clone()), format!("{} wins: {share:.2} % faster than {next}", best.policy));
    }
    let all_equal =
        differences.iter().all(|(_, found)| found.is_some_and(|found| found.min == 0.0 && found.max == 0.0));
    if all_equal {
        return (None, "no difference: all took the same time with every seed".to_owned());
    }
    (
        None,
        format!(
            "no winner: {} is fastest on average, but within the noise of {}",
            best.policy,
            noise.join(", ")
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(makespan_s: f64) -> Run {
        Run { makespan_s, ..Run::empty() }
    }

    fn judged(contestants: &[(&str, &[f64])]) -> (Option<String>, String) {
        let runs: Vec<Vec<Run>> =
            contestants.iter().map(|(_, makespans)| makespans.iter().map(|&s| run(s)).collect()).collect();
        let contestants: Vec<Contestant<'_>> = contestants
            .iter()
            .zip(&runs)
            .map(|((policy, _), runs)| Contestant {
                policy: (*policy).to_owned(),
                runs: runs.iter().map(Some).collect(),
            })
            .collect();
        verdict(&contestants)
    }

    #[test]
    fn a_winner_is_faster_with_nearly_every_seed() {
        // The noise between seeds is far larger than the difference, which is the same with each.
        let (winner, words) = judged(&[("slow", &[11.0, 21.1, 30.9]), ("fast", &[10.0, 20.0, 30.0])]);
        assert_eq!(winner.as_deref(), Some("fast"), "{words}");
        assert_eq!(words, "fast wins: 4.76 % faster than slow");
    }

    #[test]
    fn what_may_be_an_accident_is_said_to_be_noise() {
        let (winner, words) = judged(&[("a", &[10.0, 12.0, 11.0]), ("b", &[11.0, 10.0, 11.5])]);
        assert_eq!(
            (winner, &words[..]),
            (None, "no winner: b is fastest on average, but within the noise of a")
        );
        assert!(judged(&[("a", &[1.0, 2.0]), ("b", &[1.0, 2.0])]).1.starts_with("no difference"));
        assert!(judged(&[("a", &[1.0]), ("b", &[2.0])]).1.contains("--replicas"));
    }
}
