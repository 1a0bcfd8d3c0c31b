//! What a worker makes of the tasks of a reduction, with the test in the coordinator's place.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::coordinator::{Coordinator, Session, finish, grant, open_reduced, settled};
use fixture::plugin::{exercise, primes};
use fixture::worker::Worker;
use muster_core::reduce::Block;
use muster_proto::packed::Items;
use muster_proto::v1::{Report, ResultBlock, Work};

/// A coordinator and a worker with two slots that has attached.
fn world() -> (Coordinator, Worker, Session) {
    let mut coordinator = Coordinator::start();
    let worker = Worker::start(&coordinator, &["--slots", "2"]);
    let session = coordinator.session();
    (coordinator, worker, session)
}

fn partial(block: &ResultBlock) -> (Block, Vec<u8>) {
    let results = Items::try_new(block.results.clone().unwrap(), 1).unwrap();
    (Block { start: block.start, size: block.count }, results.item(0).to_vec())
}

/// The partial results of a report in order; each is a block.
fn partials(report: &Report) -> Vec<(Block, Vec<u8>)> {
    let mut parts: Vec<_> = report.blocks.iter().map(partial).collect();
    parts.sort();
    assert!(parts.iter().all(|(block, _)| Block::from_range(block.range()) == Some(*block)));
    parts
}

/// What the worker makes of all parts together.
fn combined(
    (coordinator, session): (&Coordinator, &mut Session),
    root: Block,
    parts: &[(Block, Vec<u8>)],
) -> String {
    coordinator.work(session, Work { grants: vec![finish(1, 99, root, parts)], ..Work::default() });
    let report = coordinator.reports_until(session, |report| !report.blocks.is_empty());
    assert_eq!((report.blocks[0].lease, report.blocks[0].start, report.blocks[0].count), (99, 0, root.size));
    String::from_utf8(partial(&report.blocks[0]).1).unwrap()
}

#[test]
fn results_are_combined_along_the_tree() {
    let (coordinator, _worker, mut session) = world();
    let plugin = coordinator.plugin(&primes());
    let opens = vec![open_reduced(1, &plugin, r#"{"limit":200000}"#, 2, 100)];
    let grants = vec![grant(1, 5, 0, 37), grant(1, 6, 37, 63)];
    coordinator.work(&session, Work { opens, grants, ..Work::default() });
    let report = coordinator.reports_until(&mut session, |report| settled(report) == 100);
    let output = combined((&coordinator, &mut session), Block::root(100), &partials(&report));
    assert_eq!(output.trim(), "17984");
}

#[test]
fn wider_leaves_stay_whole() {
    let (coordinator, _worker, mut session) = world();
    let plugin = coordinator.plugin(&primes());
    let tasks = 70_000;
    let job = open_reduced(1, &plugin, r#"{"limit":200000}"#, 2, tasks);
    let leaf = job.reduce_leaf;
    assert_eq!(leaf, 2);
    let grants = vec![grant(1, 5, 0, 30_000), grant(1, 6, 30_000, 40_000)];
    coordinator.work(&session, Work { opens: vec![job], grants, ..Work::default() });
    let report = coordinator.reports_until(&mut session, |report| settled(report) == tasks);
    for block in &report.blocks {
        assert!(block.count % leaf == 0 && block.start % block.count == 0, "{} {}", block.start, block.count);
        assert_eq!(Items::try_new(block.results.clone().unwrap(), 1).unwrap().len(), 1);
    }
}

/// Leases that cut leaves anywhere, and tasks that go wrong in every way inside them: the others are in the
/// output in order, each once, and only the tasks to blame failed.
#[test]
fn what_goes_wrong_in_a_wide_leaf_costs_the_task_to_blame() {
    let expected: Vec<u64> =
        (0..100).filter(|index| ![20, 50, 85].contains(index)).map(|index| 2 * index).collect();
    for cuts in [&[0, 100][..], &[0, 37, 64, 100], &[0, 1, 19, 20, 21, 51, 85, 86, 99, 100]] {
        let (coordinator, _worker, mut session) = world();
        let plugin = coordinator.plugin(&exercise());
        let params = r#"{"fail_at":20,"panic_at":50,"transient_at":70,"unaddable_at":85}"#;
        let job = open_reduced(1, &plugin, params, 2, 600_000);
        assert_eq!(job.reduce_leaf, 16);
        let grants = (1..).zip(cuts.windows(2)).map(|(lease, cut)| grant(1, lease, cut[0], cut[1] - cut[0]));
        let work = Work { opens: vec![job], grants: grants.collect(), ..Work::default() };
        coordinator.work(&session, work);
        let covered = |report: &Report| {
            let blocks = report.blocks.iter().map(|block| block.count - block.skipped.len() as u64);
            blocks.sum::<u64>() + report.failures.len() as u64
        };
        let report = coordinator.reports_until(&mut session, |report| covered(report) == 100);
        let mut failed: Vec<u64> = report.failures.iter().map(|failure| failure.index).collect();
        failed.sort_unstable();
        assert_eq!(failed, [20, 50, 85], "{cuts:?}");
        let output = combined((&coordinator, &mut session), Block::root(100), &partials(&report));
        assert_eq!(serde_json::from_str::<Vec<u64>>(&output).unwrap(), expected, "{cuts:?}");
    }
}
