//! What clients ask for and get.

use bytes::Bytes;
use muster_core::arrivals::Arrivals;
use muster_core::id::JobId;
use muster_core::range::{IndexRange, RangeSet};
use muster_core::sandbox::Level;
use muster_core::scheduler::{JobSpec, RetryPolicy};
use muster_core::shape::Gil;
use muster_core::time::Span;

use super::arrivals::{arrivals, arrivals_to_wire, task_samples};
use super::case::{OnlyTask, only_task};
use super::limits::{Limits, limits, limits_to_wire};
use super::report::TaskFailure;
use super::sandbox::{level, level_to_wire};
use super::scalar::{PluginRef, gil, plugin, plugin_to_wire, range, shape_request, shape_request_to_wire};
use super::{
    ConvertError, PARAMS_MAX_BYTES, RESULT_DEFAULT_BYTES, RESULT_MAX_BYTES, TASKS_MAX, at_most, malformed,
    name, named,
};
use crate::packed::Items;
use crate::{INPUT_MAX_BYTES, v1};

const MAX_ATTEMPTS_DEFAULT: u32 = 3;
const MAX_ATTEMPTS_MAX: u32 = 1_000;
const WEIGHT_MAX: u32 = 1_000_000;
/// A day.
const BACKOFF_MAX_MS: u64 = 86_400_000;
/// Tasks that one request may name one by one.
const RETRY_INDEXES_MAX: usize = 1_000_000;

/// What happens to the results of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outputs {
    /// Stored until the job is removed.
    #[default]
    Keep,
    /// Held until a client's stream took them.
    Stream,
    /// Checksummed and dropped.
    Checksum,
}

/// A job that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The client's name for this request: repeating it gives the same job.
    pub request_id: String,
    /// The plugin.
    pub plugin: PluginRef,
    /// Parameters as JSON.
    pub params: Bytes,
    /// What the scheduler needs to know.
    pub spec: JobSpec,
    /// Its tasks have inputs.
    pub has_inputs: bool,
    /// The lock that its tasks hold while they compute.
    pub gil: Option<Gil>,
    /// What happens to its results.
    pub outputs: Outputs,
    /// The seed of its tasks' random numbers.
    pub seed: u64,
    /// The largest result of one task.
    pub result_max_bytes: u64,
    /// What its tasks and executors may use.
    pub limits: Limits,
    /// A name for people.
    pub label: String,
    /// The one task of it that runs.
    pub only: Option<OnlyTask>,
    /// When its tasks are to start; `None`: as soon as a slot is free.
    pub arrivals: Option<Arrivals>,
    /// Tasks that are looked at one by one.
    pub task_samples: u32,
    /// The least that is kept from its executors; `None`: as each worker has it.
    pub sandbox: Option<Level>,
}

/// Tasks for an open job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Their number.
    pub count: u64,
    /// An item per task; `None`: index only.
    pub inputs: Option<Items>,
    /// These are the last.
    pub seal: bool,
    /// The index of the first one; `None`: whatever comes next.
    pub start: Option<u64>,
}

/// A part of a job's results.
#[derive(Clone, Debug)]
pub struct ResultsPart {
    /// The tasks; those in `failures` have an empty item.
    pub range: IndexRange,
    /// An item per task, or the one reduced output.
    pub items: Items,
    /// Tasks without a result.
    pub failures: Vec<TaskFailure>,
    /// `items` is the one reduced output.
    pub reduced: bool,
    /// Nothing more will come.
    pub end: bool,
}

impl TryFrom<v1::SubmitRequest> for Submission {
    type Error = ConvertError;

    fn try_from(wire: v1::SubmitRequest) -> Result<Self, ConvertError> {
        let request_id = named("request_id", wire.request_id)?;
        let spec = wire.spec.ok_or_else(|| ConvertError::missing("spec"))?;
        at_most("spec.params (bytes)", spec.params.len(), PARAMS_MAX_BYTES)?;
        if spec.only.is_some() && spec.arrivals.is_some() {
            return Err(ConvertError::wrong("spec.arrivals", "set", "the one task of `only` starts at once"));
        }
        Ok(Self {
            request_id,
            spec: job_spec(&spec)?,
            only: only_task(&spec)?,
            arrivals: arrivals("spec.arrivals.rate_per_s", spec.arrivals)?,
            task_samples: task_samples("spec.task_samples", spec.task_samples)?,
            sandbox: level("spec.sandbox", spec.sandbox)?,
            plugin: plugin(spec.plugin)?,
            params: spec.params,
            has_inputs: spec.has_inputs,
            gil: gil(spec.shape)?,
            outputs: outputs(spec.outputs)?,
            seed: spec.seed,
            result_max_bytes: match spec.result_max_bytes {
                0 => RESULT_DEFAULT_BYTES,
                given => at_most("spec.result_max_bytes", given, RESULT_MAX_BYTES)?,
            },
            limits: limits(spec.limits)?,
            label: name("spec.label", spec.label)?,
        })
    }
}

fn job_spec(wire: &v1::JobSpec) -> Result<JobSpec, ConvertError> {
    let wrong = |limit| Err(ConvertError::wrong("spec.tasks", wire.tasks, limit));
    match (wire.open, wire.has_inputs && wire.only.is_none(), wire.tasks) {
        (true, _, 0) | (false, false, 1..) => {}
        (true, _, _) => return wrong("the tasks of an open job come through Feed"),
        (false, true, _) => return wrong("a job with inputs must be open: they come through Feed"),
        (false, false, 0) => return wrong("a closed job has at least one"),
    }
    Ok(JobSpec {
        tasks: at_most("spec.tasks", wire.tasks, TASKS_MAX)?,
        open: wire.open,
        weight: at_most("spec.weight", wire.weight.max(1), WEIGHT_MAX)?,
        priority: wire.priority,
        max_attempts: max_attempts("spec.max_attempts", wire.max_attempts)?,
        retry: retry_policy(wire.retry.unwrap_or_default())?,
        shape: shape_request(wire.shape)?,
        oversubscribe: wire.shape.is_some_and(|shape| shape.oversubscribe),
        reduce: wire.reduce,
        paced: wire.arrivals.is_some(),
    })
}

fn retry_policy(wire: v1::RetryPolicy) -> Result<RetryPolicy, ConvertError> {
    let usual = RetryPolicy::default();
    let some =
        |field, attempts: u32| (attempts > 0).then(|| at_most(field, attempts, MAX_ATTEMPTS_MAX)).transpose();
    let wait = |field, ms: u64| {
        (ms > 0).then(|| at_most(field, ms, BACKOFF_MAX_MS).map(Span::from_millis)).transpose()
    };
    let backoff = wait("spec.retry.backoff_ms", wire.backoff_ms)?.unwrap_or(usual.backoff);
    let backoff_max = wait("spec.retry.backoff_max_ms", wire.backoff_max_ms)?;
    Ok(RetryPolicy {
        transient: some("spec.retry.transient", wire.transient)?,
        crashed: some("spec.retry.crashed", wire.crashed)?,
        panicked: some("spec.retry.panicked", wire.panicked)?.unwrap_or(usual.panicked),
        timeout: some("spec.retry.timeout", wire.timeout)?.unwrap_or(usual.timeout),
        memory: some("spec.retry.memory", wire.memory)?.unwrap_or(usual.memory),
        backoff,
        // Whoever wants a longer first wait wants the others no shorter.
        backoff_max: backoff_max.unwrap_or(usual.backoff_max.max(backoff)),
    })
}

fn retry_policy_to_wire(policy: &RetryPolicy) -> v1::RetryPolicy {
    let ms = |wait: Span| (wait.0 / 1_000_000).max(1);
    v1::RetryPolicy {
        transient: policy.transient.unwrap_or(0),
        crashed: policy.crashed.unwrap_or(0),
        panicked: policy.panicked,
        timeout: policy.timeout,
        memory: policy.memory,
        backoff_ms: ms(policy.backoff),
        backoff_max_ms: ms(policy.backoff_max),
    }
}

/// Attempts at a task.
pub(super) fn max_attempts(field: &'static str, wire: u32) -> Result<u32, ConvertError> {
    at_most(field, if wire == 0 { MAX_ATTEMPTS_DEFAULT } else { wire }, MAX_ATTEMPTS_MAX)
}

fn outputs(wire: i32) -> Result<Outputs, ConvertError> {
    match v1::Outputs::try_from(wire) {
        Ok(v1::Outputs::Unspecified | v1::Outputs::Keep) => Ok(Outputs::Keep),
        Ok(v1::Outputs::Stream) => Ok(Outputs::Stream),
        Ok(v1::Outputs::Checksum) => Ok(Outputs::Checksum),
        Err(_) => Err(ConvertError::wrong("spec.outputs", wire, "not a known way")),
    }
}

/// A job for the wire, as it was submitted.
#[must_use]
pub fn job_spec_to_wire(submission: &Submission) -> v1::JobSpec {
    let spec = &submission.spec;
    let outputs = match submission.outputs {
        Outputs::Keep => v1::Outputs::Keep,
        Outputs::Stream => v1::Outputs::Stream,
        Outputs::Checksum => v1::Outputs::Checksum,
    };
    v1::JobSpec {
        plugin: Some(plugin_to_wire(&submission.plugin)),
        params: submission.params.clone(),
        tasks: spec.tasks,
        open: spec.open,
        has_inputs: submission.has_inputs,
        shape: Some(shape_request_to_wire(spec.shape, spec.oversubscribe, submission.gil)),
        weight: spec.weight,
        priority: spec.priority,
        max_attempts: spec.max_attempts,
        outputs: outputs.into(),
        reduce: spec.reduce,
        seed: submission.seed,
        result_max_bytes: submission.result_max_bytes,
        label: submission.label.clone(),
        limits: Some(limits_to_wire(&submission.limits)),
        retry: Some(retry_policy_to_wire(&spec.retry)),
        only: submission
            .only
            .clone()
            .map(|OnlyTask { index, input }| v1::OnlyTask { index, input: input.unwrap_or_default() }),
        arrivals: submission.arrivals.map(arrivals_to_wire),
        task_samples: submission.task_samples,
        sandbox: level_to_wire(submission.sandbox).into(),
    }
}

/// The same for whoever looks at the job: without the input that it may hold.
#[must_use]
pub fn job_spec_to_show(submission: &Submission) -> v1::JobSpec {
    let mut spec = job_spec_to_wire(submission);
    if let Some(only) = &mut spec.only {
        only.input = Bytes::new();
    }
    spec
}

/// A job that is to go on, and tasks of it that failed and are to be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryAsk {
    /// The job; 0 is the newest.
    pub job: JobId,
    /// The tasks; `None`: all that failed.
    pub tasks: Option<RangeSet>,
}

impl TryFrom<v1::RetryRequest> for RetryAsk {
    type Error = ConvertError;

    fn try_from(wire: v1::RetryRequest) -> Result<Self, ConvertError> {
        at_most("indexes (number of them)", wire.indexes.len(), RETRY_INDEXES_MAX)?;
        let mut tasks = RangeSet::new();
        for &index in &wire.indexes {
            let index = at_most("indexes", index, TASKS_MAX - 1)?;
            tasks.insert(IndexRange::from_count(index, 1));
        }
        Ok(Self { job: JobId(wire.job), tasks: (!tasks.is_empty()).then_some(tasks) })
    }
}

impl Feed {
    /// Tasks for a job that has inputs, or has none.
    ///
    /// # Errors
    /// Inputs for a job without them or the other way round, too many, or malformed ones.
    pub fn try_new(wire: v1::FeedRequest, has_inputs: bool) -> Result<Self, ConvertError> {
        let count = at_most("count", wire.count, TASKS_MAX)?;
        let inputs = match (wire.inputs, has_inputs) {
            (None, false) => None,
            (None, true) if count == 0 => None,
            (None, true) => return Err(ConvertError::missing("inputs")),
            (Some(_), false) => {
                return Err(ConvertError::wrong("inputs", "set", "this job was submitted without inputs"));
            }
            (Some(packed), true) => {
                Some(Items::try_new(packed, count).map_err(|error| malformed("inputs", error))?)
            }
        };
        if let Some(inputs) = &inputs {
            at_most("inputs (bytes of one)", inputs.longest(), INPUT_MAX_BYTES as u32)?;
        }
        let start = wire.start.map(|start| at_most("start", start, TASKS_MAX)).transpose()?;
        Ok(Self { count, inputs, seal: wire.seal, start })
    }

    /// The job that the first message of a stream names.
    ///
    /// # Errors
    /// None is named.
    pub fn job(wire: &v1::FeedRequest) -> Result<JobId, ConvertError> {
        if wire.job == 0 { Err(ConvertError::missing("job")) } else { Ok(JobId(wire.job)) }
    }
}

/// A part of a job's results.
///
/// # Errors
/// Results that do not fit the range.
pub fn results(wire: v1::ResultsReply) -> Result<ResultsPart, ConvertError> {
    let count = if wire.reduced { 1 } else { wire.count };
    let items = Items::try_new(wire.results.unwrap_or_default(), count)
        .map_err(|error| malformed("results", error))?;
    let failures = wire.failures.into_iter().map(TaskFailure::try_from).collect::<Result<_, _>>()?;
    Ok(ResultsPart {
        range: range("count", wire.start, wire.count)?,
        items,
        failures,
        reduced: wire.reduced,
        end: wire.end,
    })
}
