//! Takes result messages and writes what they hold.

use super::file::OutFile;
use super::folder::Folder;
use super::render::{error_line, extension, file, line};
use super::target::Opened;
use crate::exit::{Exit, Failure};
use crate::input::Names;
use muster_plugin_host::OutputKind;
use muster_proto::packed::{Items, Malformed};
use muster_proto::v1;
use std::io::{self, ErrorKind, Write as _};
use std::path::PathBuf;

/// Rendered lines are written once there are this many bytes, and at the end of every message.
const LINES_BYTES: usize = 256 << 10;

/// Where results end up.
#[derive(Debug)]
pub struct Sink {
    kind: OutputKind,
    place: Place,
    lines: Vec<u8>,
    reduced: Option<Vec<u8>>,
    has_outputs: bool,
}

#[derive(Debug)]
enum Place {
    Nowhere,
    Stdout,
    File(OutFile),
    Folder(Folder),
}

/// Why writing stopped.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    #[error("stdout was closed")]
    Closed,
    #[error("cannot write {}: {}", path.display(), crate::exit::reason(error))]
    Write {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error("the coordinator sent results that do not add up: {source}")]
    Mismatch { source: Malformed },
}

impl From<SinkError> for Failure {
    fn from(error: SinkError) -> Self {
        match &error {
            SinkError::Closed => Self::new(Exit::Ok, &error),
            SinkError::Write { error: cause, .. } if cause.kind() == ErrorKind::FileTooLarge => {
                Self::new(Exit::Storage, &error)
            }
            SinkError::Write { .. } => Self::caused(Exit::Job, &error),
            SinkError::Mismatch { .. } => Self::new(Exit::Connection, &error),
        }
    }
}

impl Sink {
    /// Writes to what was opened; without it only a reduced output is kept.
    pub fn new(opened: Option<Opened>, kind: OutputKind, plugin: &str, names: Names) -> Self {
        let place = match opened {
            None => Place::Nowhere,
            Some(Opened::Stdout) => Place::Stdout,
            Some(Opened::File(file)) => Place::File(file),
            Some(Opened::Folder(path)) => {
                Place::Folder(Folder::new(path, format!("{plugin}.{}", extension(kind)), names))
            }
        };
        Self { kind, place, lines: Vec::new(), reduced: None, has_outputs: false }
    }

    /// Writes what one message holds: all of it, or nothing of it stays in a file.
    pub fn take(&mut self, reply: &v1::ResultsReply) -> Result<(), SinkError> {
        if reply.reduced {
            return self.take_reduced(reply);
        }
        let results = reply.results.clone().unwrap_or_default();
        let failures = reply.failures.len() as u64;
        // Tasks that failed have no item, or an empty one.
        let (items, all) = match Items::try_new(results.clone(), reply.count.saturating_sub(failures)) {
            Ok(items) => (items, failures == 0),
            Err(_) => {
                (Items::try_new(results, reply.count).map_err(|source| SinkError::Mismatch { source })?, true)
            }
        };
        let mut items = items.iter();
        let mut failed = reply.failures.iter().peekable();
        for index in reply.start..reply.start.saturating_add(reply.count) {
            match failed.next_if(|failure| failure.index == index) {
                Some(failure) => {
                    self.failed(index, &failure.message)?;
                    if all {
                        items.next();
                    }
                }
                None => self.output(index, items.next().unwrap_or_default())?,
            }
        }
        self.flush()?;
        if let Place::File(out) = &mut self.place {
            out.keep();
        }
        self.has_outputs |= reply.count > failures && !matches!(self.place, Place::Nowhere);
        Ok(())
    }

    /// The job ended well: a file that nothing was written to is emptied.
    pub fn finish(&mut self) -> Result<(), SinkError> {
        match &mut self.place {
            Place::File(out) => out.finish(),
            Place::Nowhere | Place::Stdout | Place::Folder(_) => Ok(()),
        }
    }

    /// Outputs of tasks are where the user wants them.
    pub const fn has_outputs(&self) -> bool {
        self.has_outputs
    }

    /// The reduced output, when it came.
    pub fn reduced(&self) -> Option<&[u8]> {
        self.reduced.as_deref()
    }

    fn take_reduced(&mut self, reply: &v1::ResultsReply) -> Result<(), SinkError> {
        let bytes = reply.results.as_ref().map(|results| results.data.clone()).unwrap_or_default();
        match &mut self.place {
            Place::Nowhere => {}
            Place::Stdout => write_stdout(&bytes)?,
            Place::File(out) => out.write(&bytes)?,
            Place::Folder(folder) => folder.write_reduced(&file(self.kind, &bytes))?,
        }
        self.reduced = Some(bytes.to_vec());
        Ok(())
    }

    fn output(&mut self, index: u64, bytes: &[u8]) -> Result<(), SinkError> {
        match &self.place {
            Place::Nowhere => return Ok(()),
            Place::Folder(folder) => return folder.write(index, &file(self.kind, bytes)),
            Place::Stdout | Place::File(..) => line(self.kind, &mut self.lines, index, bytes),
        }
        if self.lines.len() >= LINES_BYTES { self.flush() } else { Ok(()) }
    }

    fn failed(&mut self, index: u64, message: &str) -> Result<(), SinkError> {
        match &self.place {
            Place::Nowhere => {}
            Place::Folder(folder) => folder.write_error(index, message)?,
            Place::Stdout | Place::File(..) => error_line(&mut self.lines, index, message),
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        match &mut self.place {
            Place::Stdout => write_stdout(&self.lines)?,
            Place::File(out) => out.write(&self.lines)?,
            Place::Nowhere | Place::Folder(_) => {}
        }
        self.lines.clear();
        Ok(())
    }
}

fn write_stdout(bytes: &[u8]) -> Result<(), SinkError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => SinkError::Closed,
        _ => SinkError::Write { path: "stdout".into(), error },
    })
}

#[cfg(test)]
mod tests {
    use super::super::target::Target;
    use super::*;

    fn reply(packed: v1::Packed, failures: &[u64]) -> v1::ResultsReply {
        let failure = |&index| v1::TaskFailure { index, message: "bad".into(), ..Default::default() };
        v1::ResultsReply {
            start: 10,
            count: 3,
            results: Some(packed),
            failures: failures.iter().map(failure).collect(),
            ..Default::default()
        }
    }

    fn written(packed: v1::Packed, failures: &[u64]) -> Result<String, SinkError> {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::File(folder.path().join("out"));
        let mut sink = Sink::new(Some(target.open().unwrap()), OutputKind::Text, "p", Names::default());
        sink.take(&reply(packed, failures))?;
        Ok(std::fs::read_to_string(folder.path().join("out")).unwrap())
    }

    fn packed(width: u32, lengths: &[u32], data: &'static [u8]) -> v1::Packed {
        v1::Packed { width, lengths: lengths.to_vec(), data: data.into() }
    }

    #[test]
    fn failures_stand_in_their_place() {
        let expected = "{\"index\":10,\"output\":\"aa\"}\n{\"index\":11,\"error\":\"bad\"}\n{\"index\":12,\"output\":\"cc\"}\n";
        assert_eq!(written(packed(2, &[], b"aacc"), &[11]).unwrap(), expected);
        assert_eq!(written(packed(0, &[2, 2], b"aacc"), &[11]).unwrap(), expected);
        assert_eq!(written(packed(0, &[2, 0, 2], b"aacc"), &[11]).unwrap(), expected);
    }

    #[test]
    fn a_message_that_does_not_add_up_is_refused() {
        assert!(matches!(written(packed(2, &[], b"aa"), &[]), Err(SinkError::Mismatch { .. })));
        assert!(written(packed(0, &[1, 1, 9], b"aab"), &[]).is_err());
    }

    #[test]
    fn a_folder_gets_a_file_per_task() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::new(folder.path());
        let mut sink = Sink::new(Some(target.open().unwrap()), OutputKind::Text, "p", Names::default());
        sink.take(&reply(packed(0, &[1, 1, 0], b"ab"), &[12])).unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(
            (read("10-p.txt"), read("11-p.txt"), read("12-p.txt.error")),
            ("a".into(), "b".into(), "bad\n".into())
        );
        // The same tasks of another job: what each of them left before goes.
        let mut sink = Sink::new(Some(target.open().unwrap()), OutputKind::Text, "p", Names::default());
        sink.take(&reply(packed(0, &[0, 1, 1], b"bc"), &[10])).unwrap();
        let mut names: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["10-p.txt.error", "11-p.txt", "12-p.txt"]);
    }
}
