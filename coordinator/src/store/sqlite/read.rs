//! Reading outputs on a connection beside the writer's.

use super::rows;
use crate::items;
use crate::store::blobs::Blobs;
use crate::store::{Failure, Piece, Reader, StoreError};
use bytes::Bytes;
use muster_core::id::JobId;
use muster_core::range::IndexRange;
use muster_proto::v1::Packed;
use rusqlite::{Connection, OptionalExtension, params};

/// Reads outputs.
#[derive(Debug)]
pub struct SqliteReader {
    connection: Connection,
    blobs: Blobs,
}

impl SqliteReader {
    /// Reads through `connection`.
    pub fn new(connection: Connection, blobs: Blobs) -> Self {
        Self { connection, blobs }
    }
}

impl Reader for SqliteReader {
    fn results(
        &mut self,
        job: JobId,
        within: IndexRange,
        bytes_max: usize,
    ) -> Result<Vec<Piece>, StoreError> {
        let failed = || StoreError::sqlite("reading results");
        let mut query = self
            .connection
            .prepare_cached(
                "SELECT start, count, width, lengths, data, blob FROM results WHERE job = ?1 AND start < ?3 AND start >=
                 ifnull((SELECT start FROM results WHERE job = ?1 AND start <= ?2 ORDER BY start DESC LIMIT 1), ?2)
                 ORDER BY start",
            )
            .map_err(failed())?;
        let end = i64::try_from(within.end).unwrap_or(i64::MAX);
        let mut found = query.query(params![job.0 as i64, within.start as i64, end]).map_err(failed())?;
        let mut pieces = Vec::new();
        let mut left = bytes_max;
        while let Some(row) = found.next().map_err(failed())? {
            let piece = rows::read(row, &self.blobs).map_err(failed())?;
            let piece = piece.ok_or(StoreError::Damaged { what: "a result", job: job.0 })?;
            let part = piece.range.intersect(within);
            if part.is_empty() {
                continue;
            }
            let piece = cut(piece, part, left);
            left = left.saturating_sub(items::weight(&piece.items).max(1));
            let whole = piece.range.end == part.end;
            pieces.push(piece);
            if !whole || left == 0 {
                break;
            }
        }
        Ok(pieces)
    }

    fn failures(
        &mut self,
        job: JobId,
        within: IndexRange,
        count_max: usize,
    ) -> Result<Vec<Failure>, StoreError> {
        let read = || {
            let mut query = self.connection.prepare_cached(
                "SELECT task, class, message FROM failures WHERE job = ?1 AND task >= ?2 AND task < ?3
                 ORDER BY task LIMIT ?4",
            )?;
            let end = i64::try_from(within.end).unwrap_or(i64::MAX);
            let keys = params![job.0 as i64, within.start as i64, end, count_max as i64];
            query
                .query_map(keys, |row| {
                    let index = row.get::<_, i64>(0)? as u64;
                    Ok(Failure { index, class: row.get(1)?, message: row.get(2)? })
                })?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(StoreError::sqlite("reading failures"))
    }

    fn post_mortems(
        &mut self,
        job: JobId,
        within: IndexRange,
        count_max: usize,
    ) -> Result<Vec<Bytes>, StoreError> {
        let read = || {
            let mut query = self.connection.prepare_cached(
                "SELECT data FROM post_mortems WHERE job = ?1 AND task >= ?2 AND task < ?3 ORDER BY task LIMIT ?4",
            )?;
            let end = i64::try_from(within.end).unwrap_or(i64::MAX);
            let keys = params![job.0 as i64, within.start as i64, end, count_max as i64];
            query
                .query_map(keys, |row| Ok(Bytes::from(row.get::<_, Vec<u8>>(0)?)))?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(StoreError::sqlite("reading post-mortems"))
    }

    fn reduced(&mut self, job: JobId) -> Result<Option<Bytes>, StoreError> {
        let found: Option<Option<Vec<u8>>> = self
            .connection
            .query_row("SELECT reduced FROM jobs WHERE job = ?1", [job.0 as i64], |row| row.get(0))
            .optional()
            .map_err(StoreError::sqlite("reading the reduced output"))?;
        Ok(found.flatten().map(Bytes::from))
    }
}

fn cut(piece: Piece, part: IndexRange, bytes_max: usize) -> Piece {
    if piece.range == part && items::weight(&piece.items) <= bytes_max {
        return piece;
    }
    let Piece { range, items: Packed { width, lengths, data } } = piece;
    items::copy_part(range.start, range.len(), width, &lengths, &data, part, bytes_max)
}
