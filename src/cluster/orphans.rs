//! What tasks started and left running. Processes below a worker that lose their parent become our children, so
//! that none stays behind when the command ends, not even one with a session of its own.

use super::process::send;
use std::collections::HashSet;

/// Each round ends one generation of a family of processes.
const GENERATIONS_MAX: u32 = 100;

/// Takes in processes that lose their parent.
#[derive(Debug)]
pub struct Orphans {
    /// Children that were there before: whoever started them waits for them.
    before: HashSet<u32>,
}

impl Orphans {
    /// Must be made before the workers are started.
    pub fn adopt() -> Self {
        let before = children().into_iter().map(|(pid, _)| pid).collect();
        // SAFETY: the call takes numbers only. Where it is refused, orphans go elsewhere.
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
        Self { before }
    }

    /// Frees what orphans that have ended still hold; `ours` are waited for by somebody else.
    pub fn reap(&self, ours: impl Fn(u32) -> bool) {
        for (pid, state) in children() {
            if state == 'Z' && !self.before.contains(&pid) && !ours(pid) {
                wait(pid);
            }
        }
    }

    /// Kills all orphans, and those that become orphans by that. The workers must have been waited for.
    pub fn end(&self) {
        for _ in 0..GENERATIONS_MAX {
            let children = children().into_iter().map(|(pid, _)| pid);
            let orphans: Vec<u32> = children.filter(|pid| !self.before.contains(pid)).collect();
            if orphans.is_empty() {
                break;
            }
            orphans.iter().for_each(|&pid| send(pid, libc::SIGKILL));
            orphans.iter().for_each(|&pid| wait(pid));
        }
    }
}

/// The processes whose parent we are, with their states as `/proc` calls them.
fn children() -> Vec<(u32, char)> {
    let us = std::process::id().to_string();
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let text = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // Behind the name in parentheses: state, then the parent.
        let mut fields = text.rsplit_once(") ")?.1.split(' ');
        let state = fields.next()?.chars().next()?;
        (fields.next()? == us).then_some((pid, state))
    })
    .collect()
}

fn wait(pid: u32) {
    // SAFETY: the process is a child that nobody else waits for; no status is asked for.
    unsafe { libc::waitpid(pid.cast_signed(), std::ptr::null_mut(), 0) };
}
