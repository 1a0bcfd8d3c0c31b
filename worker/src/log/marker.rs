//! Marks in what an executor of one thread writes: everything before belongs to the task that the mark names. The thread
//! writes one at the end of a claim when something is in the pipe that nobody has read yet; what was read by then was read
//! while the task ran.

use super::line::TaskRef;

/// How a mark begins. No text holds this by accident.
const MAGIC: [u8; 16] = *b"\0muster\x1d\x02\x9c\xf1\x06\xd3\x81\xe5\0";
/// Bytes of a mark.
pub const MARK_BYTES: usize = MAGIC.len() + 12;

/// The mark that ends what a task has written.
#[must_use]
pub fn mark(task: TaskRef) -> [u8; MARK_BYTES] {
    let mut bytes = [0; MARK_BYTES];
    bytes[..16].copy_from_slice(&MAGIC);
    bytes[16..24].copy_from_slice(&task.index.to_le_bytes());
    bytes[24..].copy_from_slice(&task.attempt.to_le_bytes());
    bytes
}

/// A piece of what an executor wrote.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// So many bytes, and behind them a mark of the task that wrote them.
    Marked(usize, TaskRef),
    /// So many bytes that no mark follows so far.
    Open(usize),
}

/// Looks for the first mark. The end of what was read may be the beginning of one: unless `ended`, it is left for later.
#[must_use]
pub fn first_piece(bytes: &[u8], ended: bool) -> Piece {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|&byte| byte == MAGIC[0]).map(|at| from + at) {
        let rest = &bytes[at..];
        if rest.len() >= MARK_BYTES && rest[..16] == MAGIC {
            return Piece::Marked(at, task(rest));
        }
        let head = rest.len().min(16);
        if rest.len() < MARK_BYTES && rest[..head] == MAGIC[..head] && !ended {
            return Piece::Open(at);
        }
        from = at + 1;
    }
    Piece::Open(bytes.len())
}

fn task(mark: &[u8]) -> TaskRef {
    let index = mark[16..24].try_into().map(u64::from_le_bytes).unwrap_or_default();
    let attempt = mark[24..28].try_into().map(u32::from_le_bytes).unwrap_or_default();
    TaskRef { index, attempt }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_wherever_they_are_cut() {
        let task = TaskRef { index: 1 << 39, attempt: 3 };
        let mut bytes = b"a\0b".to_vec();
        bytes.extend(mark(task));
        for cut in 4..bytes.len() {
            assert_eq!(first_piece(&bytes[..cut], false), Piece::Open(3), "{cut}");
            assert_eq!(first_piece(&bytes[..cut], true), Piece::Open(cut));
        }
        assert_eq!(first_piece(&bytes, false), Piece::Marked(3, task));
        assert_eq!(first_piece(b"", false), Piece::Open(0));
        assert_eq!(first_piece(b"\0", true), Piece::Open(1));
    }
}
