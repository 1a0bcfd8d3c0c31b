//! What a failed file operation means for its task.

use muster_sdk::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A file operation that failed.
#[derive(Debug)]
pub struct Failure {
    folder: PathBuf,
    doing: &'static str,
    error: io::Error,
}

impl Failure {
    /// `doing` is the verb.
    pub fn new(folder: &Path, doing: &'static str, error: io::Error) -> Self {
        Self { folder: folder.to_owned(), doing, error }
    }

    /// Whether there is no room, on the disk or for this user.
    fn is_full(&self) -> bool {
        matches!(self.error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { folder, doing, error } = self;
        let folder = folder.display();
        if self.is_full() {
            return write!(
                f,
                "the disk is full: cannot {doing} in {folder}: {error}; make room, take less with size=, or another folder \
                 with path="
            );
        }
        if self.error.kind() == ErrorKind::InvalidInput {
            return write!(
                f,
                "cannot {doing} in {folder}: {error}; when direct=true, the file system there may not allow it: take \
                 direct=false or another folder with path="
            );
        }
        write!(f, "cannot {doing} in {folder}: {error}")
    }
}

/// Full disks get room again, and other workers may have some: that is transient.
impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let code = failure.error.raw_os_error().unwrap_or_default();
        let error = if failure.is_full() || failure.error.kind() == ErrorKind::Interrupted {
            Self::transient(&failure)
        } else {
            Self::failed(&failure)
        };
        error.with_code(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(number: i32) -> Error {
        Failure::new(Path::new("/data"), "write", io::Error::from_raw_os_error(number)).into()
    }

    #[test]
    fn a_full_disk_is_named_and_may_pass() {
        for number in [libc::ENOSPC, libc::EDQUOT] {
            let full = error(number);
            assert!(
                full.message().starts_with("the disk is full") && full.message().contains("path="),
                "{full}"
            );
            assert!(format!("{full:?}").contains("status: -2"), "{full:?}");
        }
        let broken = error(libc::EIO);
        assert!(
            format!("{broken:?}").contains("status: -1") && broken.message().contains("/data"),
            "{broken:?}"
        );
        assert!(error(libc::EINVAL).message().contains("direct=false"));
    }
}
