//! Single tasks of a kept comparison: those of one block, a recording for each configuration.

use super::recording::{End, Recording, TaskRun, Worker};
use crate::exit::{Exit, Failure, Outcome};
use crate::kept::{Bundle, TaskSample};

/// The recordings of a block; of the first one that has some where none was asked for.
pub fn recordings(bundle: &Bundle, block: Option<u64>) -> Outcome<Vec<Recording>> {
    let run = bundle.run.number;
    let none = |text: String| Failure::new(Exit::Job, format_args!("run {run} {text}"));
    let tasks = bundle.tasks()?.unwrap_or_default();
    let Some(first) = tasks.iter().map(|task| task.block).min() else {
        return Err(none(
            "has no single tasks: looking at them would have been seen in its times".to_owned(),
        )
        .hint("trace one of its configurations: muster run PLUGIN --trace, and then muster trace"));
    };
    let last = tasks.iter().map(|task| task.block).max().unwrap_or(first);
    let block = block.unwrap_or(first);
    let mut found: Vec<(String, Recording)> = Vec::new();
    for task in tasks.iter().filter(|task| task.block == block && !task.again) {
        let name = match &task.group {
            Some(group) if !group.is_empty() => format!("{group}: {}", task.configuration),
            _ => task.configuration.clone(),
        };
        let at = found.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            found.push((name.clone(), begun(bundle, &name, task)));
            found.len() - 1
        });
        found[at].1.runs.extend(run_of(task));
    }
    if found.is_empty() {
        return Err(none(format!("has no single tasks of block {block}"))
            .hint(format_args!("there are those of blocks {first} to {last}")));
    }
    let with_end = |(_, mut recording): (String, Recording)| {
        recording.wall_ns = recording.runs.iter().map(TaskRun::ended_ns).max().unwrap_or(0);
        recording
    };
    Ok(found.into_iter().map(with_end).collect())
}

fn begun(bundle: &Bundle, name: &str, task: &TaskSample) -> Recording {
    let group = bundle.comparison.groups.iter().find(|group| Some(&group.name) == task.group.as_ref());
    let tasks = group.and_then(|group| group.tasks).or(bundle.comparison.tasks).unwrap_or(0);
    // An older muster did not keep where tasks ran.
    let unknown = Worker { number: 0, name: "somewhere".to_owned(), host: String::new() };
    let workers = if task.worker.is_none() { vec![unknown] } else { Vec::new() };
    Recording { name: name.to_owned(), tasks, wall_ns: 0, workers, runs: Vec::new() }
}

/// A line without its times says nothing here.
fn run_of(task: &TaskSample) -> Option<TaskRun> {
    let ns = |seconds: f64| (seconds * 1e9).round() as u64;
    Some(TaskRun {
        index: task.task,
        attempt: task.attempt.unwrap_or(1),
        worker: task.worker.unwrap_or(0),
        executor: task.executor.unwrap_or(0),
        thread: task.thread.unwrap_or(0),
        at_ns: ns(task.start_s?),
        run_ns: ns(task.run_s?),
        queued_ns: task.queued_s.map_or(0, ns),
        latency_ns: task.latency_s.map(ns),
        lock_wait_ns: task.lock_wait_s.map_or(0, ns),
        lock_waits: Vec::new(),
        end: End::Ok,
    })
}
