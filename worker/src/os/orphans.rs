//! Processes that plugins started and that have lost their parent. They become children of the worker, which asked
//! the kernel for it, and end with the executor that they come from.

use super::process;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io::{self, Read};
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The variable in the environment of an executor and of all it starts: `WORKER-START-NUMBER`, with the worker's
/// process id and start time.
pub const MARK: &str = "MUSTER_EXECUTOR";
/// How long one sweep may take; the next one goes on.
const SWEEP_MAX: Duration = Duration::from_secs(2);
/// How long a process that was killed may take to be gone.
const GONE_MAX: Duration = Duration::from_millis(100);

/// Children of the worker that work for itself: no plugin started them.
static OWN: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Starts a process that works for the worker itself. Whoever has waited for it calls [`forget_own`].
///
/// # Errors
/// That of the system.
pub fn start_own(command: &mut Command) -> io::Result<Child> {
    // Held until its number is known: whoever finds it among the children asks here first.
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    let child = command.spawn()?;
    own.insert(child.id());
    Ok(child)
}

/// A process of [`start_own`] is gone.
pub fn forget_own(pid: u32) {
    OWN.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid);
}

/// What the marks of all executors of this process begin with.
#[must_use]
pub fn own_mark() -> String {
    let pid = std::process::id();
    format!("{pid}-{}", process::start_time(pid).unwrap_or(0))
}

/// Tells the children of this process that it started from those that came to it. Whoever starts children tells it
/// of them on the same thread, so that none is taken for an orphan.
#[derive(Debug)]
pub struct Orphans {
    /// Children that were there before.
    before: HashSet<u32>,
    /// Executors that run, with their marks.
    executors: BTreeMap<u32, String>,
}

impl Orphans {
    /// From now on processes that lose their parent below this one become its children.
    #[must_use]
    pub fn adopt() -> Self {
        let before = children().into_iter().collect();
        process::become_subreaper();
        Self { before, executors: BTreeMap::new() }
    }

    /// An executor was started.
    pub fn started(&mut self, pid: u32, mark: String) {
        self.executors.insert(pid, mark);
    }

    /// An executor has ended and was waited for: kills all that came from it and is left. One whose origin cannot
    /// be seen goes too.
    pub fn end_of(&mut self, pid: u32) {
        let Some(mark) = self.executors.remove(&pid) else { return };
        let deadline = Instant::now() + SWEEP_MAX;
        let mut quiet = false;
        while Instant::now() < deadline {
            let left: Vec<u32> = self.orphans().filter(|&orphan| self.is_from(orphan, &mark)).collect();
            if left.is_empty() {
                // The kernel's list may miss one while others leave it.
                if std::mem::replace(&mut quiet, true) || self.executors.is_empty() && children().is_empty() {
                    return;
                }
                continue;
            }
            quiet = false;
            // Their own children are ours next.
            left.iter().flat_map(|&orphan| family(orphan)).for_each(|it| process::kill(it, libc::SIGKILL));
            left.iter().for_each(|&orphan| process::wait_gone(orphan, GONE_MAX));
        }
        tracing::warn!(
            "processes that a plugin started do not end; the next executor that ends has them killed again"
        );
    }

    /// Frees what orphans hold that ended by themselves.
    pub fn reap(&self) {
        while let Some(pid) = process::any_zombie().filter(|pid| self.is_orphan(*pid)) {
            let _ = process::reap(pid);
        }
    }

    fn is_orphan(&self, pid: u32) -> bool {
        let is_own = || OWN.lock().unwrap_or_else(PoisonError::into_inner).contains(&pid);
        !self.executors.contains_key(&pid) && !self.before.contains(&pid) && !is_own()
    }

    fn orphans(&self) -> impl Iterator<Item = u32> + '_ {
        children().into_iter().filter(|&pid| self.is_orphan(pid))
    }

    /// Whether an orphan comes from the executor with this mark, as far as that can be seen.
    fn is_from(&self, orphan: u32, mark: &str) -> bool {
        match mark_of(orphan) {
            Some(found) => found == mark || !self.executors.values().any(|other| *other == found),
            None => true,
        }
    }
}

/// Kills what executors of workers started that are gone: nobody was there to do so when they died.
pub fn end_those_of_dead_workers() {
    for pid in process::all() {
        let Some(mark) = mark_of(pid) else { continue };
        let mut parts = mark.splitn(3, '-').map(|part| part.parse::<u64>().ok());
        let (Some(Some(worker)), Some(Some(start))) = (parts.next(), parts.next()) else { continue };
        let worker = u32::try_from(worker).unwrap_or(0);
        if process::start_time(worker) != Some(start) {
            tracing::info!(pid, worker, "a process is left of a worker that is gone; it is killed");
            process::kill(pid, libc::SIGKILL);
        }
    }
}

/// The mark in a process's environment; `None`: it has none, or may not be looked at.
fn mark_of(pid: u32) -> Option<String> {
    let mut text = Vec::new();
    fs::File::open(format!("/proc/{pid}/environ")).ok()?.read_to_end(&mut text).ok()?;
    let entry = text
        .split(|&byte| byte == 0)
        .find_map(|entry| entry.strip_prefix(MARK.as_bytes())?.strip_prefix(b"="))?;
    String::from_utf8(entry.to_vec()).ok()
}

/// The children of this process.
fn children() -> Vec<u32> {
    children_of(std::process::id())
}

/// A process and all below it.
fn family(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut at = 0;
    while at < found.len() {
        let children = children_of(found[at]);
        found.extend(children.into_iter().filter(|child| *child != pid));
        at += 1;
    }
    found
}

fn children_of(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let mut found = Vec::new();
    for thread in threads.flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(text) => found.extend(text.split_whitespace().filter_map(|it| it.parse::<u32>().ok())),
            // A kernel without these lists: everybody is asked for their parent.
            Err(error) if error.kind() == io::ErrorKind::NotFound && thread.path().exists() => {
                return process::all().filter(|&it| process::parent(it) == Some(pid)).collect();
            }
            Err(_) => {}
        }
    }
    found
}
