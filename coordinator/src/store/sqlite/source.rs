//! A state folder that is only read. A coordinator may be writing to it: everything is read as it was at one moment.

use super::{replay, rows, schema};
use crate::store::blobs::{Blobs, Digest};
use crate::store::{Piece, PluginRecord, Record, StoreError};
use muster_core::id::JobId;
use rusqlite::{Connection, OptionalExtension};
use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Complaints of SQLite that are listed.
const COMPLAINTS_MAX: u32 = 20;

/// The folder, as it was when this was opened or last renewed.
#[derive(Debug)]
pub struct Source {
    connection: Connection,
    folder: PathBuf,
    blobs: Blobs,
    format: i64,
}

impl Source {
    /// Opens the folder.
    ///
    /// # Errors
    /// There is no folder, no database in it, or one that this build cannot read.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        match fs::metadata(folder) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(StoreError::NotAFolder { path: folder.to_owned() }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(StoreError::NoFolder { path: folder.to_owned() });
            }
            Err(error) => return Err(StoreError::file("reading", folder)(error)),
        }
        let blobs = Blobs::at(&folder.join(super::BLOBS));
        let path = folder.join(super::DATABASE);
        if !super::has_bytes(&path) {
            let named = folder.join(super::BLOBS).exists() && !blobs.list()?.is_empty();
            return Err(if named {
                StoreError::Emptied { path }
            } else {
                StoreError::NoDatabase { path: folder.to_owned() }
            });
        }
        let connection = schema::open_to_read(&path)?;
        let format = schema::format_of(&connection, folder, &path)?;
        let source = Self { connection, folder: folder.to_owned(), blobs, format };
        source.run("BEGIN")?;
        Ok(source)
    }

    /// The format of the database; what is older than [`schema::FORMAT`] cannot be read as records.
    #[must_use]
    pub const fn format(&self) -> i64 {
        self.format
    }

    /// Whether this build reads it without changing it first.
    #[must_use]
    pub const fn is_of_this_format(&self) -> bool {
        self.format == schema::FORMAT
    }

    /// The folder as it is now.
    ///
    /// # Errors
    /// SQLite's.
    pub fn renew(&mut self) -> Result<(), StoreError> {
        self.run("COMMIT; BEGIN")
    }

    /// What SQLite finds wrong with its file, a line each.
    ///
    /// # Errors
    /// It cannot even look.
    pub fn complaints(&self) -> Result<Vec<String>, StoreError> {
        let lines: Vec<String> = self
            .connection
            .prepare(&format!("PRAGMA integrity_check({COMPLAINTS_MAX})"))
            .and_then(|mut check| check.query_map([], |row| row.get(0))?.collect())
            .map_err(StoreError::sqlite("looking through the database"))?;
        let lines = lines.iter().flat_map(|text| text.lines()).map(str::to_owned);
        Ok(lines.filter(|line| line != "ok" && !line.starts_with("*** in database")).collect())
    }

    /// The registered plugins.
    ///
    /// # Errors
    /// Rows that make no sense.
    pub fn plugins(&self) -> Result<Vec<PluginRecord>, StoreError> {
        replay::plugins(&self.connection)
    }

    /// The jobs that are there.
    ///
    /// # Errors
    /// Rows that make no sense.
    pub fn jobs(&self) -> Result<Vec<JobId>, StoreError> {
        replay::jobs(&self.connection)
    }

    /// What a coordinator that starts is told of a job; nothing of one that is not there.
    ///
    /// # Errors
    /// Rows that make no sense.
    pub fn records_of(&self, job: JobId) -> Result<Vec<Record>, StoreError> {
        let is_there = self
            .connection
            .query_row("SELECT 1 FROM jobs WHERE job = ?1", [job.0 as i64], |_| Ok(()))
            .optional()
            .map_err(StoreError::sqlite("reading a job"))?;
        let mut records = Vec::new();
        if is_there.is_some() {
            replay::replay_job(&self.connection, &self.blobs, job, &mut |record| {
                records.push(record);
                Ok(())
            })?;
        }
        Ok(records)
    }

    /// The kept results of a job, in order.
    ///
    /// # Errors
    /// Rows that make no sense, files that are missing.
    pub fn each_result(&self, job: JobId, mut each: impl FnMut(Piece)) -> Result<(), StoreError> {
        let mut query = self
            .connection
            .prepare_cached(
                "SELECT start, count, width, lengths, data, blob FROM results WHERE job = ?1 ORDER BY start",
            )
            .map_err(StoreError::sqlite("reading results"))?;
        let mut found = query.query([job.0 as i64]).map_err(StoreError::sqlite("reading results"))?;
        while let Some(row) = found.next().map_err(StoreError::sqlite("reading results"))? {
            let piece = rows::read(row, &self.blobs).map_err(StoreError::sqlite("reading results"))?;
            each(piece.ok_or(StoreError::Damaged { what: "a result", job: job.0 })?);
        }
        Ok(())
    }

    /// The files that the inputs and results of a job are in.
    ///
    /// # Errors
    /// Rows that make no sense.
    pub fn files_of(&self, job: JobId) -> Result<Vec<Digest>, StoreError> {
        const QUERY: &str = "SELECT blob FROM inputs WHERE job = ?1 AND blob IS NOT NULL
                             UNION SELECT blob FROM results WHERE job = ?1 AND blob IS NOT NULL";
        self.connection
            .prepare(QUERY)
            .and_then(|mut query| query.query_map([job.0 as i64], |row| row.get(0))?.collect())
            .map_err(StoreError::sqlite("listing blobs"))
    }

    /// All files that are named.
    ///
    /// # Errors
    /// Rows that make no sense.
    pub fn files(&self) -> Result<HashSet<Digest>, StoreError> {
        super::named(&self.connection)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its large items and plugin files.
    #[must_use]
    pub const fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// Writes the database to a new file, without the pages that nothing uses. It is as it is then, not as this shows it.
    ///
    /// # Errors
    /// SQLite's.
    pub fn copy_database(&self, to: &Path) -> Result<(), StoreError> {
        self.run("COMMIT")?;
        let path =
            to.to_str().ok_or_else(|| StoreError::file("writing", to)(ErrorKind::InvalidFilename.into()))?;
        // SQLite takes a file that is there when it is empty, with its rights.
        let new = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(to);
        new.map_err(StoreError::file("making", to))?;
        let copied = self.connection.execute("VACUUM INTO ?1", [path]).map(drop);
        self.run("BEGIN")?;
        copied.map_err(StoreError::sqlite("copying the database"))
    }

    fn run(&self, statements: &str) -> Result<(), StoreError> {
        self.connection.execute_batch(statements).map_err(StoreError::sqlite("reading the state"))
    }
}
