//! The client's side of a cluster that is on another machine: joining it by a token, showing the certificate that this
//! gives, and renewing it in time.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::connect::{Bearer, Link, channel, greet, greeting_failed, open_tls};
use super::connection::Connection;
use super::error::{FileError, LinkError};
use super::identities::{Credential, Identities, new_key};
use super::target::{Pin, Target, Token};
use crate::v1::identity_client::IdentityClient;
use crate::v1::{EnrollRequest, RenewRequest};
use rcgen::PublicKeyData as _;

/// Who connects, and to what.
pub(super) struct Member<'a> {
    pub(super) identities: &'a Arc<Identities>,
    pub(super) target: &'a Target,
    pub(super) address: &'a str,
    pub(super) pin: Pin,
    pub(super) token: &'a Token,
}

impl Member<'_> {
    /// Opens a link with the certificate that there is; when it is no longer known, joins anew.
    pub(super) async fn open<C>(
        self,
        wrap: impl Fn(Connection) -> Result<C, LinkError>,
    ) -> Result<Link, LinkError>
    where
        C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let name = Identities::name(&self.pin, self.token);
        if let Some(refused) = self.identities.get(&name).map_err(|error| self.failed(error))? {
            match self.open_with(&name, Arc::clone(&refused), &wrap).await {
                Err(LinkError::Unknown { reason, .. }) => {
                    // It stays until there is another one: the coordinator's clock may only be wrong.
                    let joined = self.join(&name, Some(&refused)).await;
                    let credential = joined.map_err(|error| after_refusal(error, &reason))?;
                    tracing::info!(reason, "joined anew: the certificate of this machine was refused");
                    return self.open_with(&name, credential, &wrap).await;
                }
                outcome => return outcome,
            }
        }
        let credential = self.join(&name, None).await?;
        self.open_with(&name, credential, &wrap).await
    }

    async fn open_with<C>(
        &self,
        name: &str,
        credential: Arc<Credential>,
        wrap: impl Fn(Connection) -> Result<C, LinkError>,
    ) -> Result<Link, LinkError>
    where
        C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let connection = open_tls(self.target, self.address, self.pin, Some(&credential)).await?;
        let channel = channel(self.target, wrap(connection)?).await?;
        greet(self.target, InterceptedService::new(channel.clone(), Bearer::default())).await?;
        let renewal = Renewal {
            identities: Arc::clone(self.identities),
            name: name.to_owned(),
            channel: channel.clone(),
        };
        let credential = renewal.if_due(credential).await;
        let renewing = Renewing(tokio::spawn(renewal.go_on(credential)));
        Ok(InterceptedService::new(channel, Bearer::renewed_by(renewing)))
    }

    /// A certificate for the token, or the one that another process was just given for it. It replaces the one that was
    /// refused.
    async fn join(&self, name: &str, refused: Option<&Credential>) -> Result<Arc<Credential>, LinkError> {
        let _alone = self.identities.join_alone(name).await;
        let kept = self.identities.newest(name).map_err(|error| self.failed(error))?;
        if let Some(credential) = kept.filter(|kept| refused.is_none_or(|refused| !refused.is(kept))) {
            return Ok(credential);
        }
        // Asked again with the same key, the coordinator counts no other use of the token.
        let key = self.identities.key_to_join_with(name).map_err(|error| self.failed(error))?;
        let public_key = key.der_bytes().to_vec();
        let connection = open_tls(self.target, self.address, self.pin, None).await?;
        let channel = channel(self.target, connection).await?;
        let request = EnrollRequest { token: self.token.0.to_vec().into(), public_key: public_key.into() };
        let enrolled =
            IdentityClient::new(channel).enroll(request).await.map_err(|status| self.refused(&status))?;
        Ok(self.identities.keep(name, Credential::new(key, enrolled.into_inner())))
    }

    fn failed(&self, source: FileError) -> LinkError {
        LinkError::Identity { target: self.target.to_string(), source }
    }

    fn refused(&self, status: &Status) -> LinkError {
        let target = self.target.to_string();
        match status.code() {
            Code::Unimplemented => LinkError::Incompatible {
                target,
                reason: "it gives no certificates; use the same version of muster everywhere".to_owned(),
            },
            _ => greeting_failed(target, status),
        }
    }
}

/// Both reasons, if they are two: the token alone would not say why it was needed again.
fn after_refusal(error: LinkError, refused: &str) -> LinkError {
    match error {
        LinkError::Unknown { target, reason } if reason != refused => {
            LinkError::Unknown { target, reason: format!("{reason} (needed again because {refused})") }
        }
        other => other,
    }
}

/// Renews a certificate as long as this is there.
#[derive(Debug)]
pub(super) struct Renewing(JoinHandle<()>);

impl Drop for Renewing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Renewal {
    identities: Arc<Identities>,
    name: String,
    channel: Channel,
}

impl Renewal {
    /// Renews a certificate when it is time; a command may not live long enough to do so later.
    async fn if_due(&self, credential: Arc<Credential>) -> Arc<Credential> {
        if !credential.renew_in().is_zero() {
            return credential;
        }
        match self.renewed().await {
            Ok(renewed) => renewed,
            Err(reason) => {
                tracing::warn!(reason, "the certificate of this machine could not be renewed");
                credential
            }
        }
    }

    async fn go_on(self, mut credential: Arc<Credential>) {
        let mut pause = credential.renew_in().max(credential.retry_in());
        loop {
            sleep(pause).await;
            match self.renewed().await {
                Ok(renewed) => {
                    credential = renewed;
                    pause = credential.renew_in();
                }
                Err(reason) => {
                    tracing::warn!(reason, "the certificate of this machine could not be renewed");
                    pause = credential.retry_in();
                }
            }
        }
    }

    async fn renewed(&self) -> Result<Arc<Credential>, String> {
        let (key, public_key) = new_key().map_err(|error| error.to_string())?;
        let request = RenewRequest { public_key: public_key.into() };
        let renewed = IdentityClient::new(self.channel.clone()).renew(request).await;
        let renewed = renewed.map_err(|status| status.message().to_owned())?;
        Ok(self.identities.keep(&self.name, Credential::new(key, renewed.into_inner())))
    }
}
