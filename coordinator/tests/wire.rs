//! What is wrong on the wire is refused with the field named, changes nothing, and is counted.
#![allow(clippy::unwrap_used)]

mod fixture;

use bytes::Bytes;
use fixture::{Worker, World, block_of, get, hello, indexes, message, soon};
use muster_coordinator::Coordinator;
use muster_proto::link::{Target, connect};
use muster_proto::packed::{Items, Packed};
use muster_proto::v1::{self, from_worker};
use std::io::Write;
use std::process::{Command, Stdio};
use tonic::{Code, Status};

async fn world() -> World {
    World::with(|_, config| config.http = Some("127.0.0.1:0".into())).await
}

/// The value of a series on the metrics page.
async fn counter(world: &World, series: &str) -> u64 {
    let page = world.metrics().await;
    let line = page.lines().find(|line| line.starts_with(series));
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64)
}

async fn rejected(world: &World, reason: &str) -> u64 {
    counter(world, &format!("muster_rejected_messages_total{{reason=\"{reason}\"}}")).await
}

#[track_caller]
fn assert_refused(status: &Status, code: Code, field: &str) {
    assert_eq!(status.code(), code, "{status}");
    assert!(status.message().starts_with(field), "{:?} does not name {field}", status.message());
}

#[tokio::test]
async fn submissions() {
    let world = world().await;
    let good = world.spec(10).await;
    let plugin = good.plugin.clone().unwrap();
    let with = |change: &dyn Fn(&mut v1::JobSpec)| {
        let mut spec = good.clone();
        change(&mut spec);
        spec
    };
    let cases: &[(&str, v1::JobSpec, Code)] = &[
        ("spec.tasks", with(&|spec| spec.tasks = 0), Code::InvalidArgument),
        ("spec.tasks", with(&|spec| spec.tasks = u64::MAX), Code::ResourceExhausted),
        ("spec.tasks", with(&|spec| spec.open = true), Code::InvalidArgument),
        ("spec.tasks", with(&|spec| spec.has_inputs = true), Code::InvalidArgument),
        ("spec.weight", with(&|spec| spec.weight = u32::MAX), Code::ResourceExhausted),
        ("spec.max_attempts", with(&|spec| spec.max_attempts = u32::MAX), Code::ResourceExhausted),
        ("spec.outputs", with(&|spec| spec.outputs = 77), Code::InvalidArgument),
        ("spec.result_max_bytes", with(&|spec| spec.result_max_bytes = u64::MAX), Code::ResourceExhausted),
        ("spec.params", with(&|spec| spec.params = Bytes::from_static(b"{")), Code::InvalidArgument),
        ("spec.params", with(&|spec| spec.params = Bytes::from_static(b"[1]")), Code::InvalidArgument),
        ("spec.params", with(&|spec| spec.params = vec![b' '; 2 << 20].into()), Code::ResourceExhausted),
        ("plugin", with(&|spec| spec.plugin = None), Code::InvalidArgument),
        (
            "plugin.digest",
            with(&|spec| spec.plugin.as_mut().unwrap().digest = Bytes::from_static(b"short")),
            Code::InvalidArgument,
        ),
        (
            "plugin fake with digest 0000",
            with(&|spec| spec.plugin.as_mut().unwrap().digest = Bytes::from_static(&[0; 32])),
            Code::NotFound,
        ),
        (
            "shape.threads",
            with(&|spec| {
                let model = v1::Model::Process.into();
                spec.shape = Some(v1::Shape { model, threads: 3, ..v1::Shape::default() });
            }),
            Code::InvalidArgument,
        ),
    ];
    for (field, spec, code) in cases {
        let status = world.submit_as("bad", spec.clone()).await.unwrap_err();
        assert_refused(&status, *code, field);
    }
    assert_refused(
        &world.submit_as("", good.clone()).await.unwrap_err(),
        Code::InvalidArgument,
        "request_id",
    );
    let long = "x".repeat(300);
    assert_refused(&world.submit_as(&long, good).await.unwrap_err(), Code::ResourceExhausted, "request_id");
    let none = world.jobs().list(v1::ListJobsRequest::default()).await.unwrap().into_inner();
    assert_eq!(none.jobs, [], "nothing was submitted");
    assert_eq!(rejected(&world, "not_found").await, 1);
    assert_eq!(rejected(&world, "too_much").await, 6);
    assert_eq!(rejected(&world, "invalid").await, cases.len() as u64 + 2 - 7);
    drop(plugin);
}

#[tokio::test]
async fn what_the_plugin_does_not_do() {
    let world = world().await;
    let file =
        fixture::fake_plugin(r#"{"muster":1,"name":"plain","version":"1","input":"none","reduce":false}"#);
    let plugin = world.push(&file).await.unwrap().plugin.unwrap().plugin;
    let spec = v1::JobSpec { plugin, tasks: 1, ..v1::JobSpec::default() };
    let reduce = v1::JobSpec { reduce: true, ..spec.clone() };
    assert_refused(&world.submit_as("a", reduce).await.unwrap_err(), Code::FailedPrecondition, "spec.reduce");
    let inputs = v1::JobSpec { tasks: 0, open: true, has_inputs: true, ..spec };
    assert_refused(
        &world.submit_as("b", inputs).await.unwrap_err(),
        Code::FailedPrecondition,
        "spec.has_inputs",
    );
    assert_eq!(rejected(&world, "precondition").await, 2);
}

#[tokio::test]
async fn jobs_that_are_not_there() {
    let world = world().await;
    let asked = v1::JobRequest { job: 99 };
    for status in [
        world.jobs().get(asked).await.unwrap_err(),
        world.jobs().watch(asked).await.unwrap_err(),
        world.jobs().cancel(asked).await.unwrap_err(),
        world.jobs().get(v1::JobRequest { job: 0 }).await.unwrap_err(),
        world.try_results(v1::ResultsRequest { job: 99, ..v1::ResultsRequest::default() }).await.unwrap_err(),
        world
            .jobs()
            .feed(tokio_stream::iter([v1::FeedRequest { job: 99, ..Default::default() }]))
            .await
            .unwrap_err(),
    ] {
        assert_refused(&status, Code::NotFound, "job");
    }
    assert_eq!(rejected(&world, "not_found").await, 6);
}

#[tokio::test]
async fn feeds() {
    let world = world().await;
    let closed = world.submit(world.spec(1).await).await;
    let open = v1::JobSpec { open: true, has_inputs: true, ..world.spec(0).await };
    let job = world.submit(open).await;
    let items = |count: usize| Some(Items::of(vec!["x"; count]).into_packed());
    let feed = |job, count, inputs| v1::FeedRequest { job, count, inputs, seal: false };
    let crooked = Packed { width: 0, lengths: vec![5, 5], data: Bytes::from_static(b"short") };
    let huge = Packed { width: (33 << 20) as u32, lengths: Vec::new(), data: vec![0; 33 << 20].into() };
    for (message, code, field) in [
        (feed(0, 1, items(1)), Code::InvalidArgument, "job"),
        (feed(closed, 1, items(1)), Code::FailedPrecondition, "job"),
        (feed(job, 1, None), Code::InvalidArgument, "inputs"),
        (feed(job, 2, items(1)), Code::InvalidArgument, "inputs"),
        (feed(job, u64::MAX, items(1)), Code::ResourceExhausted, "count"),
        (feed(job, 2, Some(crooked)), Code::InvalidArgument, "inputs"),
        (feed(job, 1, Some(huge)), Code::ResourceExhausted, "inputs"),
    ] {
        let status = async {
            let mut client = world.jobs();
            soon(client.feed(tokio_stream::iter([message]))).await?.into_inner().message().await
        };
        assert_refused(&status.await.unwrap_err(), code, field);
    }
    let over =
        feed(job, 1, Some(Packed { width: 65 << 20, lengths: Vec::new(), data: vec![0; 65 << 20].into() }));
    let mut client = world.jobs();
    let status = soon(client.feed(tokio_stream::iter([over]))).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert_eq!(world.status(job).await.tasks, 0);
}

#[tokio::test]
async fn a_message_over_the_limit() {
    let world = world().await;
    let mut spec = world.spec(1).await;
    spec.params = vec![b' '; 65 << 20].into();
    let status = world.submit_as("large", spec).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert_eq!(rejected(&world, "too_much").await, 1);
}

#[tokio::test]
async fn results_that_were_not_kept() {
    let world = world().await;
    let outputs = v1::Outputs::Checksum.into();
    let job = world.submit(v1::JobSpec { outputs, ..world.spec(5).await }).await;
    tokio::spawn(Worker::attach(&world, 1).await.serve(indexes));
    let status = world.ended(job).await;
    assert_eq!((status.ok, status.output_bytes), (5, 40));
    assert_ne!(status.checksum, 0);
    let refused =
        world.try_results(v1::ResultsRequest { job, ..v1::ResultsRequest::default() }).await.unwrap_err();
    assert_refused(&refused, Code::FailedPrecondition, "job");
}

#[tokio::test]
async fn hellos() {
    let world = world().await;
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
        (|hello| hello.host = "x".repeat(1_000), Code::ResourceExhausted, "host"),
    ] {
        let mut hello = hello(1);
        change(&mut hello);
        let status = Worker::attach_as(&world, hello).await.err().unwrap();
        assert_refused(&status, code, field);
    }
    let beat = message(from_worker::Kind::Heartbeat(v1::Heartbeat::default()));
    let status = Worker::attach_with(&world, beat).await.err().unwrap();
    assert_refused(&status, Code::InvalidArgument, "hello");
    let status = Worker::attach_with(&world, v1::FromWorker { kind: None }).await.err().unwrap();
    assert_refused(&status, Code::InvalidArgument, "hello");
    assert_eq!(
        world.cluster().workers(v1::WorkersRequest { all: true }).await.unwrap().into_inner().workers,
        []
    );
    let info = world.cluster().info(v1::InfoRequest { protocol: 2 }).await.unwrap_err();
    assert_refused(&info, Code::FailedPrecondition, "protocol is 2");
}

/// A report about a lease that it should not be made of.
type Bad<'a> = dyn Fn(&v1::Grant) -> v1::Report + 'a;

/// Reports that end the stream; the job goes on as if nothing had been said.
#[tokio::test]
async fn reports_that_break_the_protocol() {
    let world = world().await;
    let job = world.submit(world.spec(1_000).await).await;
    let index = |index| (index, Items::of([[0u8; 8]; 2]).into_packed());
    let bad: &[(&Bad<'_>, Code, &str)] = &[
        (&|grant| v1::Report { epoch: 77, ..indexes(grant) }, Code::Aborted, "epoch is 77"),
        (
            &|grant| {
                let (start, results) = index(grant.start);
                v1::Report { blocks: vec![block_of(grant.lease, start, 1, results)], ..v1::Report::default() }
            },
            Code::InvalidArgument,
            "results",
        ),
        (
            &|grant| v1::Report {
                blocks: vec![block_of(grant.lease, u64::MAX - 1, 9, Packed::default())],
                ..v1::Report::default()
            },
            Code::ResourceExhausted,
            "results.count",
        ),
        (
            &|grant| v1::Report {
                blocks: vec![block_of(grant.lease, 0, 0, Packed::default())],
                ..v1::Report::default()
            },
            Code::InvalidArgument,
            "results.count",
        ),
        (
            &|grant| v1::Report {
                failures: vec![v1::TaskFailure {
                    lease: grant.lease,
                    index: 0,
                    class: 99,
                    message: String::new(),
                }],
                ..v1::Report::default()
            },
            Code::InvalidArgument,
            "class",
        ),
        (
            &|_| {
                let dispatch =
                    Some(v1::Sketch { buckets: vec![u32::MAX], counts: vec![1], ..v1::Sketch::default() });
                v1::Report {
                    phases: vec![v1::PhaseStats { job: 1, dispatch, ..Default::default() }],
                    ..Default::default()
                }
            },
            Code::ResourceExhausted,
            "sketch.buckets",
        ),
        (
            &|_| v1::Report {
                exits: vec![v1::ExecutorExit { job: 1, cause: "bored".into(), detail: String::new() }],
                ..v1::Report::default()
            },
            Code::InvalidArgument,
            "cause",
        ),
    ];
    for (report, code, field) in bad {
        let mut worker = Worker::attach(&world, 1).await;
        let grant = worker.take_grant().await;
        let mut report = report(&grant);
        // A good part beside the bad one does not count either.
        report.blocks.extend(indexes(&grant).blocks);
        if report.epoch == 0 {
            report.epoch = worker.epoch;
        }
        worker.send(from_worker::Kind::Report(report)).await;
        assert_refused(&worker.take_end().await.unwrap(), *code, field);
        assert_eq!(world.status(job).await.ok, 0, "{field}");
    }
    let mut twice = Worker::attach(&world, 1).await;
    twice.send(from_worker::Kind::Hello(hello(1))).await;
    assert_refused(&twice.take_end().await.unwrap(), Code::InvalidArgument, "hello");
    let mut large = Worker::attach(&world, 1).await;
    let grant = large.take_grant().await;
    let results = Packed { width: 65 << 20, lengths: Vec::new(), data: vec![0; 65 << 20].into() };
    large
        .report(v1::Report { blocks: vec![block_of(grant.lease, 0, 1, results)], ..v1::Report::default() })
        .await;
    assert_eq!(large.take_end().await.unwrap().code(), Code::ResourceExhausted);
    assert_eq!(world.status(job).await.ok, 0);
    assert!(rejected(&world, "stale").await >= 1);
    assert!(rejected(&world, "invalid").await >= 4);
    assert!(rejected(&world, "too_much").await >= 3);
}

/// Reports that come late, twice or for what the worker does not have: dropped and counted, nothing more.
#[tokio::test]
async fn reports_that_are_dropped() {
    let world = world().await;
    let job = world.submit(world.spec(100).await).await;
    let mut worker = Worker::attach(&world, 1).await;
    let grant = worker.take_grant().await;
    let beyond = v1::Grant { start: grant.start + grant.count, ..grant.clone() };
    let unknown = v1::Grant { lease: 12_345, ..grant.clone() };
    for report in [indexes(&unknown), indexes(&beyond), indexes(&grant), indexes(&grant)] {
        worker.report(report).await;
    }
    worker
        .report(v1::Report {
            returned: vec![v1::Returned { lease: 12_345, start: 0, count: 1 }],
            troubles: vec![v1::JobTrouble { job: 999, message: "what".into() }],
            phases: vec![v1::PhaseStats { job: 999, ..v1::PhaseStats::default() }],
            ..v1::Report::default()
        })
        .await;
    let others = std::mem::take(&mut worker.grants);
    tokio::spawn(async move {
        for grant in others {
            worker.report(indexes(&grant)).await;
        }
        worker.serve(indexes).await;
    });
    let status = world.ended(job).await;
    assert_eq!(status.ok, 100);
    let expected: u64 = (0..100u64).fold(0, |sum, index| {
        sum.wrapping_add(muster_coordinator::checksum::of_task(index, &index.to_le_bytes()))
    });
    assert_eq!(status.checksum, expected, "each result counts once");
    assert!(counter(&world, "muster_dropped_reports_total{reason=\"stale_lease\"}").await >= 2);
}

#[tokio::test]
async fn the_same_incarnation_again_replaces_the_dead_stream() {
    let world = world().await;
    let hello = hello(1);
    let mut first = Worker::attach_as(&world, hello.clone()).await.unwrap();
    let second = Worker::attach_as(&world, hello).await.unwrap();
    assert_refused(&first.take_end().await.unwrap(), Code::Aborted, "incarnation");
    let workers = world.cluster().workers(v1::WorkersRequest::default()).await.unwrap().into_inner().workers;
    assert_eq!(workers.iter().map(|worker| worker.worker).collect::<Vec<_>>(), [second.id]);
}

#[tokio::test]
async fn a_worker_that_does_not_read_is_disconnected() {
    let world = world().await;
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

#[tokio::test]
async fn tls_needs_the_token() {
    let world = World::with(|folder, config| {
        config.listen = Some("127.0.0.1:0".into());
        config.keys = Some(folder.join("keys"));
        config.http = Some("127.0.0.1:0".into());
    })
    .await;
    let join = world.running.join_string().unwrap();
    let target = Target::parse(join).unwrap();
    let link = connect(&target).await.unwrap();
    let mut cluster = v1::cluster_client::ClusterClient::new(link);
    assert_eq!(cluster.info(v1::InfoRequest { protocol: 1 }).await.unwrap().into_inner().workers, 0);
    let refused = cluster.shutdown(v1::ShutdownRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    let Target::Tls { address, pin, token: _ } = target else { panic!("{target}") };
    let wrong = Target::Tls { address, pin, token: muster_proto::link::Token([1; 32]) };
    let error = connect(&wrong).await.unwrap_err();
    assert!(error.to_string().contains("token"), "{error}");
    assert_eq!(rejected(&world, "unauthenticated").await, 2);
}

#[tokio::test]
async fn a_client_stops_it_through_its_socket() {
    let mut world = world().await;
    world.cluster().shutdown(v1::ShutdownRequest {}).await.unwrap();
    soon(world.running.wait()).await.unwrap();
    assert!(!world.folder.path().join("socket").exists());
}

#[tokio::test]
async fn a_state_folder_has_one_coordinator() {
    let world = World::durable().await;
    let mut config = muster_coordinator::Config::private(world.folder.path().join("other"));
    config.state = Some(world.folder.path().join("state"));
    let error = Coordinator::start(config).await.err().unwrap();
    assert!(error.to_string().contains("in use by another coordinator"), "{error}");
}

#[tokio::test]
async fn pages_for_machines() {
    let world = world().await;
    let address = world.running.http_addr.unwrap().to_string();
    assert!(get(&address, "/healthz").await.ends_with("ok\n"));
    let job = world.submit(world.spec(3).await).await;
    tokio::spawn(Worker::attach(&world, 2).await.serve(indexes));
    world.ended(job).await;
    let page = world.metrics().await;
    for expected in [
        "muster_tasks_total{plugin=\"fake\",outcome=\"ok\"} 3",
        "muster_workers{state=\"up\"} 1",
        "muster_slots{state=\"idle\"} 2",
        "muster_queue_tasks 0",
        "muster_task_phase_seconds_count{plugin=\"fake\",phase=\"queue\"} 3",
        "muster_build_info{version=",
        "process_cpu_seconds_total",
    ] {
        assert!(page.contains(expected), "{expected} is not in\n{page}");
    }
    assert!(get(&address, "/nothing").await.starts_with("HTTP/1.1 404"));
    check_with_promtool(page.split_once("\r\n\r\n").unwrap().1);
}

fn check_with_promtool(page: &str) {
    let found = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match found {
        Ok(promtool) => promtool,
        Err(error) => {
            assert!(std::env::var_os("MUSTER_REQUIRE_ALL").is_none(), "promtool: {error}");
            eprintln!("SKIPPED: promtool is not there, the metrics page was not checked with it");
            return;
        }
    };
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{page}", String::from_utf8_lossy(&output.stderr));
}
