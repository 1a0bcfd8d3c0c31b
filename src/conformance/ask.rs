//! A child process that loads the plugin and answers in lines; it may die of what it is asked.

use super::inside::{INSIDE_ARGUMENT, Request};
use super::subject::Subject;
use crate::cluster::die_with;
use crate::exit::{Exit, Failure, reason};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tokio::sync::oneshot;

/// A child that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// What a child said, and how it ended.
#[derive(Debug)]
pub struct Answer {
    pub lines: Vec<Value>,
    /// In words; none: it did what it was asked.
    pub end: Option<String>,
}

/// Asks one question; `result`: of the plugin's first task, when there is one. Must be called on the main thread: the child dies with the thread that started it.
pub async fn ask(subject: &Subject, question: &str, result: Option<&[u8]>) -> Result<Answer, Failure> {
    let request = Request::new(subject, question, result);
    let failed = |error: std::io::Error| {
        Failure::new(Exit::Limit, format_args!("cannot start a process for the test: {}", reason(&error)))
    };
    let mut child = start().map_err(failed)?;
    let text = serde_json::to_vec(&request).map_err(|error| failed(error.into()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A child that died before it read this is noticed below.
        let _ = stdin.write_all(&text);
    }
    let Some(stdout) = child.stdout.take() else { return Err(failed(std::io::Error::other("no pipe"))) };
    let (sender, lines) = oneshot::channel();
    std::thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let parsed: Vec<Value> = lines.filter_map(|line| serde_json::from_str(&line).ok()).collect();
        // Nobody waits for it after a signal.
        let _ = sender.send(parsed);
    });
    let mut held = Held(child);
    let mut lines = lines;
    let in_time = tokio::time::timeout(LIMIT, &mut lines).await;
    let hung = in_time.is_err();
    let status = held.end(hung).map_err(failed)?;
    let lines = match in_time {
        Ok(lines) => lines.unwrap_or_default(),
        // All that could write to the pipe is dead.
        Err(_) => lines.await.unwrap_or_default(),
    };
    let end = if hung { Some(format!("it hung for {} s", LIMIT.as_secs())) } else { words(status) };
    Ok(Answer { lines, end })
}

/// A child and all that it started, which end with this.
struct Held(Child);

impl Held {
    fn end(&mut self, at_once: bool) -> std::io::Result<ExitStatus> {
        if at_once {
            self.kill();
        }
        let status = self.0.wait();
        self.kill();
        status
    }

    fn kill(&mut self) {
        if let Ok(group) = i32::try_from(self.0.id()) {
            // SAFETY: the group was made for this child alone.
            unsafe { libc::kill(-group, libc::SIGKILL) };
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.kill();
            let _ = self.0.wait();
        }
    }
}

fn start() -> std::io::Result<Child> {
    let parent = std::process::id();
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("muster")
        .arg(INSIDE_ARGUMENT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    // SAFETY: the closure makes system calls only, which is what may be done between fork and exec.
    unsafe { command.pre_exec(move || die_with(parent)) };
    command.spawn()
}

fn words(status: ExitStatus) -> Option<String> {
    match (status.signal(), status.code()) {
        (_, Some(0)) => None,
        (Some(signal), _) => Some(format!("the process ended by signal {signal}")),
        (None, code) => Some(format!("the process ended with exit code {}", code.unwrap_or(-1))),
    }
}
