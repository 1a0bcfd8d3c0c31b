//! What reaches the driver from the tasks around it.

use super::inquest::Inquest;
use super::session::Session;
use crate::cache::{CacheError, PluginFile};
use crate::error::WorkerError;
use crate::frame::FromExecutor;
use crate::os::cgroup::MemoryEvidence;
use crate::os::process::WaitStatus;
use muster_core::id::ExecutorId;
use std::sync::Arc;
use tokio::sync::mpsc;

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

/// The way to the driver.
#[derive(Clone, Debug)]
pub(super) struct Events(mpsc::Sender<Event>);

impl Events {
    pub fn channel() -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(EVENTS_MAX);
        (Self(sender), receiver)
    }

    /// Waits for room. Without a driver nobody needs the event.
    pub async fn send(&self, event: Event) {
        let _ = self.0.send(event).await;
    }
}
