//! Where executors put finished results aside that wait for others to travel with: a socket of messages that nobody watches.
//! What lies there survives the executor, however it ends, and wakes nobody until a frame on the other socket does.
//! The kernel keeps a few hundred messages; when it takes no more, results travel at once.

use crate::os::socket;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// The longest frame that is put aside: longer ones may travel alone.
pub(crate) const SHELVED_BYTES_MAX: usize = 32 << 10;

/// More than the kernel keeps: whoever puts frames there all the time does not keep the agent from reading the rest.
pub(crate) const SHELVED_FRAMES_MAX: usize = 4_096;

/// The side that results are taken from.
#[derive(Debug)]
pub struct Shelf(OwnedFd);

/// The side that results are put on.
#[derive(Debug)]
pub(crate) struct ShelfSide {
    socket: OwnedFd,
    /// Whose it is: a child that a plugin forked must not write there.
    process: u32,
}

impl Shelf {
    /// An empty one, and the descriptor that an executor is given.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn create() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = socket::message_pair()?;
        socket::set_nonblocking(&ours)?;
        Ok((Self(ours), theirs))
    }

    /// Whether nothing is there.
    pub fn is_empty(&self) -> bool {
        socket::unread(&self.0).is_ok_and(|bytes| bytes == 0)
    }

    /// Takes the next frame, with its length in front, into `room`; `None`: nothing is there for now, or will be.
    pub fn take<'a>(&self, room: &'a mut [u8]) -> Option<&'a [u8]> {
        // Descriptors that come along are of no use to anybody.
        match socket::receive(self.0.as_fd(), room, drop) {
            Ok(0) | Err(_) => None,
            Ok(bytes) => room.get(..bytes),
        }
    }
}

impl ShelfSide {
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket, process: std::process::id() }
    }

    /// Puts a frame there, with its length in front; `false`: there is no room for it.
    pub fn put(&self, frame: &[u8]) -> bool {
        frame.len() <= SHELVED_BYTES_MAX
            && std::process::id() == self.process
            && socket::send(self.socket.as_fd(), frame, &[], false).is_ok_and(|sent| sent == frame.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_stay_apart_and_survive_who_put_them_there() {
        let (shelf, theirs) = Shelf::create().unwrap();
        let mut room = vec![0; SHELVED_BYTES_MAX];
        assert_eq!(shelf.take(&mut room), None);
        let side = ShelfSide::new(theirs);
        assert!(side.put(b"one") && side.put(b"another"));
        assert!(!side.put(&vec![0; SHELVED_BYTES_MAX + 1]), "too long");
        drop(side);
        assert!(!shelf.is_empty());
        assert_eq!(shelf.take(&mut room).unwrap(), b"one");
        assert_eq!(shelf.take(&mut room).unwrap(), b"another");
        assert!(shelf.is_empty());
        assert_eq!(shelf.take(&mut room), None);
    }

    #[test]
    fn a_full_shelf_takes_nothing_and_waits_for_nobody() {
        let (shelf, theirs) = Shelf::create().unwrap();
        let side = ShelfSide::new(theirs);
        let put = (0..100_000).take_while(|_| side.put(&[7; 300])).count();
        assert!((100..100_000).contains(&put), "{put}");
        let mut room = vec![0; SHELVED_BYTES_MAX];
        let taken =
            std::iter::from_fn(|| shelf.take(&mut room).map(<[u8]>::len)).filter(|&len| len == 300).count();
        assert_eq!(taken, put);
        assert!(side.put(b"again"));
    }

    #[test]
    fn a_child_of_the_executor_puts_nothing_there() {
        let (shelf, theirs) = Shelf::create().unwrap();
        let side = ShelfSide { process: std::process::id() + 1, ..ShelfSide::new(theirs) };
        assert!(!side.put(b"one"));
        assert_eq!(shelf.take(&mut [0; 10]), None);
    }
}
