//! A task per line: the bytes before each `\n`; a `\r` stays. A last line without `\n` counts when it is not
//! empty. What one `read` brings is sent on at once, so that lines typed or piped in are run as they come.

use super::block::Block;
use super::{Blocks, InputError};
use muster_proto::INPUT_MAX_BYTES;
use std::io::Read;
use std::path::PathBuf;

const READ_BYTES: usize = 1 << 20;

/// Reads lines in blocks.
pub struct Lines<R> {
    path: PathBuf,
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    lines: u64,
    at_end: bool,
}

impl<R: Read> Lines<R> {
    /// Reads from `reader`, which is called `path` in messages.
    pub fn new(path: PathBuf, reader: R) -> Self {
        Self { path, reader, buffer: vec![0; READ_BYTES], start: 0, end: 0, lines: 0, at_end: false }
    }

    /// Takes as many whole lines out of the buffer as fit into one block.
    fn take_lines(&mut self) -> Block {
        let mut block = Block::default();
        while !block.is_full() {
            let rest = &self.buffer[self.start..self.end];
            let Some(length) = find_newline(rest) else { break };
            block.push(&rest[..length]);
            self.start += length + 1;
        }
        self.lines += block.len() as u64;
        block
    }

    /// Reads more behind what is left of the last line.
    fn fill(&mut self) -> Result<(), InputError> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.end > INPUT_MAX_BYTES {
            let (path, line) = (self.path.clone(), self.lines + 1);
            return Err(InputError::LineTooLong { path, line, max: INPUT_MAX_BYTES });
        }
        if self.buffer.len() - self.end < READ_BYTES / 2 {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.at_end = true,
                Ok(bytes) => self.end += bytes,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(InputError::Read { path: self.path.clone(), error }),
            }
            return Ok(());
        }
    }
}

impl<R: Read + Send> Blocks for Lines<R> {
    fn next_block(&mut self) -> Result<Option<Block>, InputError> {
        loop {
            let block = self.take_lines();
            if !block.is_empty() {
                return Ok(Some(block));
            }
            if self.at_end {
                let rest = std::mem::replace(&mut self.start, self.end);
                if rest == self.end {
                    return Ok(None);
                }
                let mut block = Block::default();
                block.push(&self.buffer[rest..self.end]);
                return Ok(Some(block));
            }
            self.fill()?;
        }
    }
}

/// The place of the first newline. The C library's search is several times faster than a loop over bytes.
pub fn find_newline(bytes: &[u8]) -> Option<usize> {
    // SAFETY: the pointer and the length describe the slice.
    let found = unsafe { libc::memchr(bytes.as_ptr().cast(), i32::from(b'\n'), bytes.len()) };
    (!found.is_null()).then(|| found as usize - bytes.as_ptr() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out a few bytes at a time.
    struct Dribble<'a>(&'a [u8], usize);

    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.1.min(buffer.len()).min(self.0.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn lines(text: &[u8], step: usize) -> Vec<Vec<u8>> {
        let mut reader = Lines::new(PathBuf::from("test"), Dribble(text, step));
        let mut found = Vec::new();
        while let Some(block) = reader.next_block().unwrap() {
            found.extend(block.into_items().iter().map(<[u8]>::to_vec));
        }
        found
    }

    #[test]
    fn lines_are_what_is_between_newlines() {
        for step in [1, 2, 3, 1000] {
            assert_eq!(lines(b"", step), Vec::<Vec<u8>>::new());
            assert_eq!(lines(b"\n", step), [b""]);
            assert_eq!(lines(b"a\r\nbb\n\nlast", step), [&b"a\r"[..], b"bb", b"", b"last"]);
        }
    }

    #[test]
    fn long_input_is_split_the_same_however_it_is_read() {
        let text: Vec<u8> =
            (0..300_000u64).flat_map(|i| format!("{}\n", i * i % 7919).into_bytes()).collect();
        let expected: Vec<Vec<u8>> = text.split(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
        assert_eq!(lines(&text, usize::MAX), expected[..expected.len() - 1]);
        assert_eq!(lines(&text, 4093), expected[..expected.len() - 1]);
    }

    #[test]
    fn a_line_over_the_limit_is_named() {
        let mut reader = Lines::new(PathBuf::from("big"), b"a\nb\n".chain(std::io::repeat(b'x')));
        assert!(reader.next_block().unwrap().is_some());
        let error = reader.next_block().unwrap_err().to_string();
        assert!(error.starts_with("line 3 of big has more than"), "{error}");
    }
}
