//! The log of one job on this worker: segments, of which the oldest may go.

use super::SEGMENT_BYTES;
use super::line::Line;
use super::segment::{Segment, data_path, index_path};
use std::collections::VecDeque;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

/// What was added is written when it has so many bytes, whether or not more comes at once.
const UNWRITTEN_BYTES: usize = 1 << 20;

/// The log of a job.
#[derive(Debug)]
pub(super) struct JobLog {
    folder: PathBuf,
    /// Bytes that each of its tasks may keep.
    pub task_bytes: u64,
    /// Segments that are not written to any more, the oldest first, and their bytes.
    full: VecDeque<(u32, u64)>,
    current: Option<Segment>,
    current_bytes: u64,
    next: u32,
}

impl JobLog {
    /// A log without lines; nothing is made on disk before the first.
    pub fn new(folder: PathBuf, task_bytes: u64) -> Self {
        Self { folder, task_bytes, full: VecDeque::new(), current: None, current_bytes: 0, next: 0 }
    }

    /// Adds a line; says how many bytes it takes.
    pub fn add(&mut self, line: &Line) -> io::Result<u64> {
        if self.current_bytes >= SEGMENT_BYTES {
            self.finish_segment()?;
        }
        if self.current.is_none() {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
            self.current = Some(Segment::create(&self.folder, self.next)?);
            self.next += 1;
        }
        let Some(segment) = &mut self.current else { return Ok(0) };
        let bytes = segment.add(line);
        self.current_bytes += bytes;
        if segment.unwritten() >= UNWRITTEN_BYTES {
            segment.write()?;
        }
        Ok(bytes)
    }

    /// Puts into the files what is not there yet.
    pub fn write(&mut self) -> io::Result<()> {
        self.current.as_mut().map_or(Ok(()), Segment::write)
    }

    /// Nothing is added for now: its files are closed.
    pub fn finish_segment(&mut self) -> io::Result<()> {
        let Some(mut segment) = self.current.take() else { return Ok(()) };
        self.full.push_back((segment.number, std::mem::take(&mut self.current_bytes)));
        segment.write()
    }

    /// Removes its oldest segment; says how many bytes that was. `None`: there is none.
    pub fn remove_oldest(&mut self) -> Option<u64> {
        if self.full.is_empty() {
            // It is removed: whether it could be written does not matter.
            let _ = self.finish_segment();
        }
        let (number, bytes) = self.full.pop_front()?;
        let _ = std::fs::remove_file(index_path(&self.folder, number));
        let _ = std::fs::remove_file(data_path(&self.folder, number));
        Some(bytes)
    }

    /// Removes all of it; says how many bytes that was.
    pub fn remove(self) -> u64 {
        let _ = std::fs::remove_dir_all(&self.folder);
        self.full.iter().map(|(_, bytes)| bytes).sum::<u64>() + self.current_bytes
    }
}
