//! No worker gets a job that it would run in a weaker sandbox than the job asks for, or whose plugin needs what it does not
//! grant; the reason is told.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Worker, World, fake_plugin, hello, indexes};
use muster_proto::v1::{self, JobState, Sandbox};
use tonic::Code;

fn keeping(level: Sandbox, most: Sandbox, grants: &[&str]) -> v1::WorkerHello {
    let grants = grants.iter().map(ToString::to_string).collect();
    v1::WorkerHello { sandbox: level.into(), sandbox_most: most.into(), grants, ..hello(1) }
}

async fn asking(world: &World, level: Sandbox) -> v1::JobSpec {
    v1::JobSpec { sandbox: level.into(), ..world.spec(100).await }
}

/// A job with a plugin that needs what its manifest says.
async fn needing(world: &World, needs: &str) -> v1::JobSpec {
    let manifest =
        format!(r#"{{"muster":1,"name":"needy","version":"1.0.0","output":"u64","needs":{needs}}}"#);
    let plugin = world.push(&fake_plugin(&manifest)).await.unwrap().plugin.unwrap().plugin;
    v1::JobSpec { plugin, ..asking(world, Sandbox::Standard).await }
}

#[tokio::test]
async fn workers_say_what_they_keep_and_grant() {
    let world = World::start().await;
    let _worker =
        Worker::attach_as(&world, keeping(Sandbox::Limits, Sandbox::Standard, &["exec", "read:/data"]))
            .await
            .unwrap();
    let workers =
        world.cluster().workers(v1::WorkersRequest { all: false }).await.unwrap().into_inner().workers;
    assert_eq!((workers[0].sandbox(), workers[0].sandbox_most()), (Sandbox::Limits, Sandbox::Standard));
    assert_eq!(workers[0].grants, ["exec", "read:/data"]);
}

#[tokio::test]
async fn a_job_that_no_worker_can_keep_is_refused_with_what_is_missing() {
    let world = World::start().await;
    let _weak = Worker::attach_as(&world, keeping(Sandbox::None, Sandbox::Limits, &[])).await.unwrap();
    let refused = world.submit_as("a", asking(&world, Sandbox::Standard).await).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("cannot keep --sandbox standard, at most limits"), "{refused:?}");
    let _bare =
        Worker::attach_as(&world, keeping(Sandbox::None, Sandbox::Standard, &["network"])).await.unwrap();
    let spec = needing(&world, r#"["network","exec","read:/data"]"#).await;
    let refused = world.submit_as("b", spec.clone()).await.unwrap_err();
    // Whoever is asked first says why not; both are right.
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let none = v1::JobSpec { sandbox: Sandbox::None.into(), ..spec.clone() };
    world.submit_as("c", none).await.unwrap();
    let _good =
        Worker::attach_as(&world, keeping(Sandbox::None, Sandbox::Standard, &["network", "exec", "write:/"]));
    let _good = _good.await.unwrap();
    world.submit_as("d", spec).await.unwrap();
}

#[tokio::test]
async fn what_a_plugin_needs_is_named_with_the_flags_that_grant_it() {
    let world = World::start().await;
    let _worker =
        Worker::attach_as(&world, keeping(Sandbox::None, Sandbox::Standard, &["network"])).await.unwrap();
    let spec = needing(&world, r#"["network","exec","read:/data","gpu"]"#).await;
    let refused = world.submit_as("a", spec).await.unwrap_err();
    for words in ["plugin needy needs exec, read:/data, gpu", "--allow exec --allow read:/data --allow gpu"] {
        assert!(refused.message().contains(words), "{refused:?}");
    }
}

/// A worker of an earlier version knows of no sandbox and would run everything.
#[tokio::test]
async fn a_weaker_worker_is_not_told_of_the_job() {
    let world = World::start().await;
    let mut old = Worker::attach(&world, 8).await;
    let strong = Worker::attach_as(&world, keeping(Sandbox::None, Sandbox::Standard, &[])).await.unwrap();
    tokio::spawn(strong.serve(indexes));
    let job = world.submit(asking(&world, Sandbox::Standard).await).await;
    let status = world.ended(job).await;
    assert_eq!((status.state(), status.ok, status.workers), (JobState::Done, 100, 1));
    let plain = world.submit(world.spec(1_000).await).await;
    // The first thing that it hears of at all.
    assert_eq!(old.take_grant().await.job, plain);
    assert!(old.opens.iter().all(|open| open.job == plain), "{:?}", old.opens);
    assert!(old.closes.is_empty(), "{:?}", old.closes);
}

#[tokio::test]
async fn a_job_waits_with_the_reason_while_only_weaker_workers_come() {
    let world = World::start().await;
    let job = world.submit(asking(&world, Sandbox::Limits).await).await;
    let _old = Worker::attach(&world, 1).await;
    let status = world.status(job).await;
    assert_eq!((status.state(), status.attempts), (JobState::Waiting, 0));
    assert_eq!(status.reason, "the only worker cannot keep sandbox limits");
    let strong = Worker::attach_as(&world, keeping(Sandbox::None, Sandbox::Standard, &[])).await.unwrap();
    tokio::spawn(strong.serve(indexes));
    let status = world.ended(job).await;
    assert_eq!((status.state(), status.ok, status.retried), (JobState::Done, 100, 0));
}
