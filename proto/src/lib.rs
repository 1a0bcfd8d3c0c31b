//! The messages between muster's processes, how the links that carry them are opened and joined, and how the processes log.
//!
//! The generated code is committed; `proto/tests/generated.rs` compares it with the `.proto` file. This crate
//! checks what comes in and turns it into core types; it never decides what to do about it.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod convert;
pub mod link;
pub mod logging;
pub mod packed;

pub use muster_core::hex;

/// The generated messages, clients and servers.
#[allow(missing_docs, unused_qualifications, clippy::all)]
pub mod v1 {
    include!("generated/muster.v1.rs");
}

/// The protocol that this build speaks. Another number in a first message is refused in words.
pub const PROTOCOL_VERSION: u32 = 1;

/// Optional abilities of this build, sent in the first message of every stream.
pub const FEATURES: &[&str] = &["recall", "reduce"];

/// The largest message that either side takes.
pub const MESSAGE_MAX_BYTES: usize = 64 << 20;

/// The HTTP/2 frame of both sides, and a good size for chunks of blobs.
pub const FRAME_BYTES: usize = 256 << 10;

/// The largest input of one task.
pub const INPUT_MAX_BYTES: usize = 32 << 20;

/// The largest partial result of a reduction: two of them must fit into a message.
pub const PARTIAL_MAX_BYTES: usize = 30 << 20;

/// The descriptor of the services, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/muster.v1.bin");
