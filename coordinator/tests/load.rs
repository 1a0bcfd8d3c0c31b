//! Measures, run by hand: `cargo test --release -p muster-coordinator --test load -- --ignored --nocapture`.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::{Worker, World, capitals, hello, message, soon};
use muster_proto::link::{Identities, Target, connect_by};
use muster_proto::packed::{Items, Packed};
use muster_proto::v1::worker_link_client::WorkerLinkClient;
use muster_proto::v1::{self, Outputs, from_worker};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// A field of a process's status in KiB.
fn memory_kib(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Processor time of a process.
fn cpu_s(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// One task into an open job until its result is back; client, coordinator and worker in this process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn one_task() {
    for (name, world) in [("memory", World::start().await), ("state folder", World::durable().await)] {
        tokio::spawn(Worker::attach(&world, 1).await.serve(capitals));
        let outputs = Outputs::Stream.into();
        let spec = v1::JobSpec { open: true, has_inputs: true, outputs, ..world.spec(0).await };
        let job = world.submit(spec).await;
        let asked = v1::ResultsRequest { job, follow: true, ..v1::ResultsRequest::default() };
        let mut results = world.jobs().results(asked).await.unwrap().into_inner();
        let (feed, messages) = mpsc::channel(4);
        feed.send(v1::FeedRequest { job, ..v1::FeedRequest::default() }).await.unwrap();
        let mut client = world.jobs();
        let _replies = soon(client.feed(ReceiverStream::new(messages))).await.unwrap().into_inner();
        let mut times = Vec::new();
        for _ in 0..2_000 {
            let start = Instant::now();
            let inputs = Some(Items::of(["task"]).into_packed());
            feed.send(v1::FeedRequest { inputs, count: 1, ..v1::FeedRequest::default() }).await.unwrap();
            soon(results.message()).await.unwrap().unwrap();
            times.push(start.elapsed());
        }
        times.sort_unstable();
        eprintln!("{name}: one task p50 {:?}, p99 {:?}", times[1_000], times[1_980]);
    }
}

/// Results of 8 bytes as fast as one worker can send them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn results_per_second() {
    const BATCH: u64 = 16_384;
    let data = bytes::Bytes::from(vec![1; BATCH as usize * 8]);
    for (outputs, durable) in [(Outputs::Checksum, false), (Outputs::Keep, false), (Outputs::Keep, true)] {
        let world = if durable { World::durable().await } else { World::start().await };
        let tasks = 40_000_000;
        for _ in 0..2 {
            let data = data.clone();
            tokio::spawn(Worker::attach(&world, 1).await.serve(move |grant| {
                let blocks = (0..grant.count).step_by(BATCH as usize).map(|from| {
                    let count = BATCH.min(grant.count - from);
                    let data = data.slice(..count as usize * 8);
                    let results = Packed { width: 8, lengths: Vec::new(), data };
                    let busy_ns = count;
                    v1::ResultBlock {
                        busy_ns,
                        ..fixture::block_of(grant.lease, grant.start + from, count, results)
                    }
                });
                v1::Report { blocks: blocks.collect(), ..v1::Report::default() }
            }));
        }
        let (start, cpu) = (Instant::now(), cpu_s(std::process::id()));
        let spec = v1::JobSpec { outputs: outputs.into(), ..world.spec(tasks).await };
        let job = world.submit(spec).await;
        let status = world.ended(job).await;
        let seconds = start.elapsed().as_secs_f64();
        assert_eq!(status.ok, tasks);
        let rate = tasks as f64 / seconds / 1e6;
        let cpu = cpu_s(std::process::id()) - cpu;
        eprintln!(
            "{outputs:?} durable={durable}: {rate:.1} M tasks/s, {cpu:.2} s CPU, leases {}",
            status.leases
        );
    }
}

/// Ten thousand workers that do nothing but breathe, on a coordinator in a process of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn ten_thousand_workers() {
    const WORKERS: usize = 10_000;
    let folder = tempfile::tempdir().unwrap();
    let mut coordinator = tokio::process::Command::new(env!("CARGO_BIN_EXE_muster-coordinator"))
        .args(["--http", "none", "--listen", "127.0.0.1:0", "--state"])
        .arg(folder.path().join("state"))
        .arg("--socket")
        .arg(folder.path().join("socket"))
        .env("MUSTER_LOG", "error")
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = coordinator.id().unwrap();
    let mut stdout = tokio::io::BufReader::new(coordinator.stdout.take().unwrap());
    let mut join = String::new();
    soon(tokio::io::AsyncBufReadExt::read_line(&mut stdout, &mut join)).await.unwrap();
    for (name, target) in
        [("unix", Target::Unix(folder.path().join("socket"))), ("tls", Target::parse(join.trim()).unwrap())]
    {
        let before = memory_kib(pid, "VmRSS");
        let mut held = tokio::task::JoinSet::new();
        for _ in 0..WORKERS {
            // A connection each, as real workers have.
            let link = connect_by(&Identities::in_memory(), &target).await.unwrap();
            let (to, messages) = mpsc::channel(1);
            to.send(message(from_worker::Kind::Hello(hello(1)))).await.unwrap();
            let mut client = WorkerLinkClient::new(link);
            let mut from = client.attach(ReceiverStream::new(messages)).await.unwrap().into_inner();
            from.message().await.unwrap().unwrap();
            held.spawn(async move {
                let _from = from;
                let mut second = tokio::time::interval(Duration::from_secs(1));
                loop {
                    second.tick().await;
                    let beat = message(from_worker::Kind::Heartbeat(v1::Heartbeat::default()));
                    to.send(beat).await.unwrap_or_else(|_| panic!("the coordinator ended a stream"));
                }
            });
        }
        let (start, cpu) = (Instant::now(), cpu_s(pid));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(held.try_join_next().is_none(), "every worker is still there");
        let share = (cpu_s(pid) - cpu) / start.elapsed().as_secs_f64() * 100.0;
        let kib = (memory_kib(pid, "VmRSS") - before) as f64 / WORKERS as f64;
        eprintln!("{name}: {kib:.1} KiB a worker, {share:.1} % of a core");
        held.shutdown().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        eprintln!("{name}: {} KiB after all left, {before} KiB before they came", memory_kib(pid, "VmRSS"));
    }
    coordinator.kill().await.unwrap();
}
