//! The attacks. Each one says whether it came through; the names are those of the table in docs/sandbox.md.

use crate::Params;
use std::ffi::{CStr, CString};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Error, ErrorKind};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

/// Who and what is attacked.
pub type Targets = Params;

/// An attack; the folder is the task's own.
pub type Attack = fn(&Targets, &Path) -> io::Result<()>;

/// All of them: task i makes the i-th.
pub const ATTACKS: [(&str, Attack); 36] = [
    ("read a variable that the worker was started with", variable),
    ("read a file that was open when the worker was started", descriptor),
    ("become root by a program that is root's (setuid)", setuid),
    ("read /etc/shadow", shadow),
    ("read a file of another job", read_secret),
    ("change a file of another job", change_secret),
    ("write a file outside of its folder", write_outside),
    ("change the mode of a file outside of its folder", change_mode),
    ("list a folder outside of its own", list),
    ("make a device in its own folder", device),
    ("open a file by its handle, past all paths", handle),
    ("read the environment of the agent", environment),
    ("open the memory of the agent", memory),
    ("read the memory of another executor", read_memory),
    ("trace another executor (ptrace)", trace),
    ("send a signal to the agent", signal_agent),
    ("send a signal to another executor", signal_sibling),
    ("set a limit of the agent", limit),
    ("set the priority of the agent", priority),
    ("attach to shared memory of the user", segment),
    ("keep a key for the user in the kernel", key),
    ("connect to a port (TCP)", connect),
    ("listen on a port (TCP)", listen),
    ("send to a port (UDP)", send),
    ("open a raw socket", raw),
    ("connect to the coordinator's socket", connect_socket),
    ("connect to an abstract socket", connect_abstract),
    ("start a program", program),
    ("start a process", process),
    ("start a process in namespaces of its own", namespace),
    ("make a file system to mount", mount),
    ("set the machine's name", host_name),
    ("make a map for programs in the kernel (bpf)", bpf),
    ("count events of the kernel (perf)", perf),
    ("set up a ring of system calls (io_uring)", ring),
    ("catch page faults (userfaultfd)", page_faults),
];

type Outcome = io::Result<()>;

/// The answer of a system call, which is nothing where it is not wanted.
fn check(answer: libc::c_long) -> io::Result<libc::c_long> {
    if answer < 0 { Err(Error::last_os_error()) } else { Ok(answer) }
}

/// A system call made a descriptor, which goes at once.
fn made(answer: libc::c_long) -> Outcome {
    let fd = check(answer)?;
    // SAFETY: the kernel has just made it for this call, and nobody else knows it.
    drop(unsafe { OwnedFd::from_raw_fd(fd as i32) });
    Ok(())
}

fn text(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

fn variable(targets: &Targets, _: &Path) -> Outcome {
    let found = std::env::var(&targets.variable).is_ok();
    found.then_some(()).ok_or_else(|| Error::new(ErrorKind::NotFound, "it is not there"))
}

fn descriptor(targets: &Targets, _: &Path) -> Outcome {
    let mut byte = 0_u8;
    // SAFETY: the kernel writes one byte to the pointer at the most.
    check(unsafe { libc::pread(targets.descriptor, (&raw mut byte).cast(), 1, 0) } as libc::c_long).map(drop)
}

fn setuid(targets: &Targets, _: &Path) -> Outcome {
    let said = Command::new(&targets.setuid).arg("-u").stdin(Stdio::null()).output()?;
    if said.stdout == b"0\n" { Ok(()) } else { Err(Error::other("the program has not become root")) }
}

fn shadow(_: &Targets, _: &Path) -> Outcome {
    fs::read("/etc/shadow").map(drop)
}

fn read_secret(targets: &Targets, _: &Path) -> Outcome {
    fs::read(&targets.secret).map(drop)
}

fn change_secret(targets: &Targets, _: &Path) -> Outcome {
    OpenOptions::new().append(true).open(&targets.secret).map(drop)
}

fn write_outside(targets: &Targets, _: &Path) -> Outcome {
    let path = Path::new(&targets.outside).join(format!("hostile-{}", std::process::id()));
    fs::write(&path, "it was here")?;
    fs::remove_file(path)
}

fn change_mode(targets: &Targets, _: &Path) -> Outcome {
    let mode = fs::metadata(&targets.owned)?.mode();
    fs::set_permissions(&targets.owned, Permissions::from_mode(mode))
}

fn list(targets: &Targets, _: &Path) -> Outcome {
    fs::read_dir(&targets.outside).map(drop)
}

fn device(_: &Targets, scratch: &Path) -> Outcome {
    let path = scratch.join("memory");
    let (name, number) = (text(&path), libc::makedev(1, 1));
    // SAFETY: the path ends with a zero and lives through the call.
    check(unsafe { libc::mknod(name.as_ptr(), libc::S_IFCHR | 0o600, number) }.into())?;
    fs::remove_file(path)
}

fn handle(_: &Targets, _: &Path) -> Outcome {
    #[repr(C, align(8))]
    struct Handle {
        bytes: u32,
        kind: i32,
        handle: [u8; 128],
    }
    let mut handle = Handle { bytes: 128, kind: 0, handle: [0; 128] };
    let (mut mount, file) = (0_i32, c"/etc/passwd");
    // SAFETY: all pointers are valid to read or write as the call does, and the handle says how long it is.
    check(unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            libc::AT_FDCWD,
            file.as_ptr(),
            &raw mut handle,
            &raw mut mount,
            0,
        )
    })?;
    let folder = File::open("/etc")?;
    let folder = std::os::fd::AsRawFd::as_raw_fd(&folder);
    // SAFETY: as above; the folder is open.
    made(unsafe { libc::syscall(libc::SYS_open_by_handle_at, folder, &raw mut handle, libc::O_RDONLY) })
}

fn environment(targets: &Targets, _: &Path) -> Outcome {
    fs::read(format!("/proc/{}/environ", targets.agent)).map(drop)
}

fn memory(targets: &Targets, _: &Path) -> Outcome {
    OpenOptions::new().read(true).write(true).open(format!("/proc/{}/mem", targets.agent)).map(drop)
}

fn read_memory(targets: &Targets, _: &Path) -> Outcome {
    let mut byte = 0_u8;
    let here = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // Nothing is at this address: who may look there at all is told so.
    let there = libc::iovec { iov_base: std::ptr::without_provenance_mut(4096), iov_len: 1 };
    // SAFETY: one byte is written here at the most, and the other address is not of this process.
    let read = unsafe { libc::process_vm_readv(targets.sibling.cast_signed(), &here, 1, &there, 1, 0) };
    match check(read as libc::c_long) {
        Err(error) if error.raw_os_error() != Some(libc::EFAULT) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn trace(targets: &Targets, _: &Path) -> Outcome {
    let sibling = targets.sibling.cast_signed();
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: takes numbers only.
    check(unsafe { libc::ptrace(libc::PTRACE_SEIZE, sibling, nothing, nothing) })?;
    // SAFETY: as above. It goes on once it was let go, which takes that it stands still.
    unsafe {
        libc::ptrace(libc::PTRACE_INTERRUPT, sibling, nothing, nothing);
        libc::waitpid(sibling, std::ptr::null_mut(), libc::__WALL);
        check(libc::ptrace(libc::PTRACE_DETACH, sibling, nothing, nothing)).map(drop)
    }
}

/// Everybody ignores it unless he says otherwise.
const HARMLESS: libc::c_int = libc::SIGURG;

fn signal_agent(targets: &Targets, _: &Path) -> Outcome {
    signal(targets.agent)
}

fn signal_sibling(targets: &Targets, _: &Path) -> Outcome {
    signal(targets.sibling)
}

fn signal(process: u32) -> Outcome {
    if process == 0 {
        return Err(Error::new(ErrorKind::InvalidInput, "no process is named"));
    }
    // SAFETY: takes numbers only.
    check(unsafe { libc::kill(process.cast_signed(), HARMLESS) }.into()).map(drop)
}

fn limit(targets: &Targets, _: &Path) -> Outcome {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let agent = targets.agent.cast_signed();
    // SAFETY: the kernel writes one rlimit, and then reads it.
    unsafe {
        check(libc::prlimit(agent, libc::RLIMIT_NOFILE, std::ptr::null(), &mut limit).into())?;
        check(libc::prlimit(agent, libc::RLIMIT_NOFILE, &limit, std::ptr::null_mut()).into()).map(drop)
    }
}

fn priority(targets: &Targets, _: &Path) -> Outcome {
    // SAFETY: takes numbers only. -1 may be an answer, which is then set again.
    check(unsafe {
        let now = libc::getpriority(libc::PRIO_PROCESS, targets.agent);
        libc::setpriority(libc::PRIO_PROCESS, targets.agent, now).into()
    })
    .map(drop)
}

fn segment(targets: &Targets, _: &Path) -> Outcome {
    // SAFETY: the kernel finds a free place for it, where nobody looks, and it goes at once.
    unsafe {
        let at = libc::shmat(targets.segment, std::ptr::null(), libc::SHM_RDONLY);
        check(at as libc::c_long)?;
        check(libc::shmdt(at).into()).map(drop)
    }
}

fn key(_: &Targets, _: &Path) -> Outcome {
    const OF_THE_PROCESS: libc::c_int = -2;
    let (kind, name, what) = (c"user", c"muster-hostile", c"x");
    // SAFETY: the texts end with a zero, and the length is that of the last one.
    check(unsafe {
        libc::syscall(libc::SYS_add_key, kind.as_ptr(), name.as_ptr(), what.as_ptr(), 1, OF_THE_PROCESS)
    })
    .map(drop)
}

fn connect(targets: &Targets, _: &Path) -> Outcome {
    TcpStream::connect((Ipv4Addr::LOCALHOST, targets.port as u16)).map(drop)
}

fn listen(_: &Targets, _: &Path) -> Outcome {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map(drop)
}

fn send(targets: &Targets, _: &Path) -> Outcome {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.send_to(b"x", (Ipv4Addr::LOCALHOST, targets.port as u16)).map(drop)
}

fn raw(_: &Targets, _: &Path) -> Outcome {
    // SAFETY: takes numbers only.
    made(unsafe { libc::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP) }.into())
}

fn connect_socket(targets: &Targets, _: &Path) -> Outcome {
    UnixStream::connect(&targets.socket).map(drop)
}

fn connect_abstract(targets: &Targets, _: &Path) -> Outcome {
    let address = SocketAddr::from_abstract_name(&targets.abstract_socket)?;
    UnixStream::connect_addr(&address).map(drop)
}

fn program(_: &Targets, _: &Path) -> Outcome {
    let mut command = Command::new("/bin/true");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().map(drop)
}

fn process(_: &Targets, _: &Path) -> Outcome {
    child(0)
}

fn namespace(_: &Targets, _: &Path) -> Outcome {
    child(libc::CLONE_NEWUSER)
}

/// A child that ends at once.
fn child(flags: libc::c_int) -> Outcome {
    // SAFETY: without a stack of its own the child goes on with a copy of this one, and does nothing but end.
    let child = unsafe {
        match libc::syscall(libc::SYS_clone, flags | libc::SIGCHLD, 0, 0, 0, 0) {
            0 => libc::_exit(0),
            child => check(child)?,
        }
    };
    // SAFETY: takes numbers, and no status is wanted.
    check(unsafe { libc::waitpid(child as libc::pid_t, std::ptr::null_mut(), 0) }.into()).map(drop)
}

fn mount(_: &Targets, _: &Path) -> Outcome {
    // SAFETY: the text ends with a zero.
    made(unsafe { libc::syscall(libc::SYS_fsopen, c"tmpfs".as_ptr(), 0) })
}

fn host_name(_: &Targets, _: &Path) -> Outcome {
    let mut name = [0_u8; 256];
    // SAFETY: the kernel writes a text that ends with a zero, and then reads so many bytes of it.
    unsafe {
        check(libc::gethostname(name.as_mut_ptr().cast(), name.len()).into())?;
        let len = CStr::from_bytes_until_nul(&name).map_or(0, CStr::count_bytes);
        check(libc::sethostname(name.as_ptr().cast(), len).into()).map(drop)
    }
}

fn bpf(_: &Targets, _: &Path) -> Outcome {
    const MAP_CREATE: libc::c_int = 0;
    const ARRAY: u32 = 2;
    // Kind, bytes of a key and of a value, entries.
    let map = [ARRAY, 4, 4, 1];
    // SAFETY: the kernel reads as many bytes as are said.
    made(unsafe { libc::syscall(libc::SYS_bpf, MAP_CREATE, map.as_ptr(), size_of_val(&map)) })
}

fn perf(_: &Targets, _: &Path) -> Outcome {
    const SOFTWARE: u32 = 1;
    // The first version of the structure: kind, its size, and zeros, which are the clock of the processor.
    let mut event = [0_u32; 16];
    (event[0], event[1]) = (SOFTWARE, size_of_val(&event) as u32);
    // SAFETY: the structure says how long it is; the rest are numbers.
    made(unsafe { libc::syscall(libc::SYS_perf_event_open, event.as_ptr(), 0, -1, -1, 0) })
}

fn ring(_: &Targets, _: &Path) -> Outcome {
    let mut parameters = [0_u32; 30];
    // SAFETY: the kernel reads and writes 120 bytes.
    made(unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) })
}

fn page_faults(_: &Targets, _: &Path) -> Outcome {
    const OWN_CODE_ONLY: libc::c_int = 1;
    // SAFETY: takes a number.
    made(unsafe { libc::syscall(libc::SYS_userfaultfd, OWN_CODE_ONLY | libc::O_CLOEXEC) })
}
