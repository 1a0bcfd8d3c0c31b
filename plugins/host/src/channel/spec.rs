//! What a plugin asks for.

use super::stream::LENGTH_BYTES;
use super::{ChannelError, Side};
use muster_plugin_abi::{
    self as abi, CHANNEL_BYTES_MAX, CHANNEL_CAPACITY_MAX, CHANNEL_NAME_MAX, channel_kind, channel_side,
};
use std::time::Duration;

/// Bytes that are counted beside each message.
const MESSAGE_EXTRA_BYTES: usize = 8;
/// Longer is as good as for ever.
const WAIT_MAX: Duration = Duration::from_secs(86_400);

/// What carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Queue = channel_kind::QUEUE as isize,
    Shared = channel_kind::SHARED as isize,
    Pipe = channel_kind::PIPE as isize,
    Socket = channel_kind::SOCKET as isize,
}

/// What both sides must agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub kind: Kind,
    pub name: String,
    pub capacity: u32,
    pub message_max: usize,
}

/// A checked spec.
#[derive(Debug)]
pub(super) struct Spec {
    pub asked: Asked,
    /// None: the side that is missing.
    pub side: Option<Side>,
    pub wait: Duration,
}

impl Spec {
    /// # Safety
    /// The name must be there for the length that it says.
    pub unsafe fn check(spec: &abi::ChannelSpec) -> Result<Self, ChannelError> {
        if spec.struct_size < abi::size_of_table::<abi::ChannelSpec>() {
            let wanted = format!("{} or more", abi::size_of_table::<abi::ChannelSpec>());
            return Err(refuse("struct_size", spec.struct_size, wanted));
        }
        let kind = match spec.kind {
            channel_kind::QUEUE => Kind::Queue,
            channel_kind::SHARED => Kind::Shared,
            channel_kind::PIPE => Kind::Pipe,
            channel_kind::SOCKET => Kind::Socket,
            other => return Err(refuse("kind", other, "1 to 4, MUSTER_CHANNEL_QUEUE to _SOCKET".into())),
        };
        if !(channel_side::EITHER..=channel_side::RECEIVER).contains(&spec.side) {
            return Err(refuse("side", spec.side, "0 to 2, MUSTER_CHANNEL_EITHER to _RECEIVER".into()));
        }
        // SAFETY: the caller's promise.
        let name = unsafe { spec.name.as_bytes() };
        let fits = (1..=CHANNEL_NAME_MAX).contains(&name.len());
        let text = std::str::from_utf8(name).ok().filter(|_| fits);
        let wanted = || format!("1 to {CHANNEL_NAME_MAX} bytes of UTF-8");
        let name = text.ok_or_else(|| refuse("a name of", format!("{} bytes", name.len()), wanted()))?;
        if !(1..=CHANNEL_CAPACITY_MAX).contains(&spec.capacity) {
            return Err(refuse("capacity", spec.capacity, format!("1 to {CHANNEL_CAPACITY_MAX}")));
        }
        let most = CHANNEL_BYTES_MAX / spec.capacity as usize - MESSAGE_EXTRA_BYTES;
        // Rings round messages up to whole words.
        let most = most / MESSAGE_EXTRA_BYTES * MESSAGE_EXTRA_BYTES;
        let message_max = usize::try_from(spec.message_max).ok().filter(|max| *max <= most);
        let wanted = || format!("with a capacity of {} at most {most}; lower one of the two", spec.capacity);
        let message_max = message_max.ok_or_else(|| refuse("message_max", spec.message_max, wanted()))?;
        Ok(Self {
            asked: Asked { kind, name: name.to_owned(), capacity: spec.capacity, message_max },
            side: Side::from_number(spec.side),
            wait: Duration::from_nanos(spec.wait_ns).min(WAIT_MAX),
        })
    }
}

impl Asked {
    /// Bytes of so many messages in a stream.
    pub fn stream_bytes(&self) -> usize {
        self.capacity as usize * (self.message_max + LENGTH_BYTES)
    }
}

fn refuse(what: &'static str, value: impl ToString, wanted: String) -> ChannelError {
    ChannelError::Spec { what, value: value.to_string(), wanted }
}
