//! `muster emulate`: scenario files with real processes, end to end.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Finished, Muster, plugin, wait_until};
use muster::emulation::Beside;
use serde_json::{Value, json};
use std::path::Path;

/// Two workers, one of which is killed in the middle and comes back.
const KILLED: &str = r#"
name = "killed"
seed = 5
lease = "2s"

[[links]]
latency = "1ms"

[[workers]]
name = "near"
count = 2

[[jobs]]
tasks = 80
io = 1.0
time = { const = "10ms" }

[[faults]]
kind = "worker_crash"
at = "150ms"
count = 1
restart = "50ms"
"#;

/// The folder of muster's own plugins, built.
fn plugins() -> String {
    Path::new(&plugin("sleep")).parent().unwrap().to_str().unwrap().to_owned()
}

fn emulate(muster: &Muster, scenario: &str, words: &[&str]) -> Finished {
    let path = muster.write("scenario.toml", scenario);
    let plugins = plugins();
    let mut all = vec!["emulate", &path, "--plugins", &plugins];
    all.extend(words);
    muster.run(&all)
}

#[test]
fn a_killed_worker_costs_no_result_and_the_run_is_kept() {
    let muster = Muster::new();
    let folder = muster.path("run");
    let words = ["--repeats", "2", "--simulate", "--json", "-o", folder.to_str().unwrap(), "--seed", "9"];
    let finished = emulate(&muster, KILLED, &words).ok();
    assert!(finished.stderr.contains("seed 9"), "{}", finished.stderr);
    let found = finished.json();
    let expected = json!({
        "fidelity": "emulated", "name": "killed", "seed": 9, "policy": "fair+adaptive", "workers": 2, "slots": 2,
        "tasks": 80, "faults": 1, "ok": [80, 80], "failed": [0, 0],
        "lost_workers": [1, 1], "planned_until_s": null,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&found[key], value, "{key} in {found}");
    }
    let documentation = include_str!("../docs/emulation.md");
    let table = documentation.split("### What the object holds").nth(1).unwrap();
    let table = table.split("###").next().unwrap();
    for object in [&found, &found["jobs"][0], &found["simulated"]] {
        for key in object.as_object().unwrap().keys() {
            assert!(table.contains(&format!("`{key}`")), "{key} is not documented");
        }
    }
    assert_eq!(
        (&found["jobs"][0]["plugin"], &found["jobs"][0]["params"]),
        (&json!("sleep"), &json!({"ms": "10"}))
    );
    for number in 0..2 {
        let makespan = found["makespan_s"][number].as_f64().unwrap();
        assert!((0.4..5.0).contains(&makespan), "{found}");
        let (attempts, again) = (&found["attempts"][number], &found["leased_again"][number]);
        assert_eq!(attempts.as_u64().unwrap(), 80 + again.as_u64().unwrap());
        assert!(again.as_u64().unwrap() > 0, "what the killed worker had is run again: {found}");
    }
    assert_eq!(found["simulated"]["ok"], 80);
    assert_eq!(found["simulated"]["lost_workers"], 1);
    assert!(found["simulated"]["leased_again"].as_u64().unwrap() > 0, "{found}");
    assert!(found.get("repeated").is_none() && found["simulated"].get("repeated").is_none(), "{found}");
    muster.assert_no_process_left();
    muster.assert_no_temporary_left();

    // What is kept can be held against a simulation later, also a changed one.
    let kept: Value = serde_json::from_slice(&muster.read("run/report.json")).unwrap();
    assert_eq!(kept["makespan_s"], found["makespan_s"]);
    assert!(String::from_utf8(muster.read("run/scenario.toml")).unwrap().contains("seed = 9\n"));
    let both = Beside::of_folder(&folder, &[], || false).unwrap();
    assert_eq!(both.to_json()["simulated"], found["simulated"], "the same simulation as before");
    let shown = muster.run(&["simulate", "--beside", "run", "--json"]).ok().json();
    assert_eq!((&shown["simulated"], &shown["makespan_s"]), (&found["simulated"], &found["makespan_s"]));
    let changes = ["tasks=160".parse().unwrap()];
    let longer = Beside::of_folder(&folder, &changes, || false).unwrap();
    assert!(longer.error() > both.error() + 0.5, "{} and {}", longer.error(), both.error());
    let table = both.table();
    for words in ["killed, seed 9", "2 emulated runs", "SIMULATED", "makespan", "workers lost"] {
        assert!(table.contains(words), "{words}: {table}");
    }
}

#[test]
fn the_kept_example_can_be_emulated() {
    let muster = Muster::new();
    let example = include_str!("../sim/scenarios/emulated.toml");
    let finished = emulate(&muster, example, &["--simulate", "--json"]).ok();
    let found = finished.json();
    let expected = json!({
        "name": "emulated", "workers": 6, "slots": 8, "tasks": 1760, "ok": [1760], "failed": [0], "lost_workers": [1],
        "faults": 2, "planned_until_s": null,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&found[key], value, "{key} in {found}");
    }
    assert_eq!((&found["simulated"]["ok"], &found["simulated"]["lost_workers"]), (&json!(1760), &json!(1)));
    let (main, urgent) = (&found["jobs"][0]["makespan_s"][0], &found["jobs"][1]["makespan_s"][0]);
    let end = |makespan: &Value, submitted: f64| submitted + makespan.as_f64().unwrap();
    assert!(end(urgent, 0.3) < end(main, 0.0), "the later job is done before the first: {found}");
    muster.assert_no_process_left();
}

#[test]
fn what_was_not_emulated_is_no_run() {
    let muster = Muster::new();
    let failure = Beside::of_folder(&muster.path("nothing"), &[], || false).unwrap_err();
    assert!(failure.to_string().contains("nothing/report.json"), "{failure}");
    muster.write("other/report.json", "{}");
    let failure = Beside::of_folder(&muster.path("other"), &[], || false).unwrap_err();
    assert!(failure.to_string().contains("not a report of an emulation"), "{failure}");
}

#[test]
fn every_fault_that_can_be_emulated_is() {
    let muster = Muster::new();
    let scenario = r#"
        policy = "fifo+factoring"
        lease = "1s"
        credit_tasks = 1
        credit = "50ms"

        [[links]]
        name = "lan"
        latency = "1ms"
        jitter = "1ms"
        worker_bandwidth = "10MB/s"

        [[workers]]
        name = "fast"
        count = 3
        slots = 2
        link = "lan"

        [[workers]]
        name = "late"
        count = 1
        link = "none"

        [[jobs]]
        tasks = 500
        io = 0.5
        time = { exp = "10ms" }
        plugin = "sleep"
        params = { ms = 10, dist = "exp" }
        model = "process"

        [[faults]]
        kind = "pause"
        at = "100ms"
        length = "200ms"
        count = 1

        [[faults]]
        kind = "partition"
        at = "150ms"
        length = "200ms"
        count = 1
        direction = "to_workers"

        [[faults]]
        kind = "straggler"
        factor = 2.0
        workers = "late"

        [[faults]]
        kind = "join"
        at = "100ms"
        workers = "late"
        count = 1

        [[faults]]
        kind = "leave"
        at = "400ms"
        workers = "late"
        count = 1

        [[faults]]
        kind = "worker_crash"
        every = "2s"
        workers = "fast"
        restart = "100ms"
    "#;
    let found = emulate(&muster, scenario, &["--json"]).ok().json();
    assert_eq!((&found["ok"], &found["failed"]), (&json!([500]), &json!([0])), "{found}");
    assert_eq!((&found["workers"], &found["slots"]), (&json!(4), &json!(7)));
    assert_eq!(found["policy"], "fifo+factoring");
    assert!(found["faults"].as_u64().unwrap() > 4, "crashes, beside the four that come once: {found}");
    let slow = "[[faults]]\nkind = \"straggler\"\nfactor = 2.0\n";
    let slow = format!("[[workers]]\ncount = 2\n[[jobs]]\ntasks = 4\ntime = {{ const = \"1ms\" }}\n{slow}");
    let shared = format!("{slow}[[faults]]\nkind = \"pause\"\nat = \"1s\"\nlength = \"1s\"\nshare = 0.1\n");
    let slowed = emulate(&muster, &shared, &["--json"]).ok();
    assert_eq!(slowed.json()["faults"], 2, "two slow workers");
    for words in ["2 events of faults", "share 0.1 of 2 workers is nobody: write count = 1"] {
        assert!(slowed.stderr.contains(words), "{words}: {}", slowed.stderr);
    }
    assert!(found["planned_until_s"].as_f64().unwrap() > found["makespan_s"][0].as_f64().unwrap());
    muster.assert_no_process_left();
    muster.assert_no_temporary_left();
}

#[test]
fn faults_strike_whether_or_not_the_scenario_is_simulated_too() {
    let muster = Muster::new();
    let found = emulate(&muster, KILLED, &["--json"]).ok().json();
    let expected = json!([[1], 1, [80], null]);
    assert_eq!(
        json!([found["lost_workers"], found["faults"], found["ok"], found["planned_until_s"]]),
        expected
    );
}

#[test]
fn several_jobs_come_when_they_should_and_are_told_apart() {
    let muster = Muster::new();
    // Built beside the others.
    plugin("exec");
    let scenario = r#"
        [[workers]]
        count = 2

        [[jobs]]
        name = "long"
        tasks = 100
        io = 1.0
        time = { const = "20ms" }

        [[jobs]]
        name = "urgent"
        tasks = 20
        io = 1.0
        time = { const = "20ms" }
        submit_at = "300ms"
        priority = 10

        [[jobs]]
        name = "failing"
        tasks = 3
        submit_at = "100ms"
        time = { const = "1ms" }
        plugin = "exec"
        params = { command = "exit 1" }
        max_attempts = 1
    "#;
    let finished = emulate(&muster, scenario, &["--simulate", "--repeats", "2", "-o", "run"]).exits(1);
    let text = finished.text();
    assert!(finished.stderr.contains("123 tasks of 3 jobs"), "{}", finished.stderr);
    for job in ["job long", "job urgent", "job failing"] {
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with(job)).collect();
        assert!(lines.len() == 2 && lines[0].contains("median") && lines[1].contains(" %"), "{text}");
    }
    let found: Value = serde_json::from_slice(&muster.read("run/report.json")).unwrap();
    assert_eq!((&found["ok"], &found["failed"]), (&json!([120, 120]), &json!([3, 3])), "{found}");
    let jobs = found["jobs"].as_array().unwrap();
    let names: Vec<_> = jobs.iter().map(|job| job["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["long", "urgent", "failing"]);
    assert_eq!((&jobs[2]["failed"], &jobs[2]["ok"]), (&json!([3, 3]), &json!([0, 0])));
    assert_eq!((&jobs[1]["submit_at_s"], &jobs[1]["plugin"]), (&json!(0.3), &json!("sleep")));
    for run in 0..2 {
        let time = |job: usize| jobs[job]["makespan_s"][run].as_f64().unwrap();
        // 1 s of work for each worker by the first alone, and the later job goes before what is left of it.
        assert!(time(0) >= 1.0 && 0.3 + time(1) < time(0), "{found}");
        assert!(found["makespan_s"][run].as_f64().unwrap() >= time(0), "{found}");
    }
    muster.run(&["simulate", "--beside", "run"]).ok();
    // Its error is that of the simulation only when both have the same times.
    let drawn = muster.run(&["simulate", "--beside", "run", "--set", "jobs.long.time.exp=20ms"]).ok();
    assert!(drawn.text().lines().last().unwrap().starts_with("task times are drawn: "), "{}", drawn.text());
    assert!(!text.contains("drawn"), "{text}");
    muster.assert_no_process_left();
}

/// Under fifo the first job of the file goes first, also when all are due at once.
#[test]
fn jobs_of_the_same_time_are_submitted_in_their_order() {
    let muster = Muster::new();
    let job = |name: &str| {
        format!("[[jobs]]\nname = \"{name}\"\ntasks = 10\nio = 1.0\ntime = {{ const = \"20ms\" }}\n")
    };
    let jobs: String = ["a", "b", "c", "d", "e"].map(job).concat();
    let scenario = format!("policy = \"fifo\"\n[[workers]]\ncount = 1\n{jobs}");
    let found = emulate(&muster, &scenario, &["--json", "--repeats", "2"]).ok().json();
    for run in 0..2 {
        let times: Vec<f64> =
            (0..5).map(|job| found["jobs"][job]["makespan_s"][run].as_f64().unwrap()).collect();
        assert!(times[0] < times[4], "the first is done before the last: {times:?}");
    }
    muster.assert_no_process_left();
}

/// A worker that was lost while it was to leave is told again when it is back.
#[test]
fn who_is_to_leave_does_even_when_it_was_lost() {
    let muster = Muster::new();
    let scenario = |leave: &str| {
        format!(
            "lease = \"300ms\"\n[[workers]]\nname = \"stays\"\ncount = 1\n[[workers]]\nname = \"goes\"\ncount = 1\n\
             [[jobs]]\ntasks = 200\nio = 1.0\ntime = {{ const = \"20ms\" }}\n\
             [[faults]]\nkind = \"partition\"\nworkers = \"goes\"\nat = \"200ms\"\nlength = \"800ms\"\n\
             [[faults]]\nkind = \"leave\"\nworkers = \"goes\"\nat = \"{leave}\"\n"
        )
    };
    // Before it is lost, and while it is.
    for leave in ["300ms", "800ms"] {
        let found = emulate(&muster, &scenario(leave), &["--json"]).ok().json();
        assert_eq!((&found["ok"], &found["lost_workers"]), (&json!([200]), &json!([1])), "{found}");
        // One worker alone takes 4 s for all; two would have taken half of what was left.
        assert!(found["makespan_s"][0].as_f64().unwrap() > 3.3, "{found}");
    }
    muster.assert_no_process_left();
}

#[test]
fn without_json_people_read_what_happened() {
    let muster = Muster::new();
    let words = [
        "--set",
        "workers=3",
        "--set",
        "jobs.tasks=30",
        "--set",
        "faults.0.count=0",
        "--simulate",
        "--replicas",
        "1",
    ];
    let finished = emulate(&muster, KILLED, &words).ok();
    let text = finished.text();
    for words in ["seed          5", "makespan", "leased again  0", "workers lost  0", "SIMULATED"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    for words in ["emulating killed", "30 tasks of sleep ms=10 on 3 workers with 3 slots"] {
        assert!(finished.stderr.contains(words), "{words}: {}", finished.stderr);
    }
    muster.assert_no_process_left();
}

#[test]
fn what_cannot_be_emulated_is_refused_in_one_line() {
    let muster = Muster::new();
    let job = "[[jobs]]\ntasks = 10\nio = 1.0\ntime = { const = \"1ms\" }\n";
    let workers = "[[workers]]\ncount = 2\n";
    let both = format!("{workers}{job}");
    let fault = |text: &str| format!("{both}[[faults]]\n{text}\n");
    let linked = |text: &str| format!("{both}[[links]]\nname = \"lan\"\n{text}\n");
    let timed = |io: &str, time: &str| format!("{workers}[[jobs]]\ntasks = 10\nio = {io}\ntime = {time}\n");
    let with = |text: &str| format!("{both}{text}\n");
    for (scenario, words) in [
        (format!("claim = \"2ms\"\n{both}"), &["claim", "1ms"][..]),
        (format!("hold = \"0s\"\n{both}"), &["hold", "100ms"]),
        (with("[coordinator]\nper_message = \"1us\""), &["per_message", "[coordinator]"]),
        (with("[coordinator]\nper_byte = \"1ns\""), &["per_byte"]),
        (with("[coordinator]\ncommit = \"1ms\""), &["commit"]),
        (with("[coordinator]\nbandwidth = \"1GB/s\""), &["bandwidth", "[coordinator]"]),
        (format!("{workers}executor_start = \"1s\"\n{job}"), &["executor_start", "\"workers\""]),
        (format!("{workers}plugin_load = \"1s\"\n{job}"), &["plugin_load"]),
        (format!("{workers}speed = 2.0\n{job}io = 0.0\n").replace("io = 1.0\n", ""), &["speed", "faster"]),
        (format!("{workers}speed = 1e-4\n{job}io = 0.0\n").replace("io = 1.0\n", ""), &["speed", "1,000"]),
        (linked("drop = 0.1"), &["drop", "\"lan\"", "TCP"]),
        (linked("duplicate = 0.1"), &["duplicate"]),
        (linked("reorder = 0.1"), &["reorder"]),
        (linked("bandwidth = \"1GB/s\""), &["bandwidth", "worker_bandwidth"]),
        (linked("worker_bandwidth = \"10B/s\""), &["bandwidth", "2 kB/s"]),
        (linked("latency = \"3s\""), &["latency", "2 s"]),
        (fault("kind = \"executor_crash\"\nat = \"1s\""), &["executor_crash", "worker_crash"]),
        (fault("kind = \"coordinator_crash\"\nat = \"1s\"\nrestart = \"1s\""), &["coordinator_crash"]),
        (fault("kind = \"poison\"\nshare = 0.1"), &["poison"]),
        (fault("kind = \"clock_drift\"\nppm = 10"), &["clock_drift"]),
        (fault("kind = \"straggler\"\nat = \"1s\"\nfactor = 2.0"), &["straggler", "at = \"0s\""]),
        (fault("kind = \"straggler\"\nevery = \"1s\"\nfactor = 2.0"), &["straggler", "at = \"0s\""]),
        (
            with(&format!("plugin_bytes = \"1kB\"\n{job}name = \"b\"")),
            &["plugin_bytes", "\"job\" and \"b\"", "plugin sleep", "the same for both"],
        ),
        (
            format!("{workers}speed = 0.5\n{job}{}name = \"b\"", job.replace("1.0", "0.5")),
            &["speed", "different io"],
        ),
        (with("input_bytes = \"1kB\""), &["input_bytes"]),
        (with("result_bytes = \"1kB\""), &["result_bytes", "plugin = "]),
        (with("plugin_bytes = \"1kB\""), &["plugin_bytes", "1,000 B"]),
        (timed("1.0", "{ uniform = [\"1ms\", \"2ms\"] }"), &["uniform", "needs plugin = "]),
        (
            timed("1.0", "{ bimodal = { short = \"1ms\", long = \"2ms\", share = 0.5 } }"),
            &["needs plugin = "],
        ),
        (timed("1.0", "{ pareto = { min = \"1ms\", shape = 0.5 } }"), &["pareto", "needs plugin = "]),
        (
            timed("0.5", "{ const = \"1ms\" }").replace("count = 2", "count = 10000"),
            &["10000 slots", "cores"],
        ),
        (both.replace("count = 2", "count = 1_000_000"), &["1,000,000 emulated workers", "this machine"]),
        (both.replace("tasks", "taks"), &["scenario.toml:", "taks"]),
    ] {
        emulate(&muster, &scenario, &[]).fails(3, words).says_no_more();
    }
    emulate(&muster, &both, &["--set", "tasks=0"]).fails(2, &["--set tasks"]).says_no_more();
    muster
        .run(&["emulate", "no.toml"])
        .fails(3, &["error: cannot read no.toml: No such file"])
        .says_no_more();
    let beyond = emulate(&muster, &both, &["--seed", "9223372036854775808"]);
    beyond.fails(2, &["--seed", "from 0 to 9223372036854775807"]).says_no_more();
    emulate(&muster, &both, &["--set", "tasks"]).fails(2, &["key=value"]).says_no_more();
    let unknown = format!("{both}plugin = \"slep\"\n");
    emulate(&muster, &unknown, &[])
        .fails(4, &["no plugin \"slep\"", "did you mean \"sleep\"?"])
        .says_no_more();
    let far = emulate(&muster, &unknown, &["--set", "jobs.plugin=unknown"]);
    far.fails(4, &["no plugin \"unknown\"", "there are ", "--plugins DIR"]).says_no_more();
    let elsewhere = muster.run(&["emulate", "scenario.toml", "--plugins", "no"]);
    elsewhere
        .fails(4, &["no plugin \"slep\" in no", "checkout of muster's sources: --plugins"])
        .says_no_more();
    muster.write("file", "");
    emulate(&muster, &both, &["-o", "file"]).fails(3, &["cannot write into file"]).says_no_more();
    emulate(&muster, &both, &["--out", "."]).fails(3, &[". is not empty", "-o DIR"]).says_no_more();
    muster.assert_no_process_left();
}

#[test]
fn a_signal_ends_every_process() {
    let muster = Muster::new();
    // One worker stands still and hears nothing.
    let scenario = "[[workers]]\ncount = 3\n[[jobs]]\ntasks = 30\nio = 1.0\ntime = { const = \"60s\" }\n\
                    [[faults]]\nkind = \"pause\"\nat = \"0s\"\nlength = \"1h\"\ncount = 1\n";
    let path = muster.write("scenario.toml", scenario);
    let plugins = plugins();
    let started = muster.start(&["emulate", &path, "--plugins", &plugins, "-o", "run"]);
    let executors = || muster.processes().iter().filter(|(_, line)| line.contains("executor")).count();
    assert!(wait_until(|| executors() >= 2), "{:?}", muster.processes());
    started.signal(libc::SIGINT);
    started.finish().fails(130, &["cancelled by Ctrl-C"]);
    assert_eq!(std::fs::read_dir(muster.path("run")).unwrap().count(), 0, "the folder can be named again");
    muster.assert_no_process_left();
    muster.assert_no_temporary_left();
}
