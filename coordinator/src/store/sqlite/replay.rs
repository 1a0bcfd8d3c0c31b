//! Rows back to records.

use super::rows;
use crate::store::blobs::Blobs;
use crate::store::{EndedAs, PluginRecord, Record, StoreError};
use bytes::Bytes;
use muster_core::id::{Incarnation, JobId};
use muster_core::range::IndexRange;
use muster_core::reduce::Block;
use rusqlite::{Connection, Row};

type Each<'a> = dyn FnMut(Record) -> Result<(), StoreError> + 'a;

/// Calls `each` with everything the database holds.
pub fn replay(from: &Connection, blobs: &Blobs, each: &mut Each<'_>) -> Result<(), StoreError> {
    plugins(from)?.into_iter().try_for_each(|plugin| each(Record::PluginAdded(plugin)))?;
    query(from, "SELECT value FROM meta WHERE key = 'removed'", None, |row| {
        let job = rows::whole(row, 0).map_err(StoreError::sqlite("reading the last removed job"))?;
        each(Record::Removed { job: JobId(job) })
    })?;
    query(from, "SELECT incarnation FROM workers ORDER BY incarnation", None, |row| {
        let number = row.get::<_, i64>(0).map_err(StoreError::sqlite("reading workers"))?;
        each(Record::WorkerCame { incarnation: Incarnation(number.cast_unsigned()) })
    })?;
    jobs(from)?.into_iter().try_for_each(|job| replay_job(from, blobs, job, each))
}

/// All plugins.
pub fn plugins(from: &Connection) -> Result<Vec<PluginRecord>, StoreError> {
    const QUERY: &str = "SELECT digest, name, version, target, size, manifest, added_ns FROM plugins";
    let mut plugins = Vec::new();
    query(from, QUERY, None, |row| {
        plugins.push(plugin(row).map_err(StoreError::sqlite("reading plugins"))?);
        Ok(())
    })?;
    Ok(plugins)
}

/// The numbers of all jobs.
pub fn jobs(from: &Connection) -> Result<Vec<JobId>, StoreError> {
    let mut jobs = Vec::new();
    query(from, "SELECT job FROM jobs ORDER BY job", None, |row| {
        jobs.push(JobId(rows::whole(row, 0).map_err(StoreError::sqlite("reading jobs"))?));
        Ok(())
    })?;
    Ok(jobs)
}

/// What the database holds of a job.
pub fn replay_job(
    from: &Connection,
    blobs: &Blobs,
    job: JobId,
    each: &mut Each<'_>,
) -> Result<(), StoreError> {
    let mut head = None;
    query(from, "SELECT * FROM jobs WHERE job = ?1", Some(job), |row| {
        head = Some(Head::read(row).map_err(StoreError::sqlite("reading a job"))?);
        Ok(())
    })?;
    let head = head.ok_or(StoreError::Damaged { what: "the row", job: job.0 })?;
    let Head { request_id, at_unix_ns, spec, .. } = head;
    each(Record::Submitted { job, request_id, at_unix_ns, spec })?;
    if head.tasks > 0 {
        each(Record::Extended { job, range: IndexRange::new(0, head.tasks), inputs: None })?;
    }
    replay_inputs(from, blobs, job, each)?;
    if head.sealed {
        each(Record::Sealed { job })?;
    }
    let (mut checksum, mut bytes) = (head.checksum, head.bytes);
    query(from, "SELECT start, count FROM commits WHERE job = ?1 ORDER BY start", Some(job), |row| {
        let range = range_of(row).map_err(StoreError::sqlite("reading commits"))?;
        let record = Record::Committed { job, range, outputs: None, checksum, bytes };
        (checksum, bytes) = (0, 0);
        each(record)
    })?;
    if head.taken > 0 {
        each(Record::Taken { job, below: head.taken })?;
    }
    replay_tasks(from, job, each)?;
    if let Some(reason) = head.paused {
        each(Record::Paused { job, reason })?;
    }
    if let Some(data) = head.reduced {
        each(Record::Reduced { job, data })?;
    }
    if let Some((how, reason, status)) = head.ended {
        let how = EndedAs::from_number(how).ok_or(StoreError::Damaged { what: "the outcome", job: job.0 })?;
        each(Record::Ended { job, how, reason, status })?;
    }
    Ok(())
}

fn replay_inputs(
    from: &Connection,
    blobs: &Blobs,
    job: JobId,
    each: &mut Each<'_>,
) -> Result<(), StoreError> {
    const QUERY: &str = "SELECT start, count, width, lengths, data, blob FROM inputs
                         WHERE job = ?1 ORDER BY start";
    query(from, QUERY, Some(job), |row| {
        let piece = rows::read(row, blobs).map_err(StoreError::sqlite("reading inputs"))?;
        let piece = piece.ok_or(StoreError::Damaged { what: "an input", job: job.0 })?;
        each(Record::Extended { job, range: piece.range, inputs: Some(piece.items) })
    })
}

fn replay_tasks(from: &Connection, job: JobId, each: &mut Each<'_>) -> Result<(), StoreError> {
    const CHARGES: &str = "SELECT task, class, charged FROM charges WHERE job = ?1 ORDER BY task, class";
    query(from, CHARGES, Some(job), |row| {
        let read = || Ok((rows::whole(row, 0)?, row.get(1)?, row.get(2)?));
        let (index, class, charged) = read().map_err(StoreError::sqlite("reading attempts"))?;
        each(Record::Charged { job, index, class, charged })
    })?;
    query(
        from,
        "SELECT task, class, message FROM failures WHERE job = ?1 ORDER BY task",
        Some(job),
        |row| {
            let read = || Ok((rows::whole(row, 0)?, row.get(1)?, row.get(2)?));
            let (index, class, message) = read().map_err(StoreError::sqlite("reading failures"))?;
            each(Record::TaskFailed { job, index, class, message })
        },
    )?;
    query(from, "SELECT task, data FROM post_mortems WHERE job = ?1 ORDER BY task", Some(job), |row| {
        let read = || Ok((rows::whole(row, 0)?, Bytes::from(row.get::<_, Vec<u8>>(1)?)));
        let (index, data) = read().map_err(StoreError::sqlite("reading post-mortems"))?;
        each(Record::PostMortem { job, index, data: Some(data) })
    })?;
    query(from, "SELECT start, size, data FROM partials WHERE job = ?1 ORDER BY start", Some(job), |row| {
        let read = || {
            let block = Block { start: rows::whole(row, 0)?, size: rows::whole(row, 1)? };
            Ok((block, Bytes::from(row.get::<_, Vec<u8>>(2)?)))
        };
        let (block, data) = read().map_err(StoreError::sqlite("reading partial results"))?;
        each(Record::Partial { job, block, data })
    })
}

/// The row of a job.
struct Head {
    request_id: String,
    at_unix_ns: u64,
    spec: Bytes,
    tasks: u64,
    sealed: bool,
    checksum: u64,
    bytes: u64,
    reduced: Option<Bytes>,
    taken: u64,
    paused: Option<String>,
    ended: Option<(i64, String, Bytes)>,
}

impl Head {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let ended: Option<i64> = row.get("ended")?;
        let ended = match ended {
            None => None,
            Some(how) => {
                let reason: Option<String> = row.get("reason")?;
                let status: Option<Vec<u8>> = row.get("status")?;
                Some((how, reason.unwrap_or_default(), status.unwrap_or_default().into()))
            }
        };
        Ok(Self {
            request_id: row.get("request_id")?,
            at_unix_ns: rows::whole(row, "submitted_ns")?,
            spec: row.get::<_, Vec<u8>>("spec")?.into(),
            tasks: rows::whole(row, "tasks")?,
            sealed: row.get("sealed")?,
            checksum: row.get::<_, i64>("checksum")? as u64,
            bytes: rows::whole(row, "bytes")?,
            reduced: row.get::<_, Option<Vec<u8>>>("reduced")?.map(Bytes::from),
            taken: rows::whole(row, "taken")?,
            paused: row.get("paused")?,
            ended,
        })
    }
}

fn plugin(row: &Row<'_>) -> rusqlite::Result<PluginRecord> {
    Ok(PluginRecord {
        digest: row.get(0)?,
        name: row.get(1)?,
        version: row.get(2)?,
        target: row.get(3)?,
        size: rows::whole(row, 4)?,
        manifest: row.get(5)?,
        added_unix_ns: rows::whole(row, 6)?,
    })
}

/// (start, count) as the first two columns.
fn range_of(row: &Row<'_>) -> rusqlite::Result<IndexRange> {
    Ok(IndexRange::from_count(rows::whole(row, 0)?, rows::whole(row, 1)?))
}

fn query(
    from: &Connection,
    sql: &str,
    job: Option<JobId>,
    mut each: impl FnMut(&Row<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let failed = || StoreError::sqlite("reading the state");
    let mut statement = from.prepare(sql).map_err(failed())?;
    let keys: Vec<i64> = job.iter().map(|job| job.0 as i64).collect();
    let mut rows = statement.query(rusqlite::params_from_iter(keys)).map_err(failed())?;
    while let Some(row) = rows.next().map_err(failed())? {
        each(row)?;
    }
    Ok(())
}
