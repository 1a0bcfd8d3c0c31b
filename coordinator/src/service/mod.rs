//! The gRPC services. They check and convert what comes in, ask the driver, and send what it answers; they
//! decide nothing.

pub mod calls;
mod cluster;
mod identity;
mod jobs;
mod logs;
mod plugins;
mod refused;
mod results;
mod worker_link;

pub use cluster::{About, ClusterService};
pub use identity::IdentityService;
pub use jobs::JobsService;
pub use plugins::PluginsService;
pub use refused::look_at;
pub use worker_link::WorkerLinkService;

use crate::driver::{Handle, Refusal, reason};
use crate::metrics::Rejected;
use futures_util::Stream;
use muster_proto::convert::ConvertError;
use std::pin::Pin;
use std::sync::Arc;
use tonic::{Status, Streaming};

/// Messages that wait for a client to read them.
const STREAM_MESSAGES: usize = 4;

/// What a service sends bit by bit.
type Sent<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What every service needs.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The driver.
    pub driver: Handle,
    /// Where refused messages are counted.
    pub rejected: Arc<Rejected>,
}

impl Shared {
    /// Counts a message that could not be taken, and says why.
    fn refuse(&self, error: ConvertError) -> Status {
        self.refused(Refusal::from(error).into())
    }

    /// The next message of a stream; one that cannot be taken is counted.
    async fn next<T>(&self, stream: &mut Streaming<T>) -> Result<Option<T>, Status> {
        match stream.message().await {
            Ok(message) => Ok(message),
            Err(status) if refused::is_transport(&status) => Err(status),
            Err(status) => Err(self.refused(refused::over_limit(status))),
        }
    }

    /// Counts a message that was refused before the driver saw it.
    fn refused(&self, status: Status) -> Status {
        self.rejected.count(reason(status.code()));
        status
    }
}
