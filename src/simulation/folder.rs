//! The folder of `-o DIR`: everything about the runs, for programs and people.

use super::metrics::metrics;
use super::pictures::makespans;
use super::plan::Plan;
use super::pool::Finished;
use super::report::{Content, Report};
use super::run::Run;
use super::timeline::timeline;
use crate::exit::{Exit, Failure, Outcome};
use muster_sim::measure::Columns;
use muster_sim::scenario::Scenario;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A folder that was new or empty.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes it, or takes an empty one.
    pub fn claim(path: &Path) -> Outcome<Self> {
        let failed = |what, error: &std::io::Error| Failure::io(Exit::Job, what, path, error);
        match std::fs::read_dir(path) {
            Ok(mut files) => {
                if files.next().is_some() {
                    return Err(Failure::new(Exit::Job, format_args!("{} is not empty", path.display()))
                        .hint("name a new folder: -o DIR"));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                std::fs::create_dir_all(path).map_err(|error| failed("make folder", &error))?;
            }
            Err(error) => return Err(failed("write into", &error)),
        }
        Ok(Self(path.to_owned()))
    }

    /// Writes everything.
    pub fn write(&self, plan: &Plan, finished: &Finished, report: &Report) -> Outcome<()> {
        self.put("scenario.toml", &plan.written()?)?;
        self.put("report.json", &json(report)?)?;
        if let Some(first) = &finished.first {
            let (point, _) = plan.run(0);
            // Of several points none stands for all.
            if plan.points.len() == 1 {
                self.put("metrics.txt", &metrics(&point.scenario, first))?;
                if let Some(columns) = &first.measures.columns {
                    self.put("tasks.csv", &task_times(&point.scenario, columns))?;
                }
                if let Some(timeline) = timeline(point, first) {
                    self.put("utilisation.svg", &timeline.svg())?;
                }
            }
        }
        if let Content::Many { runs, summary, .. } = &report.content {
            self.put("results.json", &json(runs)?)?;
            self.put("results.csv", &table(plan, runs))?;
            if let Some(chart) = makespans(plan, &summary.points) {
                self.put("makespan.svg", &chart.svg())?;
            }
        }
        Ok(())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    fn put(&self, name: &str, text: &str) -> Outcome<()> {
        let path = self.0.join(name);
        std::fs::write(&path, text).map_err(|error| Failure::io(Exit::Storage, "write", &path, &error))
    }
}

fn json(value: &impl serde::Serialize) -> Outcome<String> {
    let text = serde_json::to_string(value);
    text.map(|text| text + "\n").map_err(|error| Failure::new(Exit::Storage, error))
}

/// One row per run, with a header.
fn table(plan: &Plan, runs: &[Run]) -> String {
    const COLUMNS: &str = "policy,seed,ended,makespan_s,tasks,ok,failed,unfinished,throughput,utilisation,\
                           queue_wait_mean_s,queue_wait_p50_s,queue_wait_p95_s,queue_wait_p99_s,lost,\
                           lost_thread_s,repeated,lost_workers,faults,coordinator_load,events,\
                           scheduler_inputs,agent_inputs,digest";
    let keys: Vec<&str> =
        plan.axes.iter().map(|axis| axis.key.as_str()).filter(|key| *key != "policy").collect();
    let mut text = String::new();
    keys.iter().for_each(|key| text.push_str(&(cell(key) + ",")));
    text.push_str(COLUMNS);
    text.push('\n');
    let optional = |number: Option<f64>| number.map_or_else(String::new, |number| number.to_string());
    for run in runs {
        for key in &keys {
            text.push_str(&cell(run.set.get(*key).map_or("", String::as_str)));
            text.push(',');
        }
        let wait = &run.queue_wait_s;
        let cells = [
            cell(&run.policy),
            run.seed.to_string(),
            run.ended.to_string(),
            run.makespan_s.to_string(),
            run.tasks.to_string(),
            run.ok.to_string(),
            run.failed.to_string(),
            run.unfinished.to_string(),
            run.throughput.to_string(),
            run.utilisation.to_string(),
            optional(wait.mean),
            optional(wait.p50),
            optional(wait.p95),
            optional(wait.p99),
            run.lost.to_string(),
            run.lost_thread_s.to_string(),
            run.repeated.to_string(),
            run.lost_workers.to_string(),
            run.faults_struck().to_string(),
            run.coordinator_load.to_string(),
            run.events.to_string(),
            run.scheduler_inputs.to_string(),
            run.agent_inputs.to_string(),
            run.digest.clone(),
        ];
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", cells.join(","));
    }
    text
}

/// A value as CSV has it (RFC 4180).
fn cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// One line for each attempt that ran to its end. Jobs have names without commas.
fn task_times(scenario: &Scenario, columns: &Columns) -> String {
    let mut text = "job,index,worker,began_ns,ran_ns\n".to_owned();
    for at in 0..columns.len() {
        let name = &scenario.jobs[columns.job[at] as usize].name;
        let Columns { index, worker, began_ns, ran_ns, .. } = columns;
        let _ = writeln!(text, "{name},{},{},{},{}", index[at], worker[at], began_ns[at], ran_ns[at]);
    }
    text
}
