//! Links over real sockets: both kinds work, and everything that can be wrong is said in words.
#![allow(clippy::unwrap_used)]

mod world;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_proto::link::{
    Authority, HANDSHAKES_MAX, Identities, Link, LinkError, ListenConfig, ListenError, Role, Security,
    Target, TcpConfig, Token, connect, connect_by, listen,
};
use muster_proto::v1::cluster_client::ClusterClient;
use muster_proto::v1::{DrainRequest, InfoRequest};
use muster_proto::{MESSAGE_MAX_BYTES, PROTOCOL_VERSION};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tonic::{Code, Status};
use world::{World, info, link, serve, tls};

/// Says something and hears it: what an admin may.
async fn echo(link: Link, bytes: usize) -> Result<usize, Status> {
    let mut client = ClusterClient::new(link).max_decoding_message_size(MESSAGE_MAX_BYTES);
    let reply = client.drain(DrainRequest { worker: "x".repeat(bytes), deadline_ms: 0 }).await?;
    Ok(reply.into_inner().name.len())
}

async fn refused(target: &Target) -> LinkError {
    let error = connect_by(&Identities::in_memory(), target).await.unwrap_err();
    let text = error.to_string();
    assert!(!text.contains('\n'), "one line: {text}");
    if let Target::Tls { token, .. } | Target::Plain { token, .. } = target {
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
    assert_eq!(echo(link, 20 << 20).await.unwrap(), 20 << 20);
}

#[tokio::test]
async fn a_tls_link_knows_its_peer() {
    let world = World::tls().await;
    let link = link(&world.target_of(world.token(Role::Admin, None))).await;
    let seen = info(link.clone()).await.version;
    assert!(seen.starts_with("127.0.0.1:"), "{seen}");
    assert_eq!(echo(link, 20 << 20).await.unwrap(), 20 << 20);
}

#[tokio::test]
async fn another_authority_is_not_accepted() {
    let (world, other) = (World::tls().await, World::tls().await);
    let target =
        Target::tls(&world.address(), other.authority.pin(), *world.authority.standing_token()).unwrap();
    assert!(matches!(refused(&target).await, LinkError::WrongPin { .. }));
}

#[tokio::test]
async fn another_token_is_refused_in_words() {
    let world = World::tls().await;
    let error = refused(&world.target_of(Token([3; 32]))).await;
    assert!(matches!(error, LinkError::Unknown { .. }) && error.is_permission(), "{error}");
    assert!(error.to_string().contains("no such token"), "{error}");
}

#[tokio::test]
async fn a_plain_port_wants_the_token_too() {
    let world = World::start(|_| Security::PlainLoopback, PROTOCOL_VERSION).await;
    let plain = |token| Target::plain(&world.address(), token).unwrap();
    let link = connect(&plain(*world.authority.standing_token())).await.unwrap();
    assert_eq!(echo(link.clone(), 20).await.unwrap_err().code(), Code::PermissionDenied, "it is for workers");
    info(link).await;
    let error = refused(&plain(Token([3; 32]))).await;
    assert!(error.to_string().contains("no such token"), "{error}");
    let counted = refused(&plain(world.token(Role::Admin, Some(2)))).await;
    assert!(counted.to_string().contains("with --uses any"), "{counted}");
    let endpoint = tonic::transport::Endpoint::try_from(format!("http://{}", world.address())).unwrap();
    let mut client = ClusterClient::new(endpoint.connect().await.unwrap());
    let status = client.info(InfoRequest { protocol: PROTOCOL_VERSION }).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
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
        let address = listener.local_addr().unwrap().to_string();
        let target = world.authority.target(&address, *world.authority.standing_token()).unwrap();
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
        match connect_by(&Identities::in_memory(), &tcp).await.map(drop) {
            Err(LinkError::NotRunning { .. }) => break,
            other => assert!(stopped.elapsed() < Duration::from_secs(5), "{other:?}"),
        }
    }
}

#[tokio::test]
async fn other_protocols_are_refused_in_words() {
    for protocol in [PROTOCOL_VERSION + 1, 77] {
        let world = World::start(tls, protocol).await;
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
    info(link(&world.target()).await).await;
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
    info(link(&world.target()).await).await;
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
    let authority = Arc::new(Authority::load_or_create(&folder.path().join("keys")).unwrap());
    first.spawn({
        let (listener, authority) = (listener.await.unwrap().unwrap(), Arc::clone(&authority));
        async move { serve(listener, &authority, PROTOCOL_VERSION).await }
    });
    let link = connect(&Target::Unix(path.clone())).await.unwrap();
    info(link.clone()).await;
    tokio::task::spawn_blocking(move || drop(first)).await.unwrap();
    assert!(!path.exists(), "the socket goes with its listener");

    let (second, listener) = start(path.clone());
    second.spawn({
        let listener = listener.await.unwrap().unwrap();
        async move { serve(listener, &authority, PROTOCOL_VERSION).await }
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
        let error = listen(tcp(bad, tls(&world.authority))).await.unwrap_err();
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
