//! The one object of `--json`.

use super::comparison::{Comparison, METHOD, PointSummary, comparisons, points};
use super::plan::Plan;
use super::pool::Finished;
use super::run::Run;
use serde::Serialize;

/// Everything about one command.
#[derive(Debug, Serialize)]
pub struct Report {
    pub scenario: String,
    /// The command that does the same again.
    pub command: String,
    /// The numbers of the only run, or of all runs.
    #[serde(flatten)]
    pub content: Content,
    /// Time that it took, in seconds of this machine.
    pub wall_s: f64,
    /// The most memory that this process has had.
    pub peak_rss_bytes: Option<u64>,
    /// A signal stopped it.
    pub interrupted: bool,
}

/// One run, or several.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Content {
    /// The only run.
    One(Box<Run>),
    /// Several.
    Many {
        /// The first seed.
        seed: u64,
        replicas: usize,
        /// What the runs add up to.
        tasks: u64,
        events: u64,
        /// Those that came to their end, by point and seed.
        runs: Vec<Run>,
        summary: Summary,
    },
}

/// What several runs say together.
#[derive(Debug, Serialize)]
pub struct Summary {
    pub method: &'static str,
    /// Runs that were asked for.
    pub planned: usize,
    pub points: Vec<PointSummary>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub comparisons: Vec<Comparison>,
}

impl Report {
    /// `None`: a signal came before anything was there to be reported.
    pub fn new(plan: &Plan, finished: &Finished, wall_s: f64) -> Option<Self> {
        let runs: Vec<Run> = finished.runs.iter().flatten().cloned().collect();
        let content = match &runs[..] {
            [] => return None,
            [run] if plan.is_single() => Content::One(Box::new(run.clone())),
            _ => Content::Many {
                seed: plan.points[0].seed,
                replicas: plan.replicas,
                tasks: runs.iter().map(|run| run.tasks).sum(),
                events: runs.iter().map(|run| run.events).sum(),
                summary: Summary {
                    method: METHOD,
                    planned: plan.runs(),
                    points: points(plan, finished),
                    comparisons: comparisons(plan, finished),
                },
                runs,
            },
        };
        Some(Self {
            scenario: plan.name().to_owned(),
            command: plan.again.clone(),
            content,
            wall_s,
            peak_rss_bytes: peak_rss_bytes(),
            interrupted: finished.stopped_by.is_some(),
        })
    }

    /// All runs that came to their end.
    pub fn runs(&self) -> &[Run] {
        match &self.content {
            Content::One(run) => std::slice::from_ref(run),
            Content::Many { runs, .. } => runs,
        }
    }
}

/// The most memory that this process has had.
fn peak_rss_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
