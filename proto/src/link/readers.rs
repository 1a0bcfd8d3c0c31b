//! Who may read pages over plain HTTP that are for machines: whoever asks for this machine and, where there is a token,
//! shows it.

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::hosts::Hosts;
use super::secret::Secret;

/// Probes of supervisors and load balancers carry no token, and learn nothing but that something is there.
const OPEN: &str = "/healthz";

/// Who may read.
#[derive(Clone, Debug)]
pub struct Readers {
    /// The hosts that requests may name.
    pub hosts: Hosts,
    /// What must be shown for all pages but `/healthz`.
    pub secret: Option<Secret>,
}

impl Readers {
    /// Refuses others, as a layer around pages.
    pub async fn check(self, request: Request, next: Next) -> Response {
        if let Some(refusal) = self.hosts.refusal(request.headers()) {
            return refusal;
        }
        match &self.secret {
            Some(secret) if request.uri().path() != OPEN && !secret.is_shown(request.headers()) => {
                let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
                let text = "a token is needed: Authorization: Bearer TOKEN, with the one in the file of --metrics-token\n";
                (StatusCode::UNAUTHORIZED, challenge, text).into_response()
            }
            Some(_) | None => next.run(request).await,
        }
    }
}
