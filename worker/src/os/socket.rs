//! Unix sockets between the agent and its executors, with descriptors sent alongside bytes.

use super::check;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// The most descriptors that travel with one write.
pub const DESCRIPTORS_MAX: usize = 4;

/// Room for a control message with [`DESCRIPTORS_MAX`] descriptors, aligned as cmsghdr needs it.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// Two connected sockets of bytes. Both are closed on exec.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    connected(libc::SOCK_STREAM)
}

/// Two connected sockets of messages that stay apart. Both are closed on exec.
pub fn message_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    connected(libc::SOCK_SEQPACKET)
}

fn connected(kind: libc::c_int) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds: [RawFd; 2] = [-1; 2];
    // SAFETY: `fds` has room for the two descriptors.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()) })?;
    // SAFETY: both were just made and belong to nobody else.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// Makes the socket's buffer for sending large enough for a batch of results. The kernel may give less.
pub fn widen(fd: BorrowedFd<'_>, bytes: usize) {
    let bytes = bytes as libc::c_int;
    // SAFETY: the option value is a live int of the stated size.
    unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_SNDBUF,
            (&raw const bytes).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        );
    }
}

/// Writes some of `bytes`; `descriptors` travel with the first of them. Never raises SIGPIPE.
pub fn send(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
    wait: bool,
) -> io::Result<usize> {
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut control = Control([0; 64]);
    // SAFETY: an all-zero msghdr is a valid empty message.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    if !descriptors.is_empty() {
        let size = size_of_val(&descriptors[..descriptors.len().min(DESCRIPTORS_MAX)]) as u32;
        message.msg_control = control.0.as_mut_ptr().cast();
        // SAFETY: CMSG_SPACE only computes; four descriptors need 32 of the 64 bytes.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(size) } as _;
        // SAFETY: the control buffer is zeroed, aligned and long enough for one header and the descriptors.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(&message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(size) as _;
            let data = libc::CMSG_DATA(header).cast::<RawFd>();
            for (at, descriptor) in descriptors.iter().take(DESCRIPTORS_MAX).enumerate() {
                data.add(at).write_unaligned(descriptor.as_raw_fd());
            }
        }
    }
    let flags = libc::MSG_NOSIGNAL | if wait { 0 } else { libc::MSG_DONTWAIT };
    loop {
        // SAFETY: the message points to buffers that live until the call returns.
        let sent = unsafe { libc::sendmsg(fd.as_raw_fd(), &message, flags) };
        if sent >= 0 {
            return Ok(sent as usize);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Reads into `room`, waiting for something to come, and hands over descriptors that came along; 0 = the
/// other side has closed.
pub fn receive(fd: BorrowedFd<'_>, room: &mut [u8], mut take: impl FnMut(OwnedFd)) -> io::Result<usize> {
    let mut part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    let mut control = Control([0; 64]);
    // SAFETY: an all-zero msghdr is a valid empty message.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len() as _;
    let received = loop {
        // SAFETY: the message points to buffers that live until the call returns.
        let received = unsafe { libc::recvmsg(fd.as_raw_fd(), &mut message, libc::MSG_CMSG_CLOEXEC) };
        if received >= 0 {
            break received as usize;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    };
    // SAFETY: the kernel filled the control buffer and its length; the macros walk only within it, and the
    // descriptors in it are new and belong to nobody else.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let bytes = (*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let data = libc::CMSG_DATA(header).cast::<RawFd>();
                for at in 0..bytes / size_of::<RawFd>() {
                    take(OwnedFd::from_raw_fd(data.add(at).read_unaligned()));
                }
            }
            header = libc::CMSG_NXTHDR(&message, header);
        }
    }
    Ok(received)
}

/// Calls on this descriptor return instead of waiting.
pub fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    // SAFETY: reads and writes flags of an open descriptor; no memory is passed.
    unsafe {
        let flags = check(libc::fcntl(fd.as_raw_fd(), libc::F_GETFL))?;
        check(libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK))?;
    }
    Ok(())
}

/// Whether nobody can write to a pipe any more, and all that was written has been read.
pub fn has_ended(pipe: BorrowedFd<'_>) -> bool {
    let mut poll = libc::pollfd { fd: pipe.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd is given, and it is ours.
    let found = unsafe { libc::poll(&raw mut poll, 1, 0) } > 0;
    found && poll.revents & libc::POLLIN == 0
}

/// How many bytes wait to be read; works on both ends of a pipe.
pub fn unread(fd: &OwnedFd) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the ioctl writes one int to the pointer that is given.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, &raw mut bytes) })?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}

/// Reads at most so many bytes, without waiting; nothing read is the other side's end.
pub fn read_at_most(fd: BorrowedFd<'_>, buffer: &mut bytes::BytesMut, most: usize) -> io::Result<usize> {
    buffer.reserve(most);
    let room = buffer.spare_capacity_mut();
    // SAFETY: the room is writable for at least `most` bytes; the kernel does not read it.
    let read = unsafe { libc::read(fd.as_raw_fd(), room.as_mut_ptr().cast(), most) };
    if read < 0 {
        return Err(io::Error::last_os_error());
    }
    let len = buffer.len() + read as usize;
    // SAFETY: the kernel has written `read` bytes behind the old length.
    unsafe { buffer.set_len(len) };
    Ok(read as usize)
}

/// Lets a reader of the socket see its end once everything that has arrived is read.
pub fn shut_for_reading(fd: BorrowedFd<'_>) {
    // SAFETY: takes numbers. A socket that is closed already is no error here.
    unsafe { libc::shutdown(fd.as_raw_fd(), libc::SHUT_RD) };
}

/// Reads into the spare room of a buffer, without waiting; 0 = the other side has closed.
pub fn read_into(fd: BorrowedFd<'_>, buffer: &mut bytes::BytesMut) -> io::Result<usize> {
    let room = buffer.spare_capacity_mut();
    // SAFETY: the room is writable for its length; the kernel does not read it.
    let read = unsafe { libc::read(fd.as_raw_fd(), room.as_mut_ptr().cast(), room.len()) };
    if read < 0 {
        return Err(io::Error::last_os_error());
    }
    let len = buffer.len() + read as usize;
    // SAFETY: the kernel has written `read` bytes behind the old length.
    unsafe { buffer.set_len(len) };
    Ok(read as usize)
}
