//! The experiments of `muster compare NAME` that are about times of workloads: what they compare, and what must come out on
//! any machine. One block each: how sure the rest is, is the business of `statistics.rs`.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::Muster;
use serde_json::Value;

fn experiment(muster: &Muster, name: &str) -> Value {
    let plugins = concat!(env!("CARGO_MANIFEST_DIR"), "/plugins");
    let found = muster.run(&["compare", name, "--blocks", "1", "--plugins", plugins, "--json"]).ok().json();
    assert_eq!((&found["experiment"], &found["blocks"]), (&name.into(), &1.into()), "{found}");
    assert!(!found["claims"].as_array().unwrap().is_empty(), "{found}");
    for claim in found["claims"].as_array().unwrap() {
        assert!(claim["command"].as_str().unwrap().starts_with("muster compare "), "{claim}");
    }
    let rows = found["rows"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["is_wrong"] == false), "the same outputs under all models: {found}");
    assert!(found["overhead"]["median_s"].as_f64().unwrap() > 0.0, "{found}");
    // One block has no intervals anywhere; a page can be made of it all the same.
    muster.run(&["report", "-o", "report.html"]).ok();
    found
}

/// What a row's outputs told.
fn value(found: &Value, group: &str, row: &str, name: &str) -> f64 {
    let rows = found["rows"].as_array().unwrap();
    let is_it = |it: &&Value| it["group"].as_str().unwrap().starts_with(group) && it["name"] == row;
    let row = rows.iter().find(is_it).unwrap_or_else(|| panic!("no {row} in {group}: {found}"));
    let value = row["values"].as_array().unwrap().iter().find(|value| value["name"] == name);
    value.unwrap_or_else(|| panic!("no {name}: {row}"))["median"].as_f64().unwrap()
}

/// The median time of a row, as the samples have it: one block has no interval.
fn time(muster: &Muster, found: &Value, group: &str, row: &str) -> f64 {
    let text =
        String::from_utf8(muster.read(&format!("{}/samples.csv", found["run"].as_str().unwrap()))).unwrap();
    let line = text.lines().find(|line| line.contains(&format!(",{row},")) && line.contains(group));
    line.unwrap_or_else(|| panic!("no {row} of {group} in {text}"))
        .split(',')
        .nth(2)
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn computing_takes_turns_under_a_lock() {
    let muster = Muster::new();
    let found = experiment(&muster, "cpu");
    let rows = found["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3 * 4, "{found}");
    let probed: Vec<&Value> = rows.iter().filter(|row| !row["pss_peak_bytes"].is_null()).collect();
    assert_eq!(probed.len(), 4, "one of the groups is looked at more closely");
    assert!(probed.iter().all(|row| row["cancel_max_s"].as_f64().unwrap() > 0.0), "{found}");
    let found = experiment(&muster, "gil");
    let gil = found["rows"].as_array().unwrap().iter().filter(|row| row["gil"] == true);
    let waits: Vec<f64> = gil.map(|row| row["gil_wait_share"].as_f64().unwrap()).collect();
    // From all of the work under the lock, with four threads of which three wait, to none of it.
    assert!(waits[0] > 0.2 && waits[4] < waits[0] / 4.0, "{waits:?}");
    // What waits 4 ms beside tasks that compute for longer comes back no earlier, and has to ask for the lock then: half a
    // millisecond passes before a holder is asked to give it up, or fifty, which is longer than such a task computes.
    let of = |row: &str, name: &str| value(&found, "short waits", row, name);
    for row in ["gil 1x4, 0.5 ms", "gil 1x4, 5 ms", "gil 1x4, 50 ms", "thread 1x4"] {
        let (p50, p90) = (of(row, "WAITER P50"), of(row, "WAITER P90"));
        assert!(0.004 <= p50 && p50 <= p90 && p90 < 2.0, "{row}: {p50} {p90}");
    }
    assert!(of("gil 1x4, 50 ms", "WAITER P50") > of("gil 1x4, 0.5 ms", "WAITER P50"), "{found}");
    let claims = found["claims"].as_array().unwrap();
    let convoy = claims.iter().find(|claim| claim["claim"].as_str().unwrap().contains("switch interval"));
    let convoy = convoy.unwrap_or_else(|| panic!("{claims:?}"));
    // One block has no interval.
    assert_eq!(convoy["verdict"], "unknown", "{convoy}");
    assert!(convoy["measured"].as_str().unwrap().starts_with("a wait of 4 ms beside tasks"), "{convoy}");
    muster.assert_no_process_left();
}

#[test]
fn waiting_is_shortest_with_many_in_flight() {
    let muster = Muster::new();
    let found = experiment(&muster, "io");
    let one = time(&muster, &found, "10 fetches", "thread 1x1");
    let five = time(&muster, &found, "10 fetches", "thread 1x5");
    assert!(one >= 1.0 && five >= 0.2 && five < one, "10 x 0.1 s: {one}, {five}");
    let flight = time(&muster, &found, "10000 waits", "async 1x1/10000");
    assert!((0.2..5.0).contains(&flight), "20,000 waits of 0.1 s, 10,000 at the same time: {flight}");
    let found = experiment(&muster, "mixed");
    let [none, all] = ["0 %", "100 %"].map(|share| {
        let gil = time(&muster, &found, share, "gil 1x4");
        gil / time(&muster, &found, share, "process 4x1")
    });
    assert!(none > 0.0 && all > 0.0, "{none} {all}");
    muster.assert_no_process_left();
}

#[test]
fn counters_without_a_lock_lose_and_others_do_not() {
    let muster = Muster::new();
    let found = experiment(&muster, "shared");
    for form in ["atomic", "sharded", "mutex", "rwlock", "semaphore"] {
        for row in ["thread 1x4", "process 4x1", "gil 1x4"] {
            assert_eq!(value(&found, form, row, "LOST UPDATES"), 0.0, "{form} {row}");
        }
    }
    assert_eq!(value(&found, "racy", "gil 1x4", "LOST UPDATES"), 0.0, "they take turns");
    for row in ["thread 1x4", "process 4x1"] {
        let (counted, lost) =
            (value(&found, "racy", row, "COUNTED"), value(&found, "racy", row, "LOST UPDATES"));
        assert_eq!(counted + lost, 80e6, "{row}");
        let is_parallel = std::thread::available_parallelism().unwrap().get() > 1;
        assert!(lost > 0.0 || !is_parallel, "{row} lost nothing");
    }
    for row in ["thread 1x10", "process 10x1", "gil 1x10"] {
        assert_eq!(value(&found, "10 x 1,000", row, "COUNTED"), 10_000.0, "the article's counter");
    }
    assert_eq!(found["claims"][1]["verdict"], "yes", "{}", found["claims"]);
}

#[test]
fn messages_and_shapes_are_compared() {
    let muster = Muster::new();
    let found = experiment(&muster, "exchange");
    for row in ["thread 1x2, queue", "process 2x1, shared", "process 2x1, pipe", "process 2x1, socket"] {
        let [small, large] =
            ["messages of 8 B", "messages of 1 MiB"].map(|size| value(&found, size, row, "NS A MESSAGE"));
        assert!(small > 0.0 && small < large, "{row}: {small} {large}");
        assert!(
            value(&found, "messages of 1 MiB", row, "MB/S") > value(&found, "messages of 8 B", row, "MB/S")
        );
    }
    let found = experiment(&muster, "hybrid");
    let rows = found["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 9 + 3, "{found}");
    // Ten fetches of 0.1 and ten of 0.2 s on five threads, in one process after the other or in two side by side.
    let (two, one) = (
        time(&muster, &found, "the article", "process 2x1"),
        time(&muster, &found, "the article", "thread 1x1"),
    );
    assert!(two >= 0.4 && one >= 0.6, "{two} {one}");
    muster.assert_no_process_left();
    muster.assert_no_temporary_left();
}

#[test]
fn a_real_cpython_is_asked_the_same() {
    if !fixture::has_tool("python3") {
        return;
    }
    let muster = Muster::new();
    let plugins = concat!(env!("CARGO_MANIFEST_DIR"), "/plugins");
    let line = ["compare", "shared", "--with-python", "--blocks", "1", "--plugins", plugins, "--json"];
    let found = muster.run(&line).ok().json();
    assert_eq!(value(&found, "CPython: a counter with a lock", "thread 1x4", "LOST UPDATES"), 0.0);
    let shared = value(&found, "CPython: a counter without a lock", "process 4x1", "LOST UPDATES");
    assert!((0.0..2e6).contains(&shared), "of 2,000,000 additions: {shared}");
    let claims = found["claims"].as_array().unwrap();
    assert!(
        claims.iter().any(|claim| claim["command"] == "muster compare shared --with-python"),
        "{claims:?}"
    );
    muster
        .run(&["compare", "mixed", "--with-python", "--plugins", plugins])
        .fails(2, &["mixed", "cpu, gil, io"]);
    muster
        .run(&["compare", &fixture::plugin("loop"), "--with-python"])
        .fails(2, &["--with-python", "plugins/python"]);
    muster.assert_no_temporary_left();
}

#[test]
fn an_experiment_chooses_what_it_compares() {
    let muster = Muster::new();
    let plugins = concat!(env!("CARGO_MANIFEST_DIR"), "/plugins");
    for (arguments, code, words) in [
        (vec!["cpu", "-n", "4"], 2, vec!["experiment cpu chooses that itself: -n"]),
        (vec!["gil", "--models", "thread"], 2, vec!["--models", "muster compare PLUGIN"]),
        (vec!["io", "ms=3"], 2, vec!["KEY=VALUE"]),
        (vec!["cpus"], 4, vec!["\"cpus\"", "did you mean the experiment cpu?"]),
        (vec!["everything-else"], 4, vec!["cpu, gil"]),
        (vec!["mixed", "--plugins", "nowhere"], 4, vec!["nowhere", "--plugins DIR"]),
        (vec!["cpu", "--budget", "1ms", "--plugins", plugins], 7, vec!["the budget is too small"]),
    ] {
        muster.run(&[&["compare"][..], &arguments].concat()).fails(code, &words);
    }
    muster.assert_no_process_left();
}
