//! Reads a plugin file without running any of its code.

use crate::elf::{self, Machine, PLUGIN_SIZE_MAX};
use crate::manifest::Manifest;
use crate::problem::{PluginError, Problem};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// The BLAKE3 hash of a plugin's bytes: the name under which machines keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a plugin file says about itself.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Its checked manifest.
    pub manifest: Manifest,
    /// Its digest.
    pub digest: Digest,
    /// Target triple, such as `x86_64-unknown-linux-gnu`.
    pub target: String,
    /// Bytes.
    pub size: u64,
}

/// Inspects a file that is to run on this machine.
///
/// # Errors
/// What is wrong, and what to do.
pub fn inspect(path: &Path) -> Result<Inspection, PluginError> {
    read_file(path)
        .and_then(|bytes| inspect_bytes(&bytes, true))
        .map_err(|problem| PluginError::new(path, problem))
}

/// Inspects a file that is to run on some machine, of any kind that muster supports.
///
/// # Errors
/// What is wrong, and what to do.
pub fn inspect_any(path: &Path) -> Result<Inspection, PluginError> {
    read_file(path)
        .and_then(|bytes| inspect_bytes(&bytes, false))
        .map_err(|problem| PluginError::new(path, problem))
}

/// Inspects the bytes of a file; `here`: it is to run on this machine.
///
/// # Errors
/// What is wrong, and what to do.
pub fn inspect_bytes(bytes: &[u8], here: bool) -> Result<Inspection, Problem> {
    let facts = elf::read(bytes)?;
    if here {
        check_here(&facts)?;
    }
    let manifest = Manifest::parse(&facts.manifest).map_err(|error| match error.other_abi() {
        Some(found) => Problem::OtherAbi { found },
        None => Problem::BadManifest(error),
    })?;
    Ok(Inspection { manifest, digest: Digest::of(bytes), target: facts.target, size: bytes.len() as u64 })
}

fn check_here(facts: &elf::Facts) -> Result<(), Problem> {
    if Machine::here() != Some(facts.machine) {
        let here = Machine::here().map_or("not supported", Machine::name);
        return Err(Problem::OtherMachine { found: facts.machine.name().to_owned(), here });
    }
    match (facts.glibc, elf::glibc_here()) {
        (Some(needed), Some(here)) if needed > here => Err(Problem::NeedsGlibc { needed, here }),
        _ => Ok(()),
    }
}

/// The bytes of a regular file. Opening does not block: a FIFO without a writer would wait forever.
fn read_file(path: &Path) -> Result<Vec<u8>, Problem> {
    let unreadable = |source: std::io::Error| match source.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Problem::Missing,
        _ => Problem::Unreadable { source },
    };
    // Sockets cannot be opened at all, so the kind is asked by name as well.
    if let Some(kind) = std::fs::metadata(path).map_err(unreadable)?.file_type().odd_kind() {
        return Err(Problem::NotAFile { kind });
    }
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if let Some(kind) = metadata.file_type().odd_kind() {
        return Err(Problem::NotAFile { kind });
    }
    if metadata.len() > PLUGIN_SIZE_MAX {
        return Err(Problem::TooLarge { size: metadata.len() });
    }
    let bytes = read_to_limit(&file, metadata.len()).map_err(unreadable)?;
    if bytes.is_empty() { Err(Problem::Empty) } else { Ok(bytes) }
}

/// The file may grow while it is read: no more than the limit and one byte.
fn read_to_limit(file: &File, expected: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(expected as usize + 1);
    file.take(PLUGIN_SIZE_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What a path is when it is no regular file.
trait OddKind {
    fn odd_kind(&self) -> Option<&'static str>;
}

impl OddKind for std::fs::FileType {
    fn odd_kind(&self) -> Option<&'static str> {
        if self.is_file() {
            None
        } else if self.is_dir() {
            Some("directory")
        } else if self.is_fifo() {
            Some("FIFO")
        } else if self.is_socket() {
            Some("socket")
        } else {
            Some("device")
        }
    }
}
