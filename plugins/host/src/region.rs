//! Why a plugin does not get a region of shared memory.

use muster_plugin_abi::{REGION_NAME_MAX, status};
use std::io;

/// Why there is no such region.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// This process shares nothing.
    #[error("this host offers no shared memory")]
    NotOffered,
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
            Self::NotOffered => status::UNSUPPORTED,
            Self::Name { .. } | Self::Empty { .. } => status::PARAMS,
            Self::NotOpen { .. } | Self::OtherLength { .. } | Self::Overwritten => status::FAILED,
            Self::Full { .. } | Self::TooMany { .. } => status::NOMEM,
            Self::Busy { .. } | Self::System { .. } => status::TRANSIENT,
        }
    }
}
