//! Records to rows.

use super::rows;
use crate::store::blobs::{Blobs, Digest};
use crate::store::{PluginRecord, Record, StoreError};
use muster_core::id::JobId;
use muster_core::range::{IndexRange, RangeSet};
use muster_core::reduce::Block;
use muster_proto::v1::Packed;
use rusqlite::{Params, Transaction, params};

/// Adds one record to the transaction. Files that it no longer names are added to `gone`; others may name them.
pub fn apply(
    to: &Transaction<'_>,
    blobs: &Blobs,
    record: &Record,
    gone: &mut Vec<Digest>,
) -> Result<(), StoreError> {
    match record {
        Record::PluginAdded(plugin) => add_plugin(to, plugin),
        Record::PluginRemoved { digest } => {
            gone.push(*digest);
            run(to, "DELETE FROM plugins WHERE digest = ?1", params![digest])
        }
        Record::WorkerCame { incarnation } => run(
            to,
            "INSERT OR IGNORE INTO workers (incarnation) VALUES (?1)",
            params![incarnation.0.cast_signed()],
        ),
        Record::WorkerWent { incarnation } => {
            run(to, "DELETE FROM workers WHERE incarnation = ?1", params![incarnation.0.cast_signed()])
        }
        Record::Submitted { job, request_id, at_unix_ns, spec } => run(
            to,
            "INSERT INTO jobs (job, request_id, submitted_ns, spec) VALUES (?1, ?2, ?3, ?4)",
            params![job.0 as i64, request_id, *at_unix_ns as i64, &spec[..]],
        ),
        Record::Extended { job, range, inputs } => extend(to, blobs, *job, *range, inputs.as_ref()),
        Record::Sealed { job } => run(to, "UPDATE jobs SET sealed = 1 WHERE job = ?1", params![job.0 as i64]),
        Record::InputsDone { job, range } => {
            let done = params![job.0 as i64, range.start as i64, range.end as i64];
            files(
                to,
                "SELECT blob FROM inputs WHERE job = ?1 AND start >= ?2 AND start < ?3 AND blob IS NOT NULL",
                done,
                gone,
            )?;
            run(to, "DELETE FROM inputs WHERE job = ?1 AND start >= ?2 AND start < ?3", done)
        }
        Record::Committed { job, range, outputs, checksum, bytes } => {
            commit(to, *job, *range, *checksum, *bytes)?;
            outputs.as_ref().map_or(Ok(()), |outputs| keep(to, blobs, *job, *range, outputs))
        }
        Record::Taken { job, below } => {
            let (job, below) = (job.0 as i64, *below as i64);
            run(to, "UPDATE jobs SET taken = max(taken, ?2) WHERE job = ?1", params![job, below])?;
            let taken = params![job, below];
            files(
                to,
                "SELECT blob FROM results
                 WHERE job = ?1 AND start + count <= ?2 AND start < ?2 AND blob IS NOT NULL",
                taken,
                gone,
            )?;
            run(to, "DELETE FROM results WHERE job = ?1 AND start + count <= ?2 AND start < ?2", taken)
        }
        Record::Charged { job, index, class, charged } => run(
            to,
            "INSERT OR REPLACE INTO charges (job, task, class, charged) VALUES (?1, ?2, ?3, ?4)",
            params![job.0 as i64, *index as i64, class, charged],
        ),
        Record::Paused { job, reason } => {
            run(to, "UPDATE jobs SET paused = ?2 WHERE job = ?1", params![job.0 as i64, reason])
        }
        Record::Released { job, tasks } => release(to, *job, tasks),
        Record::TaskFailed { job, index, class, message } => run(
            to,
            "INSERT OR REPLACE INTO failures (job, task, class, message) VALUES (?1, ?2, ?3, ?4)",
            params![job.0 as i64, *index as i64, class, message],
        ),
        Record::PostMortem { job, index, data: Some(data) } => run(
            to,
            "INSERT OR REPLACE INTO post_mortems (job, task, data) VALUES (?1, ?2, ?3)",
            params![job.0 as i64, *index as i64, &data[..]],
        ),
        Record::PostMortem { job, index, data: None } => run(
            to,
            "DELETE FROM post_mortems WHERE job = ?1 AND task = ?2",
            params![job.0 as i64, *index as i64],
        ),
        Record::Partial { job, block, data } => keep_partial(to, *job, *block, data),
        Record::Reduced { job, data } => {
            run(to, "UPDATE jobs SET reduced = ?2 WHERE job = ?1", params![job.0 as i64, &data[..]])?;
            run(to, "DELETE FROM partials WHERE job = ?1", params![job.0 as i64])
        }
        Record::Ended { job, how, reason, status } => {
            run(
                to,
                "UPDATE jobs SET ended = ?2, reason = ?3, status = ?4, paused = NULL WHERE job = ?1",
                params![job.0 as i64, how.number(), reason, &status[..]],
            )?;
            let job = params![job.0 as i64];
            files(to, INPUT_FILES, job, gone)?;
            run(to, "DELETE FROM inputs WHERE job = ?1", job)?;
            run(to, "DELETE FROM charges WHERE job = ?1", job)?;
            run(to, "DELETE FROM partials WHERE job = ?1", job)
        }
        Record::Removed { job } => remove(to, *job, gone),
    }
}

const INPUT_FILES: &str = "SELECT blob FROM inputs WHERE job = ?1 AND blob IS NOT NULL";
const RESULT_FILES: &str = "SELECT blob FROM results WHERE job = ?1 AND blob IS NOT NULL";

/// Adds the files that rows name which are about to be deleted.
fn files(
    to: &Transaction<'_>,
    sql: &'static str,
    params: impl Params,
    gone: &mut Vec<Digest>,
) -> Result<(), StoreError> {
    let found = to.prepare_cached(sql).and_then(|mut statement| {
        statement.query_map(params, |row| row.get::<_, Digest>(0))?.collect::<Result<Vec<_>, _>>()
    });
    gone.extend(found.map_err(StoreError::sqlite("looking for files"))?);
    Ok(())
}

/// Leaves of these files those that nothing names.
pub fn retain_unnamed(to: &Transaction<'_>, gone: &mut Vec<Digest>) -> Result<(), StoreError> {
    const NAMED: &str = "SELECT EXISTS (SELECT 1 FROM results WHERE blob = ?1)
         OR EXISTS (SELECT 1 FROM inputs WHERE blob = ?1) OR EXISTS (SELECT 1 FROM plugins WHERE digest = ?1)";
    let mut unnamed = Vec::new();
    for digest in gone.drain(..) {
        let is_named = to
            .prepare_cached(NAMED)
            .and_then(|mut statement| statement.query_row(params![digest], |row| row.get::<_, bool>(0)));
        if !is_named.map_err(StoreError::sqlite("looking for files"))? {
            unnamed.push(digest);
        }
    }
    *gone = unnamed;
    Ok(())
}

fn run(to: &Transaction<'_>, sql: &'static str, params: impl Params) -> Result<(), StoreError> {
    to.prepare_cached(sql)
        .and_then(|mut statement| statement.execute(params))
        .map(drop)
        .map_err(StoreError::sqlite("writing a record"))
}

fn add_plugin(to: &Transaction<'_>, plugin: &PluginRecord) -> Result<(), StoreError> {
    run(
        to,
        "INSERT OR REPLACE INTO plugins (digest, name, version, target, size, manifest, added_ns)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            plugin.digest,
            plugin.name,
            plugin.version,
            plugin.target,
            plugin.size as i64,
            plugin.manifest,
            plugin.added_unix_ns as i64
        ],
    )
}

fn extend(
    to: &Transaction<'_>,
    blobs: &Blobs,
    job: JobId,
    range: IndexRange,
    inputs: Option<&Packed>,
) -> Result<(), StoreError> {
    run(
        to,
        "UPDATE jobs SET tasks = max(tasks, ?2) WHERE job = ?1",
        params![job.0 as i64, range.end as i64],
    )?;
    let Some(inputs) = inputs else { return Ok(()) };
    const INSERT: &str = "INSERT INTO inputs (job, start, count, width, lengths, data, blob)
                          VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    rows::split(range, inputs, blobs, |row| {
        let (start, count) = (row.range.start as i64, row.range.len() as i64);
        run(to, INSERT, params![job.0 as i64, start, count, row.width, row.lengths, row.data, row.blob])
    })
}

/// Adds the range to the row it follows, when there is one: commits mostly come in order.
fn commit(
    to: &Transaction<'_>,
    job: JobId,
    range: IndexRange,
    checksum: u64,
    bytes: u64,
) -> Result<(), StoreError> {
    let key = job.0 as i64;
    let grown = to
        .prepare_cached(
            "UPDATE commits SET count = count + ?3 WHERE job = ?1 AND start + count = ?2 AND start =
             (SELECT start FROM commits WHERE job = ?1 AND start < ?2 ORDER BY start DESC LIMIT 1)",
        )
        .and_then(|mut update| update.execute(params![key, range.start as i64, range.len() as i64]))
        .map_err(StoreError::sqlite("writing a commit"))?;
    if grown == 0 {
        run(
            to,
            "INSERT INTO commits (job, start, count) VALUES (?1, ?2, ?3)",
            params![key, range.start as i64, range.len() as i64],
        )?;
    }
    // SQLite turns integer overflow into floating point, so the wrapping sum is made here.
    let before: i64 = to
        .prepare_cached("SELECT checksum FROM jobs WHERE job = ?1")
        .and_then(|mut query| query.query_row([key], |row| row.get(0)))
        .map_err(StoreError::sqlite("reading a checksum"))?;
    run(
        to,
        "UPDATE jobs SET checksum = ?2, bytes = bytes + ?3 WHERE job = ?1",
        params![key, before.wrapping_add(checksum as i64), bytes as i64],
    )
}

fn keep(
    to: &Transaction<'_>,
    blobs: &Blobs,
    job: JobId,
    range: IndexRange,
    outputs: &Packed,
) -> Result<(), StoreError> {
    rows::split(range, outputs, blobs, |row| {
        run(
            to,
            "INSERT INTO results (job, start, count, width, lengths, data, blob) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                job.0 as i64,
                row.range.start as i64,
                row.range.len() as i64,
                row.width,
                row.lengths,
                row.data,
                row.blob
            ],
        )
    })
}

fn keep_partial(to: &Transaction<'_>, job: JobId, block: Block, data: &[u8]) -> Result<(), StoreError> {
    let inside = block.range();
    run(
        to,
        "DELETE FROM partials WHERE job = ?1 AND start >= ?2 AND start + size <= ?3",
        params![job.0 as i64, inside.start as i64, inside.end as i64],
    )?;
    run(
        to,
        "INSERT INTO partials (job, start, size, data) VALUES (?1, ?2, ?3, ?4)",
        params![job.0 as i64, block.start as i64, block.size as i64, data],
    )
}

fn release(to: &Transaction<'_>, job: JobId, tasks: &RangeSet) -> Result<(), StoreError> {
    let key = job.0 as i64;
    run(
        to,
        "UPDATE jobs SET paused = NULL, ended = NULL, reason = NULL, status = NULL WHERE job = ?1",
        params![key],
    )?;
    for range in tasks.iter() {
        let tasks = params![key, range.start as i64, range.end as i64];
        run(to, "DELETE FROM failures WHERE job = ?1 AND task >= ?2 AND task < ?3", tasks)?;
        run(to, "DELETE FROM charges WHERE job = ?1 AND task >= ?2 AND task < ?3", tasks)?;
        run(to, "DELETE FROM post_mortems WHERE job = ?1 AND task >= ?2 AND task < ?3", tasks)?;
    }
    Ok(())
}

fn remove(to: &Transaction<'_>, job: JobId, gone: &mut Vec<Digest>) -> Result<(), StoreError> {
    [INPUT_FILES, RESULT_FILES]
        .into_iter()
        .try_for_each(|sql| files(to, sql, params![job.0 as i64], gone))?;
    const TABLES: [&str; 8] = [
        "DELETE FROM results WHERE job = ?1",
        "DELETE FROM commits WHERE job = ?1",
        "DELETE FROM inputs WHERE job = ?1",
        "DELETE FROM failures WHERE job = ?1",
        "DELETE FROM charges WHERE job = ?1",
        "DELETE FROM post_mortems WHERE job = ?1",
        "DELETE FROM partials WHERE job = ?1",
        "DELETE FROM jobs WHERE job = ?1",
    ];
    TABLES.iter().try_for_each(|sql| run(to, sql, params![job.0 as i64]))?;
    // Its number is not given again.
    run(
        to,
        "INSERT INTO meta (key, value) VALUES ('removed', ?1)
         ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value)",
        params![job.0 as i64],
    )
}
