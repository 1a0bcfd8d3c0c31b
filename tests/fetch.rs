//! `muster http-server`, and the workloads that fetch from it.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod fixture;

use fixture::{Muster, Started, plugin, wait_until};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A server that is ended with Ctrl-C.
struct Server {
    started: Started,
    url: String,
}

impl Server {
    fn start(muster: &Muster, flags: &[&str]) -> Self {
        let mut started = muster.start(&[&["http-server"], flags].concat());
        let url = started.wait_for_lines(1).remove(0);
        assert!(url.starts_with("http://127.0.0.1:"), "{url}");
        Self { started, url }
    }

    fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    fn end(self) {
        self.started.signal(libc::SIGINT);
        self.started.finish().ok();
    }
}

/// Asks over a connection that stays open; the status and the body.
fn ask(stream: &mut TcpStream, path: &str) -> (u16, Vec<u8>) {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head[9..12].parse().unwrap(), body)
}

#[test]
fn the_server_waits_counts_and_fails_as_asked() {
    let muster = Muster::new();
    let server = Server::start(&muster, &[]);
    let mut stream = server.connect();
    // All over one connection.
    assert!(String::from_utf8(ask(&mut stream, "/").1).unwrap().contains("/delay/SECONDS"));
    for count in [0, 1, 200_000] {
        assert_eq!(ask(&mut stream, &format!("/bytes/{count}")), (200, vec![b'm'; count]));
    }
    let begin = Instant::now();
    assert_eq!(ask(&mut stream, "/delay/0.15").0, 200);
    assert!(begin.elapsed() >= Duration::from_millis(150));
    assert_eq!(ask(&mut stream, "/status/503").0, 503);
    assert_eq!((ask(&mut stream, "/nothing").0, ask(&mut stream, "/bytes/many").0), (404, 400));
    drop(stream);
    server.end();
}

#[test]
fn latency_is_added_to_every_answer_and_connections_are_limited() {
    let muster = Muster::new();
    let server = Server::start(&muster, &["--latency", "const:100ms", "--connections", "2"]);
    let mut streams = [server.connect(), server.connect()];
    let begin = Instant::now();
    for stream in &mut streams {
        assert_eq!(ask(stream, "/bytes/1").0, 200);
    }
    assert!(begin.elapsed() >= Duration::from_millis(200));
    // A third one is taken when one of the two has ended.
    let mut third = server.connect();
    third.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    write!(third, "GET / HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
    assert!(third.read(&mut [0]).is_err(), "it was answered beyond the limit");
    let [first, _second] = streams;
    drop(first);
    third.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    assert_eq!(third.read(&mut [0]).unwrap(), 1);
    server.end();
}

#[test]
fn bad_flags_of_the_server_are_refused() {
    let muster = Muster::new();
    muster.run(&["http-server", "--host", "0.0.0.0"]).fails(2, &["--allow-remote", "other machines"]);
    muster.run(&["http-server", "--host", "here"]).fails(2, &["--host"]);
    muster.run(&["http-server", "--port", "99999"]).fails(2, &["--port"]);
    muster.run(&["http-server", "--latency", "100ms"]).fails(2, &["--latency", "const:100ms"]);
    muster.run(&["http-server", "--connections", "0"]).fails(2, &["--connections", "at least 1"]);
    let server = Server::start(&muster, &[]);
    let port = server.url.rsplit_once(':').unwrap().1.to_owned();
    muster.run(&["http-server", "--port", &port]).fails(5, &["cannot listen on 127.0.0.1"]);
    server.end();
    let open = muster.start(&["http-server", "--host", "0.0.0.0", "--allow-remote"]);
    let mut open = open;
    assert!(open.wait_for_lines(1)[0].starts_with("http://0.0.0.0:"));
    open.signal(libc::SIGTERM);
    open.finish().ok();
}

/// Thousands of connections are open at the same time; each is answered, and the server stays small.
#[test]
fn thousands_of_connections_are_held_at_the_same_time() {
    const CONNECTIONS: usize = 2_000;
    muster_coordinator::raise_file_limit();
    let muster = Muster::new();
    let server = Server::start(&muster, &[]);
    let mut streams: Vec<TcpStream> = (0..CONNECTIONS).map(|_| server.connect()).collect();
    for stream in &mut streams {
        stream.write_all(b"GET /delay/0.5 HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
    }
    for stream in &mut streams {
        let mut head = [0; 15];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.started.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: usize = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("{CONNECTIONS} connections: {peak_kib} KiB at most");
    assert!(peak_kib < 20_000 + 40 * CONNECTIONS, "{peak_kib} KiB");
    drop(streams);
    server.end();
}

#[test]
fn bytes_are_fetched_under_every_model() {
    let muster = Muster::new();
    let server = Server::start(&muster, &[]);
    let url = format!("url={}/bytes/{{index}}00", server.url);
    let fetch = plugin("http-fetch");
    let shapes: [&[&str]; 4] = [
        &["-t", "4"],
        &["--model", "process", "-p", "2"],
        &["--model", "hybrid", "-p", "2", "-t", "2"],
        &["--model", "async", "-t", "1", "--in-flight", "8"],
    ];
    for shape in shapes {
        let arguments = [&["run", &fetch, &url, "-n", "30", "--out", "-", "--oversubscribe"], shape].concat();
        let lines = muster.run(&arguments).ok().json_lines();
        let expected: Vec<Value> =
            (0..30).map(|index| json!({"index": index, "output": index * 100})).collect();
        assert_eq!(lines, expected, "{shape:?}");
    }
    server.end();
}

#[test]
fn failed_fetches_are_told_apart() {
    let muster = Muster::new();
    let server = Server::start(&muster, &[]);
    let fetch = plugin("http-fetch");
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("url=http://{}/", listener.local_addr().unwrap())
    };
    let path = |path: &str| format!("url={}{path}", server.url);
    for (url, extra, retried, words) in [
        (path("/status/404"), "timeout_s=30", 0, "status 404"),
        (path("/status/503"), "timeout_s=30", 2, "status 503"),
        (path("/delay/60"), "timeout_s=0.1", 2, "no complete answer within 0.1 s"),
        (gone, "timeout_s=30", 2, "cannot connect"),
    ] {
        for model in ["thread", "async"] {
            let arguments = ["run", &fetch, &url, extra, "-n", "1", "--model", model, "-t", "1", "--json"];
            let report = muster.run(&arguments).exits(1).json();
            assert_eq!(report["retried"], retried, "{url} under {model}: {report}");
            let message = report["failures"][0]["message"].as_str().unwrap();
            assert!(message.contains(words), "{url} under {model}: {message}");
        }
    }
    for (url, words) in [("url=https://a/", "https is not spoken"), ("url=ftp://a/", "http://")] {
        let finished = muster.run(&["run", &fetch, url, "-n", "1"]);
        assert!(finished.code() != 0 && finished.stderr.contains(words), "{url}: {}", finished.stderr);
    }
    server.end();
}

/// How many sockets a process has.
fn sockets_of(pid: u32) -> usize {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let links = files.filter_map(|file| std::fs::read_link(file.path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

#[test]
fn a_cancelled_fetch_stops_at_once() {
    let muster = Muster::new();
    let server = Server::start(&muster, &[]);
    let url = format!("url={}/delay/600", server.url);
    let fetch = plugin("http-fetch");
    let sockets = || sockets_of(server.started.id());
    let before = sockets();
    let shapes: [&[&str]; 2] =
        [&["-t", "4", "--oversubscribe"], &["--model", "async", "-t", "1", "--in-flight", "4"]];
    for shape in shapes {
        let run = muster.start(&[&["run", &fetch, &url, "timeout_s=3600", "-n", "4"], shape].concat());
        assert!(wait_until(|| sockets() == before + 4), "the fetches have not begun: {shape:?}");
        let begin = Instant::now();
        run.signal(libc::SIGINT);
        run.finish().exits(130);
        assert!(begin.elapsed() < Duration::from_secs(10), "{shape:?}: {:?}", begin.elapsed());
        assert!(wait_until(|| sockets() == before), "connections were left open: {shape:?}");
    }
    server.end();
}

/// Fetches that wait take a place each, not a thread: two thousand wait at the same time on one thread, and four threads
/// take their fetches one after the other.
#[test]
fn thousands_of_fetches_wait_on_one_thread() {
    let muster = Muster::new();
    let server = Server::start(&muster, &[]);
    let fetch = plugin("http-fetch");
    let url = format!("url={}/delay/0.5", server.url);
    let shape = ["--model", "async", "-t", "1", "--in-flight", "2000", "--json"];
    let report = muster.run(&[&["run", &fetch, &url, "-n", "2000"], &shape[..]].concat()).ok().json();
    let found = json!([report["ok"], report["retried"], report["threads"], report["stand_in_threads"]]);
    assert_eq!(found, json!([2_000, 0, 1, 0]), "{report}");
    // One after the other they would take a thousand seconds; a slow machine needs some to connect so often.
    let wall = report["wall_s"].as_f64().unwrap();
    println!("2,000 fetches of 0.5 s in flight on one thread: {wall:.3} s");
    assert!((0.5..20.0).contains(&wall), "{report}");
    let url = format!("url={}/delay/0.1", server.url);
    let shape = ["-n", "40", "--model", "thread", "-t", "4", "--oversubscribe", "--json"];
    let report = muster.run(&[&["run", &fetch, &url], &shape[..]].concat()).ok().json();
    let wall = report["wall_s"].as_f64().unwrap();
    println!("40 fetches of 0.1 s on four threads: {wall:.3} s");
    assert!((1.0..5.0).contains(&wall), "{report}");
    server.end();
}

/// What does not fit into the limit of open files fails for now, says how many there may be, and passes when others have
/// ended.
#[test]
fn fetches_that_get_no_descriptor_say_so() {
    let muster = Muster::new();
    let server = Server::start(&muster, &[]);
    let fetch = plugin("http-fetch");
    let url = format!("url={}/delay/0.2", server.url);
    let shape = ["--model", "async", "-t", "1", "--in-flight", "400", "--open-files", "100", "--json"];
    let few = [&["run", &fetch, &url, "-n", "400", "--max-attempts", "1"], &shape[..]].concat();
    let report = muster.run(&few).exits(1).json();
    let (ok, failed) = (report["ok"].as_u64().unwrap(), report["failed"].as_u64().unwrap());
    assert!((1..100).contains(&ok) && ok + failed == 400, "{report}");
    let message = report["failures"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("this process may open 100 files") && message.contains("ulimit -n"),
        "{message}"
    );
    assert_eq!(report["executor_exits"], 0, "{report}");
    server.end();
}

/// The hybrid experiment: two processes, each fetches ten times on five threads of its own, and then computes.
#[test]
fn fetching_on_inner_threads_overlaps_and_sums_are_right() {
    let muster = Muster::new();
    let server = Server::start(&muster, &[]);
    let url = format!("url={}/delay/{{number}}", server.url);
    let plugin = plugin("fetch-then-sum");
    let arguments = [
        "run",
        &plugin,
        &url,
        "-n",
        "2",
        "--model",
        "process",
        "-p",
        "2",
        "--oversubscribe",
        "--json",
        "--out",
        "out",
    ];
    let report = muster.run(&arguments).ok().json();
    let lines: Vec<Value> = String::from_utf8(muster.read("out"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        lines,
        [
            json!({"index": 0, "output": 333_332_833_333_500_000_u64}),
            json!({"index": 1, "output": 2_333_331_833_333_500_000_u64}),
        ]
    );
    // Ten fetches of two seconds on five threads; one after the other they would take twenty.
    let wall = report["wall_s"].as_f64().unwrap();
    println!("fetch-then-sum, process 2x1, 5 inner threads: {wall:.3} s");
    assert!((4.0..15.0).contains(&wall), "{report}");
    let info = muster.run(&["plugin", "info", &plugin]).ok().text();
    assert!(info.contains("inner_threads") || info.contains("beside its slot"), "{info}");
    server.end();
}

#[test]
fn a_failed_inner_fetch_fails_the_task() {
    let muster = Muster::new();
    let server = Server::start(&muster, &[]);
    let url = format!("url={}/status/404", server.url);
    let report =
        muster.run(&["run", &plugin("fetch-then-sum"), &url, "-n", "2", "-t", "1", "--json"]).exits(1).json();
    assert_eq!((&report["failed"], &report["retried"]), (&json!(2), &json!(0)), "{report}");
    assert!(report["failures"][0]["message"].as_str().unwrap().contains("status 404"), "{report}");
    server.end();
}
