//! Who may call a coordinator: on this machine the same user and root, from elsewhere whoever has the token.

use sha2::{Digest, Sha256};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use super::connection::Peer;
use super::target::Token;

/// Checks every request before a service sees it. A layer for the whole server:
/// `server().layer(InterceptorLayer::new(guard))`.
#[derive(Clone, Debug)]
pub struct Guard {
    uid: u32,
    /// The token's hash; `None`: nobody comes in over TCP.
    token: Option<[u8; 32]>,
}

impl Guard {
    /// A guard that knows one token.
    #[must_use]
    pub fn with_token(token: &Token) -> Self {
        Self { token: Some(hash(token.reveal().as_bytes())), ..Self::local_only() }
    }

    /// A guard that admits nobody from elsewhere.
    #[must_use]
    pub fn local_only() -> Self {
        Self { uid: own_uid(), token: None }
    }

    fn check<T>(&self, request: &Request<T>) -> Result<(), Status> {
        match Peer::of(request) {
            Some(Peer::Unix { uid, .. }) if uid == self.uid || uid == 0 => Ok(()),
            Some(Peer::Unix { uid, .. }) => Err(Status::unauthenticated(format!(
                "this socket belongs to user {}, and you are user {uid}: use a join string",
                self.uid
            ))),
            Some(Peer::Tcp { .. }) => self.check_token(request),
            None => Err(Status::unauthenticated("the connection does not say who is calling")),
        }
    }

    fn check_token<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let Some(wanted) = &self.token else {
            return Err(Status::unauthenticated("this coordinator takes no calls from other machines"));
        };
        let Some(shown) = request.metadata().get("authorization") else {
            return Err(Status::unauthenticated(
                "no token was shown: connect with the coordinator's join string",
            ));
        };
        let shown = shown.as_bytes().strip_prefix(b"Bearer ").unwrap_or_default();
        if equal(&hash(shown), wanted) {
            Ok(())
        } else {
            Err(Status::unauthenticated(
                "the token is not valid here: get the coordinator's current join string",
            ))
        }
    }
}

impl Interceptor for Guard {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        self.check(&request).map(|()| request)
    }
}

/// What this process is to the coordinator that it connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Asks and tells, and runs nothing.
    Client,
    /// Runs what the coordinator sends.
    Worker,
}

impl Role {
    /// Whether it may use the Unix socket of this user's coordinator.
    pub(super) fn may_use(self, uid: u32) -> bool {
        self.may_use_as(own_uid(), uid)
    }

    /// Everybody trusts himself and root. Root asks everybody, but runs nothing of theirs.
    fn may_use_as(self, own: u32, uid: u32) -> bool {
        uid == own || uid == 0 || (self == Self::Client && own == 0)
    }
}

fn own_uid() -> u32 {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Takes the same time wherever the first difference is. What is compared are hashes, so even a difference in
/// time would tell nothing that helps to guess a token.
fn equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let difference = a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b));
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(peer: Option<Peer>, authorization: Option<&str>) -> Request<()> {
        let mut request = Request::new(());
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        if let Some(text) = authorization {
            request.metadata_mut().insert("authorization", text.parse().unwrap());
        }
        request
    }

    #[test]
    fn root_asks_every_coordinator_and_works_for_its_own() {
        for (role, own, uid, may) in [
            (Role::Client, 0, 1000, true),
            (Role::Worker, 0, 1000, false),
            (Role::Worker, 0, 0, true),
            (Role::Client, 1000, 1001, false),
            (Role::Worker, 1000, 1001, false),
            (Role::Client, 1000, 0, true),
            (Role::Worker, 1000, 0, true),
            (Role::Worker, 1000, 1000, true),
        ] {
            assert_eq!(role.may_use_as(own, uid), may, "{role:?} of {own} at {uid}");
        }
    }

    #[test]
    fn admits_the_same_user_root_and_the_token() {
        let token = Token([1; 32]);
        let right = format!("Bearer {}", token.reveal());
        let wrong = format!("Bearer {}", Token([2; 32]).reveal());
        let unix = |uid| Some(Peer::Unix { uid, pid: 1 });
        let tcp = Some(Peer::Tcp { address: "127.0.0.1:1".parse().unwrap() });
        let guard = Guard { uid: 1000, token: Some(hash(token.reveal().as_bytes())) };
        for (peer, shown, admitted) in [
            (unix(1000), None, true),
            (unix(0), None, true),
            (unix(1001), Some(right.as_str()), false),
            (tcp, Some(right.as_str()), true),
            (tcp, Some(wrong.as_str()), false),
            (tcp, Some(&right[7..]), false),
            (tcp, Some("Bearer "), false),
            (tcp, None, false),
            (None, Some(right.as_str()), false),
        ] {
            assert_eq!(guard.check(&request(peer, shown)).is_ok(), admitted, "{peer:?} {shown:?}");
        }
        assert!(Guard::local_only().check(&request(tcp, Some(&right))).is_err());
    }
}
