//! Anonymous shared files and their mappings.

use super::check;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;

/// A new shared file of `len` bytes, all zero, that nobody can make smaller: a plugin that has the
/// descriptor cannot take pages away from under the agent.
pub fn shared_file(name: &CStr, len: u64) -> io::Result<OwnedFd> {
    // SAFETY: `name` is NUL-terminated; the call returns a new descriptor or -1.
    let raw =
        check(unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) })?;
    // SAFETY: `raw` is a descriptor that was just made and belongs to nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(raw) };
    set_len(&fd, len)?;
    // SAFETY: F_ADD_SEALS takes an int and touches no memory of ours.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_SHRINK) })?;
    Ok(fd)
}

/// Makes a shared file longer.
fn set_len(fd: &OwnedFd, len: u64) -> io::Result<()> {
    let len = i64::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    // SAFETY: the descriptor is open; no memory is passed.
    check(unsafe { libc::ftruncate(fd.as_raw_fd(), len) })?;
    Ok(())
}

/// The length of an open file.
pub fn len(fd: BorrowedFd<'_>) -> io::Result<u64> {
    // SAFETY: an all-zero stat is a valid value to be overwritten.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open and `stat` is valid to write to.
    check(unsafe { libc::fstat(fd.as_raw_fd(), &mut stat) })?;
    Ok(stat.st_size as u64)
}

/// Gives the pages of a part of a shared file back to the machine; they read as zero afterwards.
pub fn punch_hole(fd: BorrowedFd<'_>, at: u64, len: u64) -> io::Result<()> {
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: the descriptor is open; no memory is passed.
    check(unsafe { libc::fallocate(fd.as_raw_fd(), mode, at as i64, len as i64) })?;
    Ok(())
}

/// A second, read-only descriptor of a shared file.
pub fn read_only(fd: &OwnedFd) -> io::Result<OwnedFd> {
    Ok(std::fs::File::open(format!("/proc/self/fd/{}", fd.as_raw_fd()))?.into())
}

/// What a mapping may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    ReadWrite,
}

/// A shared mapping of a whole file; unmapped on drop.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping is plain memory without thread affinity; whoever reads it decides how it is shared.
unsafe impl Send for Mapping {}
// SAFETY: as above; the type itself hands out nothing but a pointer.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes of a file, which must not be 0.
    pub fn new(fd: BorrowedFd<'_>, len: usize, access: Access) -> io::Result<Self> {
        Self::of_part(fd, 0, len, access)
    }

    /// Maps `len` bytes of a file, which must not be 0, from `at` on, a multiple of the page size.
    pub fn of_part(fd: BorrowedFd<'_>, at: u64, len: usize, access: Access) -> io::Result<Self> {
        let at = i64::try_from(at).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let protection = match access {
            Access::Read => libc::PROT_READ,
            Access::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
        };
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), len, protection, libc::MAP_SHARED, fd.as_raw_fd(), at)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        Ok(Self { start, len })
    }

    /// Gives the memory back and keeps the addresses, for as long as the process lives: a pointer that was left somewhere ends
    /// it by SIGSEGV, and never points to what comes next.
    pub fn fence(self) {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
        // SAFETY: exactly the addresses of this mapping are replaced; what was there belongs to nobody any more.
        unsafe { libc::mmap(self.start.as_ptr().cast(), self.len, libc::PROT_NONE, flags, -1, 0) };
        std::mem::forget(self);
    }

    /// Children that this process forks do not have it: one that goes on as if it were its parent ends by SIGSEGV.
    pub fn hide_from_children(&self) -> io::Result<()> {
        // SAFETY: the range is this mapping.
        check(unsafe { libc::madvise(self.start.as_ptr().cast(), self.len, libc::MADV_DONTFORK) })?;
        Ok(())
    }

    /// The number whose four bytes begin at `at`, a multiple of 4 within the mapping. It must be one for reading and writing
    /// when it is changed.
    #[must_use]
    pub fn word(&self, at: usize) -> Option<&AtomicU32> {
        let fits = at.is_multiple_of(size_of::<AtomicU32>())
            && at.checked_add(size_of::<AtomicU32>()).is_some_and(|end| end <= self.len);
        // SAFETY: within the mapping and aligned, as was just checked; it lives as long as the mapping, and whoever else has
        // the file can do nothing to a number that an atomic does not bear.
        fits.then(|| unsafe { self.start.add(at).cast().as_ref() })
    }

    /// The address of its first byte, aligned to a page.
    #[must_use]
    pub const fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Never: an empty mapping cannot be made.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: start and len are what mmap gave; nobody borrows from a mapping beyond its life.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
