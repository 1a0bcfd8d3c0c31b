//! A folder of one life of a worker. Its lock says that the worker lives; what dead workers left is removed by the next one.

use muster_proto::link::try_flock;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const LOCK: &str = "lock";

/// A folder that is ours while this lives.
#[derive(Debug)]
pub struct LifeFolder {
    path: PathBuf,
    _lock: File,
}

impl LifeFolder {
    /// Makes the folder of one life of a worker in `base`, and removes those of workers that are gone.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(base: &Path, incarnation: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(base)?;
        sweep(base);
        let path = base.join(format!("{incarnation:016x}"));
        // Under a name that nobody sweeps until it is locked.
        let unlocked = base.join(format!(".{incarnation:016x}"));
        DirBuilder::new().mode(0o700).create(&unlocked)?;
        let lock = OpenOptions::new().write(true).create_new(true).mode(0o600).open(unlocked.join(LOCK))?;
        if !lock_now(&lock) {
            return Err(io::Error::last_os_error());
        }
        std::fs::rename(&unlocked, &path)?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it with all that is in it.
    pub fn remove(self) {
        let _ = std::fs::remove_dir_all(&self.path);
        // The last worker of this machine leaves nothing behind; others keep theirs there.
        if let Some(base) = self.path.parent() {
            let _ = std::fs::remove_dir(base);
        }
    }
}

/// Who cannot lock it has not got it.
fn lock_now(file: &File) -> bool {
    try_flock(file).unwrap_or(false)
}

fn sweep(base: &Path) {
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let is_ours = |name: &str| name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !entry.file_name().to_str().is_some_and(is_ours) {
            continue;
        }
        let lock = OpenOptions::new().write(true).open(entry.path().join(LOCK));
        if lock.is_ok_and(|lock| lock_now(&lock)) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dead_workers_left_goes_and_what_others_have_stays() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().join("lives");
        let first = LifeFolder::create(&base, 1).unwrap();
        let second = LifeFolder::create(&base, 2).unwrap();
        let left = second.path().to_owned();
        drop(second);
        std::fs::write(base.join("notes"), "of somebody else").unwrap();
        let third = LifeFolder::create(&base, 3).unwrap();
        assert!(first.path().exists() && third.path().exists() && !left.exists());
        third.remove();
        first.remove();
        assert!(base.join("notes").exists());
        std::fs::remove_file(base.join("notes")).unwrap();
        LifeFolder::create(&base, 4).unwrap().remove();
        assert!(!base.exists());
    }
}
