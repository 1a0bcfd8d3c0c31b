//! Ten thousand workers on one coordinator: what it costs that they are there. A client of the worker protocol opens a
//! connection per worker and says once a second that it is alive, as real workers do.
//!
//! `cargo test --release --test scale -- --nocapture --test-threads=1`; a debug build opens fewer and asserts no cost.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod daemons;
mod fixture;

use daemons::{Daemon, SOON, allow_descriptors, until};
use fixture::Muster;
use futures_util::stream::{self, Stream, StreamExt as _};
use muster_proto::link::{Link, Target, connect};
use muster_proto::v1::cluster_client::ClusterClient;
use muster_proto::v1::worker_link_client::WorkerLinkClient;
use muster_proto::v1::{self, from_worker, to_worker};
use muster_proto::{FEATURES, MESSAGE_MAX_BYTES, PROTOCOL_VERSION};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

const WORKERS: u64 = if cfg!(debug_assertions) { 500 } else { 10_000 };
const HEARTBEAT: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(10);
/// The promises.
const CPU_SHARE_MAX: f64 = 0.25;
const PSS_PER_WORKER_MAX_KIB: f64 = 60.0;
/// Connections that are being opened at the same time.
const OPENING_MAX: usize = 32;
const CONNECT_LIMIT: Duration = Duration::from_secs(300);
/// Descriptors beside the workers' connections.
const SPARE_DESCRIPTORS: u64 = 1_000;

/// Two cores are measured: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A coordinator in a process of its own.
struct Coordinator {
    daemon: Daemon,
    unix: Target,
    tls: Target,
    _muster: Muster,
}

impl Coordinator {
    fn start() -> Self {
        allow_descriptors(WORKERS + SPARE_DESCRIPTORS);
        let muster = Muster::new();
        let socket = muster.path("c.sock");
        let mut command = muster.command(&[
            "coordinator",
            "start",
            "--listen",
            "127.0.0.1:0",
            "--http",
            "none",
            "--socket",
        ]);
        command.arg(&socket).env("MUSTER_LOG", "warn");
        let mut daemon = Daemon::start("coordinator", &muster.path(""), command);
        let join = until("join string", SOON, || {
            daemon.assert_runs();
            daemon.output().lines().next().map(str::to_owned)
        });
        Self { daemon, unix: Target::Unix(socket), tls: Target::parse(&join).unwrap(), _muster: muster }
    }

    /// Its share of the machine's memory.
    fn pss_kib(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.daemon.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
        line.trim_end_matches("kB").trim().parse().unwrap()
    }

    /// Time it has used, user and system.
    fn cpu(&self) -> Duration {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.daemon.id())).unwrap();
        let fields: Vec<&str> = text.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        // SAFETY: sysconf takes a number and gives one.
        let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.cast_unsigned();
        Duration::from_millis(ticks * 1_000 / per_second)
    }
}

/// What all workers of a test share.
#[derive(Default)]
struct Totals {
    welcomed: AtomicU64,
    /// Connections that had to be tried again: a handshake may time out on a busy machine.
    retries: AtomicU64,
    ended: AtomicU64,
    heartbeats: AtomicU64,
}

/// Hello, then a heartbeat a second; `phase` spreads the workers over the second.
fn messages(number: u64, phase: Duration, totals: Arc<Totals>) -> impl Stream<Item = v1::FromWorker> {
    let hello = v1::WorkerHello {
        protocol: PROTOCOL_VERSION,
        features: FEATURES.iter().map(ToString::to_string).collect(),
        name: format!("w{number}"),
        incarnation: number + 1,
        slots: 1,
        target: format!("{}-unknown-linux-gnu", std::env::consts::ARCH),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: "loopback".to_owned(),
        pid: std::process::id(),
        metrics_address: String::new(),
        ..v1::WorkerHello::default()
    };
    let mut timer = tokio::time::interval_at(tokio::time::Instant::now() + phase, HEARTBEAT);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let heartbeats = stream::unfold((timer, totals), |(mut timer, totals)| async move {
        timer.tick().await;
        totals.heartbeats.fetch_add(1, Ordering::Relaxed);
        let heartbeat = v1::Heartbeat { pss_bytes: 4 << 20, ..v1::Heartbeat::default() };
        Some((from_worker::Kind::Heartbeat(heartbeat), (timer, totals)))
    });
    let hello = stream::once(std::future::ready(from_worker::Kind::Hello(hello)));
    hello.chain(heartbeats).map(|kind| v1::FromWorker { kind: Some(kind) })
}

/// One worker: connects, is welcomed, and stays until its stream ends.
async fn worker(number: u64, target: Target, opening: Arc<Semaphore>, totals: Arc<Totals>) {
    let place = opening.acquire_owned().await.unwrap();
    let link = loop {
        match connect(&target).await {
            Ok(link) => break link,
            // As a worker does; that it does not go on for ever is the caller's matter.
            Err(error) if error.is_transient() => totals.retries.fetch_add(1, Ordering::Relaxed),
            Err(error) => panic!("{error}"),
        };
    };
    let phase = HEARTBEAT.mul_f64(number as f64 / WORKERS as f64);
    let mut client = WorkerLinkClient::new(link);
    let mut replies = client.attach(messages(number, phase, Arc::clone(&totals))).await.unwrap().into_inner();
    let welcome = replies.message().await.unwrap().unwrap();
    let Some(to_worker::Kind::Welcome(welcome)) = welcome.kind else { panic!("no welcome: {welcome:?}") };
    assert_eq!(u128::from(welcome.heartbeat_ms), HEARTBEAT.as_millis());
    totals.welcomed.fetch_add(1, Ordering::Relaxed);
    drop(place);
    while let Ok(Some(_)) = replies.message().await {}
    totals.ended.fetch_add(1, Ordering::Relaxed);
}

/// The workers as the coordinator sees them.
async fn listed(link: &Link) -> Vec<v1::WorkerInfo> {
    let mut client = ClusterClient::new(link.clone()).max_decoding_message_size(MESSAGE_MAX_BYTES);
    client.workers(v1::WorkersRequest { all: false }).await.unwrap().into_inner().workers
}

async fn until_welcomed(coordinator: &mut Coordinator, totals: &Totals) {
    let deadline = Instant::now() + CONNECT_LIMIT;
    loop {
        coordinator.daemon.assert_runs();
        let welcomed = totals.welcomed.load(Ordering::Relaxed);
        if welcomed == WORKERS {
            return;
        }
        assert!(Instant::now() < deadline, "{welcomed} of {WORKERS} workers within {CONNECT_LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn measure(coordinator: &mut Coordinator, clients: Runtime, target: Target, name: &str) {
    let totals = Arc::new(Totals::default());
    let opening = Arc::new(Semaphore::new(OPENING_MAX));
    let empty_kib = coordinator.pss_kib();
    let began = Instant::now();
    let mut workers = tokio::task::JoinSet::new();
    for number in 0..WORKERS {
        let worker = worker(number, target.clone(), Arc::clone(&opening), Arc::clone(&totals));
        workers.spawn_on(worker, clients.handle());
    }
    tokio::select! {
        () = until_welcomed(coordinator, &totals) => {}
        // One that fails says why.
        ended = workers.join_next() => panic!("a worker ended: {ended:?}"),
    }
    let connected = began.elapsed();
    let link = connect(&coordinator.unix).await.unwrap();
    assert_eq!(listed(&link).await.len() as u64, WORKERS);

    let (heartbeats, cpu, started) =
        (totals.heartbeats.load(Ordering::Relaxed), coordinator.cpu(), Instant::now());
    tokio::time::sleep(WINDOW).await;
    let (cpu, elapsed) = (coordinator.cpu() - cpu, started.elapsed().as_secs_f64());
    let heartbeats = (totals.heartbeats.load(Ordering::Relaxed) - heartbeats) as f64 / elapsed;
    let full_kib = coordinator.pss_kib();
    let oldest = listed(&link).await.iter().map(|worker| worker.heartbeat_age_s).fold(0.0, f64::max);

    let share = cpu.as_secs_f64() / elapsed;
    let each_kib = (full_kib - empty_kib) / WORKERS as f64;
    println!(
        "{name}: {WORKERS} workers joined in {:.1} s ({} retries); {heartbeats:.0} heartbeats/s take {:.1} % of a core; \
         {each_kib:.1} KiB each ({:.1} MiB, {:.1} MiB without workers); oldest heartbeat {oldest:.2} s",
        connected.as_secs_f64(),
        totals.retries.load(Ordering::Relaxed),
        share * 100.0,
        full_kib / 1024.0,
        empty_kib / 1024.0,
    );
    assert_eq!(totals.ended.load(Ordering::Relaxed), 0, "streams ended");
    assert!(heartbeats >= 0.9 * WORKERS as f64, "the client sent only {heartbeats:.0} heartbeats/s");
    assert!(
        oldest < 3.0,
        "a heartbeat of {oldest:.1} s ago is the newest of a worker: they are not read in time"
    );
    if !cfg!(debug_assertions) {
        assert!(share < CPU_SHARE_MAX, "{:.1} % of a core", share * 100.0);
        assert!(each_kib < PSS_PER_WORKER_MAX_KIB, "{each_kib:.1} KiB each");
    }

    // All connections at once, and without a goodbye.
    clients.shutdown_background();
    let deadline = Instant::now() + SOON;
    while !listed(&link).await.is_empty() {
        assert!(Instant::now() < deadline, "workers that left are still listed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    coordinator.daemon.assert_runs();
    println!("{name}: {:.1} MiB after all of them left", coordinator.pss_kib() / 1024.0);
}

fn run(name: &str, target: impl Fn(&Coordinator) -> Target) {
    let _alone = alone();
    let mut coordinator = Coordinator::start();
    let target = target(&coordinator);
    let runtime = || Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime().block_on(measure(&mut coordinator, runtime(), target, name));
}

#[test]
fn workers_on_this_machine() {
    run("Unix socket", |coordinator| coordinator.unix.clone());
}

#[test]
fn workers_over_tls() {
    run("TLS", |coordinator| coordinator.tls.clone());
}
