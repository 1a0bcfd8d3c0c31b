//! The workload that is measured, and one run of it.

use super::configuration::Configuration;
use super::machine::{Interference, Load};
use super::usage::Usage;
use crate::bench::Bench;
use crate::cluster::Private;
use crate::command::push;
use crate::exit::{Exit, Failure, Outcome};
use crate::plugin::PluginFile;
use crate::summary::sketch;
use muster_core::scheduler::PolicySpec;
use muster_proto::v1;
use std::time::{Duration, Instant};

/// Tries of a task that ended an executor.
const ATTEMPTS: u32 = 3;

/// The same work for every configuration.
#[derive(Debug)]
pub struct Subject {
    pub file: Box<PluginFile>,
    /// As JSON, with the manifest's defaults.
    pub params: Vec<u8>,
    pub seed: u64,
}

/// What one run came to.
#[derive(Clone, Debug)]
pub struct Sample {
    /// From submitting the job to its end, with the start of its executors.
    pub time: Duration,
    /// Of all processes of muster, with the start and the end of its cluster.
    pub usage: Usage,
    /// What else the machine did.
    pub interference: Interference,
    /// Of all outputs, whatever their order.
    pub checksum: u64,
    /// Tasks that failed.
    pub failed: u64,
    /// How long tasks waited for their lock, as a share of the slots' time; `None`: there is none.
    pub lock_wait: Option<f64>,
    /// Threads that stood in for an async form.
    pub stand_ins: u32,
    /// How the first failed task failed.
    pub first_failure: Option<String>,
}

impl Subject {
    /// The job.
    pub fn spec(&self, configuration: &Configuration, tasks: u64) -> v1::JobSpec {
        v1::JobSpec {
            plugin: Some(self.file.reference()),
            params: self.params.clone().into(),
            tasks,
            shape: Some(configuration.plan.to_proto()),
            weight: 1,
            max_attempts: ATTEMPTS,
            outputs: v1::Outputs::Checksum.into(),
            seed: self.seed,
            ..Default::default()
        }
    }

    /// A cluster with a worker that has just the slots of a configuration, and the plugin.
    pub async fn cluster(&self, configuration: &Configuration) -> Outcome<Private> {
        self.prepared(Private::start(1, configuration.slots(), None, PolicySpec::default()).await?).await
    }

    /// The same, for what goes wrong on purpose: its worker says nothing.
    pub async fn silent_cluster(&self, configuration: &Configuration) -> Outcome<Private> {
        self.prepared(Private::start_silent(configuration.slots()).await?).await
    }

    async fn prepared(&self, cluster: Private) -> Outcome<Private> {
        match self.ready(&cluster).await {
            Ok(()) => Ok(cluster),
            Err(failure) => {
                cluster.stop().await;
                Err(failure)
            }
        }
    }

    async fn ready(&self, cluster: &Private) -> Outcome<()> {
        Bench::new(cluster).all_workers_up(1).await?;
        push(&cluster.session().link, &self.file).await.map(drop)
    }

    /// Runs so many tasks on fresh processes.
    pub async fn run(&self, configuration: &Configuration, tasks: u64) -> Outcome<Sample> {
        let (used, load) = (Usage::now(), Load::now());
        let cluster = self.cluster(configuration).await?;
        let began = Instant::now();
        let status = Bench::new(&cluster).run_to_end(self.spec(configuration, tasks)).await;
        let time = began.elapsed();
        cluster.stop().await;
        let (status, usage) = (status?, Usage::now().since(used));
        let interference = Load::now().since(load, usage.cpu);
        if status.state() != v1::JobState::Done {
            let (name, reason) = (&configuration.name, &status.reason);
            return Err(Failure::new(
                Exit::Job,
                format_args!("{name}: the job did not come to its end: {reason}"),
            )
            .hint("muster run shows more of it: muster run PLUGIN, with the same parameters"));
        }
        let slot_time = f64::from(configuration.slots()) * status.wall_s;
        let waited = mean_s(status.gil_wait.as_ref()) * (status.ok + status.failed) as f64;
        Ok(Sample {
            time,
            usage,
            interference,
            checksum: status.checksum,
            failed: status.failed,
            lock_wait: configuration.has_lock().then(|| waited / slot_time.max(f64::MIN_POSITIVE)),
            stand_ins: status.stand_ins,
            first_failure: status.first_failures.first().map(|failure| failure.message.clone()),
        })
    }
}

/// The mean of times, in seconds; 0 without any.
fn mean_s(times: Option<&v1::Sketch>) -> f64 {
    sketch(times).mean().map_or(0.0, |mean| mean.0 as f64 / 1e9)
}
