//! `muster trace`: single tasks over time, in a format that others read.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;
mod kept_run;
mod trace_format;

use fixture::{Muster, plugin, wait_until};
use kept_run::Kept;
use serde_json::Value;
use std::collections::BTreeSet;
use trace_format::TraceFile;

/// Runs a job on a cluster of its own, and then `muster trace`; gives what was said, and the trace.
fn traced(muster: &Muster, arguments: &[&str]) -> (String, TraceFile) {
    let run = muster.run(&[&["run"], arguments].concat()).ok();
    assert!(run.stderr.contains("trace: muster trace"), "{}", run.stderr);
    let drawn = muster.run(&["trace", "-o", "trace.json"]).ok();
    assert!(drawn.text().is_empty(), "{}", drawn.text());
    (drawn.stderr, TraceFile::parse(&muster.read("trace.json")))
}

fn about(trace: &TraceFile) -> &Value {
    &trace.other["about"]["recordings"][0]
}

#[test]
fn each_task_of_a_hybrid_run_is_there_once_on_the_thread_that_ran_it() {
    let muster = Muster::new();
    let sleep = plugin("sleep");
    let shape = ["--model", "hybrid", "-p", "2", "-t", "2", "--oversubscribe", "--trace"];
    let (said, trace) = traced(&muster, &[&[sleep.as_str(), "ms=2", "-n", "200"], &shape[..]].concat());
    assert!(said.contains("all 200 tasks") && said.contains("https://ui.perfetto.dev"), "{said}");
    assert_eq!((&about(&trace)["tasks_shown"], &about(&trace)["sampled"]), (&200.into(), &false.into()));
    let by_task = trace.by_task();
    assert!(by_task.keys().copied().eq(0..200), "{:?}", by_task.keys());
    assert!(by_task.values().all(|slices| slices.len() == 1));
    for (index, slices) in &by_task {
        let (slice, took) = (slices[0], slices[0].end - slices[0].begin);
        assert_eq!(slice.name, format!("task {index}"));
        assert!((2_000_000..2_000_000_000).contains(&took), "{slice:?}");
    }
    // Two executors of two threads: four tracks, and those of an executor are in one process.
    let places: BTreeSet<(u64, u64)> = trace.tasks().iter().map(|slice| slice.place).collect();
    let processes: BTreeSet<u64> = places.iter().map(|place| place.0).collect();
    assert_eq!((places.len(), processes.len()), (4, 2), "{:?}", trace.threads);
    for pid in processes {
        assert!(trace.processes[&pid].contains(" > executor "), "{:?}", trace.processes);
        let names: Vec<&str> =
            trace.threads.iter().filter(|(place, _)| place.0 == pid).map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["thread 0", "thread 1"]);
    }
    // From the submit to each task.
    let job = trace.slices.iter().find(|slice| slice.cat == "job").unwrap();
    assert_eq!(trace.flows.len(), 200);
    assert!(trace.flows.values().all(|places| places.len() == 2 && places[0] == job.place));
    assert!(trace.tasks().iter().all(|slice| slice.end <= job.end), "{job:?}");
    // Everything that waited began, and everything that began ended.
    for name in ["queued", "running"] {
        let (_, values) = trace.counters.iter().find(|((_, found), _)| found == name).unwrap();
        assert!(
            values.iter().all(|&(_, value)| value >= 0.0) && values.last().unwrap().1 == 0.0,
            "{values:?}"
        );
        let most = values.iter().map(|&(_, value)| value as u64).max().unwrap();
        assert!(if name == "running" { most == 4 } else { most > 4 }, "{name}: {most}");
    }
}

#[test]
fn waits_for_the_lock_are_inside_the_tasks_that_waited() {
    let muster = Muster::new();
    let looped = plugin("loop");
    let shape = ["--model", "gil", "-t", "2", "--oversubscribe", "--gil-switch", "1ms", "--trace"];
    let (_, trace) =
        traced(&muster, &[&[looped.as_str(), "iters=10000000", "-n", "12"], &shape[..]].concat());
    assert_eq!(trace.by_task().len(), 12);
    let waits = trace.lock_waits();
    assert!(waits.len() >= 12, "{}", waits.len());
    for wait in &waits {
        let task = trace.around(wait, "task").unwrap_or_else(|| panic!("{wait:?} is in no task"));
        assert!(task.args["lock_wait_us"].as_f64().unwrap() * 1e3 >= (wait.end - wait.begin) as f64 - 1.0);
    }
    // One of them computes at a time: together they do not compute for longer than the job takes.
    let span = |slices: &[&trace_format::Slice]| slices.iter().map(|it| it.end - it.begin).sum::<u64>();
    let job = trace.slices.iter().find(|slice| slice.cat == "job").unwrap();
    let waited: f64 = trace.tasks().iter().filter_map(|it| it.args.get("lock_wait_us")?.as_f64()).sum();
    let computed = span(&trace.tasks()) as f64 - waited * 1e3;
    assert!(computed <= 1.05 * (job.end - job.begin) as f64, "{computed} of {}", job.end - job.begin);
}

#[test]
fn attempts_that_failed_or_crashed_have_slices_of_their_own() {
    let muster = Muster::new();
    let chaos = plugin("chaos");
    let job = ["every=10", "times=1", "ms=1", "-n", "40", "--backoff", "5ms", "--trace"];
    let shape = ["--model", "process", "-p", "2", "--oversubscribe"];
    for (mode, end) in [("transient", "failed"), ("abort", "crashed")] {
        let mode = format!("mode={mode}");
        let arguments = [&[chaos.as_str(), &mode], &job[..], &shape[..]].concat();
        let (_, trace) = traced(&muster, &arguments);
        let by_task = trace.by_task();
        assert_eq!(by_task.len(), 40, "{mode}");
        for (index, slices) in &by_task {
            let ends: Vec<&str> = slices.iter().map(|slice| slice.args["end"].as_str().unwrap()).collect();
            let attempts: Vec<u64> =
                slices.iter().map(|slice| slice.args["attempt"].as_u64().unwrap()).collect();
            if index % 10 == 0 {
                assert_eq!((ends[0], ends[ends.len() - 1]), (end, "ok"), "{mode}: task {index}");
                // The result of a run can be lost when another task ends the executor.
                assert!(ends.len() == 2 || end == "crashed", "{mode}: task {index}: {ends:?}");
                assert_eq!(slices[0].name, format!("task {index} (attempt 1 {end})"));
                assert!(attempts[1] > attempts[0] && slices[0].end <= slices[1].begin, "{slices:?}");
            } else {
                // What was lost in a crash beside the culprit has run again.
                assert_eq!(ends.last(), Some(&"ok"), "{mode}: task {index}");
            }
        }
        let twice = trace.flows.values().filter(|places| places.len() > 2).count();
        assert!(twice >= 4, "{mode}: {twice}");
    }
}

#[test]
fn a_large_job_is_sampled_and_says_so() {
    let muster = Muster::new();
    let null = plugin("null");
    for shape in [&["-t", "2", "--oversubscribe"][..], &["--model", "async", "-t", "1", "--in-flight", "100"]]
    {
        let arguments = [&[null.as_str(), "-n", "300000", "--trace=250"], shape].concat();
        let (said, trace) = traced(&muster, &arguments);
        assert!(said.contains("250 of 300,000 tasks, drawn at random"), "{said}");
        let facts = about(&trace);
        assert_eq!(
            (&facts["sampled"], &facts["tasks"], &facts["tasks_shown"]),
            (&true.into(), &300_000.into(), &250.into())
        );
        let by_task = trace.by_task();
        assert_eq!(by_task.len(), 250);
        assert!(by_task.values().all(|slices| slices.len() == 1));
        // They are drawn from all of the job.
        let later = by_task.keys().filter(|&&index| index >= 150_000).count();
        assert!((70..180).contains(&later), "{later} of 250 are in the second half");
    }
}

#[test]
fn jobs_of_a_cluster_are_traced_while_they_run_and_after() {
    let muster = Muster::new();
    let sleep = plugin("sleep");
    muster.run(&["up", "-w", "2", "-t", "1"]).ok();
    muster.run(&["submit", &sleep, "ms=5", "-n", "60", "--trace=1000"]).ok();
    muster.run(&["job", "wait", "1"]).ok();
    let drawn = muster.run(&["trace", "1", "-o", "-"]).ok();
    let trace = TraceFile::parse(drawn.text().as_bytes());
    assert_eq!((trace.by_task().len(), trace.tasks().len()), (60, 60));
    let executors: Vec<&String> =
        trace.processes.values().filter(|name| name.contains(" > executor ")).collect();
    assert_eq!(executors.len(), 2, "{:?}", trace.processes);
    // Tasks take 5 ms on one thread of each of two workers, whose clocks are one: at most two go at a time.
    let mut changes: Vec<(u64, i64)> =
        trace.tasks().iter().flat_map(|slice| [(slice.begin, 1), (slice.end, -1)]).collect();
    changes.sort_unstable();
    let mut going = 0;
    let most = changes.iter().map(|(_, change)| {
        going += change;
        going
    });
    assert!(most.max().unwrap() <= 2);
    // Asked for while it goes on.
    muster.run(&["submit", &sleep, "ms=20", "-n", "100000", "--trace=100"]).ok();
    let is_drawn = wait_until(|| muster.run(&["trace", "-o", "running.json"]).code() == 0);
    assert!(is_drawn);
    let drawn = muster.run(&["trace", "-o", "running.json"]).ok();
    assert!(drawn.stderr.contains("job 2 goes on"), "{}", drawn.stderr);
    assert!(!TraceFile::parse(&muster.read("running.json")).tasks().is_empty());
    muster.run(&["job", "cancel", "2"]).ok();
    muster.run(&["submit", &sleep, "ms=1", "-n", "10"]).ok();
    muster.run(&["job", "wait", "3"]).ok();
    muster.run(&["trace"]).fails(3, &["job 3 was not traced", "--trace"]);
    muster.run(&["trace", "77"]).fails(3, &["77"]);
    // After a restart nothing is known of single tasks.
    muster.run(&["down"]).ok();
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    muster.run(&["trace", "1"]).fails(3, &["job 1 has no single tasks any more", "run it again"]);
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
}

#[test]
fn what_cannot_be_drawn_or_written_is_said_in_one_line() {
    let muster = Muster::new();
    muster.run(&["trace"]).fails(5, &["no cluster is up, and no traced run is remembered", "--trace"]);
    muster.run(&["trace", "seven"]).fails(2, &["a job is its number or `last`, a comparison run:N"]);
    muster.run(&["trace", "run:3"]).fails(3, &["no run 3 in .muster/runs"]);
    muster.run(&["run", "nothing", "--trace=0"]).fails(2, &["at least 1"]);
    muster.run(&["run", "nothing", "--trace=10001"]).fails(2, &["at most 10000"]);
    muster.run(&["run", &plugin("null"), "-n", "5", "--trace"]).ok();
    muster.run(&["trace", "7"]).fails(5, &["no cluster is up that could know job 7"]);
    muster.run(&["trace", "--block", "2"]).fails(2, &["--block 2 is for comparisons"]);
    muster.run(&["trace", "-o", "."]).fails(2, &["-o . is a folder"]);
    muster.write("notes.json", "{\"mine\": true}");
    muster.run(&["trace", "-o", "notes.json"]).fails(2, &["notes.json is there and is no trace of muster"]);
    assert_eq!(muster.read("notes.json"), b"{\"mine\": true}");
    muster
        .run(&["trace", "-o", "no/such/trace.json"])
        .fails(3, &["cannot write no/such/trace.json", "mkdir -p"]);
    muster.run(&["trace", "-o", "/dev/full"]).fails(9, &["cannot write /dev/full: No space left on device"]);
    // A trace of before is replaced.
    muster.run(&["trace"]).ok();
    muster.run(&["trace"]).ok();
    assert_eq!(TraceFile::parse(&muster.read("trace.json")).by_task().len(), 5);
}

#[test]
fn configurations_of_a_comparison_are_beside_each_other() {
    let muster = Muster::new();
    Kept::grid(1, "primes").write(&muster);
    let said = muster.run(&["trace", "run:1", "-o", "-"]).ok();
    let trace = TraceFile::parse(said.text().as_bytes());
    assert_eq!((trace.by_task().len(), &about(&trace)["tasks"]), (12, &64.into()));
    assert!(trace.processes.values().any(|name| name == "thread 1x1"), "{:?}", trace.processes);
    muster
        .run(&["trace", "run:1", "--block", "9"])
        .fails(3, &["run 1 has no single tasks of block 9", "blocks 1 to 1"]);
    // A new one also keeps where tasks ran.
    let sleep = plugin("sleep");
    let shapes = ["--models", "thread,process", "--slots", "2"];
    let size = ["ms=10", "-n", "60", "--blocks", "5"];
    muster.run(&[&["compare", &sleep], &size[..], &shapes[..]].concat());
    let drawn = muster.run(&["trace", "run:last", "-o", "-"]).ok();
    let trace = TraceFile::parse(drawn.text().as_bytes());
    let of = |name: &str| {
        let pids: BTreeSet<u64> = trace
            .tasks()
            .iter()
            .map(|slice| slice.place.0)
            .filter(|pid| trace.processes[pid].starts_with(name))
            .collect();
        let threads = trace.threads.keys().filter(|place| pids.contains(&place.0)).count();
        (pids.len(), threads)
    };
    assert_eq!((of("thread"), of("process")), ((1, 2), (2, 2)), "{:?}", trace.processes);
}
