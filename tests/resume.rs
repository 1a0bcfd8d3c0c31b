//! Commands that follow a job go on when its coordinator was killed and comes back on its state, and say so in a line; with
//! another coordinator in its place they end.

#![allow(clippy::unwrap_used, missing_docs)]

mod daemons;
mod fixture;
mod ledger;
mod siege;

use daemons::{SOON, until};
use fixture::{Muster, Started, plugin};
use ledger::Faults;
use siege::Siege;
use std::time::Duration;

const LOST: &str = "note: lost the coordinator; trying for up to 60 s to go on";
const BACK: &str = "note: the coordinator is back; going on";

/// Connections to a socket that were accepted.
fn connections(socket: &std::path::Path) -> usize {
    let table = std::fs::read_to_string("/proc/net/unix").unwrap();
    table.lines().filter(|line| line.ends_with(socket.to_str().unwrap())).count()
}

#[test]
fn a_run_and_a_wait_go_on_with_the_coordinator() {
    let mut siege = Siege::new(2);
    let file = siege.muster.path("starts");
    let mut words = vec!["run".to_owned(), siege.ledger.plugin.to_str().unwrap().to_owned()];
    words.extend(ledger::job(&file, 10_000, 1_000));
    words.extend(["--out", "-"].map(str::to_owned));
    let mut run = Started::new(siege.client(&words));
    until("tasks that run", SOON, || (ledger::starts(&file).tasks > 50).then_some(()));
    let before = connections(&siege.socket());
    let mut wait = Started::new(siege.client(&["job", "wait", "last"]));
    until("connection of job wait", SOON, || (connections(&siege.socket()) > before).then_some(()));
    // Asked later than what `job wait` asks once it is connected.
    siege.ask(&["job", "ls"]).ok();
    for _ in 0..2 {
        siege.kill_coordinator();
        std::thread::sleep(Duration::from_millis(300));
        siege.start_coordinator();
        siege.until_listening();
        siege.until_workers(2);
        [&mut run, &mut wait].into_iter().for_each(|command| command.wait_for_note(BACK));
    }
    let (run, wait) = (run.finish().ok(), wait.finish().ok());
    assert_eq!(ledger::faults_in_results(&run.text(), 1_000), Faults::default());
    for said in [&run.stderr, &wait.stderr] {
        let count = |line: &str| said.lines().filter(|found| *found == line).count();
        assert!((1..=2).contains(&count(LOST)) && count(LOST) == count(BACK), "{said}");
        assert!(!said.contains("error: "), "{said}");
    }
    assert_eq!(ledger::starts(&file), ledger::Starts { tasks: 1_000, again: 0 });
}

/// A number in letters, which are all that `wordcount` counts.
fn word(number: usize) -> String {
    number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
}

/// Inputs that are still being read are sent on: each line is a task, once, and in its place.
#[test]
fn lines_go_on_with_the_coordinator() {
    const LINES: usize = 30_000;
    let mut siege = Siege::new(2);
    let wordcount = plugin("wordcount");
    let mut run = Started::new(siege.client(&["run", &wordcount, "--lines", "-", "--out", "-"]));
    let mut submit = Started::new(siege.client(&["submit", &wordcount, "--lines", "-"]));
    let lines = |part: std::ops::Range<usize>| part.map(|line| word(line) + "\n").collect::<String>();
    for part in 0..3 {
        let text = lines(part * LINES / 3..(part + 1) * LINES / 3);
        for command in [&mut run, &mut submit] {
            command.write(text.as_bytes());
        }
        run.wait_for_lines(part * LINES / 3 + 1);
        if part < 2 {
            siege.kill_coordinator();
            // Who reads goes on reading, as far as there is room.
            siege.start_coordinator();
            siege.until_listening();
            siege.until_workers(2);
            run.wait_for_note(BACK);
            submit.wait_for_note(BACK);
        }
    }
    [&mut run, &mut submit].into_iter().for_each(Started::close_input);
    let job = submit.finish().ok().text().trim().to_owned();
    siege.ask(&["job", "wait", &job]).ok();
    let kept = siege.ask(&["job", "results", &job]).ok();
    for results in [run.finish().ok(), kept] {
        let results = results.json_lines();
        assert_eq!(results.len(), LINES);
        for (index, result) in results.iter().enumerate() {
            assert_eq!(result["index"], index);
            assert_eq!(result["output"], word(index) + " 1\n");
        }
    }
}

/// Whether a process still reads inputs.
fn reads(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok())
        .any(|name| name.trim() == "inputs")
}

/// The coordinator dies when everything was read and sent, and nothing of it acknowledged.
#[test]
fn the_last_lines_go_on_with_the_coordinator() {
    let mut siege = Siege::new(2);
    let wordcount = plugin("wordcount");
    let mut run = Started::new(siege.client(&["run", &wordcount, "--lines", "-", "--out", "-"]));
    let mut submit = Started::new(siege.client(&["submit", &wordcount, "--lines", "-"]));
    [&mut run, &mut submit].into_iter().for_each(|command| command.write(b"first\n"));
    run.wait_for_lines(1);
    until("both jobs", SOON, || {
        let jobs = siege.ask(&["job", "ls", "--json"]).ok().json();
        let jobs = jobs["jobs"].as_array().unwrap().iter();
        (jobs.filter(|job| job["ok"] == 1).count() == 2).then_some(())
    });
    siege.muster.signal(siege.coordinator.id(), libc::SIGSTOP);
    for command in [&mut run, &mut submit] {
        command.write(b"second\nthird\n");
        command.close_input();
        until("end of what is read", SOON, || (!reads(command.id())).then_some(()));
    }
    siege.kill_coordinator();
    siege.start_coordinator();
    siege.until_listening();
    siege.until_workers(2);
    let job = submit.finish().ok().text().trim().to_owned();
    siege.ask(&["job", "wait", &job]).ok();
    let kept = siege.ask(&["job", "results", &job]).ok();
    for results in [run.finish().ok(), kept] {
        let results = results.json_lines();
        let outputs: Vec<_> = results.iter().map(|result| result["output"].as_str().unwrap()).collect();
        assert_eq!(outputs, ["first 1\n", "second 1\n", "third 1\n"]);
    }
}

#[test]
fn another_coordinator_in_its_place_knows_nothing_of_the_job() {
    let muster = Muster::new();
    let socket = muster.path("c.sock");
    let cluster = format!("unix:{}", socket.display());
    let start = || {
        let words = ["coordinator", "start", "--listen", "none", "--http", "none", "--socket"];
        let mut command = muster.command(&words);
        command.arg(&socket);
        let mut started = Started::new(command);
        started.wait_for_note("coordinator is up");
        started
    };
    let first = start();
    let submitted = muster.run(&["submit", &plugin("null"), "-n", "1", "--cluster", &cluster]).ok();
    let wait = muster.start(&["job", "wait", submitted.text().trim(), "--cluster", &cluster]);
    std::thread::sleep(Duration::from_millis(300));
    first.signal(libc::SIGKILL);
    drop(first);
    let second = start();
    let ended = wait.finish().fails(5, &["watching the job"]);
    assert!(ended.stderr.contains(LOST) && !ended.stderr.contains(BACK), "{}", ended.stderr);
    second.signal(libc::SIGTERM);
    second.finish().ok();
}
