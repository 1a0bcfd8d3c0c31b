//! What a message holds: a number that only this message has, and a body that is the same for all of a job.

use muster_sdk::Error;
use muster_sdk::abi::{mix64, task_seed};

/// Bytes of the number.
const NUMBER_BYTES: usize = 8;

/// The messages of a job.
pub struct Messages {
    seed: u64,
    bytes: usize,
    /// What the bytes behind the number add up to.
    body: u64,
}

impl Messages {
    pub fn new(seed: u64, bytes: usize) -> Self {
        let mut messages = Self { seed, bytes: bytes.max(NUMBER_BYTES), body: 0 };
        messages.body = sum(&messages.room()[NUMBER_BYTES..]);
        messages
    }

    /// Bytes of a message.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// A message whose number is not written.
    pub fn room(&self) -> Vec<u8> {
        let words = (0..).flat_map(|place: u64| mix64(self.seed ^ place).to_le_bytes());
        words.take(self.bytes).collect()
    }

    /// Writes the number of the message at this place; gives the checksum of all up to it.
    pub fn write(&self, message: &mut [u8], place: u64, checksum: u64) -> u64 {
        let number = task_seed(self.seed, place);
        message[..NUMBER_BYTES].copy_from_slice(&number.to_le_bytes());
        add(checksum, number.wrapping_add(self.body))
    }

    /// Looks whether this is the message at that place, all of it; gives the checksum of all up to it.
    pub fn check(&self, message: &[u8], place: u64, checksum: u64) -> Result<u64, Error> {
        let number = task_seed(self.seed, place);
        if message.len() != self.bytes {
            let (has, wanted) = (message.len(), self.bytes);
            return Err(Error::failed(format_args!("message {place} has {has} bytes and not {wanted}")));
        }
        let (first, body) = message.split_at(NUMBER_BYTES);
        if first != number.to_le_bytes() {
            return Err(Error::failed(format_args!(
                "message {place} is not the one that was sent: some were lost, doubled or changed"
            )));
        }
        let found = sum(body);
        if found != self.body {
            return Err(Error::failed(format_args!("message {place} was changed on its way")));
        }
        Ok(add(checksum, number.wrapping_add(found)))
    }
}

/// In order: the same messages in another order have another checksum.
const fn add(checksum: u64, number: u64) -> u64 {
    checksum.rotate_left(1) ^ number
}

/// The sum of the bytes as 64-bit numbers, the last one filled up with zeros.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words.iter().fold(0, |sum: u64, word| sum.wrapping_add(u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    sum.wrapping_add(u64::from_le_bytes(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_come_to_the_same_checksum() {
        for bytes in [8, 9, 15, 16, 1_000] {
            let messages = Messages::new(7, bytes);
            let mut message = messages.room();
            let (mut sent, mut received) = (0, 0);
            for place in 0..100 {
                sent = messages.write(&mut message, place, sent);
                received = messages.check(&message, place, received).unwrap();
            }
            assert_eq!(sent, received);
            assert_eq!(message.len(), bytes);
        }
    }

    #[test]
    fn what_was_lost_or_changed_is_noticed() {
        let messages = Messages::new(7, 20);
        let mut message = messages.room();
        messages.write(&mut message, 5, 0);
        assert!(messages.check(&message, 5, 0).is_ok());
        assert!(messages.check(&message, 6, 0).unwrap_err().message().contains("lost"));
        assert!(messages.check(&message[..19], 5, 0).unwrap_err().message().contains("19 bytes"));
        for at in [8, 15, 16, 19] {
            message[at] ^= 1;
            assert!(messages.check(&message, 5, 0).unwrap_err().message().contains("changed"), "{at}");
            message[at] ^= 1;
        }
    }
}
