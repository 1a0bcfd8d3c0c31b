//! Why an executor ended, in one of few causes and in words.

use super::fault;
use crate::crash::CrashRecord;
use crate::executor::EXIT_CUT_OFF;
use crate::os::process::{WaitStatus, signal_name};
use muster_core::agent::ExitCause;
use muster_proto::convert::clip;

/// Of the last lines, so many are part of the text, and so much of each.
const LINES_IN_TEXT: usize = 5;
const LINE_IN_TEXT_BYTES: usize = 300;

/// What the agent knows about the end of an executor beside its wait status.
#[derive(Clone, Debug, Default)]
pub(super) struct Circumstances {
    /// The agent told it to end.
    pub stopped: bool,
    /// It said that it has run the task that it was started for.
    pub retired: bool,
    /// The agent killed it.
    pub killed: bool,
    /// The agent killed it because a task was over its time limit.
    pub timed_out: bool,
    /// Its worker has connected anew: what it does is of no use to anybody, though its job may go on.
    pub outdated: bool,
    /// It closed its connection and did not end.
    pub cut_off: bool,
    /// It said that it cannot load its plugin or open its job.
    pub refusal: Option<String>,
    /// It broke the protocol.
    pub violation: Option<String>,
    /// It was over its memory limit, by what the kernel counted.
    pub memory: Option<MemoryEvidence>,
    /// What it wrote about itself.
    pub crash: Option<CrashRecord>,
    /// Its process.
    pub pid: u32,
    /// The last lines it wrote.
    pub last_lines: Vec<String>,
}

/// What a cgroup counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MemoryEvidence {
    /// The most that the executor had; 0: not known.
    pub peak_bytes: u64,
    /// What it may have; 0: no limit.
    pub limit_bytes: u64,
    /// The kernel killed it, or something in it, for want of memory.
    pub killed: bool,
}

/// How an executor ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub cause: ExitCause,
    /// For people, in one line.
    pub text: String,
    pub signal: Option<i32>,
    pub exit_code: Option<i32>,
}

impl Circumstances {
    /// The record that goes with a wait status: a plugin may have handled the signal that was recorded, and ended otherwise.
    pub fn record(&self, status: Option<WaitStatus>) -> Option<&CrashRecord> {
        let record = self.crash.as_ref()?;
        match status? {
            WaitStatus::Signal(signal) if signal == record.signal => Some(record),
            // The unwinder did not come to its end and was given up.
            WaitStatus::Signal(libc::SIGKILL) if record.is_cut && !self.is_told() => Some(record),
            WaitStatus::Signal(_) | WaitStatus::Code(_) => None,
        }
    }

    /// Whether the agent or the kernel has ended it, and not the plugin.
    fn is_told(&self) -> bool {
        self.killed || self.timed_out || self.cut_off || self.memory.is_some_and(|memory| memory.killed)
    }

    /// Whether the plugin took away the executor's connection: then any thread may have been the first to notice.
    pub fn is_cut_off(&self, status: Option<WaitStatus>) -> bool {
        match status {
            Some(WaitStatus::Code(EXIT_CUT_OFF)) => true,
            Some(WaitStatus::Signal(libc::SIGKILL)) => self.cut_off && !self.killed && !self.timed_out,
            Some(WaitStatus::Code(_) | WaitStatus::Signal(_)) | None => false,
        }
    }
}

/// The cause and a text for people.
pub(super) fn explain(status: Option<WaitStatus>, circumstances: &Circumstances) -> Ending {
    let (cause, text) = match told(status, circumstances) {
        Some(told) => told,
        None => {
            let (cause, text) = by_itself(status, circumstances);
            (cause, with_last_lines(text, &circumstances.last_lines))
        }
    };
    let record = circumstances.record(status);
    let signal = match status {
        Some(WaitStatus::Signal(signal)) => Some(record.map_or(signal, |record| record.signal)),
        Some(WaitStatus::Code(_)) | None => None,
    };
    let exit_code = match status {
        Some(WaitStatus::Code(code)) => Some(code),
        Some(WaitStatus::Signal(_)) | None => None,
    };
    Ending { cause, text, signal, exit_code }
}

/// An end that the agent wanted, or that the executor explained.
fn told(status: Option<WaitStatus>, circumstances: &Circumstances) -> Option<(ExitCause, String)> {
    let Circumstances { killed, outdated, refusal, violation, timed_out, .. } = circumstances;
    if let Some(text) = violation {
        return Some((ExitCause::Protocol, violation_text(text)));
    }
    if *timed_out {
        return Some((
            ExitCause::Timeout,
            "muster killed the executor: a task was over its time limit".to_owned(),
        ));
    }
    if *killed {
        let why = if *outdated {
            "its worker has connected anew and starts over"
        } else {
            "its job is over, or starts anew here"
        };
        return Some((ExitCause::Killed, format!("muster killed the executor: {why}")));
    }
    if let Some(text) = refusal {
        return Some((ExitCause::LoadFailed, text.clone()));
    }
    let ended_well = status == Some(WaitStatus::Code(0));
    match (ended_well, circumstances.stopped, circumstances.retired) {
        (true, true, _) => Some((ExitCause::Stopped, "stopped".to_owned())),
        (true, false, true) => Some((ExitCause::Retired, "it has run its task".to_owned())),
        (true, false, false) | (false, _, _) => None,
    }
}

fn by_itself(status: Option<WaitStatus>, circumstances: &Circumstances) -> (ExitCause, String) {
    if let Some(memory) = circumstances.memory.filter(|memory| memory.killed) {
        return (ExitCause::Memory, memory_text(memory));
    }
    if circumstances.is_cut_off(status) {
        return (ExitCause::Protocol, violation_text(CUT_OFF));
    }
    let record = circumstances.record(status);
    match status {
        Some(WaitStatus::Code(code)) => {
            (ExitCause::Exited, format!("the plugin ended its process with exit code {code}"))
        }
        Some(WaitStatus::Signal(status)) => {
            let signal = record.map_or(status, |record| record.signal);
            let why = record.map(|record| fault::suggest(record, circumstances.pid));
            by_signal(signal, why)
        }
        None => (ExitCause::Exited, "the executor is gone".to_owned()),
    }
}

fn by_signal(signal: i32, why: Option<String>) -> (ExitCause, String) {
    match (signal, why) {
        (libc::SIGABRT, None) => (ExitCause::Aborted, "the plugin aborted its process (SIGABRT)".to_owned()),
        (libc::SIGABRT, Some(why)) => {
            let where_from = why.strip_prefix("the plugin raised it").unwrap_or(&why);
            (ExitCause::Aborted, format!("the plugin aborted its process (SIGABRT){where_from}"))
        }
        (libc::SIGKILL, _) => {
            let text = "something outside muster killed the executor (SIGKILL); the kernel's log says whether it \
                        did so for want of memory";
            (ExitCause::Signal, text.to_owned())
        }
        (signal, why) => {
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            (ExitCause::Signal, format!("{} ended the executor (signal {signal}){why}", signal_name(signal)))
        }
    }
}

fn memory_text(memory: MemoryEvidence) -> String {
    let MemoryEvidence { peak_bytes, limit_bytes, .. } = memory;
    match (limit_bytes, peak_bytes) {
        (0, _) => "the kernel killed the executor for want of memory".to_owned(),
        (limit, 0) => format!("the executor was over its memory limit of {limit} bytes"),
        (limit, peak) => format!("the executor was over its memory limit of {limit} bytes (peak {peak})"),
    }
}

/// How an executor that broke the rules ended.
pub(super) fn violation_text(text: &str) -> String {
    format!("the executor was ended: {text}")
}

/// What is said of a plugin that closed what is not its own.
const CUT_OFF: &str = "a task closed file descriptors that are not its own, among them the executor's connection to muster; \
                       look for a loop that closes all descriptors";

fn with_last_lines(text: String, lines: &[String]) -> String {
    let last = &lines[lines.len().saturating_sub(LINES_IN_TEXT)..];
    let last: Vec<&str> = last.iter().map(|line| clip(line, LINE_IN_TEXT_BYTES)).collect();
    if last.is_empty() { text } else { format!("{text}; it last said: {}", last.join(" | ")) }
}

#[cfg(test)]
mod tests;
