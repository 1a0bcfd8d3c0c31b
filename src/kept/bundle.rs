//! A run's folder, with all that is in it.

use super::comparison::{Comparison, Row};
use super::folder::RunFolder;
use super::samples::{Sample, TaskSample, samples, tasks};
use crate::compare::{COMPARISON, SAMPLES, TASKS};
use crate::exit::{Exit, Failure, Outcome};
use std::fmt::Display;
use std::io::Read as _;
use std::path::PathBuf;

/// What a run kept.
#[derive(Clone, Debug)]
pub struct Bundle {
    pub run: RunFolder,
    pub comparison: Comparison,
    pub samples: Vec<Sample>,
}

impl Bundle {
    /// Reads all but the samples of single tasks.
    pub fn read(run: &RunFolder) -> Outcome<Self> {
        let comparison = Comparison::read(run)?;
        let samples = match samples(run, comparison.measure)? {
            Some(samples) => samples,
            // An experiment may have tables only.
            None if comparison.rows.is_empty() => Vec::new(),
            None => return Err(run.broken(format_args!("it has no {SAMPLES}"))),
        };
        Ok(Self { run: run.clone(), comparison, samples })
    }

    /// Samples of single tasks; `None`: there are none.
    pub fn tasks(&self) -> Outcome<Option<Vec<TaskSample>>> {
        tasks(&self.run)
    }

    /// The files that it consists of, with their sizes in bytes.
    pub fn files(&self) -> Vec<(&'static str, PathBuf, u64)> {
        let files = [SAMPLES, COMPARISON, TASKS].into_iter();
        let found = files.filter_map(|name| {
            let path = self.run.path.join(name);
            let size = std::fs::metadata(&path).ok()?.len();
            Some((name, path, size))
        });
        found.collect()
    }

    /// What was compared of a row, in seconds and in the order of blocks, without the second runs of the baseline.
    pub fn values(&self, row: &Row) -> Vec<f64> {
        let is_its = |sample: &&Sample| {
            let same_group = sample.group.is_none() || sample.group == row.group;
            sample.configuration == row.name && same_group && !sample.again
        };
        let its = self.samples.iter().filter(is_its);
        its.filter_map(|sample| sample.value(self.comparison.measure)).collect()
    }
}

impl Comparison {
    /// Reads what came of a run, without its samples.
    pub fn read(run: &RunFolder) -> Outcome<Self> {
        let mut file = run.open(COMPARISON)?.ok_or_else(|| unfinished(run))?;
        let foreign =
            |why: &dyn Display| run.broken(format_args!("{COMPARISON} is not what muster writes: {why}"));
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(|error| Failure::io(Exit::Storage, "read", &run.path.join(COMPARISON), &error))?;
        let comparison: Self = serde_json::from_slice(&bytes).map_err(|error| foreign(&error))?;
        if comparison.rows.is_empty() && comparison.tables.is_empty() {
            return Err(foreign(&"it has neither rows nor tables"));
        }
        Ok(comparison.with_factors())
    }
}

/// A run that is still going on, or that ended before its result was written.
fn unfinished(run: &RunFolder) -> Failure {
    let rest = match run.path.join(SAMPLES).exists() {
        true => format!("it was not finished, and {SAMPLES} holds the blocks that were"),
        false => format!("it was not finished, and has no {SAMPLES}"),
    };
    run.broken(format_args!("it has no {COMPARISON}: {rest}"))
}
