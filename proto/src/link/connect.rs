//! The functions that connect: one for clients, one for workers.

use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::Error as RustlsError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::{TlsConnector, TlsStream};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tower::service_fn;

use super::connection::{Connection, Peer, Wire};
use super::error::LinkError;
use super::guard::Part;
use super::identities::{Credential, Identities};
use super::member::{Member, Renewing};
use super::target::{Pin, Target, Token};
use super::verifier::{client_config, is_wrong_peer, server_name};
use super::{
    CONNECT_TIMEOUT, CONNECTION_WINDOW_BYTES, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, STREAM_WINDOW_BYTES,
    TLS_BUFFER_BYTES,
};
use crate::v1::InfoRequest;
use crate::v1::cluster_client::ClusterClient;
use crate::{FRAME_BYTES, PROTOCOL_VERSION};

/// An open connection to a coordinator, for `Client::new(link)`; clones share it. Once it is lost every call
/// fails with `UNAVAILABLE`: it never reconnects by itself. As long as one is there, its certificate is renewed in time.
pub type Link = InterceptedService<Channel, Bearer>;

/// Shows the token with every request, where no certificate is shown.
#[derive(Clone, Debug, Default)]
pub struct Bearer {
    value: Option<MetadataValue<Ascii>>,
    // Ends with the last link.
    _renewing: Option<Arc<Renewing>>,
}

impl Bearer {
    fn new(token: &Token) -> Self {
        let mut value: MetadataValue<Ascii> =
            format!("Bearer {}", token.reveal()).parse().expect("base64 is plain ASCII");
        value.set_sensitive(true);
        Self { value: Some(value), _renewing: None }
    }

    pub(super) fn renewed_by(renewing: Renewing) -> Self {
        Self { value: None, _renewing: Some(Arc::new(renewing)) }
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.value {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// Connects to a coordinator and greets it, so that a wrong pin, a refused token and another protocol version
/// are known here and not in the middle of the work. From another machine it joins first, unless this user has.
///
/// # Errors
/// What is wrong, after [`CONNECT_TIMEOUT`] at the latest.
pub async fn connect(target: &Target) -> Result<Link, LinkError> {
    connect_by(Identities::of_user(), target).await
}

/// Connects as [`connect`] does, with certificates that are kept elsewhere.
///
/// # Errors
/// As [`connect`].
pub async fn connect_by(identities: &Arc<Identities>, target: &Target) -> Result<Link, LinkError> {
    connect_as(Part::Client, identities, target, Ok).await
}

/// Connects as [`connect`] does, for a process that will run what the coordinator sends: one of root trusts
/// no coordinator of another user.
///
/// # Errors
/// As [`connect`].
pub async fn connect_worker(target: &Target) -> Result<Link, LinkError> {
    connect_worker_through(target, Ok).await
}

/// Connects as [`connect_worker`] does, with something between HTTP/2 and the connection, which `wrap` makes.
///
/// # Errors
/// As [`connect`], and those of `wrap`.
pub async fn connect_worker_through<C>(
    target: &Target,
    wrap: impl Fn(Connection) -> io::Result<C>,
) -> Result<Link, LinkError>
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    connect_as(Part::Worker, Identities::of_user(), target, wrap).await
}

async fn connect_as<C>(
    part: Part,
    identities: &Arc<Identities>,
    target: &Target,
    wrap: impl Fn(Connection) -> io::Result<C>,
) -> Result<Link, LinkError>
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // Boxed: the handshakes' state would be part of every caller's future.
    match timeout(CONNECT_TIMEOUT, Box::pin(open(part, identities, target, wrap))).await {
        Ok(link) => link,
        Err(_) => Err(LinkError::Timeout { target: target.to_string(), seconds: CONNECT_TIMEOUT.as_secs() }),
    }
}

async fn open<C>(
    part: Part,
    identities: &Arc<Identities>,
    target: &Target,
    wrap: impl Fn(Connection) -> io::Result<C>,
) -> Result<Link, LinkError>
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let wrap = |connection| wrap(connection).map_err(|error| refused(target, error));
    let (connection, bearer) = match target {
        Target::Unix(path) => (open_unix(part, target, path).await?, Bearer::default()),
        Target::Plain { address, token } => (open_plain(target, address).await?, Bearer::new(token)),
        Target::Tls { address, pin, token } => {
            let member = Member { identities, target, address, pin: *pin, token };
            return member.open(wrap).await;
        }
    };
    let link = InterceptedService::new(channel(target, wrap(connection)?).await?, bearer);
    greet(target, link.clone()).await?;
    Ok(link)
}

async fn open_unix(part: Part, target: &Target, path: &Path) -> Result<Connection, LinkError> {
    let stream = UnixStream::connect(path).await.map_err(|error| refused(target, error))?;
    let peer = stream.peer_cred().map_err(|error| refused(target, error))?;
    if !part.may_use(peer.uid()) {
        return Err(LinkError::Permission { target: target.to_string() });
    }
    let pid = peer.pid().unwrap_or(0).cast_unsigned();
    Ok(Connection::new(Wire::Unix(stream), Peer::Unix { uid: peer.uid(), pid }))
}

async fn open_tcp(target: &Target, address: &str) -> Result<(TcpStream, SocketAddr), LinkError> {
    let stream = TcpStream::connect(address).await.map_err(|error| refused(target, error))?;
    let peer = stream.peer_addr().map_err(|error| refused(target, error))?;
    stream.set_nodelay(true).map_err(|error| refused(target, error))?;
    Ok((stream, peer))
}

/// Without TLS the token goes as it is: never off this machine.
async fn open_plain(target: &Target, address: &str) -> Result<Connection, LinkError> {
    let (stream, peer) = open_tcp(target, address).await?;
    if !peer.ip().is_loopback() {
        return Err(LinkError::PlainOffLoopback { target: target.to_string() });
    }
    Ok(Connection::new(Wire::Tcp(stream), Peer::Tcp { address: peer }))
}

/// Opens a connection over TLS that shows a credential, or none.
pub(super) async fn open_tls(
    target: &Target,
    address: &str,
    pin: Pin,
    credential: Option<&Credential>,
) -> Result<Connection, LinkError> {
    let (stream, peer) = open_tcp(target, address).await?;
    let config = client_config(pin, credential.map(Credential::shown))
        .map_err(|error| LinkError::Tls { target: target.to_string(), source: io::Error::other(error) })?;
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(server_name(), stream)
        .await
        .map_err(|error| handshake_failed(target, error))?;
    stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER_BYTES));
    Ok(Connection::new(Wire::Tls(Box::new(TlsStream::Client(stream))), Peer::Tcp { address: peer }))
}

/// HTTP/2 over the connection. The connector gives it away once, so a lost link stays lost.
pub(super) async fn channel<C>(target: &Target, connection: C) -> Result<Channel, LinkError>
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut once = Some(TokioIo::new(connection));
    let connector = service_fn(move |_| {
        ready(once.take().ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the link was lost")))
    });
    Endpoint::from_static("http://muster-coordinator")
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES as u32)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect_with_connector(connector)
        .await
        .map_err(|error| LinkError::NotMuster { target: target.to_string(), reason: innermost(&error) })
}

pub(super) async fn greet(target: &Target, link: Link) -> Result<(), LinkError> {
    let target = target.to_string();
    let reply = match ClusterClient::new(link).info(InfoRequest { protocol: PROTOCOL_VERSION }).await {
        Ok(reply) => reply.into_inner(),
        Err(status) => return Err(greeting_failed(target, &status)),
    };
    if reply.protocol == PROTOCOL_VERSION {
        return Ok(());
    }
    let reason = format!(
        "it runs muster {} with protocol {}, this one speaks {PROTOCOL_VERSION}; use the same version",
        reply.version, reply.protocol
    );
    Err(LinkError::Incompatible { target, reason })
}

pub(super) fn greeting_failed(target: String, status: &Status) -> LinkError {
    let reason = status.message().to_owned();
    match status.code() {
        Code::Unauthenticated => LinkError::Unknown { target, reason },
        Code::PermissionDenied => LinkError::Refused { target, reason },
        Code::FailedPrecondition => LinkError::Incompatible { target, reason },
        code if reason.is_empty() => LinkError::NotMuster { target, reason: code.to_string() },
        _ => LinkError::NotMuster { target, reason: innermost(status) },
    }
}

fn refused(target: &Target, source: io::Error) -> LinkError {
    let name = target.to_string();
    match (target, source.kind()) {
        (_, io::ErrorKind::ConnectionRefused) => LinkError::NotRunning { target: name },
        (Target::Unix(_), io::ErrorKind::NotFound) => LinkError::NotRunning { target: name },
        (Target::Unix(_), io::ErrorKind::PermissionDenied) => LinkError::Permission { target: name },
        _ => LinkError::Unreachable { target: name, source },
    }
}

fn handshake_failed(target: &Target, source: io::Error) -> LinkError {
    let name = target.to_string();
    match source.get_ref().and_then(|inner| inner.downcast_ref::<RustlsError>()) {
        Some(error) if is_wrong_peer(error) => LinkError::WrongPin { target: name },
        Some(RustlsError::InvalidMessage(_)) => LinkError::NotTls { target: name },
        None if source.kind() == io::ErrorKind::UnexpectedEof => LinkError::NotTls { target: name },
        _ => LinkError::Tls { target: name, source },
    }
}

/// The first cause: the layers above it only say that there was one.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string().replace('\n', " ")
}
