//! The functions that connect: one for clients, one for workers.

use std::future::ready;
use std::io;
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

use super::ca::{client_config, is_wrong_peer, server_name};
use super::connection::{Connection, Peer, Wire};
use super::error::LinkError;
use super::guard::Role;
use super::target::{Pin, Target, Token};
use super::{
    CONNECT_TIMEOUT, CONNECTION_WINDOW_BYTES, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, STREAM_WINDOW_BYTES,
};
use crate::v1::InfoRequest;
use crate::v1::cluster_client::ClusterClient;
use crate::{FRAME_BYTES, PROTOCOL_VERSION};

/// An open connection to a coordinator, for `Client::new(link)`; clones share it. Once it is lost every call
/// fails with `UNAVAILABLE`: it never reconnects by itself.
pub type Link = InterceptedService<Channel, Bearer>;

/// Shows the token with every request.
#[derive(Clone, Debug, Default)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Bearer {
    fn new(token: &Token) -> Self {
        let mut value: MetadataValue<Ascii> =
            format!("Bearer {}", token.reveal()).parse().expect("base64 is plain ASCII");
        value.set_sensitive(true);
        Self(Some(value))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// Connects to a coordinator and greets it, so that a wrong pin, a refused token and another protocol version
/// are known here and not in the middle of the work.
///
/// # Errors
/// What is wrong, after [`CONNECT_TIMEOUT`] at the latest.
pub async fn connect(target: &Target) -> Result<Link, LinkError> {
    connect_as(Role::Client, target, Ok).await
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
    wrap: impl FnOnce(Connection) -> io::Result<C>,
) -> Result<Link, LinkError>
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    connect_as(Role::Worker, target, wrap).await
}

async fn connect_as<C>(
    role: Role,
    target: &Target,
    wrap: impl FnOnce(Connection) -> io::Result<C>,
) -> Result<Link, LinkError>
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // Boxed: the handshakes' state would be part of every caller's future.
    match timeout(CONNECT_TIMEOUT, Box::pin(open(role, target, wrap))).await {
        Ok(link) => link,
        Err(_) => Err(LinkError::Timeout { target: target.to_string(), seconds: CONNECT_TIMEOUT.as_secs() }),
    }
}

async fn open<C>(
    role: Role,
    target: &Target,
    wrap: impl FnOnce(Connection) -> io::Result<C>,
) -> Result<Link, LinkError>
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (connection, bearer) = match target {
        Target::Unix(path) => (open_unix(role, target, path).await?, Bearer::default()),
        Target::Tls { address, pin, token } => (open_tls(target, address, *pin).await?, Bearer::new(token)),
    };
    let connection = wrap(connection).map_err(|error| refused(target, error))?;
    let link = InterceptedService::new(channel(target, connection).await?, bearer);
    greet(target, link.clone()).await?;
    Ok(link)
}

async fn open_unix(role: Role, target: &Target, path: &Path) -> Result<Connection, LinkError> {
    let stream = UnixStream::connect(path).await.map_err(|error| refused(target, error))?;
    let peer = stream.peer_cred().map_err(|error| refused(target, error))?;
    if !role.may_use(peer.uid()) {
        return Err(LinkError::Permission { target: target.to_string() });
    }
    let pid = peer.pid().unwrap_or(0).cast_unsigned();
    Ok(Connection::new(Wire::Unix(stream), Peer::Unix { uid: peer.uid(), pid }))
}

async fn open_tls(target: &Target, address: &str, pin: Pin) -> Result<Connection, LinkError> {
    let stream = TcpStream::connect(address).await.map_err(|error| refused(target, error))?;
    let peer = stream.peer_addr().map_err(|error| refused(target, error))?;
    stream.set_nodelay(true).map_err(|error| refused(target, error))?;
    let config = client_config(pin)
        .map_err(|error| LinkError::Tls { target: target.to_string(), source: io::Error::other(error) })?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(server_name(), stream)
        .await
        .map_err(|error| handshake_failed(target, error))?;
    Ok(Connection::new(Wire::Tls(Box::new(TlsStream::Client(stream))), Peer::Tcp { address: peer }))
}

/// HTTP/2 over the connection. The connector gives it away once, so a lost link stays lost.
async fn channel<C>(target: &Target, connection: C) -> Result<Channel, LinkError>
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

async fn greet(target: &Target, link: Link) -> Result<(), LinkError> {
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

fn greeting_failed(target: String, status: &Status) -> LinkError {
    let reason = status.message().to_owned();
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => LinkError::Refused { target, reason },
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
