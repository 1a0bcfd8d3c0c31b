//! How much of what one task says is kept: its first half as it comes, and of the rest the last lines. What a task says
//! first and last explains it; the million equal lines between do not.

use super::line::{Line, TaskRef};
use std::collections::VecDeque;

/// What one task has said so far.
#[derive(Debug)]
pub(super) struct Quota {
    pub task: Option<TaskRef>,
    executor: u64,
    bytes: u64,
    first_left: u64,
    tail: VecDeque<Line>,
    tail_bytes: u64,
    left_out: Sum,
    told: Sum,
}

/// Lines and their bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    lines: u64,
    bytes: u64,
}

impl Quota {
    /// Nothing said yet; `bytes` may be kept.
    pub fn new(executor: u64, task: Option<TaskRef>, bytes: u64) -> Self {
        Self {
            task,
            executor,
            bytes,
            first_left: bytes / 2,
            tail: VecDeque::new(),
            tail_bytes: 0,
            left_out: Sum::default(),
            told: Sum::default(),
        }
    }

    /// Takes a line; gives it back when it is to be written now.
    pub fn take(&mut self, line: Line) -> Option<Line> {
        let bytes = line.text.len() as u64 + 1;
        if bytes <= self.first_left {
            self.first_left -= bytes;
            return Some(line);
        }
        // What comes later must not overtake it.
        self.first_left = 0;
        self.tail_bytes += bytes;
        self.tail.push_back(line);
        while self.tail_bytes > self.bytes / 2
            && let Some(oldest) = self.tail.pop_front()
        {
            let bytes = oldest.text.len() as u64 + 1;
            self.tail_bytes -= bytes;
            self.left_out.lines += 1;
            self.left_out.bytes += bytes;
        }
        None
    }

    /// Bytes of what it may say that are used up.
    pub const fn used(&self) -> u64 {
        self.bytes / 2 - self.first_left + self.tail_bytes
    }

    /// Bytes that wait here.
    pub const fn tail_bytes(&self) -> u64 {
        self.tail_bytes
    }

    /// What waits here, behind a word about what was left out. It stays.
    pub fn peek(&self) -> impl Iterator<Item = Line> + '_ {
        self.word().into_iter().chain(self.tail.iter().cloned())
    }

    /// The same, taken out.
    pub fn drain(&mut self) -> impl Iterator<Item = Line> + use<> {
        let word = self.word();
        self.told = self.left_out;
        self.tail_bytes = 0;
        word.into_iter().chain(std::mem::take(&mut self.tail))
    }

    fn word(&self) -> Option<Line> {
        let lines = self.left_out.lines - self.told.lines;
        if lines == 0 {
            return None;
        }
        let bytes = self.left_out.bytes - self.told.bytes;
        let whose = if self.task.is_some() { "a task" } else { "an executor" };
        let text = format!(
            "muster: {lines} lines ({bytes} bytes) are left out here: of what {whose} says at most {} bytes are kept",
            self.bytes
        );
        let time_ns = self.tail.front().map_or(0, |line| line.time_ns);
        Some(Line::note(time_ns, self.executor, self.task, text))
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Source;
    use super::*;

    fn line(number: u64) -> Line {
        let text = format!("{number:09}").into();
        Line { time_ns: number, executor: 1, task: None, source: Source::Output, text }
    }

    #[test]
    fn the_first_half_and_the_last_lines_are_kept() {
        // Ten lines of ten bytes each, half of them at each end.
        let mut quota = Quota::new(1, None, 100);
        let first: Vec<_> = (0..1_000).filter_map(|number| quota.take(line(number))).collect();
        assert_eq!(first.iter().map(|line| line.time_ns).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(quota.tail_bytes(), 50);
        let rest: Vec<_> = quota.drain().collect();
        assert!(String::from_utf8_lossy(&rest[0].text).contains("990 lines (9900 bytes)"), "{rest:?}");
        assert_eq!(rest[1..].iter().map(|line| line.time_ns).collect::<Vec<_>>(), [995, 996, 997, 998, 999]);
        assert_eq!(quota.drain().count(), 0, "what was told is not told again");
    }

    #[test]
    fn nothing_is_said_about_nothing() {
        let mut quota = Quota::new(1, None, 100);
        assert!(quota.take(line(1)).is_some());
        assert_eq!(quota.peek().count(), 0);
    }

    #[test]
    fn a_line_that_does_not_fit_does_not_let_others_overtake_it() {
        let mut quota = Quota::new(1, None, 100);
        let long = Line { text: vec![b'x'; 49].into(), ..line(0) };
        assert!(quota.take(line(0)).is_some());
        assert!(quota.take(long.clone()).is_none());
        assert!(quota.take(line(2)).is_none());
        assert_eq!(quota.drain().last().unwrap().time_ns, 2);
    }
}
