//! A plugin on trial: a private cluster for jobs that ask what it does, one after the other.

use crate::cluster::{Private, clients};
use crate::command::push;
use crate::exit::{Exit, Failure, Outcome};
use crate::job::{cancel, submit, wait_until_still, wait_until_stopped};
use crate::plugin::PluginFile;
use crate::postmortem::{Object, Replay};
use bytes::Bytes;
use muster_core::scheduler::PolicySpec;
use muster_proto::link::Link;
use muster_proto::packed::Items;
use muster_proto::v1;
use tokio_stream::StreamExt as _;

/// The cluster, with the plugin registered.
pub struct Trial {
    private: Private,
    plugin: v1::PluginRef,
}

/// What became of a job.
#[derive(Debug)]
pub struct Ran {
    /// Its last status.
    pub status: v1::JobStatus,
    /// The results of tasks that have one, by index.
    pub results: Vec<(u64, Bytes)>,
    /// What they were combined to.
    pub reduced: Option<Bytes>,
}

impl Trial {
    /// Starts one worker with so many slots.
    pub async fn start(file: &PluginFile, slots: u32) -> Outcome<Self> {
        let private = Private::start(1, slots, None, PolicySpec::default()).await?;
        push(&private.session().link, file).await?;
        Ok(Self { private, plugin: file.reference() })
    }

    /// The link to its coordinator.
    pub fn link(&self) -> &Link {
        &self.private.session().link
    }

    /// Gives it a job; `inputs`: of its tasks, when they have some.
    pub async fn submit(&self, spec: v1::JobSpec, inputs: Option<&[Vec<u8>]>) -> Outcome<u64> {
        let spec =
            v1::JobSpec { plugin: Some(self.plugin.clone()), outputs: v1::Outputs::Keep.into(), ..spec };
        let job = submit(self.link(), spec).await?;
        if let Some(inputs) = inputs {
            let feed = v1::FeedRequest {
                job,
                inputs: Some(Items::of(inputs).into_packed()),
                count: inputs.len() as u64,
                seal: true,
            };
            let failed = |status: tonic::Status| Failure::about_job("sending inputs", &status);
            let replies =
                clients::jobs(self.link()).feed(tokio_stream::iter([feed])).await.map_err(failed)?;
            replies.into_inner().next().await.transpose().map_err(failed)?;
        }
        Ok(job)
    }

    /// Runs a job to its end.
    pub async fn run(&self, spec: v1::JobSpec, inputs: Option<&[Vec<u8>]>) -> Outcome<Ran> {
        let job = self.submit(spec, inputs).await?;
        self.end_of(job).await
    }

    /// Waits until a job has ended and its tasks have stopped. A job that is paused is cancelled.
    pub async fn end_of(&self, job: u64) -> Outcome<Ran> {
        let ended = async {
            let mut status = wait_until_still(self.link(), job, |_| {}).await?;
            if status.state() == v1::JobState::Paused {
                status = cancel(self.link(), job).await?;
            }
            wait_until_stopped(self.link(), status).await
        };
        let status = tokio::select! {
            status = ended => status?,
            failure = self.private.lost() => return Err(failure),
        };
        let (results, reduced) = self.results(job).await?;
        Ok(Ran { status, results, reduced })
    }

    /// How the first of a job's failed tasks failed.
    pub async fn first_failure(&self, job: u64) -> Outcome<Option<Object>> {
        let request = v1::WhyRequest { job, limit: 1, ..Default::default() };
        let reply = clients::jobs(self.link()).why(request).await;
        let reply =
            reply.map_err(|status| Failure::about_job("looking for the failure", &status))?.into_inner();
        let replay = Replay::new(self.plugin.name.as_str(), None);
        Ok(reply.tasks.first().map(|report| Object::new(job, &replay, report)))
    }

    async fn results(&self, job: u64) -> Outcome<(Vec<(u64, Bytes)>, Option<Bytes>)> {
        let failed = |status: tonic::Status| Failure::about_job("reading results", &status);
        let request = v1::ResultsRequest { job, ..Default::default() };
        let mut replies = clients::jobs(self.link()).results(request).await.map_err(failed)?.into_inner();
        let (mut results, mut reduced) = (Vec::new(), None);
        while let Some(reply) = replies.next().await {
            let reply = reply.map_err(failed)?;
            let Some(packed) = reply.results else { continue };
            let count = if reply.reduced { 1 } else { reply.count };
            let items = Items::try_new(packed, count).map_err(|error| {
                Failure::new(Exit::Connection, format_args!("results do not add up: {error}"))
            })?;
            let mut items = items.iter().map(Bytes::copy_from_slice);
            if reply.reduced {
                reduced = items.next();
            } else {
                results.extend((reply.start..).zip(items));
            }
        }
        Ok((results, reduced))
    }

    /// Ends it; `at_once`: nobody waits for what still runs.
    pub async fn stop(mut self, at_once: bool) {
        if at_once {
            self.private.abandon();
        }
        self.private.stop().await;
    }
}
