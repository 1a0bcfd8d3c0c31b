//! What `muster up` remembers about its processes, so that `muster down` ends exactly those.

use crate::exit::{Exit, Failure};
use muster_proto::link::{AccessFolder, Process};
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
    fn names_stay_in_the_folder() {
        for name in ["", "../x", "a/b", ".x"] {
            assert!(path(name).is_err(), "{name}");
        }
    }
}
