//! The workload that is measured, and one run of it.

use super::configuration::Configuration;
use super::inputs::Inputs;
use super::machine::{Interference, Load};
use super::reading::{From, Reading, read};
use super::usage::Usage;
use crate::bench::Bench;
use crate::cluster::{Private, Session, clients};
use crate::command::push;
use crate::exit::{Exit, Failure, Outcome};
use crate::job::{self, feed, is_final, results, submit, unfinished, wait_until_still};
use crate::plugin::PluginFile;
use crate::summary::sketch;
use muster_proto::link::Link;
use muster_proto::v1;
use std::cell::Cell;
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
    /// What its outputs tell; without any, outputs are checksummed and dropped.
    pub readings: Vec<Reading>,
    /// Of its tasks; without them a task knows its number only.
    pub inputs: Option<Inputs>,
    /// Where it runs; without it, on private clusters.
    pub cluster: Option<Rc<Session>>,
    /// The job that runs on a cluster which goes on.
    running: Cell<Option<u64>>,
}

/// What one run came to.
#[derive(Clone, Debug)]
pub struct Sample {
    /// From submitting the job to its end, with the start of its executors.
    pub time: Duration,
    /// Tasks that there were.
    pub tasks: u64,
    /// Of all processes of muster, with the start and the end of its cluster; `None`: they are elsewhere.
    pub usage: Option<Usage>,
    /// Processors that this process, which holds the coordinator of a private cluster, kept busy.
    pub coordinator: f64,
    /// Other jobs were on the cluster.
    pub is_shared: bool,
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
    /// What the outputs told, one for each reading.
    pub readings: Vec<f64>,
    /// How the first failed task failed.
    pub first_failure: Option<String>,
}

impl Subject {
    /// A workload whose tasks need nothing, on private clusters.
    pub fn new(file: Rc<PluginFile>, params: Vec<u8>, seed: u64) -> Self {
        Self {
            file,
            params,
            seed,
            readings: Vec::new(),
            inputs: None,
            cluster: None,
            running: Cell::new(None),
        }
    }

    /// The same, and its outputs are read.
    #[must_use]
    pub fn reading(self, readings: &[Reading]) -> Self {
        Self { readings: readings.to_vec(), ..self }
    }

    /// The same, with inputs, or on a cluster that is up.
    #[must_use]
    pub fn with(self, inputs: Option<Inputs>, cluster: Option<Rc<Session>>) -> Self {
        Self { inputs, cluster, ..self }
    }

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
            tasks: if self.inputs.is_some() { 0 } else { tasks },
            open: self.inputs.is_some(),
            has_inputs: self.inputs.is_some(),
            shape: Some(configuration.plan.to_proto()),
            weight: 1,
            max_attempts: ATTEMPTS,
            outputs: self.outputs().into(),
            reduce: self.reduces(),
            seed: self.seed,
            ..Default::default()
        }
    }

    /// A cluster with a worker that has just the slots of a configuration, and the plugin. Its worker says nothing: what
    /// hundreds of runs have to say nobody reads, and what goes wrong the job says.
    pub async fn cluster(&self, configuration: &Configuration) -> Outcome<Private> {
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

    /// Outputs that are read must be kept until then.
    const fn outputs(&self) -> v1::Outputs {
        if self.readings.is_empty() { v1::Outputs::Checksum } else { v1::Outputs::Keep }
    }

    /// Whether what is read is the reduced output.
    fn reduces(&self) -> bool {
        self.readings.iter().any(|reading| matches!(reading.from, From::Reduced(_)))
    }

    /// What the outputs of a job tell that has ended well.
    async fn read(&self, link: &Link, status: &v1::JobStatus) -> Outcome<Vec<f64>> {
        let is_well = status.state() == v1::JobState::Done && status.failed == 0;
        if self.readings.is_empty() || !is_well {
            return Ok(Vec::new());
        }
        let found = results(link, status.job).await?;
        read(&self.readings, &found, self.file.manifest().name())
    }

    /// Runs so many tasks, or all inputs, on fresh processes.
    pub async fn run(&self, configuration: &Configuration, tasks: u64) -> Outcome<Sample> {
        let spec = self.spec(configuration, tasks);
        match &self.cluster {
            Some(session) => self.run_on(&session.link, configuration, spec).await,
            None => self.run_alone(configuration, spec).await,
        }
    }

    async fn run_alone(&self, configuration: &Configuration, spec: v1::JobSpec) -> Outcome<Sample> {
        let (used, load) = (Usage::now(), Load::now());
        let cluster = self.cluster(configuration).await?;
        let began = Instant::now();
        let own = Usage::own();
        let status = tokio::select! {
            status = self.to_end(&cluster.session().link, spec) => status,
            failure = cluster.lost() => Err(failure),
        };
        let (time, own) = (began.elapsed(), Usage::own().since(own));
        let readings = match &status {
            Ok(status) => self.read(&cluster.session().link, status).await,
            Err(_) => Ok(Vec::new()),
        };
        cluster.stop().await;
        let (status, readings, usage) = (status?, readings?, Usage::now().since(used));
        let sample = sample(configuration, &status, time, readings)?;
        Ok(Sample {
            usage: Some(usage),
            coordinator: own.cpu.as_secs_f64() / time.as_secs_f64().max(f64::MIN_POSITIVE),
            interference: Load::now().since(load, usage.cpu),
            ..sample
        })
    }

    /// On a cluster that goes on, and may have other things to do.
    async fn run_on(&self, link: &Link, configuration: &Configuration, spec: v1::JobSpec) -> Outcome<Sample> {
        let is_shared = !unfinished(link).await?.is_empty();
        let began = Instant::now();
        let status = self.to_end(link, spec).await;
        let time = began.elapsed();
        // It may wait for somebody who lets it go on.
        let status = match status {
            Ok(status) if !is_final(&status) => {
                self.abandon().await;
                Ok(status)
            }
            other => other,
        };
        self.running.set(None);
        let status = status?;
        let readings = self.read(link, &status).await?;
        Ok(Sample { is_shared, ..sample(configuration, &status, time, readings)? })
    }

    /// Submits the job; what feeds it goes on by itself.
    pub async fn submit(&self, link: &Link, spec: v1::JobSpec) -> Outcome<u64> {
        let job = submit(link, spec).await?;
        if let Some(blocks) = self.inputs.as_ref().map(Inputs::open).transpose()?.flatten() {
            tokio::spawn(feed(clients::jobs(link), job, blocks));
        }
        Ok(job)
    }

    /// Submits the job, feeds it and waits for its end or for a pause.
    pub async fn to_end(&self, link: &Link, spec: v1::JobSpec) -> Outcome<v1::JobStatus> {
        let job = submit(link, spec).await?;
        self.running.set(self.cluster.is_some().then_some(job));
        let feeding = async {
            match self.inputs.as_ref().map(Inputs::open).transpose()?.flatten() {
                Some(blocks) => feed(clients::jobs(link), job, blocks).await.map(drop),
                None => Ok(()),
            }
        };
        tokio::try_join!(feeding, wait_until_still(link, job, |_| {})).map(|((), status)| status)
    }

    /// Cancels what runs on a cluster that goes on; a private one ends with its run.
    pub async fn abandon(&self) {
        if let (Some(session), Some(job)) = (&self.cluster, self.running.take()) {
            // The run has ended for us in any case.
            let _ = job::cancel(&session.link, job).await;
        }
    }

    /// Gives the plugin to the cluster that it runs on, where that is not a private one.
    pub async fn push(&self) -> Outcome<()> {
        match &self.cluster {
            Some(session) => push(&session.link, &self.file).await.map(drop),
            None => Ok(()),
        }
    }
}

/// What a job's end says of a run, without what only its place knows.
fn sample(
    configuration: &Configuration,
    status: &v1::JobStatus,
    time: Duration,
    readings: Vec<f64>,
) -> Outcome<Sample> {
    if status.state() != v1::JobState::Done {
        let (name, reason) = (&configuration.name, &status.reason);
        let failure =
            Failure::new(Exit::Job, format_args!("{name}: the job did not come to its end: {reason}"));
        return Err(failure.hint("muster run shows more of it: muster run PLUGIN, with the same parameters"));
    }
    let slot_time = f64::from(configuration.slots()) * status.wall_s;
    let waited = mean_s(status.gil_wait.as_ref()) * (status.ok + status.failed) as f64;
    Ok(Sample {
        time,
        tasks: status.tasks,
        usage: None,
        coordinator: 0.0,
        is_shared: false,
        interference: Interference::default(),
        checksum: status.checksum,
        failed: status.failed,
        lock_wait: configuration.has_lock().then(|| waited / slot_time.max(f64::MIN_POSITIVE)),
        stand_ins: status.stand_ins,
        readings,
        first_failure: status.first_failures.first().map(|failure| failure.message.clone()),
    })
}

/// The mean of times, in seconds; 0 without any.
fn mean_s(times: Option<&v1::Sketch>) -> f64 {
    sketch(times).mean().map_or(0.0, |mean| mean.0 as f64 / 1e9)
}
