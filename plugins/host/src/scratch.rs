//! The folders of running tasks (`muster.scratch/1`): made when a task first asks for one, removed when it has ended.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The folders of the tasks that a slot runs, by index.
#[derive(Debug, Default)]
pub(crate) struct Scratches {
    folders: BTreeMap<u64, Scratch>,
    /// Several tasks are going at the same time. Otherwise another index means that the task before has ended.
    pub has_many: bool,
}

/// Removed when it is dropped.
#[derive(Debug)]
struct Scratch {
    path: String,
}

/// Why there is no folder.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScratchError {
    #[error("this host has no scratch folders")]
    NoRoot,
    #[error("the scratch folder {0:?} is no UTF-8, as paths given to plugins are")]
    Text(PathBuf),
    #[error(
        "no scratch folder could be made in {}: {error}; make room there, or give the worker another place (--scratch DIR)",
        root.display()
    )]
    Make { root: PathBuf, error: io::Error },
}

impl ScratchError {
    /// Whether there is no room, on the disk or for this user: that may pass.
    pub fn is_full(&self) -> bool {
        let Self::Make { error, .. } = self else { return false };
        matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
    }

    /// The number of the system's error; 0: it was none.
    pub fn code(&self) -> i32 {
        let Self::Make { error, .. } = self else { return 0 };
        error.raw_os_error().unwrap_or_default()
    }
}

impl Scratches {
    /// The folder of a task, in `root`.
    pub fn of(&mut self, index: u64, root: Option<PathBuf>) -> Result<&str, ScratchError> {
        if !self.has_many {
            self.folders.retain(|&other, _| other == index);
        }
        let scratch = match self.folders.entry(index) {
            Entry::Occupied(made) => made.into_mut(),
            Entry::Vacant(none) => none.insert(Scratch::make(root.ok_or(ScratchError::NoRoot)?)?),
        };
        Ok(&scratch.path)
    }

    /// A task has ended.
    pub fn end(&mut self, index: u64) {
        self.folders.remove(&index);
    }

    /// All have.
    pub fn clear(&mut self) {
        self.folders.clear();
    }
}

impl Scratch {
    /// An empty folder in `root`, which is made as well when it is not there.
    fn make(root: PathBuf) -> Result<Self, ScratchError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let path = root.join(NUMBER.fetch_add(1, Ordering::Relaxed).to_string());
        let Some(text) = path.to_str().map(str::to_owned) else { return Err(ScratchError::Text(root)) };
        let made = match make(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => make(&root).and_then(|()| make(&path)),
            made => made,
        };
        made.map(|()| Self { path: text }).map_err(|error| ScratchError::Make { root, error })
    }
}

/// A folder for this user alone. One that another thread has made meanwhile is as good.
fn make(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now goes with the executor's whole folder.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_task_has_a_folder_until_it_ends() {
        let base = std::env::temp_dir().join(format!("muster-scratch-test-{}", std::process::id()));
        std::fs::create_dir_all(&base).unwrap();
        let root = base.join("7");
        let mut scratches = Scratches::default();
        let first = scratches.of(1, Some(root.clone())).unwrap().to_owned();
        assert_eq!(scratches.of(1, Some(root.clone())).unwrap(), first);
        std::fs::write(Path::new(&first).join("left"), "x").unwrap();
        let second = scratches.of(2, Some(root.clone())).unwrap().to_owned();
        assert!(first != second && !Path::new(&first).exists(), "the task before has ended");
        scratches.has_many = true;
        let third = scratches.of(3, Some(root.clone())).unwrap().to_owned();
        assert!(Path::new(&second).exists() && Path::new(&third).exists());
        scratches.end(2);
        assert!(!Path::new(&second).exists() && Path::new(&third).exists());
        scratches.clear();
        assert!(!Path::new(&third).exists());
        std::fs::remove_dir_all(&base).unwrap();
        let error = scratches.of(4, Some("/nowhere/at/all".into())).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all") && error.code() == libc::ENOENT, "{error}");
        assert!(matches!(scratches.of(4, None), Err(ScratchError::NoRoot)));
    }
}
