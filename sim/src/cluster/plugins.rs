//! Which plugin a job has, and which workers have fetched it.

use crate::scenario::Scenario;
use muster_core::agent::PluginKey;
use muster_core::id::WorkerId;
use std::collections::BTreeMap;

/// The plugins of all jobs. Jobs that name the same plugin, or none, with the same size have one in common.
#[derive(Debug)]
pub(super) struct Plugins {
    /// The plugin of each job.
    of_jobs: Vec<usize>,
    /// The bytes of each plugin.
    bytes: Vec<u64>,
    /// What was sent to a worker, by the plugin. Plugins without bytes are not in it.
    sent: BTreeMap<(u32, usize), Sent>,
}

#[derive(Clone, Copy, Debug)]
enum Sent {
    /// It is on its way over this connection.
    Under(WorkerId),
    /// The worker has it, also after a crash: it lies on its disk.
    Arrived,
}

impl Plugins {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let mut found: Vec<(Option<&str>, u64)> = Vec::new();
        let mut of_jobs = Vec::with_capacity(scenario.jobs.len());
        for job in &scenario.jobs {
            let plugin = (job.plugin.as_ref().map(|plugin| plugin.name.as_str()), job.plugin_bytes);
            let place = found.iter().position(|other| *other == plugin).unwrap_or_else(|| {
                found.push(plugin);
                found.len() - 1
            });
            of_jobs.push(place);
        }
        Self { of_jobs, bytes: found.into_iter().map(|(_, bytes)| bytes).collect(), sent: BTreeMap::new() }
    }

    /// What an agent knows the plugin of a job by.
    pub(super) fn key(&self, job: u32) -> PluginKey {
        PluginKey(self.of_jobs[job as usize] as u64)
    }

    /// The bytes of a job's plugin that must be sent to a worker over a connection: none when it has them, or when
    /// they are on their way.
    pub(super) fn bytes_to_send(&mut self, worker: u32, session: WorkerId, job: u32) -> u64 {
        let plugin = self.of_jobs[job as usize];
        let bytes = self.bytes[plugin];
        if bytes == 0 {
            return 0;
        }
        match self.sent.get(&(worker, plugin)) {
            Some(Sent::Arrived) => 0,
            Some(Sent::Under(other)) if *other == session => 0,
            Some(Sent::Under(_)) | None => {
                self.sent.insert((worker, plugin), Sent::Under(session));
                bytes
            }
        }
    }

    /// A worker was told of a job; its plugin has come before.
    pub(super) fn arrived(&mut self, worker: u32, job: u32) {
        if let Some(sent) = self.sent.get_mut(&(worker, self.of_jobs[job as usize])) {
            *sent = Sent::Arrived;
        }
    }
}
