//! What `muster up` remembers about its processes, so that `muster down` ends exactly those.

use super::process::send;
use crate::exit::{Exit, Failure};
use muster_proto::link::AccessFolder;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The processes of one cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The cluster's name.
    pub name: String,
    /// Its state folder.
    pub state: PathBuf,
    /// The coordinator.
    pub coordinator: Process,
    /// The workers.
    pub workers: Vec<Process>,
}

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since the machine did.
    started: u64,
}

impl Process {
    /// The process that has this number now.
    pub fn of(pid: u32) -> Option<Self> {
        Some(Self { pid, started: started(pid)? })
    }

    /// Whether it still runs.
    pub fn is_alive(self) -> bool {
        started(self.pid) == Some(self.started)
    }

    /// Sends it a signal, when it still runs.
    pub fn signal(self, signal: i32) {
        if self.is_alive() {
            send(self.pid, signal);
        }
    }
}

/// Field 22 of `/proc/PID/stat`, behind the name in parentheses; `None` for a process that ended.
fn started(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    if matches!(state, "Z" | "X") { None } else { fields.nth(18)?.parse().ok() }
}

impl Record {
    /// Writes it, for us alone.
    pub fn write(&self) -> Result<(), Failure> {
        let path = path(&self.name)?;
        let failed = |error: &std::io::Error| Failure::io(Exit::Storage, "write", &path, error);
        if let Some(folder) = path.parent() {
            super::folder::private_folder(folder).map_err(|error| failed(&error))?;
        }
        let text = serde_json::to_string_pretty(self).map_err(|error| Failure::new(Exit::Storage, error))?;
        let unfinished = path.with_extension("new");
        std::fs::write(&unfinished, text)
            .and_then(|()| std::fs::rename(&unfinished, &path))
            .map_err(|error| failed(&error))
    }

    /// The record of a cluster; a damaged one counts as none.
    pub fn read(name: &str) -> Result<Option<Self>, Failure> {
        let text = std::fs::read_to_string(path(name)?).ok();
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Removes it.
    pub fn remove(name: &str) -> Result<(), Failure> {
        let _ = std::fs::remove_file(path(name)?);
        Ok(())
    }
}

fn path(name: &str) -> Result<PathBuf, Failure> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.bytes().all(allowed) {
        return Err(Failure::usage(format_args!("{name:?} cannot be the name of a cluster"))
            .hint("letters, digits, - and _, at most 64"));
    }
    Ok(AccessFolder::state_home()?.join("up").join(format!("{name}.json")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_a_later_one() {
        let us = Process::of(std::process::id()).unwrap();
        assert!(us.is_alive());
        assert!(!Process { started: us.started + 1, ..us }.is_alive());
        assert_eq!(Process::of(u32::MAX), None);
    }

    #[test]
    fn names_stay_in_the_folder() {
        for name in ["", "../x", "a/b", ".x"] {
            assert!(path(name).is_err(), "{name}");
        }
    }
}
