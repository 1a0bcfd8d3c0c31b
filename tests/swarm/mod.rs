//! Workers that are none: clients of the worker protocol that take leases and give results at a steady pace, many of them
//! in one process.

use muster_proto::link::{Target, connect};
use muster_proto::v1::worker_link_client::WorkerLinkClient;
use muster_proto::v1::{self, from_worker, to_worker};
use muster_proto::{FEATURES, PROTOCOL_VERSION};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_stream::wrappers::ReceiverStream;

const SLOTS: u32 = 2;
/// How often a worker says what it has done, and that it is alive.
const BEAT: Duration = Duration::from_secs(1);
/// Tasks that a worker does in this time.
const TASKS_PER_BEAT: u64 = 40;
/// Connections that are being opened at the same time.
const OPENING_MAX: usize = 32;

/// Many workers.
pub struct Swarm(Runtime);

impl Swarm {
    /// Workers of the coordinator behind a Unix socket.
    pub fn start(count: u64, socket: &Path) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let target = Target::Unix(socket.to_owned());
        let opening = Arc::new(Semaphore::new(OPENING_MAX));
        for number in 0..count {
            let phase = BEAT.mul_f64(number as f64 / count as f64);
            runtime.spawn(worker(number, target.clone(), Arc::clone(&opening), phase));
        }
        Self(runtime)
    }

    /// All of them go without a goodbye.
    pub fn end(self) {
        self.0.shutdown_background();
    }
}

/// A lease that is being worked on.
struct Lease {
    lease: u64,
    next: u64,
    end: u64,
}

async fn worker(number: u64, target: Target, opening: Arc<Semaphore>, phase: Duration) {
    let place = opening.acquire_owned().await.unwrap();
    let link = loop {
        match connect(&target).await {
            Ok(link) => break link,
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    };
    let (to, messages) = mpsc::channel(16);
    let say = async |kind| to.send(v1::FromWorker { kind: Some(kind) }).await.is_ok();
    say(from_worker::Kind::Hello(hello(number))).await;
    let mut replies =
        WorkerLinkClient::new(link).attach(ReceiverStream::new(messages)).await.unwrap().into_inner();
    let welcome = replies.message().await.unwrap().unwrap();
    let Some(to_worker::Kind::Welcome(welcome)) = welcome.kind else { panic!("no welcome: {welcome:?}") };
    drop(place);
    let mut leases: VecDeque<Lease> = VecDeque::new();
    let mut beat = interval_at(Instant::now() + phase, BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let mut report = v1::Report { epoch: welcome.epoch, ..v1::Report::default() };
        tokio::select! {
            message = replies.message() => {
                let Ok(Some(v1::ToWorker { kind: Some(kind) })) = message else { return };
                let to_worker::Kind::Work(work) = kind else { continue };
                for grant in work.grants {
                    let (next, end) = (grant.start, grant.start + grant.count);
                    leases.push_back(Lease { lease: grant.lease, next, end });
                }
                report.returned.extend(work.recalls.iter().map(|recall| give_back(&mut leases, recall)));
            }
            _ = beat.tick() => {
                report.blocks = done(&mut leases);
                let busy_slots = if report.blocks.is_empty() { 0 } else { SLOTS };
                let heartbeat = v1::Heartbeat { busy_slots, executors: 1, pss_bytes: 4 << 20, ..Default::default() };
                if !say(from_worker::Kind::Heartbeat(heartbeat)).await {
                    return;
                }
            }
        }
        let news = !report.blocks.is_empty() || !report.returned.is_empty();
        if news && !say(from_worker::Kind::Report(report)).await {
            return;
        }
    }
}

fn hello(number: u64) -> v1::WorkerHello {
    v1::WorkerHello {
        protocol: PROTOCOL_VERSION,
        features: FEATURES.iter().map(ToString::to_string).collect(),
        name: format!("w{number}"),
        incarnation: number + 1,
        slots: SLOTS,
        target: format!("{}-unknown-linux-gnu", std::env::consts::ARCH),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: format!("host-{}", number / 20),
        pid: std::process::id(),
        metrics_address: String::new(),
        ..v1::WorkerHello::default()
    }
}

/// What a beat gets done, by lease.
fn done(leases: &mut VecDeque<Lease>) -> Vec<v1::ResultBlock> {
    let mut left = TASKS_PER_BEAT;
    let mut blocks = Vec::new();
    while let Some(lease) = leases.front_mut().filter(|_| left > 0) {
        let count = left.min(lease.end - lease.next);
        let busy_ns = count * u64::from(SLOTS) * BEAT.as_nanos() as u64 / TASKS_PER_BEAT;
        let results = Some(v1::Packed::default());
        let (lease_id, start) = (lease.lease, lease.next);
        blocks.push(v1::ResultBlock {
            lease: lease_id,
            start,
            count,
            results,
            busy_ns,
            ..Default::default()
        });
        lease.next += count;
        left -= count;
        if lease.next == lease.end {
            leases.pop_front();
        }
    }
    blocks
}

/// Tasks of a lease that were not begun, from its end; none is an answer, too.
fn give_back(leases: &mut VecDeque<Lease>, recall: &v1::Recall) -> v1::Returned {
    let none = v1::Returned { lease: recall.lease, start: 0, count: 0 };
    let Some(place) = leases.iter().position(|it| it.lease == recall.lease) else { return none };
    let lease = &mut leases[place];
    let count = recall.count.min(lease.end - lease.next);
    lease.end -= count;
    let returned = v1::Returned { lease: lease.lease, start: lease.end, count };
    if lease.next == lease.end {
        leases.remove(place);
    }
    if count > 0 { returned } else { none }
}
