//! What a worker must not say, and what it says too late. A message that breaks the protocol ends the worker's
//! stream, and nothing of it counts; what is late, repeated or made up is dropped. Both are counted.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::refusals::assert_refused;
use fixture::{Worker, World, block_of, hello, indexes, message, soon};
use muster_coordinator::driver::reason;
use muster_proto::packed::{Items, Packed};
use muster_proto::v1::{self, from_worker, to_worker};
use tonic::Code;

fn trust(digests: usize, bytes: usize, version: &str) -> Option<v1::Trust> {
    let digests = vec![vec![0; bytes].into(); digests];
    Some(v1::Trust { any: false, digests, versions: vec![version.to_owned()] })
}

#[tokio::test]
async fn hellos() {
    let world = World::counted().await;
    for (change, code, field) in [
        (
            (|hello| hello.protocol = 99) as fn(&mut v1::WorkerHello),
            Code::FailedPrecondition,
            "protocol is 99",
        ),
        (|hello| hello.slots = 0, Code::InvalidArgument, "slots"),
        (|hello| hello.slots = u32::MAX, Code::ResourceExhausted, "slots"),
        (|hello| hello.name.clear(), Code::InvalidArgument, "name"),
        (|hello| hello.name = "a\nb".into(), Code::InvalidArgument, "name"),
        (|hello| hello.target.clear(), Code::InvalidArgument, "target"),
        (|hello| hello.host = "x".repeat(1_000), Code::ResourceExhausted, "host"),
        (|hello| hello.metrics_address = "x".repeat(1_000), Code::ResourceExhausted, "metrics_address"),
        (|hello| hello.held = held(&[3, 1], &[1, 1]), Code::InvalidArgument, "held.starts"),
        (|hello| hello.held = held(&[1, 2], &[2, 1]), Code::InvalidArgument, "held.starts"),
        (|hello| hello.held = held(&[1], &[0]), Code::InvalidArgument, "held.counts"),
        (|hello| hello.held = held(&[1], &[]), Code::InvalidArgument, "held.counts"),
        (|hello| hello.held = held(&[1], &[u64::MAX]), Code::ResourceExhausted, "held.counts"),
        (|hello| hello.held = held(&[1], &[1 << 50]), Code::ResourceExhausted, "held.counts"),
        (
            |hello| hello.held = vec![v1::HeldTasks::default(); 300_000],
            Code::ResourceExhausted,
            "held (ranges)",
        ),
        (|hello| hello.sandbox = 77, Code::InvalidArgument, "sandbox is 77"),
        (|hello| (hello.sandbox, hello.sandbox_most) = (3, 2), Code::InvalidArgument, "sandbox is standard"),
        (|hello| hello.grants = vec!["read:x".into()], Code::InvalidArgument, "grants is read:x"),
        (|hello| hello.grants = vec!["exec".into(); 257], Code::ResourceExhausted, "grants"),
        (|hello| hello.trust = trust(1, 31, "x@1"), Code::InvalidArgument, "trust.digests is 31 bytes"),
        (|hello| hello.trust = trust(1, 32, "x"), Code::InvalidArgument, "trust.versions is x"),
        (|hello| hello.trust = trust(1_024, 32, "x@1"), Code::ResourceExhausted, "trust (number of plugins)"),
    ] {
        let mut hello = hello(1);
        change(&mut hello);
        world.refuses(code, field, attach(&world, message(from_worker::Kind::Hello(hello)))).await;
    }
    let beat = message(from_worker::Kind::Heartbeat(v1::Heartbeat::default()));
    world.refuses(Code::InvalidArgument, "hello", attach(&world, beat)).await;
    let nothing = v1::FromWorker { kind: None };
    world.refuses(Code::InvalidArgument, "hello", attach(&world, nothing)).await;
    let info = v1::InfoRequest { protocol: 2 };
    world.refuses(Code::FailedPrecondition, "protocol is 2", world.cluster().info(info)).await;
}

fn held(starts: &[u64], counts: &[u64]) -> Vec<v1::HeldTasks> {
    vec![v1::HeldTasks {
        job: 1,
        starts: starts.to_vec(),
        counts: counts.to_vec(),
        ..v1::HeldTasks::default()
    }]
}

async fn attach(world: &World, first: v1::FromWorker) -> Result<(), tonic::Status> {
    Worker::attach_with(world, first).await.map(|_| ())
}

/// A report about a lease that it should not be made of.
type Bad<'a> = dyn Fn(&v1::Grant) -> v1::Report + 'a;

/// One block of results in a report of its own.
fn block(block: v1::ResultBlock) -> v1::Report {
    v1::Report { blocks: vec![block], ..v1::Report::default() }
}

/// The job goes on as if nothing had been said: also a good part beside a bad one does not count.
#[tokio::test]
async fn reports_that_break_the_protocol() {
    let world = World::counted().await;
    let job = world.submit(world.spec(1_000).await).await;
    let two = || Items::of([[0u8; 8]; 2]).into_packed();
    let bytes =
        |width: usize| Packed { width: width as u32, lengths: Vec::new(), data: vec![0; width].into() };
    let failure = |lease, index, class| {
        let failure = v1::TaskFailure { lease, index, class, ..v1::TaskFailure::default() };
        v1::Report { failures: vec![failure], ..v1::Report::default() }
    };
    let sketch = |sketch: v1::Sketch| {
        let phases = vec![v1::PhaseStats { job: 1, dispatch: Some(sketch), ..v1::PhaseStats::default() }];
        v1::Report { phases, ..v1::Report::default() }
    };
    let bad: &[(&Bad<'_>, Code, &str)] = &[
        (&|grant| v1::Report { epoch: 77, ..indexes(grant) }, Code::Aborted, "epoch is 77"),
        (&|grant| block(block_of(grant.lease, grant.start, 1, two())), Code::InvalidArgument, "results"),
        (
            &|grant| block(block_of(grant.lease, 0, 0, Packed::default())),
            Code::InvalidArgument,
            "results.count",
        ),
        (
            &|grant| block(v1::ResultBlock { busy_ns: 1, ..block_of(grant.lease, 1 << 40, 1, bytes(8)) }),
            Code::ResourceExhausted,
            "results.count",
        ),
        (
            &|grant| block(v1::ResultBlock { start: u64::MAX, ..block_of(grant.lease, 0, 9, bytes(8)) }),
            Code::ResourceExhausted,
            "results.count",
        ),
        (
            &|grant| block(v1::ResultBlock { busy_ns: u64::MAX, ..block_of(grant.lease, 0, 1, bytes(8)) }),
            Code::ResourceExhausted,
            "busy_ns",
        ),
        (
            &|grant| {
                let ran_on = Some(v1::RanOn { thread: u32::MAX, ..v1::RanOn::default() });
                block(v1::ResultBlock { ran_on, ..block_of(grant.lease, 0, 1, bytes(8)) })
            },
            Code::ResourceExhausted,
            "ran_on.thread",
        ),
        (
            &|grant| block(v1::ResultBlock { skipped: vec![9], ..block_of(grant.lease, 0, 1, bytes(8)) }),
            Code::InvalidArgument,
            "skipped",
        ),
        (&|grant| failure(grant.lease, 0, 99), Code::InvalidArgument, "class"),
        (&|grant| failure(grant.lease, u64::MAX, 1), Code::ResourceExhausted, "index"),
        (
            &|grant| {
                let mut report = failure(grant.lease, 0, 1);
                report.failures[0].busy_ns = u64::MAX;
                report
            },
            Code::ResourceExhausted,
            "busy_ns",
        ),
        (
            &|_| {
                let mut report = sketch(v1::Sketch::default());
                report.phases[0].retried = u64::MAX;
                report
            },
            Code::ResourceExhausted,
            "retried",
        ),
        (
            &|grant| v1::Report {
                returned: vec![v1::Returned { lease: grant.lease, start: 1, count: u64::MAX }],
                ..v1::Report::default()
            },
            Code::ResourceExhausted,
            "returned",
        ),
        (
            &|_| sketch(v1::Sketch { buckets: vec![u32::MAX], counts: vec![1], ..v1::Sketch::default() }),
            Code::ResourceExhausted,
            "sketch.buckets",
        ),
        (
            &|_| sketch(v1::Sketch { buckets: vec![1], counts: vec![], ..v1::Sketch::default() }),
            Code::InvalidArgument,
            "sketch",
        ),
        (
            &|_| v1::Report {
                exits: vec![v1::ExecutorExit { job: 1, cause: "bored".into(), ..Default::default() }],
                ..v1::Report::default()
            },
            Code::InvalidArgument,
            "cause",
        ),
        (
            &|grant| block(block_of(grant.lease, 0, 1, bytes(65 << 20))),
            Code::ResourceExhausted,
            "Error, decoded message length too large",
        ),
    ];
    for (report, code, field) in bad {
        let mut worker = Worker::attach(&world, 1).await;
        let grant = worker.take_grant().await;
        let mut report = report(&grant);
        report.blocks.extend(indexes(&grant).blocks);
        if report.epoch == 0 {
            report.epoch = worker.epoch;
        }
        ends(&world, worker, from_worker::Kind::Report(report), *code, field).await;
        let status = world.status(job).await;
        assert_eq!((status.ok, status.failed, status.checksum, status.tasks), (0, 0, 0, 1_000), "{field}");
        assert!(status.run.is_none() && status.dispatch.is_none(), "{field}");
    }
    let seen = world.seen().await;
    assert!(seen.workers.iter().all(|worker| worker.committed == 0), "{seen:?}");
}

#[tokio::test]
async fn other_messages_that_break_the_protocol() {
    let world = World::counted().await;
    let beat = |busy_slots, executors, pss_bytes| {
        let rest = v1::Heartbeat::default();
        Some(from_worker::Kind::Heartbeat(v1::Heartbeat { busy_slots, executors, pss_bytes, ..rest }))
    };
    let progress = |tasks| {
        let progress = vec![v1::JobProgress { job: 1, tasks }];
        Some(from_worker::Kind::Heartbeat(v1::Heartbeat { progress, ..v1::Heartbeat::default() }))
    };
    for (kind, code, field) in [
        (Some(from_worker::Kind::Hello(hello(1))), Code::InvalidArgument, "hello"),
        (None, Code::InvalidArgument, "kind"),
        (beat(u32::MAX, 1, 1), Code::ResourceExhausted, "busy_slots"),
        (beat(1, u32::MAX, 1), Code::ResourceExhausted, "executors"),
        (beat(1, 1, u64::MAX), Code::ResourceExhausted, "pss_bytes"),
        (progress(-1.0), Code::InvalidArgument, "progress.tasks"),
        (progress(f64::NAN), Code::InvalidArgument, "progress.tasks"),
    ] {
        let worker = Worker::attach(&world, 1).await;
        let before = world.rejected(reason(code)).await;
        worker.to.send(v1::FromWorker { kind }).await.unwrap();
        gone(&world, worker, code, field, before).await;
    }
    // The largest that are taken add up over many workers.
    let mut workers = Vec::new();
    for _ in 0..20 {
        let worker = Worker::attach(&world, 1).await;
        worker.to.send(v1::FromWorker { kind: beat(65_536, 1 << 20, 1 << 48) }).await.unwrap();
        workers.push(worker);
    }
    let all = "muster_executors 20971520";
    soon(async { while !world.metrics().await.contains(all) {} }).await;
}

/// The message ends the worker's stream with this code and field, and is counted once.
async fn ends(world: &World, worker: Worker, kind: from_worker::Kind, code: Code, field: &str) {
    let before = world.rejected(reason(code)).await;
    worker.send(kind).await;
    gone(world, worker, code, field, before).await;
}

async fn gone(world: &World, mut worker: Worker, code: Code, field: &str, before: u64) {
    assert_refused(&worker.take_end().await.unwrap(), code, field);
    assert_eq!(world.rejected(reason(code)).await, before + 1, "{field} is not counted");
    let left = world.cluster().workers(v1::WorkersRequest::default()).await.unwrap().into_inner().workers;
    assert!(left.iter().all(|left| left.worker != worker.id), "{field}: it is still attached");
}

/// Reports that come late, twice or for what the worker does not have. The stream goes on.
#[tokio::test]
async fn reports_that_are_dropped() {
    let world = World::counted().await;
    let over = world.submit(world.spec(1).await).await;
    let mut worker = Worker::attach(&world, 1).await;
    let ended = worker.take_grant().await;
    worker.report(indexes(&ended)).await;
    world.ended(over).await;
    let job = world.submit(world.spec(1_000).await).await;
    let mut other = Worker::attach(&world, 1).await;
    let (own, others) = (worker.take_grant().await, other.take_grant().await);
    let first = v1::Grant { count: 1, ..own.clone() };
    worker.report(indexes(&first)).await;
    soon(async { while world.status(job).await.ok < 1 {} }).await;
    let beyond = v1::Grant { start: own.start + own.count, ..own.clone() };
    let outside = v1::Grant { start: 1_000, count: 5, ..own.clone() };
    let unknown = v1::Grant { lease: 12_345, ..own.clone() };
    let failure = |grant: &v1::Grant| v1::Report {
        failures: vec![v1::TaskFailure {
            lease: grant.lease,
            index: grant.start,
            class: v1::FailureClass::Failed.into(),
            message: "no".into(),
            busy_ns: 1,
            ..v1::TaskFailure::default()
        }],
        ..v1::Report::default()
    };
    let returned = |grant: &v1::Grant| v1::Report {
        returned: vec![v1::Returned { lease: grant.lease, start: grant.start, count: grant.count }],
        ..v1::Report::default()
    };
    for (name, grant, reason) in [
        ("a lease that never was", &unknown, "stale_lease"),
        ("a lease that has ended", &ended, "stale_lease"),
        ("another worker's lease", &others, "stale_lease"),
        ("results given twice", &first, "not_outstanding"),
        ("results beyond the lease", &beyond, "not_outstanding"),
        ("results beyond the job", &outside, "not_outstanding"),
    ] {
        for (what, report) in
            [("results", indexes(grant)), ("a failure", failure(grant)), ("returned tasks", returned(grant))]
        {
            let (before, counted) = (world.status(job).await, world.dropped(reason).await);
            worker.report(report).await;
            soon(async { while world.dropped(reason).await == counted {} }).await;
            assert_eq!(world.dropped(reason).await, counted + 1, "{name}: {what}");
            let after = world.status(job).await;
            // What came a second time is counted in the job, too.
            let ignored = |status| v1::JobStatus { wall_s: 0.0, duplicates: 0, ..status };
            assert_eq!(ignored(after), ignored(before), "{name}: {what}");
        }
    }
    // For jobs that are not there: nothing to count, and nothing changes.
    let before = world.seen().await;
    worker
        .report(v1::Report {
            troubles: vec![v1::JobTrouble { job: 999, message: "what".into() }],
            phases: vec![v1::PhaseStats { job: 999, busy_ns: 5, ..v1::PhaseStats::default() }],
            ..v1::Report::default()
        })
        .await;
    let counted = world.dropped("stale_lease").await;
    worker.report(indexes(&unknown)).await;
    soon(async { while world.dropped("stale_lease").await == counted {} }).await;
    let jobs = |jobs: Vec<v1::JobStatus>| {
        jobs.into_iter().map(|status| v1::JobStatus { duplicates: 0, ..status }).collect::<Vec<_>>()
    };
    assert_eq!(jobs(world.seen().await.jobs), jobs(before.jobs));
    let rest = v1::Grant { start: own.start + 1, count: own.count - 1, ..own };
    for (worker, grant) in [(worker, rest), (other, others)] {
        tokio::spawn(async move {
            worker.report(indexes(&grant)).await;
            for grant in &worker.grants {
                worker.report(indexes(grant)).await;
            }
            worker.serve(indexes).await;
        });
    }
    let status = world.ended(job).await;
    assert_eq!(status.ok, 1_000);
    let expected: u64 = (0..1_000u64).fold(0, |sum, index| {
        sum.wrapping_add(muster_coordinator::checksum::of_task(index, &index.to_le_bytes()))
    });
    assert_eq!(status.checksum, expected, "each result counts once");
}

#[tokio::test]
async fn a_stale_incarnation_is_told_so() {
    let world = World::counted().await;
    let hello = hello(1);
    let mut first = Worker::attach_as(&world, hello.clone()).await.unwrap();
    let before = world.rejected("stale").await;
    let second = Worker::attach_as(&world, hello).await.unwrap();
    assert_refused(&first.take_end().await.unwrap(), Code::Aborted, "incarnation");
    assert_eq!(world.rejected("stale").await, before + 1);
    let workers = world.cluster().workers(v1::WorkersRequest::default()).await.unwrap().into_inner().workers;
    assert_eq!(workers.iter().map(|worker| worker.worker).collect::<Vec<_>>(), [second.id]);
}

#[tokio::test]
async fn a_worker_that_does_not_read_is_disconnected() {
    let world = World::counted().await;
    let deaf = Worker::attach(&world, 1).await;
    let file = fixture::fake_plugin(fixture::PLUGIN);
    world.push(&file).await.unwrap();
    // Each job that is cancelled sends it something; large parameters fill what lies between.
    let params = format!("{{\"text\":\"{}\"}}", "x".repeat(900_000));
    let spec = v1::JobSpec { params: params.into(), ..world.spec(1).await };
    for _ in 0..400 {
        let job = world.submit(spec.clone()).await;
        world.jobs().cancel(v1::JobRequest { job }).await.unwrap();
        let there =
            world.cluster().workers(v1::WorkersRequest::default()).await.unwrap().into_inner().workers;
        if there.is_empty() {
            let all =
                world.cluster().workers(v1::WorkersRequest { all: true }).await.unwrap().into_inner().workers;
            assert_eq!(all[0].state(), v1::WorkerState::Lost);
            drop(deaf);
            return;
        }
    }
    panic!("it is still attached");
}

/// A worker that answers what nobody asked, or with what cannot be, is ended; one that answers well is heard.
#[tokio::test]
async fn answers_about_logs() {
    let world = World::counted().await;
    let job = world.submit(world.spec(1).await).await;
    let good = || v1::LogLine { source: v1::LogSource::Output.into(), ..v1::LogLine::default() };
    let chunk = |query, line| v1::LogChunk { query, lines: vec![line], end: true, ..v1::LogChunk::default() };
    for (line, field) in [
        (good(), "log.query"),
        (v1::LogLine { index: u64::MAX, ..good() }, "log.lines.index"),
        (v1::LogLine { level: 9, ..good() }, "log.lines.level"),
        (v1::LogLine { source: 77, ..good() }, "log.lines.source"),
        (v1::LogLine { text: vec![0; 1 << 20].into(), ..good() }, "log.lines.text"),
    ] {
        let mut worker = Worker::attach(&world, 1).await;
        worker.send(from_worker::Kind::Log(chunk(77, line))).await;
        let status = worker.take_end().await.unwrap();
        assert!(status.message().starts_with(field), "{field}: {status}");
    }
    let mut worker = Worker::attach(&world, 1).await;
    worker.take_grant().await;
    let mut stream =
        world.jobs().logs(v1::LogsRequest { job, ..Default::default() }).await.unwrap().into_inner();
    // Those before it had the job, too.
    for _ in 0..2 {
        let Some(to_worker::Kind::Log(query)) = soon(worker.from.message()).await.unwrap().unwrap().kind
        else {
            continue;
        };
        let line = v1::LogLine { text: "said".into(), position: 1, ..good() };
        worker.send(from_worker::Kind::Log(chunk(query.query, line))).await;
        break;
    }
    let mut lines = Vec::new();
    while let Some(reply) = soon(stream.message()).await.unwrap() {
        lines.extend(reply.lines.into_iter().map(|line| (line.text, line.worker)));
    }
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].0 == "said" && lines[0].1.starts_with("worker-"), "{lines:?}");
}
