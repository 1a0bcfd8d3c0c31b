//! What is known about the end of one attempt or one executor. It comes from a machine on which a plugin ran: texts are
//! cut and cleaned of control characters, so that they can be shown on a terminal.

use super::scalar::{exit_cause, failure_class_named};
use super::{ConvertError, at_most, clip};
use crate::v1;
use muster_core::agent::ExitCause;
use muster_core::scheduler::FailureClass;

/// Frames of a stack at most.
pub const FRAMES_MAX: usize = 64;
/// Last lines at most.
pub const LAST_LINES_MAX: usize = 50;
/// Bytes of a line, a function's name, a file's name at most.
pub const EVIDENCE_TEXT_MAX_BYTES: usize = 4 << 10;
/// The highest number of a signal.
const SIGNAL_MAX: i32 = 64;

/// What is known about the end of an attempt, or of an executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// How it ended.
    pub cause: Cause,
    /// The signal that ended the executor.
    pub signal: Option<i32>,
    /// The code that the executor ended with.
    pub exit_code: Option<i32>,
    /// The address of the fault.
    pub address: Option<u64>,
    /// The stack, innermost call first.
    pub frames: Vec<Frame>,
    /// What the executor wrote last, oldest first.
    pub last_lines: Vec<String>,
    /// The most memory that the executor had.
    pub memory_peak_bytes: Option<u64>,
    /// What it may have.
    pub memory_limit_bytes: Option<u64>,
    /// The executor's number on its worker.
    pub executor: u64,
    /// Its process.
    pub pid: u32,
    /// When it started, in nanoseconds since 1970; 0: not known.
    pub started_ns: u64,
    /// When it ended, likewise.
    pub ended_ns: u64,
    /// Tasks that it had, are not to blame, and run again.
    pub lost_tasks: u64,
    /// Frames or lines were left out.
    pub truncated: bool,
}

/// How an executor or an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The executor ended.
    Executor(ExitCause),
    /// The attempt ended, and the executor went on.
    Attempt(FailureClass),
}

/// One call of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The file name of the object; empty: not known.
    pub module: String,
    /// Where in it, as its symbols count; the address itself when the module is not known.
    pub offset: u64,
    /// The function; empty: not known.
    pub function: String,
    /// The source file; empty: not known.
    pub file: String,
    /// The line; 0: not known.
    pub line: u32,
}

impl Cause {
    /// The name in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Executor(cause) => cause.name(),
            Self::Attempt(class) => class.name(),
        }
    }
}

impl Evidence {
    /// Nothing known but the cause.
    #[must_use]
    pub const fn new(cause: Cause) -> Self {
        Self {
            cause,
            signal: None,
            exit_code: None,
            address: None,
            frames: Vec::new(),
            last_lines: Vec::new(),
            memory_peak_bytes: None,
            memory_limit_bytes: None,
            executor: 0,
            pid: 0,
            started_ns: 0,
            ended_ns: 0,
            lost_tasks: 0,
            truncated: false,
        }
    }

    /// About how many bytes it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let frames = self
            .frames
            .iter()
            .map(|it| it.module.len() + it.function.len() + it.file.len() + 24)
            .sum::<usize>();
        frames + self.last_lines.iter().map(|line| line.len() + 24).sum::<usize>() + 128
    }
}

impl TryFrom<v1::Evidence> for Evidence {
    type Error = ConvertError;

    fn try_from(wire: v1::Evidence) -> Result<Self, ConvertError> {
        at_most("evidence.frames", wire.frames.len(), FRAMES_MAX)?;
        at_most("evidence.last_lines", wire.last_lines.len(), LAST_LINES_MAX)?;
        if !(0..=SIGNAL_MAX).contains(&wire.signal) {
            let limit = format_args!("a signal is from 1 to {SIGNAL_MAX}").to_string();
            return Err(ConvertError::wrong("evidence.signal", wire.signal, limit));
        }
        let mut cut = Cut(wire.truncated);
        let frames = wire.frames.into_iter().map(|it| cut.frame(it)).collect();
        let last_lines = wire.last_lines.iter().map(|line| cut.text(line)).collect();
        let some = |bytes: u64| (bytes != 0).then_some(bytes);
        Ok(Self {
            cause: cause(&wire.cause)?,
            signal: (wire.signal != 0).then_some(wire.signal),
            exit_code: wire.exited.then_some(wire.exit_code),
            address: wire.has_address.then_some(wire.address),
            frames,
            last_lines,
            memory_peak_bytes: some(wire.memory_peak_bytes),
            memory_limit_bytes: some(wire.memory_limit_bytes),
            executor: wire.executor,
            pid: wire.pid,
            started_ns: wire.started_ns,
            ended_ns: wire.ended_ns,
            lost_tasks: wire.lost_tasks,
            truncated: cut.0,
        })
    }
}

/// Whether something was cut.
struct Cut(bool);

impl Cut {
    fn frame(&mut self, wire: v1::Frame) -> Frame {
        Frame {
            module: self.text(&wire.module),
            offset: wire.offset,
            function: self.text(&wire.function),
            file: self.text(&wire.file),
            line: wire.line,
        }
    }

    /// A text that is short enough and does nothing to a terminal.
    fn text(&mut self, text: &str) -> String {
        let kept = clip(text, EVIDENCE_TEXT_MAX_BYTES);
        self.0 |= kept.len() < text.len();
        let clean = |letter: char| if letter.is_control() && letter != '\t' { '\u{fffd}' } else { letter };
        // What takes the place of a control character is longer than it.
        clip(&kept.chars().map(clean).collect::<String>(), EVIDENCE_TEXT_MAX_BYTES).to_owned()
    }
}

fn cause(wire: &str) -> Result<Cause, ConvertError> {
    match failure_class_named(wire) {
        Some(class) if exit_cause(wire).is_err() => Ok(Cause::Attempt(class)),
        Some(_) | None => exit_cause(wire).map(Cause::Executor),
    }
}

/// Evidence for the wire, within its bounds: what is too much is left out.
#[must_use]
pub fn evidence_to_wire(evidence: &Evidence) -> v1::Evidence {
    let mut cut = Cut(evidence.truncated);
    cut.0 |= evidence.frames.len() > FRAMES_MAX || evidence.last_lines.len() > LAST_LINES_MAX;
    let frames = evidence.frames.iter().take(FRAMES_MAX).map(|frame| v1::Frame {
        module: cut.text(&frame.module),
        offset: frame.offset,
        function: cut.text(&frame.function),
        file: cut.text(&frame.file),
        line: frame.line,
    });
    let frames = frames.collect();
    let from = evidence.last_lines.len().saturating_sub(LAST_LINES_MAX);
    let last_lines = evidence.last_lines[from..].iter().map(|line| cut.text(line)).collect();
    v1::Evidence {
        cause: evidence.cause.name().to_owned(),
        signal: evidence.signal.unwrap_or(0),
        exited: evidence.exit_code.is_some(),
        exit_code: evidence.exit_code.unwrap_or(0),
        has_address: evidence.address.is_some(),
        address: evidence.address.unwrap_or(0),
        frames,
        last_lines,
        memory_peak_bytes: evidence.memory_peak_bytes.unwrap_or(0),
        memory_limit_bytes: evidence.memory_limit_bytes.unwrap_or(0),
        executor: evidence.executor,
        pid: evidence.pid,
        started_ns: evidence.started_ns,
        ended_ns: evidence.ended_ns,
        lost_tasks: evidence.lost_tasks,
        truncated: cut.0,
    }
}
