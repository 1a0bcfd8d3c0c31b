//! What `--out` names.

use super::file::OutFile;
use crate::exit::{Exit, Failure};
use std::fs::{File, Metadata};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

/// A place that was found to be writable.
#[derive(Debug)]
pub enum Opened {
    Stdout,
    File(OutFile),
    Folder(PathBuf),
}

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

    /// As it stands on the command line.
    pub fn name(&self) -> std::path::Display<'_> {
        match self {
            Self::Stdout => Path::new("-").display(),
            Self::File(path) | Self::Folder(path) => path.display(),
        }
    }

    /// The file with contents of its own that outputs go to, when it is there already.
    pub fn existing(&self) -> Option<Metadata> {
        let metadata = match self {
            Self::Stdout => {
                let stdout = std::io::stdout().as_fd().try_clone_to_owned();
                stdout.and_then(|stdout| File::from(stdout).metadata())
            }
            Self::File(path) => std::fs::metadata(path),
            Self::Folder(_) => return None,
        };
        metadata.ok().filter(Metadata::is_file)
    }

    /// Makes sure that it can be written before anything runs.
    pub fn open(&self) -> Result<Opened, Failure> {
        match self {
            Self::Stdout => Ok(Opened::Stdout),
            Self::File(path) => OutFile::open(path).map(Opened::File),
            Self::Folder(path) => {
                let made = std::fs::create_dir_all(path).and_then(|()| {
                    let probe = path.join(format!(".muster-{}", std::process::id()));
                    std::fs::write(&probe, "").and_then(|()| std::fs::remove_file(&probe))
                });
                made.map(|()| Opened::Folder(path.clone()))
                    .map_err(|error| Failure::io(Exit::Job, "write to folder", path, &error))
            }
        }
    }
}
