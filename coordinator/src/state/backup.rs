//! A copy of a state folder as it is at one moment, also while a coordinator writes to it.

use super::AUTHORITY;
use crate::store::StoreError;
use crate::store::blobs::{Blobs, Digest, hex};
use crate::store::sqlite::source::Source;
use crate::store::sqlite::{self, BLOBS, DATABASE};
use muster_proto::link::{Authority, FileError};
use rusqlite::Connection;
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
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
    let blobs = Blobs::open(&to.join(BLOBS))?;
    copy_files(source, &blobs, &source.files()?)?;
    let database = to.join(DATABASE);
    let mut tries = 0;
    // A coordinator goes on meanwhile. The copy of the database is what counts; most of its files are there already.
    let named = loop {
        source.copy_database(&database)?;
        let named = sqlite::named(&open(&database)?)?;
        let Some(missing) = copy_files(source, &blobs, &named)? else { break named };
        // It was removed with its job after the database was copied, unless it is still wanted.
        tries += 1;
        if source.files()?.contains(&missing) || tries >= TRIES {
            copy_file(source, &blobs, &missing)?;
        }
        fs::remove_file(&database).map_err(StoreError::file("removing", &database))?;
    };
    let leftover = blobs.list()?.into_iter().filter(|digest| !named.contains(digest));
    leftover.for_each(|digest| blobs.remove(&digest));
    forget_its_coordinator(&database)?;
    let keys = Authority::copy_files(&source.folder().join(AUTHORITY), &to.join(AUTHORITY))?;
    let sync = || {
        File::open(&database)?.sync_all()?;
        sync_folder(to)
    };
    sync().map_err(StoreError::file("writing", to))?;
    let bytes = bytes_in(to).map_err(StoreError::file("reading", to))?;
    Ok(BackedUp { files: named.len() as u64, bytes, keys })
}

/// Copies those of the files that are not there yet; gives one that was removed meanwhile, or before.
fn copy_files(source: &Source, to: &Blobs, named: &HashSet<Digest>) -> Result<Option<Digest>, BackupError> {
    let there: HashSet<Digest> = to.list()?.into_iter().collect();
    let mut missing = None;
    for digest in named.difference(&there) {
        match copy_file(source, to, digest) {
            Err(error) if is_gone(&error) => missing = Some(*digest),
            copied => copied?,
        }
    }
    Ok(missing)
}

/// Whether a file is not there any more.
fn is_gone(error: &BackupError) -> bool {
    matches!(error, BackupError::Store(StoreError::File { source, .. }) if source.kind() == ErrorKind::NotFound)
}

fn copy_file(source: &Source, to: &Blobs, digest: &Digest) -> Result<(), BackupError> {
    if to.put(&source.blobs().get(digest)?)? == *digest {
        return Ok(());
    }
    Err(BackupError::Changed { path: source.folder().join(BLOBS).join(hex(digest)) })
}

fn open(database: &Path) -> Result<Connection, StoreError> {
    Connection::open(database).map_err(StoreError::sqlite("opening the copy"))
}

/// Each coordinator that starts from a copy is one of its own: workers and clients of the one that was copied went on,
/// and what they know of its jobs is not true of these.
fn forget_its_coordinator(database: &Path) -> Result<(), StoreError> {
    let copy = open(database)?;
    let forget = || {
        copy.execute("DELETE FROM meta WHERE key = 'identity'", [])?;
        let query = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'workers'";
        if copy.query_row(query, [], |row| row.get::<_, i64>(0))? > 0 {
            copy.execute("DELETE FROM workers", [])?;
        }
        Ok(())
    };
    forget().map_err(StoreError::sqlite("making the copy one of its own"))
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
