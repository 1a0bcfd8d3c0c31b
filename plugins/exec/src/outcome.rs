//! How a command ended.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_sdk::Error;
use muster_sdk::serde::ser::{Serialize, SerializeMap, Serializer};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// Lines of a command's words in a message.
const LINES_MAX: usize = 3;
/// Bytes of them.
const LINES_BYTES_MAX: usize = 600;
/// What shells return for a command that does not exist.
const NOT_FOUND: i32 = 127;
/// What shells add to the number of a signal.
const SIGNAL_BASE: i32 = 128;
/// The largest number of a signal.
const SIGNAL_MAX: i32 = 64;

/// What a command gave.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// What it wrote to its standard output.
    pub stdout: Vec<u8>,
    /// The end of what it wrote to its standard error.
    pub stderr: Vec<u8>,
    /// Its exit code; 128 and the signal when a signal killed it, as shells say it.
    pub exit: i32,
}

/// Why there is no report.
#[derive(Debug)]
pub enum Failure {
    /// The shell could not be started, or not be watched.
    NotRun(std::io::Error),
    /// It took too long.
    TimedOut {
        /// The limit.
        limit: Duration,
        /// The end of its standard error.
        stderr: Vec<u8>,
    },
    /// It wrote too much.
    TooMuchOutput {
        /// The limit.
        limit: usize,
    },
    /// The task was asked to stop.
    Cancelled,
}

/// JSON has no bytes: what is no text stands there in base64, under another name, so that nobody takes it for text.
impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        for (bytes, text_name, bytes_name) in
            [(&self.stdout, "stdout", "stdout_base64"), (&self.stderr, "stderr", "stderr_base64")]
        {
            match std::str::from_utf8(bytes) {
                Ok(text) => map.serialize_entry(text_name, text)?,
                Err(_) => map.serialize_entry(bytes_name, &STANDARD.encode(bytes))?,
            }
        }
        map.serialize_entry("exit", &self.exit)?;
        map.end()
    }
}

impl Report {
    /// True when the command says so.
    pub fn succeeded(&self) -> bool {
        self.exit == 0
    }

    /// The failure of the task, with the exit code and the command's last words: those on stderr, else those on
    /// stdout.
    pub fn into_error(self, retry: bool) -> Error {
        let hint = match self.exit - SIGNAL_BASE {
            signal @ 1..=SIGNAL_MAX => format!(" (killed by signal {signal})"),
            _ if self.exit == NOT_FOUND => " (no such command on this machine)".to_owned(),
            _ => String::new(),
        };
        let words = Some(last_words(&self.stderr)).filter(|words| !words.is_empty());
        let words = words.unwrap_or_else(|| last_words(&self.stdout));
        failed(&format!("exit code {}{hint}{words}", self.exit), retry)
    }
}

impl Failure {
    /// The failure of the task.
    pub fn into_error(self, retry: bool) -> Error {
        match self {
            Self::NotRun(error) => Error::from(error).context("sh cannot be run"),
            Self::TimedOut { limit, stderr } => {
                let words = last_words(&stderr);
                failed(&format!("killed after {limit:?}, the limit that timeout_s sets{words}"), retry)
            }
            Self::TooMuchOutput { limit } => Error::failed(format_args!(
                "killed because it wrote more than {limit} bytes to stdout; redirect it to a file"
            )),
            Self::Cancelled => Error::cancelled(),
        }
    }
}

/// The exit code as shells say it.
pub fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| SIGNAL_BASE + status.signal().unwrap_or(0))
}

fn failed(message: &str, retry: bool) -> Error {
    if retry { Error::transient(message) } else { Error::failed(message) }
}

/// A colon and the last lines that are not empty; nothing when there are none.
fn last_words(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut lines: Vec<&str> =
        text.lines().rev().map(str::trim).filter(|line| !line.is_empty()).take(LINES_MAX).collect();
    lines.reverse();
    let words = lines.join(" | ");
    if words.is_empty() { words } else { format!(": {}", tail(&words, LINES_BYTES_MAX)) }
}

/// The last `bytes` bytes, or a little less: it begins with a whole character.
fn tail(text: &str, bytes: usize) -> &str {
    let from = text.len().saturating_sub(bytes);
    let from = (from..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    &text[from..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(exit: i32, stderr: &str) -> String {
        let report = Report { stdout: Vec::new(), stderr: stderr.into(), exit };
        report.into_error(false).message().to_owned()
    }

    #[test]
    fn messages_hold_the_last_words() {
        assert_eq!(message(3, ""), "exit code 3");
        assert_eq!(message(137, ""), "exit code 137 (killed by signal 9)");
        assert_eq!(message(3, "one\ntwo\n\n three \nfour\n"), "exit code 3: two | three | four");
        assert_eq!(
            message(127, "sh: x: not found\n"),
            "exit code 127 (no such command on this machine): sh: x: not found"
        );
        let silent = Report { stdout: "half\ndone\n".into(), stderr: Vec::new(), exit: 3 };
        assert_eq!(silent.into_error(false).message(), "exit code 3: half | done");
        let long = message(1, &"\u{fc}".repeat(10_000));
        assert!(long.len() <= LINES_BYTES_MAX + 20 && long.ends_with('\u{fc}'));
    }

    #[test]
    fn bytes_that_are_no_text_survive() {
        let report = Report { stdout: b"\x89PNG\xff".into(), stderr: "gr\u{fc}n".into(), exit: 0 };
        let json = muster_sdk::serde_json::to_string(&report).unwrap();
        assert_eq!(json, "{\"stdout_base64\":\"iVBOR/8=\",\"stderr\":\"gr\u{fc}n\",\"exit\":0}");
        let report = Report { stdout: b"a".into(), stderr: b"\xff".into(), exit: 1 };
        let json = muster_sdk::serde_json::to_string(&report).unwrap();
        assert_eq!(json, "{\"stdout\":\"a\",\"stderr_base64\":\"/w==\",\"exit\":1}");
        assert_eq!(report.into_error(false).message(), "exit code 1: \u{fffd}");
    }

    #[test]
    fn signals_are_codes_above_128() {
        assert_eq!(exit_code(ExitStatus::from_raw(9)), 137);
        assert_eq!(exit_code(ExitStatus::from_raw(3 << 8)), 3);
    }
}
