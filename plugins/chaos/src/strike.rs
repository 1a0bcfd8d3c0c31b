//! The faults themselves, and the only `unsafe` code of all workloads.

use crate::Mode;
use crate::answer::Answer;
use muster_sdk::Error;
use std::fs::File;
use std::hint::black_box;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Bytes that leak keeps when nothing is said.
const LEAK_BYTES: u64 = 1 << 20;
/// Bytes that oom takes at most when nothing is said.
const OOM_BYTES: u64 = 1 << 30;
/// Bytes that oom takes at a time.
const PIECE_BYTES: usize = 1 << 20;
/// Not null, which debug builds catch, but within the first page, which nobody can have.
const BAD_ADDRESS: usize = 64;

/// How much of a fault there is.
#[derive(Clone, Copy, Debug)]
pub struct Amounts {
    /// Of leak and oom; 0: as the mode likes it.
    pub bytes: u64,
    /// Of fd-leak.
    pub files: u32,
    /// Of fork-children.
    pub children: u32,
    /// How long they sleep.
    pub child_seconds: u32,
    /// Of exit.
    pub code: i32,
}

/// Does it. Most modes do not come back.
pub fn strike(mode: Mode, index: u64, amounts: &Amounts) -> Result<Answer, Error> {
    match mode {
        Mode::Error => return Err(Error::failed(format_args!("chaos: task {index} fails as asked"))),
        Mode::Transient => {
            return Err(Error::transient(format_args!("chaos: task {index} fails for now, as asked")));
        }
        Mode::Panic => panic!("chaos: task {index} panics as asked"),
        Mode::PanicInDrop => panic_in_drop(index),
        Mode::Abort => std::process::abort(),
        Mode::Segv => segv(),
        Mode::Stack => drop(black_box(deeper(index))),
        Mode::Exit => std::process::exit(amounts.code),
        Mode::Oom => return Err(take_memory(amounts.bytes)),
        Mode::Leak => leak(amounts.bytes),
        Mode::Hang => hang(),
        Mode::Stubborn => {
            ignore_sigterm();
            hang();
        }
        Mode::Kill => kill_self(),
        Mode::Deadlock => deadlock(),
        Mode::FdLeak => leak_files(amounts.files)?,
        Mode::ForkChildren => start_children(amounts)?,
        Mode::CorruptOutput => return Ok(Answer::Corrupt),
        // It is done while waiting.
        Mode::Slow => {}
    }
    Ok(Answer::Number(index))
}

/// Panics while a panic is on its way, which no process survives.
fn panic_in_drop(index: u64) {
    struct Bomb(u64);
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("chaos: what task {} drops panics as asked", self.0);
        }
    }
    let _bomb = Bomb(index);
    panic!("chaos: task {index} panics as asked");
}

fn segv() {
    let bad = std::ptr::without_provenance_mut::<u8>(BAD_ADDRESS);
    // SAFETY: there is none. The address is within the page that Linux never maps, so that the write only ends the
    // process, which is what was asked for.
    unsafe { bad.write_volatile(1) }
}

/// Goes deeper until the stack is used up.
#[inline(never)]
#[allow(unconditional_recursion, reason = "that is the fault")]
fn deeper(depth: u64) -> u64 {
    let frame = black_box([depth; 128]);
    deeper(depth + 1) + frame[black_box(0)]
}

fn take_memory(bytes: u64) -> Error {
    let bytes = if bytes == 0 { OOM_BYTES } else { bytes };
    let mut pieces = Vec::new();
    for _ in 0..bytes.div_ceil(PIECE_BYTES as u64) {
        // Not zeros: those would take no memory until they are touched.
        pieces.push(black_box(vec![1_u8; PIECE_BYTES]));
    }
    Error::failed(format_args!(
        "chaos: the task took {bytes} bytes of memory and nothing stopped it; set a limit of memory, or take more with bytes="
    ))
}

fn leak(bytes: u64) {
    let bytes = if bytes == 0 { LEAK_BYTES } else { bytes };
    std::mem::forget(black_box(vec![1_u8; usize::try_from(bytes).unwrap_or(usize::MAX)]));
}

fn hang() {
    loop {
        thread::sleep(Duration::from_secs(3_600));
    }
}

fn ignore_sigterm() {
    // SAFETY: no handler of anybody is run: the signal is ignored from now on.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
}

/// As somebody else would, or the kernel when memory runs out.
fn kill_self() {
    // SAFETY: takes numbers only. The call does not come back, or the task goes on.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
}

/// Two threads take two locks, in opposite order, each after the other has its first.
fn deadlock() {
    let locks = Arc::new([Mutex::new(()), Mutex::new(())]);
    let both = Arc::new(Barrier::new(2));
    let (theirs, meet) = (Arc::clone(&locks), Arc::clone(&both));
    let other = thread::spawn(move || {
        let _second = lock(&theirs[1]);
        meet.wait();
        let _first = lock(&theirs[0]);
    });
    let _first = lock(&locks[0]);
    both.wait();
    let _second = lock(&locks[1]);
    let _ = other.join();
}

fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn leak_files(count: u32) -> Result<(), Error> {
    for number in 0..count {
        match File::open("/dev/null") {
            Ok(file) => std::mem::forget(file),
            Err(error) => {
                return Err(Error::failed(format_args!(
                    "chaos: file {} of {count} could not be opened: {error}",
                    number + 1
                )));
            }
        }
    }
    Ok(())
}

/// Children that nobody waits for, and a grandchild in a session of its own whose parent has ended.
fn start_children(amounts: &Amounts) -> Result<(), Error> {
    let seconds = amounts.child_seconds.to_string();
    for _ in 0..amounts.children {
        quiet(Command::new("sleep").arg(&seconds)).spawn().map_err(|error| failed("sleep", &error))?;
    }
    let mut leader = Command::new("sh");
    quiet(leader.args(["-c", &format!("sleep {seconds} &")]));
    // SAFETY: between fork and exec only setsid is called, which takes nothing and touches no memory.
    unsafe {
        leader.pre_exec(|| match libc::setsid() {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
    leader.status().map_err(|error| failed("sh", &error))?;
    Ok(())
}

/// Nobody who reads the executor's pipes must wait for these children.
fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

fn failed(program: &str, error: &io::Error) -> Error {
    Error::failed(format_args!("chaos: {program} could not be started: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMOUNTS: Amounts = Amounts { bytes: 0, files: 3, children: 0, child_seconds: 1, code: 0 };

    #[test]
    fn faults_that_come_back_give_the_number_or_say_what_they_did() {
        assert!(strike(Mode::Error, 5, &AMOUNTS).unwrap_err().message().contains("task 5"));
        assert!(strike(Mode::Transient, 5, &AMOUNTS).unwrap_err().message().contains("for now"));
        assert_eq!(strike(Mode::CorruptOutput, 5, &AMOUNTS).unwrap(), Answer::Corrupt);
        for mode in [Mode::Leak, Mode::Slow, Mode::FdLeak, Mode::ForkChildren] {
            assert_eq!(strike(mode, 5, &AMOUNTS).unwrap(), Answer::Number(5), "{mode:?}");
        }
        let stopped = strike(Mode::Oom, 5, &Amounts { bytes: 1, ..AMOUNTS }).unwrap_err();
        assert!(stopped.message().contains("nothing stopped it"), "{stopped}");
    }

    #[test]
    fn panics_name_the_task() {
        let caught = std::panic::catch_unwind(|| strike(Mode::Panic, 5, &AMOUNTS)).unwrap_err();
        assert_eq!(caught.downcast_ref::<String>().unwrap(), "chaos: task 5 panics as asked");
    }
}
