//! The way to the agent: whole frames, one thread at a time. It waits when the agent does not read.

use super::{end, exit_code_for};
use crate::frame::FromExecutor;
use crate::os::socket;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// What the socket should hold before a thread has to wait.
const SEND_BUFFER_BYTES: usize = 1 << 20;

/// The sending side of the socket.
#[derive(Debug)]
pub(super) struct Outbox {
    socket: Mutex<OwnedFd>,
    /// Whose socket it is: a child that a plugin forked must not write there.
    process: u32,
}

impl Outbox {
    pub fn new(socket: OwnedFd) -> Self {
        socket::widen(socket.as_fd(), SEND_BUFFER_BYTES);
        Self { socket: Mutex::new(socket), process: std::process::id() }
    }

    /// Sends a message.
    pub fn send(&self, message: &FromExecutor) {
        self.send_parts(&[&message.encode()]);
    }

    /// Sends a frame given in parts. Without an agent there is nothing left to do: the process ends.
    pub fn send_parts(&self, parts: &[&[u8]]) {
        if std::process::id() != self.process {
            end(1);
        }
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        for part in parts {
            let mut rest = *part;
            while !rest.is_empty() {
                match socket::send(socket.as_fd(), rest, &[], true) {
                    Ok(sent) => rest = &rest[sent..],
                    Err(error) => end(exit_code_for(&error)),
                }
            }
        }
    }
}
