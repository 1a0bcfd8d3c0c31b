//! What the flags of `run` and `submit` and the plugin's manifest mean together: the job that is submitted.

use super::shape::ShapePlan;
use crate::cli::JobArgs;
use crate::exit::Failure;
use crate::input::{FileList, LineSource, Source};
use crate::summary::counted;
use muster_plugin_host::{InputKind, Manifest, ParamError, from_pairs};
use muster_proto::convert::level_to_wire;
use muster_proto::v1;

/// What the flags say by themselves: that is known before a plugin is built.
#[derive(Debug)]
pub struct Given {
    /// The inputs, found readable.
    pub inputs: Option<Source>,
    pub shape: ShapePlan,
    pub retry: v1::RetryPolicy,
}

impl Given {
    /// Checks all that needs neither a plugin nor a cluster.
    pub fn new(args: &JobArgs) -> Result<Self, Failure> {
        let retry = args.retry.policy()?;
        let shape = ShapePlan::new(&args.shape)?;
        // On the smallest worker that there can be.
        check_procs(args.limits.procs, shape.on(1).threads)?;
        Ok(Self { inputs: inputs(args)?, shape, retry })
    }
}

/// The executor itself needs a thread beside those that run tasks.
pub fn check_procs(procs: Option<u32>, threads: u32) -> Result<(), Failure> {
    let Some(procs) = procs.filter(|&procs| procs <= threads) else { return Ok(()) };
    let least = threads.saturating_add(1);
    let has = counted(threads, "task thread", "task threads");
    Err(Failure::usage(format_args!(
        "--procs {procs} leaves no room for the executor itself, which has {has} and one more"
    ))
    .hint(format_args!("give --procs {least} or more")))
}

/// A checked job.
#[derive(Debug)]
pub struct Plan {
    pub source: Source,
    pub shape: ShapePlan,
    retry: v1::RetryPolicy,
    params: Vec<u8>,
}

impl From<ParamError> for Failure {
    fn from(error: ParamError) -> Self {
        Self::usage(&error)
    }
}

impl Plan {
    /// Checks everything that can be checked before a job is submitted.
    pub fn new(args: &JobArgs, manifest: &Manifest, given: Given) -> Result<Self, Failure> {
        let Given { inputs, shape, retry } = given;
        let params = from_pairs(manifest, &args.params)?;
        if args.reduce && !manifest.reduce() {
            return Err(Failure::usage(format_args!("plugin {} cannot combine results", manifest.name()))
                .hint("leave out --reduce, or implement Reduce in the plugin"));
        }
        let source = source(args, manifest, inputs)?;
        let params = serde_json::to_vec(&params).map_err(Failure::usage)?;
        Ok(Self { source, shape, retry, params })
    }

    /// The message.
    pub fn spec(&self, args: &JobArgs, plugin: v1::PluginRef, outputs: v1::Outputs) -> v1::JobSpec {
        let open = !matches!(self.source, Source::Count(_));
        v1::JobSpec {
            plugin: Some(plugin),
            params: self.params.clone().into(),
            tasks: if open { 0 } else { self.source.tasks().unwrap_or(0) },
            open,
            has_inputs: open,
            shape: Some(self.shape.to_proto()),
            weight: args.weight,
            priority: args.priority,
            max_attempts: args.retry.max_attempts,
            outputs: outputs.into(),
            reduce: args.reduce,
            seed: args.seed,
            result_max_bytes: args.limits.output_max.unwrap_or(0),
            label: String::new(),
            limits: Some(args.limits.to_proto()),
            retry: Some(self.retry),
            only: None,
            arrivals: args.arrivals.to_proto(),
            task_samples: args.trace.unwrap_or(0),
            sandbox: level_to_wire(args.sandbox).into(),
        }
    }
}

fn inputs(args: &JobArgs) -> Result<Option<Source>, Failure> {
    if let Some(path) = &args.lines {
        return Ok(Some(Source::Lines(LineSource::open(path)?)));
    }
    if args.files.is_empty() {
        return Ok(None);
    }
    Ok(Some(Source::Files(FileList::find(&args.files, args.chunk)?)))
}

/// Whether a plugin's tasks can have inputs, or be without.
pub fn check_inputs(manifest: &Manifest, has_inputs: bool) -> Result<(), Failure> {
    let name = manifest.name();
    match (manifest.input(), has_inputs) {
        (InputKind::None, true) => {
            Err(Failure::usage(format_args!("tasks of plugin {name} take no input")).hint("use -n N instead"))
        }
        (InputKind::Required, false) => {
            Err(Failure::usage(format_args!("every task of plugin {name} needs an input"))
                .hint("give --lines FILE or --files PATH"))
        }
        (InputKind::Optional | InputKind::Required, true)
        | (InputKind::None | InputKind::Optional, false) => Ok(()),
    }
}

fn source(args: &JobArgs, manifest: &Manifest, inputs: Option<Source>) -> Result<Source, Failure> {
    check_inputs(manifest, inputs.is_some())?;
    let name = manifest.name();
    match (inputs, args.tasks.or(manifest.default_tasks())) {
        (Some(inputs), _) => Ok(inputs),
        (None, Some(tasks)) => Ok(Source::Count(tasks)),
        (None, None) => Err(Failure::usage(format_args!("how many tasks? plugin {name} has no default"))
            .hint("give -n N, --lines FILE or --files PATH")),
    }
}
