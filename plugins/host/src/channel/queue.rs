//! A list of messages under a lock, between threads of this process.

use super::waiting::{LOOK, Waiting};
use super::{Asked, ChannelError, End, Side};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Queues of this process whose maker waits for a peer.
#[derive(Debug, Default)]
pub(crate) struct Queues(Mutex<Vec<Arc<Queue>>>);

/// One channel.
#[derive(Debug)]
struct Queue {
    job: u128,
    asked: Asked,
    /// The side that its maker asked for.
    maker: Option<Side>,
    state: Mutex<State>,
    /// A message came, or something about a side changed.
    filled: Condvar,
    /// A message went, or something about a side changed.
    emptied: Condvar,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Vec<u8>>,
    /// The side that its maker got.
    paired: Option<Side>,
    ends: [Option<End>; 2],
}

/// One end.
#[derive(Debug)]
pub(super) struct QueueEnd {
    queue: Arc<Queue>,
    side: Side,
}

impl Queues {
    /// Meets somebody who asked for the same, or waits for one until `until`.
    pub(super) fn meet(
        &self,
        job: u128,
        asked: &Asked,
        side: Option<Side>,
        until: Instant,
        waiting: &Waiting<'_>,
    ) -> Result<Option<(Side, QueueEnd)>, ChannelError> {
        let mut list = self.list();
        let fits = |queue: &&Arc<Queue>| {
            queue.job == job && queue.asked == *asked && Side::of_maker(queue.maker, side).is_some()
        };
        if let Some(queue) = list.iter().find(fits).cloned()
            && let Some(maker) = Side::of_maker(queue.maker, side)
        {
            list.retain(|other| !Arc::ptr_eq(other, &queue));
            queue.state().paired = Some(maker);
            queue.wake();
            return Ok(Some((maker.other(), QueueEnd { queue, side: maker.other() })));
        }
        let queue = Arc::new(Queue {
            job,
            asked: asked.clone(),
            maker: side,
            state: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
        });
        list.push(Arc::clone(&queue));
        drop(list);
        let met = waiting.until(|| {
            let state = queue.state();
            let state = queue.filled.wait_timeout_while(state, LOOK, |state| state.paired.is_none());
            let (state, _) = state.unwrap_or_else(PoisonError::into_inner);
            Ok(state.paired.map(Some).or_else(|| (Instant::now() >= until).then_some(None)))
        });
        if matches!(met, Ok(Some(_))) {
            return met.map(|side| side.map(|side| (side, QueueEnd { queue, side })));
        }
        let mut list = self.list();
        list.retain(|other| !Arc::ptr_eq(other, &queue));
        let paired = queue.state().paired;
        drop(list);
        // Somebody may have come at the last moment: who was cancelled then leaves by dropping the end.
        let end = paired.map(|side| (side, QueueEnd { queue, side }));
        met.map(|_| end)
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<Queue>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.filled.notify_all();
        self.emptied.notify_all();
    }
}

impl QueueEnd {
    pub fn send(&self, message: &[u8], waiting: &Waiting<'_>) -> Result<(), ChannelError> {
        let mut message = Some(message.to_vec());
        let capacity = self.queue.asked.capacity as usize;
        let mut put = |state: &mut State| {
            if state.ends[Side::Receiver as usize].is_some() {
                return Err(ChannelError::PeerLeft { peer: Side::Receiver });
            }
            let is_put = state.messages.len() < capacity;
            if is_put {
                state.messages.extend(message.take());
                self.queue.filled.notify_one();
            }
            Ok(is_put.then_some(()))
        };
        if put(&mut self.queue.state())?.is_some() {
            return Ok(());
        }
        waiting.until(|| {
            let (mut state, is_open) = (self.queue.state(), |state: &mut State| {
                state.messages.len() >= capacity && state.ends == [None, None]
            });
            (state, _) = self
                .queue
                .emptied
                .wait_timeout_while(state, LOOK, is_open)
                .unwrap_or_else(PoisonError::into_inner);
            put(&mut state)
        })
    }

    /// The length of the next message, or none when all was received.
    pub fn receive(&self, room: &mut [u8], waiting: &Waiting<'_>) -> Result<Option<usize>, ChannelError> {
        let has = room.len();
        let mut take = |state: &mut State| {
            if let Some(first) = state.messages.front() {
                let len = first.len();
                let part = room.get_mut(..len).ok_or(ChannelError::Room { len, room: has })?;
                part.copy_from_slice(first);
                state.messages.pop_front();
                self.queue.emptied.notify_one();
                return Ok(Some(Some(len)));
            }
            match state.ends[Side::Sender as usize] {
                Some(End::Done) => Ok(Some(None)),
                Some(End::GaveUp) => Err(ChannelError::PeerLeft { peer: Side::Sender }),
                None => Ok(None),
            }
        };
        if let Some(taken) = take(&mut self.queue.state())? {
            return Ok(taken);
        }
        waiting.until(|| {
            let (mut state, is_empty) = (self.queue.state(), |state: &mut State| {
                state.messages.is_empty() && state.ends == [None, None]
            });
            (state, _) = self
                .queue
                .filled
                .wait_timeout_while(state, LOOK, is_empty)
                .unwrap_or_else(PoisonError::into_inner);
            take(&mut state)
        })
    }

    /// This side has done its part.
    pub fn end(&self, end: End) {
        self.queue.state().ends[self.side as usize].get_or_insert(end);
        self.queue.wake();
    }

    /// Waits until the peer has ended, too.
    pub fn wait_for_peer(&self, waiting: &Waiting<'_>) -> Result<End, ChannelError> {
        let peer = self.side.other() as usize;
        waiting.until(|| {
            let state = self.queue.state();
            let waited =
                self.queue.emptied.wait_timeout_while(state, LOOK, |state| state.ends[peer].is_none());
            Ok(waited.unwrap_or_else(PoisonError::into_inner).0.ends[peer])
        })
    }
}

impl Drop for QueueEnd {
    fn drop(&mut self) {
        self.end(End::GaveUp);
    }
}
