//! An executor that finds its plugin's file changed, or gone, after it was checked loads nothing. The file is fetched once
//! more for the job; until it is here the end of that executor waits, and then another one starts in its place.

use super::driver::Driver;
use super::event::End;
use crate::cache::{CacheError, PluginFile};
use muster_core::id::ExecutorId;
use muster_proto::convert::PluginRef;
use std::sync::Arc;

/// A file that is fetched again.
#[derive(Debug)]
pub(super) struct Renewal {
    plugin: PluginRef,
    /// How executors ended that could not load it.
    ends: Vec<(ExecutorId, End)>,
}

impl Driver {
    /// The end of an executor, unless it has to wait for a file.
    pub fn unless_renewed(&mut self, id: ExecutorId, end: End) -> Option<End> {
        let executor = self.executors.get_mut(&id)?;
        let refusal = executor.circumstances.refusal.as_ref().filter(|refusal| refusal.is_damage);
        let job = executor.seat.and_then(|seat| self.jobs.get(&seat.job));
        let Some((refusal, job)) = refusal.zip(job) else { return Some(end) };
        if !Arc::ptr_eq(&executor.plugin, &job.plugin) {
            // It came while this one was on its way to the old one.
            executor.circumstances.renewed = true;
            return Some(end);
        }
        if job.is_renewed {
            return Some(end);
        }
        let plugin = job.open.plugin.clone();
        if let Some(renewal) = self.renewals.get_mut(&plugin.digest) {
            renewal.ends.push((id, end));
            return None;
        }
        let text = format!("{}; it is fetched again", refusal.text);
        tracing::warn!(job = %job.open.job, text, "a plugin's file cannot be used");
        self.report.notice(job.open.job, text);
        self.fetch(plugin.clone());
        self.renewals.insert(plugin.digest, Renewal { plugin, ends: vec![(id, end)] });
        None
    }

    /// A file that was fetched again is here, or cannot be had.
    pub fn on_renewed(&mut self, digest: [u8; 32], result: Result<&Arc<PluginFile>, &CacheError>) {
        // Without a link it is asked for again with the next one.
        if result.is_err() && self.link.is_none() {
            return;
        }
        let Some(Renewal { ends, .. }) = self.renewals.remove(&digest) else { return };
        for job in self.jobs.values_mut().filter(|job| job.plugin.digest == digest) {
            job.renew(result.ok());
        }
        for (id, end) in ends {
            let executor = self.executors.get_mut(&id);
            let refusal = executor.and_then(|executor| executor.circumstances.refusal.as_mut());
            if let Some((refusal, error)) = refusal.zip(result.err()) {
                refusal.text = format!("{}, and cannot be fetched again: {error}", refusal.text);
            }
            self.on_ended(id, end);
        }
    }

    /// Asks for the files over a new link.
    pub fn fetch_renewals(&self) {
        for renewal in self.renewals.values() {
            self.fetch(renewal.plugin.clone());
        }
    }

    /// Executors of which only their end is left to be told.
    pub fn forget_renewals(&mut self) {
        for (id, _) in std::mem::take(&mut self.renewals).into_values().flat_map(|renewal| renewal.ends) {
            self.executors.remove(&id);
        }
    }
}
