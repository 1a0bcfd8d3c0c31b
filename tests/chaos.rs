//! Each mode of the plugin `chaos`, in executors of one thread: how the job ends, which task fails and why, how often
//! the fault struck, and that the results of all other tasks are right and there once.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Finished, Muster, Trace, plugin, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const TASKS: u64 = 40;
/// The one that is struck.
const STRUCK: u64 = 17;

/// What a mode does to a job of [`TASKS`] of which one is struck.
struct Case {
    parameters: &'static [&'static str],
    /// How often the fault strikes.
    strikes: usize,
    /// What is said of the task that fails; none: all are done.
    failure: Option<&'static [&'static str]>,
    /// The executors that end with it, at least.
    exits: usize,
}

const CASES: &[Case] = &[
    Case { parameters: &["mode=error"], strikes: 1, failure: Some(&["task 17 fails as asked"]), exits: 0 },
    Case { parameters: &["mode=transient"], strikes: 3, failure: Some(&["for now, as asked"]), exits: 0 },
    Case { parameters: &["mode=transient", "times=2"], strikes: 2, failure: None, exits: 0 },
    Case { parameters: &["mode=panic"], strikes: 1, failure: Some(&["task 17 panics as asked"]), exits: 0 },
    Case { parameters: &["mode=panic-in-drop"], strikes: 3, failure: Some(&["SIGABRT"]), exits: 3 },
    Case { parameters: &["mode=abort"], strikes: 3, failure: Some(&["SIGABRT"]), exits: 3 },
    Case { parameters: &["mode=abort", "times=1"], strikes: 1, failure: None, exits: 1 },
    Case { parameters: &["mode=segv"], strikes: 3, failure: Some(&["SIGSEGV"]), exits: 3 },
    Case { parameters: &["mode=stack"], strikes: 3, failure: Some(&["overflow"]), exits: 3 },
    Case { parameters: &["mode=exit", "code=5"], strikes: 3, failure: Some(&["exit code 5"]), exits: 3 },
    Case { parameters: &["mode=exit"], strikes: 3, failure: Some(&["exit code 0"]), exits: 3 },
    Case {
        parameters: &["mode=oom", "bytes=33554432"],
        strikes: 1,
        failure: Some(&["33554432 bytes", "nothing stopped it"]),
        exits: 0,
    },
    Case { parameters: &["mode=leak", "bytes=16777216"], strikes: 1, failure: None, exits: 0 },
    Case { parameters: &["mode=fd-leak"], strikes: 1, failure: None, exits: 0 },
    Case { parameters: &["mode=corrupt-output"], strikes: 1, failure: Some(&["8"]), exits: 0 },
    Case { parameters: &["mode=slow", "ms=3"], strikes: 1, failure: None, exits: 0 },
];

/// Runs it in four executors of one thread.
fn arguments<'a>(plugin: &'a str, parameters: &[&'a str]) -> Vec<&'a str> {
    let mut arguments =
        vec!["run", plugin, "after=17", "every=1000000", "trace=trace", "-n", "40", "--out", "out"];
    arguments.extend(["--json", "--model", "process", "-p", "4", "--oversubscribe"]);
    arguments.extend(parameters);
    arguments
}

/// The results are there, each once and right, but that of the struck task when it failed.
fn check_results(muster: &Muster, finished: &Finished, case: &Case) {
    let text = String::from_utf8(muster.read("out")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len() as u64, TASKS, "{:?}: {}", case.parameters, finished.stderr);
    for (index, line) in (0..).zip(&lines) {
        if index != STRUCK || case.failure.is_none() {
            assert_eq!(*line, json!({"index": index, "output": index}), "{:?}", case.parameters);
        }
    }
    if let Some(words) = case.failure {
        let error = lines[STRUCK as usize]["error"].as_str().unwrap();
        for word in words {
            assert!(error.contains(word), "{:?}: {word:?} is not in {error:?}", case.parameters);
        }
    }
}

#[test]
fn each_mode_costs_the_task_that_is_struck_and_no_other() {
    let chaos = plugin("chaos");
    for case in CASES {
        let muster = Muster::new();
        let finished = muster.run(&arguments(&chaos, case.parameters));
        let finished = finished.exits(i32::from(case.failure.is_some()));
        let (report, failed) = (finished.json(), u64::from(case.failure.is_some()));
        let counted = json!([report["ok"], report["failed"], report["lost_workers"]]);
        assert_eq!(counted, json!([TASKS - failed, failed, 0]), "{:?}: {report}", case.parameters);
        let trace = Trace::read(&muster.path("trace"));
        assert_eq!(trace.strikes(), case.strikes, "{:?}: {report}", case.parameters);
        assert!(trace.of("strike").all(|event| event.index == STRUCK), "{:?}", case.parameters);
        let exits = report["executor_exits"].as_u64().unwrap();
        assert!(exits >= case.exits as u64, "{:?}: {report}", case.parameters);
        assert_eq!(exits > 0, case.exits > 0, "{:?}: {report}", case.parameters);
        check_results(&muster, &finished, case);
        muster.assert_no_process_left();
    }
}

/// Nobody comes back from these: the job is interrupted when the results of all other tasks have come.
#[test]
fn tasks_that_never_end_are_ended_with_their_job() {
    let chaos = plugin("chaos");
    for mode in ["mode=hang", "mode=deadlock"] {
        let muster = Muster::new();
        muster.run(&["up", "-w", "1", "-t", "4", "--oversubscribe", "--allow-chaos"]).ok();
        let run = muster.start(&arguments(&chaos, &[mode]));
        let path = muster.path("trace");
        assert!(wait_until(|| Trace::read(&path).done().len() as u64 == TASKS - 1), "{mode}");
        let come = || muster.run(&["job", "info", "1", "--json"]).ok().json()["ok"] == TASKS - 1;
        assert!(wait_until(come), "{mode}: results of others have not come");
        run.signal(libc::SIGINT);
        let report = run.finish().exits(130).json();
        assert_eq!(Trace::read(&path).strikes(), 1, "{mode}: {report}");
        let text = String::from_utf8(muster.read("out")).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let others = (0..TASKS).filter(|index| *index != STRUCK);
        let wanted: Vec<Value> = others.map(|index| json!({"index": index, "output": index})).collect();
        assert_eq!(lines, wanted, "{mode}");
        muster.run(&["down"]).ok();
        muster.assert_no_process_left();
    }
}

/// Children that a task starts are counted while the job runs; none is there when it has ended.
#[test]
fn children_are_started_and_do_not_survive_the_job() {
    let chaos = plugin("chaos");
    let muster = Muster::new();
    let case =
        Case { parameters: &["mode=fork-children", "children=5"], strikes: 1, failure: None, exits: 0 };
    let mut parameters = case.parameters.to_vec();
    // The last task takes long enough to look at the children meanwhile.
    parameters.extend(["ms=400"]);
    let run = muster.start(&arguments(&chaos, &parameters));
    let sleeping =
        || muster.processes().into_iter().filter(|(_, line)| line.starts_with("sleep 600")).count();
    assert!(
        wait_until(|| sleeping() == 6),
        "five children and one in a session of its own: {:?}",
        muster.processes()
    );
    let finished = run.finish().ok();
    assert_eq!(Trace::read(&muster.path("trace")).strikes(), case.strikes);
    check_results(&muster, &finished, &case);
    muster.assert_no_process_left();
}

#[test]
fn shared_clusters_refuse_it_unless_they_were_told_to_allow_it() {
    let muster = Muster::new();
    let chaos = plugin("chaos");
    let job = ["run", &chaos, "mode=segv", "times=1", "after=1", "every=9", "-n", "10"];
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    muster.run(&job).fails(2, &["chaos is made to harm its process", "--cluster private", "--allow-chaos"]);
    let submit: Vec<&str> = std::iter::once("submit").chain(job[1..].iter().copied()).collect();
    muster.run(&submit).fails(2, &["--allow-chaos"]);
    assert!(muster.run(&["job", "ls", "--json"]).ok().json()["jobs"].as_array().unwrap().is_empty());
    let mut private = job.to_vec();
    private.extend(["--cluster", "private"]);
    muster.run(&private).ok();
    muster.run(&["down"]).ok();
    muster.run(&["up", "-w", "1", "-t", "1", "--allow-chaos"]).ok();
    muster.run(&job).ok();
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
}

/// Dozens of executors that end alike have one line in the log, and one in the end that counts them.
#[test]
fn ends_of_one_kind_are_told_once_and_counted() {
    let muster = Muster::new();
    let chaos = plugin("chaos");
    let job =
        ["run", &chaos, "mode=abort", "times=1", "ms=0", "-n", "12", "-p", "2", "--oversubscribe", "--json"];
    let finished = muster.run(&job).ok();
    let exits = finished.json()["exits"]["aborted"].as_u64().unwrap();
    assert!(exits >= 12, "{exits}");
    let ends: Vec<&str> = finished.stderr.lines().filter(|line| line.contains("ended")).collect();
    assert_eq!(ends.len(), 2, "{}", finished.stderr);
    assert!(ends[0].contains("an executor ended") && ends[0].contains("SIGABRT"), "{}", ends[0]);
    assert!(ends[1].contains(&format!("(and {} more like it)", exits - 1)), "{exits}: {}", ends[1]);
}

/// The same tasks are struck whatever the shape, and another seed strikes others.
#[test]
fn chances_follow_from_the_seed() {
    let chaos = plugin("chaos");
    let struck = |seed: &str, shape: &[&str]| {
        let muster = Muster::new();
        let mut arguments = vec![
            "run",
            &chaos,
            "mode=error",
            "probability=0.2",
            "ms=0",
            "trace=trace",
            "-n",
            "100",
            "--seed",
            seed,
        ];
        arguments.extend(shape);
        muster.run(&arguments).exits(1);
        Trace::read(&muster.path("trace")).of("strike").map(|event| event.index).collect::<BTreeSet<_>>()
    };
    let first = struck("1", &["-t", "1"]);
    assert!((5..40).contains(&first.len()), "{first:?}");
    assert_eq!(first, struck("1", &["-p", "2", "--oversubscribe"]));
    assert_ne!(first, struck("2", &["-t", "1"]));
}
