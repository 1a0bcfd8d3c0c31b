//! How far a running task says it is: one word, so that nobody reads the half of it.
//!
//! It names its task by the low 48 bits of the index. A range call goes from task to task without the host, so that
//! nobody would take back what the task before said.

/// The word of a slot whose task has said nothing.
pub const NOTHING_DONE: u64 = 0;

const INDEX_BITS: u32 = 48;
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;
/// A task in parts, so that halves and quarters are exact.
const PARTS: u64 = 1 << 15;

/// What a task says: `done` of `total`; with total 0 it does not know.
pub(crate) fn progress_word(index: u64, done: u64, total: u64) -> u64 {
    if total == 0 {
        return NOTHING_DONE;
    }
    let parts = done.min(total) as f64 / total as f64 * PARTS as f64;
    (parts as u64) << INDEX_BITS | index & INDEX_MASK
}

/// The share of a task that is done, 0 to 1 whatever the word holds; 0 when the word is that of another task.
#[must_use]
pub fn done_share(word: u64, index: u64) -> f64 {
    if word & INDEX_MASK != index & INDEX_MASK {
        return 0.0;
    }
    (word >> INDEX_BITS).min(PARTS) as f64 / PARTS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_survive_and_are_never_more_than_all() {
        for (done, total, share) in [
            (0, 7, 0.0),
            (1, 2, 0.5),
            (3, 4, 0.75),
            (7, 7, 1.0),
            (9, 7, 1.0),
            (5, 0, 0.0),
            (u64::MAX, u64::MAX, 1.0),
        ] {
            for index in [0, 1, (1 << 40) - 1] {
                let word = progress_word(index, done, total);
                assert_eq!(done_share(word, index), share, "{done} of {total}");
                assert_eq!(done_share(word, index + 1), 0.0, "another task");
            }
        }
        assert_eq!(done_share(NOTHING_DONE, 0), 0.0);
        assert_eq!(done_share(u64::MAX << INDEX_BITS, 0), 1.0, "what no task says");
    }
}
