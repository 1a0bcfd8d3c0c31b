//! Results and failures of one executor thread, gathered over several claims and sent as one frame.

use super::codec::{FrameError, Reader, Writer};
use super::{BATCH, TEXT_BYTES_MAX};
use bytes::Bytes;
use muster_core::range::IndexRange;
use muster_core::scheduler::FailureClass;
use muster_core::sketch::Sketch;
use muster_core::time::Span;
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
    /// Results.
    pub blocks: Vec<Block>,
    /// Tasks that failed.
    pub failures: Vec<Failure>,
    /// Times from publishing to claiming, a time per task.
    pub dispatch: Sketch,
    /// Times of tasks that were timed alone.
    pub run: Sketch,
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
}

/// Bytes that a block, a failure and a sketch's bucket take at least.
const BLOCK_BYTES_MIN: usize = 56;
const FAILURE_BYTES_MIN: usize = 17;
const BUCKET_BYTES: usize = 10;

impl Batch {
    /// Reads the fields behind the kind.
    pub(super) fn decode(fields: &mut Reader) -> Result<Self, FrameError> {
        let job = fields.u64("job")?;
        let (dispatch, run) = (sketch(fields)?, sketch(fields)?);
        let failures = fields.count("failures", FAILURE_BYTES_MIN)?;
        let failures = (0..failures).map(|_| failure(fields)).collect::<Result<_, _>>()?;
        let blocks = fields.count("blocks", BLOCK_BYTES_MIN)?;
        let mut heads = (0..blocks).map(|_| head(fields)).collect::<Result<Vec<_>, _>>()?;
        for (block, layout) in &mut heads {
            block.results.lengths = fields.words("lengths", layout.lengths)?;
        }
        for (block, layout) in &mut heads {
            block.results.data = fields.take("results", layout.bytes)?;
        }
        let blocks = heads.into_iter().map(|(block, _)| block).collect();
        Ok(Self { job, blocks, failures, dispatch, run })
    }

    /// The frame of this batch; executors write theirs through [`Gather`].
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut gather = Gather::new(self.job);
        (gather.dispatch, gather.run) = (self.dispatch.clone(), self.run.clone());
        gather.failures.clone_from(&self.failures);
        for block in &self.blocks {
            let lengths = match block.results.lengths.as_slice() {
                [] => vec![block.results.width; block.items as usize],
                lengths => lengths.to_vec(),
            };
            gather.heads.push(Head {
                place: block.place,
                range: block.range,
                items: block.items,
                width: None,
                lengths: lengths.len(),
                bytes: block.results.data.len(),
                busy_ns: block.busy_ns,
                ended_ns: block.ended_ns,
                skipped: block.skipped.clone(),
            });
            gather.lengths.extend(lengths);
            gather.data.extend_from_slice(&block.results.data);
        }
        let mut frame = gather.encode_head(Vec::new());
        frame.extend_from_slice(&gather.data);
        frame
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
    let (busy_ns, ended_ns) = (fields.u64("busy")?, fields.u64("ended")?);
    let skipped = fields.count("skipped", 8)?;
    let skipped = (0..skipped).map(|_| fields.u64("skipped")).collect::<Result<_, _>>()?;
    let results = Packed { width, ..Packed::default() };
    Ok((Block { place, range, items, results, busy_ns, ended_ns, skipped }, layout))
}

fn failure(fields: &mut Reader) -> Result<Failure, FrameError> {
    let place = EntryUse { entry: fields.u16("entry")?, generation: fields.u16("generation")? };
    let index = fields.u64("index")?;
    let class = class_from_code(fields.u8("class")?)?;
    Ok(Failure { place, index, class, text: fields.text("text")? })
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

/// What an executor thread has gathered and not sent. Its memory is used again after each frame.
#[derive(Debug, Default)]
pub struct Gather {
    job: u64,
    heads: Vec<Head>,
    failures: Vec<Failure>,
    lengths: Vec<u32>,
    data: Vec<u8>,
    failure_bytes: usize,
    /// Times from publishing to claiming.
    pub dispatch: Sketch,
    /// Times of tasks that were timed alone.
    pub run: Sketch,
}

#[derive(Debug)]
struct Head {
    place: EntryUse,
    range: IndexRange,
    items: u32,
    /// The length of every result so far; `None`: they differ, and `lengths` has them.
    width: Option<u32>,
    lengths: usize,
    bytes: usize,
    busy_ns: u64,
    ended_ns: u64,
    skipped: Vec<u64>,
}

impl Gather {
    /// Nothing of a job yet.
    #[must_use]
    pub fn new(job: u64) -> Self {
        Self { job, ..Self::default() }
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty() && self.failures.is_empty()
    }

    /// About how many bytes the frame will have.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.data.len() + size_of_val(&self.lengths[..]) + self.failure_bytes
    }

    /// Adds a result per task of `range`: their lengths and their bytes side by side. Results that follow the
    /// last ones of the same lease become one block with them.
    pub fn add_results(
        &mut self,
        place: EntryUse,
        range: IndexRange,
        lengths: &[u32],
        data: &[u8],
        busy_ns: u64,
        ended_ns: u64,
    ) {
        let follows = |last: &&mut Head| {
            last.place == place && last.range.end == range.start && u64::from(last.items) == last.range.len()
        };
        match self.heads.last_mut().filter(follows) {
            Some(last) => {
                let weight = |count: u64, ended: u64| u128::from(count) * u128::from(ended);
                let ended = weight(last.range.len(), last.ended_ns) + weight(range.len(), ended_ns);
                last.range.end = range.end;
                last.ended_ns = (ended / u128::from(last.range.len())) as u64;
                last.busy_ns += busy_ns;
            }
            None => self.heads.push(Head {
                place,
                range,
                items: 0,
                width: lengths.first().copied(),
                lengths: 0,
                bytes: 0,
                busy_ns,
                ended_ns,
                skipped: Vec::new(),
            }),
        }
        if let Some(last) = self.heads.last_mut() {
            last.add(&mut self.lengths, lengths, data.len());
            self.data.extend_from_slice(data);
        }
    }

    /// Adds one result that stands for all tasks of `range` but the skipped ones.
    pub fn add_combined(
        &mut self,
        place: EntryUse,
        range: IndexRange,
        result: &[u8],
        skipped: Vec<u64>,
        busy_ns: u64,
        ended_ns: u64,
    ) {
        let bytes = result.len();
        let width = Some(bytes as u32);
        self.heads.push(Head {
            place,
            range,
            items: 1,
            width,
            lengths: 0,
            bytes,
            busy_ns,
            ended_ns,
            skipped,
        });
        self.data.extend_from_slice(result);
    }

    /// Adds a failure.
    pub fn add_failure(&mut self, failure: Failure) {
        self.failure_bytes += FAILURE_BYTES_MIN + failure.text.len().min(TEXT_BYTES_MAX);
        self.failures.push(failure);
    }

    /// The frame up to the results' bytes, written into a used buffer. [`Gather::data`] must follow it.
    #[must_use]
    pub fn encode_head(&self, buffer: Vec<u8>) -> Vec<u8> {
        let mut frame = Writer::begin_in(buffer);
        frame.u8(BATCH);
        frame.u64(self.job);
        write_sketch(&mut frame, &self.dispatch);
        write_sketch(&mut frame, &self.run);
        frame.u32(self.failures.len() as u32);
        for failure in &self.failures {
            frame.u16(failure.place.entry);
            frame.u16(failure.place.generation);
            frame.u64(failure.index);
            frame.u8(class_code(failure.class));
            frame.text(&failure.text);
        }
        frame.u32(self.heads.len() as u32);
        for head in &self.heads {
            head.write(&mut frame);
        }
        frame.words(&self.lengths);
        frame.finish(self.data.len())
    }

    /// The bytes of all results.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Forgets everything but keeps the memory.
    pub fn clear(&mut self) {
        self.heads.clear();
        self.failures.clear();
        self.lengths.clear();
        self.data.clear();
        self.failure_bytes = 0;
        self.dispatch.clear();
        self.run.clear();
    }
}

impl Head {
    /// Adds items of these lengths; lengths are written out only when they differ.
    fn add(&mut self, all: &mut Vec<u32>, lengths: &[u32], bytes: usize) {
        if let Some(width) = self.width
            && lengths.iter().any(|&length| length != width)
        {
            self.width = None;
            all.resize(all.len() + self.items as usize, width);
            self.lengths = self.items as usize;
        }
        if self.width.is_none() {
            all.extend_from_slice(lengths);
            self.lengths += lengths.len();
        }
        self.items += lengths.len() as u32;
        self.bytes += bytes;
    }

    fn write(&self, frame: &mut Writer) {
        frame.u16(self.place.entry);
        frame.u16(self.place.generation);
        frame.u64(self.range.start);
        frame.u64(self.range.len());
        frame.u32(self.items);
        frame.u32(self.width.unwrap_or(0));
        frame.u32(self.lengths as u32);
        frame.u32(self.bytes as u32);
        frame.u64(self.busy_ns);
        frame.u64(self.ended_ns);
        frame.u32(self.skipped.len() as u32);
        self.skipped.iter().for_each(|&index| frame.u64(index));
    }
}

fn write_sketch(frame: &mut Writer, sketch: &Sketch) {
    frame.u64(sketch.sum().0);
    frame.u64(sketch.max().0);
    frame.u32(sketch.buckets().count() as u32);
    for (bucket, count) in sketch.buckets() {
        frame.u16(bucket as u16);
        frame.u64(count);
    }
}

const fn class_code(class: FailureClass) -> u8 {
    match class {
        FailureClass::Failed => 1,
        FailureClass::Transient => 2,
        FailureClass::Crashed => 3,
        FailureClass::Cancelled => 4,
        FailureClass::Panicked => 5,
        FailureClass::Limit => 6,
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
