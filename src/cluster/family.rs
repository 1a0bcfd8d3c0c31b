//! A process with all that it started, as one thing: it stands still and goes on.

use super::process::send;
use muster_worker::os::process;
use std::collections::BTreeMap;

/// While it is being stopped a process may start another: so often is looked again.
const LOOKS_MAX: u32 = 3;

/// Stops a process, then all below it.
pub fn stop(root: u32) {
    send(root, libc::SIGSTOP);
    let mut stopped = 0;
    for _ in 0..LOOKS_MAX {
        let below = descendants(root);
        below.iter().for_each(|&pid| send(pid, libc::SIGSTOP));
        if below.len() == stopped {
            break;
        }
        stopped = below.len();
    }
}

/// Lets it and all below it go on.
pub fn go_on(root: u32) {
    descendants(root).iter().for_each(|&pid| send(pid, libc::SIGCONT));
    send(root, libc::SIGCONT);
}

/// All processes below one.
pub fn descendants(root: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (pid, parent) in process::all().filter_map(|pid| Some((pid, process::parent(pid)?))) {
        children.entry(parent).or_default().push(pid);
    }
    let mut found = children.remove(&root).unwrap_or_default();
    let mut looked = 0;
    while let Some(&pid) = found.get(looked) {
        found.extend(children.remove(&pid).unwrap_or_default());
        looked += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    fn state(pid: u32) -> Option<char> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        text.rsplit_once(") ")?.1.chars().next()
    }

    fn until(what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !is_so() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn children_stand_still_and_go_on_with_their_parent() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 600 & sleep 600 & wait"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let root = shell.id();
        until("two children", || descendants(root).len() == 2);
        let all = || std::iter::once(root).chain(descendants(root)).map(state);
        stop(root);
        until("stopped", || all().all(|state| state == Some('T')));
        go_on(root);
        until("going on", || all().all(|state| state == Some('S')));
        descendants(root).into_iter().for_each(|pid| send(pid, libc::SIGKILL));
        shell.wait().unwrap();
    }
}
