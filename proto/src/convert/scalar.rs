//! The small parts that several messages share.

use bytes::Bytes;
use muster_core::agent::ExitCause;
use muster_core::range::IndexRange;
use muster_core::reduce::Block;
use muster_core::scheduler::FailureClass;
use muster_core::shape::{Flow, GIL_SWITCH_DEFAULT, Gil, IN_FLIGHT_MAX, Shape, ShapeRequest};
use muster_core::sketch::{BUCKETS_MAX, Sketch};
use muster_core::time::Span;

use super::{ConvertError, SLOTS_MAX, TASKS_MAX, at_most, name, named};
use crate::v1;

/// The longest switch interval of a lock: a minute.
const GIL_SWITCH_MAX_NS: u64 = 60_000_000_000;

/// A plugin as jobs name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginRef {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// BLAKE3 of its file.
    pub digest: [u8; 32],
    /// Bytes of its file.
    pub size: u64,
}

/// The reference to a plugin.
///
/// # Errors
/// No name, or a digest of another length.
pub fn plugin(wire: Option<v1::PluginRef>) -> Result<PluginRef, ConvertError> {
    let wire = wire.ok_or_else(|| ConvertError::missing("plugin"))?;
    Ok(PluginRef {
        name: named("plugin.name", wire.name)?,
        version: name("plugin.version", wire.version)?,
        digest: digest("plugin.digest", &wire.digest)?,
        size: wire.size,
    })
}

/// A BLAKE3 digest.
pub(super) fn digest(field: &'static str, wire: &[u8]) -> Result<[u8; 32], ConvertError> {
    wire.try_into()
        .map_err(|_| ConvertError::wrong(field, format_args!("{} bytes", wire.len()), "32 bytes are wanted"))
}

/// The reference to a plugin for the wire.
#[must_use]
pub fn plugin_to_wire(plugin: &PluginRef) -> v1::PluginRef {
    v1::PluginRef {
        name: plugin.name.clone(),
        version: plugin.version.clone(),
        digest: Bytes::copy_from_slice(&plugin.digest),
        size: plugin.size,
    }
}

/// `count` indexes from `start`, all below [`TASKS_MAX`].
///
/// # Errors
/// A range that reaches beyond.
pub fn range(field: &'static str, start: u64, count: u64) -> Result<IndexRange, ConvertError> {
    match start.checked_add(count) {
        Some(end) if end <= TASKS_MAX => Ok(IndexRange::new(start, end)),
        _ => Err(ConvertError::too_much(field, format_args!("{start} and {count} more"), TASKS_MAX)),
    }
}

/// An aligned block. One that the job's end cuts keeps its full size here.
///
/// # Errors
/// A range that is not aligned, or reaches beyond [`TASKS_MAX`].
pub fn block(wire: v1::Block) -> Result<Block, ConvertError> {
    let found = || format!("{} and {} more", wire.start, wire.count);
    let end = wire.start.checked_add(wire.count).filter(|&end| end <= TASKS_MAX);
    end.and_then(|end| Block::from_range(IndexRange::new(wire.start, end)))
        .ok_or_else(|| ConvertError::wrong("block", found(), "an aligned power-of-two block is wanted"))
}

/// An aligned block for the wire.
#[must_use]
pub const fn block_to_wire(block: Block) -> v1::Block {
    v1::Block { start: block.start, count: block.size }
}

/// Why a task failed.
///
/// # Errors
/// A class that this build does not know.
pub fn failure_class(wire: i32) -> Result<FailureClass, ConvertError> {
    use v1::FailureClass as Wire;
    match Wire::try_from(wire) {
        Ok(Wire::Failed) => Ok(FailureClass::Failed),
        Ok(Wire::Transient) => Ok(FailureClass::Transient),
        Ok(Wire::Crashed) => Ok(FailureClass::Crashed),
        Ok(Wire::Cancelled) => Ok(FailureClass::Cancelled),
        Ok(Wire::Panicked) => Ok(FailureClass::Panicked),
        Ok(Wire::Limit) => Ok(FailureClass::Limit),
        Ok(Wire::Timeout) => Ok(FailureClass::Timeout),
        Ok(Wire::Memory) => Ok(FailureClass::Memory),
        Ok(Wire::Unspecified) | Err(_) => {
            Err(ConvertError::wrong("class", wire, "not a known failure class"))
        }
    }
}

/// The failure class of a name.
pub(super) fn failure_class_named(name: &str) -> Option<FailureClass> {
    // The numbers of the closed set follow each other.
    (1..).map_while(|wire| failure_class(wire).ok()).find(|class| class.name() == name)
}

/// Why a task failed, for the wire.
#[must_use]
pub const fn failure_class_to_wire(class: FailureClass) -> v1::FailureClass {
    match class {
        FailureClass::Failed => v1::FailureClass::Failed,
        FailureClass::Transient => v1::FailureClass::Transient,
        FailureClass::Crashed => v1::FailureClass::Crashed,
        FailureClass::Cancelled => v1::FailureClass::Cancelled,
        FailureClass::Panicked => v1::FailureClass::Panicked,
        FailureClass::Limit => v1::FailureClass::Limit,
        FailureClass::Timeout => v1::FailureClass::Timeout,
        FailureClass::Memory => v1::FailureClass::Memory,
    }
}

/// Why an executor ended; [`ExitCause::name`] is the way back.
///
/// # Errors
/// A name that is not in the closed set.
pub fn exit_cause(wire: &str) -> Result<ExitCause, ConvertError> {
    ExitCause::ALL
        .into_iter()
        .find(|cause| cause.name() == wire)
        .ok_or_else(|| ConvertError::wrong("cause", format_args!("{wire:?}"), "not a known cause"))
}

/// The shape that a job asks for.
///
/// # Errors
/// An unknown model, or numbers that the model does not have.
pub fn shape_request(wire: Option<v1::Shape>) -> Result<ShapeRequest, ConvertError> {
    let wire = wire.unwrap_or_default();
    let given = |field, number| Ok((number > 0).then_some(at_most(field, number, SLOTS_MAX)?));
    let processes = given("shape.processes", wire.processes)?;
    let threads = given("shape.threads", wire.threads)?;
    let alone = |model: &str| {
        let limit = format!("the {model} model has one thread per process; choose thread or hybrid");
        Err(ConvertError::wrong("shape.threads", wire.threads, limit))
    };
    match v1::Model::try_from(wire.model) {
        Ok(v1::Model::Unspecified | v1::Model::Thread) if wire.processes > 1 => Err(ConvertError::wrong(
            "shape.processes",
            wire.processes,
            "the thread model has one process; choose process or hybrid",
        )),
        Ok(v1::Model::Unspecified | v1::Model::Thread) => Ok(ShapeRequest::Thread { threads }),
        Ok(v1::Model::Process) if wire.threads > 1 => alone("process"),
        Ok(v1::Model::Process) => Ok(ShapeRequest::Process { processes }),
        Ok(v1::Model::Hybrid) => Ok(ShapeRequest::Hybrid { processes, threads }),
        Ok(v1::Model::Spawn) if wire.threads > 1 => alone("spawn"),
        Ok(v1::Model::Spawn) => Ok(ShapeRequest::Spawn { processes }),
        Ok(v1::Model::Async) => {
            let in_flight = at_most("shape.in_flight", wire.in_flight, IN_FLIGHT_MAX)?;
            Ok(ShapeRequest::Async { processes, threads, in_flight: (in_flight > 0).then_some(in_flight) })
        }
        Err(_) => Err(ConvertError::wrong("shape.model", wire.model, "not a known model")),
    }
}

/// The shape that a job asks for, for the wire.
#[must_use]
pub fn shape_request_to_wire(shape: ShapeRequest, oversubscribe: bool, lock: Option<Gil>) -> v1::Shape {
    let (model, processes, threads) = match shape {
        ShapeRequest::Thread { threads } => (v1::Model::Thread, None, threads),
        ShapeRequest::Process { processes } => (v1::Model::Process, processes, None),
        ShapeRequest::Hybrid { processes, threads } => (v1::Model::Hybrid, processes, threads),
        ShapeRequest::Spawn { processes } => (v1::Model::Spawn, processes, None),
        ShapeRequest::Async { processes, threads, .. } => (v1::Model::Async, processes, threads),
    };
    let in_flight = match shape {
        ShapeRequest::Async { in_flight, .. } => in_flight.unwrap_or(0),
        ShapeRequest::Thread { .. }
        | ShapeRequest::Process { .. }
        | ShapeRequest::Hybrid { .. }
        | ShapeRequest::Spawn { .. } => 0,
    };
    v1::Shape {
        model: model.into(),
        processes: processes.unwrap_or(0),
        threads: threads.unwrap_or(0),
        oversubscribe,
        gil: lock.map(gil_to_wire),
        in_flight,
    }
}

/// The executors of a job on one worker.
///
/// # Errors
/// No executors, or more than [`SLOTS_MAX`] threads in all.
pub fn shape(wire: Option<v1::Shape>) -> Result<Shape, ConvertError> {
    let wire = wire.ok_or_else(|| ConvertError::missing("shape"))?;
    let flow = match v1::Model::try_from(wire.model) {
        Ok(v1::Model::Spawn) => Flow::Once,
        Ok(v1::Model::Async) => {
            Flow::InFlight(at_most("shape.in_flight", wire.in_flight, IN_FLIGHT_MAX)?.max(1))
        }
        Ok(v1::Model::Unspecified | v1::Model::Thread | v1::Model::Process | v1::Model::Hybrid) => {
            Flow::InTurn
        }
        Err(_) => return Err(ConvertError::wrong("shape.model", wire.model, "not a known model")),
    };
    let shape = Shape { flow, ..Shape::new(wire.processes, wire.threads) };
    if shape.slots() == 0 {
        return Err(ConvertError::wrong("shape", shape, "at least one process and one thread are wanted"));
    }
    at_most("shape", shape.slots(), SLOTS_MAX).map(|_| shape)
}

/// The executors of a job on one worker, for the wire.
#[must_use]
pub fn shape_to_wire(shape: Shape, lock: Option<Gil>) -> v1::Shape {
    let model = match (shape.flow, shape.processes, shape.threads) {
        (Flow::Once, _, _) => v1::Model::Spawn,
        (Flow::InFlight(_), _, _) => v1::Model::Async,
        (Flow::InTurn, 1, _) => v1::Model::Thread,
        (Flow::InTurn, _, 1) => v1::Model::Process,
        (Flow::InTurn, _, _) => v1::Model::Hybrid,
    };
    v1::Shape {
        model: model.into(),
        processes: shape.processes,
        threads: shape.threads,
        oversubscribe: false,
        gil: lock.map(gil_to_wire),
        in_flight: match shape.flow {
            Flow::InTurn | Flow::Once => 0,
            Flow::InFlight(tasks) => tasks,
        },
    }
}

/// The lock of a job's executors, when it has one.
///
/// # Errors
/// A switch interval that is too long.
pub fn gil(shape: Option<v1::Shape>) -> Result<Option<Gil>, ConvertError> {
    let Some(wire) = shape.and_then(|shape| shape.gil) else { return Ok(None) };
    let switch = match wire.switch_ns {
        0 => GIL_SWITCH_DEFAULT,
        given => Span(at_most("shape.gil.switch_ns", given, GIL_SWITCH_MAX_NS)?),
    };
    let domains = at_most("shape.gil.domains", wire.domains.max(1), SLOTS_MAX)?;
    Ok(Some(Gil { domains, switch }))
}

fn gil_to_wire(gil: Gil) -> v1::Gil {
    v1::Gil { domains: gil.domains, switch_ns: gil.switch.0 }
}

/// A histogram of times; a missing one is empty.
///
/// # Errors
/// Buckets that do not exist, or are not given one count each.
pub fn sketch(wire: Option<v1::Sketch>) -> Result<Sketch, ConvertError> {
    let mut sketch = Sketch::new();
    let Some(wire) = wire else { return Ok(sketch) };
    if wire.buckets.len() != wire.counts.len() || wire.buckets.len() > BUCKETS_MAX {
        let found = format!("{} buckets and {} counts", wire.buckets.len(), wire.counts.len());
        let limit = format_args!("one count per bucket and at most {BUCKETS_MAX} are wanted").to_string();
        return Err(ConvertError::wrong("sketch", found, limit));
    }
    for (&bucket, &count) in wire.buckets.iter().zip(&wire.counts) {
        if !sketch.add_bucket(bucket as usize, count) {
            return Err(ConvertError::too_much("sketch.buckets", bucket, BUCKETS_MAX - 1));
        }
    }
    sketch.add_exact(Span(wire.sum_ns), Span(wire.max_ns));
    Ok(sketch)
}

/// A histogram of times for the wire; an empty one is left out.
#[must_use]
pub fn sketch_to_wire(sketch: &Sketch) -> Option<v1::Sketch> {
    if sketch.count() == 0 {
        return None;
    }
    let (buckets, counts) = sketch.buckets().map(|(bucket, count)| (bucket as u32, count)).unzip();
    Some(v1::Sketch { buckets, counts, sum_ns: sketch.sum().0, max_ns: sketch.max().0 })
}
