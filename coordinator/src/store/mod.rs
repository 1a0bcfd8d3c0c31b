//! What must last, and the one boundary through which it lasts.
//!
//! A [`Store`] takes batches of [`Record`]s and gives them back when a coordinator starts again. A batch is
//! in the store as a whole or not at all. What a store was told in an older epoch cannot be overwritten by
//! whoever still believes in that epoch.

pub mod blobs;
mod error;
mod lock;
pub mod memory;
mod record;
pub mod sqlite;
pub mod writer;

pub use error::StoreError;
pub use memory::MemoryStore;
pub use record::{EndedAs, PluginRecord, Record};
pub use sqlite::SqliteStore;

use bytes::Bytes;
use muster_core::id::{Epoch, JobId, LogPos};
use muster_core::range::IndexRange;
use muster_proto::v1::Packed;
use std::sync::Arc;

/// Items above this size are files of their own beside the database.
pub const INLINE_MAX_BYTES: usize = 1 << 20;

/// Keeps records.
pub trait Store: Send {
    /// Starts a new epoch and makes it last before it is returned.
    ///
    /// # Errors
    /// When it cannot be written.
    fn begin_epoch(&mut self) -> Result<Epoch, StoreError>;

    /// The number that names what this store keeps, over all lives of its coordinators; `draw` makes one for a store that
    /// has none yet. It lasts before it is returned.
    ///
    /// # Errors
    /// When it cannot be read or written, or drawn.
    fn identity(&mut self, draw: fn() -> Result<u64, StoreError>) -> Result<u64, StoreError>;

    /// Adds a batch, whole or not at all. It is durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`] when a newer epoch began; otherwise when it cannot be written, after which
    /// nothing may be acknowledged any more.
    fn append(&mut self, epoch: Epoch, batch: &[(LogPos, Record)]) -> Result<(), StoreError>;

    /// Gives some of the room back that removed records took, when it is much; called while there is nothing to write, and so
    /// brief that what comes then does not notice. Says whether to go on.
    ///
    /// # Errors
    /// When it cannot be written, as for [`Store::append`].
    fn shrink(&mut self) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// Everything that is in the store, in an order that makes sense: plugins, then each job with what
    /// belongs to it. Results are not read, only which tasks they belong to.
    ///
    /// # Errors
    /// When it cannot be read, or holds what this build does not understand.
    fn replay(&mut self, each: &mut dyn FnMut(Record) -> Result<(), StoreError>) -> Result<(), StoreError>;

    /// A way to read results beside the writer, for as long as the store is open.
    fn readers(&self) -> OpenReader;

    /// Whether what it was told outlives this process.
    fn durable(&self) -> bool;
}

/// Opens a reader of a store.
pub type OpenReader = Arc<dyn Fn() -> Result<Box<dyn Reader>, StoreError> + Send + Sync>;

/// Reads outputs while a writer writes.
pub trait Reader: Send {
    /// Results of tasks in `within`, lowest index first, until `bytes_max` are reached (at least one item
    /// when there is one). Tasks without a kept result are missing.
    ///
    /// # Errors
    /// When they cannot be read.
    fn results(&mut self, job: JobId, within: IndexRange, bytes_max: usize)
    -> Result<Vec<Piece>, StoreError>;

    /// The tasks in `within` that failed for good, lowest index first, at most `count_max`.
    ///
    /// # Errors
    /// When they cannot be read.
    fn failures(
        &mut self,
        job: JobId,
        within: IndexRange,
        count_max: usize,
    ) -> Result<Vec<Failure>, StoreError>;

    /// What is kept of how the tasks in `within` failed, lowest index first, at most `count_max`: encoded
    /// `muster.v1.PostMortem`.
    ///
    /// # Errors
    /// When they cannot be read.
    fn post_mortems(
        &mut self,
        job: JobId,
        within: IndexRange,
        count_max: usize,
    ) -> Result<Vec<Bytes>, StoreError>;

    /// The one output of a job with reduction.
    ///
    /// # Errors
    /// When it cannot be read.
    fn reduced(&mut self, job: JobId) -> Result<Option<Bytes>, StoreError>;
}

/// Results of neighbouring tasks.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// The tasks.
    pub range: IndexRange,
    /// One item for each.
    pub items: Packed,
}

/// A task that failed for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The task.
    pub index: u64,
    /// The number of the class on the wire.
    pub class: i32,
    /// What went wrong.
    pub message: String,
}
