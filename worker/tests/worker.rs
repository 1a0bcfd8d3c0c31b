//! The worker as a process, with the test in the coordinator's place.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::coordinator::{Coordinator, Session, grant, open, results, settled};
use fixture::executor::until;
use fixture::plugin::{null, wild};
use fixture::worker::{Worker, get, is_alive};
use muster_proto::packed::Items;
use muster_proto::v1::{Drain, Grant, JobClose, Model, Recall, Shape, Work, from_worker, to_worker};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A coordinator and a worker that has attached.
fn world(arguments: &[&str]) -> (Coordinator, Worker, Session) {
    let mut coordinator = Coordinator::start();
    let worker = Worker::start(&coordinator, arguments);
    let session = coordinator.session();
    (coordinator, worker, session)
}

fn close(job: u64, cancel: bool) -> Work {
    Work { closes: vec![JobClose { job, cancel }], ..Work::default() }
}

#[test]
fn a_worker_says_who_it_is_and_that_it_lives() {
    let (coordinator, worker, mut session) = world(&["--slots", "3", "--name", "tester"]);
    let hello = &session.hello;
    assert_eq!((hello.name.as_str(), hello.slots, hello.pid), ("tester", 3, worker.pid()));
    assert!(hello.target.ends_with("-unknown-linux-gnu"), "{}", hello.target);
    let begun = Instant::now();
    for _ in 0..5 {
        let heartbeat = coordinator.heartbeat(&mut session);
        assert_eq!((heartbeat.busy_slots, heartbeat.executors), (0, 0));
        assert!(heartbeat.pss_bytes > 100 << 10);
    }
    let time = begun.elapsed();
    assert!(time > Duration::from_millis(250) && time < Duration::from_secs(3), "{time:?}");
}

#[test]
fn results_come_back_with_or_without_inputs() {
    let (coordinator, _worker, mut session) = world(&["--slots", "2"]);
    let plugin = coordinator.plugin(&null());
    let inputs = Items::of((0..700).map(|at: u32| vec![1u8; at as usize % 50])).into_packed();
    coordinator.work(
        &session,
        Work {
            opens: vec![open(7, &plugin, r#"{"bytes_out":5}"#, 2)],
            grants: vec![
                grant(7, 100, 0, 10_000),
                Grant { inputs: Some(inputs), ..grant(7, 101, 50_000, 700) },
            ],
            ..Work::default()
        },
    );
    let report = coordinator.reports_until(&mut session, |report| settled(report) == 10_700);
    assert!(results(&report).into_iter().eq((0..10_000).chain(50_000..50_700).map(|at| (at, vec![0; 5]))));
    assert!(report.blocks.iter().all(|block| block.lease == if block.start < 50_000 { 100 } else { 101 }));
    assert_eq!(report.epoch, 1);
    let dispatched: u64 =
        report.phases.iter().flat_map(|phases| &phases.dispatch).flat_map(|times| &times.counts).sum();
    assert_eq!(dispatched, 10_700, "the time of every task's dispatch is known");
    assert!(report.phases.iter().all(|phases| phases.job == 7));
    assert!(report.phases.iter().map(|phases| phases.busy_ns).sum::<u64>() > 0);
}

#[test]
fn unstarted_tasks_are_called_back() {
    let Some(wild) = wild() else { return };
    let (coordinator, _worker, mut session) = world(&["--slots", "1"]);
    let plugin = coordinator.plugin(&wild);
    let opens = vec![open(1, &plugin, r#"{"mode":"slow"}"#, 1)];
    coordinator.work(&session, Work { opens, grants: vec![grant(1, 5, 0, 100_000)], ..Work::default() });
    let first = coordinator.reports_until(&mut session, |report| settled(report) > 0);
    let recalls = vec![Recall { lease: 5, count: 99_000 }, Recall { lease: 99, count: 1 }];
    coordinator.work(&session, Work { recalls, ..Work::default() });
    let rest = 100_000 - settled(&first);
    let report = coordinator
        .reports_until(&mut session, |report| settled(report) == rest && report.returned.len() == 2);
    let back = report.returned.iter().find(|back| back.lease == 5).unwrap();
    assert_eq!((back.start, back.count), (1_000, 99_000));
    assert!(report.returned.iter().any(|back| back.lease == 99 && back.count == 0));
}

#[test]
fn an_executor_serves_the_next_job_of_its_plugin() {
    let (coordinator, worker, mut session) = world(&["--slots", "1"]);
    let Some(wild) = wild() else { return };
    let plugin = coordinator.plugin(&wild);
    let mut executors = Vec::new();
    for job in 1..4 {
        let opens = vec![open(job, &plugin, "{}", 1)];
        let grants = vec![grant(job, job, 0, 50)];
        coordinator.work(&session, Work { opens, grants, ..Work::default() });
        coordinator.reports_until(&mut session, |report| settled(report) == 50);
        executors.extend(worker.children());
        coordinator.work(&session, close(job, false));
        // While an executor is still closing its job, the next one would get another.
        for _ in 0..3 {
            coordinator.heartbeat(&mut session);
        }
    }
    executors.dedup();
    assert_eq!(executors.len(), 1, "{executors:?}");
    assert_eq!(coordinator.pulls(), 1);
}

#[test]
fn executors_come_with_tasks_and_few_stay() {
    let (coordinator, worker, mut session) = world(&["--slots", "2"]);
    let Some(wild) = wild() else { return };
    let plugin = coordinator.plugin(&wild);
    let mut job = open(1, &plugin, "{}", 1);
    job.shape = Some(Shape {
        model: Model::Process.into(),
        processes: 4_096,
        threads: 1,
        oversubscribe: true,
        ..Shape::default()
    });
    coordinator.work(&session, Work { opens: vec![job], grants: vec![grant(1, 1, 0, 1)], ..Work::default() });
    coordinator.reports_until(&mut session, |report| settled(report) == 1);
    assert_eq!(worker.children().len(), 1, "one task needs one executor");
    coordinator.work(&session, Work { grants: vec![grant(1, 2, 1, 7)], ..Work::default() });
    coordinator.reports_until(&mut session, |report| settled(report) == 7);
    until("seven tasks have seven executors", || worker.children().len() == 7);
    coordinator.work(&session, close(1, false));
    until("as many stay as there are slots", || worker.children().len() == 2);
}

#[test]
fn jobs_share_the_slots() {
    let Some(wild) = wild() else { return };
    let (coordinator, _worker, mut session) = world(&["--slots", "2"]);
    let plugin = coordinator.plugin(&wild);
    let slow = r#"{"mode":"slow"}"#;
    let opens = vec![open(1, &plugin, slow, 2), open(2, &plugin, slow, 2)];
    let grants = vec![grant(1, 1, 0, 400), grant(2, 2, 0, 400)];
    coordinator.work(&session, Work { opens, grants, ..Work::default() });
    let report = coordinator.reports_until(&mut session, |report| settled(report) >= 400);
    let first = report.blocks.iter().filter(|block| block.lease == 1).map(|block| block.count).sum::<u64>();
    assert!((100..=300).contains(&first), "{first} of 400 tasks are of the first job");
    coordinator.reports_until(&mut session, |more| settled(&report) + settled(more) == 800);
    let busy = session.heartbeats.iter().map(|heartbeat| heartbeat.busy_slots).max();
    assert!(busy <= Some(2), "{busy:?} of 2 slots are busy");
}

#[test]
fn a_worker_ends_when_told_and_says_goodbye() {
    let (coordinator, mut worker, mut session) = world(&["--slots", "1"]);
    let plugin = coordinator.plugin(&null());
    let opens = vec![open(1, &plugin, "{}", 1)];
    coordinator.work(&session, Work { opens, grants: vec![grant(1, 1, 0, 10)], ..Work::default() });
    coordinator.reports_until(&mut session, |report| settled(report) == 10);
    let executor = worker.children()[0];
    worker.signal(libc::SIGINT);
    loop {
        match coordinator.receive(&mut session) {
            Some(from_worker::Kind::Goodbye(goodbye)) => break assert_eq!(goodbye.reason, "stopped"),
            Some(_) => {}
            None => panic!("no goodbye"),
        }
    }
    assert!(worker.wait().0.success());
    assert!(!is_alive(executor));
}

#[test]
fn a_drained_worker_finishes_and_leaves() {
    let Some(wild) = wild() else { return };
    let (coordinator, mut worker, mut session) = world(&["--slots", "1"]);
    let plugin = coordinator.plugin(&wild);
    let opens = vec![open(1, &plugin, r#"{"mode":"slow"}"#, 1)];
    coordinator.work(&session, Work { opens, grants: vec![grant(1, 1, 0, 100)], ..Work::default() });
    coordinator.send(&session, to_worker::Kind::Drain(Drain::default()));
    coordinator.reports_until(&mut session, |report| settled(report) == 100);
    assert!(matches!(coordinator.receive(&mut session), Some(from_worker::Kind::Goodbye(_))));
    assert!(worker.wait().0.success());
}

/// SIGTERM: the coordinator is asked to take back what was not begun, and the worker goes when it is told to or asked again.
#[test]
fn a_worker_that_is_asked_to_end_asks_its_coordinator_first() {
    for asked_twice in [false, true] {
        let Some(wild) = wild() else { return };
        let (coordinator, mut worker, mut session) = world(&["--slots", "1"]);
        let plugin = coordinator.plugin(&wild);
        let opens = vec![open(1, &plugin, r#"{"mode":"slow"}"#, 1)];
        coordinator.work(&session, Work { opens, grants: vec![grant(1, 1, 0, 100)], ..Work::default() });
        // One that is not attached yet has nothing to finish, and just ends.
        let first = coordinator.reports_until(&mut session, |report| settled(report) > 0);
        worker.signal(libc::SIGTERM);
        let (mut done, mut asks) = (settled(&first), 0);
        let reason = loop {
            match coordinator.receive(&mut session) {
                Some(from_worker::Kind::Leave(_)) if asked_twice => worker.signal(libc::SIGTERM),
                Some(from_worker::Kind::Leave(_)) => {
                    asks += 1;
                    coordinator.send(&session, to_worker::Kind::Drain(Drain::default()));
                }
                Some(from_worker::Kind::Report(report)) => done += settled(&report),
                Some(from_worker::Kind::Goodbye(goodbye)) => break goodbye.reason,
                Some(_) => {}
                // A goodbye may be lost with the stream that its worker ends.
                None => break String::new(),
            }
        };
        let (expected, asked) = if asked_twice { ("stopped", 0) } else { ("drained", 1) };
        assert!(asks == asked && (reason.is_empty() || reason == expected), "{asks} {reason}");
        assert!(asked_twice || done == 100, "{done}");
        assert!(worker.wait().0.success());
    }
}

#[test]
fn a_private_worker_ends_with_its_coordinator() {
    let (_coordinator, mut worker, session) = world(&["--slots", "1", "--private"]);
    assert_eq!(session.hello.metrics_address, "");
    session.close();
    assert!(worker.wait().0.success());
}

#[test]
fn a_refused_worker_says_why() {
    let coordinator = Coordinator::start();
    coordinator.refuse("this coordinator speaks protocol 77");
    let mut worker = Worker::start(&coordinator, &[]);
    let (status, text) = worker.wait();
    assert_eq!(status.code(), Some(5));
    assert!(text.lines().any(|line| line.starts_with("error: ") && line.contains("protocol 77")), "{text}");
}

#[test]
fn a_log_filter_that_is_none_is_an_error_at_once() {
    let worker = Command::new(env!("CARGO_BIN_EXE_muster-worker"))
        .args(["--connect", "unix:/nonexistent.sock"])
        .env("MUSTER_LOG", "info,loud")
        .output()
        .unwrap();
    let text = String::from_utf8(worker.stderr).unwrap();
    assert_eq!(worker.status.code(), Some(2), "{text}");
    assert!(text.starts_with("error: MUSTER_LOG is `info,loud`: `loud` is no level"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn a_cache_that_cannot_be_written_is_an_error_at_once() {
    let mut worker = Command::new(env!("CARGO_BIN_EXE_muster-worker"))
        .args(["--connect", "unix:/nonexistent.sock", "--cache", "/proc/nothing"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(worker.wait().unwrap().code(), Some(9));
}

#[test]
fn metrics_count_what_happened() {
    let (coordinator, _worker, mut session) = world(&["--slots", "1"]);
    let address = session.hello.metrics_address.clone();
    assert_eq!(get(&address, "/healthz"), "ok\n");
    let plugin = coordinator.plugin(&null());
    let opens = vec![open(1, &plugin, "{}", 1)];
    coordinator.work(&session, Work { opens, grants: vec![grant(1, 1, 0, 1_234)], ..Work::default() });
    coordinator.reports_until(&mut session, |report| settled(report) == 1_234);
    let text = get(&address, "/metrics");
    for line in [
        "muster_attempts_total{plugin=\"null\",outcome=\"ok\"} 1234",
        "muster_task_phase_seconds_count{plugin=\"null\",phase=\"dispatch\"} 1234",
        "muster_plugin_loads_total{result=\"ok\"} 1",
        "muster_executors{state=\"busy\"} 1",
        "muster_lease_tasks_sum 1234",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    check_with_promtool(&text);
}

#[test]
fn metrics_of_plugins_are_added_up() {
    let Some(wild) = wild() else { return };
    let (coordinator, _worker, mut session) = world(&["--slots", "2"]);
    let address = session.hello.metrics_address.clone();
    let plugin = coordinator.plugin(&wild);
    for job in 1..3 {
        let opens = vec![open(job, &plugin, "{}", 2)];
        coordinator.work(&session, Work { opens, grants: vec![grant(job, job, 0, 700)], ..Work::default() });
        coordinator.reports_until(&mut session, |report| settled(report) == 700);
        coordinator.work(&session, close(job, false));
    }
    let line = "muster_plugin_wild_runs_total 1400";
    until("all runs are counted", || get(&address, "/metrics").contains(line));
    check_with_promtool(&get(&address, "/metrics"));
}

fn check_with_promtool(text: &str) {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        assert!(std::env::var_os("MUSTER_REQUIRE_ALL").is_none(), "promtool is not there");
        return eprintln!("SKIPPED: promtool is not there");
    };
    std::io::Write::write_all(&mut promtool.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
