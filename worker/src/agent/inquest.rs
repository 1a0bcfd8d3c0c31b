//! From the end of an executor, or a panic, to what the coordinator is told of it: who is charged, with which evidence.
//! Finding functions and lines for a stack takes a while; until then only the report of that one failure waits.

use super::driver::Driver;
use super::event::Event;
use super::exit::{Circumstances, Ending};
use crate::cache::PluginFile;
use crate::crash::Place;
use crate::os::process::WaitStatus;
use crate::os::unix_ns;
use crate::symbols::bare;
use muster_core::agent::ExitCause;
use muster_core::id::{ExecutorId, JobId, LeaseId};
use muster_core::range::IndexRange;
use muster_core::scheduler::FailureClass;
use muster_core::time::Time;
use muster_proto::convert::{Cause, Evidence, Frame, RanOn, evidence_to_wire};
use std::fmt::Write;
use std::sync::Arc;

/// Inquests that may wait for symbols. More than that do not wait.
const WAITING_MAX: usize = 64;

/// An attempt that is charged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge {
    pub lease: LeaseId,
    pub index: u64,
    pub class: FailureClass,
    pub busy_ns: u64,
    pub ran_on: Option<RanOn>,
}

/// What will be told.
#[derive(Debug)]
pub(super) struct Inquest {
    pub charges: Vec<Charge>,
    /// The executor ended.
    pub exit: Option<(JobId, ExitCause)>,
    pub text: String,
    pub evidence: Evidence,
    /// The stack that nobody has found the functions of.
    pub places: Vec<Place>,
    /// Whether the report may come later than what follows it.
    pub may_wait: bool,
    pub plugin: Arc<PluginFile>,
}

/// What is known of an executor's end before anybody is charged.
pub(super) fn evidence_of(
    executor: ExecutorId,
    status: Option<WaitStatus>,
    ending: &Ending,
    circumstances: &Circumstances,
    lived_ns: u64,
) -> (Evidence, Vec<Place>) {
    let record = circumstances.record(status);
    let ended_ns = unix_ns();
    let evidence = Evidence {
        signal: ending.signal,
        exit_code: ending.exit_code,
        address: record.and_then(|record| record.address),
        last_lines: circumstances.last_lines.clone(),
        memory_peak_bytes: circumstances.memory.map(|memory| memory.peak_bytes).filter(|&bytes| bytes != 0),
        memory_limit_bytes: circumstances.memory.map(|memory| memory.limit_bytes).filter(|&bytes| bytes != 0),
        executor: executor.0,
        pid: circumstances.pid,
        started_ns: ended_ns.saturating_sub(lived_ns),
        ended_ns,
        truncated: record.is_some_and(|record| record.is_cut),
        ..Evidence::new(Cause::Executor(ending.cause))
    };
    (evidence, record.map(|record| record.places()).unwrap_or_default())
}

impl Driver {
    /// Tasks of these claims that are still to be done here; one for a lease that is claimed as a whole.
    pub fn owed(&self, claims: &[(LeaseId, IndexRange)]) -> u64 {
        claims.iter().map(|&(lease, range)| self.agent.owed(lease, range)).sum()
    }

    /// Evidence of a panic in an executor that goes on.
    pub fn evidence_of_panic(&self, executor: ExecutorId, class: FailureClass) -> Evidence {
        let handle = self.executors.get(&executor);
        let lived = handle.map_or(0, |handle| self.now().since(handle.started).0);
        let ended_ns = unix_ns();
        Evidence {
            executor: executor.0,
            pid: handle.and_then(|handle| handle.pid()).unwrap_or(0),
            started_ns: ended_ns.saturating_sub(lived),
            ended_ns,
            ..Evidence::new(Cause::Attempt(class))
        }
    }

    /// Whether failures of a job may be told later: a partial result that leaves a task out must not come before the
    /// failure of that task.
    pub fn may_wait(&self, job: JobId) -> bool {
        self.jobs.get(&job).is_none_or(|job| !job.reduces())
    }

    /// Tells at once when nobody has to look for functions, and otherwise when they are found.
    pub fn hold_inquest(&mut self, mut inquest: Inquest) {
        if inquest.charges.is_empty() && inquest.exit.is_none() {
            return;
        }
        if inquest.places.is_empty() {
            return self.conclude(inquest);
        }
        if let Some(frames) = self.symbols.known(&inquest.places) {
            inquest.evidence.frames = frames;
            return self.conclude(inquest);
        }
        if !inquest.may_wait || self.inquests >= WAITING_MAX {
            inquest.evidence.frames = bare(&inquest.places);
            return self.conclude(inquest);
        }
        self.inquests += 1;
        let (symbols, events) = (self.symbols.clone(), self.events.clone());
        tokio::spawn(async move {
            inquest.evidence.frames = symbols.find(&inquest.places).await;
            events.send(Event::Inquest(Box::new(inquest))).await;
        });
    }

    /// The functions of a stack were found, or nobody could.
    pub fn on_inquest(&mut self, inquest: Inquest) {
        self.inquests = self.inquests.saturating_sub(1);
        self.conclude(inquest);
    }

    fn conclude(&mut self, inquest: Inquest) {
        let Inquest { charges, exit, mut text, mut evidence, plugin, .. } = inquest;
        // The cache names files by their digest, which tells nobody anything.
        let file = plugin.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        for frame in evidence.frames.iter_mut().filter(|frame| frame.module == file) {
            frame.module.clone_from(&plugin.name);
        }
        if evidence.cause == Cause::Attempt(FailureClass::Panicked) {
            leave_out_panicking(&mut evidence.frames);
        }
        if let Some(place) = innermost(&evidence.frames, &plugin.name) {
            // Writing to a text cannot fail.
            let _ = write!(text, "; in {place}");
        }
        let wire = evidence_to_wire(&evidence);
        for charge in charges {
            let evidence = Some((wire.clone(), evidence.bytes()));
            self.report.failure(charge, text.clone(), evidence);
        }
        if let Some((job, cause)) = exit {
            self.report.exit(job, cause, text, (wire, evidence.bytes()), evidence.lost_tasks);
        }
    }

    /// How long an executor has lived.
    pub fn lived_ns(&self, started: Time) -> u64 {
        self.now().since(started).0
    }
}

/// Leaves out the calls by which a Rust panic came to its hook, and those of the library that noticed what was wrong.
fn leave_out_panicking(frames: &mut Vec<Frame>) {
    let first = frames.iter().position(|frame| !is_machinery(frame));
    frames.drain(..first.unwrap_or(0));
}

/// Whether a call is of Rust's library or of the SDK, and tells nothing about the plugin.
fn is_machinery(frame: &Frame) -> bool {
    const MACHINERY: [&str; 9] = [
        "std::",
        "core::",
        "alloc::",
        "<std::",
        "<core::",
        "<alloc::",
        "muster_sdk::",
        "__rustc",
        "rust_begin_unwind",
    ];
    // What was merged into another call has its name alone, but its file as well.
    let is_its_file = |file: &str| {
        file.starts_with("/rustc/")
            || ["sdk/src/panic.rs", "sdk/src/host.rs"].iter().any(|end| file.ends_with(end))
    };
    frame.function.is_empty()
        || is_its_file(&frame.file)
        || MACHINERY.iter().any(|start| frame.function.starts_with(start))
}

/// The innermost call of the plugin itself, rather one that has a place in the source than one with only a name. Where
/// the plugin has none, that of anybody.
fn innermost(frames: &[Frame], plugin: &str) -> Option<String> {
    let own = |frame: &&Frame| frame.module == plugin && !is_machinery(frame);
    let named = |frame: &&Frame| !frame.function.is_empty();
    let with_line = |frame: &&Frame| frame.line != 0 && named(frame);
    let frame = (frames.iter().filter(own).find(with_line))
        .or_else(|| frames.iter().find(own))
        .or_else(|| frames.iter().find(with_line))
        .or_else(|| frames.iter().find(named))?;
    let Frame { module, function, file, line, .. } = frame;
    let file = file.rsplit('/').next().unwrap_or_default();
    Some(if *line == 0 { format!("{function} ({module})") } else { format!("{function} ({file}:{line})") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_begins_where_the_plugin_did_wrong() {
        let of = |functions: &[&str]| {
            let frame = |name: &&str| Frame { function: (*name).to_owned(), ..Frame::default() };
            let mut frames: Vec<Frame> = functions.iter().map(frame).collect();
            leave_out_panicking(&mut frames);
            frames.into_iter().map(|frame| frame.function).collect::<Vec<_>>()
        };
        let whole =
            ["muster_sdk::panic::install_hook", "std::panicking::panic", "core::option::unwrap_failed"];
        let own = ["mine::row", "core::iter::map", "mine::run"];
        assert_eq!(of(&[&whole[..], &own].concat()), own);
        assert_eq!(of(&whole), whole, "rather too much than nothing");
    }

    #[test]
    fn the_innermost_call_of_the_plugin_is_named() {
        let frame_of = |module: &str, function: &str, line| Frame {
            module: module.into(),
            function: function.into(),
            file: if line == 0 { String::new() } else { "/src/a.c".into() },
            line,
            ..Frame::default()
        };
        let frame = |function: &str, line| frame_of("x.so", function, line);
        let innermost = |frames: &[Frame]| innermost(frames, "mine");
        assert_eq!(innermost(&[]), None);
        assert_eq!(innermost(&[frame("", 0)]), None);
        assert_eq!(innermost(&[frame("", 0), frame("memcpy", 0)]).unwrap(), "memcpy (x.so)");
        assert_eq!(innermost(&[frame("memcpy", 0), frame("run", 7)]).unwrap(), "run (a.c:7)");
        let aborted = [
            frame("raise", 3),
            frame_of("mine", "std::process::abort", 9),
            frame_of("mine", "mine::row", 0),
            frame_of("host", "call", 5),
        ];
        assert_eq!(innermost(&aborted).unwrap(), "mine::row (mine)");
    }
}
