//! `muster runs`: the comparisons that are kept.

use super::export::find_all;
use crate::cli::{RunRef, RunsCommand};
use crate::exit::{Exit, Failure, Outcome};
use crate::kept::{self, Line};
use crate::summary::{Column, list, number, seconds};
use crate::terminal::{self, note};

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

fn ls(json: bool) -> Outcome {
    let lines: Vec<Line> = kept::all()?.iter().map(Line::read).collect();
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
            line.what().map_or_else(dash, str::to_owned),
            line.tasks.map_or_else(dash, number),
            line.blocks.map_or_else(dash, |blocks| blocks.to_string()),
            line.problem.or(line.verdict).unwrap_or_else(dash),
        ]
    };
    super::printed(terminal::print(list(&columns, lines.into_iter().map(row).collect())))
}
