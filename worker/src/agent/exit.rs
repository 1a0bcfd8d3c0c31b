//! Why an executor ended, in one of few causes and in words.

use super::fault;
use super::stop::StopHow;
use crate::crash::CrashRecord;
use crate::executor::EXIT_CUT_OFF;
use crate::os::cgroup::MemoryEvidence;
use crate::os::process::{WaitStatus, signal_name};
use muster_core::agent::ExitCause;
use muster_core::quantity::size_text;
use muster_core::time::Span;
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
    /// The agent sent it SIGTERM, because its job is over and it did not stop.
    pub terminated: bool,
    /// It was ended because a task was over this time limit and did not stop.
    pub over_time: Option<Span>,
    /// It was stopped, with whatever ran in it, when that time was over.
    pub suspended: bool,
    /// Its worker has connected anew: what it does is of no use to anybody, though its job may go on.
    pub outdated: bool,
    /// It closed its connection and did not end.
    pub cut_off: bool,
    /// It said that it cannot load its plugin or open its job.
    pub refusal: Option<Refusal>,
    /// The file that it could not load was fetched again.
    pub renewed: bool,
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

/// Why an executor did not begin.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusal {
    pub text: String,
    /// Its plugin's file is not, or not any more, what the agent has checked.
    pub is_damage: bool,
}

impl Refusal {
    /// One that another file would not help.
    pub fn of(text: String) -> Self {
        Self { text, is_damage: false }
    }
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
            WaitStatus::Signal(signal) if Some(signal) == record.signal => Some(record),
            WaitStatus::Code(_) if record.signal.is_none() => Some(record),
            // The unwinder did not come to its end and was given up.
            WaitStatus::Signal(libc::SIGKILL) if record.is_cut && !self.is_told() => Some(record),
            WaitStatus::Signal(_) | WaitStatus::Code(_) => None,
        }
    }

    /// Whether the agent or the kernel has ended it, and not the plugin.
    fn is_told(&self) -> bool {
        self.killed || self.terminated || self.over_time.is_some() || self.cut_off || self.is_over_memory()
    }

    fn is_over_memory(&self) -> bool {
        self.memory.is_some_and(|memory| memory.oom_kills > 0)
    }

    /// How its running tasks came to a stop: one that SIGTERM ended was not killed, also when the agent, which did not know
    /// yet, went on to do so.
    pub const fn stop_how(&self, status: Option<WaitStatus>) -> StopHow {
        let died_of_kill = matches!(status, Some(WaitStatus::Signal(libc::SIGKILL)) | None);
        match (self.killed && died_of_kill, self.terminated) {
            (true, _) => StopHow::Killed,
            (false, true) => StopHow::Terminated,
            (false, false) => StopHow::Asked,
        }
    }

    /// Whether what ran when it ended need not have ended it: whoever did so may be done long since.
    pub fn may_be_late(&self, status: Option<WaitStatus>) -> bool {
        // A signal that a process sends to itself as a whole comes when any of its threads next looks, after `kill` has
        // returned.
        let is_own = self.record(status).is_some_and(|record| record.sender == Some(self.pid));
        is_own || self.is_cut_off(status)
    }

    /// Whether the plugin took away the executor's connection: then any thread may have been the first to notice.
    pub fn is_cut_off(&self, status: Option<WaitStatus>) -> bool {
        match status {
            Some(WaitStatus::Code(EXIT_CUT_OFF)) => true,
            Some(WaitStatus::Signal(libc::SIGKILL)) => {
                self.cut_off && !self.killed && self.over_time.is_none()
            }
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
        Some(WaitStatus::Signal(signal)) => Some(recorded(record).unwrap_or(signal)),
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
    let Circumstances {
        stopped, killed, terminated, over_time, outdated, refusal, renewed, violation, ..
    } = circumstances;
    if let Some(text) = violation {
        return Some((ExitCause::Protocol, violation_text(text)));
    }
    let ended_well = status == Some(WaitStatus::Code(0));
    if let Some(limit) = over_time.filter(|_| !(*stopped && ended_well)) {
        let text = format!("a task did not stop at its time limit of {limit}, so its executor was ended");
        return Some((ExitCause::Timeout, text));
    }
    if *killed || *terminated {
        let why = if *outdated {
            "its worker has connected anew and starts over"
        } else {
            "its job is over, or starts anew here"
        };
        return Some((ExitCause::Killed, format!("muster killed the executor: {why}")));
    }
    if *renewed {
        return Some((ExitCause::Stopped, "its plugin's file was fetched again".to_owned()));
    }
    if let Some(refusal) = refusal {
        return Some((ExitCause::LoadFailed, refusal.text.clone()));
    }
    match (ended_well, circumstances.stopped, circumstances.retired) {
        (true, true, _) => Some((ExitCause::Stopped, "stopped".to_owned())),
        (true, false, true) => Some((ExitCause::Retired, "it has run its task".to_owned())),
        (true, false, false) | (false, _, _) => None,
    }
}

fn by_itself(status: Option<WaitStatus>, circumstances: &Circumstances) -> (ExitCause, String) {
    let is_killed = status == Some(WaitStatus::Signal(libc::SIGKILL));
    if let Some(memory) = circumstances.memory.filter(|memory| memory.oom_kills > 0 && is_killed) {
        return (ExitCause::Memory, over_memory(memory));
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
            let signal = recorded(record).unwrap_or(status);
            let why = record
                .filter(|record| record.signal.is_some())
                .map(|record| fault::suggest(record, circumstances.pid));
            by_signal(signal, why)
        }
        None => (ExitCause::Exited, "the executor is gone".to_owned()),
    }
}

/// The signal of a record.
fn recorded(record: Option<&CrashRecord>) -> Option<i32> {
    record.and_then(|record| record.signal)
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

fn over_memory(memory: MemoryEvidence) -> String {
    let MemoryEvidence { peak_bytes, limit_bytes, .. } = memory;
    let (limit, peak) = (size_text(limit_bytes), size_text(peak_bytes));
    format!(
        "the executor was over its memory limit of {limit} (it had up to {peak}), and the kernel killed it"
    )
}

/// How an executor that broke the rules ended.
pub(super) fn violation_text(text: &str) -> String {
    format!("the executor was ended: {text}")
}

/// What is said of a plugin that closed what is not its own.
const CUT_OFF: &str = "a task closed file descriptors that are not its own, among them the executor's connection to muster; \
                       look for a loop that closes all descriptors";

fn with_last_lines(text: String, lines: &[String]) -> String {
    let tells = lines.iter().filter(|line| !line.trim().is_empty() && !is_of_backtrace(line));
    let mut last: Vec<&str> =
        tells.rev().take(LINES_IN_TEXT).map(|line| clip(line, LINE_IN_TEXT_BYTES)).collect();
    last.reverse();
    if last.is_empty() { text } else { format!("{text}; it last said: {}", last.join(" | ")) }
}

/// A line of a stack that Rust printed: `  12: function` or `      at file:line`. The record has it as well.
fn is_of_backtrace(line: &str) -> bool {
    let rest = line.trim_start();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    rest.len() < line.len()
        && (rest.starts_with("at ") || rest.split_once(": ").is_some_and(|(number, _)| is_number(number)))
}

#[cfg(test)]
mod tests;
