//! A post-mortem as people read it.

use super::cause::signal_text;
use super::log::escaped;
use super::object::{Attempt, Frame, Object};
use crate::summary::{bytes, number, pairs};

/// Frames that are shown from the inside and from the outside of a long stack; the JSON has all.
const FRAMES_INSIDE: usize = 14;
const FRAMES_OUTSIDE: usize = 6;
/// Lines in a row that Rust printed of a stack are left out from so many on: the backtrace has them.
const PRINTED_STACK_MIN: usize = 4;

/// Everything about one task.
pub fn task_text(object: &Object) -> String {
    let Object { job, task, .. } = object;
    let state = if object.r#final { "failed" } else { "failed and is, or was, tried again" };
    let mut rows =
        vec![("task", format!("{task} of job {job} {state}")), ("cause", shown(&object.sentence()))];
    if let Some(signal) = object.signal {
        rows.push(("signal", signal_text(signal, &object.cause)));
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
        let lost = match object.lost_tasks {
            1 => "1 other task, which runs again".to_owned(),
            tasks => format!("{} other tasks, which run again", number(tasks)),
        };
        rows.push(("lost with it", lost));
    }
    rows.push(("try", object.suggestion.clone()));
    let mut text = pairs(&rows);
    // Whole lines, whatever the width: they are to be pasted.
    text.push_str("\nrun it alone, or under a debugger:");
    for more in ["", " --debugger gdb"] {
        text.push_str(&format!("\n  {}{more}", object.replay));
    }
    if !object.frames.is_empty() {
        text.push_str("\nbacktrace, the innermost call first:");
        text.extend(backtrace(&object.frames).iter().map(|row| format!("\n  {row}")));
    }
    if !object.last_lines.is_empty() {
        text.push_str("\nlast lines of its log:");
        text.extend(last_lines(object).iter().map(|line| format!("\n  {line}")));
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
    match (object.memory_peak_bytes, object.memory_limit_bytes) {
        (_, Some(limit)) if object.cause == "memory" => {
            format!("the executor reached the {} that --mem allows", bytes(limit))
        }
        (Some(peak), Some(limit)) => {
            format!("the executor had up to {} of the {} that --mem allows", bytes(peak), bytes(limit))
        }
        (Some(peak), None) => format!("the executor had up to {}; there was no limit", bytes(peak)),
        (None, Some(limit)) => format!("the limit was {}; how much it had is not known", bytes(limit)),
        (None, None) => "not known".to_owned(),
    }
}

/// The calls, with those that repeat told once and what is in the middle of a long stack left out.
fn backtrace(frames: &[Frame]) -> Vec<String> {
    let mut rows: Vec<(usize, String)> = Vec::new();
    let mut at = 0;
    for run in frames.chunk_by(|a, b| a.function.is_some() && a.function == b.function) {
        rows.push((1, format!("{at:>2} {}", frame_row(&run[0]))));
        match run.len() {
            1 => {}
            2 => rows.push((1, format!("{:>2} {}", at + 1, frame_row(&run[1])))),
            more => rows.push((more - 1, format!("   .. and {} more calls of it", more - 1))),
        }
        at += run.len();
    }
    if rows.len() > FRAMES_INSIDE + FRAMES_OUTSIDE + 1 {
        let outside = rows.len() - FRAMES_OUTSIDE;
        let left_out: usize = rows[FRAMES_INSIDE..outside].iter().map(|(calls, _)| calls).sum();
        rows.splice(FRAMES_INSIDE..outside, [(left_out, format!("   .. {left_out} calls are left out"))]);
    }
    rows.into_iter().map(|(_, row)| row).collect()
}

/// What the task said last. A stack that Rust printed is left out where the backtrace tells it better.
fn last_lines(object: &Object) -> Vec<String> {
    let is_of_stack = |line: &String| {
        let rest = line.trim_start();
        let numbered = rest.split_once(": ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
        rest.len() < line.len() && (rest.starts_with("at ") || numbered)
    };
    let mut shown = Vec::new();
    for run in object.last_lines.chunk_by(|a, b| is_of_stack(a) == is_of_stack(b)) {
        if is_of_stack(&run[0]) && run.len() >= PRINTED_STACK_MIN && !object.frames.is_empty() {
            shown.push(format!("(a stack in {} lines; the backtrace above has it)", run.len()));
        } else {
            shown.extend(run.iter().map(|line| escaped(line.as_bytes())));
        }
    }
    shown
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
    use crate::postmortem::Replay;
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
        let report = v1::PostMortem {
            index,
            r#final: true,
            attempts: vec![attempt(2), attempt(3)],
            forgotten: 1,
            input: None,
        };
        Object::new(4, &Replay::new("crash", None), &report)
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
    fn long_stacks_are_cut_in_the_middle() {
        let frame = |name: &str| Frame {
            function: Some(name.into()),
            file: None,
            line: None,
            module: "m".into(),
            offset: 1,
        };
        let deep = [vec![frame("deeper"); 60], vec![frame("run"), frame("main")]].concat();
        assert_eq!(
            backtrace(&deep),
            [" 0 deeper at m+0x1", "   .. and 59 more calls of it", "60 run at m+0x1", "61 main at m+0x1"]
        );
        let long: Vec<Frame> = (0..50).map(|at| frame(&format!("f{at}"))).collect();
        let rows = backtrace(&long);
        assert_eq!(
            (rows.len(), rows[14].as_str(), rows[20].as_str()),
            (21, "   .. 30 calls are left out", "49 f49 at m+0x1")
        );
    }

    #[test]
    fn a_stack_in_the_log_is_not_told_twice() {
        let mut object = object(1, v1::FailureClass::Panicked);
        let printed = [
            "",
            "thread panicked",
            "stack backtrace:",
            "   0: a",
            "   1: b",
            "      at /x:1",
            "   2: c",
            "note",
        ];
        object.last_lines = super::super::told(printed.map(String::from).to_vec());
        let stack = "(a stack in 4 lines; the backtrace above has it)";
        assert_eq!(last_lines(&object), ["thread panicked", "stack backtrace:", stack, "note"]);
        object.frames.clear();
        assert_eq!(last_lines(&object).len(), 7);
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
