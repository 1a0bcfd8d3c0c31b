//! Measurements of muster itself.

pub mod metg;
pub mod one_task;

use crate::cluster::{Private, clients};
use crate::command::up_workers;
use crate::exit::{Exit, Failure};
use crate::job::{submit, wait_until_still};
use crate::plugin::PluginFile;
use muster_plugin_host::check;
use muster_proto::link::Link;
use muster_proto::v1;
use std::time::{Duration, Instant};

/// How long workers may take to come up.
const WORKERS_LIMIT: Duration = Duration::from_secs(10);

/// Runs jobs on a private cluster and times them.
pub struct Bench<'a> {
    cluster: &'a Private,
}

impl<'a> Bench<'a> {
    /// Measures on this cluster.
    pub fn new(cluster: &'a Private) -> Self {
        Self { cluster }
    }

    /// The link to the cluster.
    pub fn link(&self) -> &Link {
        &self.cluster.session().link
    }

    /// Slots of all workers together.
    pub fn slots(&self) -> u32 {
        self.cluster.workers() * self.cluster.slots()
    }

    /// Runs a job of `tasks` tasks without inputs and gives its last status.
    pub async fn run(
        &self,
        plugin: &PluginFile,
        params: serde_json::Value,
        tasks: u64,
    ) -> Result<v1::JobStatus, Failure> {
        let status = self.run_to_end(v1::JobSpec { tasks, ..spec(plugin, params)? }).await?;
        if status.state() == v1::JobState::Done && status.failed == 0 {
            return Ok(status);
        }
        let first = status.first_failures.first().map(|failure| failure.message.clone());
        let why = first.unwrap_or(status.reason);
        Err(Failure::new(Exit::Job, format_args!("a job of the measurement failed: {why}")))
    }

    /// Runs a job and gives its last status, however it ended; a pause is an end.
    pub async fn run_to_end(&self, spec: v1::JobSpec) -> Result<v1::JobStatus, Failure> {
        let job = submit(self.link(), spec).await?;
        tokio::select! {
            status = wait_until_still(self.link(), job, |_| {}) => status,
            failure = self.cluster.lost() => Err(failure),
        }
    }

    /// The best rate of several runs, in tasks per second from submitting to the end.
    pub async fn best_rate(
        &self,
        runs: u32,
        plugin: &PluginFile,
        params: serde_json::Value,
        tasks: u64,
    ) -> Result<f64, Failure> {
        let mut best: f64 = 0.0;
        for _ in 0..runs {
            let began = Instant::now();
            self.run(plugin, params.clone(), tasks).await?;
            best = best.max(tasks as f64 / began.elapsed().as_secs_f64());
        }
        Ok(best)
    }

    /// Waits until all workers have joined.
    pub async fn all_workers_up(&self, count: u32) -> Result<(), Failure> {
        let deadline = Instant::now() + WORKERS_LIMIT;
        while up_workers(self.link()).await?.0 < count {
            if Instant::now() > deadline {
                return Err(Failure::new(Exit::Connection, "not all workers came up in time"));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }
}

/// A job with muster's defaults whose outputs are checksummed and dropped.
pub fn spec(plugin: &PluginFile, params: serde_json::Value) -> Result<v1::JobSpec, Failure> {
    let params = check(plugin.manifest(), &params)?;
    Ok(v1::JobSpec {
        plugin: Some(plugin.reference()),
        params: params.to_string().into_bytes().into(),
        shape: Some(v1::Shape { model: v1::Model::Thread.into(), ..Default::default() }),
        weight: 1,
        max_attempts: 1,
        outputs: v1::Outputs::Checksum.into(),
        ..Default::default()
    })
}

/// The services of jobs.
fn jobs(link: &Link) -> v1::jobs_client::JobsClient<Link> {
    clients::jobs(link)
}
