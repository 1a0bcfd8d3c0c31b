//! The cluster: what it is, its workers, draining, stopping.

use super::Shared;
use crate::driver::Command;
use muster_core::id::WorkerId;
use muster_proto::link::Peer;
use muster_proto::v1::cluster_server::Cluster;
use muster_proto::{FEATURES, PROTOCOL_VERSION, v1};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tonic::{Request, Response, Status};

/// What a coordinator says about itself.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// This life of the coordinator.
    pub epoch: u64,
    /// Names what it keeps, over all of its lives.
    pub state: u64,
    /// A state folder is in use.
    pub durable: bool,
    /// Where its metrics are; empty for nowhere.
    pub http_address: String,
    /// How its scheduler chooses, in words.
    pub policy: String,
    /// How often workers are to say that they are alive.
    pub heartbeat: Duration,
}

/// Serves what concerns the cluster as a whole.
#[derive(Clone, Debug)]
pub struct ClusterService {
    shared: Shared,
    about: About,
    stop: Arc<Notify>,
}

impl ClusterService {
    /// A service that asks for the end through `stop`.
    #[must_use]
    pub const fn new(shared: Shared, about: About, stop: Arc<Notify>) -> Self {
        Self { shared, about, stop }
    }
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn info(&self, request: Request<v1::InfoRequest>) -> Result<Response<v1::InfoReply>, Status> {
        let protocol = request.into_inner().protocol;
        // 0 is somebody with grpcurl, who only wants to look.
        if protocol != PROTOCOL_VERSION && protocol != 0 {
            let text = format!(
                "protocol is {protocol}: this coordinator speaks {PROTOCOL_VERSION}; use the same version of muster everywhere"
            );
            return Err(self.shared.refused(Status::failed_precondition(text)));
        }
        let numbers = self.shared.driver.ask(Command::Numbers).await?;
        Ok(Response::new(v1::InfoReply {
            protocol: PROTOCOL_VERSION,
            features: FEATURES.iter().map(|&feature| feature.to_owned()).collect(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: self.about.epoch,
            workers: (numbers.workers_up + numbers.workers_draining) as u32,
            slots: numbers.slots as u32,
            durable: self.about.durable,
            http_address: self.about.http_address.clone(),
            pid: std::process::id(),
            policy: self.about.policy.clone(),
            state: self.about.state,
        }))
    }

    async fn workers(
        &self,
        request: Request<v1::WorkersRequest>,
    ) -> Result<Response<v1::WorkersReply>, Status> {
        let all = request.into_inner().all;
        let workers = self.shared.driver.ask(|reply| Command::Workers(all, reply)).await?;
        Ok(Response::new(v1::WorkersReply { workers }))
    }

    async fn drain(&self, request: Request<v1::DrainRequest>) -> Result<Response<v1::WorkerInfo>, Status> {
        let v1::DrainRequest { worker, deadline_ms } = request.into_inner();
        let info = self.shared.driver.ask(|reply| Command::Drain(worker, reply)).await?;
        if deadline_ms > 0 {
            let (driver, id) = (self.shared.driver.clone(), WorkerId(info.worker));
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(deadline_ms)).await;
                // When the driver is gone there is nobody left to tell.
                let _ = driver.tell(Command::EndDrain(id)).await;
            });
        }
        Ok(Response::new(info))
    }

    async fn shutdown(
        &self,
        request: Request<v1::ShutdownRequest>,
    ) -> Result<Response<v1::ShutdownReply>, Status> {
        // The guard lets nobody else in.
        let by = Peer::of(&request).map(tracing::field::display);
        tracing::info!(by, "asked to stop");
        self.stop.notify_one();
        Ok(Response::new(v1::ShutdownReply {}))
    }
}
