//! Jobs that are paused, and tasks that are tried again after they failed for good.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::{Worker, World, indexes, soon};
use muster_proto::v1::{self, FailureClass, JobState, Outputs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tonic::{Code, Status};

/// Each task of a lease fails in this way.
fn failing(grant: &v1::Grant, class: FailureClass) -> v1::Report {
    let failed = |index| v1::TaskFailure {
        lease: grant.lease,
        index,
        class: class.into(),
        message: format!("signal 11 in task {index}"),
        ..v1::TaskFailure::default()
    };
    let failures = (grant.start..grant.start + grant.count).map(failed).collect();
    v1::Report { failures, ..v1::Report::default() }
}

/// A worker whose tasks crash until they are told to succeed.
async fn crashing(world: &World) -> Arc<AtomicBool> {
    let good = Arc::new(AtomicBool::new(false));
    let well = Arc::clone(&good);
    let run = move |grant: &v1::Grant| {
        if well.load(Ordering::Relaxed) { indexes(grant) } else { failing(grant, FailureClass::Crashed) }
    };
    tokio::spawn(Worker::attach(world, 2).await.serve(run));
    good
}

async fn retry(world: &World, job: u64, indexes: &[u64]) -> Result<(JobState, u64), Status> {
    let request = v1::RetryRequest { job, indexes: indexes.to_vec() };
    let reply = soon(world.jobs().retry(request)).await?.into_inner();
    Ok((reply.status.unwrap().state(), reply.released))
}

/// Waits until a job is paused and no worker has any of its tasks: what they had begun still counts.
async fn until_paused(world: &World, job: u64) -> v1::JobStatus {
    let mut stream = world.jobs().watch(v1::JobRequest { job }).await.unwrap().into_inner();
    while let Some(status) = soon(stream.message()).await.unwrap() {
        if status.state() == JobState::Paused && status.leased == 0 {
            return status;
        }
    }
    panic!("job {job} never was paused");
}

fn once(spec: v1::JobSpec) -> v1::JobSpec {
    let retry = Some(v1::RetryPolicy { crashed: 1, backoff_ms: 1, ..v1::RetryPolicy::default() });
    v1::JobSpec { retry, ..spec }
}

#[tokio::test]
async fn a_job_that_crashes_is_paused_and_stays_so_through_a_restart() {
    let world = World::durable().await;
    let good = crashing(&world).await;
    let job = world.submit(once(world.spec(100_000).await)).await;
    let status = until_paused(&world, job).await;
    assert!((20..60).contains(&status.failed), "{}", status.failed);
    assert_eq!((status.quarantined, status.ok), (status.failed, 0));
    assert_eq!(status.attempts, status.failed);
    for part in [
        "of its tasks ended their executor and 0 ended otherwise",
        "signal 11 in task",
        &format!("`muster job why {job}`"),
        &format!("`muster job retry {job}`"),
        &format!("`muster job cancel {job}`"),
    ] {
        assert!(status.reason.contains(part), "{part} is not in {}", status.reason);
    }
    let world = world.restart().await;
    drop(good);
    let good = crashing(&world).await;
    let kept = world.status(job).await;
    assert_eq!((kept.state(), &kept.reason), (JobState::Paused, &status.reason));
    assert_eq!((kept.failed, kept.quarantined, kept.leased), (status.failed, status.failed, 0));
    // Others go on.
    good.store(true, Ordering::Relaxed);
    let other = world.submit(world.spec(10).await).await;
    assert_eq!(world.ended(other).await.ok, 10);
    assert_eq!(retry(&world, job, &[]).await.unwrap().1, status.failed);
    let ended = world.ended(job).await;
    assert_eq!((ended.state(), ended.ok, ended.failed, ended.quarantined), (JobState::Done, 100_000, 0, 0));
    assert_eq!(world.results(job, 0).await.items.len(), 100_000);
}

#[tokio::test]
async fn a_paused_job_can_be_cancelled() {
    let world = World::start().await;
    crashing(&world).await;
    let job = world.submit(once(world.spec(1_000).await)).await;
    until_paused(&world, job).await;
    let status = soon(world.jobs().cancel(v1::JobRequest { job })).await.unwrap().into_inner();
    assert_eq!(status.state(), JobState::Cancelled);
    let refusal = retry(&world, job, &[]).await.unwrap_err();
    assert!(refusal.message().contains("was cancelled"), "{refusal}");
}

/// What it had stays; only the failures of the tasks that are tried again are withdrawn, for ever.
#[tokio::test]
async fn a_job_that_has_ended_runs_again_and_ends_again() {
    let world = World::durable().await;
    let good = Arc::new(AtomicBool::new(false));
    let well = Arc::clone(&good);
    let run = move |grant: &v1::Grant| {
        let mut report = indexes(grant);
        if !well.load(Ordering::Relaxed) {
            report.blocks.clear();
            for index in grant.start..grant.start + grant.count {
                let one = v1::Grant { start: index, count: 1, ..grant.clone() };
                if index % 10 == 3 {
                    report.failures.extend(failing(&one, FailureClass::Failed).failures);
                } else {
                    report.blocks.extend(indexes(&one).blocks);
                }
            }
        }
        report
    };
    let serve = tokio::spawn(Worker::attach(&world, 2).await.serve(run));
    let job = world.submit(world.spec(50).await).await;
    let first = world.ended(job).await;
    assert_eq!((first.ok, first.failed, first.quarantined), (45, 5, 0));
    good.store(true, Ordering::Relaxed);
    assert_eq!(retry(&world, job, &[13, 33]).await.unwrap().1, 2);
    let second = world.ended(job).await;
    assert_eq!((second.state(), second.ok, second.failed), (JobState::Done, 47, 3));
    assert_eq!(second.first_failures.iter().map(|it| it.index).collect::<Vec<_>>(), [3, 23, 43]);
    assert!(second.attempts > first.attempts);
    serve.abort();
    let world = world.restart().await;
    assert_eq!(world.status(job).await.failed, 3);
    tokio::spawn(Worker::attach(&world, 2).await.serve(indexes));
    assert_eq!(retry(&world, 0, &[]).await.unwrap().1, 3);
    let third = world.ended(job).await;
    assert_eq!((third.ok, third.failed), (50, 0));
    let results = world.results(job, 0).await;
    assert_eq!((results.items.len(), results.failures.len()), (50, 0));
    let world = world.restart().await;
    assert_eq!((world.status(job).await.ok, world.status(job).await.failed), (50, 0));
}

/// It was taken up again when the coordinator ended: what was released stays released.
#[tokio::test]
async fn a_retried_job_is_taken_up_again_by_the_next_coordinator() {
    let world = World::durable().await;
    let serve =
        tokio::spawn(Worker::attach(&world, 1).await.serve(|grant| failing(grant, FailureClass::Panicked)));
    let job = world.submit(world.spec(3).await).await;
    let status = world.ended(job).await;
    assert_eq!((status.failed, status.quarantined), (3, 3));
    serve.abort();
    assert!(serve.await.is_err());
    assert_eq!(retry(&world, job, &[1]).await.unwrap().1, 1);
    let world = world.restart().await;
    let status = world.status(job).await;
    assert_eq!((status.failed, status.quarantined), (2, 2));
    assert!(matches!(status.state(), JobState::Waiting | JobState::Running));
    tokio::spawn(Worker::attach(&world, 1).await.serve(indexes));
    assert_eq!((world.ended(job).await.ok, world.ended(job).await.failed), (1, 2));
}

#[tokio::test]
async fn what_cannot_be_retried_is_refused() {
    let world = World::counted().await;
    for (code, field, job, indexes) in [
        (Code::NotFound, "job", 0, vec![]),
        (Code::NotFound, "job", 99, vec![]),
        (Code::NotFound, "job", u64::MAX, vec![1]),
        (Code::ResourceExhausted, "indexes", 1, vec![u64::MAX]),
        (Code::ResourceExhausted, "indexes (number of them)", 1, vec![1; 1_000_001]),
    ] {
        world.refuses(code, field, world.jobs().retry(v1::RetryRequest { job, indexes })).await;
    }
    let fails = |grant: &v1::Grant| failing(grant, FailureClass::Failed);
    tokio::spawn(Worker::attach(&world, 1).await.serve(move |grant| {
        if grant.kind() == v1::GrantKind::Run && grant.start == 0 { fails(grant) } else { indexes(grant) }
    }));
    let spec = world.spec(1).await;
    let failed = world.submit(spec.clone()).await;
    let reduced = world.submit(v1::JobSpec { reduce: true, ..spec.clone() }).await;
    let streamed = world.submit(v1::JobSpec { outputs: Outputs::Stream.into(), ..spec.clone() }).await;
    for job in [failed, reduced, streamed] {
        assert_eq!(world.ended(job).await.failed, 1);
    }
    let waiting = world.submit(v1::JobSpec { tasks: 0, open: true, ..spec }).await;
    let no = |job: u64, why: &str| format!("job {job} cannot be retried: {why}");
    for (code, words, job, indexes) in [
        (Code::InvalidArgument, "indexes is 1".to_owned(), failed, vec![1]),
        (Code::FailedPrecondition, no(reduced, "its results are combined"), reduced, vec![]),
        (Code::FailedPrecondition, no(streamed, "what failed was told"), streamed, vec![0]),
        (Code::FailedPrecondition, no(waiting, "none of its tasks has failed"), waiting, vec![]),
        (Code::InvalidArgument, "indexes is 5".to_owned(), waiting, vec![5]),
    ] {
        world.refuses(code, &words, world.jobs().retry(v1::RetryRequest { job, indexes })).await;
    }
}
