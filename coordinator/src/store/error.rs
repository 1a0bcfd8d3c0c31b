//! What can go wrong with a store.

use muster_core::id::Epoch;
use std::path::PathBuf;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite refused.
    #[error("state folder: {doing} failed: {source}")]
    Sqlite {
        /// What was being done.
        doing: &'static str,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// A file beside the database could not be read or written.
    #[error("state folder: {doing} {path}: {source}")]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Something else has the folder's name.
    #[error("state folder {path} is not a folder; name another one")]
    NotAFolder {
        /// What it is called.
        path: PathBuf,
    },
    /// There is no such folder.
    #[error("there is no state folder {path}; name the one that the coordinator was given with --state")]
    NoFolder {
        /// What it is called.
        path: PathBuf,
    },
    /// No coordinator kept its state there.
    #[error(
        "{path} holds no state: it has no database muster.db; name the folder that the coordinator was given with --state"
    )]
    NoDatabase {
        /// The folder.
        path: PathBuf,
    },
    /// The folder belongs to a running coordinator.
    #[error(
        "state folder {path} is in use by another coordinator; stop that one first, or name another folder"
    )]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A later build wrote it.
    #[error("state folder {path} has format {found}, this build knows up to {known}; use the newer muster")]
    TooNew {
        /// The folder.
        path: PathBuf,
        /// The format it has.
        found: i64,
        /// The newest format this build reads.
        known: i64,
    },
    /// The database file is something else.
    #[error("{path} is not a muster state database; name another state folder")]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// The database is missing or empty, and what it names is there.
    #[error(
        "{path} is missing or empty, but the folder blobs beside it is not; put the database back, or move blobs away"
    )]
    Emptied {
        /// The database file.
        path: PathBuf,
    },
    /// Another coordinator took over.
    #[error("a newer coordinator (epoch {found}) took over this state; this one was epoch {held} and stops")]
    StaleEpoch {
        /// The epoch of the writer.
        held: Epoch,
        /// The epoch of the store.
        found: Epoch,
    },
    /// What was read makes no sense.
    #[error(
        "state folder: {what} of job {job} is damaged; restore the folder from a backup, or remove the job (muster state rm DIR JOB)"
    )]
    Damaged {
        /// What was being read.
        what: &'static str,
        /// The job it belongs to; 0 when to none.
        job: u64,
    },
    /// The thread that writes is gone.
    #[error("the store's writer has ended")]
    WriterGone,
}

impl StoreError {
    /// Turns SQLite's error into ours.
    pub(crate) fn sqlite(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Sqlite { doing, source }
    }

    /// Turns a file's error into ours.
    pub(crate) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::File { doing, path: path.into(), source }
    }
}
