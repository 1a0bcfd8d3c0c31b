//! Files without a name.

use crate::failure::Failure;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Where files are made.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
    flags: i32,
}

impl Scratch {
    /// Files in `folder`; `direct` ones go past the page cache.
    pub fn new(folder: PathBuf, direct: bool) -> Self {
        Self { folder, flags: if direct { libc::O_DIRECT } else { 0 } }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// An empty file that is gone when it is closed.
    pub fn create(&self) -> Result<File, Failure> {
        self.nameless()
            .or_else(|_| self.unlinked())
            .map_err(|error| Failure::new(&self.folder, "make a file", error))
    }

    fn options(&self, flags: i32) -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600).custom_flags(self.flags | flags);
        options
    }

    /// Never had a name. Not all file systems can do that.
    fn nameless(&self) -> io::Result<File> {
        self.options(libc::O_TMPFILE).open(&self.folder)
    }

    /// Had one for a moment.
    fn unlinked(&self) -> io::Result<File> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("muster-disk-{}-{number}", std::process::id()));
        let file = self.options(0).create_new(true).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn files_have_no_names() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(folder.path().to_owned(), false);
        for file in [scratch.create().unwrap(), scratch.unlinked().unwrap()] {
            file.write_all_at(b"x", 99).unwrap();
            assert_eq!(file.metadata().unwrap().len(), 100);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let failure = Scratch::new("/nowhere/at/all".into(), false).create().unwrap_err();
        assert!(failure.to_string().contains("/nowhere/at/all"), "{failure}");
    }
}
