//! The processes of a cluster of our own: a coordinator in this process, workers that are this binary again, and what
//! their tasks leave behind. All of it ends with this.

use super::folder::TempFolder;
use super::orphans::Orphans;
use super::process::{Child, readable};
use crate::service::InProcess;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long ended orphans may hold their place.
const REAP_PAUSE: Duration = Duration::from_millis(250);

/// What runs, and is ended when this is dropped.
pub struct Processes {
    pub workers: Vec<Child>,
    pub coordinator: Option<InProcess>,
    pub orphans: Orphans,
    pub folder: TempFolder,
    /// How long a worker may take to end before it is killed.
    pub grace: Duration,
}

impl Processes {
    /// The process ids of its workers.
    pub fn worker_ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.workers.iter().map(Child::id)
    }

    /// Frees what ended orphans hold, for as long as it is polled; never comes back.
    pub async fn reap_orphans(&self) {
        let Ok(mut child_ended) = signal(SignalKind::child()) else { return std::future::pending().await };
        loop {
            child_ended.recv().await;
            self.orphans.reap(|pid| self.worker_ids().any(|worker| worker == pid));
            // Many may end at the same time.
            tokio::time::sleep(REAP_PAUSE).await;
        }
    }

    /// Ends the workers, then what they left behind, then the coordinator.
    pub async fn stop(mut self) {
        self.signal_workers();
        for worker in &self.workers {
            // What takes longer is killed below.
            let _ = tokio::time::timeout(self.grace, has_ended(worker)).await;
        }
        self.end_workers();
        self.orphans.end();
        if let Some(coordinator) = self.coordinator.take() {
            coordinator.stop().await;
        }
    }

    fn signal_workers(&mut self) {
        let signal = if self.grace.is_zero() { libc::SIGKILL } else { libc::SIGTERM };
        self.workers.iter_mut().for_each(|worker| worker.signal(signal));
    }

    fn end_workers(&mut self) {
        self.workers.drain(..).for_each(|mut worker| worker.end(self.grace));
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        if !self.workers.is_empty() {
            self.signal_workers();
            self.end_workers();
            self.orphans.end();
        }
        if let Some(coordinator) = self.coordinator.take() {
            coordinator.abandon();
        }
        debug_assert!(self.folder.path().exists(), "the folder goes last");
    }
}

/// Comes back when a worker has ended.
pub async fn has_ended(worker: &Child) {
    if let Ok(process) = worker.descriptor() {
        readable(process).await;
    }
}
