//! One side of a channel's row: how it waits for the other, and how they part.

use super::process::{has_ended, watch};
use super::ring::RingWords;
use super::table::{CONNECTED, FREE, JOINED, RowWords, SideWords, Table, WAITING};
use super::waiting::{LOOK, Waiting};
use super::{ChannelError, End, Side};
use crate::futex;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

/// One side of a row: it is left when this is dropped.
#[derive(Debug)]
pub(super) struct Row {
    table: Table,
    number: usize,
    pub side: Side,
    /// Tells when the peer's process has ended; none: it is this one.
    peer: Option<OwnedFd>,
}

/// A row that waits for a peer; it is given back when this is dropped.
pub(super) struct Made {
    table: Table,
    number: usize,
    is_over: bool,
}

impl Made {
    /// A row that was filled.
    pub fn new(table: Table, number: usize) -> Self {
        Self { table, number, is_over: false }
    }

    /// Waits for a peer, and gives its process; none: nobody came until `until`.
    pub fn wait(mut self, until: Instant, waiting: &Waiting<'_>) -> Result<Option<(Row, u32)>, ChannelError> {
        let state = &self.table.row(self.number).state;
        waiting.until(|| {
            if state.load(SeqCst) == WAITING {
                futex::wait(state, WAITING, LOOK);
            }
            Ok((state.load(SeqCst) != WAITING || Instant::now() >= until).then_some(()))
        })?;
        let nobody_came = self.give_back();
        self.is_over = true;
        if nobody_came {
            return Ok(None);
        }
        let row = self.table.row(self.number);
        let side = Side::from_number(row.maker_side.load(SeqCst)).ok_or(ChannelError::Overwritten)?;
        let joiner = row.joiner.load(SeqCst);
        Ok(Some((Row::new(self.table, self.number, side)?, joiner)))
    }

    /// Nobody can join it any more; `false`: somebody has.
    fn give_back(&self) -> bool {
        self.table.row(self.number).state.compare_exchange(WAITING, FREE, SeqCst, SeqCst).is_ok()
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if !self.is_over && !self.give_back() {
            // Somebody came while this one was told to stop.
            let row = self.table.row(self.number);
            if let Some(side) = Side::from_number(row.maker_side.load(SeqCst)) {
                drop(Row { table: self.table, number: self.number, side, peer: None });
            }
        }
    }
}

impl Row {
    /// This side of a row that two have met in.
    pub fn new(table: Table, number: usize, side: Side) -> Result<Self, ChannelError> {
        let mut row = Self { table, number, side, peer: None };
        let process = row.peer_words().process.load(SeqCst);
        if process != std::process::id() && row.peer_end().is_none() {
            row.peer = Some(watch(process).map_err(|error| match error.raw_os_error() {
                Some(libc::ESRCH | libc::EINVAL) => ChannelError::PeerDied { peer: side.other(), process },
                _ => ChannelError::System { what: "watching the peer's process", source: error },
            })?);
        }
        Ok(row)
    }

    fn words(&self) -> &RowWords {
        self.table.row(self.number)
    }

    fn peer_words(&self) -> &SideWords {
        &self.words().sides[self.side.other() as usize]
    }

    /// The words of its ring, and the data.
    pub fn ring(&self) -> (NonNull<RingWords>, NonNull<u8>) {
        (NonNull::from(&self.words().ring), self.table.data(self.number))
    }

    /// The joiner has what it needs from the maker.
    pub fn connected(&self) {
        self.words().state.store(CONNECTED, SeqCst);
        futex::wake(&self.words().state, u32::MAX);
    }

    /// The maker waits until the joiner has what it needs.
    pub fn wait_for_connection(&self, waiting: &Waiting<'_>) -> Result<(), ChannelError> {
        let state = &self.words().state;
        waiting.until(|| {
            // The peer is looked at first: one that has connected and left meanwhile has left something to receive.
            let peer = self.check_peer();
            if state.load(SeqCst) == JOINED {
                peer?;
                futex::wait(state, JOINED, LOOK);
            }
            Ok((state.load(SeqCst) != JOINED).then_some(()))
        })
    }

    /// How the peer ended, if it has.
    pub fn peer_end(&self) -> Option<End> {
        End::from_number(self.peer_words().end.load(SeqCst))
    }

    /// Fails when the peer has left or died without having done its part.
    pub fn check_peer(&self) -> Result<(), ChannelError> {
        let peer = self.side.other();
        // Who has ended did so before its process did.
        let has_died = self.peer.as_ref().is_some_and(has_ended);
        match self.peer_end() {
            Some(End::GaveUp) => Err(ChannelError::PeerLeft { peer }),
            Some(End::Done) => Ok(()),
            None if has_died => {
                Err(ChannelError::PeerDied { peer, process: self.peer_words().process.load(SeqCst) })
            }
            None => Ok(()),
        }
    }

    /// Why what the peer held was cut: who leaves says so first, and a process that is killed does not.
    pub fn cut(&self) -> ChannelError {
        let peer = self.side.other();
        let process = self.peer_words().process.load(SeqCst);
        match self.peer_end() {
            None if self.peer.is_some() => ChannelError::PeerDied { peer, process },
            _ => ChannelError::PeerLeft { peer },
        }
    }

    /// This side has done its part, or gives up.
    pub fn end(&self, end: End) {
        let own = &self.words().sides[self.side as usize];
        if own.end.compare_exchange(0, end as u32, SeqCst, SeqCst).is_ok() {
            futex::wake(&own.end, u32::MAX);
            self.words().ring.wake();
            futex::wake(&self.words().state, u32::MAX);
        }
    }

    /// Waits until the peer has ended, too.
    pub fn wait_for_peer(&self, waiting: &Waiting<'_>) -> Result<End, ChannelError> {
        waiting.until(|| {
            self.check_peer()?;
            if self.peer_end().is_none() {
                futex::wait(&self.peer_words().end, 0, LOOK);
            }
            Ok(self.peer_end())
        })
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        self.end(End::GaveUp);
        self.words().sides[self.side as usize].process.store(0, SeqCst);
    }
}
