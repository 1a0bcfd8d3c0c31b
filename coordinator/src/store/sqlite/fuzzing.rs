//! For the fuzz targets: a database in memory in this build's format, whose rows anybody writes.

use super::{read, replay, schema};
use crate::store::blobs::Blobs;
use crate::store::{Reader, Record, StoreError};
use muster_core::id::JobId;
use muster_core::range::IndexRange;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

/// Its tables, and how many columns each has.
pub const TABLES: [(&str, usize); 11] = [
    ("meta", 2),
    ("plugins", 7),
    ("workers", 1),
    ("jobs", 14),
    ("inputs", 7),
    ("commits", 3),
    ("results", 7),
    ("failures", 4),
    ("charges", 4),
    ("post_mortems", 3),
    ("partials", 4),
];
/// Where both of its connections find it.
const PLACE: &str = "file:fuzzing?mode=memory&cache=shared";

/// The database.
#[derive(Debug)]
pub struct Database {
    connection: Connection,
    blobs: Blobs,
    reader: read::SqliteReader,
}

impl Database {
    /// One without rows; there is one in a process.
    ///
    /// # Errors
    /// SQLite's.
    pub fn new() -> Result<Self, StoreError> {
        let open = || Connection::open(PLACE).map_err(StoreError::sqlite("opening the database"));
        let connection = open()?;
        schema::create(&connection).map_err(StoreError::sqlite("making the database"))?;
        let blobs = Blobs::in_memory();
        let reader = read::SqliteReader::new(open()?, blobs.clone());
        Ok(Self { connection, blobs, reader })
    }

    /// Removes all rows.
    ///
    /// # Errors
    /// SQLite's.
    pub fn clear(&mut self) -> Result<(), StoreError> {
        let all = TABLES.map(|(name, _)| format!("DELETE FROM {name};")).concat();
        self.connection.execute_batch(&all).map_err(StoreError::sqlite("removing rows"))
    }

    /// Adds a row, in place of one of the same key; says whether the table takes it.
    pub fn add(&mut self, table: &str, row: &[Value]) -> bool {
        let places = vec!["?"; row.len()].join(",");
        let query = format!("INSERT OR REPLACE INTO {table} VALUES ({places})");
        let insert = self.connection.prepare_cached(&query);
        insert.and_then(|mut insert| insert.execute(params_from_iter(row))).is_ok()
    }

    /// All records, as a coordinator reads them when it starts.
    ///
    /// # Errors
    /// Rows that make no sense.
    pub fn records(&self) -> Result<Vec<Record>, StoreError> {
        let mut records = Vec::new();
        replay::replay(&self.connection, &self.blobs, &mut |record| {
            records.push(record);
            Ok(())
        })?;
        Ok(records)
    }

    /// Reads what a job has come to, as clients do.
    ///
    /// # Errors
    /// Rows that make no sense.
    pub fn outputs(&mut self, job: JobId, within: IndexRange) -> Result<(), StoreError> {
        drop(self.reader.results(job, within, 1 << 20)?);
        drop(self.reader.failures(job, within, 100)?);
        drop(self.reader.post_mortems(job, within, 100)?);
        drop(self.reader.reduced(job)?);
        Ok(())
    }
}
