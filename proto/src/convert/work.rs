//! What a coordinator sends to a worker: its first message, jobs and leases.

use std::time::Duration;

use bytes::Bytes;
use muster_core::arrivals::Arrivals;
use muster_core::id::{Epoch, JobId, LeaseId, WorkerId};
use muster_core::page::LEASE_TASKS_MAX;
use muster_core::sandbox::Level;
use muster_core::scheduler::{Grant, GrantKind};
use muster_core::shape::{Gil, Shape};

use super::arrivals::{arrivals, arrivals_to_wire, task_samples};
use super::job::max_attempts;
use super::limits::{Limits, limits, limits_to_wire};
use super::sandbox::{level, level_to_wire};
use super::scalar::{PluginRef, block, block_to_wire, gil, plugin, plugin_to_wire, shape, shape_to_wire};
use super::{COMBINE_BLOCKS_MAX, ConvertError, PARAMS_MAX_BYTES, TASKS_MAX};
use super::{all, at_most, malformed, protocol, some_range};
use crate::packed::Items;
use crate::{INPUT_MAX_BYTES, v1};

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
    /// Names what the coordinator keeps, over all its lives; 0: it keeps nothing for another life.
    pub state: u64,
    /// What the worker keeps of what it held.
    pub adopted: Vec<Adopted>,
}

/// Tasks that a worker held and keeps, under a new lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// What the worker calls them.
    pub claim: u64,
    /// Their lease.
    pub lease: LeaseId,
    /// So many of them.
    pub count: u64,
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
    /// Reports up to this number last; 0: none new do.
    pub lasting: u64,
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
    /// The lock that its tasks hold while they compute.
    pub gil: Option<Gil>,
    /// Tasks in a leaf of its reduction; `None`: no reduction.
    pub reduce_leaf: Option<u64>,
    /// The largest result of one task.
    pub result_max_bytes: u64,
    /// Its share of the slots against other jobs; at least 1.
    pub weight: u32,
    /// Its tasks have inputs.
    pub has_inputs: bool,
    /// Attempts at one of its tasks, at least 1.
    pub max_attempts: u32,
    /// What its tasks and executors may use.
    pub limits: Limits,
    /// When its tasks are to start; `None`: as soon as a slot is free.
    pub arrivals: Option<Arrivals>,
    /// Tasks that are looked at one by one.
    pub task_samples: u32,
    /// The least that is kept from its executors; `None`: as the worker has it.
    pub sandbox: Option<Level>,
}

/// A lease as it reaches a worker.
#[derive(Clone, Debug)]
pub struct GrantIn {
    /// The lease.
    pub grant: Grant,
    /// An item per task when the job has inputs; an item per block to combine.
    pub inputs: Option<Items>,
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
            state: wire.state,
            adopted: wire.adopted.into_iter().map(adopted).collect(),
        })
    }
}

const fn adopted(wire: v1::AdoptedTasks) -> Adopted {
    Adopted { claim: wire.claim, lease: LeaseId(wire.lease), count: wire.count }
}

impl TryFrom<v1::Work> for Work {
    type Error = ConvertError;

    fn try_from(wire: v1::Work) -> Result<Self, ConvertError> {
        Ok(Self {
            opens: all(wire.opens)?,
            grants: all(wire.grants)?,
            recalls: wire.recalls.into_iter().map(|it| (LeaseId(it.lease), it.count)).collect(),
            closes: wire.closes.into_iter().map(|it| (JobId(it.job), it.cancel)).collect(),
            lasting: wire.lasting,
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
            gil: gil(wire.shape)?,
            reduce_leaf: (wire.reduce_leaf != 0).then_some(wire.reduce_leaf),
            result_max_bytes: wire.result_max_bytes,
            weight: wire.weight.max(1),
            has_inputs: wire.has_inputs,
            max_attempts: max_attempts("max_attempts", wire.max_attempts)?,
            limits: limits(wire.limits)?,
            arrivals: arrivals("arrivals.rate_per_s", wire.arrivals)?,
            task_samples: task_samples("task_samples", wire.task_samples)?,
            sandbox: level("sandbox", wire.sandbox)?,
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
        shape: Some(shape_to_wire(open.shape, open.gil)),
        reduce_leaf: open.reduce_leaf.unwrap_or(0),
        result_max_bytes: open.result_max_bytes,
        weight: open.weight,
        has_inputs: open.has_inputs,
        max_attempts: open.max_attempts,
        limits: Some(limits_to_wire(&open.limits)),
        arrivals: open.arrivals.map(arrivals_to_wire),
        task_samples: open.task_samples,
        sandbox: level_to_wire(open.sandbox).into(),
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
        let packed = wire.inputs.ok_or_else(|| ConvertError::missing("grants.inputs"))?;
        let inputs = Items::try_new(packed, wire.blocks.len() as u64)
            .map_err(|error| malformed("grants.inputs", error))?;
        let blocks = wire.blocks.into_iter().map(block).collect::<Result<_, _>>()?;
        let grant = Grant {
            lease: LeaseId(wire.lease),
            job: JobId(wire.job),
            range: whole.range(),
            attempt: wire.attempt,
            kind: GrantKind::Combine { blocks, finish },
            speculative: false,
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
    let (attempt, kind) = (wire.attempt, GrantKind::Run);
    // A worker does the same with every lease.
    let grant = Grant { lease, job, range, attempt, kind, speculative: false };
    Ok(GrantIn { grant, inputs })
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
