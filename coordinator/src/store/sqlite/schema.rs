//! The database's format.

use crate::store::StoreError;
use rusqlite::{Connection, OpenFlags};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The format this build writes.
pub const FORMAT: i64 = 6;
/// Says that a database is ours ("mstr").
const APPLICATION_ID: i64 = 0x6d73_7472;
/// Pages in the WAL before it is folded into the database and written from its start again. Not more: a commit
/// that makes the file longer takes about ten times as long as one that writes over what is there.
const CHECKPOINT_PAGES: u32 = 1_000;
/// What the WAL keeps of its length once it is folded into the database, after a long transaction or a long read.
const WAL_BYTES_KEPT: u32 = 64 << 20;
/// Large enough that a packed range is a few pages, small enough for single results.
pub(super) const PAGE_BYTES: u32 = 16_384;

// Row ids stay implicit where rows hold large values, so that those lie in one tree only.
const TABLES: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE plugins (
    digest BLOB PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, target TEXT NOT NULL,
    size INTEGER NOT NULL, manifest TEXT NOT NULL, added_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE workers (incarnation INTEGER PRIMARY KEY);
CREATE TABLE jobs (
    job INTEGER PRIMARY KEY, request_id TEXT NOT NULL, submitted_ns INTEGER NOT NULL, spec BLOB NOT NULL,
    tasks INTEGER NOT NULL DEFAULT 0, sealed INTEGER NOT NULL DEFAULT 0,
    checksum INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,
    reduced BLOB, ended INTEGER, reason TEXT, status BLOB, taken INTEGER NOT NULL DEFAULT 0, paused TEXT
);
CREATE TABLE inputs (
    job INTEGER NOT NULL, start INTEGER NOT NULL, count INTEGER NOT NULL,
    width INTEGER NOT NULL, lengths BLOB, data BLOB, blob BLOB
);
CREATE UNIQUE INDEX inputs_by_start ON inputs (job, start);
CREATE TABLE commits (
    job INTEGER NOT NULL, start INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (job, start)
) WITHOUT ROWID;
CREATE TABLE results (
    job INTEGER NOT NULL, start INTEGER NOT NULL, count INTEGER NOT NULL,
    width INTEGER NOT NULL, lengths BLOB, data BLOB, blob BLOB
);
CREATE UNIQUE INDEX results_by_start ON results (job, start);
CREATE INDEX inputs_by_blob ON inputs (blob) WHERE blob IS NOT NULL;
CREATE INDEX results_by_blob ON results (blob) WHERE blob IS NOT NULL;
CREATE TABLE failures (
    job INTEGER NOT NULL, task INTEGER NOT NULL, class INTEGER NOT NULL, message TEXT NOT NULL,
    PRIMARY KEY (job, task)
) WITHOUT ROWID;
CREATE TABLE charges (
    job INTEGER NOT NULL, task INTEGER NOT NULL, class INTEGER NOT NULL, charged INTEGER NOT NULL,
    PRIMARY KEY (job, task, class)
) WITHOUT ROWID;
CREATE TABLE post_mortems (
    job INTEGER NOT NULL, task INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (job, task)
) WITHOUT ROWID;
CREATE TABLE partials (
    job INTEGER NOT NULL, start INTEGER NOT NULL, size INTEGER NOT NULL, data BLOB NOT NULL
);
CREATE UNIQUE INDEX partials_by_start ON partials (job, start, size);
";

/// Opens the database to write, making it when it is missing.
pub fn open(folder: &Path, path: &Path) -> Result<Connection, StoreError> {
    // Results are nobody else's business, also in a folder that others may read; what SQLite puts beside the
    // database gets the same rights.
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(StoreError::file("opening", path))?;
    let connection = Connection::open(path).map_err(StoreError::sqlite("opening the database"))?;
    let is_new = set_up(&connection).map_err(|error| refuse(path, error))?;
    if is_new {
        create(&connection).map_err(StoreError::sqlite("making the database"))?;
    }
    let found = format_of(&connection, folder, path)?;
    if found < FORMAT {
        migrate(&connection, found).map_err(StoreError::sqlite("bringing the database up to date"))?;
    }
    Ok(connection)
}

/// The format of a database, of those that this build knows.
pub fn format_of(connection: &Connection, folder: &Path, path: &Path) -> Result<i64, StoreError> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let ours = number("application_id").map_err(|error| refuse(path, error))?;
    let found = number("user_version").map_err(|error| refuse(path, error))?;
    match found {
        _ if ours != APPLICATION_ID || found < 1 => Err(StoreError::NotOurs { path: path.to_owned() }),
        1..=FORMAT => Ok(found),
        _ => Err(StoreError::TooNew { path: folder.to_owned(), found, known: FORMAT }),
    }
}

/// Opens the database beside the writer.
pub fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.pragma_update(None, "cache_size", -1_024)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        Ok(connection)
    };
    open().map_err(StoreError::sqlite("opening the database to read"))
}

/// Settings of every connection that writes; says whether the database is empty.
fn set_up(connection: &Connection) -> rusqlite::Result<bool> {
    // Before anything is written: what removed records leave behind is given back in steps.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)?;
    connection.pragma_update(None, "cache_size", -8_192)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
}

pub(super) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; {TABLES} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT}; COMMIT;"
    ))
}

/// What each format lacks that the next one has, from format 1 on.
const STEPS: [&str; FORMAT as usize - 1] = [
    "ALTER TABLE jobs ADD COLUMN taken INTEGER NOT NULL DEFAULT 0;",
    // Which failures they were nobody wrote down: they count as crashes, which have the same budget as transient ones.
    "ALTER TABLE jobs ADD COLUMN paused TEXT;
     CREATE TABLE charges_by_class (
         job INTEGER NOT NULL, task INTEGER NOT NULL, class INTEGER NOT NULL, charged INTEGER NOT NULL,
         PRIMARY KEY (job, task, class)
     ) WITHOUT ROWID;
     INSERT INTO charges_by_class (job, task, class, charged) SELECT job, task, 3, charged FROM charges;
     DROP TABLE charges;
     ALTER TABLE charges_by_class RENAME TO charges;",
    "CREATE TABLE post_mortems (
         job INTEGER NOT NULL, task INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (job, task)
     ) WITHOUT ROWID;",
    "CREATE TABLE workers (incarnation INTEGER PRIMARY KEY);",
    "CREATE INDEX inputs_by_blob ON inputs (blob) WHERE blob IS NOT NULL;
     CREATE INDEX results_by_blob ON results (blob) WHERE blob IS NOT NULL;",
];

fn migrate(connection: &Connection, found: i64) -> rusqlite::Result<()> {
    let steps = STEPS[usize::try_from(found - 1).unwrap_or(0)..].concat();
    connection.execute_batch(&format!("BEGIN IMMEDIATE; {steps} PRAGMA user_version = {FORMAT}; COMMIT;"))
}

fn refuse(path: &Path, error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => StoreError::NotOurs { path: path.to_owned() },
        _ => StoreError::sqlite("opening the database")(error),
    }
}
