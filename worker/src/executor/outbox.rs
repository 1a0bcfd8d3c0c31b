//! The way to the agent: whole frames, one thread at a time. It waits when the agent does not read.

use super::{end, exit_code_for};
use crate::frame::FromExecutor;
use crate::os::socket;
use crate::shelf::ShelfSide;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, OnceLock, PoisonError};

/// What the socket should hold before a thread has to wait.
const SEND_BUFFER_BYTES: usize = 1 << 20;

/// The sending side of the socket.
#[derive(Debug)]
pub(super) struct Outbox {
    socket: Mutex<OwnedFd>,
    /// Whose socket it is: a child that a plugin forked must not write there.
    process: u32,
    shelf: OnceLock<ShelfSide>,
}

impl Outbox {
    pub fn new(socket: OwnedFd) -> Self {
        socket::widen(socket.as_fd(), SEND_BUFFER_BYTES);
        Self { socket: Mutex::new(socket), process: std::process::id(), shelf: OnceLock::new() }
    }

    /// Where frames can be put aside from now on.
    pub fn set_shelf(&self, shelf: ShelfSide) {
        // The agent gives one, before there is any job.
        let _ = self.shelf.set(shelf);
    }

    /// Puts a frame where it survives this process and wakes nobody; `false`: there is no room for it.
    pub fn put_aside(&self, frame: &[u8]) -> bool {
        self.shelf.get().is_some_and(|shelf| shelf.put(frame))
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
