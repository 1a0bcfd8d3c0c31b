use super::batch::EntryUse;
use super::*;
use crate::crash::Place;
use crate::sandbox::Sandbox;
use bytes::BytesMut;
use muster_core::arrivals::{Arrivals, Pattern};
use muster_core::range::IndexRange;
use muster_core::sandbox::Level;
use muster_core::scheduler::FailureClass;
use muster_core::shape::{Flow, Gil};
use muster_core::sketch::Sketch;
use muster_core::time::Span;
use muster_proto::convert::{LockWait, TaskSample};
use muster_proto::packed::{Items, Packed};
use proptest::prelude::*;

const PLACE: EntryUse = EntryUse { entry: 3, generation: 9 };

fn sent(gather: &Gather) -> Batch {
    let mut bytes = BytesMut::from(&gather.encode_head(vec![1, 2, 3])[..]);
    bytes.extend_from_slice(gather.data());
    let frame = split_frame(&mut bytes).unwrap().unwrap();
    assert!(bytes.is_empty());
    match FromExecutor::decode(frame).unwrap() {
        FromExecutor::Batch(batch) => batch,
        other => panic!("{other:?}"),
    }
}

fn items(block: &Block) -> Vec<Vec<u8>> {
    let items = Items::try_new(block.results.clone(), u64::from(block.items)).unwrap();
    items.iter().map(<[u8]>::to_vec).collect()
}

#[test]
fn neighbouring_claims_become_one_block() {
    let mut gather = Gather::new(7, 2);
    gather.add_results(PLACE, IndexRange::new(10, 12), &[2, 2], b"aabb", 100, 1_000);
    gather.add_results(PLACE, IndexRange::new(12, 13), &[2], b"cc", 50, 4_000);
    gather.add_results(PLACE, IndexRange::new(20, 21), &[1], b"d", 1, 1);
    let other = EntryUse { generation: 10, ..PLACE };
    gather.add_results(other, IndexRange::new(21, 22), &[0], b"", 1, 1);
    let batch = sent(&gather);
    assert_eq!((batch.job, batch.thread), (7, 2));
    let ranges: Vec<_> = batch.blocks.iter().map(|block| (block.range.start, block.range.end)).collect();
    assert_eq!(ranges, [(10, 13), (20, 21), (21, 22)]);
    assert_eq!(items(&batch.blocks[0]), [b"aa", b"bb", b"cc"]);
    assert!(batch.blocks[0].results.lengths.is_empty(), "equal lengths travel as one width");
    let first = &batch.blocks[0];
    assert_eq!((first.busy_ns, first.ended_ns, first.last_ns), (150, 2_000, 4_000));
    gather.clear();
    assert!(gather.is_empty() && gather.bytes() == 0);
}

#[test]
fn a_batch_is_written_as_small_as_it_came() {
    let results = Packed { width: 7, ..Packed::default() };
    let block = Block { items: u32::MAX, results, range: IndexRange::new(0, 1), ..Block::default() };
    let batch = Batch { blocks: vec![block], ..Batch::default() };
    let bytes = FromExecutor::Batch(batch.clone()).encode();
    assert!(bytes.len() < 400, "{}", bytes.len());
    let frame = split_frame(&mut BytesMut::from(&bytes[..])).unwrap().unwrap();
    assert_eq!(FromExecutor::decode(frame), Ok(FromExecutor::Batch(batch)));
}

#[test]
fn combined_results_and_failures_keep_their_facts() {
    let mut gather = Gather::new(1, 0);
    gather.add_combined(PLACE, IndexRange::new(0, 8), b"sum", vec![2, 5], 10, 20);
    let text = "it broke".to_owned();
    let places = vec![Place { path: "/x.so".into(), offset: 9 }, Place { path: "".into(), offset: u64::MAX }];
    let class = FailureClass::Panicked;
    let failure = Failure { place: PLACE, index: 5, class, text, busy_ns: 77, ended_ns: 88, places };
    gather.add_failure(failure.clone());
    gather.retried = 9;
    gather.dispatch.record_many(Span(500), 8);
    gather.run.record(Span(70));
    gather.gil_wait.record(Span(30));
    gather.gil_handovers = 4;
    gather.timings.latency.record(Span(90));
    gather.timings.start_lag.record(Span(8));
    let sample = TaskSample {
        index: 5,
        start: Span(1),
        run: Span(70),
        latency: Some(Span(90)),
        failed: true,
        thread: 3,
        attempt: 2,
        queued: Span(8),
        lock_wait: Span(40),
        lock_waits: vec![
            LockWait { start: Span(0), wait: Span(9) },
            LockWait { start: Span(20), wait: Span(31) },
        ],
        ..TaskSample::default()
    };
    gather.timings.samples = vec![sample, TaskSample { index: 6, ..TaskSample::default() }];
    let batch = sent(&gather);
    assert_eq!((batch.blocks[0].items, batch.blocks[0].skipped.as_slice()), (1, &[2, 5][..]));
    assert_eq!(items(&batch.blocks[0]), [b"sum"]);
    assert_eq!((batch.failures, batch.retried), (vec![failure], 9));
    assert_eq!((batch.dispatch, batch.run), (gather.dispatch.clone(), gather.run.clone()));
    assert_eq!((batch.gil_wait, batch.gil_handovers), (gather.gil_wait.clone(), 4));
    assert_eq!(*batch.timings, gather.timings);
}

#[test]
fn every_message_survives_the_way() {
    for message in [
        FromExecutor::Loaded,
        FromExecutor::Shelved,
        FromExecutor::LoadFailed { text: "no such file".into(), is_damage: true },
        FromExecutor::LoadFailed { text: "no such symbol".into(), is_damage: false },
        FromExecutor::Opened { job: 5 },
        FromExecutor::OpenFailed { job: 5, text: "bad".into() },
        FromExecutor::Retired,
        FromExecutor::Deaf { slot: 3, tasks: vec![0, 7, u64::MAX] },
        FromExecutor::Closed { job: u64::MAX },
        FromExecutor::Log {
            level: 3,
            task: Some(LogTask { slot: 1, index: 1 << 40, attempt: 2 }),
            text: "käse".into(),
        },
        FromExecutor::Readings(vec![
            Reading::Counter(1.5),
            Reading::Gauge(-2.0),
            Reading::Histogram { sum: 3.0, buckets: vec![(0.5, 1), (f64::INFINITY, 2)] },
        ]),
        FromExecutor::Batch(Batch { job: 2, ..Batch::default() }),
    ] {
        let mut bytes = BytesMut::from(&message.encode()[..]);
        assert_eq!(FromExecutor::decode(split_frame(&mut bytes).unwrap().unwrap()).unwrap(), message);
    }
    let gil = Some(Gil { domains: 2, switch: Span(7) });
    let open = OpenJob { job: 1, params: "{}".into(), seed: 2, threads: 3, gil, ..OpenJob::default() };
    let opened = |flow| ToExecutor::Open(OpenJob { flow, ..open.clone() });
    for message in [
        opened(Flow::InTurn),
        opened(Flow::Once),
        opened(Flow::InFlight(9)),
        ToExecutor::Open(OpenJob {
            arrivals: Arrivals::try_new(0.1, Pattern::Poisson),
            task_samples: 7,
            ..open.clone()
        }),
        ToExecutor::Load {
            path: "/a/b".into(),
            digest: [5; 32],
            record: true,
            shelf: false,
            sandbox: Sandbox {
                level: Level::Standard,
                network: false,
                exec: true,
                read: vec!["/c".into(), "/d e".into()],
                write: Vec::new(),
                env: vec!["X".into()],
            },
            scratch: "/s/7".into(),
        },
        ToExecutor::Close { job: 4 },
        ToExecutor::Stop,
    ] {
        let mut bytes = BytesMut::from(&message.encode()[..]);
        assert_eq!(ToExecutor::decode(split_frame(&mut bytes).unwrap().unwrap()).unwrap(), message);
    }
}

#[test]
fn frames_that_lie_are_named() {
    let mut huge = BytesMut::from(&u32::MAX.to_le_bytes()[..]);
    assert!(matches!(split_frame(&mut huge), Err(FrameError::TooLarge { field: "length", .. })));
    let decode = |bytes: &'static [u8]| FromExecutor::decode(Bytes::from_static(bytes));
    assert_eq!(decode(&[]), Err(FrameError::Short { field: "kind" }));
    assert_eq!(decode(&[99]), Err(FrameError::UnknownKind { kind: 99 }));
    assert_eq!(decode(&[LOADED, 0]), Err(FrameError::Long { left: 1 }));
    let text = decode(&[OPEN_FAILED, 1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]);
    assert_eq!(text, Err(FrameError::Short { field: "text" }));
    let mut many_blocks = vec![BATCH];
    many_blocks.extend([0; 8 + 4 + 5 * 20 + 4 + 8 + 8 + 4]);
    many_blocks.extend(u32::MAX.to_le_bytes());
    let many_blocks = FromExecutor::decode(many_blocks.into());
    assert!(matches!(many_blocks, Err(FrameError::TooLarge { field: "blocks", .. })), "{many_blocks:?}");
}

#[test]
fn long_texts_are_cut_at_a_character() {
    let text = "ä".repeat(TEXT_BYTES_MAX);
    let mut bytes = BytesMut::from(&FromExecutor::Log { level: 1, task: None, text }.encode()[..]);
    match FromExecutor::decode(split_frame(&mut bytes).unwrap().unwrap()).unwrap() {
        FromExecutor::Log { text, .. } => assert_eq!(text, "ä".repeat(TEXT_BYTES_MAX / 2)),
        other => panic!("{other:?}"),
    }
}

fn any_items() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop_oneof![
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..5), 1..20),
        (0..9usize, 1..20usize).prop_map(|(width, count)| vec![vec![7; width]; count]),
    ]
}

proptest! {
    #[test]
    fn gathered_results_arrive_as_they_were(claims in proptest::collection::vec((any_items(), any::<bool>()), 1..10)) {
        let mut gather = Gather::new(1, 0);
        let (mut at, mut expected) = (0u64, Vec::new());
        for (claim, follows) in claims {
            at += u64::from(!follows);
            let lengths: Vec<u32> = claim.iter().map(|item| item.len() as u32).collect();
            let range = IndexRange::from_count(at, claim.len() as u64);
            gather.add_results(PLACE, range, &lengths, &claim.concat(), 1, 1);
            expected.extend(claim.into_iter().enumerate().map(|(offset, item)| (at + offset as u64, item)));
            at = range.end;
        }
        let batch = sent(&gather);
        let arrived: Vec<_> =
            batch.blocks.iter().flat_map(|block| (block.range.start..).zip(items(block))).collect();
        prop_assert_eq!(arrived, expected);
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 0..10u8) {
        if let Some(first) = bytes.first_mut() {
            *first = kind;
        }
        let _ = FromExecutor::decode(bytes.clone().into());
        let _ = ToExecutor::decode(bytes.clone().into());
        let mut stream = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = split_frame(&mut stream) {}
    }

    #[test]
    fn a_flipped_byte_in_a_batch_never_panics(at in 0..400usize, value in any::<u8>()) {
        let mut gather = Gather::new(1, 0);
        gather.add_results(PLACE, IndexRange::new(0, 3), &[1, 2, 3], b"abbccc", 5, 6);
        gather.add_combined(PLACE, IndexRange::new(4, 8), b"sum", vec![5], 5, 6);
        gather.run.record(Span(12_345));
        let mut bytes = gather.encode_head(Vec::new());
        bytes.extend_from_slice(gather.data());
        let at = 4 + at % (bytes.len() - 4);
        bytes[at] = value;
        if let Ok(FromExecutor::Batch(batch)) = FromExecutor::decode(Bytes::from(bytes).slice(4..)) {
            for block in batch.blocks {
                let _ = Items::try_new(block.results, u64::from(block.items));
            }
        }
    }
}

#[test]
fn a_sketch_survives_the_way() {
    let mut gather = Gather::new(1, 0);
    let mut sketch = Sketch::new();
    (0..10_000).for_each(|time| sketch.record(Span(time * time)));
    gather.dispatch.merge(&sketch);
    assert_eq!(sent(&gather).dispatch, gather.dispatch);
}
