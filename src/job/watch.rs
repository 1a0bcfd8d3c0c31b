//! Follows a job until it has ended, or is paused.

use super::Line;
use crate::cluster::clients;
use crate::exit::{Exit, Failure};
use muster_proto::link::Link;
use muster_proto::v1::{self, JobState};
use tokio_stream::StreamExt as _;

/// Whether nothing will change any more.
pub fn is_final(status: &v1::JobStatus) -> bool {
    matches!(status.state(), JobState::Done | JobState::Failed | JobState::Cancelled)
}

/// Whether it goes on only when somebody says so.
pub fn is_paused(status: &v1::JobStatus) -> bool {
    status.state() == JobState::Paused
}

/// More jobs than a coordinator lists at once.
const ALL: u32 = u32::MAX;
/// So many jobs are named one by one.
const NAMED_MAX: usize = 5;

/// The jobs of a cluster that have not ended, the oldest first.
pub async fn unfinished(link: &Link) -> Result<Vec<v1::JobStatus>, Failure> {
    let reply = clients::jobs(link).list(v1::ListJobsRequest { limit: ALL }).await;
    let reply = reply.map_err(|status| Failure::from_status("listing jobs", &status))?;
    let mut jobs = reply.into_inner().jobs;
    jobs.retain(|status| !is_final(status));
    jobs.sort_by_key(|status| status.job);
    Ok(jobs)
}

/// Jobs as the subject of a sentence, with the verb for one or for several.
pub fn subject(jobs: &[v1::JobStatus], one: &str, several: &str) -> String {
    let numbers: Vec<String> = jobs.iter().take(NAMED_MAX).map(|status| status.job.to_string()).collect();
    let more = match jobs.len() - numbers.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (noun, verb) = if jobs.len() == 1 { ("job", one) } else { ("jobs", several) };
    format!("{noun} {}{more} {verb}", numbers.join(", "))
}

/// How a job (0: the newest) is.
pub async fn status(link: &Link, job: u64) -> Result<v1::JobStatus, Failure> {
    let reply = clients::jobs(link).get(v1::JobRequest { job }).await;
    let failed = |status: tonic::Status| Failure::about_job("looking for the job", &status);
    reply.map(tonic::Response::into_inner).map_err(failed)
}

/// Cancels a job and says how it is then; its running tasks may take time to stop.
pub async fn cancel(link: &Link, job: u64) -> Result<v1::JobStatus, Failure> {
    let reply = clients::jobs(link).cancel(v1::JobRequest { job }).await;
    let failed = |status: tonic::Status| Failure::about_job("cancelling the job", &status);
    reply.map(tonic::Response::into_inner).map_err(failed)
}

/// Calls `each` with every status of the job (0: the newest) until it has ended, and gives the last one.
pub async fn wait_until_final(
    link: &Link,
    job: u64,
    each: impl FnMut(&v1::JobStatus),
) -> Result<v1::JobStatus, Failure> {
    wait_until(link, job, is_final, each).await
}

/// The same, but a pause is an end as well: nobody knows how long it lasts.
pub async fn wait_until_still(
    link: &Link,
    job: u64,
    each: impl FnMut(&v1::JobStatus),
) -> Result<v1::JobStatus, Failure> {
    wait_until(link, job, |status| is_final(status) || is_paused(status), each).await
}

/// As [`wait_until_still`], also when the coordinator goes and comes back.
pub async fn follow_until_still(
    line: &Line,
    job: u64,
    mut each: impl FnMut(&v1::JobStatus),
) -> Result<v1::JobStatus, Failure> {
    loop {
        let (number, link) = line.link();
        match wait_until_still(&link, job, &mut each).await {
            Err(lost) if lost.exit == Exit::Connection => line.restore(number, lost).await?,
            outcome => return outcome,
        }
    }
}

async fn wait_until(
    link: &Link,
    job: u64,
    enough: impl Fn(&v1::JobStatus) -> bool,
    mut each: impl FnMut(&v1::JobStatus),
) -> Result<v1::JobStatus, Failure> {
    let failed = |status: tonic::Status| Failure::about_job("watching the job", &status);
    let mut stream = clients::jobs(link).watch(v1::JobRequest { job }).await.map_err(failed)?.into_inner();
    while let Some(status) = stream.next().await {
        let status = status.map_err(failed)?;
        each(&status);
        if enough(&status) {
            return Ok(status);
        }
    }
    Err(Failure::new(Exit::Connection, "the coordinator went away before the job ended"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_named_or_counted() {
        let jobs: Vec<_> = (1..=7).map(|job| v1::JobStatus { job, ..Default::default() }).collect();
        let text = |count: usize| subject(&jobs[..count], "goes on", "go on");
        assert_eq!(
            [text(1), text(2), text(7)],
            ["job 1 goes on", "jobs 1, 2 go on", "jobs 1, 2, 3, 4, 5 and 2 more go on"]
        );
    }
}
