//! Why a call into a plugin failed.

use muster_plugin_abi::{ErrorText, status};
use std::fmt;

/// Kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Final for the task.
    Failed,
    /// May succeed on another try or worker.
    Transient,
    /// Stopped because of cancel or deadline.
    Cancelled,
    /// Parameters or input rejected.
    Params,
    /// Not possible with this host or machine.
    Unsupported,
    /// No memory.
    NoMemory,
    /// A panic or exception was caught.
    Panic,
    /// The plugin broke the rules of the ABI.
    Abi,
    /// The result is over the limit.
    Limit,
    /// The host stopped it at its time limit; no plugin says so.
    Timeout,
}

impl ErrorKind {
    const fn from_status(status: i32) -> Self {
        match status {
            status::TRANSIENT => Self::Transient,
            status::CANCELLED => Self::Cancelled,
            status::PARAMS => Self::Params,
            status::UNSUPPORTED => Self::Unsupported,
            status::NOMEM => Self::NoMemory,
            status::PANIC => Self::Panic,
            status::ABI => Self::Abi,
            status::LIMIT => Self::Limit,
            ..=-1 => Self::Failed,
            0.. => Self::Abi,
        }
    }

    /// Lower-case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Transient => "transient",
            Self::Cancelled => "cancelled",
            Self::Params => "params",
            Self::Unsupported => "unsupported",
            Self::NoMemory => "no memory",
            Self::Panic => "panic",
            Self::Abi => "broken plugin",
            Self::Limit => "limit",
            Self::Timeout => "timeout",
        }
    }
}

/// Why a task, or another call into a plugin, failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskError {
    /// Kind.
    pub kind: ErrorKind,
    /// The plugin's own number; 0 when it gave none.
    pub code: i32,
    /// What it said.
    pub message: String,
}

impl TaskError {
    pub(crate) fn abi(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Abi, code: 0, message: message.into() }
    }

    pub(crate) fn cancelled() -> Self {
        Self { kind: ErrorKind::Cancelled, code: 0, message: "cancelled".into() }
    }

    pub(crate) fn limit(len: usize, limit: usize) -> Self {
        let message = format!(
            "a result of {len} bytes is over the limit of {limit}; give less back, or write a file and give its name"
        );
        Self { kind: ErrorKind::Limit, code: 0, message }
    }

    /// From what a call returned, when that is not OK. Text that is no UTF-8 is shown as far as it goes.
    pub(crate) fn from_call(function: &str, status: i32, text: &ErrorText) -> Option<Self> {
        if status == status::OK {
            return None;
        }
        let kind = ErrorKind::from_status(status);
        let said = String::from_utf8_lossy(text.bytes()).replace('\0', "");
        let message = match (said.trim_end(), status) {
            (said, 1..) => {
                format!("{function} returned the unknown status {status} {said}").trim_end().to_owned()
            }
            ("", _) => format!("{function} returned {status} without a message"),
            (said, _) => said.to_owned(),
        };
        Some(Self { kind, code: text.plugin_code, message })
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, code, message } = self;
        match kind {
            ErrorKind::Failed | ErrorKind::Cancelled | ErrorKind::Timeout => f.write_str(message)?,
            // What the Rust SDK says of a panic names it already.
            ErrorKind::Panic if message.starts_with("panicked") => f.write_str(message)?,
            _ => write!(f, "{}: {message}", kind.name())?,
        }
        if *code == 0 { Ok(()) } else { write!(f, " (code {code})") }
    }
}

impl std::error::Error for TaskError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: i32, text: &[u8]) -> Option<TaskError> {
        let mut room = ErrorText::new();
        room.text[..text.len()].copy_from_slice(text);
        room.len = text.len() as u32;
        TaskError::from_call("run", status, &room)
    }

    #[test]
    fn odd_statuses_and_texts_become_named_failures() {
        assert_eq!(error(0, b""), None);
        assert_eq!(error(-1, b"no row").unwrap().to_string(), "no row");
        assert_eq!(error(-77, b"x").unwrap().kind, ErrorKind::Failed);
        assert_eq!(error(5, b"").unwrap().message, "run returned the unknown status 5");
        assert_eq!(error(5, b"").unwrap().kind, ErrorKind::Abi);
        assert_eq!(error(-2, b"").unwrap().message, "run returned -2 without a message");
        assert_eq!(error(-1, b"a\xffb\0").unwrap().message, "a\u{fffd}b");
    }
}
