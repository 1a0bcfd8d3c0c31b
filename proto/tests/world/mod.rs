//! A coordinator's listeners and guard with a service that answers as a coordinator does.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use muster_proto::link::{
    Authority, CERTIFICATE_LIFE, Capacity, Guard, Identities, Link, ListenConfig, Listener, Moment, NewToken,
    Peer, PublicKey, Role, Roles, Security, Target, TcpConfig, Token, TokenError, connect_by, listen, server,
};
use muster_proto::v1::cluster_client::ClusterClient;
use muster_proto::v1::cluster_server::{Cluster, ClusterServer};
use muster_proto::v1::identity_server::{Identity, IdentityServer};
use muster_proto::v1::{
    DrainRequest, EnrollRequest, Enrolled, InfoReply, InfoRequest, ListTokensReply, ListTokensRequest,
    NewTokenReply, NewTokenRequest, RenewRequest, RevokeTokenReply, RevokeTokenRequest, ShutdownReply,
    ShutdownRequest, WorkerInfo, WorkersReply, WorkersRequest,
};
use muster_proto::{MESSAGE_MAX_BYTES, PROTOCOL_VERSION};
use tokio::task::JoinHandle;
use tonic::{Request, Response, Status};

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

/// Gives certificates as a coordinator does.
struct Certificates(Arc<Authority>);

fn enrolled(signed: muster_proto::link::Signed) -> Response<Enrolled> {
    Response::new(Enrolled {
        certificate: signed.certificate.into(),
        until_unix_s: signed.identity.until.unix_s(),
        now_unix_s: signed.at.unix_s(),
        ..Enrolled::default()
    })
}

fn refusal(error: TokenError) -> Status {
    Status::unauthenticated(error.to_string())
}

#[tonic::async_trait]
impl Identity for Certificates {
    async fn enroll(&self, request: Request<EnrollRequest>) -> Result<Response<Enrolled>, Status> {
        let EnrollRequest { token, public_key } = request.into_inner();
        let token = Token(token[..].try_into().unwrap());
        let key = PublicKey::new(&public_key).unwrap();
        self.0.enroll(&token, &key, Moment::now()).map(enrolled).map_err(refusal)
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<Enrolled>, Status> {
        let Some(Peer::Tls { session, .. }) = Peer::of(&request) else { panic!() };
        let public_key = request.into_inner().public_key;
        let key = PublicKey::new(&public_key).unwrap();
        let signed = self.0.renew(session.caller.as_ref().unwrap(), &key, Moment::now()).map_err(refusal)?;
        session.extend(signed.identity.until);
        Ok(enrolled(signed))
    }

    async fn new_token(&self, _: Request<NewTokenRequest>) -> Result<Response<NewTokenReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_tokens(&self, _: Request<ListTokensRequest>) -> Result<Response<ListTokensReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn revoke_token(
        &self,
        _: Request<RevokeTokenRequest>,
    ) -> Result<Response<RevokeTokenReply>, Status> {
        Err(Status::unimplemented(""))
    }
}

/// A coordinator in its own folder, stopped when dropped.
pub struct World {
    pub folder: tempfile::TempDir,
    pub authority: Arc<Authority>,
    address: Option<SocketAddr>,
    pub serving: JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl World {
    pub async fn start(security: impl FnOnce(&Arc<Authority>) -> Security, protocol: u32) -> Self {
        Self::with_life(CERTIFICATE_LIFE, security, protocol).await
    }

    pub async fn with_life(
        life: Duration,
        security: impl FnOnce(&Arc<Authority>) -> Security,
        protocol: u32,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(&folder.path().join("state")).unwrap();
        let authority = Arc::new(authority.with_certificate_life(life));
        let config = ListenConfig {
            unix: Some(folder.path().join("run/c.sock")),
            tcp: Some(TcpConfig { address: "127.0.0.1:0".into(), security: security(&authority) }),
        };
        let listener = listen(config).await.unwrap();
        let address = listener.local_addr();
        let serving = serve(listener, &authority, protocol);
        Self { folder, authority, address, serving }
    }

    pub async fn tls() -> Self {
        Self::start(tls, PROTOCOL_VERSION).await
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("run/c.sock")
    }

    pub fn address(&self) -> String {
        self.address.unwrap().to_string()
    }

    pub fn target(&self) -> Target {
        self.target_of(*self.authority.standing_token())
    }

    pub fn target_of(&self, token: Token) -> Target {
        self.authority.target(&self.address(), token).unwrap()
    }

    pub fn token(&self, role: Role, uses_max: Option<u32>) -> Token {
        let new = NewToken { roles: Roles::of(&[role]), uses_max, ..NewToken::default() };
        self.authority.tokens().make(&new, Moment::now()).unwrap().0
    }
}

pub fn tls(authority: &Arc<Authority>) -> Security {
    Security::Tls(Arc::clone(authority))
}

pub fn serve(listener: Listener, authority: &Arc<Authority>, protocol: u32) -> JoinHandle<()> {
    let guard = Guard::with_authority(Arc::clone(authority));
    let cluster = ClusterServer::new(Fake { protocol }).max_decoding_message_size(MESSAGE_MAX_BYTES);
    let identity = IdentityServer::new(Certificates(Arc::clone(authority)));
    let router = server(Capacity::DEFAULT).layer(guard).add_service(cluster).add_service(identity);
    let serving = router.serve_with_incoming(listener);
    tokio::spawn(async move { serving.await.unwrap() })
}

pub async fn link(target: &Target) -> Link {
    connect_by(&Identities::in_memory(), target).await.unwrap()
}

pub async fn info(link: Link) -> InfoReply {
    ClusterClient::new(link).info(InfoRequest { protocol: PROTOCOL_VERSION }).await.unwrap().into_inner()
}
