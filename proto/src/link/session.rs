//! The open connections from other machines: who is at the other end of each, how long that holds, and how many there
//! are. A connection ends when its certificate does or when its token is revoked, whatever goes on on it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use futures_util::task::AtomicWaker;

use super::capacity::Capacity;
use super::certificate::{Identity, IdentityError, IdentityId};
use super::moment::Moment;
use super::tokens::TokenId;

/// How long a connection without an identity may take for what it may do.
pub(super) const STRANGER_LIFE_S: u64 = 10;

/// One connection over TLS.
pub struct Session {
    /// Who is calling, or why that is not known.
    pub caller: Result<Identity, IdentityError>,
    until_unix_s: AtomicU64,
    ended: AtomicBool,
    waker: AtomicWaker,
}

/// All that are open.
#[derive(Clone)]
pub struct Sessions(Arc<Mutex<Open>>);

struct Open {
    /// Connections that one identity may have.
    most: usize,
    next: u64,
    all: BTreeMap<u64, Arc<Session>>,
    by_identity: BTreeMap<IdentityId, usize>,
}

/// An open connection's place among all; it leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) session: Arc<Session>,
    sessions: Sessions,
    number: u64,
}

impl Session {
    /// A session that belongs to no registry, for a caller that was read before.
    fn new(caller: Result<Identity, IdentityError>, until: Moment) -> Self {
        Self {
            caller,
            until_unix_s: AtomicU64::new(until.unix_s()),
            ended: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    /// When it ends.
    #[must_use]
    pub fn until(&self) -> Moment {
        Moment::of_unix_s(self.until_unix_s.load(Ordering::Relaxed))
    }

    /// Its identity has a later certificate.
    pub fn extend(&self, until: Moment) {
        self.until_unix_s.fetch_max(until.unix_s(), Ordering::Relaxed);
    }

    /// Ends the connection.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether it was ended; otherwise `waker` hears of it.
    pub(super) fn poll_ended(&self, waker: &Waker) -> bool {
        self.waker.register(waker);
        self.has_ended()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self::with_most(Capacity::DEFAULT.connections)
    }
}

impl Sessions {
    /// No connections; an identity may have so many.
    pub(super) fn with_most(most: usize) -> Self {
        let open = Open { most, next: 0, all: BTreeMap::new(), by_identity: BTreeMap::new() };
        Self(Arc::new(Mutex::new(open)))
    }

    /// A connection of this caller begins; a stranger's when its identity has too many.
    pub(super) fn open(&self, caller: Result<Identity, IdentityError>, now: Moment) -> Place {
        let mut open = self.lock();
        let caller = caller.and_then(|identity| open.count(&identity).map(|()| identity));
        let until = match &caller {
            Ok(identity) => identity.until,
            Err(_) => now.later(STRANGER_LIFE_S),
        };
        let (number, session) = (open.next, Arc::new(Session::new(caller, until)));
        open.next += 1;
        open.all.insert(number, Arc::clone(&session));
        drop(open);
        Place { session, sessions: self.clone(), number }
    }

    /// Ends all whose time is over.
    pub(super) fn end_overdue(&self, now: Moment) {
        for session in self.lock().all.values().filter(|session| now > session.until()) {
            session.end();
        }
    }

    /// Ends all who joined by a token; how many.
    pub fn end_of_token(&self, token: TokenId) -> usize {
        let open = self.lock();
        open.of_token(token).map(|session| session.end()).count()
    }

    /// How many who joined by a token are connected.
    #[must_use]
    pub fn count_of_token(&self, token: TokenId) -> usize {
        self.lock().of_token(token).count()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn count(&mut self, identity: &Identity) -> Result<(), IdentityError> {
        let count = self.by_identity.entry(identity.id).or_default();
        if *count >= self.most {
            return Err(IdentityError::TooMany { max: self.most });
        }
        *count += 1;
        Ok(())
    }

    fn of_token(&self, token: TokenId) -> impl Iterator<Item = &Arc<Session>> {
        let is_of = move |session: &&Arc<Session>| {
            session.caller.as_ref().is_ok_and(|identity| identity.token == token)
        };
        self.all.values().filter(is_of)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.sessions.lock();
        open.all.remove(&self.number);
        if let Ok(identity) = &self.session.caller
            && let Some(count) = open.by_identity.get_mut(&identity.id)
        {
            *count -= 1;
            if *count == 0 {
                open.by_identity.remove(&identity.id);
            }
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({:?} until {})", self.caller, self.until())
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sessions({})", self.lock().all.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::role::Roles;
    use crate::link::target::Token;

    const NOW: Moment = Moment::of_unix_s(1_000);

    fn identity(id: u64, token: u8) -> Identity {
        Identity {
            id: format!("{id:x}").parse().unwrap(),
            token: TokenId::of(&Token([token; 32])),
            roles: Roles::ALL,
            until: NOW.later(60),
        }
    }

    #[test]
    fn connections_end_with_their_time_and_their_token() {
        let sessions = Sessions::default();
        let open = |caller| sessions.open(caller, NOW);
        let (first, second) = (open(Ok(identity(1, 1))), open(Ok(identity(2, 2))));
        let stranger = open(Err(IdentityError::None));
        let ended = || [&first, &second, &stranger].map(|place| place.session.has_ended());
        sessions.end_overdue(NOW.later(STRANGER_LIFE_S));
        assert_eq!(ended(), [false; 3]);
        sessions.end_overdue(NOW.later(STRANGER_LIFE_S + 1));
        assert_eq!(ended(), [false, false, true]);
        first.session.extend(NOW.later(100));
        first.session.extend(NOW.later(90));
        assert_eq!(first.session.until(), NOW.later(100));
        sessions.end_overdue(NOW.later(61));
        assert_eq!(ended(), [false, true, true]);
        assert_eq!(sessions.end_of_token(identity(2, 1).token), 1);
        assert_eq!(ended(), [true; 3]);
        assert_eq!(sessions.count_of_token(identity(9, 1).token), 1);
        drop((first, second, stranger));
        assert_eq!(format!("{sessions:?}"), "Sessions(0)");
    }

    #[test]
    fn an_identity_has_so_many_connections_and_no_more() {
        let sessions = Sessions::with_most(3);
        let open = |id| sessions.open(Ok(identity(id, 1)), NOW);
        let mut held: Vec<Place> = (0..3).map(|_| open(1)).collect();
        let refused = |place: Place| matches!(place.session.caller, Err(IdentityError::TooMany { .. }));
        assert!(held.iter().all(|place| place.session.caller.is_ok()) && refused(open(1)));
        assert!(!refused(open(2)), "another one with the same token");
        held.pop();
        assert!(!refused(open(1)));
        drop(held);
        assert!(sessions.lock().by_identity.is_empty());
    }
}
