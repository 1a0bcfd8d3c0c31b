//! What the plugin gets from its executor.

use super::gil::Gil;
use super::job::Shared;
use super::outbox::Outbox;
use crate::frame::{FromExecutor, LogTask};
use crate::region::Regions;
use muster_plugin_host::{HostServices, LogLevel, RegionError};
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// The job that the executor has, for log lines to find their task.
#[derive(Clone, Debug, Default)]
pub(super) struct Serving(Arc<Mutex<Option<Arc<Shared>>>>);

impl Serving {
    pub fn set(&self, job: Option<Arc<Shared>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = job;
    }

    /// Where tasks of the job may have folders.
    fn scratch(&self) -> Option<PathBuf> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().map(|job| &job.open.scratch).filter(|path| !path.is_empty()).map(PathBuf::from)
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
    pub sharing: Sharing,
}

/// The regions of the open job, from before its object is made until after it is gone.
#[derive(Clone, Debug, Default)]
pub(super) struct Sharing(Arc<Mutex<Option<Arc<Regions>>>>);

impl Sharing {
    pub fn set(&self, regions: Option<Regions>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = regions.map(Arc::new);
    }

    fn of(&self, job: u128) -> Option<Arc<Regions>> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.clone().filter(|regions| u128::from(regions.job()) == job)
    }
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

    fn region(&self, job: u128, name: &str, len: usize) -> Result<NonNull<u8>, RegionError> {
        self.sharing.of(job).ok_or(RegionError::NotOpen { job })?.region(name, len)
    }

    fn checkpoint(&self, slot: u32) {
        self.with_gil(|gil| gil.checkpoint(slot));
    }

    fn scratch_root(&self) -> Option<PathBuf> {
        self.serving.scratch()
    }

    fn blocking_begin(&self, slot: u32) {
        self.with_gil(|gil| gil.release(slot));
    }

    fn blocking_end(&self, slot: u32) {
        self.with_gil(|gil| gil.take(slot));
    }
}
