//! What a crash record suggests, in words.

use crate::crash::{Access, CrashRecord, Role};
use std::fmt::Write;

/// Addresses below come of a null pointer and a member or an element behind it.
const NULL_BYTES: u64 = 64 << 10;
/// The memory is there, and may not be used so (`SEGV_ACCERR`).
const FORBIDDEN: i32 = 2;
/// `BUS_ADRALN`
const MISALIGNED: i32 = 1;
/// `FPE_INTDIV` and `FPE_INTOVF`
const DIVISION: i32 = 1;
const OVERFLOW: i32 = 2;

/// What went wrong, and in which kind of thread.
pub(super) fn suggest(record: &CrashRecord, process: u32) -> String {
    let mut text = what(record, process);
    match record.role {
        Role::Task { .. } => {}
        Role::Control => text.push_str("; it happened while the plugin opened or closed the job"),
        Role::Other => text.push_str("; it happened in a thread that the plugin started"),
    }
    text
}

fn what(record: &CrashRecord, process: u32) -> String {
    match record.sender {
        Some(sender) if sender == process => return "the plugin sent it to its own process".to_owned(),
        Some(sender) => return format!("process {sender} sent it"),
        None if record.code <= 0 => return "the plugin raised it".to_owned(),
        None => {}
    }
    let Some(signal) = record.signal else { return "the plugin called exit".to_owned() };
    match (signal, record.code) {
        (libc::SIGSEGV, _) => segmentation(record),
        (libc::SIGBUS, MISALIGNED) => at("a misaligned address", record),
        (libc::SIGBUS, _) if record.is_stack_overflow() => stack_overflow(),
        (libc::SIGBUS, _) => at(
            "memory of a file that is not there: the file was truncated, or its file system is full",
            record,
        ),
        (libc::SIGFPE, DIVISION) => "an integer was divided by zero (or the smallest one by -1)".to_owned(),
        (libc::SIGFPE, OVERFLOW) => "an integer overflowed".to_owned(),
        (libc::SIGFPE, _) => "an arithmetic error".to_owned(),
        (libc::SIGILL, _) => {
            "an illegal instruction: often a compiler's trap in code that must not be reached, or code \
                              for another processor"
                .to_owned()
        }
        (libc::SIGTRAP, _) => "a breakpoint or a compiler's trap".to_owned(),
        (libc::SIGSYS, _) => "a system call that is not allowed here".to_owned(),
        _ => "the plugin raised it".to_owned(),
    }
}

fn segmentation(record: &CrashRecord) -> String {
    if record.is_impossible_address() {
        return "a pointer to where no memory can be (a non-canonical address): it was overwritten, or read from memory \
                that was freed"
            .to_owned();
    }
    if record.is_stack_overflow() {
        return stack_overflow();
    }
    let Some(address) = record.address else { return "a wrong memory access".to_owned() };
    let done = match record.access {
        Some(Access::Read) => "was read",
        Some(Access::Write) => "was written to",
        Some(Access::Execute) => "was called",
        None => "was used",
    };
    let mut text = if address < NULL_BYTES {
        format!("a null pointer {done} (address {address:#x})")
    } else {
        format!("address {address:#x} {done}")
    };
    if address >= NULL_BYTES {
        let why = if record.code == FORBIDDEN {
            ", which its memory does not allow"
        } else {
            ", where no memory is"
        };
        text.push_str(why);
    }
    text
}

fn stack_overflow() -> String {
    "a stack overflow: calls nest too deep, or local variables are too large".to_owned()
}

fn at(what: &str, record: &CrashRecord) -> String {
    let mut text = what.to_owned();
    if let Some(address) = record.address {
        // Writing to a text cannot fail.
        let _ = write!(text, " (address {address:#x})");
    }
    text
}
