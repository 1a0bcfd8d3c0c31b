//! Who may call a coordinator: on this machine the same user and root, who may do everything; from elsewhere whoever
//! has a certificate of its authority, and each only what its roles allow.

use std::sync::Arc;
use std::task::{Context, Poll};

use axum::http::{HeaderMap, Request, Response};
use futures_util::future::{Either, Ready, ready};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::ca::Authority;
use super::certificate::IdentityError;
use super::connection::Peer;
use super::moment::Moment;
use super::role::{Right, Role, Roles, right_to};
use super::session::Session;
use super::target::Token;

/// Checks every request before a service sees it. A layer for the whole server: `server().layer(guard)`.
#[derive(Clone, Debug)]
pub struct Guard {
    uid: u32,
    /// `None`: nobody comes in from elsewhere.
    authority: Option<Arc<Authority>>,
}

impl Guard {
    /// A guard that knows an authority's identities and tokens.
    #[must_use]
    pub fn with_authority(authority: Arc<Authority>) -> Self {
        Self { authority: Some(authority), ..Self::local_only() }
    }

    /// A guard that admits nobody from elsewhere.
    #[must_use]
    pub fn local_only() -> Self {
        Self { uid: own_uid(), authority: None }
    }

    fn check(&self, path: &str, headers: &HeaderMap, peer: Option<&Peer>, now: Moment) -> Result<(), Status> {
        let (method, right) = right_to(path);
        let needed = match right {
            Some(Right::Anybody) => None,
            Some(Right::Roles(roles)) => Some(roles),
            Some(Right::Socket) => Some(Roles::default()),
            // Nobody may call what nobody thought of.
            None => {
                let text = "is no method of this coordinator; use the same version of muster everywhere";
                return Err(Status::unimplemented(format!("{method:.100} {text}")));
            }
        };
        let roles = match peer {
            Some(Peer::Unix { uid, .. }) if *uid == self.uid || *uid == 0 => return Ok(()),
            Some(Peer::Unix { uid, .. }) => {
                return Err(Status::unauthenticated(format!(
                    "this socket belongs to user {}, and you are user {uid}: use a join string",
                    self.uid
                )));
            }
            Some(Peer::Tls { .. } | Peer::Tcp { .. }) if needed.is_none() => return Ok(()),
            Some(Peer::Tls { session, .. }) => self.roles_of(session, now)?,
            Some(Peer::Tcp { .. }) => self.roles_of_bearer(headers, now)?,
            None => return Err(Status::unauthenticated("the connection does not say who is calling")),
        };
        match needed {
            Some(needed) if !roles.meets(needed) => Err(not_allowed(method, needed, roles)),
            Some(_) | None => Ok(()),
        }
    }

    fn roles_of(&self, session: &Session, now: Moment) -> Result<Roles, Status> {
        let authority = self.authority()?;
        let refuse = |error: IdentityError| match error {
            IdentityError::TooMany { .. } => Status::resource_exhausted(error.to_string()),
            _ => Status::unauthenticated(error.to_string()),
        };
        let identity = session.caller.as_ref().map_err(|error| refuse(error.clone()))?;
        authority.tokens().check(identity.token).map_err(|refusal| refuse(refusal.into()))?;
        if now > session.until() {
            return Err(refuse(IdentityError::Ended { at: session.until() }));
        }
        Ok(identity.roles)
    }

    /// On a port without TLS, which is on the loopback interface, the token itself is shown.
    fn roles_of_bearer(&self, headers: &HeaderMap, now: Moment) -> Result<Roles, Status> {
        let authority = self.authority()?;
        let shown = headers.get("authorization").ok_or_else(|| {
            Status::unauthenticated("no token was shown: connect with the coordinator's join string")
        })?;
        let shown =
            shown.to_str().ok().and_then(|text| text.strip_prefix("Bearer ")).and_then(Token::from_text);
        let shown = shown.ok_or_else(|| Status::unauthenticated("what was shown is not a token"))?;
        authority.tokens().bearer(&shown, now).map_err(|refusal| Status::unauthenticated(refusal.to_string()))
    }

    fn authority(&self) -> Result<&Authority, Status> {
        let none = || Status::unauthenticated("this coordinator takes no calls from other machines");
        self.authority.as_deref().ok_or_else(none)
    }
}

fn not_allowed(method: &str, needed: Roles, roles: Roles) -> Status {
    if needed.is_empty() {
        return Status::permission_denied(format!(
            "{method} is only for who comes in through the coordinator's Unix socket, on its own machine"
        ));
    }
    let names: Vec<_> = needed.iter().map(Role::name).collect();
    let first = names.first().copied().unwrap_or_default();
    let wanted = match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        Some(_) | None => first.to_owned(),
    };
    // Whoever runs a plugin of his own needs both: one without the other leads to the next refusal.
    let role = if matches!(first, "submitter" | "publisher") { "submitter,publisher" } else { first };
    Status::permission_denied(format!(
        "{method} needs the role {wanted}, and this identity has {roles}: \
         make a join string on the coordinator's machine, muster token new --role {role}"
    ))
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, guard: self.clone() }
    }
}

/// A server behind a guard.
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    inner: S,
    guard: Guard,
}

impl<S, B> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let peer = request.extensions().get::<Peer>();
        match self.guard.check(request.uri().path(), request.headers(), peer, Moment::now()) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(status) => Either::Right(ready(Ok(status.into_http()))),
        }
    }
}

/// What this process is to the coordinator that it connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Asks and tells, and runs nothing.
    Client,
    /// Runs what the coordinator sends.
    Worker,
}

impl Part {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::certificate::PublicKey;
    use crate::link::session::Sessions;
    use crate::link::tokens::NewToken;
    use rcgen::PublicKeyData as _;
    use tonic::Code;

    const SUBMIT: &str = "/muster.v1.Jobs/Submit";
    const ATTACH: &str = "/muster.v1.WorkerLink/Attach";
    const ENROLL: &str = "/muster.v1.Identity/Enroll";

    #[test]
    fn root_asks_every_coordinator_and_works_for_its_own() {
        for (part, own, uid, may) in [
            (Part::Client, 0, 1000, true),
            (Part::Worker, 0, 1000, false),
            (Part::Worker, 0, 0, true),
            (Part::Client, 1000, 1001, false),
            (Part::Worker, 1000, 1001, false),
            (Part::Client, 1000, 0, true),
            (Part::Worker, 1000, 0, true),
            (Part::Worker, 1000, 1000, true),
        ] {
            assert_eq!(part.may_use_as(own, uid), may, "{part:?} of {own} at {uid}");
        }
    }

    struct World {
        _folder: tempfile::TempDir,
        authority: Arc<Authority>,
        guard: Guard,
        sessions: Sessions,
        now: Moment,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let authority = Arc::new(Authority::load_or_create(folder.path()).unwrap());
            let guard = Guard { uid: 1000, authority: Some(Arc::clone(&authority)) };
            Self { _folder: folder, authority, guard, sessions: Sessions::default(), now: Moment::now() }
        }

        fn token(&self, role: Role) -> Token {
            let new = NewToken { roles: Roles::of(&[role]), ..NewToken::default() };
            self.authority.tokens().make(&new, self.now).unwrap().0
        }

        fn peer(&self, token: &Token) -> Peer {
            let key = rcgen::KeyPair::generate().unwrap();
            let signed = self.authority.enroll(token, &PublicKey::new(key.der_bytes()).unwrap(), self.now);
            self.of(Ok(signed.unwrap().identity))
        }

        fn of(&self, caller: Result<super::super::certificate::Identity, IdentityError>) -> Peer {
            let session = Arc::clone(&self.sessions.open(caller, self.now).session);
            Peer::Tls { address: "127.0.0.1:1".parse().unwrap(), session }
        }

        fn code(&self, path: &str, peer: Option<&Peer>, bearer: Option<&str>) -> Code {
            let mut headers = HeaderMap::new();
            if let Some(text) = bearer {
                headers.insert("authorization", text.parse().unwrap());
            }
            let checked = self.guard.check(path, &headers, peer, self.now);
            checked.map_or_else(|status| status.code(), |()| Code::Ok)
        }
    }

    #[test]
    fn the_socket_is_for_its_user_and_root() {
        let world = World::new();
        for (uid, code) in [(1000, Code::Ok), (0, Code::Ok), (1001, Code::Unauthenticated)] {
            let peer = Peer::Unix { uid, pid: 1 };
            for path in [SUBMIT, ATTACH, ENROLL] {
                assert_eq!(world.code(path, Some(&peer), None), code, "{uid} {path}");
            }
        }
        assert_eq!(world.code(ENROLL, None, None), Code::Unauthenticated);
    }

    #[test]
    fn an_identity_may_do_what_its_role_allows_until_its_token_is_revoked() {
        let world = World::new();
        let (worker, submitter) = (world.token(Role::Worker), world.token(Role::Submitter));
        let peers = [world.peer(&worker), world.peer(&submitter), world.of(Err(IdentityError::None))];
        let codes = |path| [0, 1, 2].map(|at| world.code(path, Some(&peers[at]), None));
        assert_eq!(codes(SUBMIT), [Code::PermissionDenied, Code::Ok, Code::Unauthenticated]);
        assert_eq!(codes(ATTACH), [Code::Ok, Code::PermissionDenied, Code::Unauthenticated]);
        assert_eq!(codes(ENROLL), [Code::Ok; 3]);
        let denied = [Code::PermissionDenied, Code::PermissionDenied, Code::Unauthenticated];
        assert_eq!(codes("/muster.v1.Cluster/Shutdown"), denied);
        world.authority.revoke(super::super::TokenId::of(&submitter), world.now).unwrap();
        assert_eq!(codes(SUBMIT), [Code::PermissionDenied, Code::Unauthenticated, Code::Unauthenticated]);
        let Peer::Tls { session, .. } = &peers[0] else { panic!() };
        let late = session.until().later(1);
        let status = world.guard.check(ATTACH, &HeaderMap::new(), Some(&peers[0]), late).unwrap_err();
        assert!(status.message().contains("ended at"), "{status}");
    }

    #[test]
    fn without_tls_the_token_itself_is_shown() {
        let world = World::new();
        let tcp = Peer::Tcp { address: "127.0.0.1:1".parse().unwrap() };
        let token = world.token(Role::Submitter);
        let right = format!("Bearer {}", token.reveal());
        for (path, bearer, code) in [
            (SUBMIT, Some(right.as_str()), Code::Ok),
            (ATTACH, Some(&right), Code::PermissionDenied),
            (SUBMIT, Some(&right[7..]), Code::Unauthenticated),
            (SUBMIT, Some("Bearer "), Code::Unauthenticated),
            (SUBMIT, Some(&format!("Bearer {}", Token([2; 32]).reveal())), Code::Unauthenticated),
            (SUBMIT, None, Code::Unauthenticated),
        ] {
            assert_eq!(world.code(path, Some(&tcp), bearer), code, "{path} {bearer:?}");
        }
        let local = Guard { uid: 1000, authority: None };
        assert!(local.check(SUBMIT, &HeaderMap::new(), Some(&tcp), world.now).is_err());
    }
}
