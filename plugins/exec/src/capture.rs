//! Keeps what a command writes.

use std::io::{ErrorKind, Read};

/// Bytes of one read.
const PIECE_BYTES: usize = 64 << 10;
/// Reads in a row: as much as fits into the largest pipe, so that a fast writer does not keep its reader for ever.
const PIECES_MAX: usize = 16;

/// What comes out of a pipe that does not block.
#[derive(Debug)]
pub struct Capture<R> {
    pipe: Option<R>,
    bytes: Vec<u8>,
    /// Bytes to keep.
    limit: usize,
    /// True when more came than is kept.
    overflowed: bool,
    keep: Keep,
}

/// Which part of too much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The beginning.
    Head,
    /// The end.
    Tail,
}

impl<R: Read> Capture<R> {
    /// Captures from `pipe`.
    pub fn new(pipe: Option<R>, limit: usize, keep: Keep) -> Self {
        Self { pipe, bytes: Vec::new(), limit, overflowed: false, keep }
    }

    /// The pipe, until its end was read.
    pub fn pipe(&self) -> Option<&R> {
        self.pipe.as_ref()
    }

    /// True when more came than is kept.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Reads what is there, as far as a pipe can hold it.
    pub fn read(&mut self) -> std::io::Result<()> {
        let mut piece = [0; PIECE_BYTES];
        for _ in 0..PIECES_MAX {
            let Some(pipe) = &mut self.pipe else { break };
            match pipe.read(&mut piece) {
                Ok(0) => self.pipe = None,
                Ok(len) => self.take(&piece[..len]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            if self.overflowed && self.keep == Keep::Head {
                break;
            }
        }
        Ok(())
    }

    /// What was kept, as text.
    pub fn into_text(mut self) -> String {
        if self.keep == Keep::Tail {
            self.cut_to(self.limit);
        }
        String::from_utf8(self.bytes)
            .unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned())
    }

    fn take(&mut self, piece: &[u8]) {
        self.overflowed |= self.bytes.len() + piece.len() > self.limit;
        match self.keep {
            Keep::Head => {
                let room = self.limit - self.bytes.len();
                self.bytes.extend_from_slice(&piece[..piece.len().min(room)]);
            }
            Keep::Tail => {
                self.bytes.extend_from_slice(piece);
                // Cutting moves what is kept, so it waits until there is as much to drop.
                if self.bytes.len() > 2 * self.limit {
                    self.cut_to(self.limit);
                }
            }
        }
    }

    fn cut_to(&mut self, limit: usize) {
        let excess = self.bytes.len().saturating_sub(limit);
        self.bytes.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(bytes: &[u8], limit: usize, keep: Keep) -> (String, bool) {
        let mut capture = Capture::new(Some(bytes), limit, keep);
        capture.read().unwrap();
        let overflowed = capture.overflowed();
        (capture.into_text(), overflowed)
    }

    #[test]
    fn head_or_tail_is_kept() {
        assert_eq!(captured(b"abcdef", 6, Keep::Head), ("abcdef".into(), false));
        assert_eq!(captured(b"abcdef", 4, Keep::Head), ("abcd".into(), true));
        assert_eq!(captured(b"abcdef", 4, Keep::Tail), ("cdef".into(), true));
        let long: Vec<u8> = (0..500_000_u32).map(|at| b'a' + (at % 26) as u8).collect();
        let (tail, _) = captured(&long, 1_000, Keep::Tail);
        assert_eq!(tail.as_bytes(), &long[long.len() - 1_000..]);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        assert_eq!(captured(b"a\xffb", 10, Keep::Head).0, "a\u{fffd}b");
    }
}
