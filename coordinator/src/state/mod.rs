//! State folders without a coordinator of their own: whether one is whole, a copy of it, less room.

mod backup;
mod check;

pub use backup::{BackedUp, BackupError, backup};
pub use check::{Checked, check};

use crate::Config;
use crate::driver::{Driver, Life};
use crate::metrics::Rejected;
use crate::running::settings;
use crate::store::sqlite::DATABASE;
use crate::store::sqlite::source::Source;
use crate::store::writer::Log;
use crate::store::{MemoryStore, Record, SqliteStore, Store as _, StoreError};
use muster_core::id::{Epoch, JobId, LogPos};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folder of a coordinator's keys and tokens in its state folder.
pub(crate) const AUTHORITY: &str = "authority";

/// A driver that takes records up as that of a coordinator which starts, and writes nothing anywhere.
pub(crate) fn trial() -> Result<Driver, StoreError> {
    let log = Log::start(Box::new(MemoryStore::new()), Epoch(0))
        .map_err(StoreError::file("starting the writer for", PathBuf::new()))?;
    let config = Config::private(PathBuf::from("/nowhere/socket"));
    let life = Life { state: 1, epoch: Epoch(1) };
    Ok(Driver::new(settings(&config), life, log, Arc::new(Rejected::default())))
}

/// Writes the database of a folder anew, without the room that removed records left: its bytes on the disk before and after.
///
/// # Errors
/// A coordinator has the folder, there is none, or no room for a second database.
pub fn compact(folder: &Path) -> Result<(u64, u64), StoreError> {
    let bytes = || {
        let files =
            [DATABASE.to_owned(), format!("{DATABASE}-wal")].map(|name| fs::metadata(folder.join(name)));
        files.into_iter().flatten().map(|found| found.blocks() * 512).sum()
    };
    let mut store = open(folder)?;
    let before = bytes();
    store.compact()?;
    Ok((before, bytes()))
}

/// Removes jobs with their results, also such as a coordinator does not start with. Gives those that were not there.
///
/// # Errors
/// A coordinator has the folder, there is none, or it cannot be written.
pub fn remove(folder: &Path, jobs: &[JobId]) -> Result<Vec<JobId>, StoreError> {
    let mut store = open(folder)?;
    let known = store.jobs()?;
    let (there, missing): (Vec<JobId>, Vec<JobId>) = jobs.iter().partition(|job| known.contains(job));
    let records = there.into_iter().map(|job| (LogPos(0), Record::Removed { job }));
    let epoch = store.begin_epoch()?;
    store.append(epoch, &records.collect::<Vec<_>>())?;
    Ok(missing)
}

/// Opens a folder that has a state, and nothing else.
fn open(folder: &Path) -> Result<SqliteStore, StoreError> {
    drop(Source::open(folder)?);
    SqliteStore::open(folder)
}
