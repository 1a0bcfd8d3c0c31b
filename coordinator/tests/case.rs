//! One task by itself: what the coordinator gives for running it again, and jobs that run only one.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Worker, World, capitals, indexes, soon};
use muster_proto::packed::Items;
use muster_proto::v1::{self, JobState, Outputs};
use tonic::Code;

/// Input lengths: the last but one is larger than what is kept with a failed task.
const LARGE: usize = (1 << 20) + 1;

async fn fed(world: &World, inputs: &[Vec<u8>]) -> u64 {
    let spec = v1::JobSpec {
        open: true,
        has_inputs: true,
        seed: 7,
        params: r#"{"a":1}"#.into(),
        outputs: Outputs::Keep.into(),
        ..world.spec(0).await
    };
    let job = world.submit(spec).await;
    let feed = v1::FeedRequest {
        job,
        count: inputs.len() as u64,
        inputs: Some(Items::of(inputs).into_packed()),
        seal: true,
        start: None,
    };
    let replies = world.jobs().feed(tokio_stream::iter([feed])).await.unwrap();
    let accepted = soon(replies.into_inner().message()).await.unwrap().unwrap().accepted;
    assert_eq!(accepted, inputs.len() as u64);
    job
}

async fn case(world: &World, job: u64, index: u64) -> v1::CaseReply {
    world.jobs().case(v1::CaseRequest { job, index }).await.unwrap().into_inner()
}

/// Fails what begins with `-`.
fn fail_bad(grant: &v1::Grant) -> v1::Report {
    let inputs = Items::try_new(grant.inputs.clone().unwrap(), grant.count).unwrap();
    let mut report = v1::Report::default();
    for (at, input) in inputs.iter().enumerate() {
        let index = grant.start + at as u64;
        if input.starts_with(b"-") {
            let class = v1::FailureClass::Failed.into();
            report.failures.push(v1::TaskFailure { lease: grant.lease, index, class, ..Default::default() });
        } else {
            let results = Items::of([input]).into_packed();
            report.blocks.push(fixture::block_of(grant.lease, index, 1, results));
        }
    }
    report
}

#[tokio::test]
async fn inputs_of_failed_tasks_outlive_their_tasks_and_their_coordinator() {
    let world = World::durable().await;
    let large = [b"-".to_vec(), vec![b'x'; LARGE - 1]].concat();
    let job = fed(&world, &[b"good".to_vec(), b"-bad".to_vec(), large, Vec::new()]).await;
    let waits = case(&world, job, 0).await;
    assert_eq!((waits.job, waits.tasks), (job, 4));
    assert_eq!(waits.input.unwrap().data, "good");
    let empty = case(&world, 0, 3).await.input.unwrap();
    assert!(empty.kept && empty.data.is_empty(), "{empty:?}");
    tokio::spawn(Worker::attach(&world, 1).await.serve(fail_bad));
    assert_eq!(world.ended(job).await.failed, 2);
    let world = world.restart().await;
    let bad = case(&world, job, 1).await;
    let spec = bad.spec.unwrap();
    assert_eq!((spec.seed, &spec.params[..]), (7, &br#"{"a":1}"#[..]));
    assert_eq!(bad.input.unwrap().data, "-bad");
    let large = case(&world, job, 2).await.input.unwrap();
    assert_eq!((large.kept, large.bytes, large.data.len()), (false, LARGE as u64, 0));
    let gone = world.jobs().case(v1::CaseRequest { job, index: 0 }).await.unwrap_err();
    assert_eq!(gone.code(), Code::FailedPrecondition, "{gone}");
    assert!(gone.message().contains("the input of task 0"), "{gone}");
    // Who asks why is not sent the inputs.
    let why = world.jobs().why(v1::WhyRequest { job, ..Default::default() }).await.unwrap().into_inner();
    let told: Vec<_> = why.tasks.iter().map(|task| task.input.clone().unwrap()).collect();
    assert_eq!(
        told.iter().map(|input| (input.kept, input.bytes)).collect::<Vec<_>>(),
        [(true, 4), (false, LARGE as u64)]
    );
    assert!(told.iter().all(|input| input.data.is_empty()));
}

#[tokio::test]
async fn one_task_of_many_runs_with_its_index_and_input() {
    let world = World::durable().await;
    let only = |index, input: &'static str| Some(v1::OnlyTask { index, input: input.into() });
    let plain = v1::JobSpec { only: only(999_999_999_999, ""), ..world.spec(1_000_000_000_000).await };
    let with_input = v1::JobSpec { has_inputs: true, only: only(2, "in"), ..world.spec(5).await };
    let (plain, with_input) = (world.submit(plain).await, world.submit(with_input).await);
    // Also when the coordinator starts anew before it ran.
    let world = world.restart().await;
    let shown = world.status(with_input).await;
    assert_eq!((shown.ok, shown.tasks, shown.spec.unwrap().only.unwrap().input.len()), (0, 5, 0));
    assert_eq!(case(&world, with_input, 2).await.input.unwrap().data, "in");
    let run = |grant: &v1::Grant| if grant.inputs.is_some() { capitals(grant) } else { indexes(grant) };
    tokio::spawn(Worker::attach(&world, 2).await.serve(run));
    for (job, index, result) in [
        (plain, 999_999_999_999u64, 999_999_999_999u64.to_le_bytes().to_vec()),
        (with_input, 2, b"IN".to_vec()),
    ] {
        let ended = world.ended(job).await;
        assert_eq!((ended.state(), ended.ok, ended.failed), (JobState::Done, 1, 0));
        assert_eq!(world.results(job, 0).await.items, [(index, result)]);
    }
}
