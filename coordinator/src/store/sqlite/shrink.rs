//! The database gives room back. Pages that removed records leave are used again first; when they are most of a large file,
//! the file becomes shorter, a few pages at a time, so that no commit has to wait for long.

use super::schema::PAGE_BYTES;
use crate::store::StoreError;
use rusqlite::{Connection, ErrorCode};

/// Free pages that are always kept.
const FREE_KEPT: i64 = (64 << 20) / PAGE_BYTES as i64;
/// Pages of one step at most.
const STEP_PAGES: i64 = 256;
/// SQLite looks through all free pages for each page that it takes off the end of the file: so many looks make a step.
const STEP_LOOKS: i64 = 4_000_000;
/// A database of this many pages or fewer is written anew as a whole when an older muster made it.
const REWRITTEN_PAGES: i64 = (64 << 20) / PAGE_BYTES as i64;

/// Whether pages can be taken off the end of the file.
const INCREMENTAL: i64 = 2;

/// One step; says whether there is another one to take.
pub(super) fn step(connection: &Connection) -> Result<bool, StoreError> {
    match try_step(connection) {
        Ok(more) => Ok(more),
        // Room is made by writing some first: who has none is not worse off than before.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
            tracing::warn!(
                "no room on the disk to make the database smaller; tried again when jobs are removed"
            );
            Ok(false)
        }
        Err(error) => Err(StoreError::sqlite("making the database smaller")(error)),
    }
}

fn try_step(connection: &Connection) -> rusqlite::Result<bool> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (pages, free) = (number("page_count")?, number("freelist_count")?);
    if number("auto_vacuum")? != INCREMENTAL {
        return older(connection, pages, free).map(|()| false);
    }
    let few = |free, pages| free <= FREE_KEPT.max(pages / 4);
    if few(free, pages) {
        return Ok(false);
    }
    let taken = STEP_PAGES.min(STEP_LOOKS / free).max(1);
    // Each page that was freed is a row.
    let mut freeing = connection.prepare(&format!("PRAGMA incremental_vacuum({taken})"))?;
    let mut freed = freeing.query([])?;
    while freed.next()?.is_some() {}
    if !few(number("freelist_count")?, number("page_count")?) {
        return Ok(true);
    }
    // The file itself becomes shorter when the log is folded into it.
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    Ok(false)
}

/// A database that an older muster made, whose pages cannot be taken off its end.
fn older(connection: &Connection, pages: i64, free: i64) -> rusqlite::Result<()> {
    if pages <= REWRITTEN_PAGES {
        return connection.execute_batch("VACUUM");
    }
    if free > FREE_KEPT.max(pages / 2) {
        let megabytes = (free * i64::from(PAGE_BYTES)) >> 20;
        tracing::warn!(
            megabytes,
            "the database has room that it does not give back: muster state compact makes it smaller"
        );
    }
    Ok(())
}
