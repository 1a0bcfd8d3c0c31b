//! Builds a plugin's folder: Rust with cargo, C and C++ with the system's compiler. What the tools print is
//! shown only when they fail.

use super::error::PluginFailure;
use super::sources;
use crate::interrupt::Interrupt;
use muster_worker::os::process::kill_group;
use serde::Deserialize;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// How long a tool may take to end after each of the signals that tell it to.
const END_GRACE: Duration = Duration::from_millis(500);

/// What kind of sources a folder holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Project {
    /// A crate.
    Cargo,
    /// C sources.
    C(Vec<PathBuf>),
    /// C++ sources.
    Cpp(Vec<PathBuf>),
}

impl Project {
    /// Looks into a folder: `Cargo.toml`, or `*.c`, or `*.cpp` in it or in its `src`.
    pub fn detect(folder: &Path) -> Option<Self> {
        if folder.join("Cargo.toml").is_file() {
            return Some(Self::Cargo);
        }
        let sources = |endings: &[&str]| {
            let mut found = Vec::new();
            for folder in [folder.to_owned(), folder.join("src")] {
                let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
                found.extend(entries.map(|entry| entry.path()).filter(|path| {
                    let ending = path.extension().and_then(|ending| ending.to_str());
                    ending.is_some_and(|ending| endings.contains(&ending)) && path.is_file()
                }));
            }
            found.sort();
            found
        };
        let cpp = sources(&["cpp", "cc", "cxx"]);
        if !cpp.is_empty() {
            return Some(Self::Cpp(cpp));
        }
        let c = sources(&["c"]);
        (!c.is_empty()).then_some(Self::C(c))
    }
}

/// Builds the folder and gives the plugin file's absolute path. An interrupt ends the build with all its processes.
pub async fn build(folder: &Path, interrupt: &mut Interrupt) -> Result<PathBuf, PluginFailure> {
    let missing = || PluginFailure::NotAProject { path: folder.to_owned() };
    let folder = folder.canonicalize().map_err(|_| missing())?;
    match Project::detect(&folder).ok_or_else(missing)? {
        Project::Cargo => with_cargo(&folder, interrupt).await,
        Project::C(sources) => with_compiler(&folder, "cc", "-std=c11", &sources, interrupt).await,
        Project::Cpp(sources) => with_compiler(&folder, "c++", "-std=c++17", &sources, interrupt).await,
    }
}

/// The part of cargo's messages that says what was built.
#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    filenames: Option<Vec<PathBuf>>,
}

#[derive(Deserialize)]
struct Target {
    crate_types: Vec<String>,
}

async fn with_cargo(folder: &Path, interrupt: &mut Interrupt) -> Result<PathBuf, PluginFailure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = folder.join("Cargo.toml");
    let mut command = Command::new(cargo);
    command
        .args(["build", "--release", "--lib", "--message-format=json-render-diagnostics", "--manifest-path"])
        .arg(&manifest);
    let output = output_of(command, "cargo", folder, interrupt).await?;
    if !output.status.success() {
        return Err(failed(folder, &output));
    }
    let built = |line: &[u8]| {
        let message: Message = serde_json::from_slice(line).ok()?;
        let ours = message.reason == "compiler-artifact" && message.manifest_path.as_ref() == Some(&manifest);
        let is_library = message.target?.crate_types.iter().any(|kind| kind == "cdylib");
        let library = |file: &PathBuf| file.extension().is_some_and(|ending| ending == "so");
        (ours && is_library).then(|| message.filenames?.into_iter().find(library)).flatten()
    };
    let library = output.stdout.split(|&byte| byte == b'\n').find_map(built);
    library.ok_or_else(|| PluginFailure::NoLibrary { path: folder.to_owned() })
}

async fn with_compiler(
    folder: &Path,
    tool: &str,
    standard: &str,
    files: &[PathBuf],
    interrupt: &mut Interrupt,
) -> Result<PathBuf, PluginFailure> {
    let write = |path: &Path, error| PluginFailure::Write { path: path.to_owned(), error };
    let target = folder.join("build");
    std::fs::create_dir_all(&target).map_err(|error| write(&target, error))?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let library = target.join(format!("{name}.so"));
    // Written under another name first: somebody may be loading the old file.
    let unfinished = target.join(format!(".{name}-{}.so", std::process::id()));
    let headers = target.join(format!(".include-{}", std::process::id()));
    let own_headers = [folder.join("include"), folder.join(".muster/include")];
    let mut command = Command::new(tool);
    command.args([standard, "-O2", "-g", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra"]);
    for own in own_headers.iter().filter(|own| own.is_dir()) {
        command.arg("-I").arg(own);
    }
    sources::write_headers(&headers)?;
    command.arg("-I").arg(&headers).args(files).arg("-o").arg(&unfinished).arg("-lm");
    let output = output_of(command, tool, folder, interrupt).await;
    let _ = std::fs::remove_dir_all(&headers);
    if output.is_err() {
        // The compiler may have been ended before it could clean up.
        let _ = std::fs::remove_file(&unfinished);
    }
    let output = output?;
    if !output.status.success() {
        return Err(failed(folder, &output));
    }
    std::fs::rename(&unfinished, &library).map_err(|error| write(&library, error))?;
    Ok(library)
}

/// What a tool says until its end. It has a process group of its own, because a signal may come to this process
/// alone, and what the tool started must end with it.
async fn output_of(
    mut command: Command,
    tool: &str,
    folder: &Path,
    interrupt: &mut Interrupt,
) -> Result<Output, PluginFailure> {
    let failed = |error| PluginFailure::NoTool { tool: tool.to_owned(), path: folder.to_owned(), error };
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.process_group(0).spawn().map_err(failed)?;
    let group = child.id();
    let mut output = std::pin::pin!(child.wait_with_output());
    tokio::select! {
        output = &mut output => return output.map_err(failed),
        _ = interrupt.next() => {}
    }
    for signal in [libc::SIGTERM, libc::SIGKILL] {
        group.into_iter().for_each(|group| kill_group(group, signal));
        // Its pipes are closed when the last of its processes has ended.
        if timeout(END_GRACE, &mut output).await.is_ok() {
            break;
        }
    }
    Err(PluginFailure::BuildInterrupted { path: folder.to_owned() })
}

/// Shows what the tool said, unless somebody ended it.
fn failed(folder: &Path, output: &Output) -> PluginFailure {
    if matches!(output.status.signal(), Some(libc::SIGINT | libc::SIGTERM | libc::SIGHUP)) {
        return PluginFailure::BuildInterrupted { path: folder.to_owned() };
    }
    let _ = std::io::stderr().lock().write_all(&output.stderr);
    PluginFailure::BuildFailed { path: folder.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_known_by_its_sources() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Project::detect(dir.path()), None);
        std::fs::create_dir(dir.path().join("src")).unwrap();
        let source = dir.path().join("src/a.c");
        std::fs::write(&source, "").unwrap();
        assert_eq!(Project::detect(dir.path()), Some(Project::C(vec![source])));
        std::fs::write(dir.path().join("Cargo.toml"), "").unwrap();
        assert_eq!(Project::detect(dir.path()), Some(Project::Cargo));
    }
}
