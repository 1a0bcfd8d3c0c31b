//! The process that calls the plugin for one task, without a cluster around it: what a debugger sees.

use super::case::Case;
use crate::exit::{Exit, Failure};
use crate::output::output_line;
use crate::terminal::note;
use muster_plugin_host::{
    Inputs, JobParams, NOTHING_DONE, OutBuffer, Plugin, RangeInput, Slot, SlotWords, StderrServices,
};
use muster_proto::v1;
use prost::Message as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// The argument that makes this binary run one task; the files of the case and of the plugin follow.
pub const DIRECT_ARGUMENT: &str = "__case";

/// Writes a case to a file for the process that runs it.
pub fn write(case: &Case, path: &Path) -> Result<(), Failure> {
    let Case { job, task: _, spec, tasks, input } = case;
    let input = input.clone().map(|data| v1::TaskInput { bytes: data.len() as u64, kept: true, data });
    let only = Some(v1::OnlyTask { index: case.task, ..Default::default() });
    let spec = Some(v1::JobSpec { only, ..spec.clone() });
    let message = v1::CaseReply { job: *job, spec, tasks: *tasks, input };
    std::fs::write(path, message.encode_to_vec())
        .map_err(|error| Failure::io(Exit::Storage, "write", path, &error))
}

/// Runs one task when the arguments say so.
pub fn run_if_direct() -> Option<ExitCode> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [first, case, plugin] = &arguments[..] else { return None };
    if first != DIRECT_ARGUMENT {
        return None;
    }
    Some(match run(Path::new(case), Path::new(plugin)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            note(&failure);
            ExitCode::from(failure.exit as u8)
        }
    })
}

fn run(case: &Path, plugin: &Path) -> Result<(), Failure> {
    let bytes = std::fs::read(case).map_err(|error| Failure::io(Exit::Storage, "read", case, &error))?;
    let reply = v1::CaseReply::decode(&bytes[..])
        .map_err(|error| Failure::new(Exit::Storage, format_args!("{}: {error}", case.display())))?;
    let spec = reply.spec.unwrap_or_default();
    let index = spec.only.map_or(0, |only| only.index);
    let plugin = Plugin::load(plugin, Arc::new(StderrServices))
        .map_err(|error| Failure::new(Exit::Plugin, format_args!("{error}")))?;
    let params = String::from_utf8_lossy(&spec.params);
    let limits = spec.limits.unwrap_or_default();
    let job = plugin
        .create(JobParams {
            id: u128::from(reply.job),
            params: if params.is_empty() { "{}".to_owned() } else { params.into_owned() },
            seed: spec.seed,
            threads: 1,
            tasks: (!spec.open && spec.tasks > 0).then_some(spec.tasks),
            memory_limit: (limits.memory_bytes > 0).then_some(limits.memory_bytes),
        })
        .map_err(|error| Failure::new(Exit::Plugin, format_args!("the plugin refused the job: {error}")))?;
    let (cancel, current, progress) =
        (AtomicU32::new(0), AtomicU64::new(index), AtomicU64::new(NOTHING_DONE));
    let words = SlotWords { cancel: &cancel, current: &current, progress: &progress };
    let mut slot = Slot::new(0, words);
    let offsets = [0, reply.input.as_ref().map_or(0, |input| input.data.len() as u64)];
    let inputs = reply.input.as_ref().and_then(|input| Inputs::new(&input.data, &offsets));
    let mut out = OutBuffer::new();
    let outcome =
        job.run_range(&mut slot, RangeInput { start: index, count: 1, attempt: 1, inputs }, &mut out);
    if let Some(error) = outcome.failure {
        return Err(Failure::new(Exit::TasksFailed, format_args!("task {index} failed: {error}")));
    }
    let line = output_line(plugin.inspection().manifest.output(), index, &out.data);
    crate::terminal::print(line)
        .map_err(|error| Failure::io(Exit::Storage, "write", Path::new("stdout"), &error))
}
