//! Runs that are kept in `.muster/runs`, read again.

use crate::cli::RunRef;
use crate::compare::{COMPARISON, Measure, RUNS, SAMPLES};
use crate::exit::{Exit, Failure, Outcome};
use csv::Reader;
use serde::Deserialize;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What is read of a comparison.
#[derive(Clone, Debug, Deserialize)]
pub struct Kept {
    pub experiment: String,
    /// Experiments that compare no times have none of their own.
    pub plugin: Option<KeptPlugin>,
    /// What it compared.
    #[serde(default)]
    pub measure: Measure,
    pub open_loop: Option<KeptLoad>,
    pub tasks: u64,
    pub blocks: usize,
    pub rows: Vec<KeptRow>,
    pub verdict: Vec<String>,
}

/// When its tasks started.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct KeptLoad {
    pub rate_per_s: f64,
    pub arrivals: String,
}

/// The workload.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct KeptPlugin {
    pub name: String,
    pub digest: String,
    pub params: serde_json::Value,
}

/// One configuration.
#[derive(Clone, Debug, Deserialize)]
pub struct KeptRow {
    pub name: String,
    /// Of runs with several groups.
    #[serde(default)]
    pub group: Option<String>,
    pub valid: bool,
}

/// What is read of a line of the samples.
#[derive(Deserialize)]
struct Line {
    configuration: String,
    time_s: f64,
    #[serde(default)]
    latency_p95_s: Option<f64>,
    #[serde(default)]
    group: Option<String>,
}

/// A run's folder.
#[derive(Clone, Debug)]
pub struct RunFolder {
    pub number: u64,
    pub path: PathBuf,
}

/// All runs here, the newest first.
pub fn all() -> Outcome<Vec<RunFolder>> {
    let runs = Path::new(RUNS);
    let entries = match std::fs::read_dir(runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::io(Exit::Storage, "read", runs, &error)),
    };
    let folder = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        // As muster writes it: +9 and 007 are somebody else's.
        let number = name.parse::<u64>().ok().filter(|number| number.to_string() == name)?;
        Some(RunFolder { number, path: entry.path() })
    };
    let mut found: Vec<RunFolder> = entries.flatten().filter_map(folder).collect();
    found.sort_by_key(|run| std::cmp::Reverse(run.number));
    Ok(found)
}

/// The run that was asked for.
pub fn find(run: RunRef) -> Outcome<RunFolder> {
    let found = all()?;
    let hint = || match (found.first(), found.last()) {
        (Some(newest), Some(oldest)) => {
            format!("there are runs {} to {}: muster runs ls", oldest.number, newest.number)
        }
        _ => {
            "there are none here yet: muster compare makes them, below the folder that it runs in".to_owned()
        }
    };
    let wanted = match run {
        RunRef::Last => found.first(),
        RunRef::Number(number) => found.iter().find(|run| run.number == number),
    };
    wanted.cloned().ok_or_else(|| {
        let name = match run {
            RunRef::Last => "no run".to_owned(),
            RunRef::Number(number) => format!("no run {number}"),
        };
        Failure::new(Exit::Job, format_args!("{name} in {RUNS}")).hint(hint())
    })
}

impl RunFolder {
    /// What came of it.
    pub fn read(&self) -> Outcome<Kept> {
        let path = self.path.join(COMPARISON);
        // Opening a pipe would wait for somebody who writes.
        let meta = std::fs::metadata(&path);
        if meta.as_ref().is_ok_and(|meta| !meta.is_file()) {
            return Err(self.broken(&format!("{COMPARISON} is not a file")));
        }
        let bytes = meta.and_then(|_| std::fs::read(&path)).map_err(|error| match error.kind() {
            ErrorKind::NotFound => self.broken(&format!(
                "it has no {COMPARISON}: it was not finished, and {SAMPLES} holds the blocks that were"
            )),
            _ => Failure::io(Exit::Storage, "read", &path, &error),
        })?;
        serde_json::from_slice(&bytes)
            .map_err(|error| self.broken(&format!("{COMPARISON} is not what muster writes: {error}")))
    }

    /// What was compared of a configuration, in seconds and in the order of blocks.
    pub fn values(&self, row: &KeptRow, measure: Measure) -> Outcome<Vec<f64>> {
        let path = self.path.join(SAMPLES);
        let file = File::open(&path).map_err(|error| Failure::io(Exit::Storage, "read", &path, &error))?;
        let value = |line: &Line| match measure {
            Measure::Time => Some(line.time_s),
            Measure::LatencyP95 => line.latency_p95_s,
        };
        let mut values = Vec::new();
        for (number, line) in Reader::from_reader(file).deserialize::<Line>().enumerate() {
            let line = line.ok().and_then(|line| Some((value(&line)?, line)));
            let (value, line) =
                line.filter(|(value, _)| value.is_finite() && *value > 0.0).ok_or_else(|| {
                    self.broken(&format!("line {} of {SAMPLES} has no {}", number + 2, measure.name()))
                })?;
            if line.configuration == row.name && line.group == row.group {
                values.push(value);
            }
        }
        Ok(values)
    }

    /// When it began or was last written, as far as the file system knows.
    pub fn age_s(&self) -> Option<f64> {
        let written = std::fs::metadata(self.path.join(SAMPLES)).and_then(|meta| meta.modified()).ok()?;
        SystemTime::now().duration_since(written).ok().map(|age| age.as_secs_f64())
    }

    /// Deletes it.
    pub fn remove(&self) -> Outcome<()> {
        std::fs::remove_dir_all(&self.path)
            .map_err(|error| Failure::io(Exit::Storage, "delete", &self.path, &error))
    }

    fn broken(&self, why: &str) -> Failure {
        Failure::new(Exit::Job, format_args!("run {}: {why}", self.number))
    }
}
