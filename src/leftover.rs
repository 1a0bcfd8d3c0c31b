//! Files that runs whose cluster is gone leave in the user's state folder: JSON with the version of its format.

use crate::exit::{Exit, Failure, Outcome};
use muster_proto::link::AccessFolder;
use serde::de::DeserializeOwned;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What such a file holds.
pub trait Leftover: DeserializeOwned {
    /// The version of the format that this muster writes and reads.
    const VERSION: u32;

    /// The version that was read.
    fn version(&self) -> u32;
}

/// Where they are.
pub fn folder() -> Outcome<PathBuf> {
    Ok(AccessFolder::state_home()?.join("runs"))
}

/// What a file holds; `None`: it is not there.
pub fn read<T: Leftover>(path: &Path) -> Outcome<Option<T>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::io(Exit::Storage, "read", path, &error)),
    };
    parse(path, &text).map(Some)
}

/// What the text of the file at `path` holds.
pub fn parse<T: Leftover>(path: &Path, text: &[u8]) -> Outcome<T> {
    let damaged = |why: String| {
        Failure::new(Exit::Storage, format_args!("{} cannot be read: {why}", path.display()))
            .hint("remove it")
    };
    let found: T = serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))?;
    let (version, known) = (found.version(), T::VERSION);
    if version != known {
        return Err(damaged(format!("it has format {version}, this muster reads {known}")));
    }
    Ok(found)
}
