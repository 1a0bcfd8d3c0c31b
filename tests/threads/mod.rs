//! The CPU time of each thread of a process and of all that it started.

#![allow(dead_code, reason = "every test file uses its own part")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Threads by process id and thread id.
pub type Threads = BTreeMap<(u32, u32), Thread>;

/// A thread, and what the system has given it so far.
#[derive(Clone, Debug)]
pub struct Thread {
    pub name: String,
    /// Nanoseconds it was on a CPU.
    pub ran_ns: u64,
    /// Nanoseconds it was ready to run and others were on the CPU.
    pub waited_ns: u64,
}

impl Thread {
    /// Whether it is one of an executor's that run tasks.
    pub fn runs_tasks(&self) -> bool {
        self.name.starts_with("task-")
    }
}

/// The threads of `root` and its descendants as they are now.
pub fn below(root: u32) -> Threads {
    let mut family = BTreeSet::from([root]);
    let parents = parents();
    // A child's id may be lower than its parent's, so once around is not enough.
    while let Some(&(child, _)) =
        parents.iter().find(|(child, parent)| family.contains(parent) && !family.contains(child))
    {
        family.insert(child);
    }
    family.into_iter().flat_map(threads_of).collect()
}

/// Every process and its parent.
fn parents() -> Vec<(u32, u32)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold anything, so the fields are counted from its closing bracket.
        let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
        Some((pid, parent))
    })
    .collect()
}

/// Threads that end while they are looked at are left out.
fn threads_of(pid: u32) -> Vec<((u32, u32), Thread)> {
    let folder = format!("/proc/{pid}/task");
    let Ok(entries) = fs::read_dir(&folder) else { return Vec::new() };
    let tids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    tids.filter_map(|tid| {
        let name = fs::read_to_string(format!("{folder}/{tid}/comm")).ok()?.trim().to_owned();
        let times = fs::read_to_string(format!("{folder}/{tid}/schedstat")).ok()?;
        let mut times = times.split(' ').map(str::parse);
        let (ran_ns, waited_ns) = (times.next()?.ok()?, times.next()?.ok()?);
        Some(((pid, tid), Thread { name, ran_ns, waited_ns }))
    })
    .collect()
}
