//! A ring of messages in memory that a sender and a receiver share, each perhaps in a process of its own.
//!
//! Each side counts by itself and believes of the shared words only what can be: a count that is further than the
//! capacity allows, or a length that no message has, means that somebody else wrote there.

use super::ChannelError;
use super::waiting::LOOK;
use crate::futex;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};

/// Bytes before each message: its length.
const LENGTH_BYTES: usize = 8;
/// Looks at the other side's count before going to sleep.
const SPINS: u32 = 64;

/// The shared words, zeros at first. Each side writes to a line of its own.
#[repr(C)]
#[derive(Debug)]
pub(super) struct RingWords {
    sent: Count,
    received: Count,
}

#[repr(C, align(128))]
#[derive(Debug)]
struct Count {
    /// Messages, modulo 2^32.
    messages: AtomicU32,
    /// Somebody sleeps until it changes.
    sleeps: AtomicU32,
}

/// One side's view.
#[derive(Debug)]
pub(super) struct Ring {
    words: NonNull<RingWords>,
    data: NonNull<u8>,
    capacity: u32,
    message_max: usize,
    /// Messages that this side has sent or received.
    position: u64,
}

// SAFETY: the words are atomics, and the data is touched by the side alone whose turn it is by them.
unsafe impl Send for Ring {}

/// Bytes of the data of a ring.
pub(super) const fn data_bytes(capacity: u32, message_max: usize) -> usize {
    capacity as usize * stride(message_max)
}

const fn stride(message_max: usize) -> usize {
    LENGTH_BYTES + message_max.next_multiple_of(LENGTH_BYTES)
}

impl RingWords {
    /// Nothing sent and nothing received.
    pub fn clear(&self) {
        for count in [&self.sent, &self.received] {
            count.messages.store(0, SeqCst);
            count.sleeps.store(0, SeqCst);
        }
    }

    /// Wakes both sides.
    pub fn wake(&self) {
        futex::wake(&self.sent.messages, u32::MAX);
        futex::wake(&self.received.messages, u32::MAX);
    }
}

impl Count {
    fn advance(&self, to: u64) {
        self.messages.store(to as u32, SeqCst);
        if self.sleeps.load(SeqCst) != 0 {
            futex::wake(&self.messages, u32::MAX);
        }
    }

    /// Waits until it is no longer `seen`, for some time.
    fn wait(&self, seen: u32) {
        for _ in 0..SPINS {
            if self.messages.load(Relaxed) != seen {
                return;
            }
            std::hint::spin_loop();
        }
        self.sleeps.store(1, SeqCst);
        if self.messages.load(SeqCst) == seen {
            futex::wait(&self.messages, seen, LOOK);
        }
        self.sleeps.store(0, SeqCst);
    }
}

impl Ring {
    /// # Safety
    /// The words and [`data_bytes`] of data, aligned to 8, must be there while this is used, and nobody but one sender and
    /// one receiver of the same measures may use them.
    pub unsafe fn new(
        words: NonNull<RingWords>,
        data: NonNull<u8>,
        capacity: u32,
        message_max: usize,
    ) -> Self {
        Self { words, data, capacity, message_max, position: 0 }
    }

    fn words(&self) -> &RingWords {
        // SAFETY: `new` was promised that they are there; they are atomics.
        unsafe { self.words.as_ref() }
    }

    /// Where the message at this side's position lies.
    fn place(&self) -> NonNull<u8> {
        let number = (self.position % u64::from(self.capacity)) as usize;
        // SAFETY: below the capacity, so within the data.
        unsafe { self.data.add(number * stride(self.message_max)) }
    }

    /// Puts a message of at most `message_max` bytes into the ring; `false`: there is no room.
    pub fn push(&mut self, message: &[u8]) -> Result<bool, ChannelError> {
        debug_assert!(message.len() <= self.message_max, "the end has checked the length");
        let under_way = (self.position as u32).wrapping_sub(self.words().received.messages.load(Acquire));
        if under_way >= self.capacity {
            return if under_way == self.capacity { Ok(false) } else { Err(ChannelError::Overwritten) };
        }
        let place = self.place();
        // SAFETY: within the data, and the receiver has left this place, as the counts say.
        unsafe {
            place.cast::<u64>().write(message.len() as u64);
            place.add(LENGTH_BYTES).copy_from_nonoverlapping(NonNull::from(message).cast(), message.len());
        }
        self.position += 1;
        self.words().sent.advance(self.position);
        Ok(true)
    }

    /// Copies the next message into `room` and gives its length; none: nothing is there.
    pub fn pop(&mut self, room: &mut [u8]) -> Result<Option<usize>, ChannelError> {
        let there = self.words().sent.messages.load(Acquire).wrapping_sub(self.position as u32);
        if there == 0 {
            return Ok(None);
        }
        let place = self.place();
        // SAFETY: within the data, and the sender has finished this place, as the counts say.
        let len = unsafe { place.cast::<u64>().read() };
        let len = usize::try_from(len).ok().filter(|len| *len <= self.message_max && there <= self.capacity);
        let len = len.ok_or(ChannelError::Overwritten)?;
        if len > room.len() {
            return Err(ChannelError::Room { len, room: room.len() });
        }
        // SAFETY: as above; the length was checked against the place and the room.
        unsafe {
            place.add(LENGTH_BYTES).copy_to_nonoverlapping(NonNull::from(&mut *room).cast(), len);
        }
        self.position += 1;
        self.words().received.advance(self.position);
        Ok(Some(len))
    }

    /// Waits for a message, for some time.
    pub fn wait_for_message(&self) {
        self.words().sent.wait(self.position as u32);
    }

    /// Waits for room, for some time.
    pub fn wait_for_room(&self) {
        self.words().received.wait((self.position as u32).wrapping_sub(self.capacity));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both sides of a ring in memory of the test's own.
    fn both(memory: &mut [u128], capacity: u32, message_max: usize) -> (Ring, Ring) {
        let start = NonNull::from(memory).cast::<u8>();
        // SAFETY: the tests' memory is larger than all of this together.
        let start = unsafe { start.add(start.align_offset(128)) };
        // SAFETY: as above.
        let data = unsafe { start.add(size_of::<RingWords>()) };
        // SAFETY: the memory outlives both sides, and nobody else uses it.
        let side = || unsafe { Ring::new(start.cast(), data, capacity, message_max) };
        (side(), side())
    }

    #[test]
    fn messages_come_in_order_and_no_more_than_fit() {
        let mut memory = vec![0; 1_024];
        let (mut sender, mut receiver) = both(&mut memory, 3, 5);
        let mut room = [0; 5];
        assert_eq!(receiver.pop(&mut room).unwrap(), None);
        for round in 0..10 {
            for message in [&b"one"[..], b"", b"three"] {
                assert!(sender.push(message).unwrap(), "{round}");
            }
            assert!(!sender.push(b"four").unwrap());
            for message in [&b"one"[..], b"", b"three"] {
                let len = receiver.pop(&mut room).unwrap().unwrap();
                assert_eq!(&room[..len], message);
            }
            assert_eq!(receiver.pop(&mut room).unwrap(), None);
        }
        assert!(sender.push(b"five.").unwrap());
        assert!(matches!(receiver.pop(&mut room[..4]), Err(ChannelError::Room { len: 5, room: 4 })));
        assert_eq!(receiver.pop(&mut room).unwrap(), Some(5), "it is still there");
    }

    #[test]
    fn what_cannot_be_is_not_believed() {
        let mut memory = vec![0; 1_024];
        let (mut sender, mut receiver) = both(&mut memory, 3, 8);
        sender.words().sent.messages.store(4, SeqCst);
        assert!(matches!(receiver.pop(&mut [0; 8]), Err(ChannelError::Overwritten)));
        sender.words().received.messages.store(1, SeqCst);
        assert!(matches!(sender.push(b"x"), Err(ChannelError::Overwritten)));
        sender.words().clear();
        assert!(sender.push(b"x").unwrap());
        // SAFETY: the first place of the data, which nobody uses at this moment.
        unsafe { sender.data.cast::<u64>().write(9) };
        assert!(matches!(receiver.pop(&mut [0; 64]), Err(ChannelError::Overwritten)));
    }

    #[test]
    fn two_threads_pass_a_hundred_thousand_messages() {
        let mut memory = vec![0; 1_024];
        let (mut sender, mut receiver) = both(&mut memory, 7, 8);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for number in 0..100_000u64 {
                    while !sender.push(&number.to_le_bytes()).unwrap() {
                        sender.wait_for_room();
                    }
                }
            });
            let mut room = [0; 8];
            for number in 0..100_000u64 {
                while receiver.pop(&mut room).unwrap().is_none() {
                    receiver.wait_for_message();
                }
                assert_eq!(u64::from_le_bytes(room), number);
            }
        });
    }
}
