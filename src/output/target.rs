//! What `--out` names.

use crate::exit::{Exit, Failure};
use std::path::{Path, PathBuf};

/// Where outputs go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The standard output.
    Stdout,
    /// A file.
    File(PathBuf),
    /// A folder with a file per task.
    Folder(PathBuf),
}

impl Target {
    /// `-` is stdout; an existing folder, or a path that ends in `/`, is a folder.
    pub fn new(path: &Path) -> Self {
        use std::os::unix::ffi::OsStrExt as _;
        if path == Path::new("-") {
            Self::Stdout
        } else if path.as_os_str().as_bytes().ends_with(b"/") || path.is_dir() {
            Self::Folder(path.to_owned())
        } else {
            Self::File(path.to_owned())
        }
    }

    /// Makes sure that it can be written before anything runs.
    pub fn open(&self) -> Result<Option<std::fs::File>, Failure> {
        match self {
            Self::Stdout => Ok(None),
            Self::File(path) => {
                let file = std::fs::File::create(path);
                file.map(Some).map_err(|error| Failure::io(Exit::Job, "write", path, &error))
            }
            Self::Folder(path) => {
                let made = std::fs::create_dir_all(path).and_then(|()| {
                    let probe = path.join(format!(".muster-{}", std::process::id()));
                    std::fs::write(&probe, "").and_then(|()| std::fs::remove_file(&probe))
                });
                made.map(|()| None).map_err(|error| Failure::io(Exit::Job, "write to folder", path, &error))
            }
        }
    }
}
