//! The one stream of a worker.

use super::refused::is_transport;
use super::{Sent, Shared};
use crate::driver::{Attached, Command, FromWorker, Refusal};
use muster_core::id::WorkerId;
use muster_proto::convert::{Heartbeat, Hello, LogChunk, Report};
use muster_proto::v1::worker_link_server::WorkerLink;
use muster_proto::v1::{self, from_worker::Kind};
use prost::Message;
use std::time::Duration;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// How long a worker may take to say hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// Attaches workers.
#[derive(Clone, Debug)]
pub struct WorkerLinkService {
    shared: Shared,
}

impl WorkerLinkService {
    /// A service that hands workers to the driver.
    #[must_use]
    pub const fn new(shared: Shared) -> Self {
        Self { shared }
    }

    async fn hello(&self, stream: &mut Streaming<v1::FromWorker>) -> Result<Hello, Status> {
        let first = tokio::time::timeout(HELLO_TIMEOUT, self.shared.next(stream))
            .await
            .map_err(|_| Status::deadline_exceeded("hello is missing: a worker says hello at once"))??;
        match first.and_then(|message| message.kind) {
            Some(Kind::Hello(hello)) => Hello::try_from(hello).map_err(|error| self.shared.refuse(error)),
            Some(Kind::Heartbeat(_) | Kind::Report(_) | Kind::Goodbye(_) | Kind::Leave(_) | Kind::Log(_))
            | None => {
                let status =
                    Status::invalid_argument("hello is missing: it is the first message of a worker");
                Err(self.shared.refused(status))
            }
        }
    }
}

#[tonic::async_trait]
impl WorkerLink for WorkerLinkService {
    type AttachStream = Sent<v1::ToWorker>;

    async fn attach(
        &self,
        request: Request<Streaming<v1::FromWorker>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let mut stream = request.into_inner();
        let hello = Box::new(self.hello(&mut stream).await?);
        let driver = &self.shared.driver;
        let Attached { worker, outbound } = driver.ask(|reply| Command::Attach(hello, reply)).await?;
        let reading = tokio::spawn(read(self.shared.clone(), worker, stream));
        driver.tell(Command::Reading(worker, reading.abort_handle())).await?;
        Ok(Response::new(Box::pin(ReceiverStream::new(outbound))))
    }
}

/// Hands everything a worker says to the driver, until its stream ends.
async fn read(shared: Shared, worker: WorkerId, mut stream: Streaming<v1::FromWorker>) {
    let last = loop {
        let message = match shared.next(&mut stream).await {
            Ok(Some(message)) => message,
            Ok(None) => break FromWorker::Gone,
            Err(status) if is_transport(&status) => break FromWorker::Gone,
            Err(status) => break FromWorker::Misbehaved(status),
        };
        let said = match take(&shared, message).await {
            Ok(said) => said,
            Err(status) => break FromWorker::Misbehaved(status),
        };
        if shared.driver.tell(Command::FromWorker(worker, said)).await.is_err() {
            return;
        }
    };
    // When the driver is gone there is nobody left to tell.
    let _ = shared.driver.tell(Command::FromWorker(worker, last)).await;
}

async fn take(shared: &Shared, message: v1::FromWorker) -> Result<FromWorker, Status> {
    match message.kind {
        Some(Kind::Heartbeat(heartbeat)) => {
            Heartbeat::try_from(heartbeat).map(FromWorker::Heartbeat).map_err(|error| shared.refuse(error))
        }
        Some(Kind::Report(report)) => {
            let bytes = report.encoded_len();
            let report = Report::try_from(report).map_err(|error| shared.refuse(error))?;
            let places = shared.driver.places(bytes).await.map_err(Refusal::into_status)?;
            Ok(FromWorker::Report(Box::new(report), places))
        }
        Some(Kind::Leave(_)) => Ok(FromWorker::Leaving),
        Some(Kind::Goodbye(goodbye)) => Ok(FromWorker::Goodbye(goodbye.reason)),
        Some(Kind::Hello(_)) => {
            Err(shared.refused(Status::invalid_argument("hello: a worker says it once per stream")))
        }
        Some(Kind::Log(chunk)) => {
            LogChunk::try_from(chunk).map(FromWorker::Log).map_err(|error| shared.refuse(error))
        }
        None => Err(shared.refused(Status::invalid_argument("kind is missing or not known"))),
    }
}
