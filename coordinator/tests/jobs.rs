//! Jobs over a real socket: from submit to results.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::{Worker, World, capitals, done, indexes, message, soon, sums};
use muster_coordinator::checksum;
use muster_proto::packed::{Items, Packed};
use muster_proto::v1::{self, JobState, Outputs, from_worker};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

fn numbered(range: std::ops::Range<u64>) -> Vec<(u64, Vec<u8>)> {
    range.map(|index| (index, index.to_le_bytes().to_vec())).collect()
}

fn checksum_of(items: &[(u64, Vec<u8>)]) -> u64 {
    items.iter().fold(0, |sum, (index, bytes)| sum.wrapping_add(checksum::of_task(*index, bytes)))
}

#[tokio::test]
async fn runs_a_job_and_gives_its_results_in_order() {
    let world = World::start().await;
    for slots in [1, 3] {
        tokio::spawn(Worker::attach(&world, slots).await.serve(indexes));
    }
    let job = world.submit(world.spec(50_000).await).await;
    let results = world.results(job, 0).await;
    assert_eq!(results.items, numbered(0..50_000));
    let status = world.ended(job).await;
    assert_eq!(status.state(), JobState::Done);
    assert_eq!((status.ok, status.failed, status.tasks, status.leased), (50_000, 0, 50_000, 0));
    assert_eq!(status.checksum, checksum_of(&results.items));
    assert_eq!(status.output_bytes, 400_000);
    assert_eq!(status.queue.unwrap().counts.iter().sum::<u64>(), 50_000);
    assert!(status.leases >= 2 && status.lease_tasks_max >= status.lease_tasks_min);
    assert_eq!(world.results(job, 49_990).await.items, numbered(49_990..50_000));
    let last = v1::ResultsRequest { job, last: 3, ..v1::ResultsRequest::default() };
    assert_eq!(world.try_results(last).await.unwrap().items, numbered(49_997..50_000));
}

#[tokio::test]
async fn the_same_request_is_the_same_job() {
    let world = World::durable().await;
    let spec = world.spec(10).await;
    let (first, second) =
        tokio::join!(world.submit_as("once", spec.clone()), world.submit_as("once", spec.clone()));
    let job = first.unwrap();
    assert_eq!(second.unwrap(), job);
    assert_eq!(world.submit_as("twice", spec.clone()).await.unwrap(), job + 1);
    let world = world.restart().await;
    assert_eq!(world.submit_as("once", spec.clone()).await.unwrap(), job);
    assert_eq!(world.submit_as("thrice", spec).await.unwrap(), job + 2);
}

#[tokio::test]
async fn a_restart_goes_on_where_the_log_ends() {
    let world = World::durable().await;
    let job = world.submit(world.spec(1_000).await).await;
    let mut worker = Worker::attach(&world, 2).await;
    let epoch = worker.epoch;
    let grant = worker.take_grant().await;
    worker.report(indexes(&grant)).await;
    let first = numbered(grant.start..grant.start + grant.count);
    while world.status(job).await.ok < grant.count {
        tokio::task::yield_now().await;
    }
    let world = world.restart().await;
    let status = world.status(job).await;
    assert_eq!((status.ok, status.tasks), (grant.count, 1_000));
    assert_eq!(status.checksum, checksum_of(&first));
    assert!(status.wall_s > 0.0, "{status:?}");
    let worker = Worker::attach(&world, 2).await;
    assert_eq!(worker.epoch, epoch + 1);
    let ran = std::sync::Arc::new(std::sync::Mutex::new(0));
    let count = std::sync::Arc::clone(&ran);
    tokio::spawn(worker.serve(move |grant| {
        *count.lock().unwrap() += grant.count;
        indexes(grant)
    }));
    assert_eq!(world.results(job, 0).await.items, numbered(0..1_000));
    assert_eq!(*ran.lock().unwrap(), 1_000 - grant.count, "what was committed is not run again");
    let before = world.ended(job).await;
    let world = world.restart().await;
    assert_eq!(world.ended(job).await, before);
    assert_eq!(world.results(job, 0).await.items, numbered(0..1_000));
}

#[tokio::test]
async fn tasks_stream_in_while_results_stream_out() {
    for world in [World::start().await, World::durable().await] {
        tokio::spawn(Worker::attach(&world, 1).await.serve(capitals));
        let spec = v1::JobSpec {
            open: true,
            has_inputs: true,
            outputs: Outputs::Stream.into(),
            ..world.spec(0).await
        };
        let job = world.submit(spec).await;
        let asked = v1::ResultsRequest { job, follow: true, ..v1::ResultsRequest::default() };
        let mut results = world.jobs().results(asked).await.unwrap().into_inner();
        let (feed, messages) = mpsc::channel(4);
        feed.send(v1::FeedRequest { job, ..v1::FeedRequest::default() }).await.unwrap();
        let mut client = world.jobs();
        let mut replies = soon(client.feed(ReceiverStream::new(messages))).await.unwrap().into_inner();
        assert_eq!(soon(replies.message()).await.unwrap().unwrap().accepted, 0);
        for round in 0..20u64 {
            let inputs = Some(Items::of([format!("task {round}")]).into_packed());
            feed.send(v1::FeedRequest { inputs, count: 1, ..v1::FeedRequest::default() }).await.unwrap();
            assert_eq!(soon(replies.message()).await.unwrap().unwrap().accepted, round + 1);
            let part = soon(results.message()).await.unwrap().unwrap();
            assert_eq!((part.start, part.count), (round, 1));
            assert_eq!(part.results.unwrap().data, format!("TASK {round}"));
        }
        feed.send(v1::FeedRequest { seal: true, ..v1::FeedRequest::default() }).await.unwrap();
        assert_eq!(soon(replies.message()).await.unwrap().unwrap().accepted, 20);
        assert!(soon(results.message()).await.unwrap().unwrap().end);
        assert_eq!(world.ended(job).await.ok, 20);
        let again = v1::ResultsRequest { job, ..v1::ResultsRequest::default() };
        assert_eq!(
            world.try_results(again).await.unwrap().items.len(),
            20,
            "nobody said that they were put away"
        );
        world.acknowledge(job, 15).await.unwrap();
        world.acknowledge(job, 10).await.unwrap();
        let refused = world.try_results(again).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{refused}");
        assert!(refused.message().contains("below 15"), "{refused}");
        assert_eq!(world.status(job).await.results_from, 15);
        let rest = v1::ResultsRequest { from: 15, ..again };
        assert_eq!(world.try_results(rest).await.unwrap().items.len(), 5);
        for (job, below, code, words) in [
            (job, 21, tonic::Code::InvalidArgument, "below is 21"),
            (job + 1, 1, tonic::Code::NotFound, "job is 2"),
        ] {
            let refused = world.acknowledge(job, below).await.unwrap_err();
            assert_eq!(refused.code(), code, "{refused}");
            assert!(refused.message().contains(words), "{refused}");
        }
    }
}

#[tokio::test]
async fn what_was_not_acknowledged_survives_its_reader_and_a_restart() {
    let world = World::durable().await;
    tokio::spawn(Worker::attach(&world, 1).await.serve(indexes));
    let spec = v1::JobSpec { outputs: Outputs::Stream.into(), ..world.spec(1_000).await };
    let job = world.submit(spec).await;
    assert_eq!(world.results(job, 0).await.items, numbered(0..1_000));
    world.acknowledge(job, 400).await.unwrap();
    let world = world.restart().await;
    assert_eq!(world.status(job).await.results_from, 400);
    assert_eq!(world.results(job, 400).await.items, numbered(400..1_000));
}

#[tokio::test]
async fn a_job_whose_inputs_broke_off_says_so_and_is_cancelled_in_the_end() {
    let world = World::with(|_, config| config.feed_wait = std::time::Duration::from_secs(2)).await;
    tokio::spawn(Worker::attach(&world, 1).await.serve(capitals));
    let spec =
        v1::JobSpec { open: true, has_inputs: true, outputs: Outputs::Keep.into(), ..world.spec(0).await };
    let (fed, broken) = (world.submit(spec.clone()).await, world.submit(spec).await);
    let mut feeds = Vec::new();
    for job in [fed, broken] {
        let (feed, messages) = mpsc::channel(4);
        let inputs = Some(Items::of(["one task"]).into_packed());
        feed.send(v1::FeedRequest { job, inputs, count: 1, seal: false, start: None }).await.unwrap();
        let mut replies = soon(world.jobs().feed(ReceiverStream::new(messages))).await.unwrap().into_inner();
        assert_eq!(soon(replies.message()).await.unwrap().unwrap().accepted, 1);
        feeds.push((feed, replies));
    }
    // Its client is gone.
    drop(feeds.pop());
    let reason = soon(async {
        loop {
            let status = world.status(broken).await;
            if status.reason.contains("broke off") {
                break status.reason;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(reason.contains(&format!("muster job cancel {broken}")) && reason.contains("10 min"), "{reason}");
    let ended = world.ended(broken).await;
    assert_eq!((ended.state(), ended.ok), (JobState::Cancelled, 1));
    assert_eq!(ended.reason, "its inputs broke off, and no more came within 2 s");
    assert_eq!(world.results(broken, 0).await.items, [(0, b"ONE TASK".to_vec())]);
    let status = world.status(fed).await;
    assert_eq!((status.state(), status.reason.as_str()), (JobState::Running, "it waits for tasks"));
}

#[tokio::test]
async fn inputs_survive_a_restart_until_their_tasks_are_done() {
    let world = World::durable().await;
    let spec = v1::JobSpec { open: true, has_inputs: true, ..world.spec(0).await };
    let job = world.submit(spec).await;
    let feed = |texts: &[&str], seal| v1::FeedRequest {
        job,
        count: texts.len() as u64,
        inputs: Some(Items::of(texts).into_packed()),
        seal,
        start: None,
    };
    let fed = world.jobs().feed(tokio_stream::iter([feed(&["a", "bb"], false)])).await.unwrap();
    assert_eq!(soon(fed.into_inner().message()).await.unwrap().unwrap().accepted, 2);
    let world = world.restart().await;
    let fed = world.jobs().feed(tokio_stream::iter([feed(&["ccc"], true)])).await.unwrap();
    assert_eq!(soon(fed.into_inner().message()).await.unwrap().unwrap().accepted, 3);
    let world = world.restart().await;
    tokio::spawn(Worker::attach(&world, 1).await.serve(capitals));
    let expected: Vec<_> = (0..).zip(["A", "BB", "CCC"].map(|text| text.as_bytes().to_vec())).collect();
    assert_eq!(world.results(job, 0).await.items, expected);
}

#[tokio::test]
async fn combines_partial_results_to_one() {
    for world in [World::start().await, World::durable().await] {
        for slots in [1, 2] {
            tokio::spawn(Worker::attach(&world, slots).await.serve(sums));
        }
        let job = world.submit(v1::JobSpec { reduce: true, ..world.spec(10_000).await }).await;
        let expected: u64 = (0..10_000).sum();
        let results = world.results(job, 0).await;
        assert_eq!(results.reduced, Some(expected.to_le_bytes().to_vec()));
        let status = world.ended(job).await;
        assert_eq!((status.ok, status.output_bytes), (10_000, 8));
        assert_eq!(status.checksum, checksum::of_task(0, &expected.to_le_bytes()));
    }
}

#[tokio::test]
async fn partial_results_survive_a_restart() {
    let world = World::durable().await;
    let job = world.submit(v1::JobSpec { reduce: true, ..world.spec(100).await }).await;
    let mut worker = Worker::attach(&world, 2).await;
    let grant = worker.take_grant().await;
    worker.report(sums(&grant)).await;
    while world.status(job).await.ok < grant.count {
        tokio::task::yield_now().await;
    }
    let world = world.restart().await;
    assert_eq!(world.status(job).await.ok, grant.count);
    tokio::spawn(Worker::attach(&world, 2).await.serve(sums));
    let expected: u64 = (0..100).sum();
    assert_eq!(world.results(job, 0).await.reduced, Some(expected.to_le_bytes().to_vec()));
}

#[tokio::test]
async fn failed_tasks_stand_among_the_results() {
    let world = World::start().await;
    let job = world.submit(world.spec(2_000).await).await;
    tokio::spawn(Worker::attach(&world, 1).await.serve(|grant| {
        let mut report = v1::Report::default();
        for index in grant.start..grant.start + grant.count {
            if index % 3 == 0 {
                let class = v1::FailureClass::Failed.into();
                let message = format!("no {index}");
                report.failures.push(v1::TaskFailure {
                    lease: grant.lease,
                    index,
                    class,
                    message,
                    ..Default::default()
                });
            } else {
                let results = Items::of([index.to_le_bytes()]).into_packed();
                report.blocks.push(fixture::block_of(grant.lease, index, 1, results));
            }
        }
        report.failures.reverse();
        report
    }));
    let results = world.results(job, 0).await;
    let (bad, good): (Vec<u64>, Vec<u64>) = (0..2_000).partition(|index| index % 3 == 0);
    assert_eq!(results.failures, bad.iter().map(|index| (*index, format!("no {index}"))).collect::<Vec<_>>());
    assert_eq!(results.items.iter().map(|(index, _)| *index).collect::<Vec<_>>(), good);
    let status = world.ended(job).await;
    assert_eq!((status.ok, status.failed), (good.len() as u64, bad.len() as u64));
    let told: Vec<u64> = status.first_failures.iter().map(|failure| failure.index).collect();
    assert_eq!(told, bad[..10], "the lowest are told, whatever came first");
    assert_eq!(status.first_failures[1].message, "no 3");
}

#[tokio::test]
async fn what_fails_for_a_passing_reason_is_tried_again() {
    let world = World::start().await;
    let job = world.submit(v1::JobSpec { max_attempts: 2, ..world.spec(1).await }).await;
    let mut worker = Worker::attach(&world, 1).await;
    for attempt in [1, 2] {
        let grant = worker.take_grant().await;
        assert_eq!(grant.attempt, attempt);
        let class = v1::FailureClass::Transient.into();
        let message = "later".into();
        let failures =
            vec![v1::TaskFailure { lease: grant.lease, class, message, ..v1::TaskFailure::default() }];
        worker.report(v1::Report { failures, ..v1::Report::default() }).await;
    }
    let status = world.ended(job).await;
    assert_eq!((status.ok, status.failed, status.retried), (0, 1, 1));
}

#[tokio::test]
async fn cancelling_keeps_what_is_there() {
    let world = World::durable().await;
    let job = world.submit(world.spec(1_000_000).await).await;
    let mut worker = Worker::attach(&world, 1).await;
    let grant = worker.take_grant().await;
    worker.report(indexes(&grant)).await;
    while world.status(job).await.ok == 0 {
        tokio::task::yield_now().await;
    }
    let late = std::time::Duration::from_millis(50);
    tokio::time::sleep(late).await;
    let status = soon(world.jobs().cancel(v1::JobRequest { job })).await.unwrap().into_inner();
    assert_eq!(status.state(), JobState::Cancelled);
    let ended = world.ended(job).await;
    assert_eq!(ended.ok, grant.count);
    assert!(
        ended.wall_s >= late.as_secs_f64(),
        "its workers had tasks until it was cancelled: {}",
        ended.wall_s
    );
    assert_eq!(world.results(job, 0).await.items, numbered(0..grant.count));
    while worker.closes.is_empty() {
        worker.work().await.unwrap().unwrap();
    }
    assert!(worker.closes[0].cancel);
    let world = world.restart().await;
    assert_eq!(world.status(job).await.state(), JobState::Cancelled);
}

#[tokio::test]
async fn a_worker_that_is_lost_loses_nothing() {
    let world = World::start().await;
    let job = world.submit(world.spec(100).await).await;
    let mut lost = Worker::attach(&world, 2).await;
    let grant = lost.take_grant().await;
    drop(lost);
    tokio::spawn(Worker::attach(&world, 2).await.serve(indexes));
    assert_eq!(world.results(job, 0).await.items, numbered(0..100));
    let status = world.ended(job).await;
    assert_eq!((status.lost_workers, status.retried), (1, status.retried.max(grant.count)));
}

#[tokio::test]
async fn a_silent_worker_is_given_up() {
    let world = World::with(|_, config| config.lease = std::time::Duration::from_millis(300)).await;
    let job = world.submit(world.spec(10).await).await;
    let mut silent = Worker::attach(&world, 1).await;
    silent.take_grant().await;
    let end = silent.take_end().await.unwrap();
    assert_eq!(end.code(), tonic::Code::Aborted, "{end}");
    let worker = Worker::attach(&world, 1).await;
    let beat = worker.to.clone();
    let heart = tokio::spawn(async move {
        let beat_now = || message(from_worker::Kind::Heartbeat(v1::Heartbeat::default()));
        while beat.send(beat_now()).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        }
    });
    tokio::spawn(worker.serve(indexes));
    assert_eq!(world.ended(job).await.ok, 10);
    heart.abort();
}

#[tokio::test]
async fn what_running_tasks_have_done_is_seen_until_they_end() {
    let world = World::start().await;
    let (mut first, mut second) = (Worker::attach(&world, 1).await, Worker::attach(&world, 1).await);
    let job = world.submit(world.spec(2).await).await;
    let (grant, other) = (first.take_grant().await, second.take_grant().await);
    let mut watch = world.jobs().watch(v1::JobRequest { job }).await.unwrap().into_inner();
    let beat = |worker: &Worker, job, tasks| {
        let progress = vec![v1::JobProgress { job, tasks }];
        let beat = v1::Heartbeat { progress, ..v1::Heartbeat::default() };
        let to = worker.to.clone();
        async move { to.send(message(from_worker::Kind::Heartbeat(beat))).await.unwrap() }
    };
    // Nothing but this changes, and whoever watches sees it.
    let mut next = async |wanted: f64| {
        soon(async { while watch.message().await.unwrap().unwrap().in_progress != wanted {} }).await;
    };
    beat(&first, job, 0.5).await;
    next(0.5).await;
    beat(&second, job, 0.25).await;
    next(0.75).await;
    beat(&second, job + 1, 0.25).await;
    next(0.5).await;
    beat(&second, job, 7.0).await;
    next(2.0).await;
    // A task that has ended does not count a second time, and a worker that is gone has nothing.
    beat(&second, job, 0.25).await;
    next(0.75).await;
    first.report(indexes(&grant)).await;
    soon(async { while world.status(job).await.ok < 1 {} }).await;
    assert_eq!(world.status(job).await.in_progress, 0.25);
    drop(second);
    next(0.0).await;
    beat(&first, job, 0.5).await;
    next(0.5).await;
    let again = first.take_grant().await;
    first.report(indexes(&again)).await;
    assert_eq!(world.ended(job).await.in_progress, 0.0);
    assert_eq!(grant.count + other.count, 2);
}

#[tokio::test]
async fn a_job_that_no_worker_can_run_fails_with_the_reason() {
    let world = World::start().await;
    let job = world.submit(world.spec(10).await).await;
    let mut worker = Worker::attach(&world, 1).await;
    worker.take_grant().await;
    let troubles = vec![v1::JobTrouble { job, message: "undefined symbol: frob".into() }];
    worker.report(v1::Report { troubles, ..v1::Report::default() }).await;
    let status = world.ended(job).await;
    assert_eq!(status.state(), JobState::Failed);
    assert_eq!(status.reason, "undefined symbol: frob");
}

#[tokio::test]
async fn a_drained_worker_finishes_and_is_told_to_leave() {
    let world = World::start().await;
    let job = world.submit(world.spec(4).await).await;
    let mut worker = Worker::attach(&world, 1).await;
    let grant = worker.take_grant().await;
    let name = world.cluster().workers(v1::WorkersRequest::default()).await.unwrap().into_inner().workers[0]
        .name
        .clone();
    let info =
        world.cluster().drain(v1::DrainRequest { worker: name, deadline_ms: 0 }).await.unwrap().into_inner();
    assert_eq!(info.state(), v1::WorkerState::Draining);
    worker.report(indexes(&grant)).await;
    for grant in std::mem::take(&mut worker.grants) {
        worker.report(indexes(&grant)).await;
    }
    // What it had beyond that is called back.
    loop {
        let Some(work) = worker.work().await.unwrap() else { break };
        for recall in work.recalls {
            let first = grant.start + grant.count;
            let returned = vec![v1::Returned { lease: recall.lease, start: first, count: recall.count }];
            worker.report(v1::Report { returned, ..v1::Report::default() }).await;
        }
        for grant in work.grants {
            worker.report(indexes(&grant)).await;
        }
    }
    worker.send(from_worker::Kind::Goodbye(v1::Goodbye { reason: "drained".into() })).await;
    assert!(worker.take_end().await.is_none());
    tokio::spawn(Worker::attach(&world, 1).await.serve(indexes));
    assert_eq!(world.ended(job).await.ok, 4);
    let all = world.cluster().workers(v1::WorkersRequest { all: true }).await.unwrap().into_inner().workers;
    assert!(all.iter().any(|worker| worker.state() == v1::WorkerState::Left));
}

#[tokio::test]
async fn tasks_that_come_back_unstarted_waited_once() {
    let world = World::start().await;
    let job = world.submit(world.spec(100).await).await;
    let mut worker = Worker::attach(&world, 1).await;
    let v1::Grant { lease, start, count, .. } = worker.take_grant().await;
    let returned = vec![v1::Returned { lease, start, count }];
    worker.report(v1::Report { returned, ..v1::Report::default() }).await;
    for grant in std::mem::take(&mut worker.grants) {
        worker.report(indexes(&grant)).await;
    }
    tokio::spawn(worker.serve(indexes));
    let status = world.ended(job).await;
    assert_eq!((status.ok, status.retried), (100, 0));
    assert_eq!(status.queue.unwrap().counts.iter().sum::<u64>(), 100);
}

#[tokio::test]
async fn a_name_that_two_workers_have_drains_neither() {
    let world = World::start().await;
    let hello = || v1::WorkerHello { name: "twin".into(), ..fixture::hello(1) };
    let _first = Worker::attach_as(&world, hello()).await.unwrap();
    let _second = Worker::attach_as(&world, hello()).await.unwrap();
    let drain = |worker: &str| v1::DrainRequest { worker: worker.into(), deadline_ms: 0 };
    let status = world.cluster().drain(drain("twin")).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    assert!(status.message().contains("workers 1 and 2 are called"), "{status}");
    let info = world.cluster().drain(drain("2")).await.unwrap().into_inner();
    assert_eq!((info.worker, info.state()), (2, v1::WorkerState::Draining));
}

#[tokio::test]
async fn a_lease_is_cut_where_its_inputs_do_not_fit_into_a_message() {
    let world = World::start().await;
    let spec = v1::JobSpec { open: true, has_inputs: true, ..world.spec(0).await };
    let job = world.submit(spec).await;
    let large = vec![b'x'; 16 << 20];
    // Many small tasks make the mean small, so that the scheduler does not see the large ones coming.
    let mut messages = vec![v1::FeedRequest {
        job,
        count: 4_096,
        inputs: Some(Packed { width: 1, lengths: Vec::new(), data: vec![b'y'; 4_096].into() }),
        seal: false,
        start: None,
    }];
    messages.extend((0..6).map(|part| v1::FeedRequest {
        job,
        count: 1,
        inputs: Some(Items::of([&large]).into_packed()),
        seal: part == 5,
        start: None,
    }));
    let mut replies = world.jobs().feed(tokio_stream::iter(messages)).await.unwrap().into_inner();
    while soon(replies.message()).await.unwrap().is_some() {}
    tokio::spawn(Worker::attach(&world, 64).await.serve(|grant| {
        let inputs = Items::try_new(grant.inputs.clone().unwrap(), grant.count).unwrap();
        let lengths = inputs.iter().map(|input| (input.len() as u64).to_le_bytes());
        done(grant, Items::of(lengths).into_packed())
    }));
    let status = world.ended(job).await;
    assert_eq!((status.ok, status.retried), (4_102, 0));
}

#[tokio::test]
async fn watching_tells_every_state_and_the_end() {
    let world = World::start().await;
    let job = world.submit(world.spec(1).await).await;
    let mut watch = world.jobs().watch(v1::JobRequest { job: 0 }).await.unwrap().into_inner();
    let first = soon(watch.message()).await.unwrap().unwrap();
    assert_eq!((first.job, first.state()), (job, JobState::Waiting));
    assert!(first.reason.contains("no worker"), "{}", first.reason);
    let mut worker = Worker::attach(&world, 1).await;
    let grant = worker.take_grant().await;
    while soon(watch.message()).await.unwrap().unwrap().state() != JobState::Running {}
    worker.report(indexes(&grant)).await;
    while let Some(status) = soon(watch.message()).await.unwrap() {
        if status.state() == JobState::Done {
            assert!(soon(watch.message()).await.unwrap().is_none());
            return;
        }
    }
    panic!("the end was not told");
}

#[tokio::test]
async fn workers_of_several_sizes_are_counted_by_their_slots() {
    let world = World::start().await;
    let job = world.submit(world.spec(1_000_000).await).await;
    let (mut small, mut large) = (Worker::attach(&world, 1).await, Worker::attach(&world, 3).await);
    small.take_grant().await;
    large.take_grant().await;
    let status = world.status(job).await;
    assert_eq!((status.workers, status.processes, status.threads, status.slots), (2, 1, 3, 4));
}

/// Who lost the link does not know what was taken, and sends it again: it is taken once.
#[tokio::test]
async fn inputs_that_are_sent_again_are_taken_once() {
    let world = World::durable().await;
    let job = world.submit(v1::JobSpec { open: true, has_inputs: true, ..world.spec(0).await }).await;
    let message = |texts: &[&str], start, seal| v1::FeedRequest {
        job,
        count: texts.len() as u64,
        inputs: (!texts.is_empty()).then(|| Items::of(texts).into_packed()),
        seal,
        start: Some(start),
    };
    let feed = async |world: &World, messages: Vec<v1::FeedRequest>| {
        let mut replies = world.jobs().feed(tokio_stream::iter(messages)).await?.into_inner();
        let mut accepted = Vec::new();
        while let Some(reply) = soon(replies.message()).await? {
            accepted.push(reply.accepted);
        }
        Ok::<_, tonic::Status>(accepted)
    };
    let first = || vec![message(&["a", "b"], 0, false), message(&["c"], 2, false)];
    assert_eq!(feed(&world, first()).await.unwrap(), [2, 3]);
    let gap = feed(&world, vec![message(&["e"], 4, false)]).await.unwrap_err();
    assert_eq!(gap.message(), format!("start is 4: job {job} has 3 tasks"));
    let overlap = feed(&world, vec![message(&["c", "d"], 2, false)]).await.unwrap_err();
    assert_eq!(overlap.message(), format!("start is 2: job {job} has 3 tasks"));
    let world = world.restart().await;
    assert_eq!(feed(&world, first()).await.unwrap(), [3, 3]);
    let last = || vec![message(&["d"], 3, false), message(&[], 4, true)];
    assert_eq!(feed(&world, last()).await.unwrap(), [4, 4]);
    assert_eq!(feed(&world, last()).await.unwrap(), [4, 4], "also of a job that is sealed");
    let more = feed(&world, vec![message(&["e"], 4, false)]).await.unwrap_err();
    assert!(more.message().contains("it was sealed"), "{more:?}");
    tokio::spawn(Worker::attach(&world, 2).await.serve(|grant| {
        let inputs = Items::try_new(grant.inputs.clone().unwrap(), grant.count).unwrap();
        done(grant, inputs.into_packed())
    }));
    assert_eq!(world.ended(job).await.ok, 4);
    let items = world.results(job, 0).await.items;
    let texts: Vec<&[u8]> = items.iter().map(|(_, item)| item.as_slice()).collect();
    assert_eq!(texts, [b"a", b"b", b"c", b"d"]);
}
