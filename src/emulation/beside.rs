//! Simulated and emulated results of one scenario side by side.

use super::outcome::Spread;
use super::report::{Folder, Report};
use super::scenario::unusable;
use crate::exit::Failure;
use crate::summary::{Column, list, number, seconds};
use muster_core::time::Span;
use muster_sim::cluster::Cluster;
use muster_sim::scenario::{Override, Scenario, TaskTime};
use serde::Serialize;
use std::path::Path;

/// What a simulation says of what was emulated.
#[derive(Clone, Debug, Serialize)]
pub struct Simulated {
    /// Seconds from the first submission to the end of the last job.
    pub makespan_s: f64,
    /// Seconds from the submission of each job to its end; null: it did not end.
    pub jobs_s: Vec<Option<f64>>,
    /// Tasks with a result.
    pub ok: u64,
    /// Attempts whose outcome counted, with those of which the lease was given up.
    pub attempts: u64,
    /// Of them, those beyond one for each task: tasks leased once more, whether they had begun or not.
    pub leased_again: u64,
    /// Workers that crashed or were given up.
    pub lost_workers: u64,
    /// Tasks that had not ended when the simulation did.
    pub unfinished: u64,
    /// Times of tasks are drawn, and emulated ones are other numbers.
    #[serde(skip)]
    pub draws: bool,
}

/// Both.
#[derive(Clone, Debug)]
pub struct Beside {
    emulated: Report,
    simulated: Simulated,
}

impl Simulated {
    /// Runs the scenario in virtual time, unless `stop` says that nobody waits any more.
    pub fn of(scenario: &Scenario, stop: impl FnMut() -> bool) -> Self {
        let report = Cluster::new(scenario.clone(), scenario.seed).run(stop);
        let ended = report.tasks() - report.unfinished();
        Self {
            makespan_s: report.makespan.as_secs_f64(),
            jobs_s: report.jobs.iter().map(|job| job.time().map(Span::as_secs_f64)).collect(),
            ok: report.committed(),
            attempts: ended + report.measures.retried,
            leased_again: report.measures.retried,
            lost_workers: report.measures.workers_lost,
            unfinished: report.unfinished(),
            draws: scenario.jobs.iter().any(|job| !matches!(job.time, TaskTime::Const(_))),
        }
    }
}

impl Beside {
    /// An emulation and its simulation.
    pub const fn new(emulated: Report, simulated: Simulated) -> Self {
        Self { emulated, simulated }
    }

    /// Reads what `muster emulate -o DIR` has written and simulates the scenario in it, with changes.
    ///
    /// # Errors
    /// The folder holds no emulation, or its scenario cannot be read.
    pub fn of_folder(
        folder: &Path,
        changes: &[Override],
        stop: impl FnMut() -> bool,
    ) -> Result<Self, Failure> {
        let (emulated, scenario) = Folder::read(folder)?;
        let scenario = Scenario::read(&scenario, changes).map_err(|error| unusable(&error))?;
        let simulated = Simulated::of(&scenario, stop);
        Ok(Self::new(emulated, simulated))
    }

    /// By how much the simulated makespan is above the median of the emulated ones, as a part of it.
    pub fn error(&self) -> f64 {
        error(self.simulated.makespan_s, self.emulated.makespan())
    }

    /// For people.
    pub fn table(&self) -> String {
        let columns = [
            Column::text(""),
            Column::number("SIMULATED"),
            Column::number("EMULATED"),
            Column::number("ERROR"),
            Column::number("SPREAD"),
        ];
        let (simulated, emulated) = (&self.simulated, &self.emulated);
        let runs = emulated.makespan_s.len();
        // One run says nothing about how far apart runs are.
        let spread_of_several = |spread: String| if runs == 1 { "-".to_owned() } else { spread };
        let timed = |name: String, simulated: Option<f64>, emulated: Spread| {
            vec![
                name,
                simulated.map_or_else(|| "none".to_owned(), seconds),
                seconds(emulated.median),
                simulated.map_or_else(String::new, |simulated| percent(error(simulated, emulated))),
                spread_of_several(format!("{:.1} %", 100.0 * emulated.relative())),
            ]
        };
        let makespan = timed("makespan".to_owned(), Some(simulated.makespan_s), emulated.makespan());
        let several = emulated.jobs.iter().zip(&simulated.jobs_s).filter(|_| emulated.jobs.len() > 1);
        let jobs = several.map(|(job, &simulated)| {
            timed(format!("job {}", job.name), simulated, Spread::of(job.makespan_s.clone()))
        });
        let counted = |name: &str, simulated: u64, emulated: &[u64]| {
            let spread = Spread::of(emulated.iter().map(|&count| count as f64).collect());
            let error = simulated as f64 - spread.median;
            vec![
                name.to_owned(),
                number(simulated),
                if spread.median.fract() == 0.0 {
                    number(spread.median as u64)
                } else {
                    spread.median.to_string()
                },
                if error == 0.0 { "0".to_owned() } else { format!("{error:+}") },
                spread_of_several(number((spread.max - spread.min) as u64)),
            ]
        };
        let counts = [
            counted("ok", simulated.ok, &emulated.ok),
            counted("attempts", simulated.attempts, &emulated.attempts),
            counted("leased again", simulated.leased_again, &emulated.leased_again),
            counted("workers lost", simulated.lost_workers, &emulated.lost_workers),
        ];
        let rows = std::iter::once(makespan).chain(jobs).chain(counts).collect();
        let what = if runs == 1 {
            "1 emulated run".to_owned()
        } else {
            format!("{runs} emulated runs (median; spread: largest - smallest)")
        };
        let mut text = format!(
            "{}, seed {}: simulated beside {what}\n{}",
            emulated.name,
            emulated.seed,
            list(&columns, rows)
        );
        if simulated.unfinished > 0 {
            text.push_str(&format!(
                "\nthe simulation ended with {} tasks unfinished",
                number(simulated.unfinished)
            ));
        }
        if simulated.draws {
            text.push_str(
                "\ntask times are drawn: both sides have the same distribution, not the same numbers; compare several \
                 --seed, or use const",
            );
        }
        text
    }

    /// For programs: the report of the emulation, with what was simulated and the error in it.
    pub fn to_json(&self) -> serde_json::Value {
        let mut value = serde_json::json!(self.emulated);
        value["simulated"] = serde_json::json!(self.simulated);
        value["error_percent"] = serde_json::json!(100.0 * self.error());
        value["spread_percent"] = serde_json::json!(100.0 * self.emulated.makespan().relative());
        value
    }
}

fn error(simulated: f64, emulated: Spread) -> f64 {
    simulated / emulated.median - 1.0
}

fn percent(part: f64) -> String {
    format!("{:+.1} %", 100.0 * part)
}

#[cfg(test)]
mod tests {
    use super::super::report::JobReport;
    use super::*;

    #[test]
    fn errors_have_signs_and_spreads_are_of_all_runs() {
        let job = |name: &str, tasks: u64| JobReport {
            name: name.to_owned(),
            plugin: "sleep".to_owned(),
            params: std::collections::BTreeMap::new(),
            tasks,
            submit_at_s: 0.0,
            makespan_s: vec![0.8, 1.0, 0.9],
            ok: vec![tasks; 3],
            failed: vec![0; 3],
        };
        let emulated = Report {
            fidelity: "emulated".to_owned(),
            name: "small".to_owned(),
            seed: 7,
            policy: "fair+adaptive".to_owned(),
            workers: 4,
            slots: 4,
            jobs: vec![job("first", 600), job("second", 400)],
            tasks: 1_000,
            faults: 1,
            makespan_s: vec![1.0, 1.1, 0.9],
            task_s: vec![0.01; 3],
            ok: vec![1_000; 3],
            failed: vec![0; 3],
            attempts: vec![1_004, 1_005, 1_004],
            leased_again: vec![4, 5, 4],
            duplicates: vec![0; 3],
            lost_workers: vec![1; 3],
            late_s: vec![0.0; 3],
            planned_until_s: None,
        };
        let simulated = Simulated {
            makespan_s: 0.95,
            jobs_s: vec![Some(0.9), None],
            ok: 1_000,
            attempts: 1_002,
            leased_again: 2,
            lost_workers: 1,
            unfinished: 0,
            draws: false,
        };
        let both = Beside::new(emulated, simulated);
        let text = both.table();
        for words in ["small, seed 7", "3 emulated runs", "950 ms", "1.00 s", "-5.0 %", "20.0 %", "1,004"] {
            assert!(text.contains(words), "{words}:\n{text}");
        }
        let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line("job first").contains("+0.0 %"), "{text}");
        assert!(line("job second").contains("none"), "{text}");
        let cells: Vec<_> = line("leased again").split_whitespace().collect();
        assert_eq!(cells, ["leased", "again", "2", "4", "-2", "1"]);
        assert_eq!(both.to_json()["simulated"]["attempts"], 1_002);
        let mut one = both;
        one.emulated.makespan_s.truncate(1);
        let text = one.table();
        assert!(text.starts_with("small, seed 7: simulated beside 1 emulated run\n"), "{text}");
        assert!(text.lines().skip(2).take(7).all(|line| line.ends_with(" -")), "{text}");
    }
}
