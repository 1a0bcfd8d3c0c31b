//! The one function that opens listeners.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use tokio_rustls::{TlsAcceptor, TlsStream, server as tls};
use tonic::transport::Server;

use super::ca::Authority;
use super::capacity::Capacity;
use super::connection::{Connection, Peer, Wire};
use super::crowd::Crowd;
use super::error::ListenError;
use super::gate::{Gate, Stranger};
use super::moment::Moment;
use super::quiet::about_stranger;
use super::session::Session;
use super::{
    ACCEPTED_MAX, CONNECTION_WINDOW_BYTES, HANDSHAKE_TIMEOUT, HANDSHAKES_MAX, KEEPALIVE_INTERVAL,
    KEEPALIVE_TIMEOUT, PREFACE_TIMEOUT, STREAM_WINDOW_BYTES, TLS_BUFFER_BYTES, private_file,
};
use crate::FRAME_BYTES;

/// The longest path of a Unix socket.
const SOCKET_PATH_MAX_BYTES: usize = 107;
/// After a failed accept, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long somebody may take to say that a socket is alive.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// How often it is looked for connections whose time is over.
const OVERDUE_LOOK: Duration = Duration::from_secs(1);
/// How often, and with what pause, the folder's lock is tried.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Where to listen. At least one of the two.
#[derive(Clone, Debug, Default)]
pub struct ListenConfig {
    /// A Unix socket; its folder is made when missing, a socket that nobody serves is replaced.
    pub unix: Option<PathBuf>,
    /// A TCP port.
    pub tcp: Option<TcpConfig>,
}

/// A TCP port to listen on.
#[derive(Clone, Debug)]
pub struct TcpConfig {
    /// `HOST:PORT`; port 0 picks a free one.
    pub address: String,
    /// How the port is protected.
    pub security: Security,
}

/// How a TCP port is protected.
#[derive(Clone, Debug)]
pub enum Security {
    /// TLS under this authority, which knows its callers by their certificates.
    Tls(Arc<Authority>),
    /// Nothing but the token: refused off the loopback interface.
    PlainLoopback,
}

/// Open listeners: a stream of connections for tonic's `serve_with_incoming`. It ends when it is dropped, and
/// then the socket file goes too.
#[derive(Debug)]
pub struct Listener {
    accepted: mpsc::Receiver<Connection>,
    local_addr: Option<SocketAddr>,
    socket: Option<SocketFile>,
    // Dropping the set ends the accepting tasks and the handshakes they started.
    _accepting: JoinSet<()>,
}

/// Opens the listeners. Connections are accepted, and handshakes made, from here on.
///
/// # Errors
/// The first listener that cannot be opened; none stays open then.
pub async fn listen(config: ListenConfig) -> Result<Listener, ListenError> {
    if config.unix.is_none() && config.tcp.is_none() {
        return Err(ListenError::Nothing);
    }
    let (sender, accepted) = mpsc::channel(ACCEPTED_MAX);
    let mut listener = Listener { accepted, local_addr: None, socket: None, _accepting: JoinSet::new() };
    if let Some(path) = config.unix {
        let (socket, file) = bind_unix(&path).await?;
        listener.socket = Some(file);
        listener._accepting.spawn(accept_unix(socket, sender.clone()));
    }
    if let Some(TcpConfig { address, security }) = config.tcp {
        let socket = bind_tcp(&address, &security).await?;
        listener.local_addr =
            Some(socket.local_addr().map_err(|source| ListenError::Tcp { address, source })?);
        match security {
            Security::Tls(authority) => listener._accepting.spawn(accept_tls(socket, authority, sender)),
            Security::PlainLoopback => listener._accepting.spawn(accept_plain(socket, sender)),
        };
    }
    Ok(listener)
}

/// A tonic server with the settings that every link of muster has.
#[must_use]
pub fn server(capacity: Capacity) -> Server {
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES as u32)
        .max_concurrent_streams(capacity.streams)
        .http2_max_header_list_size(capacity.headers)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
}

impl Listener {
    /// The TCP address, with the port that was picked.
    #[must_use]
    pub const fn local_addr(&self) -> Option<SocketAddr> {
        self.local_addr
    }

    /// The Unix socket.
    #[must_use]
    pub fn socket_path(&self) -> Option<&Path> {
        self.socket.as_ref().map(|socket| socket.path.as_path())
    }
}

impl Stream for Listener {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.accepted.poll_recv(cx).map(|connection| connection.map(Ok))
    }
}

async fn accept_unix(listener: UnixListener, sender: mpsc::Sender<Connection>) {
    loop {
        let accepted = listener.accept().await.and_then(|(stream, _)| {
            let peer = stream.peer_cred()?;
            Ok((stream, Peer::Unix { uid: peer.uid(), pid: peer.pid().unwrap_or(0).cast_unsigned() }))
        });
        let Some((stream, peer)) = kept(accepted).await else { continue };
        if sender.send(Connection::accepted(Wire::Unix(stream), peer, PREFACE_TIMEOUT)).await.is_err() {
            return;
        }
    }
}

async fn accept_plain(listener: TcpListener, sender: mpsc::Sender<Connection>) {
    loop {
        let Some((stream, address)) = kept(accept_tcp(&listener).await).await else { continue };
        if sender
            .send(Connection::accepted(Wire::Tcp(stream), Peer::Tcp { address }, PREFACE_TIMEOUT))
            .await
            .is_err()
        {
            return;
        }
    }
}

/// Every handshake is a task of its own, so that a silent client holds up nobody.
async fn accept_tls(listener: TcpListener, authority: Arc<Authority>, sender: mpsc::Sender<Connection>) {
    let mut handshakes = Crowd::new(HANDSHAKES_MAX);
    let door =
        Arc::new(Door { acceptor: authority.server_config().into(), gate: Gate::default(), authority });
    let mut looks = interval(OVERDUE_LOOK);
    loop {
        tokio::select! {
            accepted = accept_tcp(&listener) => {
                let Some((stream, address)) = kept(accepted).await else { continue };
                if handshakes.admit(Arc::clone(&door).welcome(stream, address)) {
                    about_stranger!(peer = %address, "the oldest TLS handshake makes room for another");
                }
            }
            connection = handshakes.next() => {
                let Some(connection) = connection else { continue };
                if sender.send(connection).await.is_err() {
                    return;
                }
            }
            _ = looks.tick() => door.authority.sessions().end_overdue(Moment::now()),
        }
    }
}

/// Where strangers become callers with a name.
struct Door {
    acceptor: TlsAcceptor,
    gate: Gate,
    authority: Arc<Authority>,
}

impl Door {
    async fn welcome(self: Arc<Self>, stream: TcpStream, address: SocketAddr) -> Option<Connection> {
        let mut stranger = self.gate.stranger(address.ip());
        let shaking = self.shake_hands(stream, &mut stranger);
        let shaken = match timeout(HANDSHAKE_TIMEOUT, shaking).await {
            Ok(shaken) => shaken,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long")),
        };
        match shaken {
            Ok(stream) => Some(self.introduce(stream, address, stranger)),
            Err(error) => {
                about_stranger!(peer = %address, %error, "TLS handshake failed");
                None
            }
        }
    }

    async fn shake_hands(
        &self,
        stream: TcpStream,
        stranger: &mut Stranger,
    ) -> io::Result<tls::TlsStream<TcpStream>> {
        // Who says nothing costs nothing but its connection.
        stream.peek(&mut [0]).await?;
        stranger.enter().await;
        // Boxed: nobody has the room for a handshake before he has a place.
        let accepting = Box::pin(self.acceptor.accept(stream));
        tokio::select! {
            shaken = accepting => shaken,
            () = stranger.must_go() => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "it was slow, and others of its address waited"))
            }
        }
    }

    /// Reads who it is. One without a certificate stays a stranger, and keeps a stranger's place.
    fn introduce(
        &self,
        mut stream: tls::TlsStream<TcpStream>,
        address: SocketAddr,
        stranger: Stranger,
    ) -> Connection {
        let now = Moment::now();
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let place =
            self.authority.sessions().open(self.authority.reader().read(certificates.first(), now), now);
        let session = Arc::clone(&place.session);
        let closed = session.caller.is_err().then(|| see_off(stranger, Arc::clone(&session)));
        if session.caller.is_ok() {
            stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER_BYTES));
        }
        let wire = Wire::Tls(Box::new(TlsStream::Server(stream)));
        let peer = Peer::Tls { address, session };
        Connection::accepted(wire, peer, PREFACE_TIMEOUT).in_place(place, closed)
    }
}

/// Ends a stranger's connection when others wait for its place. The place is free once what this returns is dropped.
fn see_off(mut stranger: Stranger, session: Arc<Session>) -> oneshot::Sender<()> {
    let (sender, mut closed) = oneshot::channel();
    tokio::spawn(async move {
        tokio::select! {
            () = stranger.must_go() => session.end(),
            _ = &mut closed => return,
        }
        let _ = closed.await;
    });
    sender
}

pub(super) async fn accept_tcp(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, address) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, address))
}

/// The connection, or `None` after a pause: whatever went wrong, the listener goes on.
pub(super) async fn kept<T>(accepted: io::Result<T>) -> Option<T> {
    match accepted {
        Ok(connection) => Some(connection),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn bind_tcp(address: &str, security: &Security) -> Result<TcpListener, ListenError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { address: address.to_owned() },
        _ => ListenError::Tcp { address: address.to_owned(), source },
    };
    let resolved: Vec<SocketAddr> = tokio::net::lookup_host(address).await.map_err(failed)?.collect();
    let plain = matches!(security, Security::PlainLoopback);
    if plain && !resolved.iter().all(|address| address.ip().is_loopback()) {
        return Err(ListenError::PlainOffLoopback { address: address.to_owned() });
    }
    TcpListener::bind(resolved.as_slice()).await.map_err(failed)
}

async fn bind_unix(path: &Path) -> Result<(UnixListener, SocketFile), ListenError> {
    let failed = |source| ListenError::Unix { path: path.to_path_buf(), source };
    let length = path.as_os_str().as_bytes().len();
    if length > SOCKET_PATH_MAX_BYTES {
        return Err(ListenError::PathTooLong {
            path: path.to_path_buf(),
            length,
            max: SOCKET_PATH_MAX_BYTES,
        });
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    private_file::create_folder(folder).map_err(|error| failed(io::Error::other(error)))?;
    // Held until the socket stands: two starters must not both find the same dead socket and replace it.
    let _lock = lock_folder(folder).await?;
    remove_dead_socket(path).await?;
    let listener = UnixListener::bind(path).map_err(failed)?;
    let meta = path.symlink_metadata().map_err(failed)?;
    let file = SocketFile { path: path.to_path_buf(), device: meta.dev(), inode: meta.ino() };
    // Until here the folder protects it, and who connects is checked again in any case.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok((listener, file))
}

async fn remove_dead_socket(path: &Path) -> Result<(), ListenError> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Ok(meta) if !meta.file_type().is_socket() => {
            return Err(ListenError::NotASocket { path: path.to_path_buf() });
        }
        Ok(_) => {}
        Err(source) => return Err(ListenError::Unix { path: path.to_path_buf(), source }),
    }
    // Only a refused connection proves that nobody serves it; a full queue or a slow answer does not.
    match timeout(PROBE_TIMEOUT, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)
            .map_err(|source| ListenError::Unix { path: path.to_path_buf(), source }),
        _ => Err(ListenError::AlreadyRunning { path: path.to_path_buf() }),
    }
}

/// An exclusive lock on a folder, as long as the handle lives.
async fn lock_folder(folder: &Path) -> Result<File, ListenError> {
    let failed = |source| ListenError::Unix { path: folder.to_path_buf(), source };
    let handle = File::open(folder).map_err(failed)?;
    for _ in 0..LOCK_TRIES {
        if private_file::try_flock(&handle).map_err(failed)? {
            return Ok(handle);
        }
        sleep(LOCK_PAUSE).await;
    }
    Err(ListenError::FolderBusy { folder: folder.to_path_buf() })
}

/// The socket in the file system, removed when dropped unless another one took its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = self
            .path
            .symlink_metadata()
            .is_ok_and(|meta| meta.dev() == self.device && meta.ino() == self.inode);
        if ours {
            // Nothing better to do than to leave it: the next start finds it dead and replaces it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
