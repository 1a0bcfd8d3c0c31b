//! The folders of `.muster/runs`, by their numbers.

use crate::cli::RunRef;
use crate::compare::{RUNS, SAMPLES};
use crate::exit::{Exit, Failure, Outcome};
use crate::summary::bytes;
use std::fmt::Display;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Far more than any file of a run has.
const FILE_MAX_BYTES: u64 = 64 << 20;

/// A run's folder.
#[derive(Clone, Debug)]
pub struct RunFolder {
    pub number: u64,
    pub path: PathBuf,
}

/// All runs here, the newest first.
pub fn all() -> Outcome<Vec<RunFolder>> {
    all_in(Path::new(RUNS))
}

/// All runs of a folder, the newest first; none where it is not there.
pub fn all_in(runs: &Path) -> Outcome<Vec<RunFolder>> {
    let entries = match std::fs::read_dir(runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::io(Exit::Storage, "read", runs, &error)),
    };
    let folder = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        // As muster writes it: +9 and 007 are somebody else's.
        let number = name.parse::<u64>().ok().filter(|number| number.to_string() == name)?;
        Some(RunFolder { number, path: entry.path() })
    };
    let mut found: Vec<RunFolder> = entries.flatten().filter_map(folder).collect();
    found.sort_by_key(|run| std::cmp::Reverse(run.number));
    Ok(found)
}

/// The run that was asked for.
pub fn find(run: RunRef) -> Outcome<RunFolder> {
    let found = all()?;
    let hint = || match (found.first(), found.last()) {
        (Some(newest), Some(oldest)) => {
            format!("there are runs {} to {}: muster runs ls", oldest.number, newest.number)
        }
        _ => {
            "there are none here yet: muster compare makes them, below the folder that it runs in".to_owned()
        }
    };
    let wanted = match run {
        RunRef::Last => found.first(),
        RunRef::Number(number) => found.iter().find(|run| run.number == number),
    };
    wanted.cloned().ok_or_else(|| {
        let name = match run {
            RunRef::Last => "no run".to_owned(),
            RunRef::Number(number) => format!("no run {number}"),
        };
        Failure::new(Exit::Job, format_args!("{name} in {RUNS}")).hint(hint())
    })
}

impl RunFolder {
    /// When it began or was last written, as far as the file system knows.
    pub fn age_s(&self) -> Option<f64> {
        let written = std::fs::metadata(self.path.join(SAMPLES)).and_then(|meta| meta.modified()).ok()?;
        SystemTime::now().duration_since(written).ok().map(|age| age.as_secs_f64())
    }

    /// Deletes it.
    pub fn remove(&self) -> Outcome<()> {
        std::fs::remove_dir_all(&self.path)
            .map_err(|error| Failure::io(Exit::Storage, "delete", &self.path, &error))
    }

    /// One of its files; `None`: it has none of that name.
    pub(super) fn open(&self, name: &str) -> Outcome<Option<File>> {
        let path = self.path.join(name);
        let failed = |error: std::io::Error| Failure::io(Exit::Storage, "read", &path, &error);
        let meta = match std::fs::metadata(&path) {
            Ok(meta) => meta,
            Err(error) => {
                return match error.kind() {
                    ErrorKind::NotFound => Ok(None),
                    ErrorKind::NotADirectory => {
                        Err(self.broken(format_args!("{} is no folder", self.path.display())))
                    }
                    _ => Err(failed(error)),
                };
            }
        };
        // Opening a pipe would wait for somebody who writes.
        if !meta.is_file() {
            return Err(self.broken(format_args!("{name} is no file")));
        }
        if meta.len() > FILE_MAX_BYTES {
            let (size, most) = (bytes(meta.len()), bytes(FILE_MAX_BYTES));
            return Err(self.broken(format_args!("{name} has {size}, and muster reads no more than {most}")));
        }
        File::open(&path).map(Some).map_err(failed)
    }

    /// That it cannot be read.
    pub(super) fn broken(&self, why: impl Display) -> Failure {
        Failure::new(Exit::Job, format_args!("run {}: {why}", self.number))
            .hint("what is kept can be listed and deleted: muster runs ls, muster runs rm RUN")
    }
}
