//! What a plugin starts does not outlive its executor: twenty children and a grandchild in a session of its own, which
//! has lost its parent, for each task; and the executor crashes, exits, is killed, is cancelled or ends as it should.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, compile_c, wait_until};

/// Runs of each way to end; `MUSTER_RUNS` asks for more.
fn runs() -> usize {
    std::env::var("MUSTER_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(4)
}

fn sleepers(muster: &Muster) -> usize {
    muster.processes().iter().filter(|(_, line)| line.starts_with("sleep 1000")).count()
}

/// A run on the cluster that is up; gives how many tasks had their families.
fn run(muster: &Muster, plugin: &str, number: usize, ending: &str) -> usize {
    let started = muster.path(&format!("started-{ending}-{number}"));
    let (mode, file) = (format!("mode=family-{ending}"), format!("file={}", started.display()));
    let command = muster.start(&[
        "run",
        plugin,
        &mode,
        &file,
        "-n",
        "2",
        "--model",
        "process",
        "-p",
        "2",
        "--oversubscribe",
        "--max-attempts",
        "1",
        "--grace",
        "100ms",
    ]);
    let lines = || std::fs::read_to_string(&started).unwrap_or_default().lines().count();
    assert!(wait_until(|| lines() == 2), "{ending}: {} tasks began", lines());
    if ending == "hang" || ending == "cancel" {
        // Each was started before its task said so, and becomes a sleeper a moment later.
        assert!(wait_until(|| sleepers(muster) >= 42), "{}", sleepers(muster));
        command.signal(libc::SIGINT);
    }
    let code = match ending {
        "crash" | "exit" => 1,
        "hang" | "cancel" => 130,
        _ => 0,
    };
    let done = command.finish().exits(code);
    if ending == "hang" {
        assert!(done.stderr.contains("cancelled by Ctrl-C: 2 tasks killed after "), "{}", done.stderr);
    }
    // A job that is done is told before its executor has ended.
    assert!(wait_until(|| sleepers(muster) == 0), "{ending}: {:?}", muster.processes());
    lines()
}

#[test]
fn nothing_that_tasks_start_outlives_their_executor() {
    let muster = Muster::new();
    let flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror"];
    let plugin = compile_c(include_str!("fixture/unruly.c"), &muster.path("unruly.so"), &flags);
    let plugin = plugin.to_str().unwrap();
    muster.run(&["up", "-w", "1", "-p", "2", "-t", "1"]).ok();
    let mut families = 0;
    for number in 0..runs() {
        for ending in ["crash", "exit", "hang", "cancel", "finish"] {
            families += run(&muster, plugin, number, ending);
        }
    }
    assert_eq!(families, runs() * 5 * 2);
    println!("{} runs, {} processes started by tasks, none left", runs() * 5, families * 21);
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
}

/// Nobody is there to end them when the worker itself is killed: its next start does.
#[test]
fn a_worker_that_starts_ends_what_a_killed_one_left() {
    let muster = Muster::new();
    let flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror"];
    let plugin = compile_c(include_str!("fixture/unruly.c"), &muster.path("unruly.so"), &flags);
    let started = muster.path("started");
    let file = format!("file={}", started.display());
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    muster.run(&["submit", plugin.to_str().unwrap(), "mode=family-hang", &file, "-n", "1"]).ok();
    assert!(wait_until(|| started.exists() && sleepers(&muster) == 21));
    let workers: Vec<u32> = muster
        .processes()
        .into_iter()
        .filter(|(_, line)| line.contains("worker start"))
        .map(|(pid, _)| pid)
        .collect();
    assert!(!workers.is_empty());
    workers.iter().for_each(|&pid| muster.signal(pid, libc::SIGKILL));
    assert!(wait_until(|| !muster.processes().iter().any(|(_, line)| line.contains("__executor"))));
    muster.run(&["job", "cancel"]).ok();
    muster.run(&["down"]).ok();
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    assert!(wait_until(|| sleepers(&muster) == 0), "{:?}", muster.processes());
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
}
