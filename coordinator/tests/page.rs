//! The live page over HTTP: what it answers, whom it lets in, and that nobody who reads slowly or not at all gets in the
//! way of others. How it looks is seen in `tests/page.rs` at the top, in a browser.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Worker, World, indexes, soon};
use muster_coordinator::Config;
use muster_coordinator::config::PageConfig;
use muster_proto::v1::{self, FailureClass, from_worker};
use serde_json::{Map, Value};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

async fn world(change: impl FnOnce(&Path, &mut Config)) -> World {
    World::with(|folder, config| {
        config.http = Some("127.0.0.1:0".into());
        change(folder, config);
    })
    .await
}

fn address(world: &World) -> SocketAddr {
    let mut address = world.running.http_addr.unwrap();
    if address.ip().is_unspecified() {
        address.set_ip([127, 0, 0, 1].into());
    }
    address
}

/// An answer: its code, its head in small letters, its body.
struct Answer {
    code: u16,
    head: String,
    body: String,
}

impl Answer {
    /// It is a refusal with one line that has these words.
    #[track_caller]
    fn refuses(&self, code: u16, words: &str) {
        assert_eq!(self.code, code, "{} {}", self.head, self.body);
        assert!(self.body.contains(words) && self.body.trim_end().lines().count() == 1, "{}", self.body);
    }
}

/// One request with these lines in its head, on a connection of its own.
async fn ask(world: &World, method: &str, path: &str, lines: &[&str]) -> Answer {
    let mut stream = TcpStream::connect(address(world)).await.unwrap();
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let request = format!("{method} {path} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    soon(stream.read_to_string(&mut text)).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { code, head: head.to_lowercase(), body: body.to_owned() }
}

async fn get(world: &World, path: &str) -> Answer {
    ask(world, "GET", path, &["Host: localhost"]).await
}

async fn json(world: &World, path: &str) -> Value {
    let answer = get(world, path).await;
    assert_eq!(answer.code, 200, "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

/// A stream of events, and the state that they make.
struct Events {
    stream: TcpStream,
    text: String,
    state: Value,
    snapshots: u64,
    deltas: u64,
}

impl Events {
    async fn open(world: &World, query: &str) -> Self {
        Self::open_on(TcpSocket::new_v4().unwrap(), world, query).await
    }

    async fn open_on(socket: TcpSocket, world: &World, query: &str) -> Self {
        let mut stream = socket.connect(address(world)).await.unwrap();
        // HTTP/1.0: the body comes without chunks.
        let request = format!("GET /page/events?{query} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        Self { stream, text: String::new(), state: Value::Null, snapshots: 0, deltas: 0 }
    }

    /// Takes in the next event; `None`: the stream has ended.
    async fn next(&mut self) -> Option<()> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                if let Some(data) = event.lines().find_map(|line| line.strip_prefix("data: ")) {
                    self.take(&event, serde_json::from_str(data).unwrap());
                    return Some(());
                }
                continue;
            }
            let mut piece = vec![0; 1 << 16];
            let count = soon(self.stream.read(&mut piece)).await.unwrap_or(0);
            if count == 0 {
                return None;
            }
            // States of these tests are ASCII, so no piece ends in the middle of a character.
            self.text += std::str::from_utf8(&piece[..count]).unwrap();
        }
    }

    fn take(&mut self, event: &str, mut data: Value) {
        if event.contains("event: snapshot") {
            self.snapshots += 1;
            self.state = data["state"].take();
        } else {
            assert!(event.contains("event: delta"), "{event}");
            self.deltas += 1;
            self.state = merged(self.state.take(), data["patch"].take());
        }
    }

    /// Reads until the state is like that.
    async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> &Value {
        while self.state.is_null() || !wanted(&self.state) {
            self.next().await.unwrap_or_else(|| panic!("the stream ended at {}", self.state));
        }
        &self.state
    }
}

/// RFC 7396.
fn merged(target: Value, patch: Value) -> Value {
    let Value::Object(patch) = patch else { return patch };
    let mut target = if let Value::Object(target) = target { target } else { Map::new() };
    for (key, change) in patch {
        let before = target.remove(&key);
        if !change.is_null() {
            target.insert(key, merged(before.unwrap_or(Value::Null), change));
        }
    }
    Value::Object(target)
}

#[tokio::test]
async fn the_page_is_whole_and_asks_nobody_else() {
    let world = world(|_, _| {}).await;
    let page = get(&world, "/").await;
    for path in ["/jobs", "/jobs/7", "/plugins", "/reports"] {
        assert_eq!(get(&world, path).await.body, page.body, "{path}");
    }
    let mut wanted = vec!["/page/main.js".to_owned()];
    let mut seen = Vec::new();
    for it in page.body.split('"').filter(|it| it.starts_with("/page/")) {
        wanted.push(it.to_owned());
    }
    while let Some(path) = wanted.pop() {
        if seen.contains(&path) {
            continue;
        }
        let answer = get(&world, &path).await;
        assert_eq!(answer.code, 200, "{path}");
        for line in [
            "content-security-policy: default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
        ] {
            assert!(answer.head.contains(line), "{path}: {line} is not in {}", answer.head);
        }
        let kind = match path.rsplit_once('.').unwrap().1 {
            "js" => "content-type: text/javascript",
            "css" => "content-type: text/css",
            "svg" => "content-type: image/svg+xml",
            other => panic!("{other}"),
        };
        assert!(answer.head.contains(kind), "{path}: {}", answer.head);
        let foreign = answer.body.replace("http://www.w3.org/2000/svg", "");
        assert!(!foreign.contains("http:") && !foreign.contains("https:"), "{path}");
        for line in answer.body.lines().filter(|line| line.starts_with("import ")) {
            wanted.push(line.split('"').nth(1).unwrap().to_owned());
        }
        seen.push(path);
    }
    assert_eq!(seen.len(), 13, "{seen:?}");
    assert!(!page.body.contains("style=") && !page.body.contains("onclick"), "the policy forbids both");
}

#[tokio::test]
async fn foreign_names_other_methods_and_odd_queries_are_refused_with_one_line() {
    let world = world(|_, config| {
        config.http_hosts = vec!["build.example".into()];
    })
    .await;
    for path in
        ["/", "/page/main.js", "/page/events?view=cluster", "/page/failures", "/page/logs", "/page/report"]
    {
        for host in ["evil.example", "localhost.evil.example:7078", ""] {
            let answer = ask(&world, "GET", path, &[&format!("Host: {host}")]).await;
            answer.refuses(421, "--http-host NAME");
            assert!(answer.head.contains("content-security-policy"), "{}", answer.head);
        }
        ask(&world, "GET", path, &["Host: localhost", "Host: evil.example"]).await.code_is_an_error();
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let answer = ask(&world, method, path, &["Host: localhost", "Content-Length: 0"]).await;
            assert_eq!(answer.code, 405, "{method} {path}");
            assert!(answer.head.contains("allow: get"), "{}", answer.head);
        }
    }
    for host in ["build.example", "Build.Example:80", "127.0.0.1:7078", "[::1]:7078", "10.0.0.1"] {
        let answer = ask(&world, "GET", "/", &[&format!("Host: {host}")]).await;
        assert_eq!(answer.code, 200, "{host}");
    }
    for (query, words) in [
        ("", "view is \"\""),
        ("?view=nodes", "cluster, jobs, job, plugins or reports"),
        ("?view=job&job=x", "job is \"x\""),
        ("?view=jobs&state=odd", "state is \"odd\""),
        ("?view=jobs&text=%F0%9F%A6%80%00%ff&page=-1", "page is \"-1\""),
    ] {
        get(&world, &format!("/page/events{query}")).await.refuses(400, words);
    }
    get(&world, "/page/failures?job=x").await.refuses(400, "job is \"x\"");
    get(&world, "/page/failures?job=99").await.refuses(404, "job is 99: there is no such job");
    get(&world, "/page/report?run=x").await.refuses(400, "run is \"x\"");
    get(&world, "/page/report").await.refuses(400, "run is missing");
    get(&world, "/page/report?run=1").await.refuses(404, "shows no reports");
    get(&world, "/page/logs?last=1e3").await.refuses(400, "last is \"1e3\"");
    assert_eq!(get(&world, "/page/other.js").await.code, 404);
    assert!(world.metrics().await.contains("muster_build_info"));
}

impl Answer {
    #[track_caller]
    fn code_is_an_error(&self) {
        assert!((400..500).contains(&self.code), "{}", self.head);
    }
}

#[tokio::test]
async fn off_loopback_there_is_no_page_without_a_token() {
    let open = world(|_, config| config.http = Some("0.0.0.0:0".into())).await;
    get(&open, "/").await.refuses(403, "--page-token FILE");
    for path in ["/page/main.js", "/page/events?view=cluster", "/page/failures"] {
        assert_eq!(get(&open, path).await.code, 404, "{path}");
    }
    assert!(open.metrics().await.contains("muster_build_info"));
    let none = world(|_, config| config.page = None).await;
    assert_eq!(get(&none, "/").await.code, 404);
    assert!(none.metrics().await.contains("muster_build_info"));

    let closed = world(|folder, config| {
        let file = folder.join("token");
        std::fs::write(&file, TOKEN).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        config.http = Some("0.0.0.0:0".into());
        config.page = Some(PageConfig { token: Some(file) });
    })
    .await;
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let wrong = "Authorization: Bearer 0123456789abcdef0123456789abcdeF";
    for path in ["/", "/page/main.js", "/page/events?view=odd", "/page/failures?job=x", "/page/logs?job=x"] {
        get(&closed, path).await.refuses(401, "/?token=TOKEN");
        ask(&closed, "GET", path, &["Host: localhost", wrong]).await.refuses(401, "/?token=TOKEN");
        let cookie = format!("Cookie: muster_page={TOKEN}");
        ask(&closed, "GET", path, &["Host: localhost", &cookie]).await.refuses(401, "/?token=TOKEN");
        let let_in = ask(&closed, "GET", path, &["Host: localhost", &bearer]).await;
        assert!(matches!(let_in.code, 200 | 400), "{path}: {}", let_in.code);
    }
    get(&closed, "/?token=wrong").await.refuses(401, "/?token=TOKEN");
    let first = get(&closed, &format!("/jobs?token={TOKEN}")).await;
    assert_eq!(first.code, 303);
    assert!(first.head.contains("\r\nlocation: /jobs\r\n"), "{}", first.head);
    let deep = get(&closed, &format!("/page/report?run=3&token={TOKEN}&x=1")).await;
    assert!(deep.head.contains("\r\nlocation: /page/report?run=3&x=1\r\n"), "{}", deep.head);
    let cookie = first.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    assert!(cookie.contains("httponly") && cookie.contains("samesite=strict") && !cookie.contains(TOKEN));
    let cookie = format!("Cookie: other=1; {}", cookie.split(';').next().unwrap());
    assert_eq!(ask(&closed, "GET", "/jobs", &["Host: localhost", &cookie]).await.code, 200);
    ask(&closed, "GET", "/jobs", &["Host: evil.example", &cookie]).await.refuses(421, "--http-host");
}

#[tokio::test]
async fn a_stream_begins_with_a_state_and_goes_on_with_changes() {
    let world = world(|_, _| {}).await;
    let mut cluster = Events::open(&world, "view=cluster").await;
    cluster.until(|state| state["totals"]["up"] == 0).await;
    let mut newest = Events::open(&world, "view=job").await;
    newest.until(|state| state["error"].as_str().is_some_and(|error| error.contains("no job"))).await;
    let mut worker = Worker::attach(&world, 3).await;
    let name = cluster.until(|state| state["totals"]["slots"] == 3).await["workers"]["1"]["name"].clone();
    assert!(name.as_str().unwrap().starts_with("worker-"));

    let job = world.submit(v1::JobSpec { label: "<b>odd</b>".into(), ..world.spec(100).await }).await;
    let mut stream = Events::open(&world, &format!("view=job&job={job}")).await;
    stream.until(|state| state["job"]["tasks"] == 100).await;
    let grant = worker.take_grant().await;
    let failure = v1::TaskFailure {
        lease: grant.lease,
        index: grant.start,
        class: FailureClass::Failed.into(),
        message: "it cannot be".into(),
        busy_ns: 5_000_000,
        evidence: None,
        ..v1::TaskFailure::default()
    };
    worker.report(v1::Report { failures: vec![failure], ..v1::Report::default() }).await;
    stream.until(|state| state["job"]["failed"] == 1).await;
    let block = stream.state["blocks"].as_object().unwrap().values().next().unwrap().clone();
    assert_eq!(
        (&block[0], &block[2], &block[3], &block[4], &block[5]),
        (&1.into(), &0.005.into(), &grant.start.into(), &1.into(), &1.into())
    );
    assert_eq!(stream.state["workers"]["1"], name);
    let found = json(&world, &format!("/page/failures?job={job}")).await;
    assert_eq!(
        (&found["tasks"][0]["task"], &found["tasks"][0]["final"]),
        (&grant.start.into(), &true.into())
    );
    assert_eq!(found["tasks"][0]["attempts"][0]["message"], "it cannot be");

    if grant.count > 1 {
        let rest = v1::Grant { start: grant.start + 1, count: grant.count - 1, ..grant.clone() };
        worker.report(indexes(&rest)).await;
    }
    while let Some(grant) = worker.grants.pop_front() {
        worker.report(indexes(&grant)).await;
    }
    let serving = tokio::spawn(worker.serve(indexes));
    stream.until(|state| state["job"]["state"] == "done").await;
    assert_eq!((&stream.state["job"]["ok"], stream.snapshots), (&99.into(), 1));
    assert!(stream.deltas >= 2);
    // What changes made is what somebody sees who comes now, but for what time changes.
    let mut fresh = Events::open(&world, &format!("view=job&job={job}")).await;
    fresh.until(|_| true).await;
    for key in ["job", "blocks", "workers", "phases", "exits"] {
        assert_eq!(fresh.state[key], stream.state[key], "{key}");
    }
    newest.until(|state| state["job"]["job"] == job).await;

    let mut jobs = Events::open(&world, "view=jobs&text=ODD").await;
    jobs.until(|state| state["found"] == 1).await;
    assert_eq!(jobs.state["jobs"][job.to_string()]["label"], "<b>odd</b>");
    let mut failed = Events::open(&world, "view=jobs&state=failed").await;
    failed.until(|state| state["found"] == 0 && state["all"] == 1).await;
    let mut plugins = Events::open(&world, "view=plugins").await;
    plugins.until(|state| state["plugins"].as_object().is_some_and(|all| all.len() == 1)).await;

    let World { running, folder: _folder, .. } = world;
    soon(running.shutdown()).await.unwrap();
    for stream in [&mut cluster, &mut newest, &mut stream, &mut jobs, &mut plugins] {
        while stream.next().await.is_some() {}
    }
    serving.abort();
}

#[tokio::test]
async fn the_list_of_jobs_has_pages() {
    let world = world(|_, _| {}).await;
    let spec = world.spec(1).await;
    for number in 0..120 {
        world.submit(v1::JobSpec { label: format!("run {number}"), ..spec.clone() }).await;
    }
    let mut shown = Vec::new();
    for page in 1..=3 {
        let mut stream = Events::open(&world, &format!("view=jobs&page={page}")).await;
        let state = stream.until(|state| state["found"] == 120).await;
        assert_eq!((&state["page"], &state["page_jobs"]), (&page.into(), &50.into()));
        let jobs = state["jobs"].as_object().unwrap();
        assert_eq!(jobs.len(), if page < 3 { 50 } else { 20 });
        shown.extend(jobs.keys().map(|key| key.parse::<u64>().unwrap()));
    }
    shown.sort_unstable();
    assert_eq!(shown, (1..=120).collect::<Vec<_>>());
    let mut beyond = Events::open(&world, "view=jobs&page=99999999999999999").await;
    beyond.until(|state| state["jobs"] == Value::Object(Map::new()) && state["found"] == 120).await;
    let mut some = Events::open(&world, "view=jobs&text=run+11").await;
    some.until(|state| state["found"] == 11).await;
    let mut cancelled = Events::open(&world, "view=jobs&state=cancelled").await;
    cancelled.until(|state| state["found"] == 0).await;
    world.jobs().cancel(v1::JobRequest { job: 7 }).await.unwrap();
    cancelled.until(|state| state["jobs"]["7"]["state"] == "cancelled").await;
}

/// Workers whose memory is another one with each heartbeat.
async fn restless_workers(world: &World, count: u64) -> tokio::task::JoinHandle<()> {
    let mut workers = Vec::new();
    for _ in 0..count {
        workers.push(Worker::attach(world, 4).await);
    }
    tokio::spawn(async move {
        for beat in 1.. {
            for worker in &workers {
                let heartbeat = v1::Heartbeat { pss_bytes: beat << 20, ..v1::Heartbeat::default() };
                worker.send(from_worker::Kind::Heartbeat(heartbeat)).await;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    })
}

#[tokio::test]
async fn who_does_not_read_for_long_holds_nobody_up_and_gets_there() {
    const WORKERS: u64 = 400;
    let world = world(|_, _| {}).await;
    let beating = restless_workers(&world, WORKERS).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut slow = Events::open_on(socket, &world, "view=cluster").await;
    slow.next().await.unwrap();
    let mut quick = Events::open(&world, "view=cluster").await;
    // How many changes the network holds for a reader is its own matter; that one beyond them gets a whole state is tested in
    // `page/feed.rs`.
    while quick.deltas < 40 {
        quick.next().await.unwrap();
    }
    assert_eq!(quick.snapshots, 1, "a reader that reads misses nothing");
    assert_eq!(quick.state["totals"]["up"], WORKERS);
    let newest = quick.state["workers"]["1"]["memory"].as_u64().unwrap();
    let memory = |state: &Value| state["workers"]["1"]["memory"].as_u64().unwrap_or(0);
    slow.until(|state| memory(state) >= newest).await;
    assert_eq!(slow.state["workers"].as_object().unwrap().len() as u64, WORKERS);
    beating.abort();
}

#[tokio::test]
async fn streams_have_a_limit_and_crowds_do_not_push_them_out() {
    const STREAMS_MAX: usize = 64;
    const CROWD: usize = 1_000;
    let world = world(|_, _| {}).await;
    let mut streams = Vec::new();
    for number in 0..STREAMS_MAX {
        let view = ["view=cluster", "view=jobs", "view=plugins"][number % 3];
        let mut stream = Events::open(&world, view).await;
        stream.next().await.unwrap();
        streams.push(stream);
    }
    get(&world, "/page/events?view=cluster").await.refuses(503, "64 pages are open");
    assert!(world.metrics().await.contains("muster_build_info"), "scrapes find a place");
    // Connections that say nothing, or half of something.
    let mut crowd = Vec::new();
    for number in 0..CROWD {
        let mut stream = TcpStream::connect(address(&world)).await.unwrap();
        if number % 2 == 0 {
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: loc").await;
        }
        crowd.push(stream);
    }
    assert_eq!(get(&world, "/").await.code, 200);
    let worker = Worker::attach(&world, 1).await;
    for stream in streams.iter_mut().step_by(3) {
        stream.until(|state| state["totals"]["up"] == 1).await;
    }
    drop(crowd);
    // A place is free when its stream has gone.
    drop(streams.pop());
    drop(worker);
    soon(async {
        loop {
            let mut stream = Events::open(&world, "view=plugins").await;
            if stream.next().await.is_some() {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_task_stream_keeps_the_last_blocks_and_says_of_how_many() {
    let world = world(|_, _| {}).await;
    let job = world.submit(world.spec(2_000).await).await;
    let mut worker = Worker::attach(&world, 8).await;
    let mut stream = Events::open(&world, &format!("view=job&job={job}")).await;
    let mut left = 2_000;
    while left > 0 {
        let grant = worker.take_grant().await;
        // A block for each task.
        for index in grant.start..grant.start + grant.count {
            let mut report = indexes(&v1::Grant { start: index, count: 1, ..grant.clone() });
            // By a clock that began five seconds ago, they had ended a second before they came. Every fifth says nothing of that.
            report.sent_ns = 5_000_000_000;
            let ran_on = v1::RanOn { executor: 4, thread: index as u32 % 3, ended_ns: 4_000_000_000 };
            report.blocks[0].ran_on = (index % 5 > 0).then_some(ran_on);
            worker.report(report).await;
        }
        left -= grant.count;
    }
    stream.until(|state| state["job"]["state"] == "done").await;
    let blocks = stream.state["blocks"].as_object().unwrap();
    assert_eq!((blocks.len(), &stream.state["job"]["ok"]), (500, &2_000.into()));
    let mut numbers: Vec<u64> = blocks.keys().map(|key| key.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1_501..=2_000).collect::<Vec<_>>());
    let (last, unknown) = (&blocks["2000"], &blocks["1996"]);
    assert_eq!((&last[3], &last[6], &last[7]), (&1_999.into(), &4.into(), &(1_999 % 3).into()));
    assert_eq!((&unknown[3], unknown.as_array().unwrap().len()), (&1_995.into(), 6));
    let before_s = unknown[1].as_f64().unwrap() - last[1].as_f64().unwrap();
    assert!((0.5..=1.0).contains(&before_s), "what is known to have ended earlier did, by {before_s} s");
}
