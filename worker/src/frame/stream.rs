//! Cutting a stream of bytes into frames.

use super::codec::FrameError;
use bytes::{Buf, Bytes, BytesMut};

/// The longest frame: the largest message that a coordinator takes, and what surrounds it.
pub const FRAME_BYTES_MAX: usize = muster_proto::MESSAGE_MAX_BYTES + (1 << 20);

/// Room that is made for one read.
const READ_BYTES: usize = 256 << 10;

/// Cuts the first whole frame off `bytes` and returns it without its length; `None` while more has to come.
pub fn split_frame(bytes: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
    let Some(prefix) = bytes.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*prefix) as usize;
    if length > FRAME_BYTES_MAX {
        let max = FRAME_BYTES_MAX as u64;
        return Err(FrameError::TooLarge { field: "length", value: length as u64, max });
    }
    if bytes.len() < 4 + length {
        bytes.reserve(4 + length - bytes.len());
        return Ok(None);
    }
    bytes.advance(4);
    Ok(Some(bytes.split_to(length).freeze()))
}

/// Bytes that have arrived and were not cut into frames yet.
#[derive(Debug, Default)]
pub struct FrameBuffer {
    bytes: BytesMut,
}

impl FrameBuffer {
    /// The next whole frame.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        split_frame(&mut self.bytes)
    }

    /// Room for the next read to append to.
    pub fn room(&mut self) -> &mut BytesMut {
        if self.bytes.capacity() - self.bytes.len() < READ_BYTES / 4 {
            self.bytes.reserve(READ_BYTES);
        }
        &mut self.bytes
    }

    /// Adds bytes that were read elsewhere.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether a frame has begun and not ended.
    #[must_use]
    pub fn is_inside_frame(&self) -> bool {
        !self.bytes.is_empty()
    }
}
