//! A link to a coordinator that is opened anew when it was lost: a coordinator that keeps its state goes on where it was,
//! and so do those who watch its jobs.

use crate::cluster::{Session, clients};
use crate::exit::{Exit, Failure};
use crate::terminal::note;
use muster_proto::PROTOCOL_VERSION;
use muster_proto::link::{Link, Target, connect, jittered};
use muster_proto::v1;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a coordinator may be away.
const RESUME_MAX: Duration = Duration::from_secs(60);
/// The first pause between two tries, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long a coordinator may take to say who it is.
const STATE_WAIT: Duration = Duration::from_secs(5);

/// A link, and the way to the next one.
pub struct Line {
    /// `None`: when it is lost, so is the coordinator.
    way: Option<Way>,
    /// Held for moments only: whoever restores the link may not be running when somebody else wants it.
    current: Mutex<Current>,
    /// Held by who restores it.
    restoring: tokio::sync::Mutex<()>,
}

struct Way {
    target: Target,
    /// Names what the coordinator keeps: another one knows nothing of our jobs.
    state: u64,
}

#[derive(Clone)]
struct Current {
    /// Rises with each link.
    number: u64,
    link: Link,
}

impl Line {
    /// A link whose coordinator does not come back.
    pub fn once(link: Link) -> Self {
        let current = Mutex::new(Current { number: 0, link });
        Self { way: None, current, restoring: tokio::sync::Mutex::new(()) }
    }

    /// The link of a session.
    pub async fn of(session: &Session) -> Self {
        match session.target.clone() {
            Some(target) => Self::new(session.link.clone(), target).await,
            None => Self::once(session.link.clone()),
        }
    }

    /// A link to a coordinator that may come back.
    async fn new(link: Link, target: Target) -> Self {
        let state = state_of(&link).await.filter(|&state| state != 0);
        let way = state.map(|state| Way { target, state });
        Self { way, ..Self::once(link) }
    }

    /// The link as it is now, with its number.
    pub fn link(&self) -> (u64, Link) {
        let current = self.lock();
        (current.number, current.link.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the link anew that had this number when it was found lost; gives that failure back when there is none.
    pub async fn restore(&self, number: u64, lost: Failure) -> Result<(), Failure> {
        let Some(way) = self.way.as_ref().filter(|_| lost.exit == Exit::Connection) else { return Err(lost) };
        let _restoring = self.restoring.lock().await;
        if self.lock().number > number {
            return Ok(());
        }
        let seconds = RESUME_MAX.as_secs();
        note(format_args!("note: lost the coordinator; trying for up to {seconds} s to go on"));
        let deadline = Instant::now() + RESUME_MAX;
        let mut pause = PAUSE_MIN;
        loop {
            match connect(&way.target).await {
                Ok(link) => match state_of(&link).await {
                    Some(state) if state == way.state => {
                        note("note: the coordinator is back; going on");
                        let mut current = self.lock();
                        *current = Current { number: current.number + 1, link };
                        return Ok(());
                    }
                    Some(_) => return Err(lost.hint_if_none("another coordinator answers there now")),
                    // It went away again, or is not ready yet.
                    None => {}
                },
                Err(error) if !error.is_transient() => return Err(lost),
                Err(_) => {}
            }
            if Instant::now() >= deadline {
                return Err(lost);
            }
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

async fn state_of(link: &Link) -> Option<u64> {
    let request = v1::InfoRequest { protocol: PROTOCOL_VERSION };
    let mut client = clients::cluster(link);
    let reply = tokio::time::timeout(STATE_WAIT, client.info(request)).await.ok()?;
    Some(reply.ok()?.into_inner().state)
}
