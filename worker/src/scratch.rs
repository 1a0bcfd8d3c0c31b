//! Where the tasks of a worker's executors have folders of their own. An executor makes its folder when the first task asks
//! for one; the worker removes it when the executor has ended, however it did, and the next worker what a worker left.

use crate::error::WorkerError;
use crate::life::LifeFolder;
use std::io;
use std::path::{Path, PathBuf};

/// The folder of one life of a worker.
#[derive(Debug)]
pub(crate) struct ScratchPlace {
    folder: Option<LifeFolder>,
}

impl ScratchPlace {
    /// In the folder that the user named, or below that of the cache. Without the latter, tasks have none.
    ///
    /// # Errors
    /// What was named is no folder that can be used.
    pub fn open(named: Option<&Path>, cache: &Path, incarnation: u64) -> Result<Self, WorkerError> {
        let Some(named) = named else {
            let base = cache.join("scratch");
            let made = LifeFolder::create(&base, incarnation);
            if let Err(error) = &made {
                tracing::warn!(folder = %base.display(), %error, "tasks have no scratch folders");
            }
            return Ok(Self { folder: made.ok() });
        };
        let refused = |why: String| WorkerError::Flag {
            flag: "--scratch",
            value: named.display().to_string(),
            wanted: format!("{why}; name a folder that exists and that this user may write to"),
        };
        if named.to_str().is_none() {
            return Err(refused("paths that plugins are given must be UTF-8".to_owned()));
        }
        let is_folder = std::fs::metadata(named).map(|found| found.is_dir());
        if !is_folder.map_err(|error| refused(error.to_string()))? {
            return Err(refused("it is no folder".to_owned()));
        }
        let absolute = std::path::absolute(named).map_err(|error| refused(error.to_string()))?;
        let folder = LifeFolder::create(&absolute.join("muster-scratch"), incarnation);
        Ok(Self { folder: Some(folder.map_err(|error| refused(error.to_string()))?) })
    }

    /// Where it is; `None`: tasks have no folders.
    pub fn path(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.path().to_owned())
    }

    /// Removes it with everything that tasks left.
    pub fn remove(self) {
        self.folder.into_iter().for_each(LifeFolder::remove);
    }
}

/// Removes the folder of an executor that has ended. Nearly always there is none.
pub(crate) async fn remove_of_executor(folder: PathBuf) {
    if std::fs::symlink_metadata(&folder).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return;
    }
    let removed = tokio::task::spawn_blocking(move || {
        std::fs::remove_dir_all(&folder).map_err(|error| (folder, error))
    });
    if let Ok(Err((folder, error))) = removed.await {
        tracing::warn!(folder = %folder.display(), %error, "what tasks left cannot be removed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_must_be_a_folder_and_stays() {
        let named = tempfile::tempdir().unwrap();
        let open = |path: &Path| ScratchPlace::open(Some(path), Path::new("/nowhere"), 7);
        let place = open(named.path()).unwrap();
        let path = place.path().unwrap();
        std::fs::create_dir(path.join("3")).unwrap();
        place.remove();
        assert!(named.path().exists() && std::fs::read_dir(named.path()).unwrap().next().is_none());
        let file = named.path().join("file");
        std::fs::write(&file, "").unwrap();
        for (path, word) in [(file.as_path(), "no folder"), (Path::new("/nowhere/at/all"), "No such file")] {
            let error = open(path).unwrap_err().to_string();
            assert!(error.contains("--scratch") && error.contains(word), "{error}");
        }
    }

    #[test]
    fn without_a_place_there_is_none() {
        let place = ScratchPlace::open(None, Path::new("/proc/nowhere"), 7).unwrap();
        assert_eq!(place.path(), None);
        place.remove();
    }
}
