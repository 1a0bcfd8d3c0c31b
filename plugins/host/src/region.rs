//! Regions of shared memory: why a plugin does not get one, and those of a process that is alone.

use muster_plugin_abi::{REGION_NAME_MAX, status};
use std::alloc::{Layout, alloc_zeroed};
use std::collections::BTreeMap;
use std::io;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

/// Regions begin at a multiple of this.
const PAGE_BYTES: usize = 4096;

/// Why there is no such region.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// The job is another one, or has ended.
    #[error("job {job} is not open in this process; ask for regions between its create() and its destroy()")]
    NotOpen {
        /// The job that was asked for.
        job: u128,
    },
    /// A name that cannot be.
    #[error("a region needs a name of 1 to {REGION_NAME_MAX} bytes of UTF-8; this one has {bytes} bytes")]
    Name {
        /// Its length.
        bytes: usize,
    },
    /// A length that cannot be.
    #[error("region {name}: a length of 0 bytes cannot be shared")]
    Empty {
        /// The region.
        name: String,
    },
    /// It is there with another length.
    #[error("region {name} has {has} bytes and not {asked}: all who share it must ask for the same length")]
    OtherLength {
        /// The region.
        name: String,
        /// Its length in bytes.
        has: u64,
        /// The length that was asked for.
        asked: u64,
    },
    /// There is no room for it.
    #[error(
        "region {name} of {asked} bytes: the job's regions on this worker may have {max} bytes in all, and {used} are used"
    )]
    Full {
        /// The region.
        name: String,
        /// Its length in bytes.
        asked: u64,
        /// Bytes that are used.
        used: u64,
        /// Bytes that there may be.
        max: u64,
    },
    /// There are too many others.
    #[error("region {name}: a job has at most {max} regions on a worker")]
    TooMany {
        /// The region.
        name: String,
        /// How many there may be.
        max: usize,
    },
    /// Somebody holds the table.
    #[error("region {name}: another process of the job holds the table of regions and stands still")]
    Busy {
        /// The region.
        name: String,
    },
    /// What is written there makes no sense.
    #[error("the table of the job's shared memory was overwritten; look for a write through a wrong pointer")]
    Overwritten,
    /// The system refused.
    #[error("region {name}: {source}")]
    System {
        /// The region.
        name: String,
        /// Why.
        source: io::Error,
    },
}

impl RegionError {
    /// What the plugin is told.
    #[must_use]
    pub(crate) fn status(&self) -> i32 {
        match self {
            Self::Name { .. } | Self::Empty { .. } => status::PARAMS,
            Self::NotOpen { .. } | Self::OtherLength { .. } | Self::Overwritten => status::FAILED,
            Self::Full { .. } | Self::TooMany { .. } => status::NOMEM,
            Self::Busy { .. } | Self::System { .. } => status::TRANSIENT,
        }
    }
}

/// A region of a process that shares with nobody: the same memory for the same job, name and length until the process
/// ends.
pub(crate) fn alone(job: u128, name: &str, len: usize) -> Result<NonNull<u8>, RegionError> {
    static REGIONS: Mutex<BTreeMap<(u128, String), Alone>> = Mutex::new(BTreeMap::new());
    let mut regions = REGIONS.lock().unwrap_or_else(PoisonError::into_inner);
    let (key, asked) = ((job, name.to_owned()), len as u64);
    if let Some(found) = regions.get(&key) {
        let Alone { start, len: has } = *found;
        let differs = || RegionError::OtherLength { name: name.to_owned(), has: has as u64, asked };
        return (has == len).then_some(start).ok_or_else(differs);
    }
    let no_memory =
        || RegionError::System { name: name.to_owned(), source: io::ErrorKind::OutOfMemory.into() };
    let layout = Layout::from_size_align(len, PAGE_BYTES).map_err(|_| no_memory())?;
    // SAFETY: the host has checked that the length is not 0.
    let start = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(no_memory)?;
    regions.insert(key, Alone { start, len });
    Ok(start)
}

/// Where such a region is. It is never given back.
struct Alone {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory has no thread affinity; what is done with it is the plugin's affair.
unsafe impl Send for Alone {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_alone_has_memory_by_name_too() {
        let first = alone(1, "a", 100).unwrap();
        assert_eq!(alone(1, "a", 100).unwrap(), first);
        assert_ne!(alone(1, "b", 100).unwrap(), first);
        assert_ne!(alone(2, "a", 100).unwrap(), first);
        assert!(matches!(alone(1, "a", 101), Err(RegionError::OtherLength { has: 100, asked: 101, .. })));
        assert!(matches!(alone(1, "c", usize::MAX), Err(RegionError::System { .. })));
    }
}
