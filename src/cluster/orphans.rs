//! What tasks started and left running. When workers are ended, the processes below them lose their parents one
//! after the other; we take each in and end it, so that nothing stays behind.

use super::process::send;
use std::collections::HashSet;

/// Each round ends one generation of a family of processes.
const GENERATIONS_MAX: u32 = 100;

/// Takes in processes that lose their parent, from the time it is made.
#[derive(Debug)]
pub struct Orphans {
    /// Children that are not orphans: whoever started them waits for them.
    known: HashSet<u32>,
}

impl Orphans {
    /// Must be made before the workers are told to end.
    pub fn adopt() -> Self {
        let known = children().into_iter().collect();
        // SAFETY: the call takes numbers only. Where it is refused, there will be no orphans to end.
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
        Self { known }
    }

    /// Kills all orphans, and those that become orphans by that.
    pub fn end(self) {
        for _ in 0..GENERATIONS_MAX {
            let orphans: Vec<u32> = children().into_iter().filter(|pid| !self.known.contains(pid)).collect();
            if orphans.is_empty() {
                break;
            }
            orphans.iter().for_each(|&pid| send(pid, libc::SIGKILL));
            orphans.iter().for_each(|&pid| wait(pid));
        }
    }
}

/// The processes whose parent we are.
fn children() -> Vec<u32> {
    let us = std::process::id().to_string();
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let text = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // Behind the name in parentheses: state, then the parent.
        let parent = text.rsplit_once(") ")?.1.split(' ').nth(1)?;
        (parent == us).then_some(pid)
    })
    .collect()
}

fn wait(pid: u32) {
    // SAFETY: the process is a child that nobody else waits for; no status is asked for.
    unsafe { libc::waitpid(pid.cast_signed(), std::ptr::null_mut(), 0) };
}
