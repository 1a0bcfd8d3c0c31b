//! What is bounded: unfetched results, unfinished inputs; and what happens when nothing can be stored.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::{Worker, World, block_of, done, soon};
use muster_coordinator::driver::{Command, Driver, Handle, Refusal, Settings};
use muster_coordinator::metrics::Rejected;
use muster_coordinator::store::writer::Log;
use muster_coordinator::store::{OpenReader, PluginRecord, Record, Store, StoreError};
use muster_core::id::{Epoch, LogPos};
use muster_proto::convert::Submission;
use muster_proto::packed::Packed;
use muster_proto::v1::{self, Outputs};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn a_job_whose_results_nobody_fetches_is_held_back() {
    const ITEM: usize = 8 << 20;
    let world = World::start().await;
    let spec = v1::JobSpec { outputs: Outputs::Stream.into(), ..world.spec(100).await };
    let job = world.submit(spec).await;
    let mut worker = Worker::attach(&world, 1).await;
    tokio::spawn(async move {
        let item = bytes::Bytes::from(vec![1; ITEM]);
        while let Ok(Some(work)) = worker.work().await {
            for grant in work.grants {
                // One report per task: all of them together would be over the limit of a message.
                for start in grant.start..grant.start + grant.count {
                    let results = Packed { width: ITEM as u32, lengths: Vec::new(), data: item.clone() };
                    // Long tasks make short leases: what is out on leases still comes when a job is held.
                    let busy_ns = 50_000_000;
                    let block = v1::ResultBlock { busy_ns, ..block_of(grant.lease, start, 1, results) };
                    let blocks = vec![block];
                    worker.report(v1::Report { blocks, ..v1::Report::default() }).await;
                }
            }
        }
    });
    let held = soon(async {
        loop {
            let status = world.status(job).await;
            if status.reason.contains("not being fetched") {
                return status;
            }
            assert!(status.ok < 100, "it was never held back");
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(held.output_bytes > 256 << 20, "{}", held.output_bytes);
    let asked = v1::ResultsRequest { job, follow: true, ..v1::ResultsRequest::default() };
    let mut results = world.jobs().results(asked).await.unwrap().into_inner();
    let mut next = 0;
    while let Some(part) = soon(results.message()).await.unwrap() {
        assert!(part.end || part.start == next);
        next = part.start + part.count;
    }
    assert_eq!(next, 100);
    assert_eq!(world.ended(job).await.ok, 100);
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
    let settings = Settings { scheduler: Default::default(), heartbeat: Duration::from_secs(1) };
    let driver = Driver::new(settings, Epoch(1), log, Arc::new(Rejected::default()));
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
