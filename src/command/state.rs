//! `muster state`: state folders without a coordinator of their own.

use super::printed;
use crate::cli::{StateArgs, StateCommand};
use crate::exit::{Exit, Failure, Outcome};
use crate::terminal::{self, note};
use muster_coordinator::state::{self, BackupError, Checked};
use muster_coordinator::store::StoreError;
use muster_core::id::JobId;
use muster_core::quantity::size_text;
use serde_json::json;
use std::path::Path;

/// Does what a `state` command says.
pub fn state(command: StateCommand) -> Outcome {
    match command {
        StateCommand::Check(args) => check(&args),
        StateCommand::Backup { state, to } => backup(&state, &to),
        StateCommand::Compact(args) => compact(&args),
        StateCommand::Rm { state, jobs } => rm(&state, &jobs),
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match &error {
            StoreError::NoFolder { .. } | StoreError::NoDatabase { .. } | StoreError::NotAFolder { .. } => {
                Exit::Usage
            }
            _ => Exit::Storage,
        };
        Self::caused(exit, &error)
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Store(error) => error.into(),
            BackupError::Keys(error) => Self::caused(Exit::Storage, &error),
            BackupError::Taken { .. } | BackupError::Begun { .. } => Self::usage(error),
            BackupError::Changed { .. } => Self::new(Exit::Storage, error),
        }
    }
}

fn check(args: &StateArgs) -> Outcome {
    let checked = state::check(&args.folder)?;
    let exit = if checked.problems.is_empty() { Exit::Ok } else { Exit::Storage };
    if args.json {
        let Checked { format, is_older, jobs, results, plugins, problems } = checked;
        printed(terminal::print_json(&json!({
            "format": format, "older": is_older, "jobs": jobs, "results": results, "plugins": plugins,
            "problems": problems,
        })))?;
        return Ok(exit);
    }
    for problem in &checked.problems {
        printed(terminal::print(format_args!("damaged: {problem}")))?;
    }
    printed(terminal::print(verdict(&checked)))?;
    if exit != Exit::Ok {
        note(
            "restore the folder from a backup (docs/state.md), or remove a damaged job: muster state rm DIR JOB",
        );
    }
    Ok(exit)
}

fn verdict(checked: &Checked) -> String {
    let whole = if checked.is_older {
        let format = checked.format;
        format!(
            "the database has the older format {format}: its jobs were not looked at, a coordinator brings it up to date when it starts"
        )
    } else {
        let Checked { jobs, results, plugins, .. } = checked;
        let of = |count: &u64, one, many| format!("{count} {}", if *count == 1 { one } else { many });
        format!(
            "whole: {} with {}, {}",
            of(jobs, "job", "jobs"),
            of(results, "kept result", "kept results"),
            of(plugins, "plugin", "plugins")
        )
    };
    match checked.problems.len() {
        0 => format!("{whole}; nothing is damaged"),
        count => format!("{whole}; damaged: {count}"),
    }
}

fn backup(args: &StateArgs, to: &Path) -> Outcome {
    let copied = state::backup(&args.folder, to)?;
    if args.json {
        return printed(terminal::print_json(
            &json!({"files": copied.files, "bytes": copied.bytes, "keys": copied.keys, "to": to}),
        ));
    }
    let size = size_text(copied.bytes);
    let keys = if copied.keys { "; it holds the cluster's keys" } else { "" };
    note(format_args!("{} has a copy of {}: {size}{keys}", to.display(), args.folder.display()));
    Ok(Exit::Ok)
}

fn compact(args: &StateArgs) -> Outcome {
    let (before, after) = state::compact(&args.folder)?;
    if args.json {
        return printed(terminal::print_json(&json!({"bytes_before": before, "bytes": after})));
    }
    note(format_args!("the database has {}, before {}", size_text(after), size_text(before)));
    Ok(Exit::Ok)
}

fn rm(args: &StateArgs, jobs: &[u64]) -> Outcome {
    let jobs: Vec<JobId> = jobs.iter().copied().map(JobId).collect();
    let missing: Vec<u64> = state::remove(&args.folder, &jobs)?.iter().map(|job| job.0).collect();
    if args.json {
        let removed: Vec<u64> = jobs.iter().map(|job| job.0).filter(|job| !missing.contains(job)).collect();
        printed(terminal::print_json(&json!({"removed": removed, "missing": missing})))?;
    }
    match missing.first() {
        None => Ok(Exit::Ok),
        Some(job) => {
            Err(Failure::new(Exit::Job, format_args!("{} holds no job {job}", args.folder.display())))
        }
    }
}
