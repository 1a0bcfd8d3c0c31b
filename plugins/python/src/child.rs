//! An interpreter beside the executor: one process, and in it a thread for each thread of the executor, so that they share its
//! globals and its lock as they would in this process.

use crate::message::Reply;
use crate::script::Script;
use muster_sdk::{CancelFlag, Error};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Signal, getpid, kill_process};
use std::collections::BTreeMap;
use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{self, Command, ExitStatus};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Reads the bridge, which would be in the way of people who list processes.
const BOOT: &str = include_str!("boot.py");
/// Calls the functions of users.
const BRIDGE: &str = concat!(include_str!("bridge.py"), "\n\n", include_str!("serve.py"));
/// How often a thread that waits looks whether its task should stop, in nanoseconds.
const LOOK_NS: i64 = 5_000_000;
/// So often it tells the interpreter, until the task has stopped, in looks.
const LOOKS_PER_WORD: u32 = 10;
/// Words to the interpreter's first thread.
const OPENS: u8 = 1;
const CANCELS: u8 = 2;

/// An interpreter. It ends when its sockets close, and is killed with the executor's process group.
pub struct Child {
    process: Mutex<process::Child>,
    control: Mutex<UnixStream>,
    /// By the executor's slots.
    lines: Mutex<BTreeMap<u32, UnixStream>>,
    /// Tasks that run.
    calls: AtomicUsize,
}

impl Child {
    /// Starts it, and executes the script in it.
    pub fn start(executable: &Path, script: &Script) -> Result<Self, Error> {
        let (mut control, theirs) = UnixStream::pair()?;
        let process =
            Command::new(executable).args(["-c", BOOT]).stdin(OwnedFd::from(theirs)).spawn().map_err(
                |error| Error::from(error).context(format_args!("{} cannot be run", executable.display())),
            )?;
        let process = Mutex::new(process);
        let settings = script.settings()?;
        let loaded = send(&mut control, BRIDGE.as_bytes())
            .and_then(|()| send(&mut control, &settings))
            .and_then(|()| receive(&mut control));
        let child = Self {
            process,
            control: Mutex::new(control),
            lines: Mutex::new(BTreeMap::new()),
            calls: AtomicUsize::new(0),
        };
        let reply = match loaded {
            Ok(reply) => Reply::decode(reply)?,
            Err(error) => {
                let status = child.end()?;
                return Err(Error::failed(format_args!(
                    "{}: the interpreter ended with {status} while it was loaded ({error})",
                    script.shown()
                )));
            }
        };
        reply.into_document().map_err(|error| error.context(script.shown()))?;
        Ok(child)
    }

    /// Runs a task on the interpreter's thread for this slot.
    pub fn call(&self, request: &[u8], slot: u32, cancel: CancelFlag<'_>) -> Result<Reply, Error> {
        self.calls.fetch_add(1, SeqCst);
        let known = lock(&self.lines).remove(&slot);
        let mut line = match known {
            Some(line) => line,
            None => self.open(slot)?,
        };
        match self.exchange(&mut line, request, slot, cancel) {
            Ok(Reply::Exits(status)) => {
                // It is this task that does it. Ended here it is charged, and no other.
                eprintln!("the task ended its interpreter with status {status}");
                process::exit(status)
            }
            Ok(reply) => {
                self.calls.fetch_sub(1, SeqCst);
                lock(&self.lines).insert(slot, line);
                Ok(reply)
            }
            Err(error) => self.follow(&error),
        }
    }

    fn open(&self, slot: u32) -> Result<UnixStream, Error> {
        let (line, theirs) = UnixStream::pair()?;
        self.tell(OPENS, slot, Some(&theirs)).unwrap_or_else(|error| self.follow(&error));
        Ok(line)
    }

    fn exchange(
        &self,
        line: &mut UnixStream,
        request: &[u8],
        slot: u32,
        cancel: CancelFlag<'_>,
    ) -> io::Result<Reply> {
        send(line, request)?;
        let mut looks = 0;
        while !readable(line)? {
            if cancel.is_set() {
                if looks % LOOKS_PER_WORD == 0 {
                    self.tell(CANCELS, slot, None)?;
                }
                looks += 1;
            }
        }
        Reply::decode(receive(line)?).map_err(|error| io::Error::other(error.to_string()))
    }

    /// Tells the interpreter's first thread something about one of the others.
    fn tell(&self, word: u8, slot: u32, with: Option<&UnixStream>) -> io::Result<()> {
        let mut bytes = vec![word];
        bytes.extend(u64::from(slot).to_le_bytes());
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut room);
        let descriptors: Vec<_> = with.iter().map(|line| line.as_fd()).collect();
        if !descriptors.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        let control = lock(&self.control);
        // So few bytes are never sent in part: there is room for them or there is none.
        sendmsg(&*control, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The interpreter is gone, and with it everything that its threads were at: so goes this process, and what ran in it is
    /// tried again as after any crash. A task that ran alone is the one that did it.
    fn follow(&self, error: &io::Error) -> ! {
        let shown = self.end().map_or_else(|_| error.to_string(), |status| status.to_string());
        eprintln!("the interpreter ended with {shown}");
        if self.calls.load(SeqCst) == 1 {
            process::abort();
        }
        // As from outside: nobody knows which of the threads it was.
        let _ = kill_process(getpid(), Signal::KILL);
        loop {
            std::thread::park();
        }
    }

    /// Ends it when it has not ended by itself.
    fn end(&self) -> io::Result<ExitStatus> {
        let _ = lock(&self.control).shutdown(std::net::Shutdown::Both);
        lock(&self.process).wait()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It has nothing to do any more. It may have ended already.
        let _ = lock(&self.process).kill();
        let _ = lock(&self.process).wait();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits a little for something to read.
fn readable(line: &UnixStream) -> io::Result<bool> {
    let pause = Timespec { tv_sec: 0, tv_nsec: LOOK_NS };
    match poll(&mut [PollFd::new(line, PollFlags::IN)], Some(&pause)) {
        Err(rustix::io::Errno::INTR) => Ok(false),
        other => Ok(other? > 0),
    }
}

fn send(line: &mut UnixStream, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    line.write_all(&length.to_le_bytes())?;
    line.write_all(message)
}

fn receive(line: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    line.read_exact(&mut length)?;
    let mut message = vec![0; u32::from_le_bytes(length) as usize];
    line.read_exact(&mut message)?;
    Ok(message)
}
