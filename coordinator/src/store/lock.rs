//! One coordinator per state folder.

use super::StoreError;
use muster_proto::link::try_flock;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Holds a state folder until it is dropped, or the process ends however it ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the folder, or says that another coordinator has it.
    pub fn take(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW)
            .open(&path)
            .map_err(StoreError::file("opening", &path))?;
        match try_flock(&file).map_err(StoreError::file("locking", &path))? {
            true => Ok(Self { _file: file }),
            false => Err(StoreError::InUse { path: folder.to_owned() }),
        }
    }
}
