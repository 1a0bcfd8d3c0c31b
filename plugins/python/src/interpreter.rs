//! Which Python there is: an interpreter is found, and asked what it is and where its library lies.

use muster_sdk::{Error, serde_json};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Deserialize;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What an interpreter is asked.
const QUESTION: &str = include_str!("ask.py");
/// One that has not answered by then never will.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// A longer answer is none.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// The oldest version that is supported.
const OLDEST: [u32; 2] = [3, 8];

/// A Python of this machine.
#[derive(Debug, Clone, Deserialize)]
pub struct Interpreter {
    /// The program itself, and not a script in its place.
    pub executable: PathBuf,
    implementation: String,
    version: [u32; 3],
    /// Its shared library.
    pub library: Option<PathBuf>,
    free_threaded: bool,
}

impl Interpreter {
    /// The one that is asked for, or else the first of PATH.
    ///
    /// # Errors
    /// None is there, or it cannot be used.
    pub fn find(asked: &str) -> Result<Self, Error> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let in_path = |name: &str| {
            std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
        };
        if asked.is_empty() {
            let found = ["python3", "python"].into_iter().find_map(in_path).ok_or_else(|| {
                Error::unsupported(format_args!(
                    "no Python on this machine: neither python3 nor python is in PATH={}; install one, or name it with python=PATH",
                    path.display()
                ))
            })?;
            return ask(&found);
        }
        let asked_path = Path::new(asked);
        let found = if asked.contains('/') { Some(asked_path.to_owned()) } else { in_path(asked) };
        match found {
            Some(found) if found.is_file() => match version_of_library(&found) {
                Some(version) => beside_library(&found, version, in_path),
                None => ask(&found),
            },
            Some(_) | None => Err(Error::params(format_args!(
                "python={asked} is not on this machine; name an interpreter by its path or by a name in PATH"
            ))),
        }
    }

    /// Its name and version, as people say it.
    pub fn name(&self) -> String {
        let [major, minor, patch] = self.version;
        let build = if self.free_threaded { ", free-threaded" } else { "" };
        format!("{} {major}.{minor}.{patch}{build}", self.implementation)
    }

    /// Whether the C API is there as the embedding needs it.
    pub fn is_cpython(&self) -> bool {
        self.implementation == "CPython"
    }
}

/// The version in the name of a libpython, as it stands in the names of its interpreters: 3.11 or 3.13t.
fn version_of_library(path: &Path) -> Option<&str> {
    let rest = path.file_name()?.to_str()?.strip_prefix("libpython")?;
    let (version, _) = rest.split_once(".so")?;
    Some(version.trim_end_matches('m'))
}

/// A library does not know where the modules of its Python are, but the interpreter that belongs to it does.
fn beside_library(
    library: &Path,
    version: &str,
    in_path: impl Fn(&str) -> Option<PathBuf>,
) -> Result<Interpreter, Error> {
    let library = library.canonicalize()?;
    let name = format!("python{version}");
    let near =
        library.ancestors().skip(1).map(|folder| folder.join("bin").join(&name)).find(|path| path.is_file());
    let program = near.or_else(|| in_path(&name)).ok_or_else(|| {
        Error::params(format_args!(
            "python={} has no interpreter {name} in a folder bin beside it nor in PATH, and only that knows where its modules are; name the interpreter",
            library.display()
        ))
    })?;
    Ok(Interpreter { library: Some(library), ..ask(&program)? })
}

/// Asks an interpreter what it is.
fn ask(program: &Path) -> Result<Interpreter, Error> {
    let shown = program.display();
    let refused =
        |why: String| Error::params(format_args!("python={shown} is no Python that can be used: {why}"));
    let answer = answer(program).map_err(|error| refused(error.to_string()))?;
    let found: Interpreter = serde_json::from_slice(&answer)
        .map_err(|_| refused(format!("asked what it is, it says {:?}", String::from_utf8_lossy(&answer))))?;
    if found.version < [OLDEST[0], OLDEST[1], 0] {
        let [major, minor] = OLDEST;
        return Err(refused(format!(
            "it is {}; {major}.{minor} is the oldest that is supported",
            found.name()
        )));
    }
    if !found.executable.is_file() {
        return Err(refused(format!("it says that it is {:?}", found.executable)));
    }
    Ok(found)
}

fn answer(program: &Path) -> io::Result<Vec<u8>> {
    // Without site: the interpreter starts faster, and what is asked does not need it.
    let mut command = Command::new(program);
    command.args(["-S", "-c", QUESTION]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let answer = read(&mut child, Instant::now() + ANSWER_LIMIT);
    if answer.is_err() {
        // It may have ended by itself.
        let _ = child.kill();
    }
    let status = child.wait()?;
    let answer = answer?;
    if !status.success() {
        let mut words = String::new();
        if let Some(stderr) = child.stderr.take() {
            // Words that are no UTF-8 explain nothing.
            let _ = stderr.take(ANSWER_BYTES_MAX as u64).read_to_string(&mut words);
        }
        let last = words.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
        return Err(io::Error::other(format!("asked what it is, it ended with {status}: {last}")));
    }
    Ok(answer)
}

/// What it writes until it ends, within bounds of time and length.
fn read(child: &mut Child, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut pipe = child.stdout.take().ok_or_else(|| io::Error::other("it has no standard output"))?;
    let (mut answer, mut piece) = (Vec::new(), [0; 4_096]);
    loop {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now()))
            .map_err(io::Error::other)?;
        if poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&left))? == 0 {
            return Err(io::Error::other(format!("it does not answer within {} s", ANSWER_LIMIT.as_secs())));
        }
        match pipe.read(&mut piece)? {
            0 => return Ok(answer),
            length => answer.extend_from_slice(&piece[..length]),
        }
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(io::Error::other("asked what it is, it does not stop talking"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn libraries_tell_their_version() {
        let version = |path| version_of_library(Path::new(path));
        assert_eq!(version("/a/libpython3.11.so.1.0"), Some("3.11"));
        assert_eq!(version("/a/libpython3.13t.so"), Some("3.13t"));
        assert_eq!(version("/usr/bin/python3"), None);
        assert_eq!(version("/a/libpython3.11.a"), None);
    }

    #[test]
    fn what_is_no_python_is_refused_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        for (text, words) in [
            ("exit 3", "exit status: 3"),
            ("echo no module >&2; exit 1", "no module"),
            ("echo hello", "it says \"hello\\n\""),
            ("yes", "does not stop talking"),
            (
                r#"echo '{"executable":"/x","implementation":"CPython","version":[3,7,16],"library":null,"free_threaded":false}'"#,
                "3.8 is the oldest",
            ),
            (
                r#"echo '{"executable":"","implementation":"CPython","version":[3,9,1],"library":null,"free_threaded":false}'"#,
                "it says that it is",
            ),
        ] {
            let program = folder.path().join("python");
            std::fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
            let error = Interpreter::find(program.to_str().unwrap()).unwrap_err();
            let line = error.message();
            assert!(
                line.contains(words) && line.contains("python=/") && !line.contains('\n'),
                "{text}: {line}"
            );
        }
        for missing in ["/nowhere/python", "no-such-python"] {
            let error = Interpreter::find(missing).unwrap_err();
            assert!(error.message().contains(missing), "{error}");
        }
    }
}
