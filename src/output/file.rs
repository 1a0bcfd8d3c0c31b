//! A file that outputs are written to. What was in it stays until there is something to put in its place.

use super::sink::SinkError;
use crate::exit::{Exit, Failure};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A file that is written from its start.
#[derive(Debug)]
pub struct OutFile {
    path: PathBuf,
    file: File,
    /// It was not there before.
    created: bool,
    /// What was in it before is gone.
    begun: bool,
    /// Bytes that were written.
    written: u64,
    /// As many of them as stay when no more can be written.
    whole: u64,
}

impl OutFile {
    /// Makes sure that it can be written, and leaves what is in it.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let new = OpenOptions::new().write(true).create_new(true).open(path);
        let created = new.is_ok();
        let opened = new.or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                // A link to a file that is not there yet exists as well.
                OpenOptions::new().write(true).create(true).truncate(false).open(path)
            }
            _ => Err(error),
        });
        let file = opened.map_err(|error| {
            let failure = Failure::io(Exit::Job, "write", path, &error);
            let folder =
                path.parent().filter(|folder| error.kind() == io::ErrorKind::NotFound && !folder.exists());
            match folder {
                Some(folder) => {
                    failure.hint(format_args!("make its folder first: mkdir -p {}", folder.display()))
                }
                None => failure,
            }
        })?;
        Ok(Self { path: path.to_owned(), file, created, begun: false, written: 0, whole: 0 })
    }

    /// Appends bytes; the first ones take the place of what was there.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.finish()?;
        let outcome = self.file.write_all(bytes);
        outcome.map_err(|error| {
            let _ = self.cut(self.whole);
            self.failed(error)
        })?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// What was written so far belongs together and stays.
    pub const fn keep(&mut self) {
        self.whole = self.written;
    }

    /// From here on the file holds what was written, also when that is nothing.
    pub fn finish(&mut self) -> Result<(), SinkError> {
        if !self.begun {
            self.cut(0).map_err(|error| self.failed(error))?;
            self.begun = true;
        }
        Ok(())
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        // Pipes and devices hold nothing.
        if self.file.metadata()?.is_file() { self.file.set_len(len) } else { Ok(()) }
    }

    fn failed(&self, error: io::Error) -> SinkError {
        SinkError::Write { path: self.path.clone(), error }
    }
}

impl Drop for OutFile {
    fn drop(&mut self) {
        if self.created && !self.begun {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_stays_until_something_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        std::fs::write(&path, "a long old text").unwrap();
        let mut out = OutFile::open(&path).unwrap();
        out.write(b"").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"a long old text");
        out.write(b"new").unwrap();
        out.write(b"er").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"newer");
        OutFile::open(&path).unwrap().finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn a_new_file_that_was_not_used_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        drop(OutFile::open(&path).unwrap());
        assert!(!path.exists());
        OutFile::open(&path).unwrap().finish().unwrap();
        assert!(path.exists());
    }
}
