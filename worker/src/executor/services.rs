//! What the plugin gets from its executor.

use super::gil::Gil;
use super::job::Shared;
use super::outbox::Outbox;
use crate::frame::{FromExecutor, LogTask};
use muster_plugin_host::{HostServices, LogLevel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// The job that the executor has, for log lines to find their task.
#[derive(Clone, Debug, Default)]
pub(super) struct Serving(Arc<Mutex<Option<Arc<Shared>>>>);

impl Serving {
    pub fn set(&self, job: Option<Arc<Shared>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = job;
    }

    fn task(&self, slot: u32) -> Option<LogTask> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let job = held.as_ref()?;
        let (index, attempt) = job.page.running(job.open.first_slot + slot)?;
        Some(LogTask { slot, index, attempt })
    }
}

/// Log lines go to the agent as frames; where tasks take turns to compute, they do so here.
#[derive(Debug)]
pub(super) struct Services {
    pub outbox: Arc<Outbox>,
    /// The lock of the open job's tasks.
    pub gil: Arc<RwLock<Option<Arc<Gil>>>>,
    pub serving: Serving,
}

impl Services {
    fn with_gil(&self, act: impl FnOnce(&Gil)) {
        let gil = self.gil.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(gil) = &*gil {
            act(gil);
        }
    }
}

impl HostServices for Services {
    fn log(&self, slot: Option<u32>, level: LogLevel, text: &str) {
        let level = match level {
            LogLevel::Error => 1,
            LogLevel::Warn => 2,
            LogLevel::Info => 3,
            LogLevel::Debug => 4,
            LogLevel::Trace => 5,
        };
        let task = slot.and_then(|slot| self.serving.task(slot));
        self.outbox.send(&FromExecutor::Log { level, task, text: text.to_owned() });
    }

    fn checkpoint(&self, slot: u32) {
        self.with_gil(|gil| gil.checkpoint(slot));
    }

    fn blocking_begin(&self, slot: u32) {
        self.with_gil(|gil| gil.release(slot));
    }

    fn blocking_end(&self, slot: u32) {
        self.with_gil(|gil| gil.take(slot));
    }
}
