//! How two ends of a pipe or a socket come together. The maker of a channel leaves an address in its row; who joins goes
//! there. Both look whom they have met: numbers in shared memory may be anything.

use super::row::Row;
use super::waiting::{LOOK, Waiting};
use super::{Asked, ChannelError, Kind, Side};
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

/// What the maker keeps until somebody comes.
pub(super) enum Address {
    /// Both ends have memory alone.
    None,
    /// The end to read from, and the one to write to.
    Pipe(File, File),
    /// Where the peer connects.
    Socket(UnixListener, u64),
}

impl Address {
    pub fn make(asked: &Asked) -> Result<Self, ChannelError> {
        match asked.kind {
            Kind::Queue | Kind::Shared => Ok(Self::None),
            Kind::Pipe => pipe(asked).map_err(system("making a pipe")),
            Kind::Socket => listen().map_err(system("making a socket")),
        }
    }

    /// As it stands in the row. A pipe: its descriptors, and which file of the system it is.
    pub fn words(&self) -> Result<[u64; 2], ChannelError> {
        match self {
            Self::None => Ok([0, 0]),
            Self::Pipe(read, write) => {
                let file = read.metadata().map_err(system("looking at a pipe"))?.ino();
                Ok([(read.as_raw_fd() as u64) << 32 | write.as_raw_fd() as u64, file])
            }
            Self::Socket(_, number) => Ok([*number, 0]),
        }
    }

    /// The maker's end, once the peer has come: `process`.
    pub fn connect(
        self,
        row: &Row,
        process: u32,
        waiting: &Waiting<'_>,
    ) -> Result<Option<File>, ChannelError> {
        match self {
            Self::None => row.wait_for_connection(waiting).map(|()| None),
            Self::Pipe(read, write) => {
                // The peer opens its end through this process: until then there must be both.
                row.wait_for_connection(waiting)?;
                Ok(Some(match row.side {
                    Side::Sender => write,
                    Side::Receiver => read,
                }))
            }
            Self::Socket(listener, _) => accept(&listener, row, process, waiting).map(Some),
        }
    }
}

/// The joiner's end. `maker` is the process that has left the address.
pub(super) fn join(
    asked: &Asked,
    row: &Row,
    maker: u32,
    address: [u64; 2],
) -> Result<Option<File>, ChannelError> {
    let end = match asked.kind {
        Kind::Queue | Kind::Shared => None,
        Kind::Pipe => Some(open_pipe(row.side, maker, address)?),
        Kind::Socket => Some(connect(maker, address[0])?),
    };
    row.connected();
    Ok(end)
}

fn pipe(asked: &Asked) -> io::Result<Address> {
    let (read, write) = io::pipe()?;
    let (read, write) = (File::from(OwnedFd::from(read)), File::from(OwnedFd::from(write)));
    for end in [&read, &write] {
        // SAFETY: it takes numbers only.
        unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    }
    // SAFETY: as above. A system that refuses the size leaves the usual one.
    unsafe { libc::fcntl(write.as_raw_fd(), libc::F_SETPIPE_SZ, asked.stream_bytes() as libc::c_int) };
    Ok(Address::Pipe(read, write))
}

fn open_pipe(side: Side, maker: u32, [ends, file]: [u64; 2]) -> Result<File, ChannelError> {
    let (number, mut options) = match side {
        Side::Receiver => (ends >> 32, OpenOptions::new().read(true).clone()),
        Side::Sender => (ends & u64::from(u32::MAX), OpenOptions::new().write(true).clone()),
    };
    let path = format!("/proc/{maker}/fd/{number}");
    let opened = options.custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path);
    let opened = opened.map_err(system("opening the peer's pipe"))?;
    let found = opened.metadata().map_err(system("looking at the peer's pipe"))?;
    let is_it = found.mode() & libc::S_IFMT == libc::S_IFIFO && found.ino() == file;
    is_it.then_some(opened).ok_or(ChannelError::Overwritten)
}

/// In the abstract namespace: nothing is left behind, and nobody else finds the number.
fn name(maker: u32, number: u64) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("muster-channel-{maker}-{number:016x}"))
}

fn listen() -> io::Result<Address> {
    let number = RandomState::new().hash_one(std::process::id());
    let listener = UnixListener::bind_addr(&name(std::process::id(), number)?)?;
    listener.set_nonblocking(true)?;
    Ok(Address::Socket(listener, number))
}

fn connect(maker: u32, number: u64) -> Result<File, ChannelError> {
    let connected = name(maker, number).and_then(|name| UnixStream::connect_addr(&name));
    let stream = connected.map_err(system("connecting to the peer's socket"))?;
    if process_of(&stream)? != maker {
        return Err(ChannelError::Overwritten);
    }
    prepare(stream)
}

fn accept(
    listener: &UnixListener,
    row: &Row,
    process: u32,
    waiting: &Waiting<'_>,
) -> Result<File, ChannelError> {
    waiting.until(|| {
        // First, as when waiting for a connection: who has connected and left is still there to be accepted.
        let peer = row.check_peer();
        match listener.accept() {
            // Anybody may knock; one is waited for.
            Ok((stream, _)) if process_of(&stream)? == process => prepare(stream).map(Some),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                peer?;
                super::stream::ready(listener.as_raw_fd(), libc::POLLIN, LOOK);
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            Err(error) => Err(system("waiting for the peer's socket")(error)),
        }
    })
}

fn prepare(stream: UnixStream) -> Result<File, ChannelError> {
    stream.set_nonblocking(true).map_err(system("preparing a socket"))?;
    Ok(File::from(OwnedFd::from(stream)))
}

/// The process on the other side, as the kernel knows it.
fn process_of(stream: &UnixStream) -> Result<u32, ChannelError> {
    let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: both are valid to write to, and the length is that of the struct.
    let asked = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut found).cast(),
            &raw mut len,
        )
    };
    if asked != 0 {
        return Err(system("asking who connected")(io::Error::last_os_error()));
    }
    Ok(found.pid.cast_unsigned())
}

fn system(what: &'static str) -> impl Fn(io::Error) -> ChannelError {
    move |source| ChannelError::System { what, source }
}
