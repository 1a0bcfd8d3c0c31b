//! Kills running commands when this process dies, however it dies.
//!
//! A process that is killed can clean nothing up. So a small shell outside of it waits for the end of a pipe from
//! here, which means that this process is no more, and then kills the process groups that stand in a file in memory.
//! Until then it sleeps: starting a command costs a write to that file. Between a command's start and that write, which
//! follow each other at once, nobody guards it.

use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::Result;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Waits for the end of its standard input, and kills the groups in the file that is its standard output.
const SCRIPT: &str = r#"
read -r end
while read -r group; do [ -z "$group" ] || kill -s KILL -- "-$group"; done <&1
"#;
/// Bytes of a group's number in the file, with its line's end.
const LINE_BYTES: usize = 12;

/// Started with the first command.
static GUARD: Mutex<Option<Guard>> = Mutex::new(None);

/// A process group that does not outlive this process, until this is dropped.
#[derive(Debug)]
pub struct Guarded {
    line: usize,
}

/// Makes sure that the shell is there: to be called before a command is started, because a command that runs already
/// would not be guarded while the shell starts.
pub fn stand_by() -> Result<()> {
    with_guard(Guard::check)
}

impl Guarded {
    /// Guards a group.
    pub fn new(group: u32) -> Result<Self> {
        with_guard(|guard| guard.add(group)).map(|line| Self { line })
    }
}

fn with_guard<T>(act: impl FnOnce(&mut Guard) -> Result<T>) -> Result<T> {
    let mut guard = GUARD.lock().unwrap_or_else(PoisonError::into_inner);
    match &mut *guard {
        Some(guard) => act(guard),
        none => act(none.insert(Guard::start()?)),
    }
}

impl Drop for Guarded {
    /// To be called before the group's leader was waited for: later its number may be that of another group.
    fn drop(&mut self) {
        // The file has the line already: there is nothing that could be full.
        let _ = with_guard(|guard| guard.remove(self.line));
    }
}

#[derive(Debug)]
struct Guard {
    shell: Child,
    /// A line per group that runs; empty lines between.
    groups: File,
    /// Which lines are taken.
    taken: Vec<bool>,
}

impl Guard {
    fn start() -> Result<Self> {
        let groups = File::from(memfd_create("muster-exec-groups", MemfdFlags::CLOEXEC)?);
        Ok(Self { shell: start_shell(&groups)?, groups, taken: Vec::new() })
    }

    fn check(&mut self) -> Result<()> {
        if self.shell.try_wait()?.is_some() {
            // It was ended by somebody.
            self.shell = start_shell(&self.groups)?;
        }
        Ok(())
    }

    fn add(&mut self, group: u32) -> Result<usize> {
        let line = self.taken.iter().position(|taken| !taken).unwrap_or(self.taken.len());
        self.write(line, &group.to_string())?;
        match self.taken.get_mut(line) {
            Some(taken) => *taken = true,
            None => self.taken.push(true),
        }
        Ok(line)
    }

    fn remove(&mut self, line: usize) -> Result<()> {
        self.write(line, "")?;
        self.taken[line] = false;
        Ok(())
    }

    fn write(&self, line: usize, text: &str) -> Result<()> {
        let text = format!("{text:<width$}\n", width = LINE_BYTES - 1);
        self.groups.write_all_at(text.as_bytes(), (line * LINE_BYTES) as u64)
    }
}

fn start_shell(groups: &File) -> Result<Child> {
    let mut shell = Command::new("sh");
    shell.args(["-c", SCRIPT, "muster-exec-guard"]).process_group(0).current_dir("/");
    shell.stdin(Stdio::piped()).stdout(groups.try_clone()?).stderr(Stdio::null()).spawn()
}
