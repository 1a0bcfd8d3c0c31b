//! `disk`: writes, reads or syncs a file block by block, to see what a file system does under each model.
//!
//! Files have no name, or lose it at once, so that nothing is left however a task ends. A write without `direct` or
//! `op=fsync` ends in the page cache, and a read mostly comes from there: that is what programs do, and not how fast the
//! device is. `direct=true` goes past the cache.
//!
//! For `op=read` each process writes one file first, in the first of its tasks, and all of its tasks read that one.
//! The output is the number of bytes; how long each block took is in the histogram `block_seconds`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod block;
mod failure;
mod scratch;
mod transfer;

use block::Block;
use failure::Failure;
use muster_sdk::{Context, Counter, Error, Histogram, Job, Random, Task, Workload};
use scratch::Scratch;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;
use transfer::{Extent, Order};

muster_sdk::choices! {
    /// What happens to each block.
    pub enum Op {
        /// It is written.
        Write = "write",
        /// It is read.
        Read = "read",
        /// It is written, and the task waits until it is on the device.
        Fsync = "fsync",
    }
}

muster_sdk::choices! {
    /// Which block is next.
    pub enum Pattern {
        /// The one behind the last.
        Sequential = "sequential",
        /// Any, with the same chance.
        Random = "random",
    }
}

muster_sdk::params! {
    /// What is done, and where.
    pub struct Params {
        /// What happens to each block.
        pub op: Op = Op::Write,
        /// Which block is next.
        pub pattern: Pattern = Pattern::Sequential,
        /// Folder of the files; empty: the task's own folder, or the system's for temporary files.
        pub path: String = "",
        /// Bytes that each task moves, and the size of its file: a multiple of block.
        pub size: u64 = 16_777_216 => 512..=1_099_511_627_776,
        /// Bytes of a block.
        pub block: u64 = 65_536 => 512..=67_108_864,
        /// Goes past the page cache; block must be a multiple of 4096 then.
        pub direct: bool = false,
    }
}

/// How often a task looks whether another one has prepared the file.
const LOOK: Duration = Duration::from_millis(5);

struct Disk {
    op: Op,
    order: Order,
    folder: Option<PathBuf>,
    extent: Extent,
    direct: bool,
    /// What all tasks of this process read.
    prepared: Mutex<Option<File>>,
    seconds: Histogram,
    bytes: Counter,
}

impl Workload for Disk {
    type Params = Params;
    type Output = u64;

    fn create(params: Params, job: &Job) -> Result<Self, Error> {
        let extent = Extent::new(params.size, params.block, params.direct)?;
        let folder = (!params.path.is_empty()).then(|| PathBuf::from(&params.path));
        if let Some(folder) = &folder
            && !folder.is_dir()
        {
            let shown = folder.display();
            return Err(Error::params(format_args!(
                "path={shown} is no folder on this machine; make it, or name another"
            )));
        }
        Ok(Self {
            op: params.op,
            order: match params.pattern {
                Pattern::Sequential => Order::Sequential,
                Pattern::Random => Order::Random,
            },
            folder,
            extent,
            direct: params.direct,
            prepared: Mutex::new(None),
            seconds: job.histogram("block_seconds"),
            bytes: job.counter("bytes_total"),
        })
    }

    fn run(&self, _task: Task<'_>, ctx: &mut Context<'_>) -> Result<u64, Error> {
        let scratch = self.scratch(ctx)?;
        let mut block = Block::new(self.extent.block);
        let mut random = ctx.random().clone();
        if self.op == Op::Read {
            let file = self.prepared(&scratch, &mut block, ctx)?;
            self.each(ctx, &mut random, |at| {
                file_failure(&scratch, "read", transfer::read(&file, at, &mut block))
            })?;
        } else {
            block.fill(&mut random);
            let file = scratch.create()?;
            let syncs = self.op == Op::Fsync;
            self.each(ctx, &mut random, |at| {
                file_failure(&scratch, "write", transfer::write(&file, at, &block, syncs))
            })?;
        }
        self.bytes.add(self.extent.size);
        Ok(self.extent.size)
    }
}

fn file_failure(scratch: &Scratch, doing: &'static str, result: std::io::Result<()>) -> Result<(), Failure> {
    result.map_err(|error| Failure::new(scratch.folder(), doing, error))
}

impl Disk {
    fn scratch(&self, ctx: &Context<'_>) -> Result<Scratch, Error> {
        let folder = match &self.folder {
            Some(folder) => folder.clone(),
            None => ctx.scratch_dir()?.unwrap_or_else(std::env::temp_dir),
        };
        Ok(Scratch::new(folder, self.direct))
    }

    /// Moves every block, and measures each.
    fn each(
        &self,
        ctx: &mut Context<'_>,
        random: &mut Random,
        mut step: impl FnMut(u64) -> Result<(), Failure>,
    ) -> Result<(), Error> {
        for number in 0..self.extent.blocks() {
            ctx.check()?;
            let at = self.extent.offset(self.order, number, random);
            let took = ctx.blocking(|| transfer::timed(|| step(at)))?;
            self.seconds.record(took.as_secs_f64());
            ctx.progress(number + 1, self.extent.blocks());
        }
        Ok(())
    }

    /// The file that this process reads, which the first task writes.
    fn prepared(&self, scratch: &Scratch, block: &mut Block, ctx: &mut Context<'_>) -> Result<File, Error> {
        loop {
            ctx.check()?;
            let mut prepared = match self.prepared.try_lock() {
                Ok(prepared) => prepared,
                Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
                Err(TryLockError::WouldBlock) => {
                    ctx.blocking(|| thread::sleep(LOOK));
                    continue;
                }
            };
            let clone = |file: &File| {
                file.try_clone().map_err(|error| Failure::new(scratch.folder(), "open", error).into())
            };
            if let Some(file) = &*prepared {
                return clone(file);
            }
            block.fill(&mut Random::new(0));
            let file = scratch.create()?;
            for number in 0..self.extent.blocks() {
                ctx.check()?;
                let at = number * self.extent.block;
                ctx.blocking(|| file_failure(scratch, "write", transfer::write(&file, at, block, false)))?;
            }
            let copy = clone(&file);
            *prepared = Some(file);
            return copy;
        }
    }
}

muster_sdk::export! {
    Disk {
        name: "disk",
        description: "Writes, reads or syncs a file block by block",
        default_tasks: 10,
        deterministic: true,
        idempotent: true,
        metrics: &[
            MetricSpec::histogram("block_seconds", "Time to move a block"),
            MetricSpec::counter("bytes_total", "Bytes that tasks have moved"),
        ],
    }
}
