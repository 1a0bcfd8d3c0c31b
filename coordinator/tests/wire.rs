//! Bad input, part 3: the wire. What is wrong is refused with the field named, changes nothing, and is counted.
//!
//! | item of issue 1 | code | test |
//! |---|---|---|
//! | messages over the limit | `RESOURCE_EXHAUSTED` | `messages_over_the_limit`; a report: `reports_that_break_the_protocol` |
//! | unknown ids: job, plugin, worker | `NOT_FOUND` | `ids_that_are_not_there`; a plugin in `submissions` |
//! | fields that are wrong, oversized counts | `INVALID_ARGUMENT`, `RESOURCE_EXHAUSTED` | `submissions`, `feeds`, `plugins_that_are_not_what_they_say`; of workers: `hellos`, `reports_that_break_the_protocol`, `other_messages_that_break_the_protocol` |
//! | stale epoch | `ABORTED` | `reports_that_break_the_protocol` |
//! | stale incarnation | `ABORTED` | `a_stale_incarnation_is_told_so` |
//! | stale or unknown lease | dropped, the stream goes on | `reports_that_are_dropped` |
//! | results out of range or twice | dropped; beyond any job: `RESOURCE_EXHAUSTED` | `reports_that_are_dropped`, `reports_that_break_the_protocol` |
//!
//! The tests of workers' messages are in `worker_wire.rs`. That nothing at all of the scheduler changes is
//! `lies_change_nothing` in `core/tests/cluster`; each check alone is in `proto/tests/convert.rs`. Part 1, plugin files,
//! is `tests/bad_plugins.rs`; part 2, the command line, `tests/usage.rs`.
#![allow(clippy::unwrap_used)]

mod fixture;

use bytes::Bytes;
use fixture::{Worker, World, get, indexes, soon};
use muster_coordinator::Coordinator;
use muster_proto::link::{Identities, Target, connect_by};
use muster_proto::packed::{Items, Packed};
use muster_proto::v1;
use std::io::Write;
use std::process::{Command, Stdio};
use tonic::{Code, Status};

#[tokio::test]
async fn submissions() {
    let world = World::counted().await;
    let good = world.spec(10).await;
    let with = |change: &dyn Fn(&mut v1::JobSpec)| {
        let mut spec = good.clone();
        change(&mut spec);
        spec
    };
    let digest = |bytes: &'static [u8]| {
        with(&move |spec| spec.plugin.as_mut().unwrap().digest = Bytes::from_static(bytes))
    };
    let shape = |model: i32, processes, threads| {
        with(&move |spec| spec.shape = Some(v1::Shape { model, processes, threads, ..v1::Shape::default() }))
    };
    let arrivals =
        |rate_per_s, pattern| with(&move |spec| spec.arrivals = Some(v1::Arrivals { rate_per_s, pattern }));
    for (field, spec, code) in [
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
        ("spec.label", with(&|spec| spec.label = "a\nb".into()), Code::InvalidArgument),
        ("spec.label", with(&|spec| spec.label = "x".repeat(1_000)), Code::ResourceExhausted),
        ("plugin", with(&|spec| spec.plugin = None), Code::InvalidArgument),
        ("plugin.name", with(&|spec| spec.plugin.as_mut().unwrap().name.clear()), Code::InvalidArgument),
        ("plugin.digest", digest(b"short"), Code::InvalidArgument),
        ("plugin fake with digest 0000", digest(&[0; 32]), Code::NotFound),
        ("shape.model", shape(99, 1, 1), Code::InvalidArgument),
        ("shape.processes", shape(v1::Model::Thread.into(), 2, 1), Code::InvalidArgument),
        ("shape.threads", shape(v1::Model::Process.into(), 1, 3), Code::InvalidArgument),
        ("shape.processes", shape(v1::Model::Hybrid.into(), u32::MAX, 1), Code::ResourceExhausted),
        ("shape.threads", shape(v1::Model::Hybrid.into(), 1, u32::MAX), Code::ResourceExhausted),
        ("spec.arrivals.rate_per_s", arrivals(0.0, 1), Code::InvalidArgument),
        ("spec.arrivals.rate_per_s", arrivals(f64::NAN, 1), Code::InvalidArgument),
        ("spec.arrivals.rate_per_s", arrivals(2e6, 2), Code::InvalidArgument),
        ("arrivals.pattern", arrivals(1.0, 77), Code::InvalidArgument),
        ("spec.task_samples", with(&|spec| spec.task_samples = 10_001), Code::ResourceExhausted),
        ("spec.sandbox", with(&|spec| spec.sandbox = 77), Code::InvalidArgument),
    ] {
        world.refuses(code, field, world.submit_as("bad", spec)).await;
    }
    for (code, request_id) in [
        (Code::InvalidArgument, ""),
        (Code::InvalidArgument, "a\tb"),
        (Code::ResourceExhausted, &*"x".repeat(300)),
    ] {
        world.refuses(code, "request_id", world.submit_as(request_id, good.clone())).await;
    }
    let nothing = v1::SubmitRequest { request_id: "none".into(), spec: None };
    world.refuses(Code::InvalidArgument, "spec is missing", world.jobs().submit(nothing)).await;
}

#[tokio::test]
async fn what_the_plugin_does_not_do() {
    let world = World::counted().await;
    let file =
        fixture::fake_plugin(r#"{"muster":1,"name":"plain","version":"1","input":"none","reduce":false}"#);
    let plugin = world.push(&file).await.unwrap().plugin.unwrap().plugin;
    let spec = v1::JobSpec { plugin, tasks: 1, ..v1::JobSpec::default() };
    let reduce = v1::JobSpec { reduce: true, ..spec.clone() };
    world.refuses(Code::FailedPrecondition, "spec.reduce", world.submit_as("a", reduce)).await;
    let inputs = v1::JobSpec { tasks: 0, open: true, has_inputs: true, ..spec };
    world.refuses(Code::FailedPrecondition, "spec.has_inputs", world.submit_as("b", inputs)).await;
}

#[tokio::test]
async fn plugins_that_are_made_to_harm_need_leave() {
    let manifest = r#"{"muster":1,"name":"bomb","version":"1","flags":["concurrent","chaos"]}"#;
    let file = fixture::fake_plugin(manifest);
    let shared = World::counted_with(|config| config.allow_chaos = false).await;
    let plugin = shared.push(&file).await.unwrap().plugin.unwrap().plugin;
    let spec = v1::JobSpec { plugin, tasks: 1, ..v1::JobSpec::default() };
    shared.refuses(Code::FailedPrecondition, "spec.plugin", shared.submit_as("a", spec.clone())).await;
    let refused = shared.submit_as("a", spec.clone()).await.unwrap_err();
    assert!(refused.message().contains("--allow-chaos"), "{refused}");
    assert!(
        shared.jobs().list(v1::ListJobsRequest { limit: 10 }).await.unwrap().into_inner().jobs.is_empty()
    );
    // A private cluster, and one that was told to, take it.
    let private = World::start().await;
    private.push(&file).await.unwrap();
    private.submit(spec).await;
}

#[tokio::test]
async fn ids_that_are_not_there() {
    let world = World::counted().await;
    world.plugin().await;
    for job in [0, 99, u64::MAX] {
        let asked = v1::JobRequest { job };
        let (mut jobs, mut others) = (world.jobs(), world.jobs());
        world.refuses(Code::NotFound, "job", jobs.get(asked)).await;
        world.refuses(Code::NotFound, "job", others.watch(asked)).await;
        world.refuses(Code::NotFound, "job", jobs.cancel(asked)).await;
        let results = v1::ResultsRequest { job, ..v1::ResultsRequest::default() };
        world.refuses(Code::NotFound, "job", world.try_results(results)).await;
        let feed = tokio_stream::iter([v1::FeedRequest { job, count: 1, ..v1::FeedRequest::default() }]);
        let code = if job == 0 { Code::InvalidArgument } else { Code::NotFound };
        world.refuses(code, "job", jobs.feed(feed)).await;
    }
    // A name that is as long as a message: it is not repeated as a whole.
    let long = "x".repeat(1 << 20);
    for query in ["nobody", "fake@9.9.9", "00000000", "", "a\nb", &long] {
        let (find, remove) =
            (v1::FindPluginRequest { query: query.into() }, v1::RemovePluginRequest { query: query.into() });
        world.refuses(Code::NotFound, "plugin", world.plugins().find(find)).await;
        world.refuses(Code::NotFound, "plugin", world.plugins().remove(remove)).await;
        let drain = v1::DrainRequest { worker: query.into(), deadline_ms: 0 };
        world.refuses(Code::NotFound, "worker", world.cluster().drain(drain)).await;
    }
    for digest in [&[][..], &[7; 32], &[7; 100_000]] {
        let pull = v1::PullRequest { digest: Bytes::from_static(digest) };
        world.refuses(Code::NotFound, "plugin", world.plugins().pull(pull)).await;
    }
}

#[tokio::test]
async fn feeds() {
    let world = World::counted().await;
    let closed = world.submit(world.spec(1).await).await;
    let open = v1::JobSpec { open: true, has_inputs: true, ..world.spec(0).await };
    let job = world.submit(open.clone()).await;
    let sealed = world.submit(open).await;
    let items = |count: usize| Some(Items::of(vec!["x"; count]).into_packed());
    let feed = |job, count, inputs| v1::FeedRequest { job, count, inputs, seal: false, start: None };
    let send = async |messages: Vec<v1::FeedRequest>| {
        let mut client = world.jobs();
        let mut replies = client.feed(tokio_stream::iter(messages)).await?.into_inner();
        while soon(replies.message()).await?.is_some() {}
        Ok::<_, Status>(())
    };
    send(vec![v1::FeedRequest { seal: true, ..feed(sealed, 1, items(1)) }]).await.unwrap();
    let crooked = Packed { width: 0, lengths: vec![5, 5], data: Bytes::from_static(b"short") };
    let both = Packed { width: 1, lengths: vec![1], data: Bytes::from_static(b"x") };
    let of_width =
        |bytes: usize| Packed { width: bytes as u32, lengths: Vec::new(), data: vec![0; bytes].into() };
    for (message, code, field) in [
        (feed(closed, 1, items(1)), Code::FailedPrecondition, "job"),
        (feed(sealed, 1, items(1)), Code::FailedPrecondition, "job"),
        (feed(job, 1, None), Code::InvalidArgument, "inputs"),
        (feed(job, 2, items(1)), Code::InvalidArgument, "inputs"),
        (feed(job, u64::MAX, items(1)), Code::ResourceExhausted, "count"),
        (feed(job, 2, Some(crooked)), Code::InvalidArgument, "inputs"),
        (feed(job, 1, Some(both)), Code::InvalidArgument, "inputs"),
        (feed(job, 1, Some(of_width(33 << 20))), Code::ResourceExhausted, "inputs"),
    ] {
        world.refuses(code, field, send(vec![message])).await;
    }
    // A stream feeds one job; what it said first is fed all the same.
    world
        .refuses(Code::InvalidArgument, "job", send(vec![feed(job, 0, None), feed(closed, 1, items(1))]))
        .await;
}

#[tokio::test]
async fn messages_over_the_limit() {
    const LIMIT: &str = "Error, decoded message length too large";
    let world = World::counted().await;
    let spec = world.spec(1).await;
    let job = world.submit(v1::JobSpec { tasks: 0, open: true, has_inputs: true, ..spec.clone() }).await;
    let data = Bytes::from(vec![b' '; 65 << 20]);
    let large = v1::JobSpec { params: data.clone(), ..spec };
    world.refuses(Code::ResourceExhausted, LIMIT, world.submit_as("large", large)).await;
    let inputs = Some(Packed { width: 65 << 20, lengths: Vec::new(), data: data.clone() });
    let feed = v1::FeedRequest { job, count: 1, inputs, seal: false, start: None };
    world.refuses(Code::ResourceExhausted, LIMIT, world.jobs().feed(tokio_stream::iter([feed]))).await;
    let push = v1::PushRequest { digest: vec![0; 32].into(), size: 65 << 20, chunk: data };
    world.refuses(Code::ResourceExhausted, LIMIT, world.plugins().push(tokio_stream::iter([push]))).await;
    let query = "x".repeat(65 << 20);
    let mut plugins = world.plugins();
    world.refuses(Code::ResourceExhausted, LIMIT, plugins.find(v1::FindPluginRequest { query })).await;
}

#[tokio::test]
async fn plugins_that_are_not_what_they_say() {
    let world = World::counted().await;
    let manifest = |name| format!(r#"{{"muster":1,"name":"{name}","version":"1.0.0","input":"none"}}"#);
    let good = fixture::fake_plugin(&manifest("good"));
    world.push(&fixture::fake_plugin(&manifest("there"))).await.unwrap();
    let digest = Bytes::copy_from_slice(blake3::hash(&good).as_bytes());
    let size = good.len() as u64;
    for (digest, size, code, field) in [
        (Bytes::from_static(&[1; 32]), size, Code::InvalidArgument, "digest"),
        (Bytes::from_static(b"x"), size, Code::InvalidArgument, "digest"),
        (digest.clone(), size - 1, Code::InvalidArgument, "chunk"),
        (digest.clone(), size + 1, Code::InvalidArgument, "chunk"),
        (digest.clone(), 0, Code::InvalidArgument, "size"),
        (digest.clone(), (256 << 20) + 1, Code::ResourceExhausted, "size"),
        (digest.clone(), u64::MAX, Code::ResourceExhausted, "size"),
    ] {
        world.refuses(code, field, world.push_as(&good, digest, size)).await;
    }
    for (file, field) in
        [(b"hello".to_vec(), "the file is not"), (good[..100].to_vec(), "the file is damaged")]
    {
        world.refuses(Code::InvalidArgument, field, world.push(&file)).await;
    }
    let bad = fixture::fake_plugin("{}");
    world.refuses(Code::InvalidArgument, "the manifest is wrong", world.push(&bad)).await;
    let mut other = fixture::fake_plugin(&manifest("there"));
    other.push(0);
    world.refuses(Code::AlreadyExists, "plugin there@1.0.0", world.push(&other)).await;
    let nothing = tokio_stream::iter(Vec::<v1::PushRequest>::new());
    world.refuses(Code::InvalidArgument, "digest is missing", world.plugins().push(nothing)).await;
    let mut plugins = world.plugins();
    world.refuses(Code::NotFound, "plugin", plugins.pull(v1::PullRequest { digest })).await;
}

#[tokio::test]
async fn questions_about_logs_and_failures() {
    let world = World::counted().await;
    let job = world.submit(world.spec(5).await).await;
    let logs = |change: &dyn Fn(&mut v1::LogsRequest)| {
        let mut asked = v1::LogsRequest { job, ..v1::LogsRequest::default() };
        change(&mut asked);
        asked
    };
    for (code, field, asked) in [
        (Code::ResourceExhausted, "last", logs(&|asked| asked.last = u64::MAX)),
        (Code::ResourceExhausted, "index", logs(&|asked| (asked.one, asked.index) = (true, u64::MAX))),
        (Code::InvalidArgument, "failed", logs(&|asked| (asked.failed, asked.follow) = (true, true))),
        (Code::NotFound, "job is 77", logs(&|asked| asked.job = 77)),
    ] {
        let mut jobs = world.jobs();
        world.refuses(code, field, async move { jobs.logs(asked).await.map(drop) }).await;
    }
    let why = |change: &dyn Fn(&mut v1::WhyRequest)| {
        let mut asked = v1::WhyRequest { job, ..v1::WhyRequest::default() };
        change(&mut asked);
        asked
    };
    for (code, field, asked) in [
        (Code::ResourceExhausted, "limit", why(&|asked| asked.limit = u32::MAX)),
        (Code::ResourceExhausted, "index", why(&|asked| (asked.one, asked.index) = (true, u64::MAX))),
        (Code::NotFound, "job is 77", why(&|asked| asked.job = 77)),
    ] {
        world.refuses(code, field, world.jobs().why(asked)).await;
    }
    let samples = v1::TaskSamplesRequest { job: 77 };
    world.refuses(Code::NotFound, "job is 77", world.jobs().task_samples(samples)).await;
    let case = |job, index| v1::CaseRequest { job, index };
    for (code, field, asked) in [
        (Code::ResourceExhausted, "index", case(job, u64::MAX)),
        (Code::NotFound, "index is 5: job 1 has 5 tasks", case(job, 5)),
        (Code::NotFound, "job is 77", case(77, 0)),
    ] {
        world.refuses(code, field, world.jobs().case(asked)).await;
    }
}

#[tokio::test]
async fn jobs_of_one_task_among_many() {
    let world = World::counted().await;
    let spec =
        v1::JobSpec { only: Some(v1::OnlyTask { index: 3, input: Bytes::new() }), ..world.spec(5).await };
    let wrong = |change: &dyn Fn(&mut v1::JobSpec)| {
        let mut spec = spec.clone();
        change(&mut spec);
        spec
    };
    let input = |len: usize| Some(v1::OnlyTask { index: 3, input: vec![0; len].into() });
    for (code, field, spec) in [
        (Code::InvalidArgument, "spec.only.index", wrong(&|spec| spec.tasks = 3)),
        (Code::InvalidArgument, "spec.only", wrong(&|spec| (spec.open, spec.tasks) = (true, 0))),
        (Code::InvalidArgument, "spec.only", wrong(&|spec| spec.reduce = true)),
        (Code::InvalidArgument, "spec.only.input", wrong(&|spec| spec.only = input(1))),
        (
            Code::ResourceExhausted,
            "spec.only.input",
            wrong(&|spec| (spec.has_inputs, spec.only) = (true, input((32 << 20) + 1))),
        ),
    ] {
        world.refuses(code, field, world.submit_as("only", spec)).await;
    }
}

#[tokio::test]
async fn results_that_were_not_kept() {
    let world = World::counted().await;
    let outputs = v1::Outputs::Checksum.into();
    let job = world.submit(v1::JobSpec { outputs, ..world.spec(5).await }).await;
    tokio::spawn(Worker::attach(&world, 1).await.serve(indexes));
    let status = world.ended(job).await;
    assert_eq!((status.ok, status.output_bytes), (5, 40));
    assert_ne!(status.checksum, 0);
    let asked = v1::ResultsRequest { job, ..v1::ResultsRequest::default() };
    world.refuses(Code::FailedPrecondition, "job", world.try_results(asked)).await;
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
    let link = connect_by(&Identities::in_memory(), &target).await.unwrap();
    let mut cluster = v1::cluster_client::ClusterClient::new(link);
    assert_eq!(cluster.info(v1::InfoRequest { protocol: 1 }).await.unwrap().into_inner().workers, 0);
    let refused = cluster.shutdown(v1::ShutdownRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    let Target::Tls { address, pin, token: _ } = target else { panic!("{target}") };
    let wrong = Target::Tls { address, pin, token: muster_proto::link::Token([1; 32]) };
    let error = connect_by(&Identities::in_memory(), &wrong).await.unwrap_err();
    assert!(error.to_string().contains("token"), "{error}");
    assert_eq!(world.rejected("unauthenticated").await, 2);
}

#[tokio::test]
async fn a_client_stops_it_through_its_socket() {
    let mut world = World::counted().await;
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
    let world = World::counted().await;
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
        "muster_queue_tasks{plugin=\"fake\",priority=\"normal\"} 0",
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
