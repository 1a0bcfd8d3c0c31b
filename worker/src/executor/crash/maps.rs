//! Copies the executable mappings of this process into the record, by system calls and bounded memory alone.

use crate::crash::layout::{Layout, MAPS_BYTES};
use std::sync::atomic::Ordering::Relaxed;

/// Longer lines are cut.
const LINE_BYTES: usize = 1 << 10;
/// What is read of the list.
const READ_BYTES_MAX: usize = 4 << 20;

pub(super) fn copy_to(record: &Layout) {
    let Some(list) = open() else { return };
    let (mut room, mut line, mut len, mut read) = ([0u8; 4 << 10], [0u8; LINE_BYTES], 0, 0);
    while read < READ_BYTES_MAX {
        // SAFETY: the buffer is valid for its length.
        let got = unsafe { libc::read(list, room.as_mut_ptr().cast(), room.len()) };
        let Some(bytes) =
            usize::try_from(got).ok().and_then(|got| room.get(..got)).filter(|it| !it.is_empty())
        else {
            break;
        };
        read += bytes.len();
        for &byte in bytes {
            if byte != b'\n' {
                if let Some(place) = line.get_mut(len) {
                    *place = byte;
                    len += 1;
                }
                continue;
            }
            let whole = line.get(..len).unwrap_or_default();
            if is_executable(whole) && !append(record, whole) {
                read = READ_BYTES_MAX;
                break;
            }
            len = 0;
        }
    }
    // SAFETY: the descriptor is this function's own.
    unsafe { libc::close(list) };
}

/// Without descriptors one is freed: the process does not need it any more.
fn open() -> Option<libc::c_int> {
    for free in [false, true] {
        // SAFETY: a path that ends with NUL; closing standard input is harmless in a process that dies.
        let list = unsafe {
            if free {
                libc::close(libc::STDIN_FILENO);
            }
            libc::open(c"/proc/self/maps".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC)
        };
        if list >= 0 {
            return Some(list);
        }
    }
    None
}

/// `START-END rwxp ..`
fn is_executable(line: &[u8]) -> bool {
    let space = line.iter().position(|&byte| byte == b' ');
    space.and_then(|space| line.get(space + 3)) == Some(&b'x')
}

/// Adds a line; `false`: there is no room for it.
fn append(record: &Layout, line: &[u8]) -> bool {
    let at = record.maps_len.load(Relaxed) as usize;
    let Some(room) = record.maps.get(at..at + line.len() + 1).filter(|_| at + line.len() < MAPS_BYTES) else {
        return false;
    };
    for (to, from) in room.iter().zip(line.iter().chain(b"\n")) {
        to.store(*from, Relaxed);
    }
    record.maps_len.store((at + line.len() + 1) as u32, Relaxed);
    true
}
