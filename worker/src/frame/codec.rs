//! Fields of frames: fixed-width little-endian numbers, and texts and bytes behind their length.

use super::TEXT_BYTES_MAX;
use bytes::{Buf, Bytes};

/// Why a frame cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The frame ends inside a field.
    #[error("the frame ends inside the field {field}")]
    Short {
        /// The field.
        field: &'static str,
    },
    /// The frame goes on behind its last field.
    #[error("{left} bytes follow the last field of the frame")]
    Long {
        /// How many.
        left: usize,
    },
    /// No such kind of frame.
    #[error("frame kind {kind} does not exist")]
    UnknownKind {
        /// The kind.
        kind: u8,
    },
    /// A number is outside of what its field may hold.
    #[error("the field {field} is {value}, at most {max} is possible")]
    TooLarge {
        /// The field.
        field: &'static str,
        /// What it holds.
        value: u64,
        /// What it may hold.
        max: u64,
    },
    /// Two fields contradict each other.
    #[error("the field {field} does not fit the rest of the frame")]
    Inconsistent {
        /// The field.
        field: &'static str,
    },
}

/// A frame being written.
#[derive(Debug)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A frame with room for its length.
    pub fn begin() -> Self {
        Self { bytes: vec![0; 4] }
    }

    /// Goes on in a buffer that was used before.
    pub fn begin_in(mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        bytes.extend([0; 4]);
        Self { bytes }
    }

    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub fn u16(&mut self, value: u16) {
        self.bytes.extend(value.to_le_bytes());
    }

    pub fn u32(&mut self, value: u32) {
        self.bytes.extend(value.to_le_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.bytes.extend(value.to_le_bytes());
    }

    pub fn bytes(&mut self, value: &[u8]) {
        self.u32(value.len() as u32);
        self.bytes.extend(value);
    }

    pub fn digest(&mut self, value: &[u8; 32]) {
        self.bytes.extend(value);
    }

    /// A text, cut at a character's border when it is too long.
    pub fn text(&mut self, value: &str) {
        let mut end = value.len().min(TEXT_BYTES_MAX);
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        self.bytes(&value.as_bytes()[..end]);
    }

    pub fn words(&mut self, values: &[u32]) {
        self.bytes.reserve(size_of_val(values));
        self.bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }

    /// The frame with its length filled in; `following` more bytes will be sent behind it.
    pub fn finish(mut self, following: usize) -> Vec<u8> {
        let length = (self.bytes.len() - 4 + following) as u32;
        self.bytes[..4].copy_from_slice(&length.to_le_bytes());
        self.bytes
    }
}

/// A frame being read.
#[derive(Debug)]
pub(super) struct Reader {
    rest: Bytes,
}

impl Reader {
    pub fn new(frame: Bytes) -> Self {
        Self { rest: frame }
    }

    pub fn u8(&mut self, field: &'static str) -> Result<u8, FrameError> {
        self.rest.try_get_u8().map_err(|_| FrameError::Short { field })
    }

    pub fn u16(&mut self, field: &'static str) -> Result<u16, FrameError> {
        self.rest.try_get_u16_le().map_err(|_| FrameError::Short { field })
    }

    pub fn u32(&mut self, field: &'static str) -> Result<u32, FrameError> {
        self.rest.try_get_u32_le().map_err(|_| FrameError::Short { field })
    }

    pub fn u64(&mut self, field: &'static str) -> Result<u64, FrameError> {
        self.rest.try_get_u64_le().map_err(|_| FrameError::Short { field })
    }

    /// A number of items of at least `each` bytes, which must all still follow.
    pub fn count(&mut self, field: &'static str, each: usize) -> Result<usize, FrameError> {
        let count = self.u32(field)?;
        let max = (self.rest.len() / each.max(1)) as u64;
        if u64::from(count) > max {
            return Err(FrameError::TooLarge { field, value: u64::from(count), max });
        }
        Ok(count as usize)
    }

    /// The next `len` bytes, without a copy.
    pub fn take(&mut self, field: &'static str, len: usize) -> Result<Bytes, FrameError> {
        if len > self.rest.len() {
            return Err(FrameError::Short { field });
        }
        Ok(self.rest.split_to(len))
    }

    pub fn bytes(&mut self, field: &'static str) -> Result<Bytes, FrameError> {
        let len = self.u32(field)? as usize;
        self.take(field, len)
    }

    pub fn digest(&mut self, field: &'static str) -> Result<[u8; 32], FrameError> {
        let mut digest = [0; 32];
        digest.copy_from_slice(&self.take(field, 32)?);
        Ok(digest)
    }

    pub fn text(&mut self, field: &'static str) -> Result<String, FrameError> {
        let bytes = self.bytes(field)?;
        if bytes.len() > TEXT_BYTES_MAX {
            let max = TEXT_BYTES_MAX as u64;
            return Err(FrameError::TooLarge { field, value: bytes.len() as u64, max });
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub fn words(&mut self, field: &'static str, count: usize) -> Result<Vec<u32>, FrameError> {
        let len = count.checked_mul(size_of::<u32>()).ok_or(FrameError::Short { field })?;
        let bytes = self.take(field, len)?;
        let word = |chunk: &[u8]| u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        Ok(bytes.chunks_exact(size_of::<u32>()).map(word).collect())
    }

    pub fn end(self) -> Result<(), FrameError> {
        if self.rest.is_empty() { Ok(()) } else { Err(FrameError::Long { left: self.rest.len() }) }
    }
}
