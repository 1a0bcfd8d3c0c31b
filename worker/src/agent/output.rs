//! What executors write to standard output and standard error: passed on line by line, and the last lines kept
//! for the message about a crash.

use crate::os::socket;
use bytes::{Buf, BytesMut};
use muster_proto::convert::LAST_LINES_MAX;
use std::collections::VecDeque;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A longer line is passed on in pieces.
const LINE_BYTES_MAX: usize = 8 << 10;
/// How many of the last lines are kept, and how much of each.
const LAST_LINES: usize = LAST_LINES_MAX;
const LAST_LINE_CHARS: usize = 1_000;

/// The last lines that an executor wrote.
#[derive(Clone, Debug, Default)]
pub(super) struct LastLines(Arc<Mutex<VecDeque<String>>>);

impl LastLines {
    fn push(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LAST_LINES {
            lines.pop_front();
        }
        lines.push_back(line.chars().take(LAST_LINE_CHARS).collect());
    }

    /// The lines, oldest first.
    pub fn take(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }
}

/// Passes lines on to standard error until the pipe ends.
pub(super) async fn forward_output(pipe: AsyncFd<OwnedFd>, prefix: String, last: LastLines) {
    let mut bytes = BytesMut::new();
    loop {
        bytes.reserve(LINE_BYTES_MAX);
        let read = pipe.async_io(Interest::READABLE, |fd| socket::read_into(fd.as_fd(), &mut bytes)).await;
        let ended = !matches!(read, Ok(1..));
        take_lines(&mut bytes, ended, |line| {
            last.push(line);
            // When nobody reads standard error, there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "[{prefix}] {line}");
        });
        if ended {
            return;
        }
    }
}

fn take_lines(bytes: &mut BytesMut, ended: bool, mut take: impl FnMut(&str)) {
    loop {
        let newline = bytes.iter().position(|&byte| byte == b'\n');
        let (line, skip) = match newline {
            Some(at) if at <= LINE_BYTES_MAX => (at, 1),
            _ if bytes.len() >= LINE_BYTES_MAX => (LINE_BYTES_MAX, 0),
            _ if ended && !bytes.is_empty() => (bytes.len(), 0),
            Some(_) | None => return,
        };
        take(String::from_utf8_lossy(&bytes[..line]).trim_end());
        bytes.advance(line + skip);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_where_they_end() {
        let mut lines = Vec::new();
        let mut bytes = BytesMut::from("one\ntwo\r\n\nthr");
        take_lines(&mut bytes, false, |line| lines.push(line.to_owned()));
        assert_eq!(lines, ["one", "two", ""]);
        bytes.extend_from_slice(b"ee");
        take_lines(&mut bytes, true, |line| lines.push(line.to_owned()));
        assert_eq!(lines[3], "three");
        assert!(bytes.is_empty());
    }

    #[test]
    fn endless_lines_come_in_pieces_and_few_are_kept() {
        let last = LastLines::default();
        let mut bytes = BytesMut::from("x".repeat((LAST_LINES + 2) * LINE_BYTES_MAX + 1).as_str());
        take_lines(&mut bytes, true, |line| last.push(line));
        let kept = last.take();
        assert_eq!((kept.len(), kept[LAST_LINES - 1].as_str()), (LAST_LINES, "x"));
        assert_eq!(kept[0].len(), LAST_LINE_CHARS);
    }
}
