//! What reaches the driver from the tasks around it.

use super::inquest::Inquest;
use super::session::Session;
use crate::cache::{CacheError, PluginFile};
use crate::error::WorkerError;
use crate::frame::FromExecutor;
use crate::os::cgroup::MemoryEvidence;
use crate::os::process::WaitStatus;
use muster_core::id::ExecutorId;
use muster_proto::v1::WorkerHello;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Events that wait for the driver. Executors that find the queue full stop being read, and wait in turn. Few,
/// because each may hold the results of a frame.
const EVENTS_MAX: usize = 4;

/// Something happened.
#[derive(Debug)]
pub(super) enum Event {
    /// An executor said something.
    Frame { executor: ExecutorId, frame: FromExecutor },
    /// An executor broke the rules and is being killed.
    Violation { executor: ExecutorId, text: String },
    /// An executor has ended; everything it said came before this.
    Ended { executor: ExecutorId, end: End },
    /// The functions of a stack were found, or nobody could.
    Inquest(Box<Inquest>),
    /// A link to the coordinator is open: what to say first.
    Greets(oneshot::Sender<WorkerHello>),
    /// The link to the coordinator stands.
    Connected(Box<Session>),
    /// The coordinator cannot be reached, and will not be tried again.
    Refused(WorkerError),
    /// A plugin is in the cache, or cannot be had.
    Plugin { digest: [u8; 32], result: Result<Arc<PluginFile>, CacheError> },
}

/// How a process ended.
#[derive(Debug, Default)]
pub(super) struct End {
    /// 0: it was never there.
    pub pid: u32,
    pub status: Option<WaitStatus>,
    /// What is known of its memory.
    pub memory: Option<MemoryEvidence>,
    pub last_lines: Vec<String>,
    /// It closed its connection and went on, and was killed for that.
    pub cut_off: bool,
}

/// The way to the driver. What is said of the link never waits behind executors, which are not always listened to.
#[derive(Clone, Debug)]
pub(super) struct Events {
    link: mpsc::Sender<Event>,
    others: mpsc::Sender<Event>,
}

/// Where they arrive.
#[derive(Debug)]
pub(super) struct Inbox {
    pub link: mpsc::Receiver<Event>,
    pub others: mpsc::Receiver<Event>,
}

impl Events {
    pub fn channel() -> (Self, Inbox) {
        let (link, link_receiver) = mpsc::channel(EVENTS_MAX);
        let (others, receiver) = mpsc::channel(EVENTS_MAX);
        (Self { link, others }, Inbox { link: link_receiver, others: receiver })
    }

    /// Waits for room. Without a driver nobody needs the event.
    pub async fn send(&self, event: Event) {
        let way = match event {
            Event::Greets(_) | Event::Connected(_) | Event::Refused(_) => &self.link,
            Event::Frame { .. }
            | Event::Violation { .. }
            | Event::Ended { .. }
            | Event::Inquest(_)
            | Event::Plugin { .. } => &self.others,
        };
        let _ = way.send(event).await;
    }
}
