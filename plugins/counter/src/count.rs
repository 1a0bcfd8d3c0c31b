//! The additions.

use crate::Mode;
use crate::board::{Board, shard_of};
use muster_sdk::shared::Word;
use muster_sdk::{Context, Error};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// So many additions pass between two looks at the cancel flag.
const LOOK_EVERY: u64 = 1_024;

/// How a task adds.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    pub mode: Mode,
    pub checkpoint: bool,
    pub hold: Duration,
}

impl Count {
    /// Adds so many times.
    pub fn run(self, board: &Board, times: u64, ctx: &mut Context<'_>) -> Result<(), Error> {
        let shard = match self.mode {
            Mode::Sharded => &board.shards[shard_of(ctx.slot())],
            _ => &board.value,
        };
        for time in 0..times {
            if time % LOOK_EVERY == 0 || !self.hold.is_zero() {
                ctx.check()?;
            }
            match self.mode {
                Mode::Racy => self.add(&board.value, ctx)?,
                Mode::Mutex => {
                    let guard = board.mutex.lock(ctx)?;
                    note(board, guard.was_abandoned());
                    self.add(&board.value, ctx)?;
                }
                Mode::RwLock => {
                    let guard = board.rwlock.write(ctx)?;
                    note(board, guard.was_abandoned());
                    self.add(&board.value, ctx)?;
                }
                Mode::Semaphore => {
                    let guard = board.semaphore.acquire(ctx)?;
                    note(board, guard.was_abandoned());
                    self.add(&board.value, ctx)?;
                }
                Mode::Atomic | Mode::Sharded => {
                    shard.fetch_add(1, Relaxed);
                    self.pause(ctx)?;
                }
            }
        }
        Ok(())
    }

    /// Reads, and writes one more: two steps, as `number += 1` is in most languages.
    fn add(self, value: &Word, ctx: &mut Context<'_>) -> Result<(), Error> {
        let before = value.load(Relaxed);
        self.pause(ctx)?;
        value.store(before.wrapping_add(1), Relaxed);
        Ok(())
    }

    fn pause(self, ctx: &mut Context<'_>) -> Result<(), Error> {
        if self.checkpoint {
            ctx.checkpoint()?;
        }
        if !self.hold.is_zero() {
            ctx.blocking(|| std::thread::sleep(self.hold));
        }
        Ok(())
    }
}

fn note(board: &Board, was_abandoned: bool) {
    if was_abandoned {
        board.note_abandoned();
    }
}
