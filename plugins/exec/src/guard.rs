//! Kills running commands when this process dies, however it dies.
//!
//! A process that is killed can clean nothing up. So a small shell outside of it knows the process groups of its
//! commands; its standard input is a pipe from here, and the pipe's end means that this process is no more.

use std::io::{ErrorKind, Result, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Reads `+ GROUP` and `- GROUP`, and kills the groups that are left at the end.
const SCRIPT: &str = r#"
groups=
while read -r change group; do
  case $change in
    +) groups="$groups $group" ;;
    *) left=
       for other in $groups; do [ "$other" = "$group" ] || left="$left $other"; done
       groups=$left ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group"; done
"#;

/// The shell, started with the first command.
static SHELL: Mutex<Option<Shell>> = Mutex::new(None);

/// A process group that does not outlive this process, until this is dropped.
#[derive(Debug)]
pub struct Guarded {
    group: u32,
}

impl Guarded {
    /// Guards a group. Fails when the shell cannot be started or told.
    pub fn new(group: u32) -> Result<Self> {
        tell(&format!("+ {group}\n"))?;
        Ok(Self { group })
    }
}

impl Drop for Guarded {
    /// To be called before the group's leader was waited for: later its number may be that of another group.
    fn drop(&mut self) {
        // A shell that is gone kills nothing.
        let _ = tell(&format!("- {}\n", self.group));
    }
}

/// Lines are shorter than what a pipe takes at once, and the shell reads them as they come.
fn tell(line: &str) -> Result<()> {
    let mut shell = SHELL.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = &mut *shell {
        if running.write(line).is_ok() {
            return Ok(());
        }
        // It was ended by somebody: the next one guards what is started from now on.
        running.0.wait()?;
    }
    shell.insert(Shell::start()?).write(line)
}

#[derive(Debug)]
struct Shell(Child);

impl Shell {
    fn start() -> Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "muster-exec-guard"]).process_group(0).current_dir("/");
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(Self)
    }

    fn write(&mut self, line: &str) -> Result<()> {
        let stdin = self.0.stdin.as_mut().ok_or(ErrorKind::BrokenPipe)?;
        stdin.write_all(line.as_bytes())
    }
}
