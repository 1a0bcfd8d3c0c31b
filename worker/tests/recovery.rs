//! How long a slot is gone after a task has ended its executor. The bound is checked on a release build alone.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::coordinator::{Coordinator, grant, open, settled};
use fixture::plugin::fault;
use fixture::worker::Worker;
use muster_proto::v1::{Model, Shape, Work};
use std::time::{Duration, Instant};

const CRASHES: u64 = 300;
const BACK_MAX: Duration = Duration::from_millis(50);

/// One task that crashes and one behind it, again and again, in one executor of one thread: from the crash to the end of the
/// task behind it, which itself takes a millisecond.
#[test]
fn a_slot_works_again_soon_after_a_crash() {
    let Some(plugin) = fault() else { return };
    let mut coordinator = Coordinator::start();
    let worker = Worker::start(&coordinator, &["--slots", "1"]);
    let mut session = coordinator.session();
    let plugin = coordinator.plugin(&plugin);
    let mut job = open(1, &plugin, r#"{"at":0,"mode":"null"}"#, 1);
    job.shape = Some(Shape { model: Model::Process.into(), processes: 1, threads: 1, ..Shape::default() });
    // The first lease starts the executor.
    coordinator.work(&session, Work { opens: vec![job], grants: vec![grant(1, 1, 1, 1)], ..Work::default() });
    coordinator.reports_until(&mut session, |report| settled(report) == 1);
    let mut times = Vec::new();
    for crash in 0..CRASHES {
        let lease = 10 + crash;
        let begun = Instant::now();
        coordinator.work(&session, Work { grants: vec![grant(1, lease, 0, 2)], ..Work::default() });
        let report = coordinator
            .reports_until(&mut session, |report| report.blocks.iter().any(|block| block.start == 1));
        times.push(begun.elapsed());
        let failed = report.failures.len();
        let more = coordinator.reports_until(&mut session, |report| report.failures.len() + failed == 1);
        let failure = report.failures.iter().chain(&more.failures).next().unwrap();
        assert_eq!(failure.index, 0);
        assert!(!failure.evidence.as_ref().unwrap().frames.is_empty());
    }
    times.sort_unstable();
    let at = |share: u64| times[(CRASHES * share / 100) as usize];
    eprintln!(
        "from a crash to the result of the next task, {CRASHES} times: p50 {:?}, p95 {:?}, p99 {:?}, longest {:?}",
        at(50),
        at(95),
        at(99),
        times.last().unwrap()
    );
    assert!(worker.is_running());
    if !cfg!(debug_assertions) {
        assert!(at(99) < BACK_MAX, "the slot was gone for {:?}", at(99));
    }
}
