//! Results and failures of one executor thread, as they arrive in one frame. [`super::Gather`] writes them.

use super::codec::{FrameError, Reader};
use crate::crash::Place;
use bytes::Bytes;
use muster_core::range::IndexRange;
use muster_core::scheduler::FailureClass;
use muster_core::sketch::Sketch;
use muster_core::time::Span;
use muster_proto::convert::{FRAMES_MAX, LOCK_WAITS_MAX, LockWait, TaskSample};
use muster_proto::v1::Packed;

/// Which lease entry of the page, and which use of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryUse {
    /// The entry's number.
    pub entry: u16,
    /// Its generation when the tasks were claimed.
    pub generation: u16,
}

/// What one thread has to say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The job.
    pub job: u64,
    /// The thread of the executor, from 0.
    pub thread: u32,
    /// Results.
    pub blocks: Vec<Block>,
    /// Tasks that failed.
    pub failures: Vec<Failure>,
    /// Attempts that were repeated at once, inside a leaf of a reduction.
    pub retried: u64,
    /// Times from publishing to claiming, a time per task.
    pub dispatch: Sketch,
    /// Times of tasks that were timed alone.
    pub run: Sketch,
    /// How long each task waited for the lock.
    pub gil_wait: Sketch,
    /// How often the lock was given to a thread that had asked for it.
    pub gil_handovers: u64,
    /// What is told of each task, or of some of them.
    pub timings: Box<Timings>,
}

/// Times of single tasks, where somebody wants them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timings {
    /// From the intended start to the end of each task with a result, where tasks arrive.
    pub latency: Sketch,
    /// How late each task began although the thread was free, where tasks arrive.
    pub start_lag: Sketch,
    /// Tasks that are looked at one by one.
    pub samples: Vec<TaskSample>,
}

/// Results of neighbouring tasks of one lease.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// Where they were claimed.
    pub place: EntryUse,
    /// The tasks.
    pub range: IndexRange,
    /// How many items the results are: one per task, or one for all of them.
    pub items: u32,
    /// The results.
    pub results: Packed,
    /// Thread time they took.
    pub busy_ns: u64,
    /// When they ended, on average, by the machine's monotonic clock.
    pub ended_ns: u64,
    /// When the last of them ended.
    pub last_ns: u64,
    /// Reduction: failed tasks that the partial result leaves out.
    pub skipped: Vec<u64>,
}

/// A task that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Where it was claimed.
    pub place: EntryUse,
    /// The task.
    pub index: u64,
    /// Why.
    pub class: FailureClass,
    /// In words.
    pub text: String,
    /// Thread time of the attempt that no block counts.
    pub busy_ns: u64,
    /// When it ended, by the machine's monotonic clock.
    pub ended_ns: u64,
    /// The stack that was kept with it.
    pub places: Vec<Place>,
}

/// Bytes that a block, a failure and a sketch's bucket take at least.
const BLOCK_BYTES_MIN: usize = 64;
pub(super) const FAILURE_BYTES_MIN: usize = 37;
/// Bytes that one call of a stack takes at least.
const PLACE_BYTES_MIN: usize = 12;
const BUCKET_BYTES: usize = 10;
/// Bytes of a sample.
const SAMPLE_BYTES: usize = 61;
/// Bytes of a wait for a lock.
const LOCK_WAIT_BYTES: usize = 16;

impl Batch {
    /// Reads the fields behind the kind.
    pub(super) fn decode(fields: &mut Reader) -> Result<Self, FrameError> {
        let (job, thread) = (fields.u64("job")?, fields.u32("thread")?);
        let (dispatch, run) = (sketch(fields)?, sketch(fields)?);
        let failures = fields.count("failures", FAILURE_BYTES_MIN)?;
        let failures = (0..failures).map(|_| failure(fields)).collect::<Result<_, _>>()?;
        let retried = fields.u64("retried")?;
        let (gil_wait, gil_handovers) = (sketch(fields)?, fields.u64("hand-overs")?);
        let timings = Box::new(timings(fields)?);
        let blocks = fields.count("blocks", BLOCK_BYTES_MIN)?;
        let mut heads = (0..blocks).map(|_| head(fields)).collect::<Result<Vec<_>, _>>()?;
        for (block, layout) in &mut heads {
            block.results.lengths = fields.words("lengths", layout.lengths)?;
        }
        for (block, layout) in &mut heads {
            block.results.data = fields.take("results", layout.bytes)?;
        }
        let blocks = heads.into_iter().map(|(block, _)| block).collect();
        Ok(Self { job, thread, blocks, failures, retried, dispatch, run, gil_wait, gil_handovers, timings })
    }
}

/// What follows the heads for one block.
struct Layout {
    lengths: usize,
    bytes: usize,
}

fn head(fields: &mut Reader) -> Result<(Block, Layout), FrameError> {
    let place = EntryUse { entry: fields.u16("entry")?, generation: fields.u16("generation")? };
    let (start, count) = (fields.u64("start")?, fields.u64("count")?);
    if count == 0 || start.checked_add(count).is_none() {
        return Err(FrameError::Inconsistent { field: "count" });
    }
    let range = IndexRange::from_count(start, count);
    let (items, width) = (fields.u32("items")?, fields.u32("width")?);
    let layout = Layout { lengths: fields.u32("lengths")? as usize, bytes: fields.u32("bytes")? as usize };
    if layout.lengths != 0 && layout.lengths != items as usize {
        return Err(FrameError::Inconsistent { field: "lengths" });
    }
    let (busy_ns, ended_ns, last_ns) = (fields.u64("busy")?, fields.u64("ended")?, fields.u64("last end")?);
    let skipped = fields.count("skipped", 8)?;
    let skipped = (0..skipped).map(|_| fields.u64("skipped")).collect::<Result<_, _>>()?;
    let results = Packed { width, ..Packed::default() };
    Ok((Block { place, range, items, results, busy_ns, ended_ns, last_ns, skipped }, layout))
}

fn failure(fields: &mut Reader) -> Result<Failure, FrameError> {
    let place = EntryUse { entry: fields.u16("entry")?, generation: fields.u16("generation")? };
    let index = fields.u64("index")?;
    let class = class_from_code(fields.u8("class")?)?;
    let (busy_ns, ended_ns) = (fields.u64("busy of a failure")?, fields.u64("end of a failure")?);
    let text = fields.text("text")?;
    let calls = fields.count("calls", PLACE_BYTES_MIN)?;
    if calls > FRAMES_MAX {
        return Err(FrameError::TooLarge { field: "calls", value: calls as u64, max: FRAMES_MAX as u64 });
    }
    let place_of = |_| -> Result<Place, FrameError> {
        Ok(Place { path: fields.text("path")?.into(), offset: fields.u64("offset")? })
    };
    let places = (0..calls).map(place_of).collect::<Result<_, FrameError>>()?;
    Ok(Failure { place, index, class, text, busy_ns, ended_ns, places })
}

fn timings(fields: &mut Reader) -> Result<Timings, FrameError> {
    let (latency, start_lag) = (sketch(fields)?, sketch(fields)?);
    let samples = fields.count("samples", SAMPLE_BYTES)?;
    let samples = (0..samples).map(|_| sample(fields)).collect::<Result<_, _>>()?;
    Ok(Timings { latency, start_lag, samples })
}

fn sample(fields: &mut Reader) -> Result<TaskSample, FrameError> {
    let index = fields.u64("sample's index")?;
    let (start, run) = (Span(fields.u64("sample's start")?), Span(fields.u64("sample's run")?));
    // All ones: none.
    let latency = Some(fields.u64("sample's latency")?).filter(|&ns| ns != u64::MAX).map(Span);
    let failed = fields.u8("sample's end")? != 0;
    let (thread, attempt) = (fields.u32("sample's thread")?, fields.u32("sample's attempt")?);
    let (queued, lock_wait) = (Span(fields.u64("sample's queue")?), Span(fields.u64("sample's lock")?));
    let waits = fields.count("waits for a lock", LOCK_WAIT_BYTES)?;
    if waits > LOCK_WAITS_MAX {
        let (value, max) = (waits as u64, LOCK_WAITS_MAX as u64);
        return Err(FrameError::TooLarge { field: "waits for a lock", value, max });
    }
    let wait = |_| -> Result<LockWait, FrameError> {
        Ok(LockWait { start: Span(fields.u64("wait's start")?), wait: Span(fields.u64("wait")?) })
    };
    let lock_waits = (0..waits).map(wait).collect::<Result<_, _>>()?;
    Ok(TaskSample {
        index,
        start,
        run,
        latency,
        failed,
        crashed: false,
        executor: 0,
        thread,
        attempt,
        queued,
        lock_wait,
        lock_waits,
    })
}

fn sketch(fields: &mut Reader) -> Result<Sketch, FrameError> {
    let (sum, max) = (fields.u64("sum")?, fields.u64("max")?);
    let buckets = fields.count("buckets", BUCKET_BYTES)?;
    let mut sketch = Sketch::new();
    for _ in 0..buckets {
        let (bucket, count) = (fields.u16("bucket")?, fields.u64("bucket's count")?);
        if !sketch.add_bucket(usize::from(bucket), count) {
            return Err(FrameError::Inconsistent { field: "bucket" });
        }
    }
    sketch.add_exact(Span(sum), Span(max));
    Ok(sketch)
}

pub(super) const fn class_code(class: FailureClass) -> u8 {
    match class {
        FailureClass::Failed => 1,
        FailureClass::Transient => 2,
        FailureClass::Crashed => 3,
        FailureClass::Cancelled => 4,
        FailureClass::Panicked => 5,
        FailureClass::Limit => 6,
        FailureClass::Timeout => 7,
        FailureClass::Memory => 8,
    }
}

fn class_from_code(code: u8) -> Result<FailureClass, FrameError> {
    Ok(match code {
        1 => FailureClass::Failed,
        2 => FailureClass::Transient,
        3 => FailureClass::Crashed,
        4 => FailureClass::Cancelled,
        5 => FailureClass::Panicked,
        6 => FailureClass::Limit,
        7 => FailureClass::Timeout,
        8 => FailureClass::Memory,
        _ => return Err(FrameError::Inconsistent { field: "class" }),
    })
}

impl From<Batch> for super::FromExecutor {
    fn from(batch: Batch) -> Self {
        Self::Batch(batch)
    }
}

impl Block {
    /// The bytes of its results.
    #[must_use]
    pub const fn data(&self) -> &Bytes {
        &self.results.data
    }
}
