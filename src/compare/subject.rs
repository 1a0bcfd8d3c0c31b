//! The workload that is measured, and one run of it.

use super::configuration::Configuration;
use super::group::Reading;
use super::machine::{Interference, Load};
use super::usage::Usage;
use crate::bench::Bench;
use crate::cluster::Private;
use crate::command::push;
use crate::exit::{Exit, Failure, Outcome};
use crate::input::Names;
use crate::job::take;
use crate::output::Sink;
use crate::plugin::PluginFile;
use crate::summary::sketch;
use muster_core::scheduler::PolicySpec;
use muster_proto::link::Link;
use muster_proto::v1;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Tries of a task that ended an executor.
const ATTEMPTS: u32 = 3;

/// A workload: the same work under every configuration.
#[derive(Debug)]
pub struct Subject {
    pub file: Rc<PluginFile>,
    /// As JSON, with the manifest's defaults.
    pub params: Vec<u8>,
    pub seed: u64,
    /// What its reduced output tells; without any, outputs are checksummed and dropped.
    pub readings: Vec<Reading>,
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
    /// What the reduced output told, one for each reading.
    pub readings: Vec<f64>,
    /// How the first failed task failed.
    pub first_failure: Option<String>,
}

impl Subject {
    /// Whether another one is the same file with the same parameters and seed.
    pub fn is_same_work(&self, other: &Self) -> bool {
        let digest = |subject: &Self| subject.file.inspection().digest;
        (digest(self), &self.params, self.seed) == (digest(other), &other.params, other.seed)
    }

    /// The job.
    pub fn spec(&self, configuration: &Configuration, tasks: u64) -> v1::JobSpec {
        v1::JobSpec {
            plugin: Some(self.file.reference()),
            params: self.params.clone().into(),
            tasks,
            shape: Some(configuration.plan.to_proto()),
            weight: 1,
            max_attempts: ATTEMPTS,
            outputs: self.outputs().into(),
            reduce: !self.readings.is_empty(),
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

    const fn outputs(&self) -> v1::Outputs {
        if self.readings.is_empty() { v1::Outputs::Checksum } else { v1::Outputs::Stream }
    }

    /// What the reduced output of a job that has ended tells.
    async fn read(&self, link: &Link, job: u64) -> Outcome<Vec<f64>> {
        if self.readings.is_empty() {
            return Ok(Vec::new());
        }
        let name = self.file.manifest().name();
        let kind = self.file.manifest().output_of(true);
        let request = v1::ResultsRequest { job, from: 0, follow: true, last: 0 };
        let sink = take(link, request, 0, Sink::new(None, kind, name, Names::default())).await;
        let sink = sink.map_err(|not_taken| Failure::from(not_taken.cause))?;
        let output: serde_json::Value =
            serde_json::from_slice(sink.reduced().unwrap_or_default()).unwrap_or_default();
        let number = |reading: &Reading| {
            let member = reading.member;
            output.get(member).and_then(serde_json::Value::as_f64).ok_or_else(|| {
                Failure::new(Exit::Job, format_args!("plugin {name}: its output has no number {member:?}"))
                    .hint("build the plugins of this version of muster")
            })
        };
        self.readings.iter().map(number).collect()
    }

    /// Runs so many tasks on fresh processes.
    pub async fn run(&self, configuration: &Configuration, tasks: u64) -> Outcome<Sample> {
        let (used, load) = (Usage::now(), Load::now());
        let cluster = self.cluster(configuration).await?;
        let began = Instant::now();
        let status = Bench::new(&cluster).run_to_end(self.spec(configuration, tasks)).await;
        let time = began.elapsed();
        let readings = match &status {
            Ok(status) if status.state() == v1::JobState::Done && status.failed == 0 => {
                self.read(&cluster.session().link, status.job).await
            }
            Ok(_) | Err(_) => Ok(Vec::new()),
        };
        cluster.stop().await;
        let (status, readings, usage) = (status?, readings?, Usage::now().since(used));
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
            readings,
            first_failure: status.first_failures.first().map(|failure| failure.message.clone()),
        })
    }
}

/// The mean of times, in seconds; 0 without any.
fn mean_s(times: Option<&v1::Sketch>) -> f64 {
    sketch(times).mean().map_or(0.0, |mean| mean.0 as f64 / 1e9)
}
