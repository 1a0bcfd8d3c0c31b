//! Which ended jobs are kept, with a state folder and without, and what becomes of the others.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::{Worker, World, capitals, indexes, soon};
use muster_proto::packed::Items;
use muster_proto::v1::{self, JobRequest, JobState};
use std::time::Duration;
use tonic::{Code, Status};

async fn remove(world: &World, job: u64) -> Result<v1::JobStatus, Status> {
    soon(world.jobs().remove(JobRequest { job })).await.map(tonic::Response::into_inner)
}

async fn get(world: &World, job: u64) -> Result<v1::JobStatus, Status> {
    soon(world.jobs().get(JobRequest { job })).await.map(tonic::Response::into_inner)
}

async fn is_forgotten(world: &World, job: u64) -> bool {
    match get(world, job).await {
        Ok(_) => false,
        Err(status) => {
            assert_eq!(status.code(), Code::NotFound, "{status}");
            assert!(status.message().contains("forgotten"), "{status}");
            true
        }
    }
}

/// A job of ten tasks, 80 bytes of results.
async fn done(world: &World) -> u64 {
    let spec = v1::JobSpec { outputs: v1::Outputs::Keep.into(), ..world.spec(10).await };
    let job = world.submit(spec).await;
    assert_eq!(world.ended(job).await.state(), JobState::Done);
    job
}

async fn serve(world: &World) -> tokio::task::JoinHandle<()> {
    tokio::spawn(Worker::attach(world, 2).await.serve(indexes))
}

#[tokio::test]
async fn an_ended_job_is_removed_for_good_and_its_number_stays_its_own() {
    let world = World::durable().await;
    let worker = serve(&world).await;
    let (first, second) = (done(&world).await, done(&world).await);
    worker.abort();
    let running = world.submit(world.spec(10).await).await;
    let status = remove(&world, running).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("has not ended; cancel it first"), "{status}");
    assert_eq!(remove(&world, 77).await.unwrap_err().code(), Code::NotFound);

    assert_eq!(remove(&world, second).await.unwrap().job, second);
    assert!(is_forgotten(&world, second).await);
    assert!(remove(&world, second).await.unwrap_err().message().contains("forgotten"));
    soon(world.jobs().cancel(JobRequest { job: running })).await.unwrap();
    // The newest of all: 0 is how it is asked for.
    assert_eq!(remove(&world, 0).await.unwrap().job, running);

    let world = world.restart().await;
    assert!(is_forgotten(&world, second).await && is_forgotten(&world, running).await);
    assert_eq!(world.results(first, 0).await.items.len(), 10);
    let next = world.submit(world.spec(1).await).await;
    assert_eq!(next, running + 1, "a number is given once");
}

/// Results over a mebibyte are files of their own.
#[tokio::test]
async fn results_that_are_files_go_with_their_job_unless_another_has_the_same() {
    const LARGE: usize = 3 << 19;
    let world = World::durable().await;
    let files = || std::fs::read_dir(world.folder.path().join("state/blobs")).unwrap().count();
    let plugin = files();
    let worker = tokio::spawn(Worker::attach(&world, 1).await.serve(capitals));
    let mut jobs = Vec::new();
    for letters in ["a", "a", "b"] {
        let plugin = world.plugin().await;
        let spec = v1::JobSpec {
            plugin: Some(plugin),
            has_inputs: true,
            open: true,
            outputs: v1::Outputs::Keep.into(),
            ..world.spec(0).await
        };
        let job = world.submit(spec).await;
        let inputs = Items::of([letters.repeat(LARGE)]).into_packed();
        let feed = v1::FeedRequest { job, count: 1, inputs: Some(inputs), seal: true, start: None };
        let mut answers = soon(world.jobs().feed(tokio_stream::iter([feed]))).await.unwrap().into_inner();
        while soon(answers.message()).await.unwrap().is_some() {}
        assert_eq!(world.ended(job).await.ok, 1);
        jobs.push(job);
    }
    worker.abort();
    let all = files();
    assert!(all >= plugin + 2, "{all} files, {plugin} before");
    remove(&world, jobs[0]).await.unwrap();
    assert_eq!(files(), all, "job 2 has the same");
    remove(&world, jobs[2]).await.unwrap();
    assert_eq!(files(), all - 1);
    assert_eq!(world.results(jobs[1], 0).await.items.len(), 1);
    remove(&world, jobs[1]).await.unwrap();
    assert_eq!(files(), all - 2);
}

#[tokio::test]
async fn the_oldest_beyond_the_number_go() {
    let world = World::with(|folder, config| {
        config.state = Some(folder.join("state"));
        config.keep_jobs = Some(2);
    })
    .await;
    let worker = serve(&world).await;
    let jobs = [done(&world).await, done(&world).await, done(&world).await];
    assert!(is_forgotten(&world, jobs[0]).await && !is_forgotten(&world, jobs[1]).await);
    worker.abort();
    let world = world.restart_with(|config| config.keep_jobs = Some(1)).await;
    soon(async { while !is_forgotten(&world, jobs[1]).await {} }).await;
    assert!(!is_forgotten(&world, jobs[2]).await);
}

#[tokio::test]
async fn the_oldest_beyond_the_bytes_go_and_a_job_of_its_own_does_not() {
    let world = World::with(|folder, config| {
        config.state = Some(folder.join("state"));
        config.keep_results = Some(170);
    })
    .await;
    let worker = serve(&world).await;
    let jobs = [done(&world).await, done(&world).await];
    assert!(!is_forgotten(&world, jobs[0]).await, "160 bytes");
    let third = done(&world).await;
    assert!(is_forgotten(&world, jobs[0]).await && !is_forgotten(&world, jobs[1]).await);
    let spec = v1::JobSpec { outputs: v1::Outputs::Keep.into(), ..world.spec(100).await };
    let large = world.submit(spec).await;
    assert_eq!(world.ended(large).await.state(), JobState::Done, "800 bytes on a disk with room");
    assert!(is_forgotten(&world, third).await);
    worker.abort();
    // What is counted at a start is what was counted before.
    let world = world.restart_with(|config| config.keep_results = Some(800)).await;
    assert!(!is_forgotten(&world, large).await);
    let world = world.restart_with(|config| config.keep_results = Some(799)).await;
    soon(async { while !is_forgotten(&world, large).await {} }).await;
}

#[tokio::test]
async fn old_jobs_go() {
    let world = World::durable().await;
    let worker = serve(&world).await;
    let job = done(&world).await;
    worker.abort();
    let ended_s = get(&world, job).await.unwrap().ended_s;
    assert!(ended_s > 1.7e9, "{ended_s}");
    let world = world.restart_with(|config| config.keep_for = Some(Duration::from_secs(3_600))).await;
    assert!(!is_forgotten(&world, job).await);
    let world = world.restart_with(|config| config.keep_for = Some(Duration::from_millis(1))).await;
    soon(async { while !is_forgotten(&world, job).await {} }).await;
}
