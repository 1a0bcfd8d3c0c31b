//! What a task gives back.

use muster_sdk::{Error, Output, Sink};

/// What a task gives back: a number, or what the manifest does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The task's number.
    Number(u64),
    /// Bytes that are no number.
    Corrupt,
}

/// The manifest says numbers of 8 bytes; these are fewer.
const CORRUPT: &[u8] = b"chaos";

impl Output for Answer {
    const KIND: &'static str = "u64";

    fn append(self, sink: &mut Sink<'_>) -> Result<(), Error> {
        match self {
            Self::Number(number) => number.append(sink),
            Self::Corrupt => sink.put(CORRUPT),
        }
    }
}
