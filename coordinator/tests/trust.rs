//! No worker is told of a plugin that it does not trust, and a job that nobody would run is refused.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Worker, World, hello, indexes};
use muster_proto::v1::{self, JobState};
use tonic::Code;

fn trusting(digests: &[&[u8]], versions: &[String]) -> v1::WorkerHello {
    let digests = digests.iter().map(|digest| digest.to_vec().into()).collect();
    let trust = v1::Trust { any: false, digests, versions: versions.to_vec() };
    v1::WorkerHello { trust: Some(trust), ..hello(8) }
}

#[tokio::test]
async fn a_job_that_no_worker_trusts_is_refused_with_the_flag() {
    let world = World::start().await;
    let spec = world.spec(100).await;
    let plugin = spec.plugin.clone().unwrap();
    let _worker = Worker::attach_as(&world, trusting(&[&[7; 32]], &["other@1".into()])).await.unwrap();
    let refused = world.submit_as("a", spec.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let named = format!("{}@{}", plugin.name, plugin.version);
    for words in ["does not trust plugin", &named, "--trust "] {
        assert!(refused.message().contains(words), "{refused:?}");
    }
    // One that trusts the digest is enough, and so is one that trusts the version.
    let by_digest = Worker::attach_as(&world, trusting(&[&plugin.digest], &[])).await.unwrap();
    tokio::spawn(by_digest.serve(indexes));
    let job = world.submit(spec).await;
    let status = world.ended(job).await;
    assert_eq!((status.state(), status.ok, status.workers), (JobState::Done, 100, 1));
    let workers =
        world.cluster().workers(v1::WorkersRequest { all: false }).await.unwrap().into_inner().workers;
    assert_eq!(workers[0].trust.as_ref().unwrap().versions, ["other@1"]);
    assert_eq!(workers[1].trust.as_ref().unwrap().digests, [plugin.digest]);
}

/// Why a job waits names everybody's reason, and nothing is charged to it: neither when the only worker that trusts its plugin
/// leaves, nor for those that do not.
#[tokio::test]
async fn a_job_whose_only_worker_left_waits_with_the_reason_and_goes_on() {
    let world = World::start().await;
    let spec = world.spec(1_000).await;
    let plugin = spec.plugin.clone().unwrap();
    let named = format!("{}@{}", plugin.name, plugin.version);
    let mut first = Worker::attach_as(&world, trusting(&[&plugin.digest], &[])).await.unwrap();
    let _wary = Worker::attach_as(&world, trusting(&[], &["other@1".into()])).await.unwrap();
    let job = world.submit(spec).await;
    let grant = first.take_grant().await;
    assert_eq!(grant.attempt, 1);
    let lost = world.status(job).await.leased;
    drop(first);
    while world.status(job).await.leased > 0 {
        tokio::task::yield_now().await;
    }
    let status = world.status(job).await;
    assert_eq!((status.reason, status.retried), (format!("the only worker does not trust {named}"), 0));
    let _weary = Worker::attach_as(&world, trusting(&[], &[])).await.unwrap();
    assert_eq!(world.status(job).await.reason, format!("all 2 workers do not trust {named}"));
    let last = Worker::attach_as(&world, trusting(&[], &[named])).await.unwrap();
    tokio::spawn(last.serve(indexes));
    let status = world.ended(job).await;
    assert_eq!((status.state(), status.ok, status.retried), (JobState::Done, 1_000, lost));
}

#[tokio::test]
async fn a_worker_is_not_told_of_what_it_does_not_trust() {
    let world = World::start().await;
    let spec = world.spec(1_000).await;
    let plugin = spec.plugin.clone().unwrap();
    let mut wary = Worker::attach_as(&world, trusting(&[], &["other@1".into()])).await.unwrap();
    let named = format!("{}@{}", plugin.name, plugin.version);
    let sure = Worker::attach_as(&world, trusting(&[], &[named])).await.unwrap();
    tokio::spawn(sure.serve(indexes));
    let job = world.submit(spec).await;
    let status = world.ended(job).await;
    assert_eq!((status.state(), status.ok, status.workers), (JobState::Done, 1_000, 1));
    world.cluster().drain(v1::DrainRequest { worker: "1".into(), deadline_ms: 0 }).await.unwrap();
    // The drain is the first thing that it hears.
    assert_eq!(wary.work().await.unwrap(), None);
    assert!(wary.opens.is_empty(), "{:?}", wary.opens);
}
