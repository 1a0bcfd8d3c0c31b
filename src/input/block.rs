//! Inputs side by side, as they travel.

use muster_proto::packed::{Items, Packer};
use muster_proto::v1;

/// A block holds about this many bytes; an input that is larger has a block of its own.
const BLOCK_BYTES: usize = 1 << 20;
/// A block holds at most this many inputs.
const BLOCK_TASKS: usize = 1 << 16;

/// Inputs of consecutive tasks.
#[derive(Debug, Default)]
pub struct Block(Packer);

impl Block {
    /// Appends one input, which is at most [`muster_proto::INPUT_MAX_BYTES`] long.
    pub fn push(&mut self, input: &[u8]) {
        self.0.push(input);
    }

    /// Whether it is time to send it.
    pub fn is_full(&self) -> bool {
        self.0.bytes() >= BLOCK_BYTES || self.0.len() >= BLOCK_TASKS
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many inputs it holds.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The inputs.
    pub fn into_items(self) -> Items {
        self.0.finish()
    }

    /// The message.
    pub fn into_packed(self) -> v1::Packed {
        self.into_items().into_packed()
    }
}
