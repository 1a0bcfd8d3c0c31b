//! Files that only their owner may read, written whole or not at all.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::FileError;

/// More than any of these files needs.
pub(super) const FILE_MAX_BYTES: u64 = 1 << 20;

/// `N` bytes from the kernel's random source.
///
/// # Errors
/// Only when the kernel has no random source.
pub fn random_bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        let rest = &mut bytes[filled..];
        // SAFETY: the pointer and length are those of a live, writable slice.
        let got = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(got) {
            Ok(got) => filled += got,
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
    Ok(bytes)
}

/// Makes a folder and its parents for the owner alone. One that exists stays as it is.
pub(super) fn create_folder(path: &Path) -> Result<(), FileError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| FileError::Io {
        action: "create",
        path: path.to_path_buf(),
        source,
    })
}

/// Reads a file that only its owner may read; `None` when there is none.
///
/// # Errors
/// When it cannot be read, is no file, or others may read it.
pub fn read(path: &Path) -> Result<Option<String>, FileError> {
    let failed = |source| FileError::Io { action: "read", path: path.to_path_buf(), source };
    // Without blocking: somebody may have put a pipe there.
    let file = match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(FileError::Damaged { path: path.to_path_buf(), what: "not a file".into() });
    }
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(FileError::TooOpen { path: path.to_path_buf(), mode });
    }
    let mut text = String::new();
    file.take(FILE_MAX_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_MAX_BYTES {
        return Err(FileError::Damaged { path: path.to_path_buf(), what: "too large".into() });
    }
    Ok(Some(text))
}

/// Puts `text` at `path`, replacing what is there.
pub(super) fn replace(path: &Path, text: &str) -> Result<(), FileError> {
    let staged = Staged::write(path, text)?;
    staged.publish("write", |from, to| std::fs::rename(from, to)).map(drop)
}

/// Puts `text` at `path` unless something is there; says whether it did.
pub(super) fn create(path: &Path, text: &str) -> Result<bool, FileError> {
    let staged = Staged::write(path, text)?;
    // A hard link is the one way to publish a whole file that fails when the name is taken.
    staged.publish("create", |from, to| std::fs::hard_link(from, to))
}

/// Removes a file; one that is not there is as good as removed.
pub(super) fn remove(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::Io { action: "remove", path: path.to_path_buf(), source: error })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A lock that no other process holds, as long as the handle lives; `None` when one does. The file is made when missing.
pub(super) fn try_lock(path: &Path) -> Result<Option<File>, FileError> {
    let failed = |source| FileError::Io { action: "lock", path: path.to_path_buf(), source };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    try_flock(&file).map(|taken| taken.then_some(file)).map_err(failed)
}

/// Takes the lock of an open file or folder, as long as that is open; `false`: another one has it.
///
/// # Errors
/// When it cannot be locked.
pub fn try_flock(file: &File) -> io::Result<bool> {
    flock(file, libc::LOCK_EX)
}

/// The same, beside others who take it so; `false`: one has it for himself.
///
/// # Errors
/// When it cannot be locked.
pub fn try_flock_shared(file: &File) -> io::Result<bool> {
    flock(file, libc::LOCK_SH)
}

fn flock(file: &File, how: libc::c_int) -> io::Result<bool> {
    loop {
        // SAFETY: the descriptor is open as long as `file` lives, and flock touches no memory.
        if unsafe { libc::flock(file.as_raw_fd(), how | libc::LOCK_NB) } == 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::WouldBlock => return Ok(false),
            io::ErrorKind::Interrupted => {}
            _ => return Err(error),
        }
    }
}

/// After this the name is there also when the machine stops.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

/// A complete file beside the place where it belongs. Removed when dropped.
struct Staged<'a> {
    at: PathBuf,
    goes_to: &'a Path,
}

impl<'a> Staged<'a> {
    fn write(path: &'a Path, text: &str) -> Result<Self, FileError> {
        let failed = |source| FileError::Io { action: "write", path: path.to_path_buf(), source };
        let tag = u64::from_ne_bytes(random_bytes().map_err(failed)?);
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{tag:016x}.new"));
        let staged = Self { at: path.with_file_name(name), goes_to: path };
        let mut file: File =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged.at).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        Ok(staged)
    }

    fn publish(
        self,
        action: &'static str,
        how: impl FnOnce(&Path, &Path) -> io::Result<()>,
    ) -> Result<bool, FileError> {
        let failed = |source| FileError::Io { action, path: self.goes_to.to_path_buf(), source };
        match how(&self.at, self.goes_to) {
            Ok(()) => sync_folder(self.goes_to).map(|()| true).map_err(failed),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(source) => Err(failed(source)),
        }
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        // Gone after a rename; left over otherwise.
        let _ = std::fs::remove_file(&self.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_private_whole_and_leave_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        assert_eq!(read(&path).unwrap(), None);
        assert!(create(&path, "one").unwrap());
        assert!(!create(&path, "two").unwrap());
        assert_eq!(read(&path).unwrap().unwrap(), "one");
        replace(&path, "three").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), "three");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(read(&path), Err(FileError::TooOpen { mode: 0o644, .. })));
    }

    #[test]
    fn random_bytes_differ() {
        assert_ne!(random_bytes::<32>().unwrap(), random_bytes::<32>().unwrap());
    }
}
