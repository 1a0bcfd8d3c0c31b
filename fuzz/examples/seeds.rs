//! Writes the seeds that nobody can write by hand: messages, frames, rows and certificates. After a message or a table has
//! changed: `.ci/fuzz seeds`. It looks like a target, because what is built as targets are links with libFuzzer alone.

#![no_main]
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use muster_proto::link::{
    Access, AccessFolder, Authority, Moment, NewToken, Pin, Process, PublicKey, Role, Roles, Target, Token,
    TokenId,
};
use muster_proto::v1::{self, from_worker, to_worker};
use muster_worker::frame::{Batch, Block, EntryUse, FromExecutor, LogTask, OpenJob, Reading, ToExecutor};
use prost::Message;
use std::fs;
use std::path::Path;

libfuzzer_sys::fuzz_target!(
    init: {
        wire();
        frames();
        records();
        tokens();
        std::process::exit(0);
    },
    |_input: &[u8]| {}
);

/// A seed of a target: `kind` is the letter that says who reads it.
fn put(target: &str, name: &str, kind: char, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), [&[kind as u8], bytes].concat()).unwrap();
}

fn plugin() -> v1::PluginRef {
    v1::PluginRef { name: "pi".into(), version: "1.0.0".into(), digest: vec![7; 32].into(), size: 4096 }
}

fn shape() -> v1::Shape {
    let gil = Some(v1::Gil { domains: 1, switch_ns: 5_000_000 });
    v1::Shape {
        model: v1::Model::Hybrid.into(),
        processes: 2,
        threads: 3,
        oversubscribe: true,
        gil,
        in_flight: 0,
    }
}

fn spec() -> v1::JobSpec {
    v1::JobSpec {
        plugin: Some(plugin()),
        params: Bytes::from_static(b"{\"points\":1000}"),
        tasks: 100,
        shape: Some(shape()),
        weight: 2,
        max_attempts: 3,
        reduce: true,
        seed: 9,
        label: "a job".into(),
        retry: Some(v1::RetryPolicy::default()),
        limits: Some(v1::Limits::default()),
        task_samples: 10,
        ..v1::JobSpec::default()
    }
}

fn packed() -> v1::Packed {
    v1::Packed { width: 0, lengths: vec![1, 0, 3], data: Bytes::from_static(b"abcd") }
}

fn sketch() -> Option<v1::Sketch> {
    Some(v1::Sketch { buckets: vec![3, 200], counts: vec![5, 1], sum_ns: 9_000, max_ns: 4_000 })
}

fn evidence() -> v1::Evidence {
    let frame = v1::Frame {
        module: "libpi.so".into(),
        offset: 0x1234,
        function: "pi::run".into(),
        file: "src/lib.rs".into(),
        line: 17,
    };
    v1::Evidence {
        cause: "signal".into(),
        signal: 11,
        has_address: true,
        address: 8,
        frames: vec![frame],
        last_lines: vec!["hello\tworld".into(), "\u{1b}[31mred".into()],
        executor: 3,
        pid: 77,
        ..v1::Evidence::default()
    }
}

fn failure() -> v1::TaskFailure {
    v1::TaskFailure {
        lease: 1,
        index: 5,
        class: 3,
        message: "it crashed".into(),
        busy_ns: 1_000,
        evidence: Some(evidence()),
        ran_on: Some(v1::RanOn { executor: 1, thread: 2, ended_ns: 3 }),
    }
}

fn sample() -> v1::TaskSample {
    let lock_waits = vec![v1::LockWait { start_ns: 1, wait_ns: 2 }];
    v1::TaskSample {
        index: 3,
        run_ns: 7,
        latency_ns: Some(9),
        attempt: 1,
        lock_waits,
        ..v1::TaskSample::default()
    }
}

fn phases() -> v1::PhaseStats {
    v1::PhaseStats {
        job: 1,
        dispatch: sketch(),
        run: sketch(),
        latency: sketch(),
        samples: vec![sample()],
        ..v1::PhaseStats::default()
    }
}

fn grant(kind: v1::GrantKind) -> v1::Grant {
    let is_run = kind == v1::GrantKind::Run;
    let blocks = if is_run { vec![] } else { [0, 1, 2].map(|start| v1::Block { start, count: 1 }).to_vec() };
    let (start, count) = if is_run { (4, 3) } else { (0, 4) };
    v1::Grant {
        lease: 2,
        job: 1,
        start,
        count,
        attempt: 1,
        kind: kind.into(),
        inputs: Some(packed()),
        blocks,
    }
}

fn job_open() -> v1::JobOpen {
    v1::JobOpen {
        job: 1,
        plugin: Some(plugin()),
        params: Bytes::from_static(b"{}"),
        tasks: 100,
        shape: Some(v1::Shape { model: v1::Model::Async.into(), in_flight: 64, ..shape() }),
        reduce_leaf: 4,
        result_max_bytes: 1 << 20,
        max_attempts: 3,
        ..v1::JobOpen::default()
    }
}

fn wire() {
    let put = |name: &str, kind: char, bytes: Vec<u8>| put("wire", name, kind, &bytes);
    let from = |kind| v1::FromWorker { kind: Some(kind) }.encode_to_vec();
    let to = |kind| v1::ToWorker { kind: Some(kind) }.encode_to_vec();
    let held =
        v1::HeldTasks { claim: 1, job: 1, attempt: 1, starts: vec![0, 8], counts: vec![4, 1], open: true };
    let hello = v1::WorkerHello {
        protocol: 1,
        name: "w1".into(),
        slots: 4,
        target: "x86_64-unknown-linux-gnu".into(),
        host: "host".into(),
        grants: vec!["network".into(), "read:/data".into()],
        held: vec![held],
        state: 5,
        ..v1::WorkerHello::default()
    };
    put("hello", 'a', from(from_worker::Kind::Hello(hello)));
    let progress = vec![v1::JobProgress { job: 1, tasks: 0.5 }];
    let heartbeat = v1::Heartbeat { busy_slots: 1, executors: 1, progress, ..v1::Heartbeat::default() };
    put("heartbeat", 'a', from(from_worker::Kind::Heartbeat(heartbeat)));
    let block = v1::ResultBlock {
        lease: 1,
        start: 0,
        count: 3,
        busy_ns: 10,
        results: Some(packed()),
        skipped: vec![1],
        ..v1::ResultBlock::default()
    };
    let exit =
        v1::ExecutorExit { job: 1, cause: "signal".into(), evidence: Some(evidence()), ..Default::default() };
    let report = v1::Report {
        epoch: 1,
        blocks: vec![block],
        failures: vec![failure()],
        phases: vec![phases()],
        exits: vec![exit],
        stopped: vec![v1::JobStopped { job: 1, asked: 2, longest_ns: 5, ..Default::default() }],
        number: 3,
        ..v1::Report::default()
    };
    put("report", 'a', from(from_worker::Kind::Report(report)));
    put("log", 'a', from(from_worker::Kind::Log(v1::LogChunk::default())));
    let welcome = v1::Welcome {
        protocol: 1,
        epoch: 1,
        worker: 1,
        heartbeat_ms: 1_000,
        lease_ms: 10_000,
        ..Default::default()
    };
    put("welcome", 'b', to(to_worker::Kind::Welcome(welcome)));
    let work = v1::Work {
        opens: vec![job_open()],
        grants: vec![grant(v1::GrantKind::Run), grant(v1::GrantKind::Combine)],
        recalls: vec![v1::Recall { lease: 1, count: 2 }],
        closes: vec![v1::JobClose { job: 1, cancel: true }],
        lasting: 3,
    };
    put("work", 'b', to(to_worker::Kind::Work(work)));
    let submit = |spec| v1::SubmitRequest { request_id: "request".into(), spec: Some(spec) }.encode_to_vec();
    put("submit", 'c', submit(spec()));
    let only = Some(v1::OnlyTask { index: 17, input: Bytes::from_static(b"in") });
    put("submit-one-task", 'c', submit(v1::JobSpec { reduce: false, has_inputs: true, only, ..spec() }));
    let arrivals = Some(v1::Arrivals { rate_per_s: 200.0, pattern: v1::ArrivalPattern::Poisson.into() });
    put("submit-paced", 'c', submit(v1::JobSpec { arrivals, ..spec() }));
    let feed = v1::FeedRequest { job: 1, count: 3, inputs: Some(packed()), seal: true, start: None };
    put("feed", 'd', feed.encode_to_vec());
    let results = v1::ResultsReply {
        start: 0,
        count: 3,
        results: Some(packed()),
        failures: vec![failure()],
        ..v1::ResultsReply::default()
    };
    put("results", 'e', results.encode_to_vec());
    put("retry", 'f', v1::RetryRequest { job: 1, indexes: vec![1, 2, 9] }.encode_to_vec());
    put("case", 'g', v1::CaseRequest { job: 1, index: 2 }.encode_to_vec());
    let token = v1::NewTokenRequest { roles: vec![1, 4], life_s: 60, uses: 1, note: "node 7".into() };
    put("token", 'h', token.encode_to_vec());
    put("logs", 'i', v1::LogsRequest::default().encode_to_vec());
    put("why", 'j', v1::WhyRequest::default().encode_to_vec());
    put("attempt", 'k', v1::AttemptReport::default().encode_to_vec());
    put("evidence", 'l', evidence().encode_to_vec());
    put("packed", 'm', feed.encode_to_vec());
    put("sample", 'n', sample().encode_to_vec());
    put("open", 'o', job_open().encode_to_vec());
    for kind in [v1::GrantKind::Run, v1::GrantKind::Combine, v1::GrantKind::Finish] {
        let name = format!("grant-{}", kind.as_str_name().to_lowercase());
        put(&name, 'p', grant(kind).encode_to_vec());
    }
    put("phases", 'q', phases().encode_to_vec());
    put("shape", 'r', shape().encode_to_vec());
    put("limits", 's', v1::Limits::default().encode_to_vec());
    put("failure", 't', failure().encode_to_vec());
}

fn frames() {
    let mut stream = Vec::new();
    let mut from = |name: &str, message: FromExecutor| {
        let bytes = message.encode();
        put("frames", name, 'a', &bytes[4..]);
        stream.extend(bytes);
    };
    from("loaded", FromExecutor::Loaded);
    from("load-failed", FromExecutor::LoadFailed { text: "no such symbol".into(), is_damage: false });
    from("opened", FromExecutor::Opened { job: 1 });
    from("deaf", FromExecutor::Deaf { slot: 1, tasks: vec![3, 4] });
    let histogram = Reading::Histogram { sum: 1.5, buckets: vec![(0.5, 3), (f64::INFINITY, 1)] };
    from(
        "readings",
        FromExecutor::Readings(vec![Reading::Counter(1.0), Reading::Gauge(f64::NAN), histogram]),
    );
    let task = Some(LogTask { slot: 1, index: 2, attempt: 1 });
    from("log", FromExecutor::Log { level: 3, task, text: "hello".into() });
    let block = Block {
        place: EntryUse { entry: 1, generation: 2 },
        range: muster_core::range::IndexRange::new(4, 7),
        items: 3,
        results: packed(),
        busy_ns: 10,
        ended_ns: 20,
        last_ns: 30,
        skipped: vec![5],
    };
    from("batch", FromExecutor::Batch(Batch { job: 1, blocks: vec![block], retried: 1, ..Batch::default() }));
    put("frames", "stream", 'c', &stream);
    put("frames", "stream-too-long", 'c', &[0xff; 9]);
    let to = |name: &str, message: ToExecutor| put("frames", name, 'b', &message.encode()[4..]);
    let sandbox = muster_worker::sandbox::Sandbox::default();
    let (path, scratch) = ("/cache/libpi.so".to_owned(), "/scratch".to_owned());
    to("load", ToExecutor::Load { path, digest: [7; 32], record: true, shelf: true, sandbox, scratch });
    let open =
        OpenJob { job: 1, params: Bytes::from_static(b"{}"), threads: 4, tasks: 100, ..OpenJob::default() };
    to("open", ToExecutor::Open(open));
    to("stop", ToExecutor::Stop);
    let mut crash = [1u32, 11, 1, 0, 77, 1, 2, 1].map(u32::to_le_bytes).concat();
    crash.extend([8u64, 0x1010, 0x7000, 0x6000, 0x8000, 4096, 0x9000, 5, 6].map(u64::to_le_bytes).concat());
    let maps = b"1000-2000 r-xp 00000400 08:01 77   /usr/lib/a.so (deleted)\n9000-a000 r-xp 0 08:01 78 /bin/muster\n";
    crash.extend([2u32, maps.len() as u32].map(u32::to_le_bytes).concat());
    crash.extend([0x1010u64, 0x9010].map(u64::to_le_bytes).concat());
    crash.resize(crash.len() + 62 * 8, 0);
    crash.extend(maps);
    put("frames", "crash", 'd', &crash);
}

/// A value of a row, as the target `records` reads it.
enum Field<'a> {
    Null,
    Job,
    Number(i64),
    Text(&'a str),
    Blob(&'a [u8]),
    Digest(u8),
}

impl Field<'_> {
    fn write(&self, row: &mut Vec<u8>) {
        let sized =
            |kind: u8, bytes: &[u8]| [&[kind][..], &(bytes.len() as u16).to_le_bytes(), bytes].concat();
        row.extend(match self {
            Self::Null => vec![0],
            Self::Job => vec![1],
            Self::Number(number @ 0..=255) => vec![2, *number as u8],
            Self::Number(number) => [&[3][..], &number.to_le_bytes()].concat(),
            Self::Text(text) => sized(5, text.as_bytes()),
            Self::Blob(bytes) => sized(6, bytes),
            Self::Digest(byte) => vec![7, *byte],
        });
    }
}

fn records() {
    use Field::{Blob, Digest, Job, Null, Number, Text};
    let table = |name: &str| {
        muster_coordinator::fuzzing::TABLES.iter().position(|(table, _)| *table == name).unwrap() as u8
    };
    let row = |name: &str, fields: &[Field<'_>]| {
        let mut row = vec![table(name)];
        fields.iter().for_each(|field| field.write(&mut row));
        row
    };
    let job = |spec: &v1::JobSpec, tasks: i64, ended: Field<'_>, status: &[u8]| {
        let spec = spec.encode_to_vec();
        let mut all = vec![
            Job,
            Text("request"),
            Number(7),
            Blob(&spec),
            Number(tasks),
            Number(1),
            Number(5),
            Number(9),
        ];
        all.extend([Null, ended, Null, Blob(status), Number(0), Null]);
        row("jobs", &all)
    };
    let plugin = row(
        "plugins",
        &[Digest(7), Text("pi"), Text("1.0.0"), Text("t"), Number(4096), Text("{}"), Number(1)],
    );
    let write = |name: &str, rows: &[Vec<u8>]| {
        // No letter: all of it is rows.
        let rows = rows.concat();
        put("records", name, rows[0] as char, &rows[1..]);
    };
    let plain = v1::JobSpec { reduce: false, ..spec() };
    let commits = row("commits", &[Job, Number(0), Number(3)]);
    let results = row(
        "results",
        &[Job, Number(0), Number(3), Number(0), Blob(b"\x01\0\0\0\0\0\0\0\x03\0\0\0"), Blob(b"abcd"), Null],
    );
    let failures = row("failures", &[Job, Number(4), Number(3), Text("it crashed")]);
    let charges = row("charges", &[Job, Number(5), Number(2), Number(1)]);
    let report = v1::PostMortem::default().encode_to_vec();
    let post_mortem = row("post_mortems", &[Job, Number(4), Blob(&report)]);
    let workers = row("workers", &[Number(3)]);
    let meta = row("meta", &[Text("removed"), Number(3)]);
    write(
        "half-done",
        &[
            job(&plain, 100, Null, b""),
            commits.clone(),
            results,
            failures,
            charges,
            post_mortem,
            workers,
            meta,
        ],
    );
    write("only-a-plugin", &[plugin]);
    let status = v1::JobStatus { job: 1, tasks: 100, ..v1::JobStatus::default() }.encode_to_vec();
    write("ended", &[job(&plain, 100, Number(1), &status)]);
    let partials = [0, 2].map(|start| row("partials", &[Job, Number(start), Number(2), Blob(b"sum")]));
    let four = row("commits", &[Job, Number(0), Number(4)]);
    write("reduction", &[job(&spec(), 100, Null, b""), four, partials.concat()]);
    let open = v1::JobSpec { open: true, tasks: 0, has_inputs: true, reduce: false, ..spec() };
    let inputs = row("inputs", &[Job, Number(0), Number(2), Number(2), Null, Blob(b"abcd"), Null]);
    write("inputs", &[job(&open, 2, Null, b""), inputs]);
    let wide = row("inputs", &[Job, Number(1), Number(i64::MAX), Number(9), Null, Null, Null]);
    write("counts-that-overflow", &[job(&open, -1, Null, b""), wide]);
}

fn tokens() {
    let folder = tempfile::tempdir().unwrap();
    let now = Moment::of_unix_s(1_799_999_990);
    let authority = Authority::load_or_create(folder.path()).unwrap();
    let new = NewToken {
        roles: Roles::of(&[Role::Worker]),
        uses_max: Some(3),
        life_s: Some(60),
        note: "node 7".into(),
    };
    let (token, facts) = authority.tokens().make(&new, now).unwrap();
    let key = [&[4][..], &[9; 64]].concat();
    let signed = authority.enroll(&token, &PublicKey::new(&key).unwrap(), now).unwrap();
    authority.revoke(facts.id, now).unwrap();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let keys = read("authority.pem");
    put("tokens", "keys-of-an-authority", 'h', keys.as_bytes());
    put("tokens", "certificate", 'a', &signed.certificate);
    put("tokens", "public-key", 'b', &key);
    put("tokens", "tokens", 'e', read("tokens.json").as_bytes());
    let (pin, token) = (Pin([1; 32]), Token([2; 32]));
    let tls = Target::tls("node-1.example:7077", pin, token).unwrap();
    let targets = [
        ("tls", tls.clone()),
        ("tls-of-ipv6", Target::tls("[fe80::1%eth0]:7077", pin, token).unwrap()),
        ("plain", Target::plain("127.0.0.1:7077", token).unwrap()),
        ("unix", Target::Unix("/run/muster.sock".into())),
    ];
    for (name, target) in targets {
        put("tokens", &format!("join-{name}"), 'c', target.to_join_string().as_bytes());
    }
    let id = TokenId::of(&token).to_string();
    for (name, word) in [
        ("roles", "worker+viewer,admin"),
        ("id", &*id),
        ("token", &*token.reveal()),
        ("address", "[::1]:7077"),
        ("life", "24h"),
        ("uses", "any"),
        ("secret", "0123456789abcdef"),
    ] {
        put("tokens", &format!("word-{name}"), 'd', word.as_bytes());
    }
    let clusters = AccessFolder::at(folder.path());
    let process = Process::of(1).unwrap();
    let access = Access { name: "local".into(), target: tls, http: Some("127.0.0.1:7078".into()), process };
    let path = clusters.write(&access).unwrap();
    put("tokens", "access", 'f', &fs::read(path).unwrap());
    let parts: Vec<&str> = keys.split_inclusive("-----END PRIVATE KEY-----\n").collect();
    let (certificate, key) = parts[1].split_at(parts[1].find("-----BEGIN PRIVATE KEY-----").unwrap());
    let certificate: String = certificate.lines().filter(|line| !line.starts_with('-')).collect();
    let key = key.trim().replace("\r", "").replace('\n', "\\n");
    let text = format!(
        "{{\"certificate\":\"{certificate}\",\"key\":\"{key}\",\"from_unix_s\":1799999990,\"until_unix_s\":1800000050}}"
    );
    put("tokens", "credential", 'g', text.as_bytes());
    let uri = format!("muster:0102030405060708?token={id}&roles=worker+viewer&until=1800000050");
    put("tokens", "identity", 'i', uri.as_bytes());
}
