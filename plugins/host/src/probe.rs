//! Tries a plugin out in a child process, because its constructors may abort, hang or exit.

use crate::inspect::{Inspection, inspect};
use crate::plugin::Plugin;
use crate::problem::{PluginError, Problem};
use crate::services::StderrServices;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::FromRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The argument that makes an executable call [`probe_main`].
pub const PROBE_ARGUMENT: &str = "__probe";
/// Time for the last words of a dead child to arrive.
const LAST_WORDS_WAIT_MS: u64 = 200;
const LAST_WORDS_BYTES_MAX: usize = 300;
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Loads the plugin in a child process: `exe __probe PATH`, where `exe` is an executable whose main calls
/// [`probe_main`]. The child is killed when it does not answer in time.
///
/// # Errors
/// What is wrong with the file, also when that kills or stops the child.
pub fn probe(exe: &Path, path: &Path, timeout: Duration) -> Result<Inspection, PluginError> {
    let inspection = inspect(path)?;
    ask_child(exe, path, timeout).map_err(|problem| PluginError::new(path, problem))?;
    Ok(inspection)
}

/// Loads the plugin, says on standard output what came of it as one line of JSON, and ends the process.
pub fn probe_main(path: &Path) -> ! {
    let answer_file = take_stdout();
    let (answer, code) = match Plugin::load(path, Arc::new(StderrServices)) {
        Ok(_) => (json!({"loaded": true}), 0),
        Err(error) => (json!({"problem": error.problem().to_string()}), 1),
    };
    // Whoever asked may be gone; then there is nobody to tell.
    let _ = answer_file.and_then(|mut file| writeln!(file, "{answer}"));
    // SAFETY: ends the process at once: destructors of the plugin are not part of the question.
    unsafe { libc::_exit(code) }
}

/// Moves standard output to a descriptor that a plugin does not know, and lets it print to standard error.
///
/// # Errors
/// No descriptor is left.
pub fn take_stdout() -> std::io::Result<File> {
    // SAFETY: both calls work on descriptors of this process, which runs nothing else yet.
    let answers = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_DUPFD_CLOEXEC, 10) };
    if answers < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: as above.
    unsafe { libc::dup2(libc::STDERR_FILENO, libc::STDOUT_FILENO) };
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { File::from_raw_fd(answers) })
}

fn ask_child(exe: &Path, path: &Path, timeout: Duration) -> Result<(), Problem> {
    // Without a deadline that a clock can show it may take as long as it likes.
    let deadline = Instant::now().checked_add(timeout);
    let not_started = |source| Problem::ProbeNotStarted { source };
    let mut child = start(exe, path).map_err(not_started)?;
    let stdout = child.stdout.take().ok_or_else(|| not_started(std::io::Error::other("no pipe")))?;
    let stderr = child.stderr.take().ok_or_else(|| not_started(std::io::Error::other("no pipe")))?;
    let answer = on_thread(move || {
        let mut line = String::new();
        let read = BufReader::new(stdout.take(ANSWER_BYTES_MAX)).read_line(&mut line);
        read.ok().and_then(|_| serde_json::from_str::<Value>(&line).ok())
    });
    let words = on_thread(move || last_words(stderr));
    let answer = answer.recv_timeout(timeout);
    let status = match &answer {
        Ok(_) => wait_until(&mut child, deadline),
        Err(_) => None,
    };
    kill(&mut child);
    match (answer, status) {
        (Ok(Some(answer)), _) => verdict(&answer),
        (Ok(None), Some(status)) => Err(died(status, &words)),
        (Ok(None), None) | (Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected), _) => {
            Err(Problem::ProbeHung { limit: timeout })
        }
    }
}

fn start(exe: &Path, path: &Path) -> std::io::Result<Child> {
    let parent = std::process::id();
    let mut command = Command::new(exe);
    command.arg(PROBE_ARGUMENT).arg(path);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    // SAFETY: only calls that are allowed between fork and exec.
    unsafe {
        command.pre_exec(move || {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            if libc::getppid() as u32 == parent { Ok(()) } else { Err(std::io::ErrorKind::BrokenPipe.into()) }
        });
    }
    command.spawn()
}

/// The value of `work`, which may take longer than anybody waits for it.
fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || sender.send(work()));
    receiver
}

fn verdict(answer: &Value) -> Result<(), Problem> {
    match answer.get("problem").and_then(Value::as_str) {
        None => Ok(()),
        Some(reason) => Err(Problem::ProbeRefused { reason: reason.to_owned() }),
    }
}

fn died(status: ExitStatus, words: &Receiver<String>) -> Problem {
    let last_words = words.recv_timeout(Duration::from_millis(LAST_WORDS_WAIT_MS)).unwrap_or_default();
    match (status.signal(), status.code()) {
        (Some(signal), _) => Problem::ProbeKilled { signal: signal_name(signal), last_words },
        (None, code) => Problem::ProbeExited { code: code.unwrap_or(-1), last_words },
    }
}

/// The last line that is not empty.
fn last_words(mut stderr: impl Read) -> String {
    let (mut tail, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(len @ 1..) = stderr.read(&mut piece) {
        tail.extend_from_slice(&piece[..len]);
        let excess = tail.len().saturating_sub(LAST_WORDS_BYTES_MAX);
        tail.drain(..excess);
    }
    let text = String::from_utf8_lossy(&tail);
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

/// How the child ended; none when it has not by then. Its answer is already there or will never come, so it is
/// about to end.
fn wait_until(child: &mut Child, deadline: Option<Instant>) -> Option<ExitStatus> {
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return None;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Ends the child and all that it started in its process group.
fn kill(child: &mut Child) {
    if let Ok(group) = i32::try_from(child.id()) {
        // SAFETY: the group was made for this child, which has not been waited for or has just ended.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
    let _ = child.kill();
    let _ = child.wait();
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGABRT => "SIGABRT",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGBUS => "SIGBUS",
        libc::SIGILL => "SIGILL",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGTERM => "SIGTERM",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGSYS => "SIGSYS",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}
