//! A line, and its fixed place in an index.

use bytes::Bytes;

/// A task, and which try at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskRef {
    /// Its index in the job.
    pub index: u64,
    /// The attempt.
    pub attempt: u32,
}

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The plugin's log call: 1 error, 2 warn, 3 info, 4 debug, 5 trace.
    Call(u8),
    /// Standard output and standard error.
    Output,
}

/// One line, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it came, in nanoseconds since 1970.
    pub time_ns: u64,
    /// The executor that said it.
    pub executor: u64,
    /// The task that said it, when that is known.
    pub task: Option<TaskRef>,
    /// Where it came from.
    pub source: Source,
    /// What it says.
    pub text: Bytes,
}

impl Line {
    /// A word of muster's own between the lines of a task.
    pub(super) fn note(time_ns: u64, executor: u64, task: Option<TaskRef>, text: String) -> Self {
        Self { time_ns, executor, task, source: Source::Call(3), text: text.into() }
    }
}

/// What an index knows of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub time_ns: u64,
    pub executor: u64,
    pub task: Option<TaskRef>,
    pub source: Source,
    /// Where the text is in its segment.
    pub offset: u32,
    pub len: u32,
}

/// Bytes of an entry.
pub(super) const ENTRY_BYTES: usize = 40;
/// The index of lines that belong to no task.
const NO_TASK: u64 = u64::MAX;
const OUTPUT: u8 = 0;

impl Entry {
    pub fn encode(self) -> [u8; ENTRY_BYTES] {
        let TaskRef { index, attempt } = self.task.unwrap_or(TaskRef { index: NO_TASK, attempt: 0 });
        let level = match self.source {
            Source::Call(level) => level.max(1),
            Source::Output => OUTPUT,
        };
        let mut bytes = [0; ENTRY_BYTES];
        bytes[0..8].copy_from_slice(&index.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.time_ns.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.executor.to_le_bytes());
        bytes[24..28].copy_from_slice(&attempt.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.offset.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.len.to_le_bytes());
        bytes[36] = level;
        bytes
    }

    pub fn decode(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
        let short = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap_or_default());
        let index = long(0);
        Self {
            time_ns: long(8),
            executor: long(16),
            task: (index != NO_TASK).then(|| TaskRef { index, attempt: short(24) }),
            source: if bytes[36] == OUTPUT { Source::Output } else { Source::Call(bytes[36]) },
            offset: short(28),
            len: short(32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_were() {
        for (task, source) in [
            (None, Source::Output),
            (Some(TaskRef { index: 0, attempt: 1 }), Source::Call(1)),
            (Some(TaskRef { index: 1 << 39, attempt: u32::MAX }), Source::Call(5)),
        ] {
            let entry = Entry { time_ns: 7 << 40, executor: 1 << 33, task, source, offset: 9, len: u32::MAX };
            assert_eq!(Entry::decode(&entry.encode()), entry);
        }
    }
}
