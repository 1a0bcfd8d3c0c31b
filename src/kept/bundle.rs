//! A run's folder, with all that is in it.

use super::comparison::{Comparison, Row};
use super::folder::RunFolder;
use super::samples::{Sample, TaskSample, broken, samples, tasks};
use crate::compare::{COMPARISON, SAMPLES, TASKS};
use crate::exit::{Exit, Failure, Outcome};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// Far more than any comparison has.
const COMPARISON_MAX_BYTES: u64 = 64 << 20;

/// What a run kept.
#[derive(Clone, Debug)]
pub struct Bundle {
    pub number: u64,
    pub folder: PathBuf,
    pub comparison: Comparison,
    pub samples: Vec<Sample>,
}

impl Bundle {
    /// Reads all but the samples of single tasks.
    pub fn read(run: &RunFolder) -> Outcome<Self> {
        let comparison = Comparison::read(run)?;
        // An experiment may have tables only.
        let needs_samples = !comparison.rows.is_empty();
        let samples = if needs_samples || run.path.join(SAMPLES).exists() {
            samples(&run.path, run.number)?
        } else {
            Vec::new()
        };
        Ok(Self { number: run.number, folder: run.path.clone(), comparison, samples })
    }

    /// Samples of single tasks; `None`: there are none.
    pub fn tasks(&self) -> Outcome<Option<Vec<TaskSample>>> {
        tasks(&self.folder, self.number)
    }

    /// The files that it consists of, with their sizes in bytes.
    pub fn files(&self) -> Vec<(&'static str, PathBuf, u64)> {
        let files = [SAMPLES, COMPARISON, TASKS].into_iter();
        let found = files.filter_map(|name| {
            let path = self.folder.join(name);
            let size = std::fs::metadata(&path).ok()?.len();
            Some((name, path, size))
        });
        found.collect()
    }

    /// The times of a row in seconds, in the order of blocks, without the second runs of the baseline.
    pub fn times(&self, row: &Row) -> Vec<f64> {
        let is_its = |sample: &&Sample| {
            let same_group = sample.group.is_none() || sample.group == row.group;
            sample.configuration == row.name && same_group && !sample.again
        };
        self.samples.iter().filter(is_its).map(|sample| sample.time_s).collect()
    }
}

impl Comparison {
    /// Reads what came of a run, without its samples.
    pub fn read(run: &RunFolder) -> Outcome<Self> {
        let path = run.path.join(COMPARISON);
        let bytes = read_within(&path, COMPARISON_MAX_BYTES).map_err(|error| match error.kind() {
            ErrorKind::NotFound => unfinished(run),
            ErrorKind::NotADirectory => {
                broken(run.number, format_args!("{} is no folder", run.path.display()))
            }
            ErrorKind::FileTooLarge | ErrorKind::InvalidInput => {
                broken(run.number, format_args!("{COMPARISON} {error}"))
            }
            _ => Failure::io(Exit::Storage, "read", &path, &error),
        })?;
        let foreign = |why: &dyn std::fmt::Display| {
            broken(run.number, format_args!("{COMPARISON} is not what muster writes: {why}"))
        };
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
    broken(run.number, format_args!("it has no {COMPARISON}: {rest}"))
}

fn read_within(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    // Opening a pipe would wait for somebody who writes.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::new(ErrorKind::InvalidInput, "is no file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let most = crate::summary::bytes(most);
        return Err(std::io::Error::new(ErrorKind::FileTooLarge, format!("has more than {most}")));
    }
    Ok(bytes)
}
