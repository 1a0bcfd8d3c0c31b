//! Follows a job until it has ended.

use crate::cluster::clients;
use crate::exit::{Exit, Failure};
use muster_proto::link::Link;
use muster_proto::v1::{self, JobState};
use tokio_stream::StreamExt as _;

/// Whether nothing will change any more.
pub fn is_final(status: &v1::JobStatus) -> bool {
    matches!(status.state(), JobState::Done | JobState::Failed | JobState::Cancelled)
}

/// Calls `each` with every status of the job (0: the newest) and gives the last one.
pub async fn wait_until_final(
    link: &Link,
    job: u64,
    mut each: impl FnMut(&v1::JobStatus),
) -> Result<v1::JobStatus, Failure> {
    let failed = |status: tonic::Status| Failure::about_job("watching the job", &status);
    let mut stream = clients::jobs(link).watch(v1::JobRequest { job }).await.map_err(failed)?.into_inner();
    while let Some(status) = stream.next().await {
        let status = status.map_err(failed)?;
        each(&status);
        if is_final(&status) {
            return Ok(status);
        }
    }
    Err(Failure::new(Exit::Connection, "the coordinator went away before the job ended"))
}
