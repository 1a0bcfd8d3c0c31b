//! Folders of our own: temporary ones, and a place for sockets whose paths must be short.

use crate::exit::{Exit, Failure};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

const PREFIX: &str = "muster-private-";
/// What a socket's address holds, without the zero at its end.
const SOCKET_PATH_MAX: usize = 107;

/// A folder that is removed with everything in it when this is dropped.
#[derive(Debug)]
pub struct TempFolder(PathBuf);

impl TempFolder {
    /// Makes one, readable by us alone. Folders of processes that were killed are removed on the way.
    pub fn new() -> Result<Self, Failure> {
        let base = short_base();
        if !base.is_dir() {
            // Made here, it would stay behind.
            return Err(Failure::new(
                Exit::Storage,
                format_args!("there is no folder {} for temporary files", base.display()),
            )
            .hint("make it, or set TMPDIR to another one"));
        }
        remove_left_behind(&base);
        let unique: [u8; 4] = muster_proto::link::random_bytes()
            .map_err(|error| Failure::new(Exit::Storage, format_args!("no random numbers: {error}")))?;
        let name = format!("{PREFIX}{}-{:08x}", std::process::id(), u32::from_le_bytes(unique));
        let path = base.join(name);
        private_folder(&path).map_err(|error| Failure::io(Exit::Storage, "make folder", &path, &error))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The folder for temporary files, unless its path is too long for sockets in it.
fn short_base() -> PathBuf {
    let base = Some(std::env::temp_dir()).filter(|base| !base.as_os_str().is_empty());
    let base = base.unwrap_or_else(|| PathBuf::from("/tmp"));
    if base.as_os_str().len() + 50 > SOCKET_PATH_MAX { PathBuf::from("/tmp") } else { base }
}

fn remove_left_behind(base: &Path) {
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner =
            name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|rest| rest.split('-').next());
        let Some(pid) = owner.and_then(|pid| pid.parse::<u32>().ok()) else { continue };
        let gone = !Path::new("/proc").join(pid.to_string()).exists();
        // SAFETY: it takes nothing.
        let us = unsafe { libc::geteuid() };
        if gone && entry.metadata().is_ok_and(|data| data.is_dir() && data.uid() == us) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Makes a folder and those above it; the last one is for us alone.
pub fn private_folder(path: &Path) -> io::Result<()> {
    if let Some(above) = path.parent() {
        std::fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(io::Error::from_raw_os_error(libc::ENOTDIR))
        }
        outcome => outcome,
    }
}

/// Where the socket of the cluster `name` with this state folder is: in it, or in a folder of this user with
/// a shorter path.
pub fn socket_path(state: &Path, name: &str) -> Result<PathBuf, Failure> {
    let path = state.join("coordinator.sock");
    if path.as_os_str().as_bytes().len() <= SOCKET_PATH_MAX {
        return Ok(path);
    }
    // SAFETY: it takes nothing.
    let us = unsafe { libc::geteuid() };
    let folder =
        std::env::var_os("XDG_RUNTIME_DIR").map_or_else(|| format!("/tmp/muster-{us}").into(), PathBuf::from);
    let failed = |error: io::Error| Failure::io(Exit::Storage, "make folder", &folder, &error);
    private_folder(&folder).map_err(failed)?;
    let owner = folder.symlink_metadata().map_err(failed)?;
    if owner.uid() != us || !owner.is_dir() {
        return Err(Failure::new(
            Exit::Permission,
            format_args!("{} belongs to another user", folder.display()),
        ));
    }
    let digest = blake3::hash(state.as_os_str().as_bytes());
    let short: String = digest.to_hex().chars().take(16).collect();
    Ok(folder.join(format!("muster-{}-{short}.sock", name.chars().take(20).collect::<String>())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_folder_goes_away() {
        let folder = TempFolder::new().unwrap();
        let path = folder.path().to_owned();
        std::fs::write(path.join("x"), "").unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_of_a_dead_process_is_removed() {
        let base = tempfile::tempdir().unwrap();
        let dead = base.path().join(format!("{PREFIX}{}-00000000", u32::MAX));
        let ours = base.path().join(format!("{PREFIX}{}-00000000", std::process::id()));
        std::fs::create_dir(&dead).unwrap();
        std::fs::create_dir(&ours).unwrap();
        remove_left_behind(base.path());
        assert!(!dead.exists() && ours.exists());
    }

    #[test]
    fn sockets_have_short_paths() {
        let long = PathBuf::from("/").join("x".repeat(120));
        assert!(socket_path(&long, "default").unwrap().as_os_str().len() <= SOCKET_PATH_MAX);
    }
}
