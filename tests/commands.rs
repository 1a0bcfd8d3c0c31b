//! Commands of `exec` do not outlive the executor that runs them, however it ends.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, Started, plugin, wait_until};

/// A shell with a child of its own.
const COMMAND: &str = "command=sleep 1000; true";

fn sleeping(muster: &Muster) -> Vec<u32> {
    let is_sleep = |line: &str| line.starts_with("sleep 1000");
    muster.processes().into_iter().filter(|(_, line)| is_sleep(line)).map(|(pid, _)| pid).collect()
}

/// The process groups that the shells beside the executors would kill.
fn guarded(muster: &Muster) -> usize {
    let guards = muster.processes().into_iter().filter(|(_, line)| line.contains("muster-exec-guard"));
    let lists = guards.filter_map(|(pid, _)| std::fs::read_to_string(format!("/proc/{pid}/fd/1")).ok());
    lists.map(|list| list.split_whitespace().count()).sum()
}

fn wait_for_sleepers(muster: &Muster, count: usize) {
    let all = || sleeping(muster).len() == count && guarded(muster) == count;
    assert!(wait_until(all), "{} guarded: {:?}", guarded(muster), muster.processes());
}

fn run(muster: &Muster, tasks: &str) -> Started {
    let started =
        muster.start(&["run", &plugin("exec"), COMMAND, "-n", tasks, "-t", tasks, "--oversubscribe"]);
    wait_for_sleepers(muster, tasks.parse().unwrap());
    started
}

#[test]
fn commands_end_when_everything_is_killed() {
    let muster = Muster::new();
    let run = run(&muster, "3");
    run.signal(libc::SIGKILL);
    muster.assert_no_process_left();
}

#[test]
fn commands_end_with_an_executor_that_is_killed() {
    let muster = Muster::new();
    let run = run(&muster, "2");
    let before = sleeping(&muster);
    let executor = muster.processes().into_iter().find(|(_, line)| line.contains("executor")).unwrap().0;
    muster.signal(executor, libc::SIGKILL);
    // They are tried again, each alone; the first ones are gone.
    let again = || {
        let now = sleeping(&muster);
        !now.is_empty() && now.iter().all(|pid| !before.contains(pid))
    };
    assert!(wait_until(again), "{before:?}: {:?}", muster.processes());
    run.signal(libc::SIGINT);
    run.finish().exits(130);
    muster.assert_no_process_left();
}

#[test]
fn commands_end_with_their_cluster() {
    let muster = Muster::new();
    muster.run(&["up", "-w", "2"]).ok();
    muster.run(&["submit", &plugin("exec"), COMMAND, "-n", "2"]).ok();
    wait_for_sleepers(&muster, 2);
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
}
