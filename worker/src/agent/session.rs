//! The link to the coordinator: opened, greeted, and opened again when it is lost.

use super::event::{Event, Events};
use crate::emulation::{Emulation, relay};
use crate::error::WorkerError;
use crate::metrics::{Direction, Metrics};
use futures_util::StreamExt as _;
use muster_core::id::{Epoch, WorkerId};
use muster_proto::MESSAGE_MAX_BYTES;
use muster_proto::convert::{Adopted, ConvertError, Welcome};
use muster_proto::link::{Link, LinkError, Target, connect_worker, connect_worker_through, jittered};
use muster_proto::v1::worker_link_client::WorkerLinkClient;
use muster_proto::v1::{FromWorker, ToWorker, from_worker, to_worker};
use prost::Message as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

/// Messages to the coordinator that wait to be sent, with the place that is kept for heartbeats.
const OUTGOING_MAX: usize = 4;
/// The first wait before the next try, and the longest.
const BACKOFF_MIN: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// The coordinator answers a greeting within this time.
const WELCOME_WAIT: Duration = Duration::from_secs(10);

/// A link that stands.
#[derive(Debug)]
pub(super) struct Session {
    pub link: Link,
    pub epoch: Epoch,
    /// The number of this worker there.
    pub worker: WorkerId,
    pub heartbeat: Duration,
    /// Names what the coordinator keeps.
    pub state: u64,
    /// What of the held tasks this worker keeps.
    pub adopted: Vec<Adopted>,
    pub outgoing: mpsc::Sender<FromWorker>,
    pub incoming: Streaming<ToWorker>,
}

/// Why a link does not stand.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("{}", .0.message())]
    Status(#[from] Status),
    #[error("the coordinator's first message cannot be used: {0}")]
    Welcome(#[from] ConvertError),
    #[error("the coordinator closed the stream without a greeting")]
    Silent,
}

impl SessionError {
    /// Trying again would end the same way.
    fn is_final(&self) -> bool {
        match self {
            Self::Link(error) => !error.is_transient(),
            Self::Status(status) => matches!(
                status.code(),
                Code::FailedPrecondition
                    | Code::Unauthenticated
                    | Code::PermissionDenied
                    | Code::InvalidArgument
                    | Code::AlreadyExists
            ),
            Self::Welcome(_) => true,
            Self::Silent => false,
        }
    }
}

impl From<SessionError> for WorkerError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Link(error) => Self::Link(error),
            SessionError::Status(_) | SessionError::Welcome(_) | SessionError::Silent => {
                Self::Refused { reason: error.to_string() }
            }
        }
    }
}

/// The way to the coordinator, and who counts what goes over it.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub target: Target,
    pub emulation: Emulation,
    pub metrics: Arc<Metrics>,
}

/// Connects, again and again with growing pauses, and hands the session or the final refusal to the driver.
/// `once`: the first failure is final.
pub(super) async fn keep_connecting(way: Way, once: bool, events: Events) {
    let mut pause = BACKOFF_MIN;
    let mut told = false;
    loop {
        let error = match open(&way, &events).await {
            Ok(session) => return events.send(Event::Connected(Box::new(session))).await,
            Err(error) if once || error.is_final() => {
                return events.send(Event::Refused(error.into())).await;
            }
            Err(error) => error,
        };
        if !told {
            tracing::warn!(coordinator = %way.target, %error, "not connected; trying again until it works");
            told = true;
        }
        sleep(jittered(pause)).await;
        pause = (pause * 2).min(BACKOFF_MAX);
    }
}

async fn open(way: &Way, events: &Events) -> Result<Session, SessionError> {
    let Way { target, emulation, metrics } = way;
    let link = if emulation.has_link() {
        connect_worker_through(target, |connection| relay(connection, emulation)).await?
    } else {
        connect_worker(target).await?
    };
    // What this worker has is asked for when it can be said.
    let (ask, answer) = oneshot::channel();
    events.send(Event::Greets(ask)).await;
    let hello = answer.await.map_err(|_| SessionError::Silent)?;
    let (outgoing, messages) = mpsc::channel(OUTGOING_MAX);
    // There is room: the queue is new.
    let _ = outgoing.try_send(FromWorker { kind: Some(from_worker::Kind::Hello(hello)) });
    let mut client = WorkerLinkClient::new(link.clone())
        .max_decoding_message_size(MESSAGE_MAX_BYTES)
        .max_encoding_message_size(MESSAGE_MAX_BYTES);
    let attach = async {
        let metrics = Arc::clone(metrics);
        let counted = ReceiverStream::new(messages)
            .inspect(move |message: &FromWorker| metrics.message(Direction::Out, message.encoded_len()));
        let mut incoming = client.attach(counted).await?.into_inner();
        let first = incoming.message().await?;
        Ok::<_, Status>((incoming, first))
    };
    let (incoming, first) =
        tokio::time::timeout(WELCOME_WAIT, attach).await.map_err(|_| SessionError::Silent)??;
    metrics.message(Direction::In, first.as_ref().map_or(0, ToWorker::encoded_len));
    let Some(ToWorker { kind: Some(to_worker::Kind::Welcome(welcome)) }) = first else {
        return Err(SessionError::Silent);
    };
    let Welcome { epoch, worker, heartbeat, state, adopted, .. } = welcome.try_into()?;
    Ok(Session { link, epoch, worker, heartbeat, state, adopted, outgoing, incoming })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_the_same_way_is_not_tried_again() {
        let target = || "x".to_owned();
        assert!(SessionError::Link(LinkError::WrongPin { target: target() }).is_final());
        assert!(!SessionError::Link(LinkError::NotRunning { target: target() }).is_final());
        assert!(SessionError::Status(Status::failed_precondition("protocol 9")).is_final());
        assert!(!SessionError::Status(Status::unavailable("gone")).is_final());
    }
}
