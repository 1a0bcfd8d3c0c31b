//! How much memory several take that all read one table, by the way they came to it.

use super::held::held;
use muster_worker::os::fork::{Alone, wait};
use muster_worker::os::memory::{Access, Mapping, shared_file};
use muster_worker::os::proc_file::pss_bytes;
use muster_worker::os::process;
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::sync::Barrier;

/// The way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// Threads of one process read the same one.
    Threads,
    /// Processes read a file that all of them map.
    Mapped,
    /// Processes read the one that their parent had when it forked them.
    CopyOnWrite,
    /// Each process makes a copy of its own.
    Copied,
}

impl How {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Threads, Self::Mapped, Self::CopyOnWrite, Self::Copied];

    /// As tables call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Threads => "threads, one table",
            Self::Mapped => "processes, mapped",
            Self::CopyOnWrite => "processes, copy on write",
            Self::Copied => "processes, a copy each",
        }
    }
}

/// The question; the answer: memory (PSS) of the process and all that it started together, in bytes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Sharing {
    pub how: How,
    pub bytes: u64,
    /// Threads or processes that read it.
    pub readers: u32,
}

impl Sharing {
    pub(super) fn measure(&self) -> io::Result<u64> {
        match self.how {
            How::Threads => self.threads(),
            How::Mapped => {
                let len = usize::try_from(self.bytes).map_err(io::Error::other)?;
                let file = shared_file(c"table", self.bytes)?;
                std::fs::File::from(file.try_clone()?).write_all(&held(self.bytes))?;
                self.processes(move || {
                    let mapping = Mapping::new(file.as_fd(), len, Access::Read)?;
                    // One number of each page is enough to have the page.
                    let sum = (0..len).step_by(4096).filter_map(|at| mapping.word(at));
                    let sum = sum.fold(0_u32, |sum, word| {
                        sum.wrapping_add(word.load(std::sync::atomic::Ordering::Relaxed))
                    });
                    black_box(sum);
                    Ok(mapping)
                })
            }
            How::CopyOnWrite => {
                let table = held(self.bytes);
                self.processes(|| {
                    read(&table);
                    Ok(())
                })
            }
            How::Copied => {
                let bytes = self.bytes;
                self.processes(move || {
                    let table = held(bytes);
                    read(&table);
                    Ok(table)
                })
            }
        }
    }

    fn threads(&self) -> io::Result<u64> {
        let table = held(self.bytes);
        let (ready, end) = (Barrier::new(self.readers as usize + 1), Barrier::new(self.readers as usize + 1));
        std::thread::scope(|scope| {
            for _ in 0..self.readers {
                scope.spawn(|| {
                    read(&table);
                    ready.wait();
                    end.wait();
                });
            }
            ready.wait();
            let bytes = sum(&[]);
            end.wait();
            bytes
        })
    }

    /// Processes that keep what `reader` gives until they were looked at.
    fn processes<T>(&self, reader: impl Fn() -> io::Result<T>) -> io::Result<u64> {
        let alone = Alone::look()?;
        let (mut is_ready, ready) = io::pipe()?;
        let (end, ends) = io::pipe()?;
        let mut children = Vec::new();
        for _ in 0..self.readers {
            children.push(alone.fork(|| {
                let (mut ready, mut end) = (&ready, &end);
                let kept = reader();
                let said = kept.is_ok() && ready.write_all(&[1]).is_ok();
                // Whoever looks has done so when this byte comes.
                let ended = said && end.read_exact(&mut [0]).is_ok();
                drop(black_box(kept));
                i32::from(!ended)
            })?);
        }
        drop(ready);
        is_ready.read_exact(&mut vec![0; self.readers as usize]).map_err(|_| {
            io::Error::other("a process that reads the table ended early: is there memory for all of them?")
        })?;
        let bytes = sum(&children);
        (&ends).write_all(&vec![1; children.len()])?;
        for child in children {
            if wait(child)? != process::WaitStatus::Code(0) {
                return Err(io::Error::other("a process that reads the table ended early"));
            }
        }
        bytes
    }
}

/// Reads a number of each page.
fn read(table: &[u8]) {
    let sum = table.iter().step_by(4096).fold(0_u64, |sum, &byte| sum + u64::from(byte));
    black_box(sum);
}

/// Of this process and of these.
fn sum(children: &[u32]) -> io::Result<u64> {
    let all = children.iter().copied().chain([std::process::id()]);
    let unknown = || io::Error::other("the system does not say how much memory a process has (smaps_rollup)");
    all.map(|pid| pss_bytes(&pid.to_string()).ok_or_else(unknown)).sum()
}
