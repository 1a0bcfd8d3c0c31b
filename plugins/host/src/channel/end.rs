//! An end of a channel, and the ends that a call has open.

use super::meeting::{self, Address};
use super::queue::{QueueEnd, Queues};
use super::ring::{self, Ring};
use super::row::Row;
use super::spec::{Asked, Kind, Spec};
use super::stream::{StreamReceiver, StreamSender};
use super::table::{Met, Table};
use super::waiting::Waiting;
use super::{ChannelError, End, Side};
use muster_plugin_abi::CHANNEL_BYTES_MAX;
use std::fs::File;
use std::time::Instant;

/// Ends that a call may have open.
const OPEN_MAX: usize = 64;

/// The ends that the running call has open, by number.
#[derive(Debug, Default)]
pub(crate) struct Channels(Vec<Option<OpenEnd>>);

/// One of them.
#[derive(Debug)]
struct OpenEnd {
    side: Side,
    message_max: usize,
    wire: Wire,
}

/// What carries its messages. Dropping it gives up what has not ended.
#[derive(Debug)]
enum Wire {
    Queue(QueueEnd),
    Ring(Ring, Row),
    /// The stream goes first, so that the peer finds its end behind what is left.
    Sender(Option<StreamSender>, Row),
    Receiver(StreamReceiver, Row),
}

impl Channels {
    /// Opens an end when somebody comes for the other one; gives its number and side.
    pub(super) fn open(
        &mut self,
        job: u128,
        spec: &Spec,
        queues: &Queues,
        waiting: &Waiting<'_>,
    ) -> Result<Option<(u32, Side)>, ChannelError> {
        let free = self.0.iter().position(Option::is_none).unwrap_or(self.0.len());
        if free == OPEN_MAX {
            return Err(ChannelError::TooMany { max: OPEN_MAX });
        }
        let Some(end) = open(job, spec, queues, waiting)? else { return Ok(None) };
        let side = end.side;
        if free == self.0.len() {
            self.0.push(None);
        }
        self.0[free] = Some(end);
        Ok(Some((free as u32, side)))
    }

    pub(super) fn send(
        &mut self,
        number: u32,
        message: &[u8],
        waiting: &Waiting<'_>,
    ) -> Result<(), ChannelError> {
        let end = self.end(number, Side::Sender)?;
        if message.len() > end.message_max {
            return Err(ChannelError::TooLong { len: message.len(), max: end.message_max });
        }
        waiting.check()?;
        end.wire.send(message, waiting)
    }

    /// The length of the next message; none: all was received.
    pub(super) fn receive(
        &mut self,
        number: u32,
        room: &mut [u8],
        waiting: &Waiting<'_>,
    ) -> Result<Option<usize>, ChannelError> {
        let end = self.end(number, Side::Receiver)?;
        waiting.check()?;
        end.wire.receive(room, waiting)
    }

    /// Closes an end, whatever comes of it.
    pub(super) fn close(
        &mut self,
        number: u32,
        is_done: bool,
        waiting: &Waiting<'_>,
    ) -> Result<(), ChannelError> {
        let place = self.0.get_mut(number as usize);
        let end = place.and_then(Option::take).ok_or(ChannelError::NotOpen { number })?;
        if is_done { end.finish(waiting) } else { Ok(()) }
    }

    /// The call is over: what it left open is given up.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    fn end(&mut self, number: u32, side: Side) -> Result<&mut OpenEnd, ChannelError> {
        let end = self.0.get_mut(number as usize).and_then(Option::as_mut);
        let end = end.ok_or(ChannelError::NotOpen { number })?;
        if end.side == side { Ok(end) } else { Err(ChannelError::WrongSide { number, side }) }
    }
}

fn open(
    job: u128,
    spec: &Spec,
    queues: &Queues,
    waiting: &Waiting<'_>,
) -> Result<Option<OpenEnd>, ChannelError> {
    let Spec { asked, side, wait } = spec;
    let (until, message_max) = (Instant::now() + *wait, asked.message_max);
    waiting.check()?;
    if asked.kind == Kind::Queue {
        let met = queues.meet(job, asked, *side, until, waiting)?;
        return Ok(met.map(|(side, end)| OpenEnd { side, message_max, wire: Wire::Queue(end) }));
    }
    let table = Table::of(job, waiting.services)?;
    let mut address = Address::None;
    let met = table.meet(asked, *side, waiting, || {
        address = Address::make(asked)?;
        address.words()
    })?;
    let (row, file) = match met {
        Met::Joined(row, maker, address) => {
            let file = meeting::join(asked, &row, maker, address)?;
            (row, file)
        }
        Met::Made(made) => {
            let Some((row, process)) = made.wait(until, waiting)? else { return Ok(None) };
            let file = address.connect(&row, process, waiting)?;
            (row, file)
        }
    };
    Ok(Some(OpenEnd { side: row.side, message_max, wire: Wire::new(asked, row, file) }))
}

impl Wire {
    fn new(asked: &Asked, row: Row, file: Option<File>) -> Self {
        match (file, row.side) {
            (Some(file), Side::Sender) => Self::Sender(Some(StreamSender::new(file)), row),
            (Some(file), Side::Receiver) => Self::Receiver(StreamReceiver::new(file, asked.message_max), row),
            (None, _) => {
                let (words, data) = row.ring();
                let bytes = ring::data_bytes(asked.capacity, asked.message_max);
                assert!(bytes <= CHANNEL_BYTES_MAX, "the spec was checked");
                // SAFETY: the row keeps its ring for its two sides, which have agreed on the measures; the spec bounds the
                // data.
                Self::Ring(unsafe { Ring::new(words, data, asked.capacity, asked.message_max) }, row)
            }
        }
    }

    fn send(&mut self, message: &[u8], waiting: &Waiting<'_>) -> Result<(), ChannelError> {
        match self {
            Self::Queue(end) => end.send(message, waiting),
            Self::Ring(ring, row) => {
                let mut push = || match row.peer_end() {
                    Some(_) => Err(ChannelError::PeerLeft { peer: Side::Receiver }),
                    None => ring.push(message),
                };
                if push()? {
                    return Ok(());
                }
                waiting.until(|| {
                    row.check_peer()?;
                    ring.wait_for_room();
                    if row.peer_end().is_some() {
                        return Err(ChannelError::PeerLeft { peer: Side::Receiver });
                    }
                    Ok(ring.push(message)?.then_some(()))
                })
            }
            Self::Sender(Some(stream), row) => stream.send(message, row, waiting),
            Self::Sender(None, _) | Self::Receiver(..) => Err(ChannelError::Overwritten),
        }
    }

    fn receive(&mut self, room: &mut [u8], waiting: &Waiting<'_>) -> Result<Option<usize>, ChannelError> {
        match self {
            Self::Queue(end) => end.receive(room, waiting),
            Self::Ring(ring, row) => {
                if let Some(len) = ring.pop(room)? {
                    return Ok(Some(len));
                }
                waiting.until(|| {
                    // Before the ring is looked at: what was sent before the end is received.
                    let (end, peer) = (row.peer_end(), row.check_peer());
                    match (ring.pop(room)?, end) {
                        (Some(len), _) => return Ok(Some(Some(len))),
                        (None, Some(End::Done)) => return Ok(Some(None)),
                        (None, Some(End::GaveUp) | None) => peer?,
                    }
                    ring.wait_for_message();
                    Ok(None)
                })
            }
            Self::Receiver(stream, row) => stream.receive(room, row, waiting),
            Self::Sender(..) => Err(ChannelError::Overwritten),
        }
    }
}

impl OpenEnd {
    /// This side has done its part. A sender waits until the receiver has, too.
    fn finish(mut self, waiting: &Waiting<'_>) -> Result<(), ChannelError> {
        let peer = self.side.other();
        let peer_end = match &mut self.wire {
            Wire::Queue(end) => {
                end.end(End::Done);
                (self.side == Side::Sender).then(|| end.wait_for_peer(waiting))
            }
            Wire::Ring(_, row) | Wire::Receiver(_, row) => {
                row.end(End::Done);
                (self.side == Side::Sender).then(|| row.wait_for_peer(waiting))
            }
            Wire::Sender(stream, row) => {
                row.end(End::Done);
                *stream = None;
                Some(row.wait_for_peer(waiting))
            }
        };
        match peer_end.transpose()? {
            Some(End::GaveUp) => Err(ChannelError::PeerLeft { peer }),
            Some(End::Done) | None => Ok(()),
        }
    }
}
