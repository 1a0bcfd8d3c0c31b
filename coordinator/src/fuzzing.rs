//! For the fuzz targets: a database whose rows anybody writes, and a coordinator that takes up what is in it.

pub use crate::store::sqlite::fuzzing::{Database, TABLES};

use crate::store::{Record, StoreError};

/// Takes up these records as a coordinator that starts does, and lets a worker come that runs all there is.
///
/// # Errors
/// Records that make no sense.
///
/// # Panics
/// What was taken up contradicts itself.
pub fn take_up(records: Vec<Record>) -> Result<(), StoreError> {
    let mut driver = crate::state::trial()?;
    driver.recover(records)?;
    driver.hold_against_itself();
    Ok(())
}
