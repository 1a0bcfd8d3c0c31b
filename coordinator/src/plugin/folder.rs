//! A folder of built plugins.

use super::{FileError, PLUGIN_MAX_BYTES, describe};
use crate::store::PluginRecord;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Why a file of the folder is left out.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder or file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// What was read.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The folder has no plugin files, so it is hardly the one that was meant.
    #[error("no plugin file (*.so) in {path}; name a folder of built plugins")]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// The file is not a plugin.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: FileError,
    },
}

/// Every `*.so` file of a folder, in the order of their names: the plugin with its bytes, or what is wrong.
///
/// # Errors
/// The folder cannot be read, or holds no such file.
#[expect(clippy::type_complexity, reason = "a list of results says what it is")]
pub fn read_folder(
    folder: &Path,
    added_unix_ns: u64,
) -> Result<Vec<Result<(PluginRecord, Vec<u8>), FolderError>>, FolderError> {
    let failed = |source| FolderError::Read { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "so") {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(FolderError::Empty { path: folder.to_owned() });
    }
    paths.sort();
    Ok(paths.into_iter().map(|path| read_plugin(path, added_unix_ns)).collect())
}

fn read_plugin(path: PathBuf, added_unix_ns: u64) -> Result<(PluginRecord, Vec<u8>), FolderError> {
    match read_regular(&path) {
        Ok(bytes) => match describe(&bytes, added_unix_ns) {
            Ok(plugin) => Ok((plugin, bytes)),
            Err(source) => Err(FolderError::File { path, source }),
        },
        Err(source) => Err(FolderError::Read { path, source }),
    }
}

/// Opens without waiting, so that a FIFO of that name holds up nobody.
fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::with_capacity(about.len().min(PLUGIN_MAX_BYTES) as usize);
    // One byte more than is taken, so that a file that is too large is seen as such.
    file.take(PLUGIN_MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
