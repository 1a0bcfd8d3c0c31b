//! What goes over the wire comes back as it was, and what a peer must not send is refused with the field's name.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use muster_core::agent::ExitCause;
use muster_core::arrivals::{Arrivals, Pattern};
use muster_core::id::{Epoch, JobId, LeaseId};
use muster_core::page::LEASE_TASKS_MAX;
use muster_core::range::IndexRange;
use muster_core::reduce::Block;
use muster_core::sandbox::Level;
use muster_core::scheduler::{FailureClass, Grant, GrantKind, JobSpec, RetryPolicy};
use muster_core::shape::{Flow, Gil, Shape, ShapeRequest};
use muster_core::sketch::Sketch;
use muster_core::time::Span;
use muster_proto::convert::{
    self, Cause, ConvertError, EVIDENCE_TEXT_MAX_BYTES, Evidence, FRAMES_MAX, Feed, Frame, GrantIn,
    Heartbeat, Hello, JobOpen, LAST_LINES_MAX, Limits, Outputs, Phases, PluginRef, Report, Submission,
    TASKS_MAX, Welcome, Work, clip, evidence_to_wire, grant_to_wire, job_open_to_wire, job_spec_to_wire,
    limits_to_wire, phases_to_wire,
};
use muster_proto::packed::Items;
use muster_proto::{PROTOCOL_VERSION, v1};
use proptest::prelude::*;
use prost::Message;
use tonic::{Code, Status};

fn plugin() -> PluginRef {
    PluginRef { name: "primes".into(), version: "0.1.0".into(), digest: [9; 32], size: 12 }
}

fn hello() -> v1::WorkerHello {
    v1::WorkerHello {
        protocol: PROTOCOL_VERSION,
        name: "w1".into(),
        slots: 2,
        target: "x86_64-unknown-linux-gnu".into(),
        ..v1::WorkerHello::default()
    }
}

fn submit() -> v1::SubmitRequest {
    let plugin = Some(convert::plugin_to_wire(&plugin()));
    v1::SubmitRequest {
        request_id: "r".into(),
        spec: Some(v1::JobSpec { plugin, tasks: 5, ..v1::JobSpec::default() }),
    }
}

fn run_grant() -> v1::Grant {
    v1::Grant { lease: 1, job: 2, start: 3, count: 4, attempt: 1, kind: 1, ..v1::Grant::default() }
}

fn combine_grant() -> v1::Grant {
    let blocks = vec![v1::Block { start: 0, count: 2 }, v1::Block { start: 2, count: 2 }];
    let inputs = Some(Items::of(["left", "right"]).into_packed());
    v1::Grant { start: 0, kind: 2, blocks, inputs, ..run_grant() }
}

/// Refuses `change`d messages, naming `field`.
fn refuses<W: Default, T: TryFrom<W, Error = ConvertError>>(
    good: impl Fn() -> W,
    field: &str,
    change: impl Fn(&mut W),
) {
    assert!(T::try_from(good()).is_ok(), "the unchanged message passes");
    let mut wire = good();
    change(&mut wire);
    let Err(error) = T::try_from(wire) else { panic!("{field} was taken") };
    assert_eq!(error.field, field, "{error}");
    assert!(!error.to_string().contains('\n'), "one line: {error}");
    let status = Status::from(error.clone());
    let code = if error.too_much { Code::ResourceExhausted } else { Code::InvalidArgument };
    assert_eq!(status.code(), code);
    assert!(status.message().contains(field), "{status}");
}

#[test]
fn a_worker_must_say_who_it_is() {
    let refuses = |field, change: fn(&mut v1::WorkerHello)| refuses::<_, Hello>(hello, field, change);
    refuses("protocol", |it| it.protocol = 99);
    refuses("name", |it| it.name.clear());
    refuses("name", |it| it.name = "x".repeat(1000));
    refuses("name", |it| it.name = "a\nb".into());
    refuses("slots", |it| it.slots = 0);
    refuses("slots", |it| it.slots = u32::MAX);
    refuses("target", |it| it.target.clear());
    refuses("host", |it| it.host = "\u{1b}[2J".into());
    refuses("grants", |it| it.grants = vec!["net\nwork".into()]);
}

#[test]
fn a_heartbeat_must_be_of_this_world() {
    let progress = |job, tasks| v1::JobProgress { job, tasks };
    let good = || v1::Heartbeat {
        busy_slots: 2,
        executors: 1,
        pss_bytes: 1 << 30,
        progress: vec![progress(3, 0.5), progress(4, 2.0)],
    };
    assert_eq!(Heartbeat::try_from(good()).unwrap().progress, [(JobId(3), 0.5), (JobId(4), 2.0)].into());
    refuses::<_, Heartbeat>(good, "busy_slots", |it| it.busy_slots = u32::MAX);
    refuses::<_, Heartbeat>(good, "executors", |it| it.executors = u32::MAX);
    refuses::<_, Heartbeat>(good, "pss_bytes", |it| it.pss_bytes = u64::MAX);
    for tasks in [-0.5, 1e6, f64::INFINITY, f64::NAN] {
        refuses::<_, Heartbeat>(good, "progress.tasks", |it| it.progress[1].tasks = tasks);
    }
    refuses::<_, Heartbeat>(good, "progress (jobs)", |it| it.progress = vec![progress(1, 0.5); 20_000]);
}

#[test]
fn a_welcome_must_make_sense() {
    let good = || v1::Welcome {
        protocol: PROTOCOL_VERSION,
        epoch: 3,
        heartbeat_ms: 1000,
        lease_ms: 10_000,
        ..v1::Welcome::default()
    };
    refuses::<_, Welcome>(good, "protocol", |it| it.protocol = 0);
    refuses::<_, Welcome>(good, "heartbeat_ms", |it| it.heartbeat_ms = 0);
    refuses::<_, Welcome>(good, "heartbeat_ms", |it| it.lease_ms = 1000);
    assert_eq!(Welcome::try_from(good()).unwrap().epoch, Epoch(3));
}

#[test]
fn leases_are_checked() {
    let run = |field, change: fn(&mut v1::Grant)| refuses::<_, GrantIn>(run_grant, field, change);
    run("grants.kind", |it| it.kind = 0);
    run("grants.kind", |it| it.kind = 17);
    run("grants.count", |it| it.count = 0);
    run("grants.count", |it| it.count = LEASE_TASKS_MAX + 1);
    run("grants.count", |it| it.start = u64::MAX);
    run("grants.count", |it| it.start = TASKS_MAX - 3);
    run("grants.inputs", |it| it.inputs = Some(Items::of(["a"; 3]).into_packed()));
    let combine = |field, change: fn(&mut v1::Grant)| refuses::<_, GrantIn>(combine_grant, field, change);
    combine("block", |it| it.count = 3);
    combine("block", |it| it.start = 2);
    combine("block", |it| it.blocks[1].start = 1);
    combine("block", |it| it.blocks[1].start = u64::MAX - 1);
    combine("grants.blocks", |it| it.blocks.clear());
    combine("grants.inputs", |it| it.inputs = None);
}

#[test]
fn reports_are_checked() {
    let good = || v1::Report {
        epoch: 1,
        blocks: vec![v1::ResultBlock {
            lease: 1,
            start: 10,
            count: 2,
            skipped: vec![10],
            ..Default::default()
        }],
        failures: vec![v1::TaskFailure { index: 3, class: 1, ..Default::default() }],
        returned: vec![v1::Returned { lease: 1, start: 5, count: 0 }],
        phases: vec![v1::PhaseStats {
            run: Some(v1::Sketch { buckets: vec![1], counts: vec![2], sum_ns: 2, max_ns: 1 }),
            ..Default::default()
        }],
        exits: vec![v1::ExecutorExit { cause: "signal".into(), ..Default::default() }],
        ..Default::default()
    };
    let refuses = |field, change: fn(&mut v1::Report)| refuses::<_, Report>(good, field, change);
    refuses("results.count", |it| it.blocks[0].count = 0);
    refuses("results.count", |it| it.blocks[0].start = u64::MAX);
    refuses("busy_ns", |it| it.blocks[0].busy_ns = u64::MAX);
    refuses("skipped", |it| it.blocks[0].skipped = vec![12]);
    refuses("skipped", |it| it.blocks[0].skipped = vec![11, 10]);
    refuses("class", |it| it.failures[0].class = 0);
    refuses("index", |it| it.failures[0].index = TASKS_MAX);
    refuses("returned", |it| it.returned[0].count = u64::MAX);
    refuses("sketch", |it| it.phases[0].run.as_mut().unwrap().counts.clear());
    refuses("sketch.buckets", |it| it.phases[0].run.as_mut().unwrap().buckets[0] = 1 << 20);
    refuses("cause", |it| it.exits[0].cause = "bad luck".into());

    let mut long = good();
    long.failures[0].message = "\u{e4}".repeat(100_000);
    let cut = Report::try_from(long).unwrap().failures.remove(0).message;
    assert!(cut.len() <= convert::WORDS_MAX_BYTES && cut.ends_with('\u{e4}'));
}

#[test]
fn results_are_one_per_task_or_one_partial() {
    let block = |items: Items| {
        let results = Some(items.into_packed());
        let wire = v1::ResultBlock { lease: 1, start: 0, count: 2, results, ..Default::default() };
        convert::ResultBlock::try_from(wire).unwrap()
    };
    assert_eq!(block(Items::of(["a", "bc"])).into_items(false).unwrap().item(1), b"bc");
    assert_eq!(block(Items::of(["abc"])).into_items(true).unwrap().item(0), b"abc");
    assert_eq!(block(Items::of(["abc"])).into_items(false).unwrap_err().field, "results");
    assert_eq!(block(Items::of(["a", "bc"])).into_items(true).unwrap_err().field, "results");
    assert_eq!(block(Items::default()).into_items(false).unwrap().item(1), b"", "results without bytes");
}

#[test]
fn submissions_are_checked() {
    fn spec(it: &mut v1::SubmitRequest) -> &mut v1::JobSpec {
        it.spec.as_mut().unwrap()
    }
    let refuses = |field, change: fn(&mut v1::SubmitRequest)| refuses::<_, Submission>(submit, field, change);
    refuses("request_id", |it| it.request_id.clear());
    refuses("spec", |it| it.spec = None);
    refuses("spec.tasks", |it| spec(it).tasks = 0);
    refuses("spec.tasks", |it| spec(it).tasks = u64::MAX);
    refuses("spec.tasks", |it| spec(it).open = true);
    refuses("spec.tasks", |it| spec(it).has_inputs = true);
    refuses("spec.params (bytes)", |it| spec(it).params = vec![b' '; 2 << 20].into());
    refuses("spec.weight", |it| spec(it).weight = u32::MAX);
    refuses("spec.max_attempts", |it| spec(it).max_attempts = u32::MAX);
    refuses("spec.retry.crashed", |it| {
        spec(it).retry = Some(v1::RetryPolicy { crashed: 1_001, ..Default::default() })
    });
    refuses("spec.retry.backoff_ms", |it| {
        spec(it).retry = Some(v1::RetryPolicy { backoff_ms: 86_400_001, ..Default::default() });
    });
    refuses("spec.outputs", |it| spec(it).outputs = 9);
    refuses("spec.result_max_bytes", |it| spec(it).result_max_bytes = u64::MAX);
    refuses("spec.label", |it| spec(it).label = "\t".into());
    refuses("plugin", |it| spec(it).plugin = None);
    refuses("plugin.digest", |it| spec(it).plugin.as_mut().unwrap().digest = Bytes::new());
    refuses("plugin.name", |it| spec(it).plugin.as_mut().unwrap().name.clear());
    let shape =
        |model, processes, threads| Some(v1::Shape { model, processes, threads, ..v1::Shape::default() });
    assert_eq!(convert::shape_request(shape(9, 0, 0)).unwrap_err().field, "shape.model");
    assert_eq!(convert::shape_request(shape(1, 2, 0)).unwrap_err().field, "shape.processes");
    assert_eq!(convert::shape_request(shape(2, 0, 2)).unwrap_err().field, "shape.threads");
    assert_eq!(convert::shape_request(shape(3, u32::MAX, 2)).unwrap_err().field, "shape.processes");
    assert_eq!(convert::shape(shape(9, 1, 2)).unwrap_err().field, "shape.model");
    assert_eq!(convert::shape(shape(3, 0, 2)).unwrap_err().field, "shape");
    assert_eq!(convert::shape(shape(3, 65_536, 2)).unwrap_err().field, "shape");
    assert_eq!(convert::shape(None).unwrap_err().field, "shape");
    assert_eq!(convert::shape_request(shape(4, 1, 2)).unwrap_err().field, "shape.threads");
    let in_flight =
        v1::Shape { model: 5, processes: 1, threads: 1, in_flight: u32::MAX, ..Default::default() };
    assert_eq!(convert::shape_request(Some(in_flight)).unwrap_err().field, "shape.in_flight");
    assert_eq!(convert::shape(Some(in_flight)).unwrap_err().field, "shape.in_flight");
    let gil = |domains, switch_ns| Some(v1::Shape { gil: Some(v1::Gil { domains, switch_ns }), ..in_flight });
    assert_eq!(convert::gil(gil(u32::MAX, 0)).unwrap_err().field, "shape.gil.domains");
    assert_eq!(convert::gil(gil(0, u64::MAX)).unwrap_err().field, "shape.gil.switch_ns");
}

#[test]
fn a_feed_fits_its_job() {
    let two = || Some(Items::of(["a", "b"]).into_packed());
    let feed = |inputs, count| v1::FeedRequest { job: 1, inputs, count, seal: false, start: None };
    assert_eq!(Feed::try_new(feed(two(), 2), true).unwrap().inputs.unwrap().len(), 2);
    assert_eq!(Feed::try_new(feed(None, 7), false).unwrap().count, 7);
    assert!(Feed::try_new(feed(None, 0), true).is_ok(), "a seal alone");
    assert_eq!(Feed::try_new(feed(two(), 3), true).unwrap_err().field, "inputs");
    assert_eq!(Feed::try_new(feed(two(), 2), false).unwrap_err().field, "inputs");
    assert_eq!(Feed::try_new(feed(None, 2), true).unwrap_err().field, "inputs");
    assert_eq!(Feed::try_new(feed(None, u64::MAX), false).unwrap_err().field, "count");
    assert_eq!(Feed::job(&v1::FeedRequest::default()).unwrap_err().field, "job");
}

#[test]
fn leases_come_back_as_they_were() {
    let run = Grant {
        lease: LeaseId(7),
        job: JobId(8),
        range: IndexRange::new(100, 103),
        attempt: 2,
        kind: GrantKind::Run,
        speculative: false,
    };
    let blocks = vec![Block { start: 4, size: 2 }, Block { start: 6, size: 2 }];
    let combine = |finish| Grant {
        range: IndexRange::new(4, 8),
        kind: GrantKind::Combine { blocks: blocks.clone(), finish },
        ..run.clone()
    };
    let inputs = |count: usize| Some(Items::of((0..count).map(|n| vec![1; n])));
    for (grant, items) in [
        (run.clone(), None),
        (run.clone(), inputs(3)),
        (run.clone(), Some(Items::try_new(v1::Packed::default(), 3).unwrap())),
        (combine(false), inputs(2)),
        (combine(true), inputs(2)),
    ] {
        let wire = grant_to_wire(&grant, items.clone().map(Items::into_packed));
        let bytes = v1::Work { grants: vec![wire], ..v1::Work::default() }.encode_to_vec();
        let back = Work::try_from(v1::Work::decode(&bytes[..]).unwrap()).unwrap().grants.remove(0);
        assert_eq!((back.grant, back.inputs), (grant, items));
    }
}

fn limits() -> Limits {
    Limits {
        timeout: Some(Span::from_millis(1)),
        memory_bytes: Some(4 << 20),
        log_bytes: 3,
        open_files: Some(32),
        processes: Some(5),
        scratch_bytes: None,
        grace: Span::from_millis(6),
    }
}

#[test]
fn limits_that_nothing_can_run_under_are_refused() {
    type Change = fn(&mut v1::Limits);
    let cases: [(&str, Change); 8] = [
        ("limits.timeout_ms", |it| it.timeout_ms = u64::MAX),
        ("limits.memory_bytes", |it| it.memory_bytes = 1),
        ("limits.memory_bytes", |it| it.memory_bytes = u64::MAX),
        ("limits.log_bytes", |it| it.log_bytes = u64::MAX),
        ("limits.open_files", |it| it.open_files = 3),
        ("limits.processes", |it| it.processes = u32::MAX),
        ("limits.scratch_bytes", |it| it.scratch_bytes = 1),
        ("limits.grace_ms", |it| it.grace_ms = u64::MAX),
    ];
    for (field, change) in cases {
        let mut wire = limits_to_wire(&limits());
        change(&mut wire);
        assert_eq!(convert::limits(Some(wire)).unwrap_err().field, field);
    }
    assert_eq!(convert::limits(None), Ok(Limits::default()));
}

#[test]
fn jobs_come_back_as_they_were() {
    let open = JobOpen {
        job: JobId(4),
        plugin: plugin(),
        params: Bytes::from_static(b"{}"),
        seed: 5,
        tasks: 6,
        shape: Shape::new(2, 3),
        gil: Some(Gil { domains: 2, switch: Span::from_millis(3) }),
        reduce_leaf: Some(4),
        result_max_bytes: 7,
        weight: 8,
        has_inputs: true,
        max_attempts: 9,
        limits: limits(),
        arrivals: Arrivals::try_new(2.5, Pattern::Poisson),
        task_samples: 10,
        sandbox: Some(Level::Limits),
    };
    assert_eq!(JobOpen::try_from(job_open_to_wire(&open)).unwrap(), open);
    for flow in [Flow::InTurn, Flow::Once, Flow::InFlight(9)] {
        let shape = Shape { flow, ..Shape::new(1, 1) };
        let open = JobOpen { reduce_leaf: None, shape, gil: None, ..open.clone() };
        assert_eq!(JobOpen::try_from(job_open_to_wire(&open)).unwrap(), open);
    }

    for shape in [
        ShapeRequest::Thread { threads: None },
        ShapeRequest::Thread { threads: Some(3) },
        ShapeRequest::Process { processes: Some(2) },
        ShapeRequest::Hybrid { processes: None, threads: Some(4) },
        ShapeRequest::Spawn { processes: Some(3) },
        ShapeRequest::Async { processes: Some(1), threads: None, in_flight: Some(7) },
        ShapeRequest::Async { processes: None, threads: Some(2), in_flight: None },
    ] {
        let spec = JobSpec {
            open: true,
            shape,
            oversubscribe: true,
            priority: -3,
            reduce: true,
            paced: true,
            retry: RetryPolicy { crashed: Some(7), memory: 2, ..RetryPolicy::default() },
            ..JobSpec::default()
        };
        let submission = Submission {
            request_id: "r".into(),
            plugin: plugin(),
            params: Bytes::from_static(b"{}"),
            spec,
            has_inputs: true,
            gil: Some(Gil { domains: 1, switch: Span(7) }),
            outputs: Outputs::Checksum,
            seed: 3,
            result_max_bytes: 100,
            limits: limits(),
            label: "a label".into(),
            only: None,
            arrivals: Arrivals::try_new(1e6, Pattern::Constant),
            task_samples: 10_000,
            sandbox: Some(Level::Standard),
        };
        let wire = v1::SubmitRequest { request_id: "r".into(), spec: Some(job_spec_to_wire(&submission)) };
        assert_eq!(Submission::try_from(wire).unwrap(), submission);
    }
}

#[test]
fn arrivals_that_nobody_can_keep_are_refused() {
    let submit = |change: fn(&mut v1::JobSpec)| {
        let plugin = Some(convert::plugin_to_wire(&plugin()));
        let arrivals = Some(v1::Arrivals { rate_per_s: 2.0, pattern: 0 });
        let mut spec = v1::JobSpec { plugin, tasks: 1, arrivals, ..v1::JobSpec::default() };
        change(&mut spec);
        Submission::try_from(v1::SubmitRequest { request_id: "r".into(), spec: Some(spec) })
    };
    let given = submit(|_| {}).unwrap();
    assert_eq!(given.arrivals, Arrivals::try_new(2.0, Pattern::Constant));
    assert!(given.spec.paced && !submit(|spec| spec.arrivals = None).unwrap().spec.paced);
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1.1e6] {
        let open = v1::JobOpen {
            arrivals: Some(v1::Arrivals { rate_per_s: rate, pattern: 2 }),
            plugin: Some(convert::plugin_to_wire(&plugin())),
            shape: Some(convert::shape_to_wire(Shape::new(1, 1), None)),
            ..v1::JobOpen::default()
        };
        assert_eq!(JobOpen::try_from(open).unwrap_err().field, "arrivals.rate_per_s", "{rate}");
    }
    let refused = |change| submit(change).unwrap_err().field;
    assert_eq!(refused(|spec| spec.arrivals.as_mut().unwrap().rate_per_s = 0.0), "spec.arrivals.rate_per_s");
    assert_eq!(refused(|spec| spec.arrivals.as_mut().unwrap().pattern = 9), "arrivals.pattern");
    assert_eq!(refused(|spec| spec.task_samples = 10_001), "spec.task_samples");
    let one = |spec: &mut v1::JobSpec| spec.only = Some(v1::OnlyTask::default());
    assert_eq!(refused(one), "spec.arrivals");
}

#[test]
fn closed_sets_come_back_as_they_were() {
    for class in [
        FailureClass::Failed,
        FailureClass::Transient,
        FailureClass::Crashed,
        FailureClass::Cancelled,
        FailureClass::Panicked,
        FailureClass::Limit,
        FailureClass::Timeout,
        FailureClass::Memory,
    ] {
        assert_eq!(convert::failure_class(convert::failure_class_to_wire(class).into()).unwrap(), class);
    }
    for cause in ExitCause::ALL {
        assert_eq!(convert::exit_cause(cause.name()).unwrap(), cause);
    }
}

#[test]
fn evidence_comes_back_as_it_was() {
    let whole = Evidence {
        signal: Some(11),
        address: Some(0),
        frames: vec![Frame {
            module: "libx.so".into(),
            offset: 0x1234,
            function: "run".into(),
            file: "x.c".into(),
            line: 7,
        }],
        last_lines: vec!["\tlast words".into()],
        memory_peak_bytes: Some(5),
        memory_limit_bytes: Some(6),
        executor: 3,
        pid: 4,
        started_ns: 1,
        ended_ns: 2,
        lost_tasks: 9,
        truncated: true,
        ..Evidence::new(Cause::Executor(ExitCause::Signal))
    };
    let exited = Evidence { exit_code: Some(0), ..Evidence::new(Cause::Executor(ExitCause::Exited)) };
    let bare = Evidence::new(Cause::Attempt(FailureClass::Panicked));
    for evidence in [whole, exited, bare] {
        assert_eq!(Evidence::try_from(evidence_to_wire(&evidence)), Ok(evidence));
    }
    // A word that names both is of the executor.
    let wire = v1::Evidence { cause: "memory".into(), ..v1::Evidence::default() };
    assert_eq!(Evidence::try_from(wire).unwrap().cause, Cause::Executor(ExitCause::Memory));
}

#[test]
fn evidence_has_bounds() {
    let of = |change: &dyn Fn(&mut v1::Evidence)| {
        let mut wire = v1::Evidence { cause: "signal".into(), ..v1::Evidence::default() };
        change(&mut wire);
        Evidence::try_from(wire)
    };
    let field = |change: &dyn Fn(&mut v1::Evidence)| of(change).unwrap_err().field;
    assert_eq!(field(&|it| it.cause = "bored".into()), "cause");
    assert_eq!(field(&|it| it.signal = -1), "evidence.signal");
    assert_eq!(field(&|it| it.signal = 65), "evidence.signal");
    assert_eq!(field(&|it| it.frames = vec![v1::Frame::default(); FRAMES_MAX + 1]), "evidence.frames");
    assert_eq!(field(&|it| it.last_lines = vec![String::new(); LAST_LINES_MAX + 1]), "evidence.last_lines");
    let long = of(&|it| it.last_lines = vec!["\u{7}".repeat(EVIDENCE_TEXT_MAX_BYTES * 2)]).unwrap();
    assert!(long.truncated && long.last_lines[0].len() <= EVIDENCE_TEXT_MAX_BYTES);
    let escape = of(&|it| it.frames = vec![v1::Frame { function: "\u{1b}[2J".into(), ..Default::default() }]);
    assert_eq!(escape.unwrap().frames[0].function, "\u{fffd}[2J");
    // What a worker finds too much of, it leaves out by itself.
    let evidence = Evidence {
        frames: vec![Frame::default(); FRAMES_MAX + 5],
        last_lines: (0..LAST_LINES_MAX + 5).map(|line| line.to_string()).collect(),
        ..Evidence::new(Cause::Executor(ExitCause::Signal))
    };
    let kept = Evidence::try_from(evidence_to_wire(&evidence)).unwrap();
    assert!(kept.truncated);
    assert_eq!((kept.frames.len(), kept.last_lines[0].as_str()), (FRAMES_MAX, "5"), "the newest lines");
}

#[test]
fn clipping_keeps_characters_whole() {
    assert_eq!(clip("abc", 2), "ab");
    assert_eq!(clip("a\u{1f980}b", 4), "a");
    assert_eq!(clip("", 0), "");
}

proptest! {
    #[test]
    fn times_come_back_as_they_were(times in prop::collection::vec(any::<u32>(), 0..50), slot in any::<u64>()) {
        let mut run = Sketch::new();
        times.iter().for_each(|&time| run.record(Span(time.into())));
        let phases = Phases { job: JobId(1), run, slot: Span(slot), ..Phases::default() };
        let wire = phases_to_wire(&phases);
        prop_assert_eq!(wire.dispatch.is_none(), true);
        // The buckets behind the last used one are not part of the wire, so compare what they hold.
        let back = Phases::try_from(wire).unwrap();
        prop_assert_eq!(back.run.buckets().collect::<Vec<_>>(), phases.run.buckets().collect::<Vec<_>>());
        prop_assert_eq!((back.run.count(), back.run.sum(), back.run.max()), (phases.run.count(), phases.run.sum(), phases.run.max()));
        prop_assert_eq!(back.slot, phases.slot);
    }

    #[test]
    fn no_bytes_from_a_peer_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(wire) = v1::Report::decode(&bytes[..]) && let Ok(report) = Report::try_from(wire) {
            for block in report.blocks {
                let _ = block.into_items(false);
            }
        }
        if let Ok(wire) = v1::Work::decode(&bytes[..]) {
            let _ = Work::try_from(wire);
        }
        if let Ok(wire) = v1::SubmitRequest::decode(&bytes[..]) {
            let _ = Submission::try_from(wire);
        }
    }
}
