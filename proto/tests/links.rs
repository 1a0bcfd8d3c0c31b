//! Links over real sockets: both kinds work, and everything that can be wrong is said in words.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use muster_proto::link::{
    Authority, Guard, HANDSHAKES_MAX, Link, LinkError, ListenConfig, ListenError, Listener, Peer, Security,
    Target, TcpConfig, Token, connect, listen, server,
};
use muster_proto::v1::cluster_client::ClusterClient;
use muster_proto::v1::cluster_server::{Cluster, ClusterServer};
use muster_proto::v1::{
    DrainRequest, InfoReply, InfoRequest, ShutdownReply, ShutdownRequest, WorkerInfo, WorkersReply,
    WorkersRequest,
};
use muster_proto::{MESSAGE_MAX_BYTES, PROTOCOL_VERSION};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::task::JoinHandle;
use tonic::service::InterceptorLayer;
use tonic::{Code, Request, Response, Status};

/// Answers as a coordinator does; a drain echoes its text, so that sizes can be tried.
struct Fake {
    protocol: u32,
}

#[tonic::async_trait]
impl Cluster for Fake {
    async fn info(&self, request: Request<InfoRequest>) -> Result<Response<InfoReply>, Status> {
        if request.get_ref().protocol != self.protocol && self.protocol == 77 {
            return Err(Status::failed_precondition("this coordinator speaks protocol 77"));
        }
        let version = Peer::of(&request).unwrap().to_string();
        Ok(Response::new(InfoReply { protocol: self.protocol, version, ..InfoReply::default() }))
    }

    async fn workers(&self, _: Request<WorkersRequest>) -> Result<Response<WorkersReply>, Status> {
        Ok(Response::new(WorkersReply::default()))
    }

    async fn drain(&self, request: Request<DrainRequest>) -> Result<Response<WorkerInfo>, Status> {
        Ok(Response::new(WorkerInfo { name: request.into_inner().worker, ..WorkerInfo::default() }))
    }

    async fn shutdown(&self, _: Request<ShutdownRequest>) -> Result<Response<ShutdownReply>, Status> {
        Ok(Response::new(ShutdownReply {}))
    }
}

/// A coordinator in its own folder, stopped when dropped.
struct World {
    folder: tempfile::TempDir,
    authority: Authority,
    address: Option<SocketAddr>,
    serving: JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl World {
    async fn start(security: impl FnOnce(&Authority) -> Security, protocol: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(&folder.path().join("state")).unwrap();
        let config = ListenConfig {
            unix: Some(folder.path().join("run/c.sock")),
            tcp: Some(TcpConfig { address: "127.0.0.1:0".into(), security: security(&authority) }),
        };
        let listener = listen(config).await.unwrap();
        let address = listener.local_addr();
        let serving = serve(listener, Guard::with_token(authority.token()), protocol);
        Self { folder, authority, address, serving }
    }

    async fn tls() -> Self {
        Self::start(|authority| Security::Tls(authority.server_config()), PROTOCOL_VERSION).await
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("run/c.sock")
    }

    fn address(&self) -> String {
        self.address.unwrap().to_string()
    }

    fn target(&self) -> Target {
        self.authority.target(&self.address()).unwrap()
    }
}

fn serve(listener: Listener, guard: Guard, protocol: u32) -> JoinHandle<()> {
    let cluster = ClusterServer::new(Fake { protocol }).max_decoding_message_size(MESSAGE_MAX_BYTES);
    let serving =
        server().layer(InterceptorLayer::new(guard)).add_service(cluster).serve_with_incoming(listener);
    tokio::spawn(async move { serving.await.unwrap() })
}

async fn info(link: Link) -> InfoReply {
    ClusterClient::new(link).info(InfoRequest { protocol: PROTOCOL_VERSION }).await.unwrap().into_inner()
}

async fn echo(link: Link, bytes: usize) -> usize {
    let mut client = ClusterClient::new(link).max_decoding_message_size(MESSAGE_MAX_BYTES);
    let reply = client.drain(DrainRequest { worker: "x".repeat(bytes), deadline_ms: 0 }).await.unwrap();
    reply.into_inner().name.len()
}

async fn refused(target: &Target) -> LinkError {
    let error = connect(target).await.unwrap_err();
    let text = error.to_string();
    assert!(!text.contains('\n'), "one line: {text}");
    if let Target::Tls { token, .. } = target {
        assert!(!text.contains(&token.reveal()), "the token shows: {text}");
    }
    error
}

#[tokio::test]
async fn a_unix_link_knows_its_peer() {
    let world = World::tls().await;
    assert_eq!(world.socket().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let link = connect(&Target::Unix(world.socket())).await.unwrap();
    let seen = info(link.clone()).await.version;
    assert!(seen.starts_with(&format!("process {} of user", std::process::id())), "{seen}");
    assert_eq!(echo(link, 20 << 20).await, 20 << 20);
}

#[tokio::test]
async fn a_tls_link_knows_its_peer() {
    let world = World::tls().await;
    let link = connect(&world.target()).await.unwrap();
    let seen = info(link.clone()).await.version;
    assert!(seen.starts_with("127.0.0.1:"), "{seen}");
    assert_eq!(echo(link, 20 << 20).await, 20 << 20);
}

#[tokio::test]
async fn another_authority_is_not_accepted() {
    let (world, other) = (World::tls().await, World::tls().await);
    let target = Target::tls(&world.address(), other.authority.pin(), *world.authority.token()).unwrap();
    assert!(matches!(refused(&target).await, LinkError::WrongPin { .. }));
}

#[tokio::test]
async fn another_token_is_refused_in_words() {
    let world = World::tls().await;
    let target = Target::tls(&world.address(), world.authority.pin(), Token([3; 32])).unwrap();
    let error = refused(&target).await;
    assert!(matches!(error, LinkError::Refused { .. }) && error.is_permission(), "{error}");
    assert!(error.to_string().contains("the token is not valid"), "{error}");
}

#[tokio::test]
async fn a_plain_port_wants_the_token_too() {
    let world = World::start(|_| Security::PlainLoopback, PROTOCOL_VERSION).await;
    let endpoint = tonic::transport::Endpoint::try_from(format!("http://{}", world.address())).unwrap();
    let mut client = ClusterClient::new(endpoint.connect().await.unwrap());
    let status = client.info(InfoRequest { protocol: PROTOCOL_VERSION }).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    let mut request = Request::new(InfoRequest { protocol: PROTOCOL_VERSION });
    let bearer = format!("Bearer {}", world.authority.token().reveal());
    request.metadata_mut().insert("authorization", bearer.parse().unwrap());
    assert!(client.info(request).await.is_ok());
}

#[tokio::test]
async fn a_peer_without_tls_is_named() {
    let world = World::start(|_| Security::PlainLoopback, PROTOCOL_VERSION).await;
    let error = refused(&world.target()).await;
    assert!(matches!(error, LinkError::NotTls { .. }), "{error}");
}

#[tokio::test]
async fn a_peer_that_hangs_up_or_talks_nonsense_is_named() {
    let world = World::tls().await;
    for answer in [&b""[..], b"220 mail.example ESMTP\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = world.authority.target(&listener.local_addr().unwrap().to_string()).unwrap();
        let peer = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await.unwrap();
            // Take the rest, so that the close is no reset.
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut stream).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
        let error = refused(&target).await;
        assert!(matches!(error, LinkError::NotTls { .. }), "{answer:?}: {error}");
        peer.await.unwrap();
    }
}

#[tokio::test]
async fn a_silent_peer_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let _silent = UnixListener::bind(&path).unwrap();
    let error = refused(&Target::Unix(path)).await;
    assert!(matches!(error, LinkError::Timeout { .. }) && error.is_transient(), "{error}");
}

#[tokio::test]
async fn nobody_there_is_not_running() {
    let world = World::tls().await;
    let (socket, tcp) = (Target::Unix(world.folder.path().join("none")), world.target());
    assert!(matches!(refused(&socket).await, LinkError::NotRunning { .. }));

    let dead = world.folder.path().join("dead");
    drop(UnixListener::bind(&dead).unwrap());
    assert!(matches!(refused(&Target::Unix(dead)).await, LinkError::NotRunning { .. }));

    world.serving.abort();
    let stopped = Instant::now();
    loop {
        match connect(&tcp).await.map(drop) {
            Err(LinkError::NotRunning { .. }) => break,
            other => assert!(stopped.elapsed() < Duration::from_secs(5), "{other:?}"),
        }
    }
}

#[tokio::test]
async fn other_protocols_are_refused_in_words() {
    for protocol in [PROTOCOL_VERSION + 1, 77] {
        let world = World::start(|authority| Security::Tls(authority.server_config()), protocol).await;
        let error = refused(&world.target()).await;
        assert!(matches!(error, LinkError::Incompatible { .. }), "{error}");
        assert!(error.to_string().contains(&protocol.to_string()), "{error}");
    }
}

#[tokio::test]
async fn silent_clients_hold_up_nobody() {
    let world = World::tls().await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(world.address()).await.unwrap());
    }
    let begun = Instant::now();
    info(connect(&world.target()).await.unwrap()).await;
    info(connect(&Target::Unix(world.socket())).await.unwrap()).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

/// Sockets of both sides of some connections.
fn allow_connections(count: usize) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is ours.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }, 0);
    limit.rlim_cur = limit.rlim_cur.max(2 * count as u64 + 100);
    // SAFETY: the structure is ours.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
}

#[tokio::test]
async fn more_silent_clients_than_handshakes_hold_up_nobody() {
    let silent_max = HANDSHAKES_MAX + 200;
    allow_connections(silent_max);
    let world = World::tls().await;
    let mut silent = Vec::new();
    for _ in 0..silent_max {
        silent.push(TcpStream::connect(world.address()).await.unwrap());
    }
    let begun = Instant::now();
    info(connect(&world.target()).await.unwrap()).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(silent[0].read(&mut [0; 1]).await.unwrap_or(0), 0, "the oldest is closed");
}

#[tokio::test]
async fn a_lost_link_stays_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    // A runtime of its own, so that ending it ends the connections as the end of a process does.
    let start = |path: PathBuf| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.spawn(listen(ListenConfig { unix: Some(path), tcp: None }));
        (runtime, listener)
    };
    let (first, listener) = start(path.clone());
    let guard = Guard::local_only();
    first.spawn({
        let (listener, guard) = (listener.await.unwrap().unwrap(), guard.clone());
        async move { serve(listener, guard, PROTOCOL_VERSION).await }
    });
    let link = connect(&Target::Unix(path.clone())).await.unwrap();
    info(link.clone()).await;
    tokio::task::spawn_blocking(move || drop(first)).await.unwrap();
    assert!(!path.exists(), "the socket goes with its listener");

    let (second, listener) = start(path.clone());
    second.spawn({
        let listener = listener.await.unwrap().unwrap();
        async move { serve(listener, guard, PROTOCOL_VERSION).await }
    });
    info(connect(&Target::Unix(path)).await.unwrap()).await;
    for _ in 0..2 {
        let request = InfoRequest { protocol: PROTOCOL_VERSION };
        let status = ClusterClient::new(link.clone()).info(request).await.unwrap_err();
        assert!(matches!(status.code(), Code::Unavailable | Code::Unknown), "{status}");
    }
    tokio::task::spawn_blocking(move || drop(second)).await.unwrap();
}

#[tokio::test]
async fn places_that_are_taken_are_named() {
    let world = World::tls().await;
    let unix = |path: &Path| ListenConfig { unix: Some(path.to_path_buf()), tcp: None };
    let tcp = |address: &str, security| ListenConfig {
        unix: None,
        tcp: Some(TcpConfig { address: address.into(), security }),
    };
    let error = listen(unix(&world.socket())).await.unwrap_err();
    assert!(matches!(error, ListenError::AlreadyRunning { .. }), "{error}");
    info(connect(&Target::Unix(world.socket())).await.unwrap()).await;

    let file = world.folder.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    assert!(matches!(listen(unix(&file)).await, Err(ListenError::NotASocket { .. })));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");

    let long = world.folder.path().join("x".repeat(120));
    assert!(matches!(listen(unix(&long)).await, Err(ListenError::PathTooLong { .. })));
    assert!(matches!(listen(unix(&file.join("s"))).await, Err(ListenError::Unix { .. })));
    assert!(matches!(listen(ListenConfig::default()).await, Err(ListenError::Nothing)));

    let error = listen(tcp(&world.address(), Security::PlainLoopback)).await.unwrap_err();
    assert!(matches!(error, ListenError::InUse { .. }), "{error}");
    let error = listen(tcp("0.0.0.0:0", Security::PlainLoopback)).await.unwrap_err();
    assert!(matches!(error, ListenError::PlainOffLoopback { .. }), "{error}");
    for bad in ["", "nonsense", "127.0.0.1", "127.0.0.1:x", "192.0.2.1:1"] {
        let error = listen(tcp(bad, Security::Tls(world.authority.server_config()))).await.unwrap_err();
        assert!(matches!(error, ListenError::Tcp { .. }), "{bad}: {error}");
    }
}

#[tokio::test]
async fn a_dead_socket_is_replaced_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let config = || ListenConfig { unix: Some(path.clone()), tcp: None };
    let mut starters = Vec::new();
    for _ in 0..8 {
        starters.push(tokio::spawn(listen(config())));
    }
    let mut listeners = Vec::new();
    for starter in starters {
        match starter.await.unwrap() {
            Ok(listener) => listeners.push(listener),
            Err(error) => assert!(matches!(error, ListenError::AlreadyRunning { .. }), "{error}"),
        }
    }
    assert_eq!(listeners.len(), 1, "two coordinators on one socket");
    assert_eq!(listeners[0].socket_path(), Some(path.as_path()));
    drop(listeners);
    assert!(!path.exists());
}
