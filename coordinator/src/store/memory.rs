//! A store that ends with its process: for private clusters, and for tests.
//!
//! Neighbouring small results are copied together, so that they do not hold on to the large buffers of the
//! messages they came in. Inputs are not kept: whoever added them has them for as long as they matter.

use super::record::EndedAs;
use super::{Failure, OpenReader, Piece, PluginRecord, Reader, Record, Store, StoreError};
use crate::items;
use bytes::Bytes;
use muster_core::id::{Epoch, Incarnation, JobId, LogPos};
use muster_core::range::{IndexRange, RangeSet};
use muster_core::reduce::Block;
use muster_proto::v1::Packed;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Results are copied together up to this size.
const CHUNK_BYTES: usize = 256 << 10;

/// Keeps records in memory. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    epoch: u64,
    identity: Option<u64>,
    plugins: BTreeMap<[u8; 32], PluginRecord>,
    workers: BTreeSet<Incarnation>,
    jobs: BTreeMap<JobId, Job>,
    /// The last job that was removed.
    removed: Option<JobId>,
}

#[derive(Debug, Default)]
struct Job {
    request_id: String,
    at_unix_ns: u64,
    spec: Bytes,
    tasks: u64,
    sealed: bool,
    committed: RangeSet,
    checksum: u64,
    bytes: u64,
    outputs: BTreeMap<u64, Chunk>,
    /// By task and class.
    charged: BTreeMap<(u64, i32), u32>,
    failed: BTreeMap<u64, (i32, String)>,
    post_mortems: BTreeMap<u64, Bytes>,
    partials: BTreeMap<Block, Bytes>,
    reduced: Option<Bytes>,
    paused: Option<String>,
    ended: Option<(EndedAs, String, Bytes)>,
    taken: u64,
}

/// Results of neighbouring tasks in one place.
#[derive(Debug)]
struct Chunk {
    count: u64,
    width: u32,
    lengths: Vec<u32>,
    data: Vec<u8>,
}

impl MemoryStore {
    /// A store without records.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn begin_epoch(&mut self) -> Result<Epoch, StoreError> {
        let mut state = self.state();
        state.epoch += 1;
        Ok(Epoch(state.epoch))
    }

    fn identity(&mut self, draw: fn() -> Result<u64, StoreError>) -> Result<u64, StoreError> {
        let mut state = self.state();
        let identity = state.identity.map_or_else(draw, Ok)?;
        state.identity = Some(identity);
        Ok(identity)
    }

    fn append(&mut self, epoch: Epoch, batch: &[(LogPos, Record)]) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.epoch != epoch.0 {
            return Err(StoreError::StaleEpoch { held: epoch, found: Epoch(state.epoch) });
        }
        for (_, record) in batch {
            state.apply(record);
        }
        Ok(())
    }

    fn replay(&mut self, each: &mut dyn FnMut(Record) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let state = self.state();
        for plugin in state.plugins.values() {
            each(Record::PluginAdded(plugin.clone()))?;
        }
        if let Some(job) = state.removed {
            each(Record::Removed { job })?;
        }
        for &incarnation in &state.workers {
            each(Record::WorkerCame { incarnation })?;
        }
        for (&job, kept) in &state.jobs {
            kept.replay(job, each)?;
        }
        Ok(())
    }

    fn readers(&self) -> OpenReader {
        let store = self.clone();
        Arc::new(move || Ok(Box::new(store.clone())))
    }

    fn durable(&self) -> bool {
        false
    }
}

impl State {
    fn apply(&mut self, record: &Record) {
        let job = match record {
            Record::PluginAdded(plugin) => {
                self.plugins.insert(plugin.digest, plugin.clone());
                return;
            }
            Record::PluginRemoved { digest } => {
                self.plugins.remove(digest);
                return;
            }
            Record::WorkerCame { incarnation } => {
                self.workers.insert(*incarnation);
                return;
            }
            Record::WorkerWent { incarnation } => {
                self.workers.remove(incarnation);
                return;
            }
            Record::Removed { job } => {
                self.jobs.remove(job);
                self.removed = self.removed.max(Some(*job));
                return;
            }
            Record::Submitted { job, request_id, at_unix_ns, spec } => {
                let kept = self.jobs.entry(*job).or_default();
                kept.request_id.clone_from(request_id);
                kept.at_unix_ns = *at_unix_ns;
                kept.spec = spec.clone();
                return;
            }
            other => other.job(),
        };
        if let Some(kept) = job.and_then(|job| self.jobs.get_mut(&job)) {
            kept.apply(record);
        }
    }
}

impl Job {
    fn apply(&mut self, record: &Record) {
        match record {
            Record::Extended { range, .. } => self.tasks = self.tasks.max(range.end),
            Record::Sealed { .. } => self.sealed = true,
            Record::Committed { range, outputs, checksum, bytes, .. } => {
                self.committed.insert(*range);
                self.checksum = self.checksum.wrapping_add(*checksum);
                self.bytes += bytes;
                if let Some(outputs) = outputs {
                    self.keep(*range, outputs);
                }
            }
            Record::Taken { below, .. } => self.forget(*below),
            Record::Charged { index, class, charged, .. } => {
                self.charged.insert((*index, *class), *charged);
            }
            Record::Paused { reason, .. } => self.paused = Some(reason.clone()),
            Record::Released { tasks, .. } => {
                (self.paused, self.ended) = (None, None);
                self.failed.retain(|&index, _| !tasks.contains(index));
                self.charged.retain(|&(index, _), _| !tasks.contains(index));
                self.post_mortems.retain(|&index, _| !tasks.contains(index));
            }
            Record::TaskFailed { index, class, message, .. } => {
                let of_task = self.charged.range((*index, i32::MIN)..=(*index, i32::MAX));
                let of_task: Vec<(u64, i32)> = of_task.map(|(&key, _)| key).collect();
                of_task.iter().for_each(|key| _ = self.charged.remove(key));
                self.failed.insert(*index, (*class, message.clone()));
            }
            Record::PostMortem { index, data: Some(data), .. } => {
                self.post_mortems.insert(*index, data.clone());
            }
            Record::PostMortem { index, data: None, .. } => {
                self.post_mortems.remove(index);
            }
            Record::Partial { block, data, .. } => {
                let inside = block.range();
                self.partials.retain(|old, _| old.range().intersect(inside) != old.range());
                self.partials.insert(*block, data.clone());
            }
            Record::Reduced { data, .. } => {
                self.partials.clear();
                self.reduced = Some(data.clone());
            }
            Record::Ended { how, reason, status, .. } => {
                self.partials.clear();
                self.charged.clear();
                self.paused = None;
                self.ended = Some((*how, reason.clone(), status.clone()));
            }
            Record::PluginAdded(_)
            | Record::PluginRemoved { .. }
            | Record::WorkerCame { .. }
            | Record::WorkerWent { .. }
            | Record::Submitted { .. }
            | Record::InputsDone { .. }
            | Record::Removed { .. } => {}
        }
    }

    fn keep(&mut self, range: IndexRange, items: &Packed) {
        if let Some((&start, chunk)) = self.outputs.range_mut(..range.start).next_back()
            && start + chunk.count == range.start
            && chunk.takes(items)
        {
            chunk.add(range.len(), items);
            return;
        }
        self.outputs.insert(range.start, Chunk::new(range.len(), items));
    }

    fn forget(&mut self, below: u64) {
        self.taken = self.taken.max(below);
        while let Some(entry) = self.outputs.first_entry()
            && *entry.key() + entry.get().count <= below
        {
            entry.remove();
        }
    }

    fn replay(
        &self,
        job: JobId,
        each: &mut dyn FnMut(Record) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        each(Record::Submitted {
            job,
            request_id: self.request_id.clone(),
            at_unix_ns: self.at_unix_ns,
            spec: self.spec.clone(),
        })?;
        if self.tasks > 0 {
            each(Record::Extended { job, range: IndexRange::new(0, self.tasks), inputs: None })?;
        }
        if self.sealed {
            each(Record::Sealed { job })?;
        }
        let (mut checksum, mut bytes) = (self.checksum, self.bytes);
        for range in self.committed.iter() {
            each(Record::Committed { job, range, outputs: None, checksum, bytes })?;
            (checksum, bytes) = (0, 0);
        }
        if self.taken > 0 {
            each(Record::Taken { job, below: self.taken })?;
        }
        for (&(index, class), &charged) in &self.charged {
            if !self.committed.contains(index) {
                each(Record::Charged { job, index, class, charged })?;
            }
        }
        for (&index, (class, message)) in &self.failed {
            each(Record::TaskFailed { job, index, class: *class, message: message.clone() })?;
        }
        if let Some(reason) = &self.paused {
            each(Record::Paused { job, reason: reason.clone() })?;
        }
        for (&index, data) in &self.post_mortems {
            each(Record::PostMortem { job, index, data: Some(data.clone()) })?;
        }
        for (&block, data) in &self.partials {
            each(Record::Partial { job, block, data: data.clone() })?;
        }
        if let Some(data) = &self.reduced {
            each(Record::Reduced { job, data: data.clone() })?;
        }
        if let Some((how, reason, status)) = &self.ended {
            each(Record::Ended { job, how: *how, reason: reason.clone(), status: status.clone() })?;
        }
        Ok(())
    }
}

impl Chunk {
    fn new(count: u64, items: &Packed) -> Self {
        Self { count, width: items.width, lengths: items.lengths.clone(), data: items.data.to_vec() }
    }

    /// Whether `items` have the same form and there is room for them.
    fn takes(&self, items: &Packed) -> bool {
        self.width == items.width
            && self.lengths.is_empty() == items.lengths.is_empty()
            && self.data.len() + self.lengths.len() * 4 + items.data.len() <= CHUNK_BYTES
    }

    fn add(&mut self, count: u64, items: &Packed) {
        self.count += count;
        self.lengths.extend_from_slice(&items.lengths);
        self.data.extend_from_slice(&items.data);
    }

    /// The results of the tasks in `within`, which lie in this chunk.
    fn slice(&self, start: u64, within: IndexRange, bytes_max: usize) -> Piece {
        items::copy_part(start, self.count, self.width, &self.lengths, &self.data, within, bytes_max)
    }
}

impl Reader for MemoryStore {
    fn results(
        &mut self,
        job: JobId,
        within: IndexRange,
        bytes_max: usize,
    ) -> Result<Vec<Piece>, StoreError> {
        let state = self.state();
        let Some(job) = state.jobs.get(&job) else { return Ok(Vec::new()) };
        let first = job.outputs.range(..=within.start).next_back().map_or(within.start, |(&start, _)| start);
        let mut pieces = Vec::new();
        let mut left = bytes_max;
        for (&start, chunk) in job.outputs.range(first..) {
            let part = IndexRange::from_count(start, chunk.count).intersect(within);
            if start >= within.end || (left == 0 && !pieces.is_empty()) {
                break;
            }
            if part.is_empty() {
                continue;
            }
            let piece = chunk.slice(start, part, left);
            left = left.saturating_sub(items::weight(&piece.items).max(1));
            let whole = piece.range.end == part.end;
            pieces.push(piece);
            if !whole {
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
        let state = self.state();
        let Some(job) = state.jobs.get(&job) else { return Ok(Vec::new()) };
        let found = job.failed.range(within.start..within.end).take(count_max);
        Ok(found
            .map(|(&index, (class, message))| Failure { index, class: *class, message: message.clone() })
            .collect())
    }

    fn post_mortems(
        &mut self,
        job: JobId,
        within: IndexRange,
        count_max: usize,
    ) -> Result<Vec<Bytes>, StoreError> {
        let state = self.state();
        let Some(job) = state.jobs.get(&job) else { return Ok(Vec::new()) };
        let found = job.post_mortems.range(within.start..within.end);
        Ok(found.take(count_max).map(|(_, data)| data.clone()).collect())
    }

    fn reduced(&mut self, job: JobId) -> Result<Option<Bytes>, StoreError> {
        Ok(self.state().jobs.get(&job).and_then(|job| job.reduced.clone()))
    }
}
