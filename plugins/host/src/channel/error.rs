//! Why a channel does not do what was asked of it.

use super::Side;
use super::table::ROWS;
use crate::region::RegionError;
use muster_plugin_abi::status;
use std::fmt;
use std::io;

/// Why.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChannelError {
    #[error("a channel cannot have {what} {value}: {wanted}")]
    Spec { what: &'static str, value: String, wanted: String },
    #[error("a channel is opened and used by the thread of a running task, in its call")]
    OutsideOfTask,
    #[error("this call has no open channel {number}")]
    NotOpen { number: u32 },
    #[error("channel {number} is not open as a {side}")]
    WrongSide { number: u32, side: Side },
    #[error("a message of {len} bytes: this channel's have at most {max}")]
    TooLong { len: usize, max: usize },
    #[error("the next message has {len} bytes, and there is room for {room}")]
    Room { len: usize, room: usize },
    #[error("the task was told to stop")]
    Cancelled,
    #[error("the {peer} of the channel has left before its end")]
    PeerLeft { peer: Side },
    #[error("the {peer} of the channel is gone: its process {process} has ended")]
    PeerDied { peer: Side, process: u32 },
    #[error("what the channel holds was overwritten; look for a write through a wrong pointer")]
    Overwritten,
    #[error("a job has at most {ROWS} channels between processes of a worker at the same time")]
    Full,
    #[error("a call has at most {max} channels open")]
    TooMany { max: usize },
    #[error("process {process} holds the table of channels and stands still")]
    Busy { process: u32 },
    #[error(transparent)]
    Region(#[from] RegionError),
    #[error("{what}: {source}")]
    System { what: &'static str, source: io::Error },
}

impl ChannelError {
    /// What the plugin is told.
    pub fn status(&self) -> i32 {
        match self {
            Self::Spec { .. } => status::PARAMS,
            Self::OutsideOfTask | Self::NotOpen { .. } | Self::WrongSide { .. } => status::ABI,
            Self::TooLong { .. } | Self::Room { .. } | Self::TooMany { .. } => status::LIMIT,
            Self::Cancelled => status::CANCELLED,
            Self::PeerLeft { .. } | Self::PeerDied { .. } | Self::Full | Self::Busy { .. } => {
                status::TRANSIENT
            }
            Self::Overwritten => status::FAILED,
            Self::Region(error) => error.status(),
            Self::System { .. } => status::TRANSIENT,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sender => "sender",
            Self::Receiver => "receiver",
        })
    }
}
