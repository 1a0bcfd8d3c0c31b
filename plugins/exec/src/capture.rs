//! Keeps what a command writes.

use std::io::{ErrorKind, Read};

/// Bytes of one read.
const PIECE_BYTES: usize = 64 << 10;
/// Reads in a row: as much as fits into the largest pipe, so that a fast writer does not keep its reader for ever.
const PIECES_MAX: usize = 16;

/// A character of UTF-8 has no more bytes.
const CHARACTER_BYTES_MAX: usize = 4;

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

    /// What was kept. An end of text begins with a whole character.
    pub fn into_bytes(mut self) -> Vec<u8> {
        if self.keep == Keep::Tail && self.overflowed {
            self.cut_to(self.limit);
            let cut = self.bytes.iter().take(CHARACTER_BYTES_MAX - 1).take_while(|&&byte| is_inside(byte));
            let cut = cut.count();
            self.bytes.drain(..cut);
        }
        self.bytes
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

/// Whether a byte of UTF-8 is another one than the first of its character.
const fn is_inside(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(bytes: &[u8], limit: usize, keep: Keep) -> (Vec<u8>, bool) {
        let mut capture = Capture::new(Some(bytes), limit, keep);
        capture.read().unwrap();
        let overflowed = capture.overflowed();
        (capture.into_bytes(), overflowed)
    }

    #[test]
    fn head_or_tail_is_kept() {
        assert_eq!(captured(b"abcdef", 6, Keep::Head), ("abcdef".into(), false));
        assert_eq!(captured(b"abcdef", 4, Keep::Head), ("abcd".into(), true));
        assert_eq!(captured(b"abcdef", 4, Keep::Tail), ("cdef".into(), true));
        let long: Vec<u8> = (0..500_000_u32).map(|at| b'a' + (at % 26) as u8).collect();
        let (tail, _) = captured(&long, 1_000, Keep::Tail);
        assert_eq!(tail, &long[long.len() - 1_000..]);
    }

    #[test]
    fn bytes_stay_as_they_are_and_a_tail_of_text_is_text() {
        assert_eq!(captured(b"a\xffb", 10, Keep::Head).0, b"a\xffb");
        assert_eq!(captured(b"\xbf\xbf", 2, Keep::Tail).0, b"\xbf\xbf", "nothing was cut");
        for limit in 1..9 {
            let (tail, _) = captured("\u{1f600}\u{fc}\u{1f600}".as_bytes(), limit, Keep::Tail);
            assert!(tail.len() <= limit && std::str::from_utf8(&tail).is_ok(), "{limit}: {tail:?}");
        }
        assert_eq!(captured("\u{fc}\u{1f600}".as_bytes(), 5, Keep::Tail).0, "\u{1f600}".as_bytes());
    }
}
