//! Runs one command: feeds it, keeps what it writes, and stops it when it should.

use crate::capture::{Capture, Keep};
use crate::group::{Group, file, unblock, wait_for};
use crate::guard;
use crate::outcome::{Failure, Report, exit_code};
use crate::template::INPUT_VARIABLE;
use muster_sdk::Context;
use rustix::event::{PollFd, PollFlags};
use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Result, Write};
use std::os::unix::process::CommandExt;
use std::process::{self, Stdio};
use std::time::{Duration, Instant};

/// How often a running command asks whether to go on.
const PAUSE: Duration = Duration::from_millis(10);
/// More on standard output is a failure.
const STDOUT_BYTES_MAX: usize = 64 << 20;
/// More on standard error is cut.
const STDERR_BYTES_MAX: usize = 64 << 10;

/// The command of a task.
#[derive(Debug)]
pub struct Command<'a> {
    /// For `sh -c`.
    pub script: Cow<'a, str>,
    /// The input as a word, when the script asks for it.
    pub word: Option<&'a OsStr>,
    /// Standard input.
    pub input: &'a [u8],
    /// Number of the task.
    pub index: u64,
    /// Which attempt it is.
    pub attempt: u32,
}

/// What a command may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Time; none: any.
    pub timeout: Option<Duration>,
    /// Bytes on standard output.
    pub stdout: usize,
    /// Bytes of standard error that are kept.
    pub stderr: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { timeout: None, stdout: STDOUT_BYTES_MAX, stderr: STDERR_BYTES_MAX }
    }
}

/// The task that a command belongs to.
pub trait Host {
    /// True when it should stop.
    fn cancelled(&self) -> bool;
    /// Runs code that waits and does not compute.
    fn blocking<T>(&mut self, wait: impl FnOnce() -> T) -> T;
}

impl Host for Context<'_> {
    fn cancelled(&self) -> bool {
        Context::cancelled(self)
    }

    fn blocking<T>(&mut self, wait: impl FnOnce() -> T) -> T {
        Context::blocking(self, wait)
    }
}

/// Runs a command to its end.
pub fn run(
    command: &Command<'_>,
    limits: &Limits,
    host: &mut impl Host,
) -> std::result::Result<Report, Failure> {
    let deadline = limits.timeout.and_then(|limit| Some((Instant::now().checked_add(limit)?, limit)));
    let mut running = Running::start(command, limits).map_err(Failure::NotRun)?;
    loop {
        if running.step(deadline.map(|(at, _)| at), host).map_err(Failure::NotRun)? {
            return running.report(limits);
        }
        if host.cancelled() {
            running.stop(host)?;
            return Err(Failure::Cancelled);
        }
        if running.stdout.overflowed() {
            running.stop(host)?;
            return Err(Failure::TooMuchOutput { limit: limits.stdout });
        }
        if let Some((_, limit)) = deadline.filter(|(at, _)| Instant::now() >= *at) {
            let stderr = running.stop(host)?;
            return Err(Failure::TimedOut { limit, stderr });
        }
    }
}

struct Running<'a> {
    group: Group,
    stdin: Option<File>,
    /// What was not written yet.
    input: &'a [u8],
    stdout: Capture<File>,
    stderr: Capture<File>,
}

impl<'a> Running<'a> {
    fn start(command: &Command<'a>, limits: &Limits) -> Result<Self> {
        let mut shell = process::Command::new("sh");
        shell.arg("-c").arg(&*command.script).process_group(0);
        shell.env("MUSTER_INDEX", command.index.to_string());
        shell.env("MUSTER_ATTEMPT", command.attempt.to_string());
        if let Some(word) = command.word {
            shell.env(INPUT_VARIABLE, word);
        }
        shell.stdin(if command.input.is_empty() { Stdio::null() } else { Stdio::piped() });
        guard::stand_by()?;
        let mut child = shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (stdin, stdout, stderr) =
            (child.stdin.take().map(file), child.stdout.take().map(file), child.stderr.take().map(file));
        let group = Group::new(child)?;
        for pipe in [&stdin, &stdout, &stderr].into_iter().flatten() {
            unblock(pipe)?;
        }
        let stdout = Capture::new(stdout, limits.stdout, Keep::Head);
        let stderr = Capture::new(stderr, limits.stderr, Keep::Tail);
        Ok(Self { group, stdin, input: command.input, stdout, stderr })
    }

    /// Waits a little for something to do and does it; true when the command has ended.
    fn step(&mut self, deadline: Option<Instant>, host: &mut impl Host) -> Result<bool> {
        let pause = Instant::now() + PAUSE;
        let until = deadline.map_or(pause, |deadline| deadline.min(pause));
        let mut fds = vec![PollFd::from_borrowed_fd(self.group.end(), PollFlags::IN)];
        let outputs = [self.stdout.pipe(), self.stderr.pipe()];
        fds.extend(outputs.into_iter().flatten().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        fds.extend(self.stdin.iter().map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
        host.blocking(|| wait_for(&mut fds, until))?;
        let ended = !fds[0].revents().is_empty();
        self.feed()?;
        self.stdout.read()?;
        self.stderr.read()?;
        Ok(ended)
    }

    /// Writes what the pipe takes. A command need not read its input.
    fn feed(&mut self) -> Result<()> {
        while let Some(pipe) = &mut self.stdin {
            match pipe.write(self.input) {
                Ok(len) => self.input = &self.input[len..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::BrokenPipe => self.input = &[],
                Err(error) => return Err(error),
            }
            if self.input.is_empty() {
                self.stdin = None;
            }
        }
        Ok(())
    }

    /// Ends it before its time, and says what it wrote to standard error.
    fn stop(mut self, host: &mut impl Host) -> std::result::Result<Vec<u8>, Failure> {
        host.blocking(|| self.group.stop()).map_err(Failure::NotRun)?;
        self.stderr.read().map_err(Failure::NotRun)?;
        Ok(self.stderr.into_bytes())
    }

    fn report(mut self, limits: &Limits) -> std::result::Result<Report, Failure> {
        let status = self.group.finish().map_err(Failure::NotRun)?;
        // What was written before the end may still be in the pipes; what others might write later is not waited for.
        self.stdout.read().and_then(|()| self.stderr.read()).map_err(Failure::NotRun)?;
        if self.stdout.overflowed() {
            return Err(Failure::TooMuchOutput { limit: limits.stdout });
        }
        let (stdout, stderr) = (self.stdout.into_bytes(), self.stderr.into_bytes());
        Ok(Report { stdout, stderr, exit: exit_code(status) })
    }
}

#[cfg(test)]
mod tests;
