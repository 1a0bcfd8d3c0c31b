//! The folder of a run, `.muster/runs/N`: everything that was measured, for people and programs. Each block is there as
//! soon as it is complete.

use super::configuration::Configuration;
use super::course::Measured;
use super::result::Comparison;
use super::subject::Sample;
use crate::exit::{Exit, Failure, Outcome};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// Where runs are kept, below the folder that one is in.
pub(super) const RUNS: &str = ".muster/runs";
/// Times in seconds, shares of what all processors could do.
const HEADER: &str = "block,configuration,time_s,cpu_s,ctx_switches,stolen,throttled,others\n";
pub(super) const SAMPLES: &str = "samples.csv";
pub(super) const COMPARISON: &str = "comparison.json";

/// A run that is being written.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    samples: File,
    names: Vec<String>,
    has_blocks: bool,
    /// What went wrong first: nothing more is written then.
    failure: Option<Failure>,
}

impl Run {
    /// Makes a new folder; its number is one more than the largest that is there.
    pub fn claim(configurations: &[Configuration]) -> Outcome<Self> {
        let folder = claim()?;
        let path = folder.join(SAMPLES);
        let samples =
            File::create(&path).map_err(|error| Failure::io(Exit::Storage, "write", &path, &error))?;
        let names = configurations.iter().map(|configuration| configuration.name.clone());
        // The baseline runs twice in each block.
        let again = configurations.first().map(|first| format!("{} (again)", first.name));
        let mut run =
            Self { folder, samples, names: names.chain(again).collect(), has_blocks: false, failure: None };
        run.put(HEADER);
        Ok(run)
    }

    /// Adds the last block.
    pub fn add(&mut self, measured: &Measured) {
        let Some(block) = measured.blocks.len().checked_sub(1) else { return };
        let columns = measured.samples.iter().chain([&measured.twin]);
        let mut lines = String::new();
        for (name, samples) in self.names.iter().zip(columns) {
            if let Some(sample) = samples.get(block) {
                lines.push_str(&line(block + 1, name, sample));
            }
        }
        self.put(&lines);
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

    fn put(&mut self, text: &str) {
        if self.failure.is_none()
            && let Err(error) = self.samples.write_all(text.as_bytes())
        {
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

fn line(block: usize, name: &str, sample: &Sample) -> String {
    let found = sample.interference;
    let mut line = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        line,
        "{block},{name},{},{},{},{:.4},{:.4},{:.4}",
        sample.time.as_secs_f64(),
        sample.usage.cpu.as_secs_f64(),
        sample.usage.switches,
        found.stolen,
        found.throttled,
        found.others
    );
    line
}
