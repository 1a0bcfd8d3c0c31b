//! A panic in each function of the plugin's table: its guard must make an error of it, and the process live on.

use super::ask::{Answer, ask};
use super::check::Check;
use super::inside::{Lines, Request};
use super::models::Run;
use super::subject::Subject;
use crate::exit::Failure;
use muster_plugin_host::{
    EndedTask, ErrorKind, HostServices, Inputs, Job, LogLevel, NOTHING_DONE, Next, OutBuffer, Plugin,
    RangeInput, Slot, SlotWords, Take, TaskError, TaskSource, Ticket,
};
use muster_plugin_host::{F_ASYNC, futex, hook};
use serde_json::{Value, json};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

pub const QUESTION: &str = "panics";
pub const QUESTION_LOAD: &str = "panic in load";
const NAME: &str = "panics are caught";
/// A task that does not panic is asked to stop then.
const ASKED_AFTER: Duration = Duration::from_millis(200);
const ADVICE: &str = "catch panics and exceptions in every function of the table, and return MUSTER_E_PANIC";

/// Asks two children: `load` happens once in a process.
pub async fn check(subject: &Subject, runs: &[Run]) -> Result<Check, Failure> {
    let ran = runs.iter().find_map(|run| run.ran.as_ref());
    let result = ran.and_then(|ran| ran.results.first()).map(|(_, result)| &result[..]);
    let load = ask(subject, QUESTION_LOAD, result).await?;
    let others = ask(subject, QUESTION, result).await?;
    Ok(verdict(&[load, others]))
}

fn verdict(answers: &[Answer]) -> Check {
    let ended = |answer: &Answer| answer.lines.iter().filter(|line| line["outcome"].is_string()).count();
    let lines = || answers.iter().flat_map(|answer| &answer.lines);
    let asked: Vec<&Value> = lines().filter(|line| line["asked"] == true).collect();
    for answer in answers {
        let begun = answer.lines.iter().filter_map(|line| line["begin"].as_str()).nth(ended(answer));
        match (&answer.end, begun) {
            (Some(end), Some(hook)) => {
                return Check::fail(NAME, format!("a panic in {hook}: {end}"), ADVICE);
            }
            (Some(end), None) => return Check::fail(NAME, end.clone(), ADVICE),
            (None, _) => {}
        }
    }
    if let Some(error) = lines().find_map(|line| line["error"].as_str()) {
        return Check::fail(NAME, error, "it must load, and accept a job, before and after a panic");
    }
    if asked.is_empty() {
        let why =
            "its functions do not ask for rehearsals (muster.rehearsal/1), as the SDKs in Rust and C++ do";
        return Check::not_checked(NAME, why, "");
    }
    let name = |line: &&Value| line["hook"].as_str().unwrap_or_default().to_owned();
    let wrong: Vec<String> = asked
        .iter()
        .filter(|line| line["outcome"] != "panic" && line["outcome"] != "nothing to return")
        .map(|line| format!("{} returned {}", name(line), line["outcome"]))
        .collect();
    if !wrong.is_empty() {
        return Check::fail(NAME, format!("after a panic {}", wrong.join(", ")), ADVICE);
    }
    let names: Vec<String> = asked.iter().map(name).collect();
    Check::pass(NAME, format!("in {} functions: {}", names.len(), names.join(", ")))
}

/// The host of a rehearsal: it says which function is to panic, and notes that it was asked.
#[derive(Debug, Default)]
struct Stage {
    armed: AtomicU32,
    asked: AtomicU32,
}

impl HostServices for Stage {
    fn log(&self, _slot: Option<u32>, _level: LogLevel, _text: &str) {}

    fn rehearses(&self, hook: u32) -> Option<bool> {
        let is_now = hook != 0 && self.armed.load(Ordering::SeqCst) == hook;
        if is_now {
            self.asked.store(hook, Ordering::SeqCst);
        }
        Some(is_now)
    }
}

impl Stage {
    /// Calls a function that is to panic, and says what came of it.
    fn play(&self, lines: &mut Lines, hook: u32, call: impl FnOnce() -> Option<Result<(), TaskError>>) {
        let name = hook::ALL.iter().find(|(known, _)| *known == hook).map_or("?", |(_, name)| name);
        lines.say(&json!({ "begin": name }));
        self.armed.store(hook, Ordering::SeqCst);
        let outcome = match call() {
            None => "nothing to return".to_owned(),
            Some(Ok(())) => "OK".to_owned(),
            Some(Err(error)) if error.kind == ErrorKind::Panic => "panic".to_owned(),
            Some(Err(error)) => error.to_string(),
        };
        self.armed.store(0, Ordering::SeqCst);
        let asked = self.asked.swap(0, Ordering::SeqCst) == hook;
        lines.say(&json!({"hook": name, "asked": asked, "outcome": outcome}));
    }
}

/// In the child.
pub fn answer(request: &Request, load: bool, lines: &mut Lines) {
    let stage = Arc::new(Stage::default());
    let services: Arc<dyn HostServices> = stage.clone();
    if load {
        // What the loader says of it is text: that the process lives is what counts.
        return stage.play(lines, hook::LOAD, || {
            drop(Plugin::load(&request.plugin, services));
            None
        });
    }
    match Plugin::load(&request.plugin, services) {
        Ok(plugin) => rehearse(request, &stage, &plugin, lines),
        Err(error) => lines.say(&json!({"error": error.to_string()})),
    }
}

fn rehearse(request: &Request, stage: &Stage, plugin: &Plugin, lines: &mut Lines) {
    stage.play(lines, hook::CREATE, || Some(plugin.create(request.job()).map(drop)));
    let job = match plugin.create(request.job()) {
        Ok(job) => job,
        Err(error) => {
            return lines.say(&json!({"error": format!("no job after a panic in create: {error}")}));
        }
    };
    let (cancel, current, progress) = (AtomicU32::new(0), AtomicU64::new(0), AtomicU64::new(NOTHING_DONE));
    let words = SlotWords { cancel: &cancel, current: &current, progress: &progress };
    let mut slot = Slot::new(0, words);
    stage.play(lines, hook::RUN, || {
        let outcome = stopped_soon(&cancel, || run(request, &job, &mut slot));
        // A function that did not ask has done its work, or was stopped in it.
        (stage.asked.load(Ordering::SeqCst) == hook::RUN).then_some(outcome)
    });
    let manifest = &plugin.inspection().manifest;
    // A function that does not ask gets what it would get of a host: a result of a task of its own.
    if let Some(result) = request.result().filter(|_| manifest.reduce()) {
        combine(stage, &job, &mut slot, &result, lines);
    }
    if manifest.has(F_ASYNC) {
        stage.play(lines, hook::DRIVE, || Some(drive(&job, &mut slot)));
    }
    stage.play(lines, hook::DESTROY, || {
        drop(job);
        None
    });
    if let Err(error) = plugin.create(request.job()) {
        lines.say(&json!({"error": format!("no job after panics: {error}")}));
    }
}

/// Does something that is asked to stop after a while.
fn stopped_soon<T>(cancel: &AtomicU32, work: impl FnOnce() -> T) -> T {
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // An answer or a closed channel: it is over.
            if is_done.recv_timeout(ASKED_AFTER) == Err(RecvTimeoutError::Timeout) {
                cancel.store(1, Ordering::SeqCst);
                futex::wake(cancel, u32::MAX);
            }
        });
        let outcome = work();
        drop(done);
        outcome
    })
}

fn run(request: &Request, job: &Job, slot: &mut Slot<'_>) -> Result<(), TaskError> {
    let input = request.input();
    let offsets = [0, input.as_ref().map_or(0, Vec::len) as u64];
    let inputs = input.as_ref().and_then(|input| Inputs::new(input, &offsets));
    let range = RangeInput { start: 0, count: 1, attempt: 1, inputs };
    job.run_range(slot, range, &mut OutBuffer::new()).failure.map_or(Ok(()), Err)
}

/// The functions of a reduction; after each panic the job has a new object, and accumulators begin anew.
fn combine(stage: &Stage, job: &Job, slot: &mut Slot<'_>, result: &[u8], lines: &mut Lines) {
    let filled = |slot: &mut Slot<'_>| {
        let mut acc = job.accumulator(slot)?;
        acc.add(slot, 0, result).map(|()| acc)
    };
    let partial = match filled(slot).and_then(|acc| acc.take(slot, Take::Partial)) {
        Ok(partial) => partial,
        Err(error) => {
            return lines.say(&json!({"error": format!("its own result cannot be combined: {error}")}));
        }
    };
    stage.play(lines, hook::ACC_NEW, || Some(job.accumulator(slot).map(drop)));
    stage.play(lines, hook::ACC_ADD, || Some(filled(slot).map(drop)));
    stage.play(lines, hook::ACC_MERGE, || {
        Some(job.accumulator(slot).and_then(|mut acc| acc.merge(slot, &partial)))
    });
    stage.play(lines, hook::ACC_JOIN, || {
        let other = filled(slot);
        Some(job.accumulator(slot).and_then(|mut acc| acc.join(slot, other?)))
    });
    stage.play(lines, hook::ACC_TAKE, || {
        Some(filled(slot).and_then(|acc| acc.take(slot, Take::Partial)).map(drop))
    });
    stage.play(lines, hook::ACC_FREE, || {
        drop(job.accumulator(slot));
        None
    });
}

/// A drive without tasks.
fn drive(job: &Job, slot: &mut Slot<'_>) -> Result<(), TaskError> {
    struct Nothing;
    impl TaskSource for Nothing {
        fn next(&mut self, _running: u32) -> Next {
            Next::Close
        }
        fn begun(&mut self, _token: u64, _ticket: Ticket) {}
        fn ended(&mut self, _task: EndedTask) {}
        fn enter(&mut self, _task: Option<(u64, u64)>) {}
        fn misused(&mut self, _text: &str) {}
    }
    let pipe = std::io::pipe();
    let Ok((wake, _keeps_it_open)) = pipe else { return Ok(()) };
    job.drive(slot, 1, wake.as_fd(), &mut Nothing)
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    fn answer(lines: &[Value], end: Option<&str>) -> Answer {
        Answer { lines: lines.to_vec(), end: end.map(str::to_owned) }
    }

    #[test]
    fn the_function_that_did_not_catch_is_named() {
        let caught = |hook: &str, outcome: &str| {
            [json!({ "begin": hook }), json!({"hook": hook, "asked": true, "outcome": outcome})]
        };
        let good =
            answer(&[caught("create", "panic"), caught("destroy", "nothing to return")].concat(), None);
        let check = verdict(&[good]);
        assert_eq!(
            (check.verdict, check.measured.as_str()),
            (Verdict::Pass, "in 2 functions: create, destroy")
        );
        let [begin, _] = caught("acc_add", "");
        let dead = answer(&[&caught("create", "panic")[..], &[begin]].concat(), Some("it died"));
        let check = verdict(&[dead]);
        assert_eq!((check.verdict, check.measured.as_str()), (Verdict::Fail, "a panic in acc_add: it died"));
        let wrong = verdict(&[answer(&caught("run", "OK"), None)]);
        assert!(wrong.verdict == Verdict::Fail && wrong.measured.contains("run returned"), "{wrong:?}");
        let silent = json!({"hook": "run", "asked": false, "outcome": "OK"});
        assert_eq!(verdict(&[answer(&[json!({"begin": "run"}), silent], None)]).verdict, Verdict::NotChecked);
    }
}
