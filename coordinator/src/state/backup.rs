//! A copy of a state folder as it is at one moment, also while a coordinator writes to it.

use super::AUTHORITY;
use crate::store::StoreError;
use crate::store::blobs::{Digest, hex};
use crate::store::sqlite::source::Source;
use muster_proto::link::{Authority, FileError};
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// How often a copy is begun anew because the coordinator removed a file that it names.
const TRIES: u32 = 10;

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackedUp {
    /// Files of plugins and of large inputs and results.
    pub files: u64,
    /// Bytes of everything.
    pub bytes: u64,
    /// The cluster's keys and tokens are among it.
    pub keys: bool,
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The state cannot be read, or is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys and tokens cannot be read.
    #[error(transparent)]
    Keys(#[from] FileError),
    /// There is something where the copy should be.
    #[error("{path} is there already: name a folder that is not there, or an empty one")]
    Taken {
        /// Where.
        path: PathBuf,
    },
    /// Another backup makes this copy, or was killed.
    #[error("{path} is there: another backup is being made, or one was broken off; then remove that folder")]
    Begun {
        /// The unfinished copy.
        path: PathBuf,
    },
    /// A file does not have the bytes that its name says.
    #[error(
        "the file {path} was changed, so that a copy would be damaged; muster state check says what it belongs to"
    )]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

/// Copies the folder `from` to `to`, which must not be there, or be empty. Only a whole copy gets that name.
///
/// # Errors
/// Why there is no copy. What was begun is removed.
pub fn backup(from: &Path, to: &Path) -> Result<BackedUp, BackupError> {
    let mut source = Source::open(from)?;
    let is_free = match fs::symlink_metadata(to) {
        Ok(found) => found.is_dir() && fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_none()),
        Err(error) => error.kind() == ErrorKind::NotFound,
    };
    if !is_free {
        return Err(BackupError::Taken { path: to.to_owned() });
    }
    let part = part_of(to);
    match DirBuilder::new().mode(0o700).create(&part) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(BackupError::Begun { path: part });
        }
        Err(error) => return Err(StoreError::file("making the folder", part)(error).into()),
    }
    let copied = copy(&mut source, &part).and_then(|copied| {
        let publish = || {
            fs::rename(&part, to)?;
            sync_folder(to.parent().unwrap_or(to))
        };
        publish().map_err(StoreError::file("making", to))?;
        Ok(copied)
    });
    if copied.is_err() {
        let _ = fs::remove_dir_all(&part);
    }
    copied
}

/// Where a copy is until it is whole.
fn part_of(to: &Path) -> PathBuf {
    let mut name = to.file_name().map_or_else(OsString::new, ToOwned::to_owned);
    name.push(".part");
    to.with_file_name(name)
}

fn copy(source: &mut Source, to: &Path) -> Result<BackedUp, BackupError> {
    let mut copied = BackedUp::default();
    let blobs = to.join("blobs");
    make_folder(&blobs)?;
    let mut there = BTreeSet::new();
    copy_files(source, &blobs, &mut there)?;
    let database = to.join("muster.db");
    source.copy_database(&database)?;
    // A coordinator went on meanwhile. The copy of the database is what counts; most of its files are there already.
    let mut tries = 0;
    let named = loop {
        let mut missing = None;
        let named = Snapshot::open(&database)?.files()?;
        for &digest in &named {
            if !there.contains(&digest) {
                match copy_file(source, &blobs, &digest) {
                    Ok(()) => _ = there.insert(digest),
                    Err(error) if is_gone(&error) => missing = Some(digest),
                    Err(error) => return Err(error),
                }
            }
        }
        let Some(missing) = missing else { break named };
        // It was removed with its job after the database was copied, unless it is still wanted.
        tries += 1;
        source.renew()?;
        if source.files()?.contains(&missing) || tries == TRIES {
            return Err(copy_file(source, &blobs, &missing).err().unwrap_or_else(|| BackupError::Changed {
                path: source.folder().join("blobs").join(hex(&missing)),
            }));
        }
        fs::remove_file(&database).map_err(StoreError::file("removing", &database))?;
        source.copy_database(&database)?;
    };
    for digest in there.difference(&named) {
        let path = blobs.join(hex(digest));
        fs::remove_file(&path).map_err(StoreError::file("removing", path))?;
    }
    Snapshot::open(&database)?.forget_its_coordinator()?;
    let authority = Authority::files(&source.folder().join(AUTHORITY))?;
    copied.keys = !authority.is_empty();
    if copied.keys {
        make_folder(&to.join(AUTHORITY))?;
        for (name, text) in authority {
            let path = to.join(AUTHORITY).join(name);
            write(&path, text.as_bytes()).map_err(StoreError::file("writing", &path))?;
        }
        sync_folder(&to.join(AUTHORITY)).map_err(StoreError::file("writing", to))?;
    }
    let sync = || {
        sync_folder(&blobs)?;
        File::open(&database)?.sync_all()?;
        sync_folder(to)
    };
    sync().map_err(StoreError::file("writing", to))?;
    copied.files = named.len() as u64;
    copied.bytes = bytes_in(to).map_err(StoreError::file("reading", to))?;
    Ok(copied)
}

/// Copies the files that are named now, but for those that are removed meanwhile.
fn copy_files(source: &Source, to: &Path, there: &mut BTreeSet<Digest>) -> Result<(), BackupError> {
    for digest in source.files()? {
        match copy_file(source, to, &digest) {
            Ok(()) => _ = there.insert(digest),
            // Whether that is damage shows when the database was copied.
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether a file is not there any more.
fn is_gone(error: &BackupError) -> bool {
    matches!(error, BackupError::Store(StoreError::File { source, .. }) if source.kind() == ErrorKind::NotFound)
}

fn copy_file(source: &Source, to: &Path, digest: &Digest) -> Result<(), BackupError> {
    let bytes = source.blobs().get(digest)?;
    if *blake3::hash(&bytes).as_bytes() != *digest {
        return Err(BackupError::Changed { path: source.folder().join("blobs").join(hex(digest)) });
    }
    let path = to.join(hex(digest));
    Ok(write(&path, &bytes).map_err(StoreError::file("writing", &path))?)
}

/// The copy of the database.
struct Snapshot(Connection);

impl Snapshot {
    fn open(path: &Path) -> Result<Self, StoreError> {
        Connection::open(path).map(Self).map_err(StoreError::sqlite("opening the copy"))
    }

    fn files(&self) -> Result<BTreeSet<Digest>, StoreError> {
        self.0
            .prepare(crate::store::sqlite::NAMED)
            .and_then(|mut query| query.query_map([], |row| row.get(0))?.collect())
            .map_err(StoreError::sqlite("listing the files of the copy"))
    }

    /// Each coordinator that starts from a copy is one of its own: workers and clients of the one that was copied went on,
    /// and what they know of its jobs is not true of these.
    fn forget_its_coordinator(&self) -> Result<(), StoreError> {
        let forget = || {
            self.0.execute("DELETE FROM meta WHERE key = 'identity'", [])?;
            let query = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'workers'";
            if self.0.query_row(query, [], |row| row.get::<_, i64>(0))? > 0 {
                self.0.execute("DELETE FROM workers", [])?;
            }
            Ok(())
        };
        forget().map_err(StoreError::sqlite("making the copy one of its own"))
    }
}

fn make_folder(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new().mode(0o700).create(path).map_err(StoreError::file("making the folder", path))
}

/// A new file, for its owner alone, that is on the disk when this returns.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}

fn bytes_in(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() { bytes_in(&entry.path())? } else { about.len() };
    }
    Ok(bytes)
}
