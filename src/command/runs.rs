//! `muster runs`: the comparisons that are kept.

use super::export::find_all;
use crate::cli::{RunRef, RunsCommand};
use crate::exit::{Exit, Failure, Outcome};
use crate::kept::{self, Comparison, RunFolder};
use crate::summary::{Column, list, number, seconds};
use crate::terminal::{self, note};
use serde::Serialize;

/// Does what a `runs` command says.
pub fn runs(command: RunsCommand) -> Outcome {
    match command {
        RunsCommand::Ls { json } => ls(json),
        RunsCommand::Rm { runs } => rm(&runs),
    }
}

fn rm(runs: &[RunRef]) -> Outcome {
    // All of them are there and are folders, or none is deleted.
    let found = find_all(runs)?;
    for run in &found {
        if !std::fs::symlink_metadata(&run.path).is_ok_and(|metadata| metadata.is_dir()) {
            let path = run.path.display();
            return Err(Failure::new(Exit::Job, format_args!("{path} is no folder, so no run of muster"))
                .hint("nothing was deleted; delete it with rm where it is yours"));
        }
    }
    for run in &found {
        run.remove()?;
        note(format_args!("deleted run {}", run.number));
    }
    Ok(Exit::Ok)
}

/// A line of the list.
#[derive(Serialize)]
struct Line {
    run: u64,
    age_s: Option<f64>,
    experiment: Option<String>,
    plugin: Option<String>,
    tasks: Option<u64>,
    blocks: Option<usize>,
    verdict: Option<String>,
    /// Why nothing more is known.
    problem: Option<String>,
}

fn ls(json: bool) -> Outcome {
    let lines: Vec<Line> = kept::all()?.iter().map(line).collect();
    if json {
        return super::printed(terminal::print_json(&lines));
    }
    if lines.is_empty() {
        note("no runs here: muster compare keeps them in .muster/runs below the folder that it runs in");
        return Ok(Exit::Ok);
    }
    let columns = [
        Column::number("RUN"),
        Column::number("AGE"),
        Column::text("WHAT"),
        Column::number("TASKS").if_unbroken(),
        Column::number("BLOCKS").if_unbroken(),
        Column::text("VERDICT"),
    ];
    let row = |line: Line| {
        let dash = || "-".to_owned();
        vec![
            line.run.to_string(),
            line.age_s.map_or_else(dash, seconds),
            // An experiment has a name that says more than those of its workloads.
            line.experiment.filter(|name| name != "compare").or(line.plugin).unwrap_or_else(dash),
            line.tasks.map_or_else(dash, number),
            line.blocks.map_or_else(dash, |blocks| blocks.to_string()),
            line.problem.or(line.verdict).unwrap_or_else(dash),
        ]
    };
    super::printed(terminal::print(list(&columns, lines.into_iter().map(row).collect())))
}

fn line(run: &RunFolder) -> Line {
    let (number, age_s) = (run.number, run.age_s());
    match Comparison::read(run) {
        Ok(kept) => Line {
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
        Err(failure) => Line {
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
