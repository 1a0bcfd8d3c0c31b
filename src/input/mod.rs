//! The inputs of a job's tasks, read in blocks and never all at once.

mod block;
mod files;
mod glob;
mod lines;

pub use block::Block;
pub use files::{FileList, FileParts};
#[cfg(fuzzing)]
pub use glob::pattern_matches;
pub use lines::Lines;

use crate::exit::{Exit, Failure};
use std::fs::Metadata;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Where the tasks of a job come from.
#[derive(Debug)]
pub enum Source {
    /// Nowhere: a task knows its index only.
    Count(u64),
    /// A task per line.
    Lines(LineSource),
    /// A task per file or part of a file.
    Files(FileList),
}

/// Where lines come from.
#[derive(Debug)]
pub enum LineSource {
    /// The standard input: the job stays open while lines come in.
    Stdin(std::fs::File),
    /// An opened file.
    File(PathBuf, std::fs::File),
}

/// Something that hands out inputs block by block.
pub trait Blocks: Send {
    /// The next block; `None` at the end.
    fn next_block(&mut self) -> Result<Option<Block>, InputError>;
}

/// What can be wrong with inputs.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    #[error("cannot read {}: {}", path.display(), crate::exit::reason(error))]
    Read {
        path: PathBuf,
        #[source]
        error: std::io::Error,
    },
    #[error("{} is {kind}, not a file", path.display())]
    NotAFile { path: PathBuf, kind: &'static str },
    #[error("--lines {} is a folder, and folders have no lines", path.display())]
    LinesOfFolder { path: PathBuf },
    #[error("no file matches {pattern:?}")]
    NoMatch { pattern: String },
    #[error("{pattern:?} is not a pattern: {reason}")]
    BadPattern { pattern: String, reason: &'static str },
    #[error("no file in {}", path.display())]
    EmptyFolder { path: PathBuf },
    #[error("{} has {bytes} bytes; the input of one task has at most {max}", path.display())]
    FileTooLarge { path: PathBuf, bytes: u64, max: usize },
    #[error("line {line} of {} has more than {max} bytes, the most that one task takes", path.display())]
    LineTooLong { path: PathBuf, line: u64, max: usize },
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        match &error {
            InputError::Read { error: cause, .. } if cause.kind() == std::io::ErrorKind::PermissionDenied => {
                Self::caused(Exit::Job, &error).hint("make it readable or leave it out; nothing was run")
            }
            InputError::FileTooLarge { .. } => {
                Self::new(Exit::Limit, &error).hint("cut it into tasks with --chunk 4MiB")
            }
            InputError::LineTooLong { .. } => Self::new(Exit::Limit, &error),
            InputError::NotAFile { .. } => {
                Self::new(Exit::Job, &error).hint("read it as lines: --lines FILE")
            }
            InputError::LinesOfFolder { path } => Self::new(Exit::Job, &error)
                .hint(format_args!("for a task per file of it: --files {}", path.display())),
            InputError::Read { .. }
            | InputError::NoMatch { .. }
            | InputError::BadPattern { .. }
            | InputError::EmptyFolder { .. } => Self::new(Exit::Job, &error),
        }
    }
}

impl LineSource {
    /// Opens the file of `--lines`.
    pub fn open(path: &Path) -> Result<Self, InputError> {
        let read = |error| InputError::Read { path: path.to_owned(), error };
        if path == Path::new("-") {
            // Read past the standard library's buffer: lines are found in blocks of our own.
            let stdin = std::io::stdin().as_fd().try_clone_to_owned();
            return Ok(Self::Stdin(stdin.map_err(read)?.into()));
        }
        if std::fs::metadata(path).map_err(read)?.is_dir() {
            return Err(InputError::LinesOfFolder { path: path.to_owned() });
        }
        let file = std::fs::File::open(path).map_err(read)?;
        Ok(Self::File(path.to_owned(), file))
    }
}

/// The names that outputs written to a folder get: for tasks from files the file's name.
#[derive(Clone, Debug, Default)]
pub struct Names(Option<Arc<Mutex<Vec<Arc<str>>>>>);

impl Names {
    /// Names that are filled in as files are read.
    pub fn recorded() -> Self {
        Self(Some(Arc::default()))
    }

    /// Says what the next task is called.
    pub fn push(&self, name: &Arc<str>) {
        if let Some(names) = &self.0 {
            names.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(Arc::clone(name));
        }
    }

    /// The name of the task with this index.
    pub fn get(&self, index: u64) -> Option<Arc<str>> {
        let names = self.0.as_ref()?.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        names.get(usize::try_from(index).ok()?).cloned()
    }
}

impl Source {
    /// The number of tasks, when it is known before anything is read.
    pub fn tasks(&self) -> Option<u64> {
        match self {
            Self::Count(tasks) => Some(*tasks),
            Self::Lines(_) => None,
            Self::Files(list) => list.tasks(),
        }
    }

    /// The name of the input that is this very file, when there is one.
    pub fn reads(&self, file: &Metadata) -> Option<PathBuf> {
        let is_it = |input: std::io::Result<Metadata>| {
            input.is_ok_and(|input| (input.dev(), input.ino()) == (file.dev(), file.ino()))
        };
        match self {
            Self::Count(_) => None,
            Self::Lines(LineSource::Stdin(stdin)) => is_it(stdin.metadata()).then(|| "stdin".into()),
            Self::Lines(LineSource::File(path, opened)) => is_it(opened.metadata()).then(|| path.clone()),
            Self::Files(list) => list.paths().iter().find(|path| is_it(std::fs::metadata(path))).cloned(),
        }
    }

    /// The blocks of inputs; `None` for tasks without input.
    pub fn blocks(self, names: Names) -> Option<Box<dyn Blocks>> {
        match self {
            Self::Count(_) => None,
            Self::Lines(LineSource::Stdin(stdin)) => Some(Box::new(Lines::new("stdin".into(), stdin))),
            Self::Lines(LineSource::File(path, file)) => Some(Box::new(Lines::new(path, file))),
            Self::Files(list) => Some(Box::new(FileParts::new(list, names))),
        }
    }
}
