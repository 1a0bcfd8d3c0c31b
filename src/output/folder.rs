//! A folder with a file per task, named by index and by the file that the task's input came from.

use super::sink::SinkError;
use crate::input::Names;
use crate::terminal::note;
use std::path::PathBuf;

/// Added to the name of a task's file for what went wrong.
const ERROR: &str = ".error";

/// Writes outputs into a folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    fallback: String,
    names: Names,
    /// Files of an earlier job may be in it.
    used: bool,
}

impl Folder {
    /// `fallback` is the name of tasks that come from no file.
    pub fn new(path: PathBuf, fallback: String, names: Names) -> Self {
        let used = std::fs::read_dir(&path).is_ok_and(|mut files| files.next().is_some());
        if used {
            let path = path.display();
            note(format_args!(
                "note: {path} is not empty: files of the same names are replaced, others stay"
            ));
        }
        Self { path, fallback, names, used }
    }

    /// Writes the output of one task.
    pub fn write(&self, index: u64, bytes: &[u8]) -> Result<(), SinkError> {
        self.remove_old(self.name(index) + ERROR);
        self.put(self.name(index), bytes)
    }

    /// Writes what went wrong with a task.
    pub fn write_error(&self, index: u64, message: &str) -> Result<(), SinkError> {
        self.remove_old(self.name(index));
        self.put(self.name(index) + ERROR, format!("{message}\n").as_bytes())
    }

    /// Writes the job's one output.
    pub fn write_reduced(&self, bytes: &[u8]) -> Result<(), SinkError> {
        self.put(format!("reduced-{}", self.fallback), bytes)
    }

    fn name(&self, index: u64) -> String {
        match self.names.get(index) {
            Some(name) => format!("{index}-{name}"),
            None => format!("{index}-{}", self.fallback),
        }
    }

    /// A task has an output or an error, not both.
    fn remove_old(&self, name: String) {
        if self.used {
            let _ = std::fs::remove_file(self.path.join(name));
        }
    }

    fn put(&self, name: String, bytes: &[u8]) -> Result<(), SinkError> {
        let path = self.path.join(name);
        std::fs::write(&path, bytes).map_err(|error| {
            let _ = std::fs::remove_file(&path);
            SinkError::Write { path, error }
        })
    }
}
