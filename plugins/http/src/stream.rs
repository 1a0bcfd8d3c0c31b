//! A connection whose every step ends soon.

use crate::fetch::SLICE;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

/// The system says that a connect goes on: at its first end by time, and at every further one.
const GOES_ON: [i32; 2] = [115, 114];

/// A socket on which no step waits for longer than [`SLICE`].
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    address: SockAddr,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// It is done.
    Done(T),
    /// The time was over; the same step goes on with it.
    NotYet,
}

impl Stream {
    /// A socket for this address, not yet connected.
    pub fn new(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // On Linux the time limit of sending is that of connecting, too, and the attempt goes on behind it.
        socket.set_write_timeout(Some(SLICE))?;
        socket.set_read_timeout(Some(SLICE))?;
        socket.set_tcp_nodelay(true)?;
        Ok(Self { socket, address: address.into() })
    }

    /// Connects.
    pub fn connect(&self) -> io::Result<Step<()>> {
        match self.socket.connect(&self.address) {
            Err(error) if error.raw_os_error().is_some_and(|number| GOES_ON.contains(&number)) => {
                Ok(Step::NotYet)
            }
            connected => step(connected),
        }
    }

    /// Sends some of `bytes`, and says how many.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<Step<usize>> {
        step(self.socket.write(bytes))
    }

    /// Receives some bytes; none is the end.
    pub fn read(&mut self, room: &mut [u8]) -> io::Result<Step<usize>> {
        step(self.socket.read(room))
    }
}

fn step<T>(result: io::Result<T>) -> io::Result<Step<T>> {
    match result {
        Ok(value) => Ok(Step::Done(value)),
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut if error.raw_os_error() != Some(110) => {
                Ok(Step::NotYet)
            }
            ErrorKind::Interrupted => Ok(Step::NotYet),
            _ => Err(error),
        },
    }
}
