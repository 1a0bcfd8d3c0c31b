//! Connections between a worker and a life of the coordinator. Each direction is a queue, as a stream is; a fault may
//! take from it, repeat in it or reorder it. A stream that was harmed so does not live on once faults have stopped.

use super::partial::Partial;
use muster_core::id::WorkerId;
use muster_core::reduce::Block;
use muster_core::scheduler::{Input, Output};
use muster_core::time::Time;
use std::collections::VecDeque;

/// What goes to a worker.
#[derive(Clone, Debug)]
pub(super) enum Down {
    /// It is connected.
    Welcome,
    /// What the scheduler said, with the partial results that a combination takes.
    Say(Output, Vec<(Block, Partial)>),
}

/// What goes to the coordinator, with the partial result that belongs to it.
pub(super) type Up = (Input, Option<Partial>);

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub machine: usize,
    pub session: WorkerId,
    pub epoch: u32,
    /// The coordinator has it still.
    pub open: bool,
    /// A message was lost, repeated or reordered in it.
    pub harmed: bool,
    pub down: VecDeque<Down>,
    pub up: VecDeque<Up>,
    /// When the last message of each direction arrives.
    pub last_down: Time,
    pub last_up: Time,
}
