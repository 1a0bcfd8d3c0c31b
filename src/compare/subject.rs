//! The workload that is measured, and one run of it.

use super::configuration::Configuration;
use super::inputs::Inputs;
use super::machine::Load;
use super::reading::{Reading, read};
use super::sample::{Sample, Told, sample};
use super::tasks;
use super::usage::Usage;
use crate::bench::Bench;
use crate::cluster::{Private, Session};
use crate::command::push;
use crate::exit::Outcome;
use crate::job::{self, Line, Results, feed, is_final, results, submit, unfinished, wait_until_still};
use crate::plugin::PluginFile;
use crate::statistics::quantile;
use muster_proto::link::Link;
use muster_proto::v1;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

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
    /// When its tasks start; without them as soon as a slot is free.
    pub arrivals: Option<v1::Arrivals>,
    /// Where it runs; without it, on private clusters.
    pub cluster: Option<Rc<Session>>,
    /// What asked for the job that runs on a cluster which goes on.
    running: RefCell<Option<v1::SubmitRequest>>,
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
            arrivals: None,
            cluster: None,
            running: RefCell::default(),
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

    /// The same, whose tasks start at times of their own.
    #[must_use]
    pub fn arriving(self, arrivals: Option<v1::Arrivals>) -> Self {
        Self { arrivals, ..self }
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
            arrivals: self.arrivals,
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
    fn outputs(&self) -> v1::Outputs {
        if self.readings.iter().any(Reading::is_of_outputs) {
            v1::Outputs::Keep
        } else {
            v1::Outputs::Checksum
        }
    }

    /// Whether what is read is the reduced output.
    fn reduces(&self) -> bool {
        self.readings.iter().any(Reading::is_reduced)
    }

    /// Tasks that must be looked at one by one for what is read of them.
    fn looked_at(&self) -> u32 {
        let are_read = self.readings.iter().any(Reading::is_of_tasks);
        if are_read || self.arrivals.is_some() { tasks::ALL } else { 0 }
    }

    /// What a job tells that has ended well. `lines`: tasks to be kept one by one.
    async fn read(&self, link: &Link, status: &v1::JobStatus, lines: usize) -> Outcome<Told> {
        if status.state() != v1::JobState::Done || status.failed > 0 {
            return Ok(Told::default());
        }
        let seen = if lines > 0 || self.looked_at() > 0 {
            tasks::fetch(link, status.job).await?
        } else {
            Vec::new()
        };
        let found = if self.readings.iter().any(Reading::is_of_outputs) {
            results(link, status.job).await?
        } else {
            Results::default()
        };
        let readings = read(&self.readings, &found, &seen, self.file.manifest().name())?;
        let latencies: Vec<f64> = seen.iter().filter_map(|task| task.latency_s).collect();
        Ok(Told {
            readings,
            latency_p95_s: quantile(&latencies, 0.95),
            tasks_seen: tasks::thinned(&seen, lines),
        })
    }

    /// Runs so many tasks, or all inputs, on fresh processes. `lines`: so many of them are kept one by one.
    pub async fn run(&self, configuration: &Configuration, tasks: u64, lines: usize) -> Outcome<Sample> {
        let task_samples = self.looked_at().max(u32::try_from(lines).unwrap_or(tasks::ALL));
        let spec = v1::JobSpec { task_samples, ..self.spec(configuration, tasks) };
        match &self.cluster {
            Some(session) => self.run_on(&session.link, configuration, spec, lines).await,
            None => self.run_alone(configuration, spec, lines).await,
        }
    }

    async fn run_alone(
        &self,
        configuration: &Configuration,
        spec: v1::JobSpec,
        lines: usize,
    ) -> Outcome<Sample> {
        let (used, load) = (Usage::now(), Load::now());
        let cluster = self.cluster(configuration).await?;
        let began = Instant::now();
        let own = Usage::own();
        let status = tokio::select! {
            status = self.to_end(&cluster.session().link, spec) => status,
            failure = cluster.lost() => Err(failure),
        };
        let (time, own) = (began.elapsed(), Usage::own().since(own));
        let told = match &status {
            Ok(status) => self.read(&cluster.session().link, status, lines).await,
            Err(_) => Ok(Told::default()),
        };
        cluster.stop().await;
        let (status, told, usage) = (status?, told?, Usage::now().since(used));
        let sample = sample(configuration, &status, time, told)?;
        Ok(Sample {
            usage: Some(usage),
            coordinator: own.cpu.as_secs_f64() / time.as_secs_f64().max(f64::MIN_POSITIVE),
            interference: Load::now().since(load, usage.cpu),
            ..sample
        })
    }

    /// On a cluster that goes on, and may have other things to do.
    async fn run_on(
        &self,
        link: &Link,
        configuration: &Configuration,
        spec: v1::JobSpec,
        lines: usize,
    ) -> Outcome<Sample> {
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
        self.running.take();
        let status = status?;
        let told = self.read(link, &status, lines).await?;
        Ok(Sample { is_shared, ..sample(configuration, &status, time, told)? })
    }

    /// Submits the job; what feeds it goes on by itself.
    pub async fn submit(&self, link: &Link, spec: v1::JobSpec) -> Outcome<u64> {
        let job = submit(link, spec).await?;
        if let Some(blocks) = self.inputs.as_ref().map(Inputs::open).transpose()?.flatten() {
            let line = Line::once(link.clone());
            tokio::spawn(async move { feed(&line, job, blocks).await });
        }
        Ok(job)
    }

    /// Submits the job, feeds it and waits for its end or for a pause.
    pub async fn to_end(&self, link: &Link, spec: v1::JobSpec) -> Outcome<v1::JobStatus> {
        let request = job::request(spec)?;
        self.running.replace(self.cluster.is_some().then(|| request.clone()));
        let job = job::submit_request(link, request).await?;
        let feeding = async {
            match self.inputs.as_ref().map(Inputs::open).transpose()?.flatten() {
                Some(blocks) => feed(&Line::once(link.clone()), job, blocks).await.map(drop),
                None => Ok(()),
            }
        };
        tokio::try_join!(feeding, wait_until_still(link, job, |_| {})).map(|((), status)| status)
    }

    /// Cancels what runs on a cluster that goes on; a private one ends with its run.
    pub async fn abandon(&self) {
        if let (Some(session), Some(request)) = (&self.cluster, self.running.take()) {
            // Whether it was taken may not be known yet: the same request has the same job.
            if let Ok(job) = job::submit_request(&session.link, request).await {
                // The run has ended for us in any case.
                let _ = job::cancel(&session.link, job).await;
            }
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
