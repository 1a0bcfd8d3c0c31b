//! Both stores behave alike; the one in a folder also keeps its promises over a restart.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use muster_coordinator::store::{
    EndedAs, Failure, INLINE_MAX_BYTES, MemoryStore, Piece, PluginRecord, Record, SqliteStore, Store,
    StoreError,
};
use muster_core::id::{Epoch, Incarnation, JobId, LogPos};
use muster_core::range::{IndexRange, RangeSet};
use muster_core::reduce::Block;
use muster_proto::packed::{Items, Packed};
use std::path::Path;
use std::time::{Duration, Instant};

const JOB: JobId = JobId(7);

/// A store, and a way to have it after a crash: dropped without goodbye and opened again.
struct World {
    folder: Option<tempfile::TempDir>,
    store: Option<Box<dyn Store>>,
    epoch: Epoch,
    next: u64,
}

impl World {
    fn memory() -> Self {
        Self::with(None, Box::new(MemoryStore::new()))
    }

    fn folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).unwrap();
        Self::with(Some(folder), Box::new(store))
    }

    fn with(folder: Option<tempfile::TempDir>, mut store: Box<dyn Store>) -> Self {
        let epoch = store.begin_epoch().unwrap();
        Self { folder, store: Some(store), epoch, next: 1 }
    }

    fn store(&mut self) -> &mut dyn Store {
        &mut **self.store.as_mut().unwrap()
    }

    fn add(&mut self, records: Vec<Record>) {
        let next = self.next;
        self.next += records.len() as u64;
        let batch: Vec<_> = (next..).map(LogPos).zip(records).collect();
        let epoch = self.epoch;
        self.store().append(epoch, &batch).unwrap();
    }

    /// Starts over; the store in memory has nothing to start over from.
    fn crash(&mut self) {
        if let Some(folder) = &self.folder {
            drop(self.store.take());
            self.store = Some(Box::new(SqliteStore::open(folder.path()).unwrap()));
        }
        self.epoch = self.store().begin_epoch().unwrap();
    }

    fn replay(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        self.store()
            .replay(&mut |record| {
                records.push(record);
                Ok(())
            })
            .unwrap();
        records
    }

    fn results(&mut self, within: IndexRange, bytes_max: usize) -> Vec<Piece> {
        let open = self.store().readers();
        open().unwrap().results(JOB, within, bytes_max).unwrap()
    }

    /// All results in `within` as (index, bytes), read in pages of `bytes_max`.
    fn all(&mut self, within: IndexRange, bytes_max: usize) -> Vec<(u64, Vec<u8>)> {
        let mut all = Vec::new();
        let mut from = within.start;
        loop {
            let pieces = self.results(IndexRange::new(from, within.end), bytes_max);
            let Some(last) = pieces.last() else { return all };
            from = last.range.end;
            for Piece { range, items } in pieces {
                let items = Items::try_new(items, range.len()).unwrap();
                all.extend((range.start..).zip(items.iter().map(<[u8]>::to_vec)));
            }
        }
    }
}

fn both(test: impl Fn(World)) {
    test(World::memory());
    test(World::folder());
}

fn packed(items: &[&[u8]]) -> Packed {
    Items::of(items).into_packed()
}

fn submitted() -> Record {
    Record::Submitted { job: JOB, request_id: "r-1".into(), at_unix_ns: 5, spec: Bytes::from_static(b"spec") }
}

fn committed(start: u64, items: &[&[u8]]) -> Record {
    let range = IndexRange::from_count(start, items.len() as u64);
    let bytes = items.iter().map(|item| item.len() as u64).sum();
    Record::Committed { job: JOB, range, outputs: Some(packed(items)), checksum: u64::MAX - 1, bytes }
}

#[test]
fn gives_back_what_it_was_told() {
    both(|mut world| {
        let plugin = PluginRecord {
            digest: [3; 32],
            name: "p".into(),
            version: "1".into(),
            target: "x86_64-unknown-linux-gnu".into(),
            size: 9,
            manifest: "{}".into(),
            added_unix_ns: 4,
        };
        let gone = PluginRecord { digest: [4; 32], name: "gone".into(), ..plugin.clone() };
        world.add(vec![
            Record::PluginAdded(plugin.clone()),
            Record::PluginAdded(gone),
            Record::PluginRemoved { digest: [4; 32] },
            Record::WorkerCame { incarnation: Incarnation(u64::MAX) },
            Record::WorkerCame { incarnation: Incarnation(2) },
            Record::WorkerCame { incarnation: Incarnation(u64::MAX) },
            Record::WorkerWent { incarnation: Incarnation(2) },
            submitted(),
            Record::Extended { job: JOB, range: IndexRange::new(0, 10), inputs: None },
            Record::Extended { job: JOB, range: IndexRange::new(10, 12), inputs: None },
            Record::Sealed { job: JOB },
            Record::Charged { job: JOB, index: 9, class: 3, charged: 1 },
            Record::Charged { job: JOB, index: 9, class: 3, charged: 2 },
            committed(0, &[b"a", b"b"]),
            committed(4, &[b"e"]),
            committed(2, &[b"cc", b"d"]),
            Record::TaskFailed { job: JOB, index: 6, class: 1, message: "no".into() },
        ]);
        world.crash();
        let checksum = (u64::MAX - 1).wrapping_mul(3);
        assert_eq!(
            merged(world.replay()),
            [
                Record::PluginAdded(plugin),
                Record::WorkerCame { incarnation: Incarnation(u64::MAX) },
                submitted(),
                Record::Extended { job: JOB, range: IndexRange::new(0, 12), inputs: None },
                Record::Sealed { job: JOB },
                Record::Committed {
                    job: JOB,
                    range: IndexRange::new(0, 5),
                    outputs: None,
                    checksum,
                    bytes: 6
                },
                Record::Charged { job: JOB, index: 9, class: 3, charged: 2 },
                Record::TaskFailed { job: JOB, index: 6, class: 1, message: "no".into() },
            ]
        );
    });
}

/// Neighbouring commits as one: how they are cut is the store's own affair.
fn merged(records: Vec<Record>) -> Vec<Record> {
    let mut merged: Vec<Record> = Vec::new();
    for record in records {
        if let (
            Some(Record::Committed { range: before, checksum: sum, bytes: total, .. }),
            Record::Committed { range, checksum, bytes, .. },
        ) = (merged.last_mut(), &record)
            && before.end == range.start
        {
            before.end = range.end;
            *sum = sum.wrapping_add(*checksum);
            *total += bytes;
            continue;
        }
        merged.push(record);
    }
    merged
}

#[test]
fn reads_results_in_index_order_in_pages() {
    both(|mut world| {
        world.add(vec![submitted(), committed(10, &[b"k", b"ll"]), committed(0, &[b"a", b"bb", b"ccc"])]);
        world.add(vec![committed(3, &[b"dd"]), committed(4, &[b"ee"])]);
        let all: Vec<(u64, Vec<u8>)> =
            [(0, "a"), (1, "bb"), (2, "ccc"), (3, "dd"), (4, "ee"), (10, "k"), (11, "ll")]
                .map(|(index, text)| (index, text.as_bytes().to_vec()))
                .into();
        for bytes_max in [1, 3, 7, 20, 1 << 20] {
            assert_eq!(world.all(IndexRange::new(0, 100), bytes_max), all, "pages of {bytes_max} bytes");
        }
        assert_eq!(world.all(IndexRange::new(1, 11), 1 << 20), all[1..6]);
        assert_eq!(world.all(IndexRange::new(5, 10), 1 << 20), []);
    });
}

#[test]
fn keeps_items_of_any_size() {
    both(|mut world| {
        let large = vec![7; INLINE_MAX_BYTES + 1];
        let larger = vec![8; INLINE_MAX_BYTES * 2];
        let items: [&[u8]; 5] = [b"small", &large, &larger, b"", b"x"];
        world.add(vec![submitted(), committed(0, &items)]);
        world.add(vec![committed(5, &[&large, &large])]);
        world.crash();
        let expected: Vec<(u64, Vec<u8>)> =
            (0..).zip(items.iter().chain(&[&large[..], &large]).map(|item| item.to_vec())).collect();
        assert!(world.all(IndexRange::new(0, 7), 1 << 20) == expected);
        assert!(world.all(IndexRange::new(0, 7), 1 << 30) == expected);
    });
}

#[test]
fn results_without_bytes_are_results() {
    both(|mut world| {
        let range = IndexRange::new(0, 1_000_000);
        world.add(vec![
            submitted(),
            Record::Committed { job: JOB, range, outputs: Some(Packed::default()), checksum: 1, bytes: 0 },
        ]);
        let pieces = world.results(IndexRange::new(10, 500_000), 1 << 20);
        assert_eq!(pieces, [Piece { range: IndexRange::new(10, 500_000), items: Packed::default() }]);
    });
}

#[test]
fn lists_failures_in_order() {
    both(|mut world| {
        let failed = |index| Record::TaskFailed { job: JOB, index, class: 3, message: format!("at {index}") };
        world.add(vec![submitted(), failed(9), failed(2), failed(5)]);
        let mut reader = world.store().readers()().unwrap();
        let found = reader.failures(JOB, IndexRange::new(2, 9), 10).unwrap();
        let failure = |index| Failure { index, class: 3, message: format!("at {index}") };
        assert_eq!(found, [failure(2), failure(5)]);
        assert_eq!(reader.failures(JOB, IndexRange::new(0, 100), 1).unwrap(), [failure(2)]);
    });
}

#[test]
fn a_reader_sees_what_is_written_after_it_was_opened() {
    both(|mut world| {
        world.add(vec![submitted()]);
        let mut reader = world.store().readers()().unwrap();
        assert_eq!(reader.results(JOB, IndexRange::new(0, 9), 100).unwrap(), []);
        world.add(vec![committed(0, &[b"late"])]);
        assert_eq!(reader.results(JOB, IndexRange::new(0, 9), 100).unwrap().len(), 1);
    });
}

#[test]
fn taken_results_and_removed_jobs_are_gone() {
    both(|mut world| {
        world.add(vec![submitted(), committed(0, &[b"a", b"b"]), committed(5, &[b"c"])]);
        world.add(vec![Record::Taken { job: JOB, below: 2 }]);
        assert_eq!(world.all(IndexRange::new(0, 9), 100), [(5, b"c".to_vec())]);
        world.add(vec![Record::Removed { job: JOB }]);
        world.crash();
        assert_eq!(world.all(IndexRange::new(0, 9), 100), []);
        assert_eq!(world.replay(), [Record::Removed { job: JOB }], "its number is not given again");
    });
}

#[test]
fn a_partial_result_replaces_those_inside_it() {
    both(|mut world| {
        let partial = |start, size, data: &'static [u8]| Record::Partial {
            job: JOB,
            block: Block { start, size },
            data: Bytes::from_static(data),
        };
        let reduced = Record::Reduced { job: JOB, data: Bytes::from_static(b"sum") };
        world.add(vec![submitted(), partial(0, 1, b"a"), partial(1, 1, b"b"), partial(2, 2, b"cd")]);
        world.add(vec![partial(0, 2, b"ab")]);
        world.crash();
        assert_eq!(world.replay(), [submitted(), partial(0, 2, b"ab"), partial(2, 2, b"cd")]);
        world.add(vec![reduced.clone()]);
        world.crash();
        assert_eq!(world.replay(), [submitted(), reduced]);
        assert_eq!(
            world.store().readers()().unwrap().reduced(JOB).unwrap(),
            Some(Bytes::from_static(b"sum"))
        );
    });
}

#[test]
fn an_ended_job_keeps_its_status_and_results_only() {
    both(|mut world| {
        let inputs = Some(packed(&[b"in"]));
        world.add(vec![
            submitted(),
            Record::Extended { job: JOB, range: IndexRange::new(0, 1), inputs },
            Record::Charged { job: JOB, index: 0, class: 2, charged: 1 },
            committed(0, &[b"out"]),
        ]);
        let ended = Record::Ended {
            job: JOB,
            how: EndedAs::Done,
            reason: String::new(),
            status: Bytes::from_static(b"status"),
        };
        world.add(vec![ended.clone()]);
        world.crash();
        let records = world.replay();
        assert_eq!(records.last(), Some(&ended));
        assert!(!records.iter().any(|record| matches!(record, Record::Extended { inputs: Some(_), .. })));
        assert_eq!(world.all(IndexRange::new(0, 1), 100), [(0, b"out".to_vec())]);
    });
}

/// What is withdrawn is gone also for a coordinator that starts later.
#[test]
fn a_released_job_has_neither_its_pause_nor_its_end_nor_these_failures() {
    both(|mut world| {
        let failed = |index| Record::TaskFailed { job: JOB, index, class: 3, message: "crash".into() };
        let charged = |index| Record::Charged { job: JOB, index, class: 3, charged: 2 };
        let paused = Record::Paused { job: JOB, reason: "all crash".into() };
        let known = |index| Record::PostMortem { job: JOB, index, data: Some(Bytes::from_static(b"why")) };
        world.add(vec![submitted(), charged(1), charged(4), failed(1), failed(2), failed(7), paused.clone()]);
        world.add(vec![known(2), known(7)]);
        world.crash();
        assert!(world.replay().contains(&paused));
        let mut tasks = RangeSet::from(IndexRange::new(1, 3));
        tasks.insert(IndexRange::new(9, 10));
        world.add(vec![Record::Released { job: JOB, tasks: tasks.clone() }]);
        world.crash();
        assert_eq!(world.replay(), [submitted(), charged(4), failed(7), known(7)]);
        let status = Bytes::from_static(b"status");
        world
            .add(vec![paused, Record::Ended { job: JOB, how: EndedAs::Done, reason: String::new(), status }]);
        world.crash();
        let records = world.replay();
        assert!(
            !records.iter().any(|record| matches!(record, Record::Paused { .. })),
            "an ended job is not paused"
        );
        world.add(vec![Record::Released { job: JOB, tasks: RangeSet::from(IndexRange::new(7, 8)) }]);
        world.crash();
        assert_eq!(world.replay(), [submitted()]);
    });
}

#[test]
fn a_batch_under_an_old_epoch_changes_nothing() {
    both(|mut world| {
        let old = world.epoch;
        world.crash();
        let error = world.store().append(old, &[(LogPos(1), submitted())]).unwrap_err();
        assert!(
            matches!(error, StoreError::StaleEpoch { held, found } if held == old && found.0 == old.0 + 1)
        );
        assert_eq!(world.replay(), []);
    });
}

#[test]
fn inputs_come_back_until_their_tasks_ended() {
    let mut world = World::folder();
    let large = vec![1; INLINE_MAX_BYTES + 1];
    world.add(vec![
        submitted(),
        Record::Extended { job: JOB, range: IndexRange::new(0, 2), inputs: Some(packed(&[b"a", b"bb"])) },
        Record::Extended { job: JOB, range: IndexRange::new(2, 4), inputs: Some(packed(&[b"c", &large])) },
        Record::InputsDone { job: JOB, range: IndexRange::new(0, 2) },
    ]);
    world.crash();
    let mut found = Vec::new();
    for record in world.replay() {
        if let Record::Extended { range, inputs: Some(inputs), .. } = record {
            let items = Items::try_new(inputs, range.len()).unwrap();
            found.extend((range.start..).zip(items.iter().map(<[u8]>::to_vec)));
        }
    }
    assert_eq!(found, [(2, b"c".to_vec()), (3, large)]);
}

#[test]
fn blobs_that_nothing_names_are_swept() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(folder.path()).unwrap();
    let epoch = store.begin_epoch().unwrap();
    let large = vec![9; INLINE_MAX_BYTES + 1];
    store.append(epoch, &[(LogPos(1), submitted()), (LogPos(2), committed(0, &[&large]))]).unwrap();
    store.blobs().put(b"nobody wants this").unwrap();
    assert_eq!(store.sweep_blobs().unwrap(), 1);
    assert_eq!(store.sweep_blobs().unwrap(), 0);
    // A file goes with the last record that names it.
    let path = store.blobs();
    assert_eq!(path.list().unwrap().len(), 1);
    store.append(epoch, &[(LogPos(3), Record::Removed { job: JOB })]).unwrap();
    assert_eq!(path.list().unwrap().len(), 0);
    assert_eq!(store.sweep_blobs().unwrap(), 0);
}

#[test]
fn a_plugin_that_goes_leaves_the_file_to_results_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(folder.path()).unwrap();
    let epoch = store.begin_epoch().unwrap();
    let large = vec![9; INLINE_MAX_BYTES + 1];
    let digest = store.blobs().put(&large).unwrap();
    let plugin = PluginRecord {
        digest,
        name: "p".into(),
        version: "1".into(),
        target: String::new(),
        size: large.len() as u64,
        manifest: "{}".into(),
        added_unix_ns: 1,
    };
    let add = |number, record| (LogPos(number), record);
    store
        .append(
            epoch,
            &[add(1, Record::PluginAdded(plugin)), add(2, submitted()), add(3, committed(0, &[&large]))],
        )
        .unwrap();
    store.append(epoch, &[add(4, Record::PluginRemoved { digest })]).unwrap();
    assert_eq!(store.blobs().get(&digest).unwrap(), large);
    store.append(epoch, &[add(5, Record::Removed { job: JOB })]).unwrap();
    assert!(store.blobs().get(&digest).is_err());
}

#[test]
fn nobody_else_reads_the_database() {
    use std::os::unix::fs::PermissionsExt;
    let mut world = World::folder();
    let folder = world.folder.as_ref().unwrap().path().to_owned();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    world.add(vec![submitted()]);
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} has mode {mode:o}", entry.path());
        seen += usize::from(entry.file_name().to_string_lossy().starts_with("muster.db"));
    }
    assert!(seen >= 2, "the database and its log");
}

#[test]
fn a_folder_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let first = SqliteStore::open(folder.path()).unwrap();
    let error = SqliteStore::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    drop(first);
    SqliteStore::open(folder.path()).unwrap();
}

#[test]
fn refuses_what_it_does_not_understand() {
    let folder = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(folder.path()).unwrap());
    let database = folder.path().join("muster.db");
    let change = |pragma: &str| {
        let connection = rusqlite::Connection::open(&database).unwrap();
        connection.execute_batch(pragma).unwrap();
    };
    change("PRAGMA user_version = 99");
    let error = SqliteStore::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::TooNew { found: 99, .. }), "{error}");
    change("PRAGMA application_id = 1");
    let error = SqliteStore::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::NotOurs { .. }), "{error}");
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("muster.db"), "this is a text file, long enough to be looked at")
        .unwrap();
    let error = SqliteStore::open(other.path()).unwrap_err();
    assert!(matches!(error, StoreError::NotOurs { .. }), "{error}");
}

/// Bytes of the database, without its log.
fn database_bytes(folder: &Path) -> u64 {
    std::fs::metadata(folder.join("muster.db")).unwrap().len()
}

/// The longest step that was taken until there was none to take.
fn shrink(world: &mut World) -> Duration {
    let mut longest = Duration::ZERO;
    loop {
        let begun = Instant::now();
        let more = world.store().shrink().unwrap();
        longest = longest.max(begun.elapsed());
        if !more {
            return longest;
        }
    }
}

fn auto_vacuum(folder: &Path) -> i64 {
    let database = rusqlite::Connection::open(folder.join("muster.db")).unwrap();
    database.pragma_query_value(None, "auto_vacuum", |row| row.get(0)).unwrap()
}

#[test]
fn a_database_becomes_smaller_when_large_jobs_are_removed() {
    const ITEM: usize = 512 << 10;
    const LARGE: JobId = JobId(8);
    let mut world = World::folder();
    let folder = world.folder.as_ref().unwrap().path().to_owned();
    let of = |job, record| match record {
        Record::Submitted { at_unix_ns, spec, .. } => {
            Record::Submitted { job, request_id: format!("{job:?}"), at_unix_ns, spec }
        }
        Record::Committed { range, outputs, checksum, bytes, .. } => {
            Record::Committed { job, range, outputs, checksum, bytes }
        }
        other => other,
    };
    let item = |index: u64| vec![index as u8; ITEM];
    world.add(vec![submitted(), of(LARGE, submitted())]);
    // What stays lies between what goes.
    for index in 0..320 {
        let job = if index % 20 == 19 { JOB } else { LARGE };
        world.add(vec![of(job, committed(index, &[&item(index)]))]);
    }
    assert!(!world.store().shrink().unwrap(), "nothing is free");
    world.add(vec![Record::Removed { job: LARGE }]);
    let full = database_bytes(&folder);
    assert!(full >= 150 << 20, "{full}");
    let longest = shrink(&mut world);
    let left = database_bytes(&folder);
    // Eight megabytes of results, what is always kept, and what the pages of the map take.
    assert!(left < 80 << 20, "{full} bytes became {left}");
    assert!(longest < Duration::from_secs(1), "a commit would have to wait for {longest:?}");
    let log = std::fs::metadata(folder.join("muster.db-wal")).unwrap().len();
    assert!(log <= 64 << 20, "{log}");
    let kept: Vec<u64> = (0..320).filter(|index| index % 20 == 19).collect();
    let results = world.all(IndexRange::from_count(0, 320), 4 << 20);
    assert_eq!(results.iter().map(|(index, _)| *index).collect::<Vec<_>>(), kept);
    assert!(results.iter().all(|(index, found)| *found == item(*index)));
    world.crash();
    assert_eq!(world.all(IndexRange::from_count(0, 320), 4 << 20).len(), kept.len());
}

#[test]
fn a_small_database_of_an_older_muster_is_written_anew() {
    let mut world = World::folder();
    let folder = world.folder.as_ref().unwrap().path().to_owned();
    world.add(vec![submitted(), committed(0, &[b"x"])]);
    drop(world.store.take());
    assert_eq!(auto_vacuum(&folder), 2);
    let database = rusqlite::Connection::open(folder.join("muster.db")).unwrap();
    database.execute_batch("PRAGMA auto_vacuum = NONE; PRAGMA journal_mode = DELETE; VACUUM").unwrap();
    drop(database);
    assert_eq!(auto_vacuum(&folder), 0);
    world.crash();
    assert!(!world.store().shrink().unwrap());
    assert_eq!(world.all(IndexRange::from_count(0, 9), 100), [(0, b"x".to_vec())]);
    drop(world.store.take());
    assert_eq!(auto_vacuum(&folder), 2);
}

#[test]
fn a_database_that_was_emptied_is_no_new_one_and_costs_no_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let digest = store.blobs().put(b"a plugin").unwrap();
    drop(store);
    let database = folder.path().join("muster.db");
    for lose in
        [|path: &Path| std::fs::write(path, "").unwrap(), |path: &Path| std::fs::remove_file(path).unwrap()]
    {
        lose(&database);
        let log = folder.path().join("muster.db-wal");
        for left in [&b""[..], b"what was not folded into the database yet"] {
            std::fs::write(&log, left).unwrap();
            let error = SqliteStore::open(folder.path()).unwrap_err();
            assert!(matches!(error, StoreError::Emptied { .. }), "{error}");
            assert_eq!(std::fs::read(&log).unwrap(), left, "the log is as it was");
        }
    }
    assert!(folder.path().join("blobs").join(blake3::Hash::from_bytes(digest).to_hex().as_str()).exists());
}

/// What format 1 did not know: how far results were taken, pauses, and the class of what was charged.
#[test]
fn a_database_of_the_first_format_is_brought_up_to_date() {
    let mut world = World::folder();
    let charged = Record::Charged { job: JOB, index: 7, class: 3, charged: 2 };
    world.add(vec![submitted(), committed(0, &[b"a", b"bb"]), charged]);
    let before = world.replay();
    let World { folder, store, .. } = world;
    drop(store);
    let folder = folder.unwrap();
    let connection = rusqlite::Connection::open(folder.path().join("muster.db")).unwrap();
    connection
        .execute_batch(
            "DROP INDEX inputs_by_blob; DROP INDEX results_by_blob; DROP TABLE post_mortems; DROP TABLE workers; ALTER TABLE jobs DROP COLUMN taken; ALTER TABLE jobs DROP COLUMN paused;
             DROP TABLE charges;
             CREATE TABLE charges (
                 job INTEGER NOT NULL, task INTEGER NOT NULL, charged INTEGER NOT NULL, PRIMARY KEY (job, task)
             ) WITHOUT ROWID;
             INSERT INTO charges VALUES (7, 7, 2);
             PRAGMA user_version = 1;",
        )
        .unwrap();
    drop(connection);
    let store = SqliteStore::open(folder.path()).unwrap();
    let mut world = World::with(Some(folder), Box::new(store));
    assert_eq!(world.replay(), before);
    world.add(vec![Record::Taken { job: JOB, below: 1 }]);
    world.crash();
    assert!(world.replay().contains(&Record::Taken { job: JOB, below: 1 }));
}

#[test]
fn a_damaged_result_is_an_error_and_not_a_panic() {
    let mut world = World::folder();
    world.add(vec![submitted(), committed(0, &[b"a", b"bb"])]);
    let database = world.folder.as_ref().map(|folder| folder.path().join("muster.db")).unwrap();
    let connection = rusqlite::Connection::open(database).unwrap();
    connection.execute("UPDATE results SET data = x'00'", []).unwrap();
    let error = world.store().readers()().unwrap().results(JOB, IndexRange::new(0, 2), 100).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[test]
fn numbers_that_cannot_be_are_errors_and_no_panics() {
    for change in [
        "UPDATE jobs SET tasks = -1",
        "UPDATE jobs SET job = -1",
        "UPDATE commits SET count = -1",
        "UPDATE results SET count = 9223372036854775807, width = 9, lengths = NULL",
        "UPDATE results SET width = 4294967296",
    ] {
        let mut world = World::folder();
        world.add(vec![submitted(), committed(0, &[b"a", b"bb"])]);
        let database = world.folder.as_ref().map(|folder| folder.path().join("muster.db")).unwrap();
        rusqlite::Connection::open(database).unwrap().execute(change, []).unwrap();
        let replayed = world.store().replay(&mut |_| Ok(()));
        let read = world.store().readers()().unwrap().results(JOB, IndexRange::new(0, 2), 100);
        let error = replayed.and(read.map(drop)).unwrap_err().to_string();
        assert!(error.starts_with("state folder: ") && !error.contains('\n'), "{change}: {error}");
    }
}

/// Bytes a second and commits a second; run by hand with `--release --ignored --nocapture`.
#[test]
#[ignore = "measures"]
fn speed() {
    let folder = std::env::var_os("MUSTER_STORE_BENCH");
    let own = tempfile::tempdir().unwrap();
    let folder = folder.as_deref().map_or(own.path(), Path::new);
    let start = Instant::now();
    let mut store = SqliteStore::open(&folder.join("speed")).unwrap();
    eprintln!("opened in {:?}", start.elapsed());
    let epoch = store.begin_epoch().unwrap();
    store.append(epoch, &[(LogPos(1), submitted())]).unwrap();
    let (rows, per_row) = (2_400u64, 16_384u64);
    let items = Packed { width: 8, lengths: Vec::new(), data: vec![5; per_row as usize * 8].into() };
    let start = Instant::now();
    for batch in 0..rows / 16 {
        let records: Vec<_> = (0..16)
            .map(|row| {
                let range = IndexRange::from_count((batch * 16 + row) * per_row, per_row);
                let outputs = Some(items.clone());
                let bytes = per_row * 8;
                (LogPos(2), Record::Committed { job: JOB, range, outputs, checksum: 1, bytes })
            })
            .collect();
        store.append(epoch, &records).unwrap();
    }
    let seconds = start.elapsed().as_secs_f64();
    let tasks = (rows * per_row) as f64;
    eprintln!("{:.1} M tasks/s, {:.0} MB/s", tasks / seconds / 1e6, tasks * 8.0 / seconds / 1e6);
    let start = Instant::now();
    for index in 0..2_000 {
        store.append(epoch, &[(LogPos(3), committed(1 << 40 | index, &[b"12345678"]))]).unwrap();
    }
    eprintln!("{:.0} us a small commit", start.elapsed().as_secs_f64() / 2_000.0 * 1e6);
}
