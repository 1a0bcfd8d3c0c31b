//! How long threads and processes take from their start to their end, when they do nothing in between.

use super::held::held;
use crate::statistics::block_order;
use muster_worker::os::fork::{Alone, wait};
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Does nothing, successfully.
const PROGRAM: &str = "true";

/// The question.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Starts {
    /// Memory that the process has which starts them.
    pub held_bytes: u64,
    /// Each is started so often, one after the other, in random order.
    pub rounds: u32,
    /// Seed of the order.
    pub seed: u64,
    /// No more rounds after this time.
    pub limit: Duration,
}

/// Times in seconds, of each round.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Started {
    pub thread: Vec<f64>,
    /// A copy of the process.
    pub fork: Vec<f64>,
    /// A copy that then becomes another program.
    pub fork_exec: Vec<f64>,
    /// Another program at once, without a copy (vfork or CLONE_VM).
    pub spawn: Vec<f64>,
}

impl Starts {
    pub(super) fn measure(&self) -> io::Result<Started> {
        let held = held(self.held_bytes);
        let (began, mut started) = (Instant::now(), Started::default());
        for round in 0..self.rounds {
            for which in block_order(self.seed, round.into(), 4) {
                match which {
                    0 => started.thread.push(timed(thread)?),
                    1 => {
                        let alone = alone()?;
                        started.fork.push(timed(|| wait(alone.fork(|| 0)?).map(drop))?);
                    }
                    2 => {
                        let alone = alone()?;
                        started.fork_exec.push(timed(|| wait(alone.fork(become_program)?).map(drop))?);
                    }
                    _ => started.spawn.push(timed(spawn)?),
                }
            }
            if began.elapsed() > self.limit {
                break;
            }
        }
        drop(black_box(held));
        Ok(started)
    }
}

/// A thread that was waited for may still be on its way out.
fn alone() -> io::Result<Alone> {
    let began = Instant::now();
    loop {
        match Alone::look() {
            Err(_) if began.elapsed() < Duration::from_secs(1) => std::thread::yield_now(),
            looked => return looked,
        }
    }
}

fn timed(work: impl FnOnce() -> io::Result<()>) -> io::Result<f64> {
    let began = Instant::now();
    work()?;
    Ok(began.elapsed().as_secs_f64())
}

fn thread() -> io::Result<()> {
    let thread = std::thread::Builder::new().spawn(|| ())?;
    thread.join().map_err(|_| io::Error::other("a thread that does nothing panicked"))
}

fn program() -> Command {
    let mut command = Command::new(PROGRAM);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The standard library starts programs without a copy of the process when nothing has to be done between.
fn spawn() -> io::Result<()> {
    program().spawn()?.wait().map(drop)
}

/// Comes back only when it cannot.
fn become_program() -> i32 {
    use std::os::unix::process::CommandExt as _;
    drop(program().exec());
    1
}
