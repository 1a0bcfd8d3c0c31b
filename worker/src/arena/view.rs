//! The executor's side of the arena: mapped read-only, mapped anew when it has grown.

use crate::os::memory::{self, Access, Mapping};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

/// The arena of a job, shared by the threads of an executor.
#[derive(Debug)]
pub struct ArenaView {
    fd: OwnedFd,
    newest: Mutex<Option<Arc<Mapping>>>,
}

impl ArenaView {
    /// A view of the file that the agent sent; nothing is mapped yet.
    #[must_use]
    pub const fn new(fd: OwnedFd) -> Self {
        Self { fd, newest: Mutex::new(None) }
    }

    /// A mapping of at least `len` bytes.
    fn mapping(&self, len: u64) -> io::Result<Arc<Mapping>> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mapping) = newest.as_ref().filter(|mapping| mapping.len() as u64 >= len) {
            return Ok(Arc::clone(mapping));
        }
        let size = memory::len(self.fd.as_fd())?;
        if size < len {
            let text = format!("inputs end at byte {len}, but the arena has {size} bytes");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        let mapping = Arc::new(Mapping::new(self.fd.as_fd(), size as usize, Access::Read)?);
        *newest = Some(Arc::clone(&mapping));
        Ok(mapping)
    }
}

/// One thread's way to the arena. It keeps the mapping that it last used, so reading takes no lock.
#[derive(Debug)]
pub struct ArenaReader {
    view: Arc<ArenaView>,
    mapping: Option<Arc<Mapping>>,
}

impl ArenaReader {
    /// A reader that has not read anything.
    #[must_use]
    pub const fn new(view: Arc<ArenaView>) -> Self {
        Self { view, mapping: None }
    }

    /// The bytes of a place that the agent filled and has not freed.
    pub fn bytes(&mut self, at: u64, len: u64) -> io::Result<&[u8]> {
        let end = at.checked_add(len).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let known = self.mapping.take().filter(|mapping| mapping.len() as u64 >= end);
        let mapping = match known {
            Some(mapping) => self.mapping.insert(mapping),
            None => self.mapping.insert(self.view.mapping(end)?),
        };
        // SAFETY: `end` lies within the mapping, which `self` keeps as long as the slice lives. The file
        // cannot shrink, is mapped read-only, and the agent does not write to a place until it is freed.
        Ok(unsafe { std::slice::from_raw_parts(mapping.start().as_ptr().add(at as usize), len as usize) })
    }
}
