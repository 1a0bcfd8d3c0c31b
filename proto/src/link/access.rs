//! Access files: how commands on this machine find a cluster by its name. Each is
//! `clusters/NAME.json` in the state folder, readable by its owner alone.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::FileError;
use super::private_file;
use super::process::Process;
use super::target::Target;

const NAME_MAX_CHARS: usize = 64;
const SUFFIX: &str = ".json";

/// What a command needs to know about a running cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The cluster's name.
    pub name: String,
    /// Where its coordinator listens.
    pub target: Target,
    /// `HOST:PORT` of its metrics and health page, when it has one.
    pub http: Option<String>,
    /// The coordinator's process.
    pub process: Process,
}

impl Access {
    /// What the file at `path` says.
    ///
    /// # Errors
    /// It is damaged.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, FileError> {
        let stored: Stored = serde_json::from_str(text).map_err(|error| damaged(path, &error))?;
        let target = Target::parse(&stored.target).map_err(|error| damaged(path, &error))?;
        Ok(Self { name: stored.name, target, http: stored.http, process: stored.process })
    }
}

/// The folder of access files.
#[derive(Clone, Debug)]
pub struct AccessFolder {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    name: String,
    target: String,
    #[serde(default)]
    http: Option<String>,
    #[serde(flatten)]
    process: Process,
}

impl AccessFolder {
    /// The user's folder: `$MUSTER_STATE_HOME/clusters`, `$XDG_STATE_HOME/muster/clusters` or
    /// `~/.local/state/muster/clusters`.
    ///
    /// # Errors
    /// [`FileError::NoHome`].
    pub fn of_user() -> Result<Self, FileError> {
        Ok(Self::at(&Self::state_home()?))
    }

    /// The user's state folder for muster.
    ///
    /// # Errors
    /// [`FileError::NoHome`].
    pub fn state_home() -> Result<PathBuf, FileError> {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        absolute("MUSTER_STATE_HOME")
            .or_else(|| absolute("XDG_STATE_HOME").map(|path| path.join("muster")))
            .or_else(|| absolute("HOME").map(|path| path.join(".local/state/muster")))
            .ok_or(FileError::NoHome)
    }

    /// The folder `clusters` in a state folder.
    #[must_use]
    pub fn at(state_home: &Path) -> Self {
        Self { path: state_home.join("clusters") }
    }

    /// Where the files are.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes an access file, replacing one of the same name.
    ///
    /// # Errors
    /// A name that cannot be a file name, or a folder that cannot be written.
    pub fn write(&self, access: &Access) -> Result<PathBuf, FileError> {
        let path = self.file(&access.name)?;
        private_file::create_folder(&self.path)?;
        let stored = Stored {
            name: access.name.clone(),
            target: access.target.to_join_string(),
            http: access.http.clone(),
            process: access.process,
        };
        let text = serde_json::to_string_pretty(&stored).map_err(|error| damaged(&path, &error))?;
        private_file::replace(&path, &(text + "\n"))?;
        Ok(path)
    }

    /// Reads the access file of a cluster.
    ///
    /// # Errors
    /// [`FileError::NoCluster`], or a file that others can read or that is damaged.
    pub fn read(&self, name: &str) -> Result<Access, FileError> {
        let path = self.file(name)?;
        let Some(text) = private_file::read(&path)? else {
            return Err(FileError::NoCluster { name: name.to_owned(), folder: self.path.clone() });
        };
        Access::parse(&path, &text)
    }

    /// The names of all clusters with an access file, in order. Whether they run is not checked.
    ///
    /// # Errors
    /// A folder that cannot be read; a missing one is empty.
    pub fn names(&self) -> Result<Vec<String>, FileError> {
        let failed = |source| FileError::Io { action: "read", path: self.path.clone(), source };
        let entries = match std::fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let file = entry.map_err(failed)?.file_name();
            let name = file.to_str().and_then(|file| file.strip_suffix(SUFFIX));
            names.extend(name.filter(|name| is_name(name)).map(str::to_owned));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Removes the access file of a cluster; one that is gone already is fine.
    ///
    /// # Errors
    /// A file that cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), FileError> {
        let path = self.file(name)?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(FileError::Io { action: "remove", path, source: error })
            }
            _ => Ok(()),
        }
    }

    /// Whether this may be a cluster's name: files are called after it.
    ///
    /// # Errors
    /// [`FileError::Name`].
    pub fn check_name(name: &str) -> Result<(), FileError> {
        if is_name(name) {
            Ok(())
        } else {
            let shown = name.chars().take(NAME_MAX_CHARS).flat_map(char::escape_debug).collect();
            Err(FileError::Name { name: shown })
        }
    }

    fn file(&self, name: &str) -> Result<PathBuf, FileError> {
        Self::check_name(name)?;
        Ok(self.path.join(format!("{name}{SUFFIX}")))
    }
}

fn is_name(text: &str) -> bool {
    (1..=NAME_MAX_CHARS).contains(&text.len())
        && !text.starts_with('.')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn damaged(path: &Path, error: &dyn std::fmt::Display) -> FileError {
    FileError::Damaged { path: path.to_path_buf(), what: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{Pin, Token};
    use std::os::unix::fs::PermissionsExt;

    fn access(name: &str, port: u16) -> Access {
        Access {
            name: name.into(),
            target: Target::tls("h:1", Pin([1; 32]), Token([2; 32])).unwrap(),
            http: Some(format!("127.0.0.1:{port}")),
            process: Process::of(std::process::id()).unwrap(),
        }
    }

    #[test]
    fn access_files_come_and_go() {
        let home = tempfile::tempdir().unwrap();
        let folder = AccessFolder::at(&home.path().join("state"));
        assert!(folder.names().unwrap().is_empty());
        assert!(matches!(folder.read("local"), Err(FileError::NoCluster { .. })));
        folder.write(&access("local", 1)).unwrap();
        let path = folder.write(&access("local", 2)).unwrap();
        folder.write(&Access { target: Target::Unix("/x".into()), http: None, ..access("b", 3) }).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(folder.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(folder.read("local").unwrap(), access("local", 2));
        assert_eq!(folder.read("b").unwrap().target, Target::Unix("/x".into()));
        assert_eq!(folder.names().unwrap(), ["b", "local"]);
        folder.remove("local").unwrap();
        folder.remove("local").unwrap();
        assert_eq!(folder.names().unwrap(), ["b"]);
    }

    #[test]
    fn names_stay_in_the_folder() {
        let home = tempfile::tempdir().unwrap();
        let folder = AccessFolder::at(home.path());
        for name in ["", ".", "..", "../x", "a/b", "a b", ".hidden", &"x".repeat(65)] {
            assert!(matches!(folder.read(name), Err(FileError::Name { .. })), "{name}");
        }
    }

    #[test]
    fn a_damaged_file_is_named() {
        let home = tempfile::tempdir().unwrap();
        let folder = AccessFolder::at(home.path());
        let path = folder.write(&access("x", 1)).unwrap();
        for bad in ["", "{}", r#"{"name":"x","target":"nowhere","pid":1}"#] {
            std::fs::write(&path, bad).unwrap();
            let error = folder.read("x").unwrap_err().to_string();
            assert!(error.contains("x.json") && !error.contains('\n'), "{error}");
        }
    }
}
