//! `muster compare` with a file, with inputs, on a cluster that is up, and where there is no room to keep what it measured.

#![allow(clippy::print_stderr, clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, plugin};
use serde_json::{Value, json};

fn names(found: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    found["rows"].as_array().unwrap().iter().map(|row| (text(&row["group"]), text(&row["name"]))).collect()
}

/// A comparison of two values of a parameter, of which one has no row with a lock.
fn written(muster: &Muster, more: &str) -> String {
    let text = format!(
        r#"
plugin = "{}"
tasks = 8
blocks = 5
slots = 2
models = ["thread", "process", "gil"]
baseline = "process"
{more}
[matrix]
iters = [1000000, 4000000]
n = [1]

[[exclude]]
model = "gil"
iters = 1000000
"#,
        plugin("loop")
    );
    muster.write("c.toml", text)
}

#[test]
fn a_file_describes_a_matrix() {
    let muster = Muster::new();
    let file = written(&muster, "");
    let found = muster.run(&["compare", &file, "--no-probes", "--json"]).ok().json();
    let [small, large] = ["iters=1000000, n=1", "iters=4000000, n=1"].map(str::to_owned);
    let wanted = [
        (&small, "process 2x1"),
        (&small, "thread 1x2"),
        (&large, "process 2x1"),
        (&large, "thread 1x2"),
        (&large, "gil 1x2"),
    ];
    assert_eq!(names(&found), wanted.map(|(group, name)| (group.clone(), name.to_owned())));
    assert_eq!(found["groups"][1]["factors"], json!({"iters": 4_000_000, "n": 1}), "{found}");
    assert_eq!(found["groups"][1]["plugin"]["params"]["iters"], 4_000_000, "{found}");
    for row in found["rows"].as_array().unwrap() {
        assert_eq!(row["is_baseline"], row["model"] == "process", "{row}");
        assert_eq!(row["ratio_to_baseline"].is_null(), row["model"] == "process", "{row}");
        assert!(row["pss_peak_bytes"].is_null() && row["cancel_max_s"].is_null(), "{row}");
    }
    // A different parameter is other work, and its outputs may differ.
    assert_ne!(found["rows"][0]["checksum"], found["rows"][2]["checksum"]);
    assert!(found["rows"].as_array().unwrap().iter().all(|row| row["is_wrong"] == false), "{found}");
    let samples = String::from_utf8(muster.read(".muster/runs/1/samples.csv")).unwrap();
    assert_eq!(samples.lines().count(), 1 + 5 * (3 + 4), "two groups with a twin each");
    assert!(samples.lines().skip(1).all(|line| line.ends_with("n=1\",")), "groups have commas: {samples}");
    let same = muster.run(&["diff", "1", "last", "--json"]).ok().json();
    assert_eq!(same["rows"].as_array().unwrap().len(), 5, "{same}");
    assert_eq!(same["rows"][4]["name"], "iters=4000000, n=1: gil 1x2", "{same}");
    assert!(same["rows"].as_array().unwrap().iter().all(|row| row["ratio"]["median"] == 1.0), "{same}");
}

#[test]
fn a_file_can_fail_a_build() {
    let muster = Muster::new();
    // Waits of 10 and of 40 ms cannot be mistaken for each other, and waiting keeps no processor busy.
    let text = |condition: &str| {
        format!(
            "plugin = \"{}\"\ntasks = 4\nblocks = 6\nslots = 4\nmodels = [\"thread\"]\n[grid]\np = [1]\nt = [1]\n[params]\nms = 40\n\
             [[fail]]\n{condition}\n",
            plugin("sleep")
        )
    };
    let file = |condition: &str| muster.write("c.toml", text(condition));
    let run = |condition: &str| muster.run(&["compare", &file(condition), "--no-probes"]);
    // One thread takes four times as long as four. On a busy machine rows are invalid, and that is said instead.
    let judged = run("row = \"thread 1x1\"\nslower_than = \"best\"\nby = \"50%\"");
    match judged.code() {
        10 => drop(judged.fails(10, &["not known of thread 1x1"])),
        _ => drop(judged.fails(11, &["failed: thread 1x1 takes 3"])),
    }
    let judged = run("row = \"thread\"\ntime_above = \"100ms\"");
    match judged.code() {
        10 => drop(judged.fails(10, &["not known of"])),
        _ => drop(judged.fails(11, &["failed: thread 1x1 takes 1"])),
    }
    let judged = run("row = \"thread 1x4\"\ntime_above = \"10s\"");
    assert!([0, 10].contains(&judged.code()), "{}", judged.stderr);
}

#[test]
fn a_file_that_is_wrong_is_refused_in_a_line() {
    let muster = Muster::new();
    let spin = plugin("loop");
    for (text, code, words) in [
        ("tasks = 4", 3, vec!["c.toml", "plugin"]),
        ("plugin = \"@\"\ntaks = 4", 3, vec!["c.toml", "taks"]),
        ("plugin = \"@\"\nslots = \"x\"", 3, vec!["c.toml: line 2, slots = \"x\"", "u32"]),
        ("plugin = \"@\"\nslots = 0", 3, vec!["slots = 0", "at least 1"]),
        ("plugin = \"@\"\nbudget = \"soon\"", 3, vec!["budget \"soon\""]),
        ("plugin = \"@\"\nmodels = [\"threads\"]", 3, vec!["model \"threads\"", "there are all"]),
        ("plugin = \"@\"\n[matrix]\niters = []", 3, vec!["matrix.iters is empty"]),
        ("plugin = \"@\"\n[matrix]\nitres = [1]", 3, vec!["c.toml: ", "itres", "did you mean iters?"]),
        ("plugin = \"@\"\nmodels = [\"gil\"]", 3, vec!["c.toml: gil 1x4 alone"]),
        (
            "plugin = \"@\"\nbaseline = \"async\"",
            3,
            vec!["baseline \"async\" is not in the matrix", "thread 1x4"],
        ),
        ("plugin = \"@\"\n[[exclude]]\nmodle = \"gil\"", 3, vec!["modle", "model"]),
        (
            "plugin = \"@\"\nmodels = [\"thread\", \"gil\"]\n[[exclude]]\nmodel = \"gil\"",
            3,
            vec!["only thread 1x4 is left"],
        ),
        ("plugin = \"@\"\n[[fail]]\nrow = \"spawn\"", 3, vec!["\"spawn\"", "not in the matrix"]),
        ("plugin = \"@\"\n[[fail]]\nby = \"much\"", 3, vec!["as in 3%"]),
        ("plugin = \"@\"\nblocks = 5\nbudget = \"1s\"", 3, vec!["blocks and budget contradict"]),
        ("plugin = \"@\"\ntasks = 5\nlines = \"x\"", 3, vec!["tasks and lines contradict"]),
        ("plugin = \"@\"\n[matrix]\niters = [1, 1]", 3, vec!["matrix.iters has 1 twice"]),
        ("plugin = \"@\"\n[[exclude]]\nmodel = \"spawn\"", 3, vec!["matches no row", "thread 1x4"]),
        ("plugin = ", 3, vec!["c.toml: line 1"]),
    ] {
        let file = muster.write("c.toml", text.replace('@', &spin));
        let finished = muster.run(&["compare", &file]).fails(code, &words);
        assert!(
            finished.stderr.lines().filter(|line| line.starts_with("error: ")).count() == 1,
            "{}",
            finished.stderr
        );
    }
    let file = written(&muster, "");
    muster.run(&["compare", &file, "-n", "4"]).fails(2, &["-n is for a plugin", "tasks"]);
    muster.run(&["compare", "nothing.toml"]).fails(3, &["cannot read nothing.toml"]);
    std::fs::create_dir(muster.path("folder.toml")).unwrap();
    muster.run(&["compare", "folder.toml"]).fails(3, &["folder.toml", "not a file"]);
    assert!(!muster.path(".muster").exists(), "nothing was measured, so nothing is kept");
}

#[test]
fn inputs_are_read_anew_for_each_run() {
    let muster = Muster::new();
    let words = plugin("wordcount");
    let lines = muster.write("lines.txt", "one two\nthree\n".repeat(50));
    let line = ["compare", &words, "--models", "thread,process", "--slots", "2", "--blocks", "5", "--json"];
    let found = muster.run(&[&line[..], &["--lines", &lines]].concat()).ok().json();
    assert_eq!(found["tasks"], 100, "{found}");
    assert_eq!(found["rows"][0]["checksum"], found["rows"][1]["checksum"], "{found}");
    assert!(found["rows"][0]["pss_peak_bytes"].as_u64().unwrap() > 0, "{found}");
    let found =
        muster.run(&[&line[..], &["--files", &lines, "--chunk", "200B", "--no-probes"]].concat()).ok().json();
    assert!(found["tasks"].as_u64().unwrap() > 2, "{found}");
    muster.run(&["compare", &words, "--lines", "-"]).fails(2, &["--lines -", "read once"]);
    muster.run(&["compare", &words, "--lines", "nowhere.txt"]).fails(3, &["nowhere.txt"]);
    muster.run(&["compare", &plugin("loop"), "--lines", &lines]).fails(2, &["take no input"]);
    muster.assert_no_temporary_left();
}

#[test]
fn a_cluster_that_is_up_is_compared_on_when_it_is_named() {
    let muster = Muster::new();
    muster.run(&["up", "-w", "2", "-t", "2", "--oversubscribe", "--name", "here"]).ok();
    let (spin, sleep) = (plugin("loop"), plugin("sleep"));
    let line = [
        "compare",
        &spin,
        "-n",
        "8",
        "--models",
        "thread,process",
        "--slots",
        "2",
        "--blocks",
        "5",
        "--json",
    ];
    let on_cluster = [&line[..], &["--cluster", "here"]].concat();
    let found = muster.run(&on_cluster).ok().json();
    assert_eq!(
        (&found["cluster"]["name"], &found["cluster"]["workers"]),
        (&"here".into(), &2.into()),
        "{found}"
    );
    for row in found["rows"].as_array().unwrap() {
        assert!(row["time_s"]["median"].as_f64().unwrap() > 0.0, "{row}");
        assert!(row["cpu_s"].is_null() && row["pss_peak_bytes"].is_null(), "{row}");
        assert_eq!(row["valid"], true, "{row}");
    }
    let jobs = muster.run(&["job", "ls", "--json"]).ok().json();
    // Those of the baseline, its twin and the other, in each block.
    let jobs = jobs["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 5 * 3, "{jobs:?}");
    assert!(jobs.iter().all(|job| job["state"] == "done"), "{jobs:?}");
    // Beside somebody else's job the numbers say nothing.
    muster.run(&["submit", &sleep, "ms=600000", "-n", "1"]).ok();
    let found = muster.run(&on_cluster).ok().json();
    assert_eq!(found["rows"][0]["invalid_because"], json!(["other jobs were on the cluster"]), "{found}");
    // What was begun on it does not go on when the command is interrupted.
    let line = ["compare", &sleep, "ms=600000", "-n", "8", "--models", "thread,process", "--cluster", "here"];
    let started = muster.start(&line);
    let running = || {
        let jobs = muster.run(&["job", "ls", "--json"]).ok().json();
        jobs["jobs"].as_array().unwrap().iter().filter(|job| job["state"] == "running").count()
    };
    assert!(fixture::wait_until(|| running() == 2), "the job of the comparison did not begin");
    started.signal(libc::SIGINT);
    assert_eq!(started.finish().code(), 130);
    assert!(fixture::wait_until(|| running() == 1), "it was not cancelled");
    muster.run(&["compare", &spin, "--cluster", "nowhere"]).fails(5, &["nowhere"]);
    muster.run(&["down", "--name", "here"]).ok();
}

#[test]
fn what_was_measured_is_shown_when_there_is_no_room_to_keep_it() {
    let muster = Muster::new();
    std::fs::create_dir(muster.path(".muster")).unwrap();
    // The samples fit, the result does not.
    let mount = "mount -t tmpfs -o size=4k none .muster && exec \"$@\"";
    let mut command = muster.program(std::path::Path::new("unshare"));
    command.args(["--mount", "--map-root-user", "sh", "-c", mount, "sh", env!("CARGO_BIN_EXE_muster")]);
    command.args(["compare", &plugin("loop"), "-n", "8", "--models", "thread,process", "--slots", "2"]);
    command.args(["--blocks", "8", "--no-probes", "--json"]);
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("unshare failed") {
        assert!(std::env::var_os("MUSTER_REQUIRE_ALL").is_none_or(|all| all != "1"), "{stderr}");
        eprintln!("SKIPPED: no file system can be mounted here: {stderr}");
        return;
    }
    assert_eq!(output.status.code(), Some(9), "{stderr}");
    assert!(stderr.contains("cannot write .muster/runs/1/") && stderr.contains("No space left"), "{stderr}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["blocks"], &found["run"]), (&8.into(), &Value::Null), "{found}");
}
