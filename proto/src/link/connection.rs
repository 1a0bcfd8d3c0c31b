//! An open connection of either kind, and who is at the other end.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};
use tokio_rustls::TlsStream;
use tonic::transport::server::Connected;

use super::quiet::about_stranger;
use super::session::{Place, Session};

/// What every HTTP/2 client sends first is this long.
const PREFACE_BYTES: usize = 24;

/// Who is at the other end: as the kernel says, and what was shown in the handshake.
#[derive(Clone, Debug)]
pub enum Peer {
    /// A process on this machine.
    Unix {
        /// Its user.
        uid: u32,
        /// Its process, 0 when the kernel does not say.
        pid: u32,
    },
    /// A process that may be anywhere, over TLS.
    Tls {
        /// Its address.
        address: SocketAddr,
        /// Who it is, and how long that holds.
        session: Arc<Session>,
    },
    /// A process on this machine, over TCP without TLS; or, to a client, its coordinator.
    Tcp {
        /// Its address.
        address: SocketAddr,
    },
}

impl Peer {
    /// Who sent a request that came in through a [`super::Listener`].
    #[must_use]
    pub fn of<T>(request: &tonic::Request<T>) -> Option<Self> {
        request.extensions().get::<Self>().cloned()
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix { uid, pid } => write!(f, "process {pid} of user {uid}"),
            Self::Tls { address, .. } | Self::Tcp { address } => write!(f, "{address}"),
        }
    }
}

/// An open connection, ready for HTTP/2.
#[derive(Debug)]
pub struct Connection {
    wire: Wire,
    peer: Peer,
    preface: Option<Preface>,
    place: Option<Place>,
    // Dropped with the connection: whoever waits for that hears of it.
    _closed: Option<oneshot::Sender<()>>,
}

/// What a client still has to send, and by when.
#[derive(Debug)]
struct Preface {
    missing_bytes: usize,
    deadline: Pin<Box<Sleep>>,
}

#[derive(Debug)]
pub(super) enum Wire {
    Unix(UnixStream),
    Tcp(TcpStream),
    // Boxed: the state of TLS is some kilobytes.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    pub(super) fn new(wire: Wire, peer: Peer) -> Self {
        Self { wire, peer, preface: None, place: None, _closed: None }
    }

    /// A client's connection, whose reads fail when the client stays silent for longer than `patience`.
    pub(super) fn accepted(wire: Wire, peer: Peer, patience: Duration) -> Self {
        let preface = Preface { missing_bytes: PREFACE_BYTES, deadline: Box::pin(sleep(patience)) };
        Self { wire, peer, preface: Some(preface), place: None, _closed: None }
    }

    /// The same connection, which ends when its session does. `closed` is dropped with it.
    pub(super) fn in_place(self, place: Place, closed: Option<oneshot::Sender<()>>) -> Self {
        Self { place: Some(place), _closed: closed, ..self }
    }

    /// Fails when the session was ended; otherwise this is polled again when it is.
    fn poll_session(&self, cx: &Context<'_>) -> io::Result<()> {
        match &self.place {
            Some(place) if place.session.poll_ended(cx.waker()) => {
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Ready when the time is over in which a client must say something.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(preface) = &mut self.preface else { return Poll::Pending };
        ready!(preface.deadline.as_mut().poll(cx));
        about_stranger!(peer = %self.peer, "closed: the client connected and said nothing");
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn count_read(&mut self, bytes: usize) {
        if let Some(preface) = &mut self.preface {
            preface.missing_bytes = preface.missing_bytes.saturating_sub(bytes);
            if preface.missing_bytes == 0 {
                self.preface = None;
            }
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

/// Hands a call to whichever stream there is.
macro_rules! each {
    ($self:ident, $stream:ident => $call:expr) => {
        match &mut $self.as_mut().get_mut().wire {
            Wire::Unix($stream) => $call,
            Wire::Tcp($stream) => $call,
            Wire::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_session(cx)?;
        let before = buf.filled().len();
        let read = each!(self, stream => Pin::new(stream).poll_read(cx, buf));
        if read.is_pending() {
            return self.poll_silence(cx);
        }
        self.count_read(buf.filled().len() - before);
        read
    }
}

impl AsyncWrite for Connection {
    // Whoever does not read is told the end here: nothing is read from a connection that cannot be written to.
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_session(cx)?;
        each!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_session(cx)?;
        each!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.wire {
            Wire::Unix(stream) => stream.is_write_vectored(),
            Wire::Tcp(stream) => stream.is_write_vectored(),
            Wire::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_session(cx)?;
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const PATIENCE: Duration = Duration::from_millis(50);

    fn pair() -> (Connection, UnixStream) {
        let (server, client) = UnixStream::pair().unwrap();
        (Connection::accepted(Wire::Unix(server), Peer::Unix { uid: 1, pid: 1 }, PATIENCE), client)
    }

    #[tokio::test]
    async fn a_client_that_does_not_speak_http2_is_not_waited_for() {
        for said in [&b""[..], b"P", &[b'x'; PREFACE_BYTES - 1]] {
            let (mut connection, mut client) = pair();
            client.write_all(said).await.unwrap();
            let mut read = Vec::new();
            let error = connection.read_to_end(&mut read).await.unwrap_err();
            assert_eq!((error.kind(), read.as_slice()), (io::ErrorKind::TimedOut, said));
        }
    }

    #[tokio::test]
    async fn after_its_first_words_a_client_may_be_silent() {
        let (mut connection, mut client) = pair();
        client.write_all(&[b'x'; PREFACE_BYTES]).await.unwrap();
        connection.read_exact(&mut [0; PREFACE_BYTES]).await.unwrap();
        sleep(2 * PATIENCE).await;
        client.write_all(b"y").await.unwrap();
        assert_eq!(connection.read_u8().await.unwrap(), b'y');
    }
}
