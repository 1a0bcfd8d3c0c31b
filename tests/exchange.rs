//! Tasks that pass messages to each other: every kind of channel under every model that it can cross, and what becomes
//! of a task whose partner does not come, is killed, or is told to stop.

#![allow(clippy::print_stderr, clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Finished, Muster, plugin, wait_until};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const THREADS: &[&str] = &["--model", "thread", "-t", "2"];
const PROCESSES: &[&str] = &["--model", "process", "-p", "2"];
const HYBRID: &[&str] = &["--model", "hybrid", "-p", "2", "-t", "2"];
const SPAWN: &[&str] = &["--model", "spawn", "-p", "2"];
/// Four tasks at a time on threads, because the workload has no async form.
const ASYNC: &[&str] = &["--model", "async", "-t", "1", "--in-flight", "4"];
const TURNS: &[&str] = &["--model", "thread", "-t", "2", "--gil"];
const TURNS_APART: &[&str] = &["--model", "process", "-p", "2", "--gil"];
const SHAPES: [&[&str]; 7] = [THREADS, PROCESSES, HYBRID, SPAWN, ASYNC, TURNS, TURNS_APART];
const ONE_SLOT: &[&str] = &["--model", "thread", "-t", "1"];

/// Whether all tasks of a shape that could meet are in one executor.
fn is_one_process(shape: &[&str]) -> bool {
    !shape.contains(&"-p")
}

fn start(muster: &Muster, parameters: &[&str], shape: &[&str]) -> fixture::Started {
    let run = ["run", &plugin("exchange"), "--oversubscribe"];
    muster.start(&[&run[..], parameters, shape].concat())
}

fn run(muster: &Muster, parameters: &[&str], shape: &[&str]) -> Finished {
    start(muster, parameters, shape).finish()
}

/// Runs pairs that exchange; gives the total.
fn exchange(muster: &Muster, parameters: &[&str], shape: &[&str]) -> Value {
    let text = run(muster, &[&["--reduce", "--out", "-"], parameters].concat(), shape).ok().stdout;
    serde_json::from_slice(&text).unwrap()
}

/// The executors that are there now.
fn executors(muster: &Muster) -> Vec<u32> {
    let all = muster.processes().into_iter();
    all.filter(|(_, line)| line.contains("__executor")).map(|(pid, _)| pid).collect()
}

#[test]
fn every_message_arrives_once_whatever_carries_it_under_every_model() {
    let muster = Muster::new();
    for kind in ["queue", "shared", "pipe", "socket"] {
        for shape in SHAPES.into_iter().filter(|shape| kind != "queue" || is_one_process(shape)) {
            let kind = format!("kind={kind}");
            let total = exchange(&muster, &[&kind, "messages=3000", "capacity=16", "-n", "8"], shape);
            eprintln!("{kind} {shape:?}: {} ns per message", total["ns_per_message"]);
            let counts = [&total["pairs"], &total["messages"], &total["bytes"]];
            let wanted = [4, 12_000, 12_000 * 1_024].map(|number| json!(number));
            assert_eq!(counts, wanted.each_ref(), "{kind} {shape:?}: {total}");
        }
    }
}

#[test]
fn messages_of_all_sizes_pass() {
    let muster = Muster::new();
    for kind in ["queue", "shared", "pipe", "socket"] {
        for (bytes, capacity) in [(8, 1), (13, 3), (4_096, 1), (65_537, 4), (1_048_576, 3)] {
            let sizes = [format!("kind={kind}"), format!("bytes={bytes}"), format!("capacity={capacity}")];
            let sizes: Vec<&str> = sizes.iter().map(String::as_str).collect();
            let shape = if kind == "queue" { THREADS } else { PROCESSES };
            let total = exchange(&muster, &[&sizes[..], &["messages=50", "-n", "2"]].concat(), shape);
            assert_eq!((&total["messages"], &total["bytes"]), (&json!(50), &json!(50 * bytes)), "{sizes:?}");
        }
    }
}

/// Several pairs at a time keep to themselves, and both of a pair have the same messages.
#[test]
fn messages_come_back_to_who_sent_them() {
    let muster = Muster::new();
    for (kind, shape) in [
        ("queue", &["--model", "thread", "-t", "4"][..]),
        ("shared", HYBRID),
        ("pipe", HYBRID),
        ("socket", PROCESSES),
    ] {
        let kind = format!("kind={kind}");
        let parameters =
            [&kind, "reply=true", "messages=500", "bytes=8", "capacity=1", "-n", "8", "--out", "-"];
        let results: Vec<Value> = run(&muster, &parameters, shape)
            .ok()
            .json_lines()
            .into_iter()
            .map(|line| line["output"].clone())
            .collect();
        let of =
            |role: &str| results.iter().filter(|one| one["role"] == role).cloned().collect::<Vec<Value>>();
        let (producers, consumers) = (of("producer"), of("consumer"));
        assert_eq!((producers.len(), consumers.len()), (4, 4), "{kind}: {results:?}");
        assert!(
            consumers.iter().all(|one| one["checksum"] == producers[0]["checksum"]),
            "{kind}: {results:?}"
        );
        for one in &producers {
            let [p50, p95] = ["p50", "p95"].map(|name| one["round_trip_ns"][name].as_u64().unwrap());
            assert!(0 < p50 && p50 <= p95 && one["round_trip_ns"]["p99"].is_null(), "{one}");
        }
        assert!(consumers.iter().all(|one| one.get("round_trip_ns").is_none()), "{results:?}");
    }
    muster.assert_no_process_left();
}

/// The results of a pair are those of two different roles, with the same checksum.
#[test]
fn each_task_says_what_it_was_and_what_it_passed() {
    let muster = Muster::new();
    let done = run(&muster, &["messages=100", "bytes=32", "-n", "6", "--out", "-"], HYBRID).ok();
    let results = done.json_lines();
    assert_eq!(results.len(), 6);
    let of = |role: &str| results.iter().filter(|result| result["output"]["role"] == role).count();
    assert_eq!((of("producer"), of("consumer")), (3, 3), "{results:?}");
    for result in results.iter().map(|result| &result["output"]) {
        assert_eq!((&result["messages"], &result["bytes"]), (&json!(100), &json!(3_200)), "{result}");
        // All pairs of a job pass the same messages.
        assert_eq!(result["checksum"], results[0]["output"]["checksum"], "{result}");
        assert_eq!(result["checksum"].as_str().unwrap().len(), 16, "{result}");
    }
}

#[test]
fn who_can_have_no_partner_is_told_so() {
    let muster = Muster::new();
    for kind in ["kind=shared", "kind=pipe", "kind=socket"] {
        let begun = Instant::now();
        let failed = run(&muster, &[kind, "-n", "2", "wait_ms=300"], ONE_SLOT).exits(1);
        assert!(failed.stderr.contains("no partner within 300 ms"), "{kind}: {}", failed.stderr);
        assert!(failed.stderr.contains("two slots"), "{kind}: {}", failed.stderr);
        assert!(begun.elapsed() < Duration::from_secs(20), "{kind}: {:?}", begun.elapsed());
    }
    for shape in [PROCESSES, SPAWN, ONE_SLOT] {
        let refused = run(&muster, &["kind=queue", "-n", "2"], shape);
        assert_ne!(refused.code(), 0);
        for word in ["kind=queue", "one executor", "kind=shared"] {
            assert!(refused.stderr.contains(word), "{word:?} is not in: {}", refused.stderr);
        }
    }
}

/// Executors are killed while they pass messages; the tasks of both are tried again, and nothing is lost.
#[test]
fn a_partner_that_is_killed_is_a_failure_for_now() {
    let muster = Muster::new();
    for kind in ["kind=shared", "kind=pipe", "kind=socket"] {
        let parameters =
            ["messages=300", "pause_us=1000", "-n", "4", "--max-attempts", "100", "--backoff", "1ms"];
        let more = [kind, "wait_ms=10000", "--reduce", "--out", "-"];
        let job = start(&muster, &[&parameters[..], &more].concat(), PROCESSES);
        let mut killed = Vec::new();
        for _ in 0..4 {
            let mut found = None;
            let fresh = |pid: &u32| is_exchanging(*pid) && !killed.contains(pid);
            // Who exchanges now may have noticed a moment later that its partner is gone.
            let is_found = wait_until(|| {
                found = executors(&muster).into_iter().find(fresh);
                found.is_some()
            });
            assert!(is_found, "{kind}");
            let pid = found.unwrap();
            muster.signal(pid, libc::SIGKILL);
            killed.push(pid);
        }
        let total: Value = serde_json::from_slice(&job.finish().ok().stdout).unwrap();
        assert_eq!((&total["pairs"], &total["messages"]), (&json!(2), &json!(600)), "{kind}: {total}");
    }
}

/// With one attempt the partner's failure says who is gone.
#[test]
fn the_partner_of_a_killed_task_says_what_happened() {
    let muster = Muster::new();
    for kind in ["kind=shared", "kind=pipe", "kind=socket"] {
        let parameters = [kind, "messages=100000", "pause_us=1000", "-n", "2", "--max-attempts", "1"];
        let job = start(&muster, &[&parameters[..], &["--out", "-"]].concat(), PROCESSES);
        let pair = || executors(&muster).into_iter().filter(|pid| is_exchanging(*pid)).collect::<Vec<u32>>();
        assert!(wait_until(|| pair().len() == 2), "{kind}");
        muster.signal(pair()[0], libc::SIGKILL);
        let failed = job.finish();
        assert_eq!(failed.code(), 1, "{}", failed.stderr);
        let text = failed.text() + &failed.stderr;
        // A pipe or socket may end before anybody can see that the process has.
        let says = ["of the channel is gone: its process", "of the channel has left before its end"];
        assert!(says.iter().any(|says| text.contains(says)), "{kind}: {text}");
    }
}

/// Whether a process passes messages to another one, which it watches.
fn is_exchanging(pid: u32) -> bool {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let links = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    links.into_iter().any(|link| link.to_string_lossy().contains("pidfd"))
}

/// Whether a process has memory that executors share, where its task looks for a partner.
fn has_shared_memory(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/maps")).is_ok_and(|maps| maps.contains("muster-regions"))
}

/// Both wait: one for messages that come slowly, the other before each of them; or both for partners that never come.
#[test]
fn whoever_waits_stops_when_the_job_is_cancelled() {
    let muster = Muster::new();
    for (kind, shape) in [
        ("kind=queue", THREADS),
        ("kind=shared", PROCESSES),
        ("kind=pipe", TURNS),
        ("kind=socket", PROCESSES),
    ] {
        let parameters = [kind, "messages=100000", "pause_us=500000", "-n", "4", "--json"];
        let job = start(&muster, &parameters, shape);
        assert!(wait_until(|| executors(&muster).iter().any(|pid| has_shared_memory(*pid))), "{kind}");
        let begun = Instant::now();
        job.signal(libc::SIGINT);
        let ended = job.finish();
        assert_ne!(ended.code(), 0, "{kind}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{kind}: {:?}", begun.elapsed());
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let muster = Muster::new();
    let refused = |parameters: &[&str], words: &[&str]| {
        let refused = run(&muster, parameters, THREADS);
        assert_ne!(refused.code(), 0, "{parameters:?}");
        for word in words {
            assert!(refused.stderr.contains(word), "{word:?} is not in: {}", refused.stderr);
        }
    };
    refused(&["kind=pigeon", "-n", "2"], &["kind", "pigeon", "socket"]);
    refused(&["bytes=7", "-n", "2"], &["bytes", "8"]);
    refused(&["capacity=0", "-n", "2"], &["capacity", "1"]);
    refused(&["-n", "3"], &["3 tasks cannot pair off", "-n 4"]);
    refused(&["bytes=1048576", "capacity=64", "-n", "2"], &["capacity=64", "bytes=1048576", "capacity=3"]);
}
