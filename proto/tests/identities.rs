//! Joining over TLS: a token gives a certificate once, the certificate is used from then on and renewed in time, and it
//! is refused, in words, when it should be.
#![allow(clippy::unwrap_used)]

mod world;

use std::time::{Duration, Instant};

use muster_proto::PROTOCOL_VERSION;
use muster_proto::link::{
    Capacity, Identities, Link, LinkError, Moment, Role, STRANGERS_PER_ADDRESS_MAX, TokenId, connect_by,
};
use muster_proto::v1::cluster_client::ClusterClient;
use muster_proto::v1::{DrainRequest, InfoRequest};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tonic::Status;
use world::{World, info, link};

async fn try_info(link: &Link) -> Result<(), Status> {
    ClusterClient::new(link.clone()).info(InfoRequest { protocol: PROTOCOL_VERSION }).await.map(drop)
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so().await {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_token_for_one_machine_serves_all_its_processes_and_no_other_machine() {
    let world = World::tls().await;
    let home = tempfile::tempdir().unwrap();
    let target = world.target_of(world.token(Role::Viewer, Some(1)));
    // Together, and one after the other.
    let mut commands = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (process, target) = (Identities::at(home.path()), target.clone());
        commands.spawn(async move { connect_by(&process, &target).await.map(drop) });
    }
    while let Some(connected) = commands.join_next().await {
        connected.unwrap().unwrap();
    }
    info(connect_by(&Identities::at(home.path()), &target).await.unwrap()).await;
    let error = connect_by(&Identities::in_memory(), &target).await.unwrap_err();
    assert!(error.to_string().contains("used up (1 of 1 uses)"), "{error}");
    assert!(matches!(error, LinkError::Unknown { .. }) && !error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_damaged_or_readable_certificate_is_named_and_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::tls().await;
    let home = tempfile::tempdir().unwrap();
    let connected = || async { connect_by(&Identities::at(home.path()), &world.target()).await.map(drop) };
    connected().await.unwrap();
    let names = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().path());
    let file = names.filter(|path| path.extension().is_some_and(|end| end == "json")).last().unwrap();
    let whole = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let error = connected().await.unwrap_err().to_string();
    assert!(
        error.contains(file.to_str().unwrap()) && error.contains("remove it so that it is made anew"),
        "{error}"
    );
    std::fs::write(&file, &whole).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = connected().await.unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("chmod 600"), "{error}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    connected().await.unwrap();
}

#[tokio::test]
async fn a_certificate_of_another_cluster_is_replaced_by_joining() {
    let (world, other) = (World::tls().await, World::tls().await);
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let token = world.token(Role::Viewer, Some(1));
    connect_by(&Identities::at(here.path()), &world.target_of(token)).await.unwrap();
    connect_by(&Identities::at(there.path()), &other.target()).await.unwrap();
    let file = |home: &std::path::Path| {
        let names = std::fs::read_dir(home).unwrap().map(|entry| entry.unwrap().path());
        names.filter(|path| path.extension().is_some_and(|end| end == "json")).last().unwrap()
    };
    std::fs::copy(file(there.path()), file(here.path())).unwrap();
    let connected =
        || async { connect_by(&Identities::at(here.path()), &world.target_of(token)).await.map(drop) };
    let error = connected().await.unwrap_err();
    assert!(error.to_string().contains("used up"), "joining anew was tried: {error}");
}

#[tokio::test]
async fn a_revoked_token_ends_what_is_open() {
    let world = World::tls().await;
    let token = world.token(Role::Admin, None);
    let home = tempfile::tempdir().unwrap();
    let stays = link(&world.target()).await;
    let link = connect_by(&Identities::at(home.path()), &world.target_of(token)).await.unwrap();
    let echo =
        ClusterClient::new(link.clone()).drain(DrainRequest { worker: "x".to_owned(), deadline_ms: 0 }).await;
    assert_eq!(echo.unwrap().into_inner().name, "x");
    let (_, closed) = world.authority.revoke(TokenId::of(&token), Moment::now()).unwrap();
    assert_eq!(closed, 1);
    until("the link is lost", async || try_info(&link).await.is_err()).await;
    for identities in [Identities::at(home.path()), Identities::in_memory()] {
        let error = connect_by(&identities, &world.target_of(token)).await.unwrap_err();
        assert!(error.to_string().contains("was revoked at 20"), "{error}");
    }
    try_info(&stays).await.unwrap();
}

/// A life of six seconds, renewed after four: a link that lives for eleven has been renewed twice.
#[tokio::test]
async fn a_certificate_is_renewed_before_it_ends() {
    let world = World::with_life(Duration::from_secs(6), world::tls, PROTOCOL_VERSION).await;
    let identities = Identities::in_memory();
    let token = world.token(Role::Viewer, Some(1));
    let link = connect_by(&identities, &world.target_of(token)).await.unwrap();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(11) {
        try_info(&link).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Also for who connects now, though the token admits nobody any more.
    connect_by(&identities, &world.target_of(token)).await.unwrap();
}

#[tokio::test]
async fn an_identity_has_a_limit_of_connections_that_is_told() {
    let world = World::tls().await;
    let (one, other) = (Identities::in_memory(), Identities::in_memory());
    let mut links = Vec::new();
    for _ in 0..Capacity::DEFAULT.connections {
        links.push(connect_by(&one, &world.target()).await.unwrap());
    }
    let error = connect_by(&one, &world.target()).await.unwrap_err();
    assert!(
        error.to_string().contains("this identity has 256 connections open") && error.is_transient(),
        "{error}"
    );
    connect_by(&other, &world.target()).await.unwrap();
    links.clear();
    until("room again", async || connect_by(&one, &world.target()).await.is_ok()).await;
}

/// Who stops in the middle of the handshake has places of its address, and must leave them when others come.
#[tokio::test]
async fn strangers_of_one_address_make_room() {
    let world = World::tls().await;
    let mut held = Vec::new();
    for _ in 0..4 * STRANGERS_PER_ADDRESS_MAX {
        let mut stream = TcpStream::connect(world.address()).await.unwrap();
        // The beginning of a TLS record of a handshake, which never ends.
        stream.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
        held.push(stream);
    }
    let begun = Instant::now();
    info(link(&world.target()).await).await;
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
}
