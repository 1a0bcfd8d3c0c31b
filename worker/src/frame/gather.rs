//! What an executor thread has to say, gathered over several claims and sent as one frame. See
//! [`super::Batch`] for how it is read.

use super::batch::{Batch, EntryUse, FAILURE_BYTES_MIN, Failure, Timings, class_code};
use super::codec::Writer;
use super::{BATCH, TEXT_BYTES_MAX};
use muster_core::range::IndexRange;
use muster_core::sketch::Sketch;
use muster_proto::convert::TaskSample;

/// What an executor thread has gathered and not sent. Its memory is used again after each frame.
#[derive(Debug, Default)]
pub struct Gather {
    job: u64,
    thread: u32,
    heads: Vec<Head>,
    failures: Vec<Failure>,
    lengths: Vec<u32>,
    data: Vec<u8>,
    failure_bytes: usize,
    /// Attempts that were repeated at once, inside a leaf of a reduction.
    pub retried: u64,
    /// Times from publishing to claiming.
    pub dispatch: Sketch,
    /// Times of tasks that were timed alone.
    pub run: Sketch,
    /// How long each task waited for the lock.
    pub gil_wait: Sketch,
    /// How often the lock was given to a thread that had asked for it.
    pub gil_handovers: u64,
    /// What is told of each task, or of some of them.
    pub timings: Timings,
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
    last_ns: u64,
    skipped: Vec<u64>,
}

impl Gather {
    /// Nothing of a job yet, from a thread of its executor.
    #[must_use]
    pub fn new(job: u64, thread: u32) -> Self {
        Self { job, thread, ..Self::default() }
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
                last.last_ns = last.last_ns.max(ended_ns);
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
                last_ns: ended_ns,
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
            last_ns: ended_ns,
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
        frame.u32(self.thread);
        write_sketch(&mut frame, &self.dispatch);
        write_sketch(&mut frame, &self.run);
        frame.u32(self.failures.len() as u32);
        for failure in &self.failures {
            frame.u16(failure.place.entry);
            frame.u16(failure.place.generation);
            frame.u64(failure.index);
            frame.u8(class_code(failure.class));
            frame.u64(failure.busy_ns);
            frame.u64(failure.ended_ns);
            frame.text(&failure.text);
            frame.u32(failure.places.len() as u32);
            for place in &failure.places {
                frame.text(&place.path.to_string_lossy());
                frame.u64(place.offset);
            }
        }
        frame.u64(self.retried);
        write_sketch(&mut frame, &self.gil_wait);
        frame.u64(self.gil_handovers);
        write_sketch(&mut frame, &self.timings.latency);
        write_sketch(&mut frame, &self.timings.start_lag);
        frame.u32(self.timings.samples.len() as u32);
        self.timings.samples.iter().for_each(|sample| write_sample(&mut frame, sample));
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
        self.retried = 0;
        self.dispatch.clear();
        self.run.clear();
        self.gil_wait.clear();
        self.gil_handovers = 0;
        self.timings.latency.clear();
        self.timings.start_lag.clear();
        self.timings.samples.clear();
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
        frame.u64(self.last_ns);
        frame.u32(self.skipped.len() as u32);
        self.skipped.iter().for_each(|&index| frame.u64(index));
    }
}

fn write_sample(frame: &mut Writer, sample: &TaskSample) {
    frame.u64(sample.index);
    frame.u64(sample.start.0);
    frame.u64(sample.run.0);
    frame.u64(sample.latency.map_or(u64::MAX, |latency| latency.0));
    frame.u8(u8::from(sample.failed));
    frame.u32(sample.thread);
    frame.u32(sample.attempt);
    frame.u64(sample.queued.0);
    frame.u64(sample.lock_wait.0);
    frame.u32(sample.lock_waits.len() as u32);
    for wait in &sample.lock_waits {
        frame.u64(wait.start.0);
        frame.u64(wait.wait.0);
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

impl Batch {
    /// The frame of this batch; executors write theirs through [`Gather`].
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut gather = Gather::new(self.job, self.thread);
        (gather.dispatch, gather.run) = (self.dispatch.clone(), self.run.clone());
        gather.failures.clone_from(&self.failures);
        (gather.retried, gather.gil_handovers) = (self.retried, self.gil_handovers);
        gather.gil_wait = self.gil_wait.clone();
        gather.timings.clone_from(&self.timings);
        for block in &self.blocks {
            let lengths = &block.results.lengths;
            gather.heads.push(Head {
                place: block.place,
                range: block.range,
                items: block.items,
                width: lengths.is_empty().then_some(block.results.width),
                lengths: lengths.len(),
                bytes: block.results.data.len(),
                busy_ns: block.busy_ns,
                ended_ns: block.ended_ns,
                last_ns: block.last_ns,
                skipped: block.skipped.clone(),
            });
            gather.lengths.extend_from_slice(lengths);
            gather.data.extend_from_slice(&block.results.data);
        }
        let mut frame = gather.encode_head(Vec::new());
        frame.extend_from_slice(&gather.data);
        frame
    }
}
