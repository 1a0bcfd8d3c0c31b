//! What the coordinator can tell of a plugin's file without ever loading it.

mod elf;
mod folder;
mod version;

pub use elf::{FileError, describe};
pub use folder::{FolderError, read_folder};
pub use version::Version;

/// The largest file that is taken.
pub const PLUGIN_MAX_BYTES: u64 = 256 << 20;
