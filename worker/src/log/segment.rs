//! A piece of a job's log: texts in one file, their index in another. Both only grow.

use super::line::{ENTRY_BYTES, Entry, Line};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file of texts of a segment.
pub(super) fn data_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:08}.data"))
}

/// The index of a segment.
pub(super) fn index_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:08}.index"))
}

/// The segment that is being written.
#[derive(Debug)]
pub(super) struct Segment {
    pub number: u32,
    data: File,
    index: File,
    data_bytes: u64,
    /// What was added and is not in the files yet.
    texts: Vec<u8>,
    entries: Vec<u8>,
}

impl Segment {
    /// Begins a segment.
    pub fn create(folder: &Path, number: u32) -> io::Result<Self> {
        let create = |path: &Path| OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let data = create(&data_path(folder, number))?;
        let index = create(&index_path(folder, number))?;
        Ok(Self { number, data, index, data_bytes: 0, texts: Vec::new(), entries: Vec::new() })
    }

    /// Adds a line; says how many bytes it takes.
    pub fn add(&mut self, line: &Line) -> u64 {
        let entry = Entry {
            time_ns: line.time_ns,
            executor: line.executor,
            task: line.task,
            source: line.source,
            offset: self.data_bytes as u32,
            len: line.text.len() as u32,
        };
        self.texts.extend_from_slice(&line.text);
        self.entries.extend_from_slice(&entry.encode());
        self.data_bytes += line.text.len() as u64;
        (line.text.len() + ENTRY_BYTES) as u64
    }

    /// Bytes that are not in the files yet.
    pub fn unwritten(&self) -> usize {
        self.texts.len() + self.entries.len()
    }

    /// Writes what was added: texts first, so that an entry never names what is not there.
    pub fn write(&mut self) -> io::Result<()> {
        self.data.write_all(&self.texts)?;
        self.texts.clear();
        self.index.write_all(&self.entries)?;
        self.entries.clear();
        Ok(())
    }
}
