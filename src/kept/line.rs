//! A run in one line, for lists.

use super::{Comparison, RunFolder};
use serde::Serialize;

/// A line of a list. What is not known is `None`.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    pub run: u64,
    pub age_s: Option<f64>,
    pub experiment: Option<String>,
    pub plugin: Option<String>,
    pub tasks: Option<u64>,
    pub blocks: Option<usize>,
    pub verdict: Option<String>,
    /// Why nothing more is known.
    pub problem: Option<String>,
}

impl Line {
    /// What a run's folder says.
    pub fn read(run: &RunFolder) -> Self {
        let (number, age_s) = (run.number, run.age_s());
        match Comparison::read(run) {
            Ok(kept) => Self {
                run: number,
                age_s,
                experiment: kept.experiment,
                plugin: kept.plugin.map(|plugin| plugin.name),
                // Experiments that have tables only have neither.
                tasks: kept.tasks.filter(|&tasks| tasks > 0),
                blocks: (kept.blocks > 0).then_some(kept.blocks),
                // Up to what it costs.
                verdict: kept.verdict.first().map(|text| text.split(';').next().unwrap_or(text).to_owned()),
                problem: None,
            },
            Err(failure) => Self {
                run: number,
                age_s,
                experiment: None,
                plugin: None,
                tasks: None,
                blocks: None,
                verdict: None,
                problem: Some(failure.message().to_owned()),
            },
        }
    }

    /// The experiment, which says more than its workloads do, or else the plugin.
    pub fn what(&self) -> Option<&str> {
        self.experiment.as_deref().filter(|name| *name != "compare").or(self.plugin.as_deref())
    }
}
