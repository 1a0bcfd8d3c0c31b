//! A plugin on trial: a private cluster for jobs that ask what it does, one after the other.

use crate::cluster::{Private, clients};
use crate::command::push;
use crate::exit::{Failure, Outcome};
use crate::job::{Results, cancel, results, submit, wait_until_still, wait_until_stopped};
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
        Self::on(Private::start(1, slots, None, PolicySpec::default()).await?, file).await
    }

    /// On a cluster that is there.
    pub async fn on(private: Private, file: &PluginFile) -> Outcome<Self> {
        push(&private.session().link, file).await?;
        Ok(Self { private, plugin: file.reference() })
    }

    /// Where it happens.
    pub fn cluster(&self) -> &Private {
        &self.private
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
                start: None,
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
        // What a job is takes room, and those who wait for several would have it in each of their steps.
        let job = Box::pin(self.submit(spec, inputs)).await?;
        Box::pin(self.end_of(job)).await
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
        let Results { outputs, reduced } = results(self.link(), job).await?;
        Ok(Ran { status, results: outputs, reduced })
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

    /// Ends it; `at_once`: nobody waits for what still runs.
    pub async fn stop(mut self, at_once: bool) {
        if at_once {
            self.private.abandon();
        }
        self.private.stop().await;
    }
}
