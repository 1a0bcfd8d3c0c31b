//! What a worker says of an executor that crashed: the cause, the address, the function and the line; and whom it charges.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::coordinator::{Coordinator, Session, grant, open, results, settled};
use fixture::executor::{Executor, Job};
use fixture::plugin::{exercise, fault, fault_line};
use fixture::worker::Worker;
use muster_core::agent::ExitCause;
use muster_proto::convert::{Cause, Evidence};
use muster_proto::v1::{FailureClass, Report, TaskFailure, Work};
use muster_worker::crash::Role;
use std::path::Path;

const TASKS: u64 = 40;
const AT: u64 = 17;

/// A coordinator and a worker that has attached.
fn world(threads: u32) -> (Coordinator, Worker, Session) {
    let mut coordinator = Coordinator::start();
    let worker = Worker::start(&coordinator, &["--slots", &threads.to_string()]);
    let session = coordinator.session();
    (coordinator, worker, session)
}

/// Runs tasks of which one misbehaves, each until it has ended.
fn run(plugin: &Path, mode: &str, threads: u32) -> Report {
    run_until(plugin, mode, threads, |report| settled(report) == TASKS)
}

fn run_until(plugin: &Path, mode: &str, threads: u32, is_over: impl Fn(&Report) -> bool) -> Report {
    let (coordinator, worker, mut session) = world(threads);
    let plugin = coordinator.plugin(plugin);
    let opens = vec![open(1, &plugin, &format!(r#"{{"at":{AT},"mode":"{mode}"}}"#), threads)];
    coordinator.work(&session, Work { opens, grants: vec![grant(1, 5, 0, TASKS)], ..Work::default() });
    let report = coordinator.reports_until(&mut session, is_over);
    assert!(worker.is_running(), "{mode}: the worker survives");
    report
}

/// The one failure there is, of the task that misbehaved, with what is known of it.
fn only_failure(report: &Report, mode: &str) -> (TaskFailure, Evidence) {
    assert_eq!(report.failures.len(), 1, "{mode}: {:?}", report.failures);
    let failure = report.failures[0].clone();
    assert_eq!((failure.index, failure.class()), (AT, FailureClass::Crashed), "{mode}: {}", failure.message);
    let others: Vec<u64> = results(report).into_iter().map(|(index, _)| index).collect();
    assert!(others.into_iter().eq((0..AT).chain(AT + 1..TASKS)), "{mode}: each of the others once");
    let evidence = failure.evidence.clone().unwrap_or_else(|| panic!("{mode}: no evidence"));
    (failure, evidence.try_into().unwrap())
}

#[test]
fn each_crash_names_its_cause_its_function_and_its_line() {
    let Some(plugin) = fault() else { return };
    let (signal, aborted) = (ExitCause::Signal, ExitCause::Aborted);
    let cases = [
        ("null", signal, libc::SIGSEGV, "a null pointer was written to (address 0x8)", "write_to_null"),
        ("wild", signal, libc::SIGSEGV, "address 0x123456789000 was written to", "write_to_nowhere"),
        ("impossible", signal, libc::SIGSEGV, "non-canonical address", "write_to_impossible"),
        ("call", signal, libc::SIGSEGV, "a null pointer was called", "call_null"),
        ("stack", signal, libc::SIGSEGV, "a stack overflow", "nest"),
        ("fpe", signal, libc::SIGFPE, "divided by zero", "divide"),
        ("trap", signal, libc::SIGILL, "an illegal instruction", "trap"),
        ("bus", signal, libc::SIGBUS, "the file was truncated", "read_beyond_file"),
        ("abort", aborted, libc::SIGABRT, "aborted its process (SIGABRT)", "give_up"),
        ("callback", signal, libc::SIGSEGV, "a null pointer was written to (address 0x0)", "compare"),
        ("inlined", signal, libc::SIGSEGV, "a null pointer was written to (address 0x4)", "inlined"),
    ];
    for (mode, cause, number, words, function) in cases {
        if cfg!(not(target_arch = "x86_64")) && ["impossible", "fpe", "trap"].contains(&mode) {
            continue;
        }
        let report = run(&plugin, mode, 1);
        let (failure, evidence) = only_failure(&report, mode);
        assert_eq!((evidence.cause, evidence.signal), (Cause::Executor(cause), Some(number)), "{mode}");
        assert!(failure.message.contains(words), "{mode}: {}", failure.message);
        let frame = evidence.frames.iter().find(|frame| frame.function == function);
        let frame = frame.unwrap_or_else(|| panic!("{mode}: {:#?}", evidence.frames));
        assert!(frame.file.ends_with("fault.c"), "{mode}: {frame:?}");
        assert_eq!(frame.module, "fault", "{mode}");
        // A stack that is outgrown is first written to somewhere in the function.
        let is_deep = mode == "stack";
        assert!(frame.line.abs_diff(fault_line(mode)) <= if is_deep { 5 } else { 0 }, "{mode}: {frame:?}");
        let place = format!("in {function} (fault.c:{})", frame.line);
        assert!(failure.message.contains(&place), "{mode}: {}", failure.message);
        let outermost = evidence.frames.last().unwrap();
        assert_eq!(
            outermost.function,
            if is_deep { "nest" } else { "run" },
            "{mode}: muster's own calls are left out"
        );
        assert_eq!(evidence.truncated, is_deep, "{mode}");
        assert!(evidence.pid != 0 && evidence.started_ns < evidence.ended_ns, "{mode}");
        assert_eq!(report.exits.len(), 1, "{mode}");
        assert_eq!(report.exits[0].cause, cause.name());
        assert_eq!(report.exits[0].lost_tasks, evidence.lost_tasks, "{mode}");
    }
}

#[test]
fn a_record_survives_its_executor() {
    let Some(plugin) = fault() else { return };
    let mut took = Vec::new();
    for _ in 0..20 {
        let job = Job::new(2).params(r#"{"at":5,"mode":"null"}"#);
        let mut executor = Executor::with_job(&plugin, &job);
        assert_eq!(executor.crash.read(), None, "nothing has crashed");
        job.publish(0, 0, 10);
        assert_eq!(
            executor.wait_signal(),
            Some(libc::SIGSEGV),
            "the wait status is what it would be without"
        );
        let record = executor.crash.read().unwrap();
        assert_eq!((record.signal, record.address), (Some(libc::SIGSEGV), Some(8)));
        assert_eq!((record.sender, record.is_cut), (None, false));
        assert!(matches!(record.role, Role::Task { slot } if slot < 2), "{:?}", record.role);
        took.push(record.took_ns / 1_000);
    }
    took.sort_unstable();
    eprintln!("a record took {} to {} us to write, half of them up to {}", took[0], took[19], took[10]);
}

#[test]
fn calls_that_the_compiler_merged_come_apart() {
    let Some(plugin) = fault() else { return };
    let (_, evidence) = only_failure(&run(&plugin, "inlined", 1), "inlined");
    let calls: Vec<(&str, u32)> =
        evidence.frames.iter().map(|frame| (frame.function.as_str(), frame.line)).take(2).collect();
    assert_eq!(calls, [("inlined", fault_line("inlined")), ("around_inlined", fault_line("around"))]);
}

#[test]
fn only_the_task_whose_thread_crashed_is_charged() {
    let Some(plugin) = fault() else { return };
    for mode in ["null", "stack", "abort", "fpe"] {
        let report = run(&plugin, mode, 4);
        let (_, evidence) = only_failure(&report, mode);
        // Nobody had to run alone to find out: one executor was lost.
        assert_eq!(report.exits.len(), 1, "{mode}");
        assert!(evidence.lost_tasks >= 1, "{mode}: the other three were running");
    }
}

#[test]
fn an_end_without_a_thread_to_blame_charges_only_what_does_it_again() {
    let Some(plugin) = fault() else { return };
    for (mode, cause, words) in [
        ("exit-now", "exited", "exit code 3"),
        ("thread", "signal", "in a thread that the plugin started"),
        ("raise", "signal", "the plugin sent it to its own process"),
    ] {
        let report = run(&plugin, mode, 3);
        let (failure, evidence) = only_failure(&report, mode);
        assert!(report.exits.iter().all(|exit| exit.cause == cause), "{mode}: {:?}", report.exits);
        assert!(failure.message.contains(words), "{mode}: {}", failure.message);
        assert_eq!(evidence.exit_code, (mode == "exit-now").then_some(3));
        if mode == "thread" {
            let frame = evidence.frames.iter().find(|frame| frame.function == "in_thread").unwrap();
            assert_eq!(frame.line, fault_line("thread"));
        }
    }
}

/// It may come while any other task runs, and after the result of the one that sent it.
#[test]
fn a_signal_that_a_process_sends_itself_never_charges_what_runs_when_it_comes() {
    let Some(plugin) = fault() else { return };
    for threads in [1, 3] {
        // It may strike when all results are there already.
        let has_struck = |report: &Report| settled(report) == TASKS && !report.exits.is_empty();
        let report = run_until(&plugin, "raise-late", threads, has_struck);
        let charged: Vec<u64> = report.failures.iter().map(|failure| failure.index).collect();
        assert!(charged.is_empty() || charged == [AT], "{threads}: {:?}", report.failures);
    }
}

#[test]
fn a_call_of_exit_charges_the_task_that_called_it() {
    let Some(plugin) = fault() else { return };
    let report = run(&plugin, "exit", 3);
    let (failure, evidence) = only_failure(&report, "exit");
    assert!(failure.message.contains("ended its process with exit code 3"), "{}", failure.message);
    assert_eq!(
        (evidence.cause, evidence.exit_code, evidence.signal),
        (Cause::Executor(ExitCause::Exited), Some(3), None)
    );
    let frame = evidence.frames.iter().find(|frame| frame.function == "leave");
    let frame = frame.unwrap_or_else(|| panic!("{:#?}", evidence.frames));
    assert_eq!(frame.line, fault_line("exit"));
    assert_eq!(evidence.frames.last().unwrap().function, "run", "{:#?}", evidence.frames);
    let exits: Vec<&str> = report.exits.iter().map(|exit| exit.cause.as_str()).collect();
    assert_eq!(exits, ["exited"], "nobody is tried alone");
}

#[test]
fn closing_all_descriptors_charges_only_what_does_it() {
    let Some(plugin) = fault() else { return };
    for threads in [1, 3] {
        let report = run(&plugin, "close", threads);
        let (failure, _) = only_failure(&report, "close");
        assert!(report.exits.iter().all(|exit| exit.cause == "protocol"), "{threads}: {:?}", report.exits);
        assert!(failure.message.contains("closed file descriptors"), "{}", failure.message);
    }
}

#[test]
fn a_signal_that_the_plugin_handles_is_no_crash() {
    let Some(plugin) = fault() else { return };
    let report = run(&plugin, "handled", 1);
    assert_eq!((report.failures.len(), report.exits.len()), (0, 0));
    // One that took the handler away dies of the signal, and leaves nothing but that.
    let (failure, evidence) = only_failure(&run(&plugin, "own", 1), "own");
    assert!(failure.message.starts_with("SIGSEGV ended the executor (signal 11)"), "{}", failure.message);
    assert!(evidence.frames.is_empty());
}

#[test]
fn a_panic_names_the_function_that_panicked() {
    let plugin = exercise();
    let (coordinator, _worker, mut session) = world(1);
    let plugin = coordinator.plugin(&plugin);
    let opens = vec![open(1, &plugin, &format!(r#"{{"panic_at":{AT}}}"#), 1)];
    coordinator.work(&session, Work { opens, grants: vec![grant(1, 5, 0, TASKS)], ..Work::default() });
    let report = coordinator.reports_until(&mut session, |report| settled(report) == TASKS);
    assert_eq!((report.failures.len(), report.exits.len()), (1, 0));
    let failure = &report.failures[0];
    assert_eq!((failure.index, failure.class()), (AT, FailureClass::Panicked));
    let evidence: Evidence = failure.evidence.clone().unwrap().try_into().unwrap();
    assert_eq!(evidence.cause.name(), "panicked");
    let first = &evidence.frames[0];
    assert!(failure.message.contains("; in <exercise::Exercise as "), "{}", failure.message);
    assert!(first.file.ends_with("exercise.rs") && first.line > 0, "{:#?}", evidence.frames);
}

#[test]
fn a_crash_while_a_job_opens_is_told_and_charges_nobody() {
    let Some(plugin) = fault() else { return };
    let (coordinator, _worker, mut session) = world(1);
    let plugin = coordinator.plugin(&plugin);
    let (opens, grants) = (vec![open(1, &plugin, r#"{"mode":"create"}"#, 1)], vec![grant(1, 5, 0, TASKS)]);
    coordinator.work(&session, Work { opens, grants, ..Work::default() });
    let report = coordinator
        .reports_until(&mut session, |report| !report.troubles.is_empty() && !report.exits.is_empty());
    assert!(report.failures.is_empty());
    let exit = &report.exits[0];
    assert!(exit.detail.contains("while the plugin opened or closed the job"), "{}", exit.detail);
    let evidence: Evidence = exit.evidence.clone().unwrap().try_into().unwrap();
    assert_eq!(evidence.frames[0].function, "write_to_null", "{evidence:#?}");
}
