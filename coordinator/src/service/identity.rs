//! Who may connect from other machines: certificates for tokens, and the tokens.

use super::Shared;
use crate::joining::Joining;
use muster_proto::convert::token_request;
use muster_proto::link::{
    Identity as Caller, Moment, Peer, PublicKey, Role, Session, Signed, Token, TokenError, TokenFacts,
    TokenId,
};
use muster_proto::v1;
use muster_proto::v1::identity_server::Identity;
use std::sync::Arc;
use tonic::{Code, Request, Response, Status};

/// Serves what concerns identities. Without a listener for other machines it has none to give.
#[derive(Clone, Debug)]
pub struct IdentityService {
    shared: Shared,
    joining: Option<Joining>,
}

impl IdentityService {
    /// A service that signs under the authority of `joining`.
    #[must_use]
    pub const fn new(shared: Shared, joining: Option<Joining>) -> Self {
        Self { shared, joining }
    }

    fn joining(&self) -> Result<&Joining, Status> {
        let text = "nobody can join this coordinator from another machine: it was started without --listen";
        self.joining.as_ref().ok_or_else(|| self.shared.refused(Status::failed_precondition(text)))
    }

    /// Certificates are shown in TLS handshakes: who comes in another way has no use for one.
    fn session(&self, peer: Option<Peer>) -> Result<Arc<Session>, Status> {
        match peer {
            Some(Peer::Tls { session, .. }) => Ok(session),
            Some(Peer::Unix { .. } | Peer::Tcp { .. }) | None => {
                let text = "certificates are for connections over TLS: this one needs none";
                Err(self.shared.refused(Status::failed_precondition(text)))
            }
        }
    }

    /// Who is not known is counted where answers leave.
    fn refused(&self, error: &TokenError) -> Status {
        let status = status(error);
        if status.code() == Code::Unauthenticated { status } else { self.shared.refused(status) }
    }

    fn key(&self, bytes: &[u8]) -> Result<PublicKey, Status> {
        let text = "public_key is not an uncompressed point on P-256 (65 bytes)";
        PublicKey::new(bytes).ok_or_else(|| self.shared.refused(Status::invalid_argument(text)))
    }

    /// Does something with the tokens' file, which may take as long as a disk does.
    async fn on_disk<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> Result<T, TokenError> + Send + 'static,
    ) -> Result<T, Status> {
        let done = tokio::task::spawn_blocking(act).await;
        let done = done.map_err(|error| Status::internal(error.to_string()))?;
        done.map_err(|error| self.refused(&error))
    }
}

#[tonic::async_trait]
impl Identity for IdentityService {
    async fn enroll(&self, request: Request<v1::EnrollRequest>) -> Result<Response<v1::Enrolled>, Status> {
        let authority = Arc::clone(&self.joining()?.authority);
        let peer = Peer::of(&request);
        self.session(peer.clone())?;
        let v1::EnrollRequest { token, public_key } = request.into_inner();
        let bytes = <[u8; 32]>::try_from(&token[..]);
        let token = bytes.map_err(|_| {
            let text = format!("token has {} bytes, 32 are wanted: copy all of the join string", token.len());
            self.shared.refused(Status::invalid_argument(text))
        })?;
        let key = self.key(&public_key)?;
        let (token, now) = (Token(token), Moment::now());
        // Strangers get no thread for tokens that are none.
        let counted = authority.tokens().is_counted(&token, now);
        let counted = counted.map_err(|refusal| self.refused(&refusal.into()))?;
        let enroll = move || authority.enroll(&token, &key, now);
        let signed = if counted {
            self.on_disk(enroll).await?
        } else {
            enroll().map_err(|error| self.refused(&error))?
        };
        if let Some(peer) = peer {
            let Caller { id, token, roles, until } = &signed.identity;
            tracing::info!(%peer, %id, %token, %roles, %until, "joined");
        }
        Ok(Response::new(enrolled(signed)))
    }

    async fn renew(&self, request: Request<v1::RenewRequest>) -> Result<Response<v1::Enrolled>, Status> {
        let authority = &self.joining()?.authority;
        let session = self.session(Peer::of(&request))?;
        let identity = session.caller.as_ref().map_err(|error| Status::unauthenticated(error.to_string()))?;
        let public_key = request.into_inner().public_key;
        let signed = authority.renew(identity, &self.key(&public_key)?, Moment::now());
        let signed = signed.map_err(|error| self.refused(&error))?;
        session.extend(signed.identity.until);
        Ok(Response::new(enrolled(signed)))
    }

    async fn new_token(
        &self,
        request: Request<v1::NewTokenRequest>,
    ) -> Result<Response<v1::NewTokenReply>, Status> {
        let joining = self.joining()?;
        let new = token_request(request.into_inner()).map_err(|error| self.shared.refuse(error))?;
        let authority = Arc::clone(&joining.authority);
        let (token, facts) = self.on_disk(move || authority.tokens().make(&new, Moment::now())).await?;
        let join_string = joining.join_string(token).map_err(|error| Status::internal(error.to_string()))?;
        tracing::info!(token = %facts.id, roles = %facts.roles, "token made");
        Ok(Response::new(v1::NewTokenReply { join_string, token: Some(self.info(&facts)) }))
    }

    async fn list_tokens(
        &self,
        _request: Request<v1::ListTokensRequest>,
    ) -> Result<Response<v1::ListTokensReply>, Status> {
        let tokens = self.joining()?.authority.tokens().list();
        Ok(Response::new(v1::ListTokensReply {
            tokens: tokens.iter().map(|facts| self.info(facts)).collect(),
        }))
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<v1::RevokeTokenReply>, Status> {
        let authority = Arc::clone(&self.joining()?.authority);
        let id: TokenId = request.into_inner().token.parse().map_err(|error: String| {
            self.shared.refused(Status::invalid_argument(format!("token is {error}")))
        })?;
        let (facts, closed) = self.on_disk(move || authority.revoke(id, Moment::now())).await?;
        tracing::info!(token = %id, closed, "token revoked");
        Ok(Response::new(v1::RevokeTokenReply { token: Some(self.info(&facts)), closed: closed as u32 }))
    }
}

impl IdentityService {
    fn info(&self, facts: &TokenFacts) -> v1::TokenInfo {
        let authority = self.joining.as_ref().map(|joining| &joining.authority);
        v1::TokenInfo {
            token: facts.id.to_string(),
            roles: facts.roles.iter().map(|role| v1::Role::from(role) as i32).collect(),
            made_unix_s: facts.made.unix_s(),
            until_unix_s: facts.until.map_or(0, Moment::unix_s),
            uses_max: facts.uses_max.unwrap_or(0),
            uses: facts.uses,
            revoked_unix_s: facts.revoked.map_or(0, Moment::unix_s),
            note: facts.note.clone(),
            standing: authority.is_some_and(|authority| TokenId::of(authority.standing_token()) == facts.id),
            connections: authority.map_or(0, |authority| authority.sessions().count_of_token(facts.id))
                as u32,
        }
    }
}

fn enrolled(signed: Signed) -> v1::Enrolled {
    v1::Enrolled {
        certificate: signed.certificate.into(),
        roles: signed.identity.roles.iter().map(|role: Role| v1::Role::from(role) as i32).collect(),
        from_unix_s: signed.at.unix_s(),
        until_unix_s: signed.identity.until.unix_s(),
        now_unix_s: signed.at.unix_s(),
    }
}

fn status(error: &TokenError) -> Status {
    match error {
        TokenError::Refused(_) => Status::unauthenticated(error.to_string()),
        TokenError::NoToken { .. } => Status::not_found(error.to_string()),
        TokenError::TooMany { .. } | TokenError::FileFull { .. } => {
            Status::resource_exhausted(error.to_string())
        }
        TokenError::File(_) => Status::unavailable(error.to_string()),
        TokenError::UntilRestart(_) => Status::data_loss(error.to_string()),
    }
}
