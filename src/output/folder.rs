//! A folder with a file per task, named by index and by the file that the task's input came from.

use super::sink::SinkError;
use crate::input::Names;
use std::path::PathBuf;

/// Writes outputs into a folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    fallback: String,
    names: Names,
}

impl Folder {
    /// `fallback` is the name of tasks that come from no file.
    pub fn new(path: PathBuf, fallback: String, names: Names) -> Self {
        Self { path, fallback, names }
    }

    /// Writes the output of one task.
    pub fn write(&self, index: u64, bytes: &[u8]) -> Result<(), SinkError> {
        self.put(self.name(index), bytes)
    }

    /// Writes what went wrong with a task.
    pub fn write_error(&self, index: u64, message: &str) -> Result<(), SinkError> {
        self.put(self.name(index) + ".error", format!("{message}\n").as_bytes())
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

    fn put(&self, name: String, bytes: &[u8]) -> Result<(), SinkError> {
        let path = self.path.join(name);
        std::fs::write(&path, bytes).map_err(|error| SinkError::Write { path, error })
    }
}
