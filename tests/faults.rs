//! Disks that are full or fail: the coordinator stops with the reason before it acknowledges anything more, workers keep
//! what they have and wait, and nothing that was acknowledged is missing once there is room again. And processes that stand
//! still for longer than a lease.

#![allow(clippy::unwrap_used, missing_docs)]

mod daemons;
mod fixture;
mod ledger;
mod siege;

use daemons::{SOON, skip_without, until};
use ledger::Faults;
use siege::{Job, Siege};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// `muster --help`: the state cannot be written.
const EXIT_STORAGE: i32 = 9;
const DISK_BYTES: u64 = 24 << 20;
const TASKS: u64 = 2_000;
const TASK_US: u64 = 5_000;

/// A small disk in memory, gone with the value.
struct Disk {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Disk {
    fn new() -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("muster-disk-").tempdir().unwrap();
        let path = folder.path().join("disk");
        std::fs::create_dir(&path).unwrap();
        let size = format!("size={DISK_BYTES}");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(&path).output().ok()?;
        mounted.status.success().then_some(Self { _folder: folder, path })
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }

    /// Leaves no room.
    fn fill(&self) {
        use std::io::Write as _;
        let mut file = std::fs::File::create(self.filler()).unwrap();
        for size in [1 << 16, 1 << 12] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

/// Asks for small jobs until the coordinator ends; gives those that were acknowledged, and how it ended.
fn submit_until_it_ends(siege: &mut Siege) -> (Vec<Job>, std::process::ExitStatus) {
    let mut acknowledged = Vec::new();
    let ended = until("end of the coordinator", Duration::from_secs(60), || {
        acknowledged.extend(siege.try_submit(0, 50));
        siege.coordinator.ended()
    });
    (acknowledged, ended)
}

#[track_caller]
fn assert_stopped_in_words(siege: &Siege, ended: std::process::ExitStatus, words: &[&str]) {
    let log = siege.coordinator.log();
    assert_eq!(ended.code(), Some(EXIT_STORAGE), "{log}");
    let errors: Vec<&str> = log.lines().filter(|line| line.starts_with("error: ")).collect();
    let said = errors.len() == 1 && words.iter().any(|word| errors[0].contains(word));
    assert!(said && !log.contains("panicked"), "{log}");
}

/// Starts the coordinator on a state that can be written again: everything acknowledged is there, and no task of the long
/// job was begun twice.
fn goes_on(siege: &mut Siege, acknowledged: &[Job]) {
    siege.workers.iter_mut().for_each(daemons::Daemon::assert_runs);
    siege.start_coordinator();
    siege.until_listening();
    let mut faults = Faults::default();
    for job in acknowledged {
        siege.wait(job);
        faults += siege.faults(job);
    }
    let starts = siege.starts(&acknowledged[0]);
    eprintln!("{} acknowledged jobs: {faults:?}, {starts:?}", acknowledged.len());
    assert_eq!(faults, Faults::default());
    assert_eq!((starts.tasks, starts.again), (TASKS, 0), "each task of the long job began once");
    assert_eq!(siege.faults_in_store(acknowledged), Faults::default());
}

#[test]
fn a_full_disk_stops_the_coordinator_and_costs_nothing() {
    let disk = Disk::new();
    if skip_without(disk.is_some(), "a tmpfs to fill (root)") {
        return;
    }
    let disk = disk.unwrap();
    let mut siege = Siege::with_state(2, Some(disk.path.join("state")), &[]);
    let long = siege.submit(TASK_US, TASKS);
    disk.fill();
    let (mut acknowledged, ended) = submit_until_it_ends(&mut siege);
    assert_stopped_in_words(&siege, ended, &["full", "No space left"]);
    assert!(siege.try_submit(0, 1).is_none(), "nothing is taken any more");
    // Workers run what they have.
    let before = siege.starts(&long).tasks;
    assert!(before < TASKS, "the job was over before the disk was full");
    // It does not start as long as there is no room.
    siege.start_coordinator();
    let ended = siege.coordinator.wait(SOON);
    assert_stopped_in_words(&siege, ended, &["full", "No space left"]);
    std::fs::remove_file(disk.filler()).unwrap();
    acknowledged.insert(0, long);
    goes_on(&mut siege, &acknowledged);
    drop(siege);
}

#[test]
fn a_sync_that_fails_stops_the_coordinator_and_costs_nothing() {
    if !fixture::has_tool("strace") {
        return;
    }
    let mut siege = Siege::new(2);
    siege.kill_coordinator();
    let inject = "inject=fsync,fdatasync:error=EIO:when=60+";
    siege.put_before(&["strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", inject]);
    siege.start_coordinator();
    siege.until_listening();
    let long = siege.submit(TASK_US, TASKS);
    let (mut acknowledged, ended) = submit_until_it_ends(&mut siege);
    assert_stopped_in_words(&siege, ended, &["I/O error"]);
    siege.put_before(&[]);
    acknowledged.insert(0, long);
    goes_on(&mut siege, &acknowledged);
}

/// Longer than the lease of a second that these clusters have.
const STANDSTILL: Duration = Duration::from_millis(2_500);

/// Stops a process and lets it go on.
fn stand_still(pid: u32) {
    // SAFETY: kill takes numbers only.
    unsafe { libc::kill(pid.cast_signed(), libc::SIGSTOP) };
    std::thread::sleep(STANDSTILL);
    // SAFETY: as above.
    unsafe { libc::kill(pid.cast_signed(), libc::SIGCONT) };
}

#[test]
fn processes_that_stand_still_for_longer_than_a_lease_cost_nothing() {
    let mut siege = Siege::with_state(2, None, &["--lease", "1s"]);
    let job = siege.submit(4_000, 5_000);
    stand_still(siege.workers[0].id());
    siege.until_workers(2);
    let after_worker = siege.starts(&job);
    stand_still(siege.coordinator.id());
    siege.until_workers(2);
    let after_both = siege.starts(&job);
    assert!(!siege.has_ended(&job), "the job was over before both had stood still");
    siege.wait(&job);
    let (faults, starts) = (siege.faults(&job), siege.starts(&job));
    eprintln!(
        "after the worker: {after_worker:?}, after the coordinator: {after_both:?}, at the end: {starts:?}"
    );
    assert_eq!(faults, Faults::default());
    assert_eq!(starts.tasks, 5_000);
    assert_eq!(siege.faults_in_store(&[job]), Faults::default());
}
