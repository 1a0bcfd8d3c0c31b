//! What Prometheus is told of where workers are, and who is told.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::{Worker, World, get, hello, soon};
use muster_proto::link::{PAGE_CLIENTS_MAX, host_name};
use muster_proto::v1::{self, from_worker};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LEASE: Duration = Duration::from_secs(1);

async fn world() -> World {
    World::counted_with(|config| config.lease = LEASE).await
}

fn address(world: &World) -> String {
    world.running.http_addr.unwrap().to_string()
}

/// A worker on this machine whose metrics would be there.
fn scraped(name: &str, metrics_address: &str) -> v1::WorkerHello {
    v1::WorkerHello {
        name: name.into(),
        host: host_name(),
        metrics_address: metrics_address.into(),
        ..hello(1)
    }
}

/// What is listed, once the coordinator lists anything.
async fn listed(world: &World) -> Value {
    let answer = soon(async {
        loop {
            let answer = get(&address(world), "/sd").await;
            if !answer.starts_with("HTTP/1.1 503") {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-type: application/json"), "{head}");
    serde_json::from_str(body).unwrap()
}

async fn until_listed(world: &World, wanted: Value) {
    soon(async { while listed(world).await != wanted {} }).await;
}

fn group(name: &str, address: &str) -> Value {
    json!({"targets": [address], "labels": {"worker": name}})
}

async fn raw(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn nothing_is_said_until_workers_had_time_to_come_back() {
    let begun = Instant::now();
    let world = world().await;
    let answer = get(&address(&world), "/sd").await;
    if begun.elapsed() < LEASE {
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("has just started"), "{answer}");
    }
    assert_eq!(listed(&world).await, json!([]));
    assert!(begun.elapsed() >= LEASE, "the list came after {:?}", begun.elapsed());
}

#[tokio::test]
async fn workers_that_left_vanish_and_lost_ones_stay() {
    let world = world().await;
    let first = Worker::attach_as(&world, scraped("w\"1", "127.0.0.1:1001")).await.unwrap();
    let second = Worker::attach_as(&world, scraped("w2", "10.0.0.2:1002")).await.unwrap();
    let third = Worker::attach_as(&world, scraped("w3", "127.0.0.1:1003")).await.unwrap();
    let (one, two, three) =
        (group("w\"1", "127.0.0.1:1001"), group("w2", "10.0.0.2:1002"), group("w3", "127.0.0.1:1003"));
    // Silent workers would be lost.
    let beat = |worker: &Worker| {
        let to = worker.to.clone();
        tokio::spawn(async move {
            let kind = Some(from_worker::Kind::Heartbeat(v1::Heartbeat::default()));
            while to.send(v1::FromWorker { kind: kind.clone() }).await.is_ok() {
                tokio::time::sleep(LEASE / 10).await;
            }
        })
    };
    let beats = [beat(&first), beat(&second), beat(&third)];
    until_listed(&world, json!([one, two, three])).await;
    second.send(from_worker::Kind::Goodbye(v1::Goodbye { reason: "stopped".into() })).await;
    until_listed(&world, json!([one, three])).await;
    beats[0].abort();
    let was = v1::WorkerHello { name: "w\"1".into(), ..scraped("", "127.0.0.1:1001") };
    drop(first);
    // Lost ones stand behind those that are there.
    until_listed(&world, json!([three, one])).await;
    let back = Worker::attach_as(&world, was).await.unwrap();
    let _back_beats = beat(&back);
    until_listed(&world, json!([three, one])).await;
    assert_eq!(world.counter("muster_workers{state=\"up\"}").await, 2);
    assert_eq!(world.counter("muster_workers{state=\"lost\"}").await, 1);
    assert_eq!(world.counter("muster_worker_losses_total{reason=\"disconnected\"}").await, 1);
    assert_eq!(world.counter("muster_worker_losses_total{reason=\"left\"}").await, 1);
    assert_eq!(world.counter("muster_worker_registrations_total").await, 4);
}

#[tokio::test]
async fn what_cannot_be_scraped_is_not_listed() {
    let world = world().await;
    let elsewhere = v1::WorkerHello { host: "another-machine".into(), ..scraped("far", "127.0.0.1:1") };
    let mut workers = Vec::new();
    for hello in [
        elsewhere,
        scraped("none", ""),
        scraped("path", "http://10.0.0.1/metrics"),
        scraped("port", "10.0.0.1:99999"),
        v1::WorkerHello { host: "another-machine".into(), ..scraped("near", "another-machine:7079") },
        scraped("same", "another-machine:7079"),
    ] {
        workers.push(Worker::attach_as(&world, hello).await.unwrap());
    }
    let beats = workers.iter().map(|worker| {
        let to = worker.to.clone();
        tokio::spawn(async move {
            let kind = Some(from_worker::Kind::Heartbeat(v1::Heartbeat::default()));
            while to.send(v1::FromWorker { kind: kind.clone() }).await.is_ok() {
                tokio::time::sleep(LEASE / 10).await;
            }
        })
    });
    let _beats: Vec<_> = beats.collect();
    until_listed(&world, json!([group("near", "another-machine:7079")])).await;
}

#[tokio::test]
async fn only_who_asks_for_this_machine_is_answered_and_nobody_may_post() {
    let world = World::counted_with(|config| config.http_hosts = vec!["watch.example".into()]).await;
    let address = address(&world);
    let port = address.rsplit_once(':').unwrap().1;
    for path in ["/metrics", "/sd", "/healthz"] {
        let ask = |method: &str, host: &str| {
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
        };
        for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""] {
            let answer = raw(&address, &ask("GET", host)).await;
            assert!(answer.starts_with("HTTP/1.1 421"), "{path} for {host}: {answer}");
            assert!(!answer.contains("muster_"), "{answer}");
        }
        for host in ["watch.example", "localhost", &format!("localhost:{port}"), &address, "[::1]:1"] {
            let answer = raw(&address, &ask("GET", host)).await;
            let served = answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.1 503");
            assert!(served, "{path} for {host}: {answer}");
        }
        for method in ["POST", "PUT", "DELETE"] {
            let answer = raw(&address, &ask(method, "localhost")).await;
            assert!(answer.starts_with("HTTP/1.1 405"), "{method} {path}: {answer}");
        }
    }
}

/// Memory of this process: coordinator and clients.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Ten thousand clients, of whom each asks for a page and reads nothing of it.
#[tokio::test]
async fn clients_that_never_read_take_nothing_from_others() {
    const CLIENTS: usize = 10_000;
    muster_coordinator::raise_file_limit();
    let world = world().await;
    let address = address(&world);
    let answer = get(&address, "/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200"));
    let before = resident_bytes();
    let mut deaf = Vec::new();
    let mut slowest = Duration::ZERO;
    for number in 0..CLIENTS {
        let mut stream = soon(TcpStream::connect(&address)).await.unwrap();
        // Whoever had to make room may have been cut off already.
        let path = match number % 10 {
            0 => "/metrics",
            1 => "/",
            2 => "/page/main.js",
            3 => "/page/events?view=cluster",
            _ => "/sd",
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").repeat(4);
        let _ = stream.write_all(request.as_bytes()).await;
        deaf.push(stream);
        // The file limit of a test is not that of a server: old clients, which were cut off, close.
        if deaf.len() > 4 * PAGE_CLIENTS_MAX {
            deaf.drain(..PAGE_CLIENTS_MAX);
        }
        if number % 1_000 == 999 {
            let begun = Instant::now();
            let answer = get(&address, "/healthz").await;
            assert!(answer.ends_with("ok\n"), "{answer}");
            slowest = slowest.max(begun.elapsed());
        }
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{CLIENTS} clients took {} MiB", grown >> 20);
    assert!(slowest < Duration::from_secs(5), "another client waited for {slowest:?}");
    let answer = get(&address, "/metrics").await;
    assert!(answer.contains("muster_workers{state=\"up\"} 0"), "{answer}");
}
