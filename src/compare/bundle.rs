//! The folder of a run, `.muster/runs/N`: everything that was measured, for people and programs. Each block is there as
//! soon as it is complete.

use super::course::Measured;
use super::group::Group;
use super::result::Comparison;
use super::sample::Sample;
use super::tasks::{LINES_MAX, TaskRun};
use crate::exit::{Exit, Failure, Outcome};
use csv::Writer;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where runs are kept, below the folder that one is in.
pub const RUNS: &str = ".muster/runs";
/// Times in seconds, shares of what all processors could do.
const HEADER: [&str; 10] = [
    "block",
    "configuration",
    "time_s",
    "cpu_s",
    "ctx_switches",
    "stolen",
    "throttled",
    "others",
    "group",
    "latency_p95_s",
];
/// Of single tasks, times in seconds.
const TASKS_HEADER: [&str; 13] = [
    "block",
    "configuration",
    "task",
    "start_s",
    "run_s",
    "latency_s",
    "group",
    "worker",
    "executor",
    "thread",
    "attempt",
    "queued_s",
    "lock_wait_s",
];
pub const SAMPLES: &str = "samples.csv";
pub const TASKS: &str = "tasks.csv";
pub const COMPARISON: &str = "comparison.json";

/// A run that is being written.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    samples: Lines,
    /// None before a task was looked at.
    tasks: Option<Lines>,
    tasks_written: usize,
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
        let samples = Lines::create(&folder, SAMPLES, HEADER)?;
        Ok(Self {
            folder,
            samples,
            tasks: None,
            tasks_written: 0,
            names: groups.iter().map(GroupNames::new).collect(),
            has_blocks: false,
            failure: None,
        })
    }

    /// Adds the last block.
    pub fn add(&mut self, measured: &Measured) {
        let Some(block) = measured.blocks.checked_sub(1) else { return };
        let (mut lines, mut tasks) = (Vec::new(), Vec::new());
        for (names, found) in self.names.iter().zip(&measured.groups) {
            let columns = found.samples.iter().chain([&found.twin]);
            for (name, samples) in names.rows.iter().zip(columns) {
                if let Some(sample) = samples.get(block) {
                    lines.push(line(block + 1, name, &names.group, sample));
                    let of_task = |task| task_line(block + 1, name, &names.group, task);
                    tasks.extend(sample.tasks_seen.iter().map(of_task));
                }
            }
        }
        self.has_blocks = true;
        if self.failure.is_none() {
            self.failure = self.samples.put(lines).and_then(|()| self.put_tasks(tasks)).err();
        }
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
        // Whoever reads it meanwhile sees all of it, or nothing.
        let unfinished = path.with_extension("json.new");
        let written =
            std::fs::write(&unfinished, json + "\n").and_then(|()| std::fs::rename(&unfinished, &path));
        written.map_err(|error| {
            // It may be what the disk has no room for.
            let _ = std::fs::remove_file(&unfinished);
            Failure::io(Exit::Storage, "write", &path, &error)
        })
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

    /// Writes the tasks of a block, or none of them where the file would have too many.
    fn put_tasks(&mut self, tasks: Vec<[String; TASKS_HEADER.len()]>) -> Outcome<()> {
        if tasks.is_empty() || self.tasks_written + tasks.len() > LINES_MAX {
            return Ok(());
        }
        self.tasks_written += tasks.len();
        let file = match &mut self.tasks {
            Some(file) => file,
            none => none.insert(Lines::create(&self.folder, TASKS, TASKS_HEADER)?),
        };
        file.put(tasks)
    }
}

/// A file of lines with a header.
#[derive(Debug)]
struct Lines {
    path: PathBuf,
    writer: Writer<File>,
}

impl Lines {
    fn create<const COLUMNS: usize>(folder: &Path, name: &str, header: [&str; COLUMNS]) -> Outcome<Self> {
        let path = folder.join(name);
        let file = File::create(&path).map_err(|error| Failure::io(Exit::Storage, "write", &path, &error))?;
        let mut lines = Self { path, writer: Writer::from_writer(file) };
        lines.put([header])?;
        Ok(lines)
    }

    /// Writes lines, and all of them to the file.
    fn put<const COLUMNS: usize, Cell: AsRef<[u8]>>(
        &mut self,
        lines: impl IntoIterator<Item = [Cell; COLUMNS]>,
    ) -> Outcome<()> {
        let written = lines.into_iter().try_for_each(|line| self.writer.write_record(line));
        let written = written.map_err(std::io::Error::from).and_then(|()| self.writer.flush());
        written.map_err(|error| Failure::io(Exit::Storage, "write", &self.path, &error))
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
        sample.latency_p95_s.map(|latency| latency.to_string()).unwrap_or_default(),
    ]
}

fn task_line(block: usize, name: &str, group: &str, task: &TaskRun) -> [String; TASKS_HEADER.len()] {
    [
        block.to_string(),
        name.to_owned(),
        task.index.to_string(),
        task.start_s.to_string(),
        task.run_s.to_string(),
        task.latency_s.map(|latency| latency.to_string()).unwrap_or_default(),
        group.to_owned(),
        task.worker.to_string(),
        task.executor.to_string(),
        task.thread.to_string(),
        task.attempt.to_string(),
        task.queued_s.to_string(),
        task.lock_wait_s.to_string(),
    ]
}
