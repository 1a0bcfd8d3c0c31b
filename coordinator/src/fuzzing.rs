//! For the fuzz targets: a database whose rows anybody writes, and a coordinator that takes up what is in it.

pub use crate::store::sqlite::fuzzing::{Database, TABLES};

use crate::Config;
use crate::driver::{Driver, Life};
use crate::metrics::Rejected;
use crate::running::settings;
use crate::store::writer::Log;
use crate::store::{MemoryStore, Record, StoreError};
use muster_core::id::Epoch;
use std::path::PathBuf;
use std::sync::Arc;

/// Takes up these records as a coordinator that starts does, and lets a worker come that runs all there is.
///
/// # Errors
/// Records that make no sense.
///
/// # Panics
/// What was taken up contradicts itself.
pub fn take_up(records: Vec<Record>) -> Result<(), StoreError> {
    let log = Log::start(Box::new(MemoryStore::new()), Epoch(0)).map_err(|source| StoreError::File {
        doing: "starting the writer",
        path: PathBuf::new(),
        source,
    })?;
    let config = Config::private(PathBuf::from("/nowhere/socket"));
    let life = Life { state: 1, epoch: Epoch(1) };
    let mut driver = Driver::new(settings(&config), life, log, Arc::new(Rejected::default()));
    driver.recover(records)?;
    driver.hold_against_itself();
    Ok(())
}
