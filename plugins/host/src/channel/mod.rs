//! Channels between tasks of a job on one worker (`muster.channel/1`): bounded, with one sender and one receiver, which
//! may be in two processes. Waiting ends when the task should stop and when the peer's process does.

mod callbacks;
mod end;
mod error;
mod meeting;
mod process;
mod queue;
mod ring;
mod row;
mod spec;
mod stream;
mod table;
mod waiting;

pub(crate) use callbacks::CHANNELS;
pub(crate) use end::Channels;
use error::ChannelError;
pub(crate) use queue::Queues;
use spec::{Asked, Kind};

/// A side of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Sender = 0,
    Receiver = 1,
}

/// How a side ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It has done its part.
    Done = 1,
    /// It left before that.
    GaveUp = 2,
}

impl Side {
    const fn other(self) -> Self {
        match self {
            Self::Sender => Self::Receiver,
            Self::Receiver => Self::Sender,
        }
    }

    /// Of a number of the header; none: either.
    const fn from_number(number: u32) -> Option<Self> {
        match number {
            muster_plugin_abi::channel_side::SENDER => Some(Self::Sender),
            muster_plugin_abi::channel_side::RECEIVER => Some(Self::Receiver),
            _ => None,
        }
    }

    /// The side of a maker, when it and who joins asked for these; none: both want the same.
    fn of_maker(maker: Option<Self>, joiner: Option<Self>) -> Option<Self> {
        match (maker, joiner) {
            (Some(maker), Some(joiner)) if maker == joiner => None,
            (Some(maker), _) => Some(maker),
            (None, Some(joiner)) => Some(joiner.other()),
            (None, None) => Some(Self::Sender),
        }
    }
}

impl End {
    const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => None,
            1 => Some(Self::Done),
            _ => Some(Self::GaveUp),
        }
    }
}

#[cfg(test)]
mod tests;
