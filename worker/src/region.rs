//! Memory that the executors of a job on this worker share, by name: one sparse file per job, which the agent makes and never
//! looks into. A table at its start says which region lies where. Whoever adds one holds a lock that the kernel takes back
//! from processes that die. A plugin can scribble over the table: what is read from it is checked against the
//! file's bounds before it is used.

mod table;

pub(crate) use table::Regions;

use crate::os::{check, memory};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Bytes of all regions of a job on a worker.
pub(crate) const REGIONS_BYTES_MAX: u64 = 1 << 30;
/// Regions of a job on a worker.
pub(crate) const REGIONS_MAX: usize = 64;
/// Regions begin at multiples of this.
const PAGE_BYTES: u64 = 4096;
/// The table comes before them.
const TABLE_BYTES: u64 = 2 * PAGE_BYTES;

/// The agent's side: it only keeps the file.
#[derive(Debug)]
pub struct RegionFile(OwnedFd);

impl RegionFile {
    /// One without regions. It takes no memory before something is written there, and nobody can change its length.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn create() -> io::Result<Self> {
        let fd = memory::shared_file(c"muster-regions", TABLE_BYTES + REGIONS_BYTES_MAX)?;
        let seals = libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: F_ADD_SEALS takes an int and touches no memory of ours.
        check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) })?;
        Ok(Self(fd))
    }

    /// The descriptor to give to an executor.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
