//! The folder of a run, `.muster/runs/N`: everything that was measured, for people and programs. Each block is there as
//! soon as it is complete.

use super::course::Measured;
use super::group::Group;
use super::result::Comparison;
use super::subject::Sample;
use crate::exit::{Exit, Failure, Outcome};
use csv::Writer;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where runs are kept, below the folder that one is in.
pub(super) const RUNS: &str = ".muster/runs";
/// Times in seconds, shares of what all processors could do.
const HEADER: [&str; 9] =
    ["block", "configuration", "time_s", "cpu_s", "ctx_switches", "stolen", "throttled", "others", "group"];
pub const SAMPLES: &str = "samples.csv";
pub const COMPARISON: &str = "comparison.json";

/// A run that is being written.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    samples: Writer<File>,
    /// By group, the twin last.
    names: Vec<GroupNames>,
    has_blocks: bool,
    /// What went wrong first: nothing more is written then.
    failure: Option<Failure>,
}

/// What a group and its rows are called.
#[derive(Debug)]
struct GroupNames {
    group: String,
    rows: Vec<String>,
}

impl GroupNames {
    /// The baseline runs twice in each block.
    fn new(group: &Group) -> Self {
        let names = group.cases.iter().map(|case| case.name().to_owned());
        let again = format!("{} (again)", group.baseline().name());
        Self { group: group.name.clone(), rows: names.chain([again]).collect() }
    }
}

impl Run {
    /// Makes a new folder; its number is one more than the largest that is there.
    pub fn claim(groups: &[Group]) -> Outcome<Self> {
        let folder = claim()?;
        let path = folder.join(SAMPLES);
        let samples =
            File::create(&path).map_err(|error| Failure::io(Exit::Storage, "write", &path, &error))?;
        let mut run = Self {
            folder,
            samples: Writer::from_writer(samples),
            names: groups.iter().map(GroupNames::new).collect(),
            has_blocks: false,
            failure: None,
        };
        run.put([HEADER.map(str::to_owned)]);
        Ok(run)
    }

    /// Adds the last block.
    pub fn add(&mut self, measured: &Measured) {
        let Some(block) = measured.blocks.checked_sub(1) else { return };
        let mut lines = Vec::new();
        for (names, found) in self.names.iter().zip(&measured.groups) {
            let columns = found.samples.iter().chain([&found.twin]);
            for (name, samples) in names.rows.iter().zip(columns) {
                if let Some(sample) = samples.get(block) {
                    lines.push(line(block + 1, name, &names.group, sample));
                }
            }
        }
        self.put(lines);
        self.has_blocks = true;
    }

    /// Its folder, as long as everything could be written.
    pub fn folder(&self) -> Option<String> {
        self.failure.is_none().then(|| self.folder.display().to_string())
    }

    /// Writes what came of it, as `--json` prints it.
    pub fn finish(self, comparison: &Comparison) -> Outcome<()> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let json =
            serde_json::to_string_pretty(comparison).map_err(|error| Failure::new(Exit::Storage, error))?;
        let path = self.folder.join(COMPARISON);
        std::fs::write(&path, json + "\n").map_err(|error| Failure::io(Exit::Storage, "write", &path, &error))
    }

    /// Gives it up: its blocks stay, and without any the folder goes.
    pub fn abandon(self) {
        if self.has_blocks {
            return;
        }
        // What stays behind says nothing wrong.
        let _ = std::fs::remove_file(self.folder.join(SAMPLES));
        let _ = std::fs::remove_dir(&self.folder);
    }

    /// Writes lines, and all of them to the file.
    fn put(&mut self, lines: impl IntoIterator<Item = [String; HEADER.len()]>) {
        if self.failure.is_some() {
            return;
        }
        let written = lines.into_iter().try_for_each(|line| self.samples.write_record(line));
        if let Err(error) = written.map_err(std::io::Error::from).and_then(|()| self.samples.flush()) {
            let path = self.folder.join(SAMPLES);
            self.failure = Some(Failure::io(Exit::Storage, "write", &path, &error));
        }
    }
}

fn claim() -> Outcome<PathBuf> {
    let runs = Path::new(RUNS);
    std::fs::create_dir_all(runs).map_err(|error| Failure::io(Exit::Storage, "make folder", runs, &error))?;
    let entries =
        std::fs::read_dir(runs).map_err(|error| Failure::io(Exit::Storage, "read", runs, &error))?;
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok());
    let mut number = numbers.max().unwrap_or(0).saturating_add(1);
    loop {
        let folder = runs.join(number.to_string());
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            // Somebody else's, who was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists && number < u64::MAX => number += 1,
            Err(error) => return Err(Failure::io(Exit::Storage, "make folder", &folder, &error)),
        }
    }
}

fn line(block: usize, name: &str, group: &str, sample: &Sample) -> [String; HEADER.len()] {
    let found = sample.interference;
    let share = |share: f64| format!("{share:.4}");
    [
        block.to_string(),
        name.to_owned(),
        sample.time.as_secs_f64().to_string(),
        sample.usage.map(|usage| usage.cpu.as_secs_f64().to_string()).unwrap_or_default(),
        sample.usage.map(|usage| usage.switches.to_string()).unwrap_or_default(),
        share(found.stolen),
        share(found.throttled),
        share(found.others),
        group.to_owned(),
    ]
}
