//! Who may call what: docs/security.md shows the table, and every method is called with every role, and with none.
#![allow(clippy::unwrap_used)]

mod fixture;

use bytes::Buf;
use fixture::tls::stranger;
use fixture::{World, soon};
use muster_proto::link::{Identities, Link, Moment, RIGHTS, Right, Role, Target, connect_by};
use muster_proto::v1::identity_client::IdentityClient;
use muster_proto::v1::{self, NewTokenRequest};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};

const PROTO: &str = include_str!("../../proto/proto/muster/v1/muster.proto");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/security.md");
const AGAIN: &str = "MUSTER_REGENERATE=1 cargo test -p muster-coordinator --test rights";

/// The methods of the protocol.
fn methods() -> Vec<String> {
    let mut service = "";
    let mut found = Vec::new();
    for line in PROTO.lines() {
        if let Some(rest) = line.strip_prefix("service ") {
            service = rest.trim_end_matches(" {");
        }
        if let Some(rest) = line.trim_start().strip_prefix("rpc ") {
            found.push(format!("{service}/{}", rest.split('(').next().unwrap()));
        }
    }
    found
}

fn marked(page: &str) -> (usize, usize) {
    let begin = page.find("<!-- rights:").unwrap();
    let begin = begin + page[begin..].find('\n').unwrap() + 1;
    (begin, begin + page[begin..].find("<!-- end -->").unwrap())
}

#[test]
fn the_page_shows_who_may_call_what() {
    let mut table = "| method | for |\n|---|---|\n".to_owned();
    for (method, right) in RIGHTS {
        writeln!(table, "| `{method}` | {right} |").unwrap();
    }
    let named: Vec<&str> = RIGHTS.iter().map(|(method, _)| *method).collect();
    assert_eq!(named, methods(), "each method of the protocol, in its order");
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (begin, end) = marked(&page);
    if std::env::var_os("MUSTER_REGENERATE").is_some() {
        std::fs::write(PAGE, [&page[..begin], &table, &page[end..]].concat()).unwrap();
        return;
    }
    assert!(page[begin..end] == table, "docs/security.md is stale: {AGAIN}");
}

/// The page's table, read back: for each method the words of who may call it.
fn documented() -> BTreeMap<String, String> {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (begin, end) = marked(&page);
    let rows = page[begin..end].lines().skip(2);
    let cells = rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`')));
    cells.map(|mut cells| (cells.next().unwrap().to_owned(), cells.next().unwrap().to_owned())).collect()
}

fn may(words: &str, role: Option<Role>) -> bool {
    match (words, role) {
        ("whoever has a token", _) => true,
        ("only through the socket", _) | (_, None) => false,
        ("every identity", Some(_)) => true,
        (names, Some(role)) => names.split(", ").any(|name| name == role.name()),
    }
}

/// Messages without a field: every message of the protocol can be read from no bytes.
#[derive(Clone, Copy, Default)]
struct Empty;

impl Encoder for Empty {
    type Item = ();
    type Error = Status;

    fn encode(&mut self, (): (), _to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        Ok(())
    }
}

impl Decoder for Empty {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        from.advance(from.remaining());
        Ok(Some(()))
    }
}

impl Codec for Empty {
    type Encode = ();
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

/// How a call begins to be answered; a stream that says nothing was let in.
async fn code<S>(service: S, method: &str) -> Status
where
    S: tonic::client::GrpcService<tonic::body::Body> + Clone,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::ResponseBody: tonic::codegen::Body<Data = bytes::Bytes> + Send + 'static,
    <S::ResponseBody as tonic::codegen::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    let mut client = Grpc::new(service);
    client.ready().await.map_err(Into::into).unwrap();
    let path: PathAndQuery = format!("/muster.v1.{method}").parse().unwrap();
    let call = async {
        let answer = client.server_streaming(Request::new(()), path, Empty).await;
        match answer {
            Ok(answer) => answer.into_inner().message().await.err().unwrap_or_else(|| Status::ok("")),
            Err(status) => status,
        }
    };
    tokio::time::timeout(Duration::from_secs(2), call).await.unwrap_or_else(|_| Status::ok("let in"))
}

fn is_refused(status: &Status) -> bool {
    matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied)
}

async fn world() -> World {
    World::with(|folder, config| {
        config.listen = Some("127.0.0.1:0".into());
        config.keys = Some(folder.join("keys"));
    })
    .await
}

async fn join(world: &World, role: Role) -> Link {
    let request =
        NewTokenRequest { roles: vec![v1::Role::from(role) as i32], uses: 1, ..NewTokenRequest::default() };
    let made = IdentityClient::new(world.link.clone()).new_token(request).await.unwrap().into_inner();
    let target = Target::parse(&made.join_string).unwrap();
    connect_by(&Identities::in_memory(), &target).await.unwrap()
}

#[tokio::test]
async fn exactly_the_documented_roles_may_call() {
    let world = world().await;
    let rights = documented();
    assert_eq!(rights.len(), methods().len());
    let (mut allowed, mut refused) = (0, 0);
    for role in Role::ALL {
        let link = join(&world, role).await;
        for method in methods() {
            let status = soon(code(link.clone(), &method)).await;
            let may = may(&rights[&method], Some(role));
            // Without a token enrolling is refused, too, but by the service, and as what it is.
            let let_in = !is_refused(&status) || method == "Identity/Enroll";
            assert_eq!(let_in, may, "{method} as {role}: {status}");
            if may {
                allowed += 1;
            } else {
                refused += 1;
                let words = if rights[&method].contains("socket") { "Unix socket" } else { "needs the role" };
                assert!(status.message().contains(words), "{method} as {role}: {status}");
            }
        }
    }
    eprintln!("{allowed} calls allowed, {refused} refused");
    assert!(allowed > 30 && refused > 30);
    // Nobody stopped it, nobody made a token but this test.
    let tokens = IdentityClient::new(world.link.clone()).list_tokens(v1::ListTokensRequest {}).await.unwrap();
    assert_eq!(tokens.into_inner().tokens.len(), 1 + Role::ALL.len());
}

#[tokio::test]
async fn a_stranger_may_only_show_a_token() {
    let world = world().await;
    let address = world.running.tls_addr.unwrap().to_string();
    for method in methods() {
        let status = soon(code(stranger(&address).await, &method)).await;
        if RIGHTS.iter().any(|(name, right)| *name == method && *right == Right::Anybody) {
            assert_eq!(status.code(), Code::InvalidArgument, "{method}: {status}");
            assert!(status.message().contains("token has 0 bytes"), "{status}");
        } else {
            assert_eq!(status.code(), Code::Unauthenticated, "{method}: {status}");
            assert!(status.message().contains("no certificate was shown"), "{method}: {status}");
        }
    }
}

#[tokio::test]
async fn a_plain_port_knows_the_roles_of_its_tokens() {
    let world = World::with(|folder, config| {
        config.listen = Some("127.0.0.1:0".into());
        config.insecure = true;
        config.keys = Some(folder.join("keys"));
    })
    .await;
    let join = world.running.join_string().unwrap();
    assert!(join.starts_with("muster1-plain:127.0.0.1:"), "{join}");
    let link = connect_by(&Identities::in_memory(), &Target::parse(join).unwrap()).await.unwrap();
    let submit = soon(code(link.clone(), "Jobs/Submit")).await;
    assert!(submit.message().contains("needs the role submitter or admin"), "{submit}");
    let enroll = soon(code(link, "Identity/Enroll")).await;
    assert!(enroll.message().contains("certificates are for connections over TLS"), "{enroll}");
}

#[tokio::test]
async fn a_coordinator_without_a_port_says_that_nobody_can_join() {
    let world = World::start().await;
    let request = NewTokenRequest { roles: vec![v1::Role::Worker as i32], ..NewTokenRequest::default() };
    let status = IdentityClient::new(world.link.clone()).new_token(request).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("without --listen"), "{status}");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_for_a_token_is_named() {
    let world = world().await;
    let good = || NewTokenRequest { roles: vec![v1::Role::Viewer as i32], ..NewTokenRequest::default() };
    let mut client = IdentityClient::new(world.link.clone());
    for (request, field) in [
        (NewTokenRequest { roles: vec![], ..good() }, "roles"),
        (NewTokenRequest { roles: vec![17], ..good() }, "roles"),
        (NewTokenRequest { life_s: u64::MAX, ..good() }, "life_s"),
        (NewTokenRequest { note: "x".repeat(300), ..good() }, "note"),
    ] {
        let status = client.new_token(request).await.unwrap_err();
        assert!(status.message().starts_with(field), "{field}: {status}");
    }
    for id in ["", "x", "00112233445566"] {
        let request = v1::RevokeTokenRequest { token: id.to_owned() };
        let status = client.revoke_token(request).await.unwrap_err();
        assert_eq!(
            (status.code(), status.message().contains("12 hex digits")),
            (Code::InvalidArgument, true),
            "{status}"
        );
    }
    let status =
        client.revoke_token(v1::RevokeTokenRequest { token: "001122334455".to_owned() }).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let made = client.new_token(good()).await.unwrap().into_inner().token.unwrap();
    let listed = client.list_tokens(v1::ListTokensRequest {}).await.unwrap().into_inner().tokens;
    assert_eq!((listed.len(), listed.iter().filter(|token| token.standing).count()), (2, 1));
    assert!(listed.contains(&made) && made.made_unix_s <= Moment::now().unix_s());
}
