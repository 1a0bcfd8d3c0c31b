//! Large things as files named by their BLAKE3 digest, written once and never changed.

pub use muster_proto::hex;

use super::StoreError;
use bytes::Bytes;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The name of a blob: BLAKE3 of its bytes.
pub type Digest = [u8; 32];

/// A place for blobs. Clones share it.
#[derive(Clone, Debug)]
pub struct Blobs {
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Folder(Arc<Path>),
    Memory(Arc<Mutex<HashMap<Digest, Bytes>>>),
}

impl Blobs {
    /// Blobs as files in `folder`, which is made when it is missing. Leftovers of a crash are removed.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(StoreError::file("making the folder", folder))?;
        for entry in fs::read_dir(folder).map_err(StoreError::file("reading", folder))?.flatten() {
            if entry.file_name().to_string_lossy().ends_with(".part") {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(Self { place: Place::Folder(folder.into()) })
    }

    /// Blobs that are in `folder`; nothing is made or removed.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        Self { place: Place::Folder(folder.into()) }
    }

    /// Blobs that end with the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { place: Place::Memory(Arc::default()) }
    }

    /// Whether they end with the process.
    #[must_use]
    pub const fn is_in_memory(&self) -> bool {
        matches!(self.place, Place::Memory(_))
    }

    /// Keeps `bytes`; they are durable when this returns.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = *blake3::hash(bytes).as_bytes();
        match &self.place {
            Place::Memory(blobs) => {
                let mut blobs = blobs.lock().unwrap_or_else(PoisonError::into_inner);
                blobs.entry(digest).or_insert_with(|| Bytes::copy_from_slice(bytes));
            }
            Place::Folder(folder) => {
                let path = folder.join(hex(&digest));
                if !path.exists() {
                    write_durably(folder, &path, bytes)?;
                }
            }
        }
        Ok(digest)
    }

    /// The bytes of a blob.
    ///
    /// # Errors
    /// When they cannot be read; [`std::io::ErrorKind::NotFound`] when there is no such blob.
    pub fn get(&self, digest: &Digest) -> Result<Bytes, StoreError> {
        match &self.place {
            Place::Memory(blobs) => {
                let blobs = blobs.lock().unwrap_or_else(PoisonError::into_inner);
                blobs.get(digest).cloned().ok_or_else(|| {
                    StoreError::file("reading", hex(digest))(std::io::ErrorKind::NotFound.into())
                })
            }
            Place::Folder(folder) => {
                let path = folder.join(hex(digest));
                fs::read(&path).map(Bytes::from).map_err(StoreError::file("reading", &path))
            }
        }
    }

    /// `len` bytes at most from `offset` of a blob; none at its end.
    ///
    /// # Errors
    /// As [`Blobs::get`].
    pub fn read_at(&self, digest: &Digest, offset: u64, len: usize) -> Result<Bytes, StoreError> {
        match &self.place {
            Place::Memory(_) => {
                let all = self.get(digest)?;
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(all.len());
                Ok(all.slice(from..all.len().min(from.saturating_add(len))))
            }
            Place::Folder(folder) => {
                let path = folder.join(hex(digest));
                let read = || {
                    use std::os::unix::fs::FileExt;
                    let file = File::open(&path)?;
                    let left = file.metadata()?.len().saturating_sub(offset);
                    let mut bytes = vec![0; len.min(usize::try_from(left).unwrap_or(usize::MAX))];
                    file.read_exact_at(&mut bytes, offset)?;
                    Ok(Bytes::from(bytes))
                };
                read().map_err(StoreError::file("reading", &path))
            }
        }
    }

    /// Whether a blob has the bytes that its name says.
    ///
    /// # Errors
    /// As [`Blobs::get`].
    pub fn is_whole(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(*blake3::hash(&self.get(digest)?).as_bytes() == *digest)
    }

    /// Forgets a blob that nothing names any more. A blob that is not there is fine.
    pub fn remove(&self, digest: &Digest) {
        match &self.place {
            Place::Memory(blobs) => {
                blobs.lock().unwrap_or_else(PoisonError::into_inner).remove(digest);
            }
            Place::Folder(folder) => {
                let _ = fs::remove_file(folder.join(hex(digest)));
            }
        }
    }

    /// The digests of all blobs that are there.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Digest>, StoreError> {
        match &self.place {
            Place::Memory(blobs) => {
                Ok(blobs.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect())
            }
            Place::Folder(folder) => {
                let entries = fs::read_dir(folder).map_err(StoreError::file("reading", &**folder))?;
                Ok(entries
                    .flatten()
                    .filter_map(|entry| blake3::Hash::from_hex(entry.file_name().to_str()?).ok())
                    .map(|hash| *hash.as_bytes())
                    .collect())
            }
        }
    }
}

/// Writes under a name of its own, syncs, renames, syncs the folder.
fn write_durably(folder: &Path, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let part: PathBuf = folder.join(format!("{}.part", NEXT.fetch_add(1, Ordering::Relaxed)));
    let write = || {
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&part);
        StoreError::file("writing", path)(error)
    })
}
