//! What is bounded: unfetched results, unfinished inputs; and what happens when nothing can be stored.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::{Worker, World, block_of, done, soon};
use futures_util::FutureExt;
use muster_coordinator::driver::{Command, Driver, Handle, Life, Refusal, Retention, Settings};
use muster_coordinator::limits::Limits;
use muster_coordinator::metrics::Rejected;
use muster_coordinator::store::writer::Log;
use muster_coordinator::store::{OpenReader, PluginRecord, Record, Store, StoreError};
use muster_core::id::{Epoch, LogPos};
use muster_proto::convert::Submission;
use muster_proto::packed::Packed;
use muster_proto::v1::{self, JobState, Outputs};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Runs one task after the other with a result of [`ITEM`] bytes, and gives back what it did not start when it is
/// asked to, as a real worker does.
async fn run_one_by_one(mut worker: Worker) {
    let item = bytes::Bytes::from(vec![1; ITEM]);
    let mut waiting: VecDeque<v1::Grant> = VecDeque::new();
    loop {
        let message = match waiting.is_empty() {
            true => Some(worker.work().await),
            false => worker.work().now_or_never(),
        };
        if let Some(work) = message {
            let Ok(Some(work)) = work else { return };
            waiting.extend(work.grants);
            for recall in work.recalls {
                let mut returned = v1::Returned { lease: recall.lease, start: 0, count: 0 };
                if let Some(grant) = waiting.iter_mut().find(|grant| grant.lease == recall.lease) {
                    let count = recall.count.min(grant.count);
                    grant.count -= count;
                    (returned.start, returned.count) = (grant.start + grant.count, count);
                }
                worker.report(v1::Report { returned: vec![returned], ..v1::Report::default() }).await;
            }
            waiting.retain(|grant| grant.count > 0);
            continue;
        }
        // It does not run ahead of its link.
        while worker.to.capacity() < worker.to.max_capacity() {
            tokio::task::yield_now().await;
        }
        // Every task in a report of its own: all of them together would be over the limit of a message.
        if let Some(grant) = waiting.front_mut() {
            let results = Packed { width: ITEM as u32, lengths: Vec::new(), data: item.clone() };
            let block =
                v1::ResultBlock { busy_ns: BUSY_NS, ..block_of(grant.lease, grant.start, 1, results) };
            (grant.start, grant.count) = (grant.start + 1, grant.count - 1);
            worker.report(v1::Report { blocks: vec![block], ..v1::Report::default() }).await;
        }
        waiting.retain(|grant| grant.count > 0);
    }
}

const ITEM: usize = 8 << 20;
/// Short tasks make long leases: far more is out than may be kept.
const BUSY_NS: u64 = 1_000_000;

#[tokio::test]
async fn a_job_whose_results_nobody_fetches_is_held_back() {
    let world = World::start().await;
    let spec = v1::JobSpec { outputs: Outputs::Stream.into(), ..world.spec(200).await };
    let job = world.submit(spec).await;
    tokio::spawn(run_one_by_one(Worker::attach(&world, 1).await));
    let held = soon(async {
        loop {
            let status = world.status(job).await;
            if status.reason.contains("not being fetched") {
                return status;
            }
            assert!(status.ok < 200, "it was never held back");
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(held.output_bytes > 256 << 20, "{}", held.output_bytes);
    // What was out when it was held came back; what was on its way is bounded by what a link holds.
    assert_eq!(held.leased, 0);
    assert!(held.output_bytes < (256 + 192) << 20, "{}", held.output_bytes);
    let asked = v1::ResultsRequest { job, follow: true, ..v1::ResultsRequest::default() };
    let mut results = world.jobs().results(asked).await.unwrap().into_inner();
    let mut next = 0;
    while let Some(part) = soon(results.message()).await.unwrap() {
        assert!(part.end || part.start == next);
        next = part.start + part.count;
        world.acknowledge(job, next).await.unwrap();
    }
    assert_eq!(next, 200);
    let ended = world.ended(job).await;
    assert_eq!((ended.ok, ended.retried), (200, 0), "what was given back is no failed attempt");
}

/// The last lease of a held job is lost with its worker while a reader waits for that very task.
#[tokio::test]
async fn a_held_job_whose_worker_is_lost_goes_on() {
    let world = World::start().await;
    let spec = v1::JobSpec { outputs: Outputs::Stream.into(), ..world.spec(100).await };
    let job = world.submit(spec).await;
    let mut first = Worker::attach(&world, 1).await;
    let lowest = first.take_grant().await;
    assert_eq!(lowest.start, 0);
    // Everything but the lowest lease is done by another, until the job is held.
    tokio::spawn(run_one_by_one(Worker::attach(&world, 1).await));
    soon(async { while world.status(job).await.output_bytes <= 256 << 20 {} }).await;
    let asked = v1::ResultsRequest { job, follow: true, ..v1::ResultsRequest::default() };
    let mut results = world.jobs().results(asked).await.unwrap().into_inner();
    drop(first);
    let mut count = 0;
    while let Some(part) = soon(results.message()).await.unwrap() {
        count += part.count;
        world.acknowledge(job, part.start + part.count).await.unwrap();
    }
    assert_eq!(count, 100);
    assert_eq!(world.ended(job).await.ok, 100);
}

/// Each task's result is 100 KiB.
fn large(grant: &v1::Grant) -> v1::Report {
    const WIDTH: usize = 100 << 10;
    let data = vec![7; WIDTH * grant.count as usize];
    done(grant, Packed { width: WIDTH as u32, lengths: Vec::new(), data: data.into() })
}

#[tokio::test]
async fn results_kept_in_memory_have_a_limit() {
    let world = World::with(|_, config| config.results_memory_bytes = 1 << 20).await;
    tokio::spawn(Worker::attach(&world, 1).await.serve(large));
    // One that fits, and one that does not: the first is forgotten for it, and that is not enough.
    let first = world.submit(world.spec(3).await).await;
    assert_eq!(world.ended(first).await.state(), JobState::Done);
    let second = world.submit(world.spec(1_000).await).await;
    let ended = world.ended(second).await;
    assert_eq!((ended.state(), ended.over_limit), (JobState::Failed, true));
    for words in ["1048576 bytes", "--state DIR", "--results-memory"] {
        assert!(ended.reason.contains(words), "{}", ended.reason);
    }
    assert!((10..1_000).contains(&ended.ok), "{}", ended.ok);
    assert_eq!(world.results(second, 0).await.items.len() as u64, ended.ok, "the results so far are there");
    let gone = world.jobs().get(v1::JobRequest { job: first }).await.unwrap_err();
    assert_eq!(gone.code(), tonic::Code::NotFound);
    assert!(gone.message().contains("forgotten"), "{gone}");
    // The coordinator goes on, with room for the newest.
    for _ in 0..5 {
        let job = world.submit(world.spec(9).await).await;
        assert_eq!(world.ended(job).await.state(), JobState::Done);
        assert_eq!(world.results(job, 0).await.items.len(), 9);
    }
    // What is not kept, or goes when it was taken, has no part in it.
    for outputs in [Outputs::Checksum, Outputs::Stream] {
        let job = world.submit(v1::JobSpec { outputs: outputs.into(), ..world.spec(50).await }).await;
        assert_eq!(world.ended(job).await.state(), JobState::Done);
    }
}

#[tokio::test]
async fn words_of_failures_are_kept_results_too() {
    // Those of the first 100 are kept twice: they have post-mortems.
    let world = World::with(|_, config| config.results_memory_bytes = 2 << 20).await;
    let worker = Worker::attach(&world, 1).await;
    tokio::spawn(worker.serve(|grant| {
        v1::Report {
            failures: (grant.start..grant.start + grant.count)
                .map(|index| v1::TaskFailure {
                    lease: grant.lease,
                    index,
                    class: v1::FailureClass::Failed.into(),
                    message: "x".repeat(8_000),
                    busy_ns: 1_000,
                    ..v1::TaskFailure::default()
                })
                .collect(),
            ..v1::Report::default()
        }
    }));
    let outputs = Outputs::Checksum.into();
    let job = world.submit(v1::JobSpec { outputs, ..world.spec(10_000).await }).await;
    let ended = world.ended(job).await;
    assert_eq!((ended.state(), ended.over_limit), (JobState::Failed, true));
    assert!((100..10_000).contains(&ended.failed), "{}", ended.failed);
}

#[tokio::test]
async fn results_on_a_disk_have_none() {
    let world = World::with(|folder, config| {
        config.state = Some(folder.join("state"));
        config.results_memory_bytes = 1 << 20;
    })
    .await;
    tokio::spawn(Worker::attach(&world, 1).await.serve(large));
    let job = world.submit(world.spec(100).await).await;
    assert_eq!(world.ended(job).await.state(), JobState::Done);
    assert_eq!(world.results(job, 0).await.items.len(), 100);
}

#[tokio::test]
async fn feeding_waits_when_the_inputs_are_too_many() {
    const ITEM: usize = 30 << 20;
    let world = World::start().await;
    let spec = v1::JobSpec { open: true, has_inputs: true, ..world.spec(0).await };
    let job = world.submit(spec).await;
    let input = Packed { width: ITEM as u32, lengths: Vec::new(), data: vec![2; ITEM].into() };
    let messages = (0..12).map(move |part| v1::FeedRequest {
        job,
        count: 1,
        inputs: Some(input.clone()),
        seal: part == 11,
        start: None,
    });
    let mut replies = world.jobs().feed(tokio_stream::iter(messages)).await.unwrap().into_inner();
    for accepted in 1..=8 {
        assert_eq!(soon(replies.message()).await.unwrap().unwrap().accepted, accepted);
    }
    // The ninth would be over the limit: it waits for as long as nothing is done.
    tokio::time::timeout(Duration::from_millis(100), replies.message()).await.unwrap_err();
    assert_eq!(world.status(job).await.tasks, 8);
    tokio::spawn(Worker::attach(&world, 1).await.serve(|grant| done(grant, Packed::default())));
    for accepted in 9..=12 {
        assert_eq!(soon(replies.message()).await.unwrap().unwrap().accepted, accepted);
    }
    assert_eq!(world.ended(job).await.ok, 12);
}

/// A store that says it is durable and fails from the second batch on.
struct Full {
    batches: usize,
}

impl Store for Full {
    fn begin_epoch(&mut self) -> Result<Epoch, StoreError> {
        Ok(Epoch(1))
    }

    fn identity(&mut self, draw: fn() -> Result<u64, StoreError>) -> Result<u64, StoreError> {
        draw()
    }

    fn append(&mut self, _epoch: Epoch, _batch: &[(LogPos, Record)]) -> Result<(), StoreError> {
        self.batches += 1;
        if self.batches == 1 { Ok(()) } else { Err(StoreError::Damaged { what: "the disk", job: 0 }) }
    }

    fn replay(&mut self, _each: &mut dyn FnMut(Record) -> Result<(), StoreError>) -> Result<(), StoreError> {
        Ok(())
    }

    fn readers(&self) -> OpenReader {
        Arc::new(|| Err(StoreError::WriterGone))
    }

    fn durable(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn what_cannot_be_stored_is_never_acknowledged() {
    let log = Log::start(Box::new(Full { batches: 0 }), Epoch(1)).unwrap();
    let settings = Settings {
        scheduler: Default::default(),
        heartbeat: Duration::from_secs(1),
        feed_wait: Duration::from_secs(600),
        retention: Retention { jobs: 1_000, age: None, bytes: None, fails_over: false },
        allow_chaos: false,
        limits: Limits::default(),
        watched: false,
    };
    let driver =
        Driver::new(settings, Life { state: 1, epoch: Epoch(1) }, log, Arc::new(Rejected::default()));
    let (handle, commands) = Handle::new();
    let driver = tokio::spawn(driver.run(commands));
    let plugin = PluginRecord {
        digest: [1; 32],
        name: "p".into(),
        version: "1".into(),
        target: String::new(),
        size: 1,
        manifest: "{}".into(),
        added_unix_ns: 0,
    };
    assert!(!soon(handle.ask(|reply| Command::AddPlugin(plugin, reply))).await.unwrap());
    let spec = v1::JobSpec {
        plugin: Some(v1::PluginRef { name: "p".into(), digest: vec![1; 32].into(), ..Default::default() }),
        tasks: 1,
        ..v1::JobSpec::default()
    };
    let request = v1::SubmitRequest { request_id: "r".into(), spec: Some(spec) };
    let submission = Box::new(Submission::try_from(request).unwrap());
    let answer = soon(handle.ask(|reply| Command::Submit(submission, reply))).await;
    assert!(matches!(answer, Err(Refusal::Stopping)), "{answer:?}");
    let error = soon(driver).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("the disk"), "{error}");
}
