//! A plugin written with the SDK, end to end through the loader.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::{Words, exercise, load, null, params, range, results, run};
use muster_plugin_host::{
    ErrorKind, InputKind, Inputs, Job, MetricValue, OutBuffer, OutputKind, Plugin, Slot, Take, check,
    done_share, from_pairs,
};
use std::sync::atomic::Ordering;

fn texts(results: &[Vec<u8>]) -> Vec<&str> {
    results.iter().map(|result| std::str::from_utf8(result).unwrap()).collect()
}

fn job(plugin: &Plugin, json: &str) -> Job {
    let checked = check(&plugin.inspection().manifest, &serde_json::from_str(json).unwrap()).unwrap();
    plugin.create(params(&checked.to_string())).unwrap()
}

#[test]
fn the_manifest_says_what_the_source_says() {
    let (plugin, ears) = load(&exercise());
    let manifest = &plugin.inspection().manifest;
    assert_eq!((manifest.name(), manifest.version()), ("exercise", "1.2.3-test"));
    assert_eq!((manifest.input(), manifest.output()), (InputKind::Optional, OutputKind::Json));
    assert_eq!(manifest.output_of(true), OutputKind::Json);
    assert_eq!((manifest.reduce(), manifest.default_tasks()), (true, Some(10)));
    let flags: Vec<_> = manifest.flag_names().collect();
    assert_eq!(flags, ["concurrent", "threads_ok", "deterministic", "multi_job"]);
    let padding = manifest.params().iter().find(|spec| spec.name() == "padding").unwrap();
    assert_eq!(
        (padding.to_string(), padding.description()),
        ("a whole number from 0 to 1000000".into(), "Bytes that tasks write beside their number.")
    );
    let given = from_pairs(manifest, &[("weight".into(), "1e3".into())]).unwrap();
    assert_eq!((&given["weight"], &given["greeting"]), (&1000.0.into(), &"hello \"world\"".into()));
    let job = plugin.create(params(&given.to_string())).unwrap();
    assert_eq!(ears.take(), ["info None hello \"world\" from 2 threads, Some(10) tasks"]);
    drop(job);
}

#[test]
fn tasks_give_their_results_in_order() {
    let (plugin, _) = load(&exercise());
    let (job, words) = (job(&plugin, "{}"), Words::default());
    let mut slot = words.slot();
    let (outcome, got) = run(&job, &mut slot, 1000, 3);
    assert_eq!((outcome.done, outcome.failure), (3, None));
    assert_eq!(texts(&got), ["2000", "2002", "2004"]);
    assert_eq!(words.current.load(Ordering::Relaxed), 1002);
}

#[test]
fn inputs_reach_their_tasks() {
    let (plugin, _) = load(&exercise());
    let (job, words) = (job(&plugin, r#"{"give": "length"}"#), Words::default());
    let (data, offsets) = (b"abcdefgh", [1, 4, 4, 8]);
    let mut out = OutBuffer::new();
    let input = range(0, 3, Some(Inputs::new(data, &offsets).unwrap()));
    assert_eq!(job.run_range(&mut words.slot(), input, &mut out).done, 3);
    assert_eq!(texts(&results(&out)), ["3", "0", "4"]);
    assert!(Inputs::new(data, &[4, 1]).is_none() && Inputs::new(data, &[0, 9]).is_none());
    let short = range(0, 2, Some(Inputs::new(data, &offsets).unwrap()));
    assert_eq!(job.run_range(&mut words.slot(), short, &mut out).failure.unwrap().kind, ErrorKind::Abi);
}

#[test]
fn random_numbers_depend_on_seed_and_index_alone() {
    let (plugin, _) = load(&exercise());
    let (job, words) = (job(&plugin, r#"{"give": "random"}"#), Words::default());
    let mut slot = words.slot();
    let (_, all) = run(&job, &mut slot, 0, 20);
    let (_, alone) = run(&job, &mut slot, 13, 1);
    assert_eq!(all[13], alone[0]);
    assert_ne!(all[12], all[13]);
}

#[test]
fn failures_name_their_task_and_leave_the_others_alone() {
    let (plugin, _) = load(&exercise());
    let json = r#"{"fail_at": 2, "panic_at": 4, "bomb_at": 5, "transient_at": 7, "padding": 100}"#;
    let (job, words) = (job(&plugin, json), Words::default());
    let mut slot = words.slot();
    let (mut at, mut done, mut failures) = (0, Vec::new(), Vec::new());
    while at < 10 {
        let (outcome, got) = run(&job, &mut slot, at, 10 - at);
        done.extend((at..).take(got.len()));
        assert!(got.iter().all(|result| result.len() > 100));
        at += outcome.done;
        if let Some(failure) = outcome.failure {
            let is_panic = failure.kind == ErrorKind::Panic;
            assert_eq!(!slot.take_stack().is_empty(), is_panic, "the stack of a panic is kept");
            failures.push((at, failure));
            at += 1;
        }
    }
    assert_eq!(done, [0, 1, 3, 6, 8, 9]);
    let said: Vec<_> = failures.iter().map(|(at, error)| format!("{at} {error}")).collect();
    assert_eq!(said[0], "2 task 2 was told to fail (code 7)");
    assert!(said[1].starts_with("4 panicked at "), "{}", said[1]);
    assert!(said[1].contains("exercise.rs:") && said[1].contains("task 4 was told to panic"), "{}", said[1]);
    assert!(said[2].starts_with("5 panicked") && said[2].ends_with("a value that is no text"), "{}", said[2]);
    assert_eq!(said[3], "7 transient: not yet");
}

#[test]
fn a_job_can_be_refused() {
    let (plugin, _) = load(&exercise());
    let error = plugin.create(params(r#"{"refuse": true}"#)).unwrap_err();
    assert_eq!((error.kind, error.code), (ErrorKind::Params, 42));
    for (given, said, said_by_plugin) in [
        (
            r#"{"padding": -1}"#,
            r#"parameter padding of plugin exercise is "-1"; it must be a whole number from 0 to 1000000"#,
            "parameter padding is -1; it must be a whole number from 0 to 4294967295",
        ),
        (
            r#"{"padding": 1000001}"#,
            r#"parameter padding of plugin exercise is "1000001"; it must be a whole number from 0 to 1000000"#,
            "parameter padding is 1000001; it must be from 0 to 1000000",
        ),
        (
            r#"{"colour": 1}"#,
            "plugin exercise has no parameter colour",
            "unknown parameter colour; leave it out",
        ),
    ] {
        let error = plugin.create(params(given)).unwrap_err();
        assert!(error.kind == ErrorKind::Params && error.message.starts_with(said), "{error}");
        let error = plugin.create_unchecked(params(given)).unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Params, said_by_plugin));
    }
    let error = plugin.create(params("[1")).unwrap_err();
    assert!(error.message.starts_with("the parameters are no JSON object"), "{error}");
    // What a client left out has the defaults of the manifest.
    plugin.create(params("")).unwrap();
}

#[test]
fn a_running_task_is_cancelled() {
    let (plugin, ears) = load(&exercise());
    let (job, words) = (job(&plugin, r#"{"wait_at": 1}"#), Words::default());
    let (outcome, got) = std::thread::scope(|scope| {
        let runner = scope.spawn(|| run(&job, &mut words.slot(), 0, 5));
        let share = |index| done_share(words.progress.load(Ordering::Relaxed), index);
        while share(1) != 0.5 {
            std::thread::yield_now();
        }
        assert_eq!(share(0), 0.0, "it is the second task that is half done");
        words.cancel.store(1, Ordering::Relaxed);
        runner.join().unwrap()
    });
    assert_eq!((outcome.done, outcome.failure.unwrap().kind, got.len()), (1, ErrorKind::Cancelled, 1));
    assert_eq!(ears.take()[1..], ["checkpoint 3"]);
}

#[test]
fn limits_hold_for_each_result_and_for_each_call() {
    let (plugin, _) = load(&exercise());
    let (job, words) = (job(&plugin, r#"{"padding": 1000}"#), Words::default());
    let mut slot = words.slot();
    let mut out = OutBuffer { soft_max: 2500, ..OutBuffer::new() };
    let outcome = job.run_range(&mut slot, range(0, 10, None), &mut out);
    assert_eq!((outcome.done, outcome.failure), (3, None));
    slot.set_result_limit(1002);
    let (outcome, got) = run(&job, &mut slot, 48, 10);
    let failure = outcome.failure.unwrap();
    assert_eq!((outcome.done, got.len(), failure.kind), (2, 2, ErrorKind::Limit), "{failure}");
}

#[test]
fn metrics_are_kept_for_the_host() {
    let (plugin, _) = load(&exercise());
    let (job, words) = (job(&plugin, r#"{"weight": 3.0}"#), Words::default());
    let before = counted(&plugin);
    run(&job, &mut words.slot(), 0, 4);
    assert_eq!(counted(&plugin) - before, 4.0);
    let weight = plugin.metrics().read().nth(1).unwrap();
    assert_eq!(weight.spec.name, "weight");
    let MetricValue::Histogram { buckets, .. } = weight.value else { panic!("{weight:?}") };
    assert_eq!(buckets, [(4.0, 4)]);
}

fn counted(plugin: &Plugin) -> f64 {
    match plugin.metrics().read().next().unwrap().value {
        MetricValue::Counter(value) => value,
        other => panic!("{other:?}"),
    }
}

/// Combines the results of tasks `from..to` like the halves of a tree.
fn combined(job: &Job, slot: &mut Slot<'_>, from: u64, to: u64) -> muster_plugin_host::Accumulator {
    let mut acc = job.accumulator(slot).unwrap();
    if to - from <= 2 {
        let (_, got) = run(job, slot, from, to - from);
        for (index, result) in (from..).zip(&got) {
            acc.add(slot, index, result).unwrap();
        }
        return acc;
    }
    let middle = from + (to - from) / 2;
    let (left, right) = (combined(job, slot, from, middle), combined(job, slot, middle, to));
    let left = left.take(slot, Take::Partial).unwrap();
    acc.merge(slot, &left).unwrap();
    acc.join(slot, right).unwrap();
    acc
}

#[test]
fn results_are_combined_in_order() {
    let (plugin, _) = load(&exercise());
    let (job, words) = (job(&plugin, "{}"), Words::default());
    let mut slot = words.slot();
    let total = combined(&job, &mut slot, 0, 9).take(&mut slot, Take::Output).unwrap();
    assert_eq!(total, b"[0,2,4,6,8,10,12,14,16]");
}

#[test]
fn combining_fails_in_words() {
    let (plugin, _) = load(&exercise());
    let (job, words) = (job(&plugin, r#"{"panic_at": 1}"#), Words::default());
    let mut slot = words.slot();
    let mut acc = job.accumulator(&mut slot).unwrap();
    assert_eq!(acc.add(&mut slot, 0, b"x").unwrap_err().kind, ErrorKind::Failed);
    assert!(acc.merge(&mut slot, b"12345").unwrap_err().message.contains("must have 8"));
    assert_eq!(acc.add(&mut slot, 1, b"1").unwrap_err().kind, ErrorKind::Panic);
    // The job has a new object by now; an old accumulator still goes with a new one.
    let mut fresh = job.accumulator(&mut slot).unwrap();
    fresh.add(&mut slot, 5, b"10").unwrap();
    fresh.join(&mut slot, acc).unwrap();
    assert_eq!(fresh.take(&mut slot, Take::Output).unwrap(), b"[10]");
}

#[test]
fn null_gives_as_many_bytes_as_asked() {
    let (plugin, _) = load(&null());
    let words = Words::default();
    let job = job(&plugin, r#"{"bytes_out": 8, "bytes_in": 2}"#);
    let mut out = OutBuffer::new();
    let input = range(0, 2, Some(Inputs::new(b"aabbb", &[0, 2, 5]).unwrap()));
    let outcome = job.run_range(&mut words.slot(), input, &mut out);
    assert_eq!((outcome.done, results(&out)), (1, vec![vec![0; 8]]));
    let failure = outcome.failure.unwrap();
    assert_eq!(failure.to_string(), "params: the input has 3 bytes; bytes_in says 2");
    assert_eq!(job.accumulator(&mut words.slot()).unwrap_err().kind, ErrorKind::Unsupported);
}
