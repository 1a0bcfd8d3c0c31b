//! Rights of the whole process, each given up by one system call.

use super::SandboxError;
use std::io;

type Outcome = Result<(), SandboxError>;

fn done(what: &'static str, result: libc::c_long) -> Outcome {
    if result == 0 { Ok(()) } else { Err(SandboxError::Rights { what, source: io::Error::last_os_error() }) }
}

/// Its memory, and with it inputs and results, goes into no file when it crashes.
pub fn no_core_dumps() -> Outcome {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call reads one rlimit.
    done("no core dumps", unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) }.into())
}

/// No program that it starts gets more rights than it has.
pub fn no_new_privileges() -> Outcome {
    // SAFETY: takes numbers only.
    done("no new privileges", unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into())
}

/// What root may do beyond its own files. It is root still, without its powers.
pub fn drop_capabilities() -> Outcome {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: libc::c_int,
    }
    // Version 3, for this thread: the only one there is.
    let header = Header { version: 0x2008_0522, pid: 0 };
    let none = [0_u32; 6];
    // SAFETY: the kernel reads the header and two times three numbers, and writes none of them in this version.
    done("no capabilities", unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) })
}

/// Closes every descriptor from a number on.
pub fn close_from(first: u32) -> Outcome {
    // SAFETY: nothing of this process has a descriptor there yet; the standard library keeps none.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
    done("closing what was inherited", closed)
}
