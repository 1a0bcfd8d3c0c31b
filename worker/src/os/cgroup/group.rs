//! The control group of one executor.

use super::Cgroups;
use super::home::Home;
use crate::os::process;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What the names of all groups begin with.
const PREFIX: &str = "muster-";
/// How long the processes of a group may take to be gone once they are killed.
const EMPTY_WAIT: Duration = Duration::from_millis(500);

/// What an executor may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bounds {
    /// Bytes.
    pub memory_bytes: Option<u64>,
    /// Descriptors.
    pub open_files: Option<u32>,
    /// Processes and threads.
    pub processes: Option<u32>,
}

/// What is known of the memory of an executor that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryEvidence {
    /// Processes of it that the kernel killed because the group was over its limit.
    pub oom_kills: u64,
    /// The most it had, in bytes; 0: not known.
    pub peak_bytes: u64,
    /// What it might have; 0: any amount.
    pub limit_bytes: u64,
}

/// A group; its processes end with it, and it is removed when dropped.
#[derive(Debug)]
pub struct Group {
    /// In each hierarchy that is needed.
    folders: Vec<PathBuf>,
    memory: Option<(Home, u64)>,
    /// The folder where the group can be killed as one.
    unified: Option<PathBuf>,
}

impl Group {
    /// Makes a group with these bounds; `None`: they need none.
    ///
    /// # Errors
    /// A bound that cannot be kept, by name.
    pub fn make(cgroups: &Cgroups, number: u64, bounds: Bounds) -> io::Result<Option<Self>> {
        let memory = bounds.memory_bytes.zip(cgroups.memory.as_ref().ok());
        let pids = bounds.processes.zip(cgroups.pids.as_ref().ok());
        if memory.is_none() && pids.is_none() {
            return Ok(None);
        }
        let name = format!("{}-{number}", own_prefix());
        let below = |home: &Home| home.folder().join(&name);
        let mut group = Self { folders: Vec::new(), memory: None, unified: None };
        if let Some((bytes, home)) = memory {
            let folder = group.create(below(home))?;
            limit_memory(home, &folder, bytes).map_err(|error| named("a memory limit", &error))?;
            let home = match home {
                Home::V1(_) => Home::V1(folder),
                Home::V2(_) => Home::V2(folder),
            };
            group.memory = Some((home, bytes));
        }
        if let Some((count, home)) = pids {
            let folder = group.create(below(home))?;
            write(&folder, "pids.max", count).map_err(|error| named("a limit for processes", &error))?;
        }
        if let Some(folder) = &cgroups.unified {
            group.unified = Some(group.create(folder.join(&name))?);
        }
        Ok(Some(group))
    }

    fn create(&mut self, folder: PathBuf) -> io::Result<PathBuf> {
        if !self.folders.contains(&folder) {
            fs::create_dir(&folder).map_err(|error| named("a control group", &error))?;
            self.folders.push(folder.clone());
        }
        Ok(folder)
    }

    /// Puts a process into it.
    ///
    /// # Errors
    /// It is gone, or may not be moved.
    pub fn add(&self, pid: u32) -> io::Result<()> {
        self.folders.iter().try_for_each(|folder| write(folder, "cgroup.procs", pid))
    }

    /// Kills all that is in it.
    pub fn kill(&self) {
        let at_once = self.unified.as_ref().is_some_and(|folder| write(folder, "cgroup.kill", 1).is_ok());
        if !at_once && let Some(folder) = self.folders.first() {
            processes(folder).for_each(|pid| process::kill(pid, libc::SIGKILL));
        }
    }

    /// Whether it keeps a memory limit.
    #[must_use]
    pub const fn limits_memory(&self) -> bool {
        self.memory.is_some()
    }

    /// What it says of its memory.
    #[must_use]
    pub fn memory(&self) -> Option<MemoryEvidence> {
        let (home, limit_bytes) = self.memory.as_ref()?;
        let folder = home.folder();
        let (events, peak) = match home {
            Home::V1(_) => ("memory.oom_control", "memory.max_usage_in_bytes"),
            Home::V2(_) => ("memory.events", "memory.peak"),
        };
        let events = fs::read_to_string(folder.join(events)).unwrap_or_default();
        let oom_kills = events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok());
        let peak = fs::read_to_string(folder.join(peak)).ok().and_then(|text| text.trim().parse().ok());
        Some(MemoryEvidence {
            oom_kills: oom_kills.unwrap_or(0),
            peak_bytes: peak.unwrap_or(0),
            limit_bytes: *limit_bytes,
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let deadline = Instant::now() + EMPTY_WAIT;
        // What still forks when it is killed is killed again.
        while !self.folders.iter().all(|folder| fs::remove_dir(folder).is_ok() || !folder.exists()) {
            if Instant::now() > deadline {
                tracing::warn!(groups = ?self.folders, "a control group does not become empty; it stays");
                return;
            }
            self.kill();
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// What the names of this process's groups begin with.
pub(super) fn own_prefix() -> String {
    let pid = std::process::id();
    format!("{PREFIX}{pid}-{}", process::start_time(pid).unwrap_or(0))
}

/// Removes groups of workers that are gone, with what is left in them.
pub(super) fn remove_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_name().to_str().is_some_and(is_of_the_dead) {
            continue;
        }
        let path = entry.path();
        let inside: Vec<u32> = processes(&path).collect();
        // Number 0 stands for a process that cannot be seen from here: so its worker cannot be, either.
        if inside.contains(&0) {
            continue;
        }
        if write(&path, "cgroup.kill", 1).is_err() {
            inside.iter().for_each(|&pid| process::kill(pid, libc::SIGKILL));
        }
        if fs::remove_dir(&path).is_ok() {
            tracing::info!(group = %path.display(), "removed what a worker left that is gone");
        }
    }
}

/// Whether this is the name of a group of muster's whose worker is gone.
fn is_of_the_dead(name: &str) -> bool {
    let mut parts = name.strip_prefix(PREFIX).into_iter().flat_map(|rest| rest.splitn(3, '-'));
    let (pid, start) =
        (parts.next().and_then(|it| it.parse().ok()), parts.next().and_then(|it| it.parse().ok()));
    match (pid, start, parts.next()) {
        (Some(pid), Some(start), Some(_)) => process::start_time(pid) != Some(start),
        _ => false,
    }
}

fn limit_memory(home: &Home, folder: &Path, bytes: u64) -> io::Result<()> {
    // Where swap is not counted there is no such file, and the limit is for memory alone.
    let if_there = |name: &str, value: u64| {
        if folder.join(name).exists() { write(folder, name, value) } else { Ok(()) }
    };
    match home {
        Home::V1(_) => {
            write(folder, "memory.limit_in_bytes", bytes)?;
            if_there("memory.memsw.limit_in_bytes", bytes)
        }
        Home::V2(_) => {
            write(folder, "memory.max", bytes)?;
            if_there("memory.swap.max", 0)?;
            if_there("memory.oom.group", 1)
        }
    }
}

fn processes(folder: &Path) -> impl Iterator<Item = u32> {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<u32>>().into_iter()
}

fn write(folder: &Path, name: &str, value: impl ToString) -> io::Result<()> {
    // Opened without creating it: where the kernel has no such file, none is wanted.
    let mut file = fs::OpenOptions::new().write(true).open(folder.join(name))?;
    io::Write::write_all(&mut file, value.to_string().as_bytes())
}

fn named(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what} for the executor: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_groups_of_workers_that_are_gone_are_leftovers() {
        let own = own_prefix();
        assert!(!is_of_the_dead(&format!("{own}-7")), "this process is here");
        let pid = std::process::id();
        assert!(is_of_the_dead(&format!("muster-{pid}-1-7")), "another process had this number");
        for other in ["muster", "muster-1", "muster-x-1-2", "user.slice", "muster-1-2", "docker-1-2-3"] {
            assert!(!is_of_the_dead(other), "{other}");
        }
    }

    #[test]
    fn a_group_is_made_counts_and_goes() {
        let cgroups = Cgroups::find();
        let bounds = Bounds { memory_bytes: Some(64 << 20), processes: Some(9), open_files: None };
        let Ok(Some(group)) = Group::make(&cgroups, 1, bounds) else {
            assert!(std::env::var_os("MUSTER_REQUIRE_ALL").is_none(), "{cgroups:?}");
            eprintln!("SKIPPED: no control group can be used here: {cgroups:?}");
            return;
        };
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        group.add(child.id()).unwrap();
        if group.memory.is_some() {
            let memory = group.memory().unwrap();
            assert_eq!((memory.oom_kills, memory.limit_bytes), (0, 64 << 20));
        }
        group.kill();
        assert!(!child.wait().unwrap().success());
        let folders = group.folders.clone();
        drop(group);
        assert!(!folders.is_empty() && folders.iter().all(|folder| !folder.exists()), "{folders:?}");
    }
}
