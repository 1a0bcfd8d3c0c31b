//! Messages through a pipe or a socket: four bytes of length, little-endian, and the message.

use super::row::Row;
use super::waiting::{LOOK, Waiting};
use super::{ChannelError, End};
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, IoSlice, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

/// Bytes of the length.
pub(super) const LENGTH_BYTES: usize = 4;
/// Read at once.
const READ_BYTES: usize = 64 << 10;

/// The end to write to.
#[derive(Debug)]
pub(super) struct StreamSender(File);

/// The end to read from.
#[derive(Debug)]
pub(super) struct StreamReceiver {
    file: BufReader<File>,
    message_max: usize,
    /// The length of a message that did not fit into the room that there was.
    length: Option<usize>,
}

/// Waits until something can be done with a descriptor, for some time.
pub(super) fn ready(fd: RawFd, events: libc::c_short, limit: Duration) {
    let mut asked = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: one valid pollfd.
    unsafe { libc::poll(&raw mut asked, 1, limit.as_millis() as libc::c_int) };
}

impl StreamSender {
    pub fn new(file: File) -> Self {
        Self(file)
    }

    pub fn send(&mut self, message: &[u8], row: &Row, waiting: &Waiting<'_>) -> Result<(), ChannelError> {
        let length = (message.len() as u32).to_le_bytes();
        let mut written = 0;
        let mut attempt = |file: &mut File| {
            while written < LENGTH_BYTES + message.len() {
                let parts = [
                    IoSlice::new(length.get(written..).unwrap_or_default()),
                    IoSlice::new(message.get(written.saturating_sub(LENGTH_BYTES)..).unwrap_or_default()),
                ];
                match file.write_vectored(&parts) {
                    Ok(bytes) => written += bytes,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                    Err(error) => return Err(error),
                }
            }
            Ok(Some(()))
        };
        if attempt(&mut self.0).map_err(|error| cut(error, row))?.is_some() {
            return Ok(());
        }
        waiting.until(|| {
            row.check_peer()?;
            ready(self.0.as_raw_fd(), libc::POLLOUT, LOOK);
            attempt(&mut self.0).map_err(|error| cut(error, row))
        })
    }
}

impl StreamReceiver {
    pub fn new(file: File, message_max: usize) -> Self {
        Self { file: BufReader::with_capacity(READ_BYTES, file), message_max, length: None }
    }

    /// The length of the next message, or none when all was received.
    pub fn receive(
        &mut self,
        room: &mut [u8],
        row: &Row,
        waiting: &Waiting<'_>,
    ) -> Result<Option<usize>, ChannelError> {
        let len = match self.length {
            Some(len) => len,
            None => {
                let mut length = [0; LENGTH_BYTES];
                if !self.fill(&mut length, true, row, waiting)? {
                    return Ok(None);
                }
                u32::from_le_bytes(length) as usize
            }
        };
        if len > self.message_max {
            return Err(ChannelError::Overwritten);
        }
        self.length = Some(len);
        let has = room.len();
        let part = room.get_mut(..len).ok_or(ChannelError::Room { len, room: has })?;
        self.length = None;
        self.fill(part, false, row, waiting)?;
        Ok(Some(len))
    }

    /// Reads until the room is full; `false`: between two messages the sender has ended.
    fn fill(
        &mut self,
        room: &mut [u8],
        is_between: bool,
        row: &Row,
        waiting: &Waiting<'_>,
    ) -> Result<bool, ChannelError> {
        let mut filled = 0;
        while filled < room.len() {
            match self.file.read(&mut room[filled..]) {
                Ok(0) => return self.ended(is_between && filled == 0, row),
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait(row, waiting)?,
                Err(error) => return Err(cut(error, row)),
            }
        }
        Ok(true)
    }

    /// The stream has ended: whether that is as it should be.
    fn ended(&self, is_between: bool, row: &Row) -> Result<bool, ChannelError> {
        match row.peer_end() {
            Some(End::Done) if is_between => Ok(false),
            Some(_) | None => Err(row.cut()),
        }
    }

    /// Waits until there is something to read, or the stream has ended.
    fn wait(&mut self, row: &Row, waiting: &Waiting<'_>) -> Result<(), ChannelError> {
        waiting.until(|| {
            ready(self.file.get_ref().as_raw_fd(), libc::POLLIN, LOOK);
            // Before looking for bytes: what a peer has written before it left is received.
            let peer = row.check_peer();
            match self.file.fill_buf() {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    peer.map(|()| None)
                }
                Ok(_) | Err(_) => Ok(Some(())),
            }
        })
    }
}

/// Why nothing passes: what became of the peer says more than the system does.
fn cut(source: io::Error, row: &Row) -> ChannelError {
    match source.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => row.cut(),
        _ => ChannelError::System { what: "passing a message", source },
    }
}
