//! What an emulation found, as `--json` prints it and `-o` keeps it.

use super::experiment::{Experiment, Fault};
use super::outcome::{Repeated, Run, Spread};
use crate::exit::{Exit, Failure};
use crate::simulation;
use muster_sim::scenario::Scenario;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a folder of results says that it is.
const FIDELITY: &str = "emulated";
/// The file of a folder of results that holds a [`Report`].
const REPORT_FILE: &str = "report.json";
/// The scenario beside it, as it was run.
const SCENARIO_FILE: &str = "scenario.toml";

/// All runs of a scenario. Lists have an entry for each run, in their order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// `emulated`.
    pub fidelity: String,
    /// The scenario's title.
    pub name: String,
    /// Where faults and jitter came from.
    pub seed: u64,
    /// The policy, in the words of `--policy`.
    pub policy: String,
    /// Workers from the start.
    pub workers: usize,
    /// Their slots.
    pub slots: u64,
    /// The jobs, in the order of the scenario.
    pub jobs: Vec<JobReport>,
    /// Tasks of all jobs.
    pub tasks: u64,
    /// Faults that were planned: one for each worker that a fault hits, cuts and slow workers included.
    pub faults: usize,
    /// Seconds from the first submission to the end of the last job, as the client saw both.
    pub makespan_s: Vec<f64>,
    /// Seconds that a task took in its thread, on average over those with a result; what it was slowed by counts.
    pub task_s: Vec<f64>,
    /// Tasks with a result.
    pub ok: Vec<u64>,
    /// Tasks that failed for good.
    pub failed: Vec<u64>,
    /// Attempts whose outcome counted, with those of which the lease was given up.
    pub attempts: Vec<u64>,
    /// Of them, those beyond one for each task: tasks leased once more, whether they had begun or not.
    pub leased_again: Vec<u64>,
    /// Results that came again or too late, and were dropped.
    pub duplicates: Vec<u64>,
    /// Workers that were lost.
    pub lost_workers: Vec<u64>,
    /// Seconds by which the schedule was late at the most.
    pub late_s: Vec<f64>,
    /// Faults that come again and again were planned until so many seconds, and no further.
    pub planned_until_s: Option<f64>,
}

/// One of the jobs. Lists have an entry for each run, in their order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobReport {
    /// Its name in the scenario.
    pub name: String,
    /// Its plugin.
    pub plugin: String,
    /// Its parameters.
    pub params: BTreeMap<String, String>,
    /// Its tasks.
    pub tasks: u64,
    /// When it was submitted, in seconds from the start.
    pub submit_at_s: f64,
    /// Seconds from submitting it to its end, as the client saw both.
    pub makespan_s: Vec<f64>,
    /// Tasks with a result.
    pub ok: Vec<u64>,
    /// Tasks that failed for good.
    pub failed: Vec<u64>,
}

impl JobReport {
    fn new(experiment: &Experiment, number: usize, runs: &[Run]) -> Self {
        let job = &experiment.jobs[number];
        let runs = runs.iter().map(|run| &run.jobs[number]);
        Self {
            name: job.name.clone(),
            plugin: job.plugin.clone(),
            params: job.params.iter().cloned().collect(),
            tasks: job.tasks,
            submit_at_s: job.submit_at.as_secs_f64(),
            makespan_s: runs.clone().map(|run| run.makespan_s).collect(),
            ok: runs.clone().map(|run| run.status.ok).collect(),
            failed: runs.map(|run| run.status.failed).collect(),
        }
    }
}

impl Report {
    /// What the runs of an experiment came to.
    pub fn new(
        scenario: &Scenario,
        experiment: &Experiment,
        slowed: usize,
        planned_until_s: Option<f64>,
        repeated: &Repeated,
    ) -> Self {
        let runs = &repeated.runs;
        let each = |value: fn(&Run) -> u64| runs.iter().map(value).collect();
        let present = experiment.workers.iter().filter(|worker| worker.is_present);
        let is_end = |fault| matches!(fault, Fault::Continue | Fault::Start);
        Self {
            fidelity: FIDELITY.to_owned(),
            name: scenario.name.clone(),
            seed: scenario.seed,
            policy: scenario.scheduling.policy.to_string(),
            workers: present.clone().count(),
            slots: present.map(|worker| u64::from(worker.slots)).sum(),
            jobs: (0..experiment.jobs.len()).map(|number| JobReport::new(experiment, number, runs)).collect(),
            tasks: experiment.jobs.iter().map(|job| job.tasks).sum(),
            faults: experiment.events.iter().filter(|event| !is_end(event.fault)).count() + slowed,
            makespan_s: runs.iter().map(|run| run.makespan_s).collect(),
            task_s: runs
                .iter()
                .map(|run| {
                    let busy_ns: u64 = run.jobs.iter().map(|job| job.status.busy_ns).sum();
                    busy_ns as f64 / 1e9 / run.committed.max(1) as f64
                })
                .collect(),
            ok: each(|run| run.committed),
            failed: each(|run| run.failed),
            attempts: each(|run| run.attempts),
            leased_again: each(|run| run.attempts.saturating_sub(run.committed + run.failed)),
            duplicates: each(|run| run.duplicates),
            lost_workers: each(|run| run.lost_workers),
            late_s: runs.iter().map(|run| run.late_s).collect(),
            planned_until_s,
        }
    }

    /// The makespans.
    pub fn makespan(&self) -> Spread {
        Spread::of(self.makespan_s.clone())
    }

    /// Whether every task of every run has its result.
    pub fn is_complete(&self) -> bool {
        self.ok.iter().all(|&ok| ok == self.tasks)
    }
}

/// A folder of results.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Whether it goes without a report: then it is left as empty as it was.
    lacks_report: bool,
}

impl Folder {
    /// Makes it, or takes an empty one, and writes the scenario, so that what keeps results from being written is seen
    /// before they are there.
    pub fn create(path: &Path, scenario: &str) -> Result<Self, Failure> {
        simulation::Folder::claim(path)?;
        let folder = Self { path: path.to_owned(), lacks_report: true };
        folder.put(SCENARIO_FILE, scenario.as_bytes())?;
        Ok(folder)
    }

    /// Writes the report.
    pub fn write(mut self, report: &serde_json::Value) -> Result<(), Failure> {
        self.put(REPORT_FILE, format!("{report:#}\n").as_bytes())?;
        self.lacks_report = false;
        Ok(())
    }

    /// Reads one; gives the path of its scenario, too.
    pub fn read(path: &Path) -> Result<(Report, PathBuf), Failure> {
        let folder = Self { path: path.to_owned(), lacks_report: false };
        let file = folder.file(REPORT_FILE);
        let bytes = std::fs::read(&file).map_err(|error| {
            Failure::io(Exit::Job, "read", &file, &error)
                .hint("name a folder that muster emulate -o DIR has written")
        })?;
        let report: Report = serde_json::from_slice(&bytes).map_err(|error| {
            Failure::new(Exit::Job, format_args!("{}: not a report of an emulation: {error}", file.display()))
        })?;
        if report.makespan_s.is_empty() || report.fidelity != FIDELITY {
            return Err(Failure::new(Exit::Job, format_args!("{}: holds no emulated runs", file.display())));
        }
        Ok((report, folder.file(SCENARIO_FILE)))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.file(name);
        std::fs::write(&path, bytes).map_err(|error| Failure::io(Exit::Storage, "write", &path, &error))
    }
}

impl Drop for Folder {
    /// After a run that was given up the same folder can be named again.
    fn drop(&mut self) {
        if self.lacks_report {
            for name in [SCENARIO_FILE, REPORT_FILE] {
                let _ = std::fs::remove_file(self.file(name));
            }
        }
    }
}
