//! Processes that run beside a test for all of its time: they end with it, also when it is killed, and what they wrote is shown
//! when it fails.

#![allow(dead_code, reason = "every test file uses its own part")]

use serde_json::Value;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long anything that should happen soon may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
/// Lines of a log that a failed test shows.
const SHOWN_LINES: usize = 40;

/// A process in the background. Its stdout and stderr go to files.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    name: String,
    output: PathBuf,
    log: PathBuf,
}

impl Daemon {
    /// Starts a program as `name`; its files are in `folder`.
    pub fn start(name: &str, folder: &Path, mut command: Command) -> Self {
        let output = folder.join(format!("{name}.out"));
        let log = folder.join(format!("{name}.log"));
        command
            .stdin(Stdio::null())
            .stdout(File::create(&output).unwrap())
            .stderr(File::create(&log).unwrap())
            .process_group(0);
        // SAFETY: the closure makes one system call that takes numbers only.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let child =
            command.spawn().unwrap_or_else(|error| panic!("cannot start {name} ({command:?}): {error}"));
        Self { child, name: name.to_owned(), output, log }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to stdout so far.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap()
    }

    /// What it wrote to stderr so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// `kill -9` of this process alone.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its own end.
    #[track_caller]
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let name = self.name.clone();
        until(&format!("the end of {name}"), limit, || self.ended())
    }

    /// How it ended, once it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Whether it still runs; a process that ended too early is the reason of a failure, not a timeout.
    #[track_caller]
    pub fn assert_runs(&mut self) {
        let ended = self.ended();
        assert!(ended.is_none(), "{} ended: {}\n{}", self.name, ended.unwrap(), self.log());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // SAFETY: kill takes numbers only; the group is the child's own, and the child is not reaped yet.
            unsafe { libc::kill(-self.child.id().cast_signed(), libc::SIGKILL) };
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- {}, end of its log", self.name);
            lines[lines.len().saturating_sub(SHOWN_LINES)..].iter().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// Asks until there is an answer; panics after `limit`.
#[track_caller]
pub fn until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "no {what} within {limit:?}");
        std::thread::sleep(POLL);
    }
}

/// `true`: the test has to be skipped, which was said. Where everything is required that is a failure.
#[track_caller]
pub fn skip_without(present: bool, what: &str) -> bool {
    if present {
        return false;
    }
    assert!(std::env::var_os("MUSTER_REQUIRE_ALL").is_none(), "missing: {what}");
    // Past the test harness, which shows the output of failed tests only.
    let line = format!("SKIPPED {}: missing {what}\n", std::thread::current().name().unwrap_or("test"));
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    true
}

/// The workers of a cluster that are up, once there are `count`; `list` is `muster worker ls --json`.
#[track_caller]
pub fn workers_up(count: usize, mut list: impl FnMut() -> Command) -> Vec<Value> {
    until(&format!("{count} workers"), SOON, || {
        let output = list().output().unwrap();
        let listed: Value = serde_json::from_slice(&output.stdout).ok()?;
        let mut workers = listed["workers"].as_array()?.clone();
        workers.retain(|worker| worker["state"] == "up");
        (workers.len() == count).then_some(workers)
    })
}

/// Raises the limit of open files of this process and of those it starts.
pub fn allow_descriptors(count: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the struct is ours and lives through the call.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }, 0);
    if limit.rlim_cur >= count {
        return;
    }
    limit = libc::rlimit { rlim_cur: count, rlim_max: limit.rlim_max.max(count) };
    // SAFETY: as above.
    let raised = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } == 0;
    assert!(raised, "{count} open files are needed: raise `ulimit -n`, or run as root");
}
