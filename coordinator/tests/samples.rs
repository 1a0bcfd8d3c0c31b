//! Latencies of tasks that arrive, and single tasks that are looked at, from workers to clients.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Worker, World, indexes};
use muster_core::sketch::Sketch;
use muster_core::time::Span;
use muster_proto::convert::sketch_to_wire;
use muster_proto::v1;

fn sample(index: u64) -> v1::TaskSample {
    v1::TaskSample { index, start_ns: 10 * index, run_ns: 7, latency_ns: Some(9), ..Default::default() }
}

/// Results of all tasks of a lease, and what they took.
fn timed(grant: &v1::Grant) -> v1::Report {
    let mut times = Sketch::new();
    times.record_many(Span(9), grant.count);
    let samples = (grant.start..grant.start + grant.count).map(sample).collect();
    let latency = sketch_to_wire(&times);
    let start_lag = latency.clone();
    let phases = vec![v1::PhaseStats { job: grant.job, latency, start_lag, samples, ..Default::default() }];
    v1::Report { phases, ..indexes(grant) }
}

async fn samples(world: &World, job: u64) -> v1::TaskSamplesReply {
    world.jobs().task_samples(v1::TaskSamplesRequest { job }).await.unwrap().into_inner()
}

#[tokio::test]
async fn a_job_gets_as_many_samples_as_it_wanted_and_keeps_them_after_its_end() {
    let world = World::start().await;
    let worker = Worker::attach(&world, 2).await;
    let id = worker.id;
    tokio::spawn(worker.serve(timed));
    let arrivals = Some(v1::Arrivals { rate_per_s: 5.0, pattern: 1 });
    let spec = v1::JobSpec { task_samples: 10, arrivals, ..world.spec(1_000).await };
    let job = world.submit(spec.clone()).await;
    let status = world.ended(job).await;
    let sum = |sketch: &Option<v1::Sketch>| sketch.as_ref().unwrap().sum_ns;
    assert_eq!((status.ok, sum(&status.latency), sum(&status.start_lag)), (1_000, 9_000, 9_000));
    assert_eq!(status.spec.unwrap().arrivals, arrivals);
    let found = samples(&world, 0).await;
    assert_eq!((found.job, found.samples.len()), (job, 10));
    assert!(found.samples.is_sorted_by_key(|sample| sample.index), "{found:?}");
    let told = |it: &v1::TaskSample| v1::TaskSample { worker: id, at_ns: it.at_ns, ..sample(it.index) };
    assert!(found.samples.iter().all(|it| *it == told(it)));
    let ends = |it: &v1::TaskSample| it.at_ns + it.run_ns;
    let wall_ns = (status.wall_s * 1e9) as u64 + 1_000_000_000;
    assert!(found.samples.iter().all(|it| ends(it) < wall_ns), "{found:?}");
    assert_eq!(found.workers.iter().map(|it| it.worker).collect::<Vec<_>>(), [id]);
    assert!(!found.workers[0].name.is_empty() && found.wanted == 10, "{found:?}");
    // A job that wants none has none, though the worker tells of some.
    let other = world.submit(v1::JobSpec { task_samples: 0, ..spec }).await;
    world.ended(other).await;
    assert_eq!(samples(&world, other).await.samples, []);
    assert_eq!(samples(&world, job).await, found);
}
