//! A debugger around the process that calls the plugin.

use super::case::Case;
use super::direct::{DIRECT_ARGUMENT, write};
use crate::cluster::TempFolder;
use crate::exit::{Exit, Failure, Outcome, reason};
use crate::plugin::PluginFile;
use crate::terminal::note;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A debugger that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debugger {
    program: PathBuf,
}

impl Debugger {
    /// Looks a program up as a shell would.
    pub fn find(name: &str) -> Result<Self, Failure> {
        let is_program = |path: &Path| {
            use std::os::unix::fs::PermissionsExt as _;
            path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
        };
        let places = if name.contains('/') {
            vec![PathBuf::from(name)]
        } else {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).map(|folder| folder.join(name)).collect()
        };
        let found = places.into_iter().find(|path| !name.is_empty() && is_program(path));
        let program = found.ok_or_else(|| {
            Failure::usage(format_args!("there is no debugger {name:?}: no such program"))
                .hint("install it, or name another: --debugger gdb or --debugger lldb")
        })?;
        Ok(Self { program })
    }

    /// What stands between the debugger and the command line that it debugs.
    fn separator(&self) -> &'static str {
        let name = self.program.file_name().unwrap_or_default().to_string_lossy();
        if name.contains("lldb") { "--" } else { "--args" }
    }
}

/// Gives the terminal to the debugger until it ends.
pub fn under(debugger: &Debugger, case: &Case, file: &PluginFile) -> Outcome {
    let folder = TempFolder::new()?;
    let path = folder.path().join("case");
    write(case, &path)?;
    // The debugger is another program: /proc/self would be its own.
    let muster = std::env::current_exe().map_err(|error| Failure::new(Exit::Limit, error))?;
    let plugin = std::path::absolute(file.path()).map_err(|error| Failure::new(Exit::Plugin, error))?;
    let Debugger { program } = debugger;
    note(format_args!(
        "task {} of job {} under {}; it calls the plugin {}",
        case.task,
        case.job,
        program.display(),
        plugin.display()
    ));
    note("the plugin is loaded when the program runs: a breakpoint in it is pending until then");
    let mut command = Command::new(program);
    command.arg(debugger.separator()).arg(muster).arg(DIRECT_ARGUMENT).arg(&path).arg(plugin);
    // Ctrl-C is for the debugger; who called this listens to it and does nothing.
    let status = command.status().map_err(|error| {
        Failure::new(Exit::Usage, format_args!("cannot start {}: {}", program.display(), reason(&error)))
    })?;
    Ok(if status.success() { Exit::Ok } else { Exit::TasksFailed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debugger_is_a_program_that_is_there() {
        assert!(Debugger::find("sh").unwrap().program.is_absolute());
        for missing in ["", "no-such-debugger", "/etc/passwd", "/"] {
            let failure = Debugger::find(missing).unwrap_err();
            assert!(failure.to_string().contains("no such program"), "{failure}");
        }
        let named = |name: &str| Debugger { program: name.into() }.separator();
        assert_eq!((named("/usr/bin/lldb-19"), named("/usr/bin/gdb")), ("--", "--args"));
    }
}
