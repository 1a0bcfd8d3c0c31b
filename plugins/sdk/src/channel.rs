//! Messages between two tasks of a job that run at the same time on one worker.
//!
//! [`Context::channel`](crate::Context::channel) waits for the task at the other end and gives a [`Sender`] or a
//! [`Receiver`]. Whoever waits for the other lets others compute, and stops when the task should. An end that is dropped before
//! it has [finished](Sender::finish) has given up, and the other one fails for now.

use crate::{Error, host};
use muster_plugin_abi::{
    self as abi, Buf, Bytes, CHANNEL_END, CtxObject, ErrorText, Str, channel_kind, status,
};
use std::marker::PhantomData;
use std::time::Duration;

/// What carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ChannelKind {
    /// A list under a lock, between threads of one executor.
    Queue = channel_kind::QUEUE,
    /// A ring in memory that executors share.
    Shared = channel_kind::SHARED,
    /// A pipe.
    Pipe = channel_kind::PIPE,
    /// A Unix stream socket.
    Socket = channel_kind::SOCKET,
}

/// The side of a channel that a task asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Side {
    /// The one that is missing.
    Either = abi::channel_side::EITHER,
    /// To send.
    Sender = abi::channel_side::SENDER,
    /// To receive.
    Receiver = abi::channel_side::RECEIVER,
}

/// What both tasks must ask for to meet. Who comes third under a name waits for a fourth.
#[derive(Clone, Debug)]
pub struct ChannelSpec {
    /// 1 to 64 bytes.
    pub name: String,
    /// What carries the messages.
    pub kind: ChannelKind,
    /// Messages that may be under way, from 1. Pipes and sockets hold about as many.
    pub capacity: u32,
    /// Bytes of the largest message; times the capacity about 4 MiB at the most.
    pub message_max: usize,
    /// How long to wait for the other task.
    pub wait: Duration,
}

impl ChannelSpec {
    /// The most messages of `message_max` bytes that may be under way; 0: they are too large for any channel.
    #[must_use]
    pub const fn capacity_max(message_max: usize) -> u32 {
        // Beside each message its length is counted, and messages are whole words.
        let most = abi::CHANNEL_BYTES_MAX / message_max.saturating_add(15);
        if most as u32 > abi::CHANNEL_CAPACITY_MAX { abi::CHANNEL_CAPACITY_MAX } else { most as u32 }
    }
}

/// A task's end of a channel.
#[derive(Debug)]
pub enum ChannelEnd<'a> {
    /// The other one receives.
    Sender(Sender<'a>),
    /// The other one sends.
    Receiver(Receiver<'a>),
}

/// The end that sends.
#[derive(Debug)]
pub struct Sender<'a>(Open<'a>);

/// The end that receives.
#[derive(Debug)]
pub struct Receiver<'a>(Open<'a>);

/// An open end. It stays with the thread of its call.
#[derive(Debug)]
struct Open<'a> {
    channels: &'static abi::Channels,
    ctx: *mut CtxObject,
    number: u32,
    call: PhantomData<&'a ()>,
}

/// `ctx` is that of a call that lasts for `'a`.
pub(crate) fn open<'a>(
    ctx: *mut CtxObject,
    spec: &ChannelSpec,
    side: Side,
) -> Result<Option<ChannelEnd<'a>>, Error> {
    let channels = host::channels().ok_or_else(none)?;
    let asked = abi::ChannelSpec {
        struct_size: abi::size_of_table::<abi::ChannelSpec>(),
        kind: spec.kind as u32,
        side: side as u32,
        capacity: spec.capacity,
        message_max: spec.message_max as u64,
        wait_ns: u64::try_from(spec.wait.as_nanos()).unwrap_or(u64::MAX),
        name: Str::new(&spec.name),
    };
    let (mut number, mut got) = (0, 0);
    let opened = channels.open.ok_or_else(none)?;
    // SAFETY: the function belongs to the table, ctx came with the running call; the spec, its name and the room for the
    // answers are valid during the call.
    call(|this, text| unsafe { opened(this, ctx, &raw const asked, &raw mut number, &raw mut got, text) })?;
    let open = |()| Open { channels, ctx, number, call: PhantomData };
    Ok(match got {
        abi::channel_side::SENDER => Some(ChannelEnd::Sender(Sender(open(())))),
        abi::channel_side::RECEIVER => Some(ChannelEnd::Receiver(Receiver(open(())))),
        _ => None,
    })
}

impl Sender<'_> {
    /// Waits until there is room for the message.
    ///
    /// # Errors
    /// [`Error::transient`] when the receiver has left or died; [`Error::cancelled`]; the message is over `message_max`.
    pub fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        let Open { channels, ctx, number, .. } = self.0;
        let send = channels.send.ok_or_else(none)?;
        // SAFETY: as in `open`; the message is valid during the call.
        call(|this, text| unsafe { send(this, ctx, number, Bytes::new(message), text) })
    }

    /// Everything was sent. Waits until the receiver has taken it and finished, too.
    ///
    /// # Errors
    /// [`Error::transient`] when it leaves or dies before that; [`Error::cancelled`].
    pub fn finish(self) -> Result<(), Error> {
        self.0.finish()
    }
}

impl Receiver<'_> {
    /// Waits for a message and copies it into `room`. Its length, or none when the sender has finished and all was
    /// received.
    ///
    /// # Errors
    /// [`Error::transient`] when the sender has given up or died; [`Error::cancelled`]; the message is larger than the
    /// room, and is received next time.
    pub fn receive(&mut self, room: &mut [u8]) -> Result<Option<usize>, Error> {
        let Open { channels, ctx, number, .. } = self.0;
        let receive = channels.receive.ok_or_else(none)?;
        let (has, mut len) = (room.len(), 0);
        let lent = Buf { ptr: room.as_mut_ptr(), len: has };
        // SAFETY: as in `open`; the room is valid during the call.
        call(|this, text| unsafe { receive(this, ctx, number, lent, &raw mut len, text) })?;
        Ok((len != CHANNEL_END).then_some(len.min(has)))
    }

    /// Everything was received, and is as it should be: the sender may finish.
    ///
    /// # Errors
    /// None is expected.
    pub fn finish(self) -> Result<(), Error> {
        self.0.finish()
    }
}

impl Open<'_> {
    fn finish(self) -> Result<(), Error> {
        let this = std::mem::ManuallyDrop::new(self);
        this.close(1)
    }

    fn close(&self, done: u32) -> Result<(), Error> {
        let close = self.channels.close.ok_or_else(none)?;
        // SAFETY: as in `open`.
        call(|this, text| unsafe { close(this, self.ctx, self.number, done, text) })
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        // Giving up does not fail.
        let _ = self.close(0);
    }
}

fn call(act: impl FnOnce(*mut std::ffi::c_void, *mut ErrorText) -> i32) -> Result<(), Error> {
    let host = host::table().ok_or_else(none)?;
    let mut text = ErrorText::new();
    match act(host.this, &raw mut text) {
        status::OK => Ok(()),
        status => Err(Error::of_host(status, &text)),
    }
}

fn none() -> Error {
    Error::unsupported("this host offers no channels (muster.channel/1)")
}
