//! What goes over a worker's stream, both ways.

use std::time::Duration;

use bytes::Bytes;
use muster_core::agent::ExitCause;
use muster_core::id::{Epoch, Incarnation, JobId, LeaseId, WorkerId};
use muster_core::page::LEASE_TASKS_MAX;
use muster_core::range::IndexRange;
use muster_core::scheduler::{FailureClass, Grant, GrantKind};
use muster_core::shape::Shape;
use muster_core::sketch::Sketch;
use muster_core::time::Span;

use super::scalar::{
    PluginRef, block, block_to_wire, exit_cause, failure_class, plugin, plugin_to_wire, range, shape,
    shape_to_wire, sketch, sketch_to_wire,
};
use super::{
    COMBINE_BLOCKS_MAX, ConvertError, PARAMS_MAX_BYTES, SLOTS_MAX, TASKS_MAX, at_most, name, named, words,
};
use crate::packed::{Items, Malformed};
use crate::{INPUT_MAX_BYTES, PROTOCOL_VERSION, v1};

/// The first message of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// What it can beyond the protocol.
    pub features: Vec<String>,
    /// Its name.
    pub name: String,
    /// Which life of the worker this is.
    pub incarnation: Incarnation,
    /// Tasks it can run at the same time.
    pub slots: u32,
    /// Its target triple.
    pub target: String,
    /// Its version of muster.
    pub version: String,
    /// Its machine.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// `HOST:PORT` of its metrics, empty for none.
    pub metrics_address: String,
}

/// The first message of a coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// What it can beyond the protocol.
    pub features: Vec<String>,
    /// Which life of the coordinator this is.
    pub epoch: Epoch,
    /// The worker's number in it.
    pub worker: WorkerId,
    /// How often a heartbeat is wanted.
    pub heartbeat: Duration,
    /// How long leases live without one.
    pub lease: Duration,
}

/// Everything that a worker reports at once.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The life of the coordinator that it reports to.
    pub epoch: Epoch,
    /// Results.
    pub blocks: Vec<ResultBlock>,
    /// Attempts that failed.
    pub failures: Vec<TaskFailure>,
    /// Tasks given back.
    pub returned: Vec<(LeaseId, IndexRange)>,
    /// Jobs that cannot run there.
    pub troubles: Vec<Trouble>,
    /// Times.
    pub phases: Vec<Phases>,
    /// Executors that ended.
    pub exits: Vec<ExecutorExit>,
}

/// Results of tasks of one lease, or one partial result for all of them.
#[derive(Clone, Debug)]
pub struct ResultBlock {
    /// The lease.
    pub lease: LeaseId,
    /// The tasks.
    pub range: IndexRange,
    /// Thread time they took.
    pub busy: Span,
    /// Reduction: failed tasks that are not in the partial result, rising.
    pub skipped: Vec<u64>,
    results: v1::Packed,
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskFailure {
    /// The lease.
    pub lease: LeaseId,
    /// The task.
    pub index: u64,
    /// Why.
    pub class: FailureClass,
    /// In words.
    pub message: String,
}

/// A job that a worker cannot run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The job.
    pub job: JobId,
    /// Why.
    pub message: String,
}

/// An executor that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutorExit {
    /// Its job.
    pub job: JobId,
    /// Why.
    pub cause: ExitCause,
    /// In words.
    pub detail: String,
}

/// Where the time of a job went on a worker since the last report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// The job.
    pub job: JobId,
    /// From the lease's arrival until a thread claimed.
    pub dispatch: Sketch,
    /// Sampled single tasks.
    pub run: Sketch,
    /// From a task's end until its result was sent.
    pub report: Sketch,
    /// Thread time in the plugin.
    pub busy: Span,
    /// Slot time that the job had.
    pub slot: Span,
}

/// What a coordinator sends at once.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// Jobs that leases will come for.
    pub opens: Vec<JobOpen>,
    /// Leases.
    pub grants: Vec<GrantIn>,
    /// Unstarted tasks wanted back: at most so many of the lease.
    pub recalls: Vec<(LeaseId, u64)>,
    /// Jobs that are over; `true`: stop what runs.
    pub closes: Vec<(JobId, bool)>,
}

/// A job as a worker needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobOpen {
    /// The job.
    pub job: JobId,
    /// Its plugin.
    pub plugin: PluginRef,
    /// Its parameters as JSON.
    pub params: Bytes,
    /// Its seed.
    pub seed: u64,
    /// Its tasks; 0: not known yet.
    pub tasks: u64,
    /// Its executors on this worker.
    pub shape: Shape,
    /// Tasks in a leaf of its reduction; `None`: no reduction.
    pub reduce_leaf: Option<u64>,
    /// The largest result of one task.
    pub result_max_bytes: u64,
    /// Its share of the slots against other jobs; at least 1.
    pub weight: u32,
    /// Its tasks have inputs.
    pub has_inputs: bool,
}

/// A lease as it reaches a worker.
#[derive(Clone, Debug)]
pub struct GrantIn {
    /// The lease.
    pub grant: Grant,
    /// An item per task when the job has inputs; an item per block to combine.
    pub inputs: Option<Items>,
}

impl TryFrom<v1::WorkerHello> for Hello {
    type Error = ConvertError;

    fn try_from(wire: v1::WorkerHello) -> Result<Self, ConvertError> {
        protocol(wire.protocol)?;
        if wire.slots == 0 {
            return Err(ConvertError::wrong("slots", 0, "a worker has at least one"));
        }
        Ok(Self {
            features: wire.features,
            name: named("name", wire.name)?,
            incarnation: Incarnation(wire.incarnation),
            slots: at_most("slots", wire.slots, SLOTS_MAX)?,
            target: named("target", wire.target)?,
            version: name("version", wire.version)?,
            host: name("host", wire.host)?,
            pid: wire.pid,
            metrics_address: name("metrics_address", wire.metrics_address)?,
        })
    }
}

impl TryFrom<v1::Welcome> for Welcome {
    type Error = ConvertError;

    fn try_from(wire: v1::Welcome) -> Result<Self, ConvertError> {
        protocol(wire.protocol)?;
        if wire.heartbeat_ms == 0 || wire.lease_ms <= wire.heartbeat_ms {
            let found = format!("{} ms with leases of {} ms", wire.heartbeat_ms, wire.lease_ms);
            return Err(ConvertError::wrong(
                "heartbeat_ms",
                found,
                "it must be set and shorter than a lease",
            ));
        }
        Ok(Self {
            features: wire.features,
            epoch: Epoch(wire.epoch),
            worker: WorkerId(wire.worker),
            heartbeat: Duration::from_millis(wire.heartbeat_ms.into()),
            lease: Duration::from_millis(wire.lease_ms.into()),
        })
    }
}

impl TryFrom<v1::Report> for Report {
    type Error = ConvertError;

    fn try_from(wire: v1::Report) -> Result<Self, ConvertError> {
        Ok(Self {
            epoch: Epoch(wire.epoch),
            blocks: all(wire.blocks)?,
            failures: all(wire.failures)?,
            returned: wire
                .returned
                .into_iter()
                .map(|it| Ok((LeaseId(it.lease), range("returned", it.start, it.count)?)))
                .collect::<Result<_, _>>()?,
            troubles: wire
                .troubles
                .into_iter()
                .map(|it| Trouble { job: JobId(it.job), message: words(it.message) })
                .collect(),
            phases: all(wire.phases)?,
            exits: all(wire.exits)?,
        })
    }
}

impl ResultBlock {
    /// The results: one per task, or the one partial result of a reduction (`partial`).
    ///
    /// # Errors
    /// Another number of results, or bytes that do not fit their lengths.
    pub fn into_items(self, partial: bool) -> Result<Items, ConvertError> {
        let count = if partial { 1 } else { self.range.len() };
        Items::try_new(self.results, count).map_err(|error| malformed("results", error))
    }

    /// Bytes of the results.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.results.data.len()
    }
}

impl TryFrom<v1::ResultBlock> for ResultBlock {
    type Error = ConvertError;

    fn try_from(wire: v1::ResultBlock) -> Result<Self, ConvertError> {
        let range = some_range("results.count", wire.start, wire.count)?;
        let inside = wire.skipped.iter().all(|&index| range.contains(index));
        if !inside || wire.skipped.windows(2).any(|pair| pair[0] >= pair[1]) {
            let found = format!("{} indexes of {range}", wire.skipped.len());
            return Err(ConvertError::wrong("skipped", found, "rising indexes of the block are wanted"));
        }
        Ok(Self {
            lease: LeaseId(wire.lease),
            range,
            busy: Span(wire.busy_ns),
            skipped: wire.skipped,
            results: wire.results.unwrap_or_default(),
        })
    }
}

impl TryFrom<v1::TaskFailure> for TaskFailure {
    type Error = ConvertError;

    fn try_from(wire: v1::TaskFailure) -> Result<Self, ConvertError> {
        Ok(Self {
            lease: LeaseId(wire.lease),
            index: at_most("index", wire.index, TASKS_MAX - 1)?,
            class: failure_class(wire.class)?,
            message: words(wire.message),
        })
    }
}

impl TryFrom<v1::PhaseStats> for Phases {
    type Error = ConvertError;

    fn try_from(wire: v1::PhaseStats) -> Result<Self, ConvertError> {
        Ok(Self {
            job: JobId(wire.job),
            dispatch: sketch(wire.dispatch)?,
            run: sketch(wire.run)?,
            report: sketch(wire.report)?,
            busy: Span(wire.busy_ns),
            slot: Span(wire.slot_ns),
        })
    }
}

/// Times for the wire.
#[must_use]
pub fn phases_to_wire(phases: &Phases) -> v1::PhaseStats {
    v1::PhaseStats {
        job: phases.job.0,
        dispatch: sketch_to_wire(&phases.dispatch),
        run: sketch_to_wire(&phases.run),
        report: sketch_to_wire(&phases.report),
        busy_ns: phases.busy.0,
        slot_ns: phases.slot.0,
    }
}

impl TryFrom<v1::ExecutorExit> for ExecutorExit {
    type Error = ConvertError;

    fn try_from(wire: v1::ExecutorExit) -> Result<Self, ConvertError> {
        let cause = exit_cause(&wire.cause)?;
        Ok(Self { job: JobId(wire.job), cause, detail: words(wire.detail) })
    }
}

impl TryFrom<v1::Work> for Work {
    type Error = ConvertError;

    fn try_from(wire: v1::Work) -> Result<Self, ConvertError> {
        Ok(Self {
            opens: all(wire.opens)?,
            grants: all(wire.grants)?,
            recalls: wire.recalls.into_iter().map(|it| (LeaseId(it.lease), it.count)).collect(),
            closes: wire.closes.into_iter().map(|it| (JobId(it.job), it.cancel)).collect(),
        })
    }
}

impl TryFrom<v1::JobOpen> for JobOpen {
    type Error = ConvertError;

    fn try_from(wire: v1::JobOpen) -> Result<Self, ConvertError> {
        at_most("params (bytes)", wire.params.len(), PARAMS_MAX_BYTES)?;
        if wire.reduce_leaf != 0 && !wire.reduce_leaf.is_power_of_two() {
            return Err(ConvertError::wrong("reduce_leaf", wire.reduce_leaf, "a power of two is wanted"));
        }
        Ok(Self {
            job: JobId(wire.job),
            plugin: plugin(wire.plugin)?,
            params: wire.params,
            seed: wire.seed,
            tasks: at_most("tasks", wire.tasks, TASKS_MAX)?,
            shape: shape(wire.shape)?,
            reduce_leaf: (wire.reduce_leaf != 0).then_some(wire.reduce_leaf),
            result_max_bytes: wire.result_max_bytes,
            weight: wire.weight.max(1),
            has_inputs: wire.has_inputs,
        })
    }
}

/// A job for the wire.
#[must_use]
pub fn job_open_to_wire(open: &JobOpen) -> v1::JobOpen {
    v1::JobOpen {
        job: open.job.0,
        plugin: Some(plugin_to_wire(&open.plugin)),
        params: open.params.clone(),
        seed: open.seed,
        tasks: open.tasks,
        shape: Some(shape_to_wire(open.shape)),
        reduce_leaf: open.reduce_leaf.unwrap_or(0),
        result_max_bytes: open.result_max_bytes,
        weight: open.weight,
        has_inputs: open.has_inputs,
    }
}

impl TryFrom<v1::Grant> for GrantIn {
    type Error = ConvertError;

    fn try_from(wire: v1::Grant) -> Result<Self, ConvertError> {
        let finish = match v1::GrantKind::try_from(wire.kind) {
            Ok(v1::GrantKind::Run) => return run_grant(wire),
            Ok(v1::GrantKind::Combine) => false,
            Ok(v1::GrantKind::Finish) => true,
            Ok(v1::GrantKind::Unspecified) | Err(_) => {
                return Err(ConvertError::wrong("grants.kind", wire.kind, "not a known kind"));
            }
        };
        // The block that the result stands for may be wider than the job: its end cuts the tree.
        let whole = block(v1::Block { start: wire.start, count: wire.count })?;
        at_most("grants.blocks", wire.blocks.len(), COMBINE_BLOCKS_MAX)?;
        if wire.blocks.is_empty() {
            return Err(ConvertError::missing("grants.blocks"));
        }
        let inputs = Items::try_new(wire.inputs.unwrap_or_default(), wire.blocks.len() as u64)
            .map_err(|error| malformed("grants.inputs", error))?;
        let blocks = wire.blocks.into_iter().map(block).collect::<Result<_, _>>()?;
        let grant = Grant {
            lease: LeaseId(wire.lease),
            job: JobId(wire.job),
            range: whole.range(),
            attempt: wire.attempt,
            kind: GrantKind::Combine { blocks, finish },
        };
        Ok(Self { grant, inputs: Some(inputs) })
    }
}

fn run_grant(wire: v1::Grant) -> Result<GrantIn, ConvertError> {
    at_most("grants.count", wire.count, LEASE_TASKS_MAX)?;
    let range = some_range("grants.count", wire.start, wire.count)?;
    let inputs = match wire.inputs {
        Some(packed) => {
            Some(Items::try_new(packed, wire.count).map_err(|error| malformed("grants.inputs", error))?)
        }
        None => None,
    };
    if let Some(inputs) = &inputs {
        at_most("grants.inputs (bytes of one)", inputs.longest(), INPUT_MAX_BYTES as u32)?;
    }
    let (lease, job) = (LeaseId(wire.lease), JobId(wire.job));
    Ok(GrantIn { grant: Grant { lease, job, range, attempt: wire.attempt, kind: GrantKind::Run }, inputs })
}

/// A lease for the wire, with the inputs of its tasks or the partial results of its blocks.
#[must_use]
pub fn grant_to_wire(grant: &Grant, inputs: Option<v1::Packed>) -> v1::Grant {
    let (kind, blocks) = match &grant.kind {
        GrantKind::Run => (v1::GrantKind::Run, Vec::new()),
        GrantKind::Combine { blocks, finish } => {
            let kind = if *finish { v1::GrantKind::Finish } else { v1::GrantKind::Combine };
            (kind, blocks.iter().copied().map(block_to_wire).collect())
        }
    };
    v1::Grant {
        lease: grant.lease.0,
        job: grant.job.0,
        start: grant.range.start,
        count: grant.range.len(),
        attempt: grant.attempt,
        kind: kind.into(),
        inputs,
        blocks,
    }
}

fn protocol(found: u32) -> Result<(), ConvertError> {
    if found == PROTOCOL_VERSION {
        return Ok(());
    }
    let limit =
        format_args!("this muster speaks {PROTOCOL_VERSION}; use the same version everywhere").to_string();
    Err(ConvertError::wrong("protocol", found, limit))
}

fn some_range(field: &'static str, start: u64, count: u64) -> Result<IndexRange, ConvertError> {
    if count == 0 {
        return Err(ConvertError::wrong(field, 0, "at least one task is wanted"));
    }
    range(field, start, count)
}

fn all<T, W>(wire: Vec<W>) -> Result<Vec<T>, ConvertError>
where
    T: TryFrom<W, Error = ConvertError>,
{
    wire.into_iter().map(T::try_from).collect()
}

pub(super) fn malformed(field: &'static str, error: Malformed) -> ConvertError {
    ConvertError::wrong(field, "malformed", error)
}
