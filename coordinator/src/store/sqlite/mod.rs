//! The store in a folder: an SQLite database in WAL mode, large items as files beside it.
//!
//! `synchronous=FULL` makes every commit wait for the disk. The format's number is SQLite's `user_version`.

#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod read;
mod replay;
mod rows;
mod schema;
mod shrink;
pub mod source;
mod write;

use super::blobs::{Blobs, Digest};
use super::lock::FolderLock;
use super::{OpenReader, Record, Store, StoreError};
use muster_core::id::{Epoch, JobId, LogPos};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The database in the folder.
pub(crate) const DATABASE: &str = "muster.db";
/// The folder of large items and plugin files in it.
pub(crate) const BLOBS: &str = "blobs";
/// The files that records name.
pub(crate) fn named(from: &Connection) -> Result<HashSet<Digest>, StoreError> {
    from.prepare(
        "SELECT digest FROM plugins UNION SELECT blob FROM results WHERE blob IS NOT NULL
         UNION SELECT blob FROM inputs WHERE blob IS NOT NULL",
    )
    .and_then(|mut query| query.query_map([], |row| row.get(0))?.collect())
    .map_err(StoreError::sqlite("listing blobs"))
}

/// Keeps records in a folder.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    folder: PathBuf,
    blobs: Blobs,
    // Dropped last: whoever gets the folder next finds the database closed.
    _lock: FolderLock,
}

impl SqliteStore {
    /// Opens the store in `folder`, making both when they are missing.
    ///
    /// # Errors
    /// When another coordinator has the folder, a later build wrote it, or it cannot be used.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        if folder.exists() && !folder.is_dir() {
            return Err(StoreError::NotAFolder { path: folder.to_owned() });
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(StoreError::file("making the folder", folder))?;
        let lock = FolderLock::take(folder)?;
        let blobs = Blobs::open(&folder.join(BLOBS))?;
        let path = folder.join(DATABASE);
        if !has_bytes(&path) && !blobs.list()?.is_empty() {
            // A new database would name none of them, and they would be swept. A log without its database is no help: SQLite deletes it.
            return Err(StoreError::Emptied { path });
        }
        let connection = schema::open(folder, &path)?;
        Ok(Self { connection, folder: folder.to_owned(), blobs, _lock: lock })
    }

    /// The large items and plugin files of this store.
    #[must_use]
    pub fn blobs(&self) -> Blobs {
        self.blobs.clone()
    }

    /// The jobs that are there.
    ///
    /// # Errors
    /// Rows that make no sense.
    pub fn jobs(&self) -> Result<Vec<JobId>, StoreError> {
        replay::jobs(&self.connection)
    }

    /// Writes the database anew, without the room that removed records left.
    ///
    /// # Errors
    /// When there is no room for it, or it cannot be written.
    pub fn compact(&mut self) -> Result<(), StoreError> {
        self.connection
            .execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")
            .map_err(StoreError::sqlite("writing the database anew"))
    }

    /// Removes blobs that no record names.
    ///
    /// # Errors
    /// When database or folder cannot be read.
    pub fn sweep_blobs(&mut self) -> Result<usize, StoreError> {
        let named = named(&self.connection)?;
        let mut removed = 0;
        for digest in self.blobs.list()? {
            if !named.contains(&digest) {
                self.blobs.remove(&digest);
                removed += 1;
            }
        }
        Ok(removed)
    }
}

impl SqliteStore {
    /// Sets a number, and gives what it is then. In a transaction of its own: a statement that gives a row says nothing of
    /// whether it could be committed.
    fn set(&mut self, query: &str, number: i64) -> rusqlite::Result<i64> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found = transaction.query_row(query, [number], |row| row.get(0))?;
        transaction.commit()?;
        Ok(found)
    }
}

fn has_bytes(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.len() > 0)
}

impl Store for SqliteStore {
    fn begin_epoch(&mut self) -> Result<Epoch, StoreError> {
        let query = "INSERT INTO meta (key, value) VALUES ('epoch', ?1)
                     ON CONFLICT (key) DO UPDATE SET value = value + 1 RETURNING value";
        let epoch = self.set(query, 1).map_err(StoreError::sqlite("beginning an epoch"))?;
        Ok(Epoch(epoch.cast_unsigned()))
    }

    fn identity(&mut self, draw: fn() -> Result<u64, StoreError>) -> Result<u64, StoreError> {
        let query = "INSERT INTO meta (key, value) VALUES ('identity', ?1)
                     ON CONFLICT (key) DO UPDATE SET value = value RETURNING value";
        let identity = self.set(query, draw()?.cast_signed());
        identity.map(i64::cast_unsigned).map_err(StoreError::sqlite("naming the database"))
    }

    fn append(&mut self, epoch: Epoch, batch: &[(LogPos, Record)]) -> Result<(), StoreError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(StoreError::sqlite("beginning a commit"))?;
        let found: Option<i64> = transaction
            .prepare_cached("SELECT value FROM meta WHERE key = 'epoch'")
            .and_then(|mut query| query.query_row([], |row| row.get(0)).optional())
            .map_err(StoreError::sqlite("reading the epoch"))?;
        let found = Epoch(found.unwrap_or(0) as u64);
        if found != epoch {
            return Err(StoreError::StaleEpoch { held: epoch, found });
        }
        let mut gone = Vec::new();
        for (_, record) in batch {
            write::apply(&transaction, &self.blobs, record, &mut gone)?;
        }
        write::retain_unnamed(&transaction, &mut gone)?;
        transaction.commit().map_err(StoreError::sqlite("committing"))?;
        // Until now somebody may have started again with the rows.
        gone.iter().for_each(|digest| self.blobs.remove(digest));
        Ok(())
    }

    fn shrink(&mut self) -> Result<bool, StoreError> {
        shrink::step(&self.connection)
    }

    fn replay(&mut self, each: &mut dyn FnMut(Record) -> Result<(), StoreError>) -> Result<(), StoreError> {
        replay::replay(&self.connection, &self.blobs, each)
    }

    fn readers(&self) -> OpenReader {
        let (path, blobs) = (self.folder.join(DATABASE), self.blobs.clone());
        Arc::new(move || {
            let connection = schema::open_to_read(&path)?;
            Ok(Box::new(read::SqliteReader::new(connection, blobs.clone())))
        })
    }

    fn durable(&self) -> bool {
        true
    }
}
