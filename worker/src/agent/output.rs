//! What executors write to standard output and standard error: read here, and handed to the log with the task that wrote it.

use crate::log::marker::{MARK_BYTES, Piece, first_piece};
use crate::log::{Log, TaskRef, Who};
use crate::os::socket;
use crate::page::JobPage;
use bytes::{Buf, Bytes, BytesMut};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Bytes that are read at once: what a pipe holds.
const READ_BYTES: usize = 64 << 10;
/// How often it is tried to see the same task before and after looking into the pipe.
const LOOKS_MAX: usize = 8;

/// What an executor runs, for whoever reads what it writes.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch(Arc<Mutex<Option<Seat>>>);

#[derive(Debug)]
struct Seat {
    job: u64,
    page: Arc<JobPage>,
    first_slot: u32,
    threads: u32,
    /// Its threads go from task to task before these have ended: nobody knows whose it is what was written.
    interleaves: bool,
}

/// What was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Look {
    job: u64,
    /// The one slot that runs something, and what.
    of: Option<(u32, TaskRef)>,
    first_slot: u32,
}

impl Watch {
    /// The executor has this job now.
    pub fn set(&self, seat: super::executor::Seat, page: &Arc<JobPage>, interleaves: bool) {
        let super::executor::Seat { job, first_slot, threads } = seat;
        let seat = Seat { job: job.0, page: Arc::clone(page), first_slot, threads, interleaves };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(seat);
    }

    fn look(&self) -> Look {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Seat { job, page, first_slot, threads, interleaves }) = &*held else {
            return Look::default();
        };
        let (job, first_slot) = (*job, *first_slot);
        if *interleaves {
            return Look { job, of: None, first_slot };
        }
        let slots = first_slot..first_slot.saturating_add(*threads);
        let mut running = slots.filter_map(|slot| Some((slot, page.running(slot)?)));
        let of = match (running.next(), running.next()) {
            (Some((slot, (index, attempt))), None) => Some((slot, TaskRef { index, attempt })),
            _ => None,
        };
        Look { job, of, first_slot }
    }
}

/// Where what an executor writes goes.
#[derive(Debug)]
pub(super) struct Output {
    pub executor: u64,
    pub plugin: Arc<str>,
    pub watch: Watch,
    pub log: Log,
}

impl Output {
    /// Hands everything on until the pipe ends.
    pub async fn forward(self, pipe: AsyncFd<OwnedFd>) {
        let mut bytes = BytesMut::new();
        loop {
            let read = pipe.async_io(Interest::READABLE, |fd| self.read(fd, &mut bytes)).await;
            let (look, ended) = match read {
                Ok((look, count)) => (look, count == 0),
                Err(_) => (self.watch.look(), true),
            };
            self.hand_on(&mut bytes, look, ended).await;
            if ended {
                return;
            }
        }
    }

    /// Reads what is in the pipe, no more, and says what ran meanwhile. A task that ends with something unread in the pipe
    /// leaves a mark there before the slot shows another: so what is read without a mark is of the task that the slot
    /// showed before and after the bytes were counted.
    fn read(&self, pipe: &OwnedFd, bytes: &mut BytesMut) -> io::Result<(Look, usize)> {
        let (mut look, mut count) = (self.watch.look(), socket::unread(pipe)?);
        for _ in 0..LOOKS_MAX {
            let again = self.watch.look();
            if again == look {
                break;
            }
            (look, count) = (again, socket::unread(pipe)?);
        }
        if count == 0 && !socket::has_ended(pipe.as_fd()) {
            // What comes from now on may be of another task.
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let most = if count == 0 { READ_BYTES } else { count.min(READ_BYTES) };
        Ok((look, socket::read_at_most(pipe.as_fd(), bytes, most)?))
    }

    async fn hand_on(&self, bytes: &mut BytesMut, look: Look, ended: bool) {
        loop {
            match first_piece(bytes, ended) {
                Piece::Marked(len, task) => {
                    let text = bytes.split_to(len).freeze();
                    bytes.advance(MARK_BYTES);
                    self.say(look.job, Some((look.first_slot, task)), text, true).await;
                }
                Piece::Open(len) => {
                    let text = bytes.split_to(len).freeze();
                    if !text.is_empty() {
                        self.say(look.job, look.of, text, false).await;
                    }
                    return;
                }
            }
        }
    }

    async fn say(&self, job: u64, of: Option<(u32, TaskRef)>, text: Bytes, ends: bool) {
        let who = Who { executor: self.executor, job, plugin: Arc::clone(&self.plugin) };
        self.log.text(who, of, text, ends).await;
    }
}
