//! The crash record: what an executor writes about itself while a signal or a call of `exit` ends it. The agent makes a small shared file per
//! executor and passes it along with the plugin; the file survives the process. A plugin can scribble on it as it
//! can on all memory of its executor: the agent copies it once, believes no number in it beyond its bounds, and uses it for
//! words and blame alone.

pub(crate) mod layout;
mod modules;
mod record;

pub use modules::{Module, Place};
pub(crate) use record::places_of;
pub use record::{Access, CrashRecord, Role};

use crate::os::memory;
use layout::RECORD_BYTES;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// The file of one executor, as the agent holds it.
#[derive(Debug)]
pub struct CrashFile(File);

impl CrashFile {
    /// A new one; nothing has crashed.
    ///
    /// # Errors
    /// No descriptors or no memory left.
    pub fn create() -> io::Result<Self> {
        memory::shared_file(c"muster-crash", RECORD_BYTES as u64).map(|fd| Self(fd.into()))
    }

    /// Another descriptor of it, for the executor.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn for_executor(&self) -> io::Result<OwnedFd> {
        self.0.as_fd().try_clone_to_owned()
    }

    /// The descriptor.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// What the executor wrote; `None`: nothing, or nothing that makes sense.
    #[must_use]
    pub fn read(&self) -> Option<CrashRecord> {
        let mut bytes = vec![0; RECORD_BYTES];
        self.0.read_exact_at(&mut bytes, 0).ok()?;
        CrashRecord::parse(&bytes)
    }
}
