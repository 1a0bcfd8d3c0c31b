//! One executor as the log hears it: pieces of text become lines, and lines find their task.

use super::line::{Line, Source, TaskRef};
use super::quota::Quota;
use super::{EXECUTOR_BYTES, LAST_LINE_CHARS, LAST_LINES, LINE_BYTES_MAX};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A slot of an executor and the task that it runs; lines without one are the executor's own.
pub(super) type Of = Option<(u32, TaskRef)>;
/// The place of the executor's own lines among those of its slots.
const NO_SLOT: u32 = u32::MAX;

/// Tasks of a slot whose quota is remembered. Log calls come another way than what is written: those of later tasks may
/// overtake the text of one that wrote much.
const QUOTAS_MAX: usize = 8;

/// An executor.
#[derive(Debug)]
pub(super) struct Speaker {
    pub id: u64,
    pub job: u64,
    pub plugin: Arc<str>,
    /// The beginning of a line, and whose it is.
    partial: Vec<u8>,
    partial_of: Of,
    last: VecDeque<Bytes>,
    /// Of each slot those of its last tasks, the newest last.
    quotas: BTreeMap<u32, Vec<Quota>>,
}

impl Speaker {
    pub fn new(id: u64, job: u64, plugin: Arc<str>) -> Self {
        Self {
            id,
            job,
            plugin,
            partial: Vec::new(),
            partial_of: None,
            last: VecDeque::new(),
            quotas: BTreeMap::new(),
        }
    }

    /// Cuts text into lines and hands each whole one to `each`. `ends`: a line ends with the text.
    pub fn hear(&mut self, of: Of, text: &[u8], ends: bool, mut each: impl FnMut(&mut Self, Of, Bytes)) {
        if of != self.partial_of {
            self.end_line(&mut each);
            self.partial_of = of;
        }
        let mut rest = text;
        while let Some(at) = rest.iter().position(|&byte| byte == b'\n') {
            self.add(&rest[..at], &mut each);
            let line = std::mem::take(&mut self.partial);
            each(self, of, trimmed(line));
            rest = &rest[at + 1..];
        }
        self.add(rest, &mut each);
        if ends {
            self.end_line(&mut each);
        }
    }

    /// Ends a line that has begun.
    pub fn end_line(&mut self, each: &mut impl FnMut(&mut Self, Of, Bytes)) {
        if !self.partial.is_empty() {
            let line = std::mem::take(&mut self.partial);
            each(self, self.partial_of, trimmed(line));
        }
    }

    /// Adds to the line that has begun; one that is too long is handed on in pieces.
    fn add(&mut self, mut text: &[u8], each: &mut impl FnMut(&mut Self, Of, Bytes)) {
        while self.partial.len() + text.len() > LINE_BYTES_MAX {
            let (now, rest) = text.split_at(LINE_BYTES_MAX - self.partial.len());
            self.partial.extend_from_slice(now);
            let line = std::mem::take(&mut self.partial);
            each(self, self.partial_of, line.into());
            text = rest;
        }
        self.partial.extend_from_slice(text);
    }

    /// Remembers a line among the last ones.
    pub fn remember(&mut self, text: &Bytes) {
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(text.clone());
    }

    /// The last lines, oldest first.
    pub fn last_lines(&self) -> Vec<String> {
        let shown = |line: &Bytes| String::from_utf8_lossy(line).chars().take(LAST_LINE_CHARS).collect();
        self.last.iter().map(shown).collect()
    }

    /// Takes a line into what its task may keep; hands to `write` what is to be written now: the line, and before it
    /// what still waited of a task of the slot that is remembered no longer.
    pub fn keep(
        &mut self,
        of: Of,
        time_ns: u64,
        source: Source,
        text: Bytes,
        task_bytes: u64,
        write: &mut dyn FnMut(Line),
    ) {
        let task = of.map(|(_, task)| task);
        let slot = of.map_or(NO_SLOT, |(slot, _)| slot);
        let bytes = if task.is_some() { task_bytes } else { EXECUTOR_BYTES };
        let quotas = self.quotas.entry(slot).or_default();
        let at = quotas.iter().position(|quota| quota.task == task).unwrap_or_else(|| {
            if quotas.len() == QUOTAS_MAX {
                // Of one that said little there is little that could come twice.
                let least = (0..quotas.len()).min_by_key(|&at| quotas[at].used()).unwrap_or(0);
                quotas.remove(least).drain().for_each(&mut *write);
            }
            quotas.push(Quota::new(self.id, task, bytes));
            quotas.len() - 1
        });
        let line = Line { time_ns, executor: self.id, task, source, text };
        if let Some(line) = quotas[at].take(line) {
            write(line);
        }
    }

    /// Bytes that wait.
    pub fn waiting_bytes(&self) -> u64 {
        self.quotas.values().flatten().map(Quota::tail_bytes).sum()
    }

    /// What waits to be written.
    pub fn waiting(&self) -> impl Iterator<Item = Line> + '_ {
        self.quotas.values().flatten().flat_map(Quota::peek)
    }

    /// The same, taken out.
    pub fn drain(&mut self) -> Vec<Line> {
        self.quotas.values_mut().flatten().flat_map(Quota::drain).collect()
    }

    /// Nothing of what was said before belongs to the job that it has now.
    pub fn begin_job(&mut self, job: u64) {
        self.job = job;
        self.quotas.clear();
    }
}

fn trimmed(mut line: Vec<u8>) -> Bytes {
    while line.last().is_some_and(u8::is_ascii_whitespace) {
        line.pop();
    }
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(pieces: &[(Of, &[u8], bool)]) -> Vec<(Of, String)> {
        let mut speaker = Speaker::new(1, 1, "x".into());
        let mut lines = Vec::new();
        for &(of, text, ends) in pieces {
            speaker.hear(of, text, ends, |_, of, line| {
                lines.push((of, String::from_utf8_lossy(&line).into_owned()));
            });
        }
        lines
    }

    const FIRST: Of = Some((0, TaskRef { index: 7, attempt: 1 }));
    const SECOND: Of = Some((0, TaskRef { index: 8, attempt: 1 }));

    #[test]
    fn lines_are_cut_where_they_end() {
        let lines = heard(&[(None, b"one\ntwo\r\n\nthr", false), (None, b"ee", true)]);
        assert_eq!(lines, ["one", "two", "", "three"].map(|line| (None, line.to_owned())));
    }

    #[test]
    fn a_line_that_its_task_did_not_end_is_its_own() {
        let lines = heard(&[(FIRST, b"a", false), (SECOND, b"b\nc", true), (SECOND, b"d", true)]);
        let expected = [(FIRST, "a"), (SECOND, "b"), (SECOND, "c"), (SECOND, "d")];
        assert_eq!(lines, expected.map(|(of, line)| (of, line.to_owned())));
    }

    #[test]
    fn endless_lines_come_in_pieces() {
        let text = vec![b'x'; 3 * LINE_BYTES_MAX + 1];
        let lengths: Vec<_> = heard(&[(None, &text, true)]).iter().map(|(_, line)| line.len()).collect();
        assert_eq!(lengths, [LINE_BYTES_MAX, LINE_BYTES_MAX, LINE_BYTES_MAX, 1]);
    }

    #[test]
    fn few_last_lines_are_remembered_and_not_all_of_them() {
        let mut speaker = Speaker::new(1, 1, "x".into());
        for number in 0..1_000 {
            speaker.remember(&format!("{number} {}", "x".repeat(5_000)).into());
        }
        let last = speaker.last_lines();
        assert_eq!((last.len(), last[0].len()), (LAST_LINES, LAST_LINE_CHARS));
        assert!(last[LAST_LINES - 1].starts_with("999 "));
    }

    #[test]
    fn what_waits_of_a_task_is_written_when_its_slot_has_run_many_others() {
        let mut speaker = Speaker::new(1, 1, "x".into());
        let mut written = Vec::new();
        let mut keep = |of, text: &'static str| {
            speaker.keep(of, 1, Source::Output, text.into(), 20, &mut |line| written.push(line.text));
        };
        keep(FIRST, "long enough");
        keep(FIRST, "the last");
        for index in 8..=7 + QUOTAS_MAX as u64 {
            keep(Some((0, TaskRef { index, attempt: 1 })), "as much as it may");
            keep(Some((0, TaskRef { index, attempt: 1 })), "123456789");
        }
        // The first is longer than half of what may be kept, so both wait; then the first has no room beside the second.
        // All others have said more.
        assert!(
            String::from_utf8_lossy(&written[0]).contains("1 lines (12 bytes) are left out"),
            "{written:?}"
        );
        assert_eq!(written[1..], ["the last"], "what the others said waits");
    }

    #[test]
    fn a_task_that_others_interrupt_has_no_second_quota() {
        let mut speaker = Speaker::new(1, 1, "x".into());
        let (mut first, mut count) = (0, 0);
        for round in 0..100 {
            let mut write = |line: Line| {
                first += usize::from(line.task == FIRST.map(|(_, task)| task)) * (line.text.len() + 1);
                count += 1;
            };
            speaker.keep(FIRST, 1, Source::Output, "123456789".into(), 100, &mut write);
            let other = Some((0, TaskRef { index: 100 + round, attempt: 1 }));
            speaker.keep(other, 1, Source::Call(2), "a".into(), 100, &mut write);
        }
        assert_eq!((first, count), (50, 105), "the other half waits, and each other task is heard");
    }
}
