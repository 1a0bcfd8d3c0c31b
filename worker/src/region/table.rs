//! An executor's side: finds regions in the table, or adds them, and maps them.

use super::{PAGE_BYTES, REGIONS_BYTES_MAX, REGIONS_MAX, TABLE_BYTES};
use crate::os::check;
use crate::os::memory::{Access, Mapping};
use muster_plugin_host::{REGION_NAME_MAX, RegionError};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the table may be held by somebody else, who needs it for microseconds.
const BUSY_MAX: Duration = Duration::from_secs(5);
/// How often it is looked at meanwhile.
const BUSY_PAUSE: Duration = Duration::from_millis(1);
const NAME_BYTES: usize = REGION_NAME_MAX;
/// Bytes of a number in the table.
const WORD: usize = 8;
/// The length of the name, the name, where the region begins, its length.
const ROW_BYTES: usize = WORD + NAME_BYTES + 2 * WORD;

const _: () =
    assert!(WORD + REGIONS_MAX * ROW_BYTES <= TABLE_BYTES as usize, "the table has room for all rows");

/// The regions of the open job.
#[derive(Debug)]
pub(crate) struct Regions {
    job: u64,
    file: File,
    /// Those that this process has asked for.
    mapped: Mutex<BTreeMap<String, Mapping>>,
}

/// A row of the table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    name: Vec<u8>,
    at: u64,
    bytes: u64,
}

impl Regions {
    pub fn new(job: u64, file: OwnedFd) -> Self {
        Self { job, file: file.into(), mapped: Mutex::default() }
    }

    /// Whose they are.
    pub const fn job(&self) -> u64 {
        self.job
    }

    /// The first byte of a region in this process. `name` and `len` are as they should be.
    pub fn region(&self, name: &str, len: usize) -> Result<NonNull<u8>, RegionError> {
        let asked = len as u64;
        let mut mapped = self.mapped.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = mapped.get(name) {
            return same_length(name, found.len() as u64, asked).map(|()| found.start());
        }
        let system = |source| RegionError::System { name: name.to_owned(), source };
        // Within this process the lock of `mapped` keeps others out: the kernel's does so between processes alone.
        let held = self.hold(name)?;
        let at = self.find_or_add(name, asked)?;
        drop(held);
        let mapping = Mapping::of_part(self.file.as_fd(), at, len, Access::ReadWrite).map_err(system)?;
        let start = mapping.start();
        mapped.insert(name.to_owned(), mapping);
        Ok(start)
    }

    /// Where the region begins in the file.
    fn find_or_add(&self, name: &str, asked: u64) -> Result<u64, RegionError> {
        let system = |source| RegionError::System { name: name.to_owned(), source };
        let mut table = vec![0; TABLE_BYTES as usize];
        self.file.read_exact_at(&mut table, 0).map_err(system)?;
        let rows = rows(&table).ok_or(RegionError::Overwritten)?;
        if let Some(row) = rows.iter().find(|row| row.name == name.as_bytes()) {
            return same_length(name, row.bytes, asked).map(|()| row.at);
        }
        if rows.len() == REGIONS_MAX {
            return Err(RegionError::TooMany { name: name.to_owned(), max: REGIONS_MAX });
        }
        let at = rows.last().map_or(TABLE_BYTES, Row::end);
        let used = at - TABLE_BYTES;
        if asked > REGIONS_BYTES_MAX - used {
            return Err(RegionError::Full { name: name.to_owned(), asked, used, max: REGIONS_BYTES_MAX });
        }
        // Who dies between the two leaves a row that does not count yet.
        let row = Row { name: name.as_bytes().to_vec(), at, bytes: asked };
        self.file.write_all_at(&row.encode(), row_at(rows.len()) as u64).map_err(system)?;
        self.file.write_all_at(&(rows.len() as u64 + 1).to_le_bytes(), 0).map_err(system)?;
        Ok(at)
    }

    /// Holds the table against other processes.
    fn hold(&self, name: &str) -> Result<TableLock<'_>, RegionError> {
        let begun = Instant::now();
        loop {
            match lock(&self.file, libc::F_WRLCK) {
                Ok(()) => return Ok(TableLock(&self.file)),
                Err(error) if !matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => {
                    return Err(RegionError::System { name: name.to_owned(), source: error });
                }
                Err(_) if begun.elapsed() >= BUSY_MAX => {
                    return Err(RegionError::Busy { name: name.to_owned() });
                }
                Err(_) => std::thread::sleep(BUSY_PAUSE),
            }
        }
    }
}

impl Drop for Regions {
    /// The plugin's object is gone, and perhaps not all pointers that it had.
    fn drop(&mut self) {
        let mapped = self.mapped.get_mut().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(mapped).into_values().for_each(Mapping::fence);
    }
}

/// The table is held until this is dropped, or its process dies.
struct TableLock<'a>(&'a File);

impl Drop for TableLock<'_> {
    fn drop(&mut self) {
        // Nothing else could be done: it goes with the process.
        let _ = lock(self.0, libc::F_UNLCK);
    }
}

/// Takes or leaves the lock on the first byte of the file, as this process.
fn lock(file: &File, kind: libc::c_int) -> io::Result<()> {
    // SAFETY: an all-zero flock is a valid value to be filled in.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_len = 1;
    // SAFETY: the descriptor is open and the struct is valid to read.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw const lock) })?;
    Ok(())
}

fn same_length(name: &str, has: u64, asked: u64) -> Result<(), RegionError> {
    if has == asked { Ok(()) } else { Err(RegionError::OtherLength { name: name.to_owned(), has, asked }) }
}

/// Where a row stands in the table.
const fn row_at(number: usize) -> usize {
    WORD + number * ROW_BYTES
}

/// The rows of a table; `None`: somebody else wrote there.
fn rows(table: &[u8]) -> Option<Vec<Row>> {
    let count = usize::try_from(word(table, 0)?).ok().filter(|&count| count <= REGIONS_MAX)?;
    let mut next = TABLE_BYTES;
    (0..count)
        .map(|number| {
            let row = Row::decode(table, row_at(number))?;
            let fits = row.at == next && row.bytes > 0 && row.end() <= TABLE_BYTES + REGIONS_BYTES_MAX;
            next = row.end();
            fits.then_some(row)
        })
        .collect()
}

impl Row {
    /// Where the next one may begin.
    const fn end(&self) -> u64 {
        self.at.saturating_add(self.bytes.saturating_add(PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES)
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = (self.name.len() as u64).to_le_bytes().to_vec();
        bytes.extend(&self.name);
        bytes.resize(WORD + NAME_BYTES, 0);
        bytes.extend(self.at.to_le_bytes());
        bytes.extend(self.bytes.to_le_bytes());
        bytes
    }

    fn decode(table: &[u8], from: usize) -> Option<Self> {
        let len = usize::try_from(word(table, from)?).ok().filter(|len| (1..=NAME_BYTES).contains(len))?;
        let name = table.get(from + WORD..from + WORD + len)?.to_vec();
        let at = word(table, from + WORD + NAME_BYTES)?;
        Some(Self { name, at, bytes: word(table, from + 2 * WORD + NAME_BYTES)? })
    }
}

fn word(table: &[u8], at: usize) -> Option<u64> {
    table.get(at..at + WORD)?.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests;
