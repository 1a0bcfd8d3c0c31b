//! A post-mortem as people read it.

use super::log::escaped;
use super::object::{Attempt, Frame, Object};
use crate::summary::{bytes, number, pairs};

/// Frames that are shown; the JSON has all.
const FRAMES_SHOWN: usize = 20;

/// Everything about one task.
pub fn task_text(object: &Object) -> String {
    let Object { job, task, .. } = object;
    let state = if object.r#final { "failed" } else { "failed and is, or was, tried again" };
    let mut rows =
        vec![("task", format!("{task} of job {job} {state}")), ("cause", shown(object.sentence()))];
    if let Some(signal) = object.signal {
        rows.push(("signal", signal.to_string()));
    }
    if let Some(code) = object.exit_code {
        rows.push(("exit code", code.to_string()));
    }
    if object.memory_peak_bytes.is_some() || object.memory_limit_bytes.is_some() {
        rows.push(("memory", memory(object)));
    }
    for attempt in &object.attempts {
        rows.push(("attempt", attempt_row(attempt)));
    }
    if object.forgotten_attempts > 0 {
        rows.push(("attempt", format!("{} older ones are not kept", object.forgotten_attempts)));
    }
    if object.lost_tasks > 0 {
        rows.push(("lost with it", format!("{} other tasks, which run again", number(object.lost_tasks))));
    }
    rows.push(("try", object.suggestion.clone()));
    rows.push(("replay", object.replay.clone()));
    rows.push(("debug", format!("{} --debugger gdb", object.replay)));
    let mut text = pairs(&rows);
    if !object.frames.is_empty() {
        text.push_str("\nbacktrace, the innermost call first:");
        let frames = object.frames.iter().take(FRAMES_SHOWN).enumerate();
        text.extend(frames.map(|(at, frame)| format!("\n  {at:>2} {}", frame_row(frame))));
    }
    if !object.last_lines.is_empty() {
        text.push_str("\nlast lines of its log:");
        text.extend(object.last_lines.iter().map(|line| format!("\n  {}", escaped(line.as_bytes()))));
    }
    text
}

/// A job's failed tasks, grouped by cause, each with its first task.
pub fn job_text(failed: u64, objects: &[Object]) -> String {
    let mut causes: Vec<(&str, Vec<&Object>)> = Vec::new();
    for object in objects {
        match causes.iter_mut().find(|(cause, _)| *cause == object.cause) {
            Some((_, of_cause)) => of_cause.push(object),
            None => causes.push((&object.cause, vec![object])),
        }
    }
    let mut parts = Vec::new();
    if failed > objects.len() as u64 {
        let known = number(objects.len() as u64);
        parts.push(format!("{} tasks failed; this is about {known} with the lowest indexes", number(failed)));
    }
    for (cause, of_cause) in causes {
        let indexes: Vec<String> = of_cause.iter().take(8).map(|object| object.task.to_string()).collect();
        let more = if of_cause.len() > 8 { ", .." } else { "" };
        let tasks = if of_cause.len() == 1 { "task" } else { "tasks" };
        parts.push(format!("{cause}: {} {tasks} ({}{more}); the first:", of_cause.len(), indexes.join(", ")));
        parts.extend(of_cause.first().map(|first| task_text(first)));
    }
    parts.join("\n\n")
}

fn shown(text: &str) -> String {
    text.lines().map(|line| escaped(line.as_bytes())).collect::<Vec<_>>().join(" ")
}

fn memory(object: &Object) -> String {
    let peak = object
        .memory_peak_bytes
        .map_or_else(|| "peak not known".to_owned(), |peak| format!("peak {}", bytes(peak)));
    let limit = object
        .memory_limit_bytes
        .map_or_else(|| "no limit".to_owned(), |limit| format!("limit {}", bytes(limit)));
    format!("{peak}, {limit}")
}

fn attempt_row(attempt: &Attempt) -> String {
    let Attempt { attempt: number, worker, cause, started_s, ended_s, .. } = attempt;
    let on = if worker.is_empty() { String::new() } else { format!(" on {worker}") };
    let took = match (started_s, ended_s) {
        (Some(from), Some(to)) if to >= from => {
            format!(", executor lived {}", crate::summary::seconds(to - from))
        }
        _ => String::new(),
    };
    format!("{number}{on}: {cause}{took}")
}

fn frame_row(frame: &Frame) -> String {
    let function = frame.function.clone().unwrap_or_else(|| "?".to_owned());
    let place = match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!("{file}:{line}"),
        (Some(file), None) => file.clone(),
        (None, _) if frame.module.is_empty() => format!("0x{:x}", frame.offset),
        (None, _) => format!("{}+0x{:x}", frame.module, frame.offset),
    };
    shown(&format!("{function} at {place}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::v1;

    fn object(index: u64, class: v1::FailureClass) -> Object {
        let attempt = |attempt| v1::AttemptReport {
            attempt,
            worker: "worker-1".into(),
            class: class.into(),
            message: "it\nbroke\x1b[2J".into(),
            evidence: Some(v1::Evidence {
                last_lines: vec!["one\x07".into()],
                frames: vec![v1::Frame {
                    function: "f".into(),
                    file: "a.c".into(),
                    line: 3,
                    ..Default::default()
                }],
                lost_tasks: 2,
                ..Default::default()
            }),
        };
        let report =
            v1::PostMortem { index, r#final: true, attempts: vec![attempt(2), attempt(3)], forgotten: 1 };
        Object::new(4, "crash", &report)
    }

    #[test]
    fn everything_that_is_known_is_said() {
        let text = task_text(&object(17, v1::FailureClass::Failed));
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            "17 of job 4 failed",
            "it broke\\u{1b}[2J",
            "2 on worker-1: failed",
            "1 older ones are not kept",
            "2 other tasks",
            "muster plugin test crash --case 4.17 --debugger gdb",
            "0 f at a.c:3",
            "one\\u{7}",
        ] {
            assert!(words.contains(part), "{part:?} is not in {text}");
        }
        assert!(!text.contains('\x1b') && !text.contains('\x07'));
    }

    #[test]
    fn tasks_of_one_cause_are_told_together() {
        let objects = [
            object(1, v1::FailureClass::Failed),
            object(2, v1::FailureClass::Panicked),
            object(5, v1::FailureClass::Failed),
        ];
        let text = job_text(100, &objects);
        assert!(text.starts_with("100 tasks failed; this is about 3 with"), "{text}");
        assert!(
            text.contains("failed: 2 tasks (1, 5); the first:")
                && text.contains("panicked: 1 task (2); the first:")
        );
    }
}
