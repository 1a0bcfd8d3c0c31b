//! `muster.channel/1`: messages between tasks.

use crate::{Buf, Bytes, CtxObject, ErrorText, Str};
use core::ffi::{CStr, c_void};

/// Id of the extension.
pub const EXT_CHANNEL: &CStr = c"muster.channel/1";

/// The most bytes of a channel's name.
pub const CHANNEL_NAME_MAX: usize = 64;
/// The most messages that may be under way in a channel.
pub const CHANNEL_CAPACITY_MAX: u32 = 65_536;
/// Bounds a channel's capacity times the bytes of a message and eight more.
pub const CHANNEL_BYTES_MAX: usize = 4 << 20;
/// As a length: nothing comes any more.
pub const CHANNEL_END: usize = usize::MAX;

/// What carries the messages.
pub mod channel_kind {
    /// A list under a lock, within one executor.
    pub const QUEUE: u32 = 1;
    /// A ring in memory that executors share.
    pub const SHARED: u32 = 2;
    /// A pipe.
    pub const PIPE: u32 = 3;
    /// A Unix stream socket.
    pub const SOCKET: u32 = 4;
}

/// Who sends and who receives.
pub mod channel_side {
    /// The side that is missing; as an answer: nobody came.
    pub const EITHER: u32 = 0;
    /// Sends.
    pub const SENDER: u32 = 1;
    /// Receives.
    pub const RECEIVER: u32 = 2;
}

/// `muster_channel_spec`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the header documents the fields")]
pub struct ChannelSpec {
    pub struct_size: u32,
    pub kind: u32,
    pub side: u32,
    pub capacity: u32,
    pub message_max: u64,
    pub wait_ns: u64,
    pub name: Str,
}

/// `open`
pub type ChannelOpenFn = unsafe extern "C" fn(
    *mut c_void,
    *mut CtxObject,
    *const ChannelSpec,
    *mut u32,
    *mut u32,
    *mut ErrorText,
) -> i32;
/// `send`
pub type ChannelSendFn = unsafe extern "C" fn(*mut c_void, *mut CtxObject, u32, Bytes, *mut ErrorText) -> i32;
/// `receive`
pub type ChannelReceiveFn =
    unsafe extern "C" fn(*mut c_void, *mut CtxObject, u32, Buf, *mut usize, *mut ErrorText) -> i32;
/// `close`
pub type ChannelCloseFn = unsafe extern "C" fn(*mut c_void, *mut CtxObject, u32, u32, *mut ErrorText) -> i32;

/// `muster_channels`
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs, reason = "the header documents the fields")]
pub struct Channels {
    pub struct_size: u32,
    pub reserved0: u32,
    pub open: Option<ChannelOpenFn>,
    pub send: Option<ChannelSendFn>,
    pub receive: Option<ChannelReceiveFn>,
    pub close: Option<ChannelCloseFn>,
}
