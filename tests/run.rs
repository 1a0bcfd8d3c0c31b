//! `muster run` on private clusters: results, outputs, inputs, and what is left behind (nothing).

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fixture::{Muster, plugin, repository};
use serde_json::json;

/// pi(200,000), as every table of primes has it.
const PRIMES: &str = "17984";

#[test]
fn primes_are_counted_right_under_each_model() {
    let muster = Muster::new();
    let primes = plugin("primes");
    for model in [&["--model", "thread"][..], &["--model", "process", "-p", "2"], &["-p", "2", "-t", "2"]] {
        let arguments =
            [&["run", &primes, "limit=200000", "-n", "50", "--reduce", "--json", "--oversubscribe"], model]
                .concat();
        let report = muster.run(&arguments).ok().json();
        assert_eq!(report["output"], PRIMES, "{model:?}");
        assert_eq!(report["ok"], 50, "{model:?}");
        assert_eq!(report["failed"], 0);
    }
    muster.assert_no_process_left();
    muster.assert_no_temporary_left();
}

#[test]
fn a_hybrid_on_one_cpu_is_told_what_it_is() {
    let muster = Muster::new();
    let null = plugin("null");
    let hybrid = |shape: &[&str]| {
        let arguments = [&["run", &null, "-n", "1", "--model", "hybrid"], shape].concat();
        muster.run(&arguments).ok().stderr
    };
    let one = hybrid(&["-p", "1"]);
    assert!(one.contains("just as --model thread"), "{one}");
    let two = hybrid(&["-p", "2", "-t", "2", "--oversubscribe"]);
    assert!(!two.contains("note: "), "{two}");
}

#[test]
fn the_summary_is_for_people_and_stdout_for_data() {
    let muster = Muster::new();
    let done = muster.run(&["run", &plugin("primes"), "limit=200000", "--reduce"]).ok();
    assert_eq!(done.text(), "");
    assert!(done.stderr.contains(PRIMES), "{}", done.stderr);
    assert!(done.stderr.contains("cluster: private"), "{}", done.stderr);
    assert!(done.stderr.lines().all(|line| line.chars().count() <= 80), "{}", done.stderr);
}

#[test]
fn the_json_report_has_what_it_promises() {
    let muster = Muster::new();
    // Long enough for the second worker to come before it is over.
    let line = ["run", &plugin("sleep"), "ms=1", "-n", "1000", "-w", "2", "-t", "1", "--json"];
    let report = muster.run(&line).ok().json();
    for key in [
        "job",
        "plugin",
        "model",
        "workers",
        "processes",
        "threads",
        "tasks",
        "ok",
        "failed",
        "retried",
        "wall_s",
        "tasks_per_s",
        "run_s",
        "queue_s",
        "peak_pss_bytes",
        "checksum",
        "cluster",
    ] {
        assert!(report.get(key).is_some(), "{key} is missing in {report}");
    }
    for key in ["name", "version", "digest"] {
        assert!(report["plugin"][key].is_string(), "{report}");
    }
    assert_eq!(
        (&report["workers"], &report["tasks"], &report["ok"]),
        (&json!(2), &json!(1_000), &json!(1_000))
    );
}

#[test]
fn lines_come_back_in_order() {
    let muster = Muster::new();
    let count = 20_000;
    let text: String = (0..count).map(|line| format!("line {line} of many\n")).collect();
    let input = muster.write("lines", &text);
    let arguments = ["run", &plugin("wordcount"), "--lines", &input, "--out", "-", "-w", "2", "-t", "1"];
    let lines = muster.run(&arguments).ok().json_lines();
    assert_eq!(lines.len(), count);
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(line["index"], index);
        assert_eq!(line["output"], "line 1\nmany 1\nof 1\n");
    }
}

#[test]
fn results_stream_out_while_lines_come_in() {
    let muster = Muster::new();
    let mut run = muster.start(&["run", &plugin("wordcount"), "--lines", "-", "--out", "-"]);
    for (round, line) in ["alpha\n", "beta\n", "gamma\n"].iter().enumerate() {
        run.write(line.as_bytes());
        assert_eq!(run.wait_for_lines(round + 1).len(), round + 1);
    }
    run.write(b"last without newline");
    run.close_input();
    let lines = run.finish().ok().json_lines();
    assert_eq!(lines[3], json!({"index": 3, "output": "last 1\nnewline 1\nwithout 1\n"}));
}

#[test]
fn wordcount_equals_a_coreutils_pipeline() {
    let muster = Muster::new();
    let sources = repository().join("plugins");
    let pattern = format!("{}/**/*.rs", sources.display());
    let pipeline = "find \"$0\" -name '*.rs' -not -path '*/.*' -type f -print0 | xargs -0 cat | tr -cs A-Za-z '\\n' \
                    | tr A-Z a-z | grep . | LC_ALL=C sort | uniq -c | awk '{print $2, $1}'";
    let expected =
        std::process::Command::new("sh").args(["-c", pipeline]).arg(&sources).output().unwrap().stdout;
    assert!(expected.len() > 1000);
    let wordcount = plugin("wordcount");
    for shape in [
        &["-t", "2"][..],
        &["-p", "2"],
        &["-p", "2", "-t", "2", "--oversubscribe"],
        &["-w", "2", "-t", "1", "--chunk", "1KiB"],
    ] {
        let arguments = [&["run", &wordcount, "--files", &pattern, "--reduce", "--out", "-"], shape].concat();
        let counted = muster.run(&arguments).ok().stdout;
        assert!(counted == expected, "{shape:?} counts other words");
    }
}

#[test]
fn outputs_go_to_a_file_per_task() {
    let muster = Muster::new();
    muster.write("in/a.txt", "one two");
    muster.write("in/b.txt", "three");
    let (input, output) =
        (muster.path("in").display().to_string(), format!("{}/", muster.path("out").display()));
    muster.run(&["run", &plugin("wordcount"), "--files", &input, "--out", &output]).ok();
    assert_eq!(muster.read("out/0-a.txt"), b"one 1\ntwo 1\n");
    assert_eq!(muster.read("out/1-b.txt"), b"three 1\n");
}

#[test]
fn failed_tasks_are_lines_and_an_exit_code() {
    let muster = Muster::new();
    let arguments = ["run", &plugin("exec"), "command=test {#} != 2", "-n", "4", "--out", "-"];
    let done = muster.run(&arguments).exits(1);
    let lines = done.json_lines();
    assert_eq!(lines.len(), 4);
    assert!(lines[2]["error"].is_string() && lines[2].get("output").is_none(), "{}", lines[2]);
    assert!(done.stderr.contains("1 failed"), "{}", done.stderr);
}

/// Every byte that a command writes comes out, whether or not it is text.
#[test]
fn bytes_of_commands_survive() {
    let muster = Muster::new();
    let bytes: Vec<u8> = (0..=255).collect();
    muster.write("in/a.bin", &bytes);
    muster.write("in/b.txt", "gr\u{fc}n\n");
    muster.run(&["run", &plugin("exec"), "command=cat", "--files", "in", "--out", "out/"]).ok();
    let output = |name: &str| serde_json::from_slice::<serde_json::Value>(&muster.read(name)).unwrap();
    let (binary, text) = (output("out/0-a.bin"), output("out/1-b.txt"));
    assert_eq!(STANDARD.decode(binary["stdout_base64"].as_str().unwrap()).unwrap(), bytes);
    assert!(binary.get("stdout").is_none(), "{binary}");
    assert_eq!(text, json!({"stdout": "gr\u{fc}n\n", "stderr": "", "exit": 0}));
}

#[test]
fn the_same_seed_gives_the_same_checksum() {
    let muster = Muster::new();
    let primes = plugin("primes");
    let checksum = |shape: &[&str]| {
        let arguments = [&["run", &primes, "limit=100000", "-n", "40", "--json"], shape].concat();
        muster.run(&arguments).ok().json()["checksum"].clone()
    };
    assert_eq!(checksum(&["-t", "1"]), checksum(&["-w", "2", "-t", "1"]));
}

#[test]
fn ctrl_c_keeps_the_results_so_far() {
    let muster = Muster::new();
    let mut run = muster.start(&["run", &plugin("sleep"), "ms=20", "-n", "100000", "--out", "-"]);
    run.wait_for_lines(3);
    run.signal(libc::SIGINT);
    let done = run.finish().exits(130);
    let how = done.stderr.lines().find(|line| line.starts_with("cancelled by Ctrl-C: ")).unwrap();
    assert!(how.contains(" stopped when asked") && how.ends_with("; the results so far were kept"), "{how}");
    assert!(done.json_lines().len() >= 3);
    muster.assert_no_process_left();
    muster.assert_no_temporary_left();
}

/// Nothing is said to be kept that was not, and the signal has its own name.
#[test]
fn a_run_without_outputs_keeps_none() {
    let muster = Muster::new();
    for (signal, name) in [(libc::SIGINT, "Ctrl-C"), (libc::SIGTERM, "SIGTERM"), (libc::SIGHUP, "SIGHUP")] {
        let started = muster.path(name);
        let command = format!("command=echo > {}; sleep 1000", started.display());
        let run = muster.start(&["run", &plugin("exec"), &command, "-n", "1"]);
        assert!(fixture::wait_until(|| started.exists()));
        run.signal(signal);
        let done = run.finish().exits(130);
        assert!(
            done.stderr.contains(&format!("cancelled by {name}: 1 task stopped when asked\n")),
            "{}",
            done.stderr
        );
        assert!(!done.stderr.contains("kept"), "{}", done.stderr);
    }
}

#[test]
fn what_tasks_started_ends_with_a_cancelled_run() {
    let muster = Muster::new();
    let started = muster.path("started");
    let command = format!("command=echo >> {}; setsid sleep 1000 & sleep 1000", started.display());
    let run = muster.start(&["run", &plugin("exec"), &command, "-n", "2"]);
    let lines = || std::fs::read_to_string(&started).unwrap_or_default().lines().count();
    assert!(
        fixture::wait_until(|| lines() == 2 && muster.processes().len() >= 8),
        "{:?}",
        muster.processes()
    );
    run.signal(libc::SIGINT);
    run.finish().exits(130);
    assert_eq!(muster.processes(), []);
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let muster = Muster::new();
    let started = muster.path("started");
    let command = format!("command=echo > {}; sleep 1000", started.display());
    let run = muster.start(&["run", &plugin("exec"), &command, "-n", "1", "--out", "-"]);
    assert!(fixture::wait_until(|| started.exists()));
    run.signal(libc::SIGINT);
    run.signal(libc::SIGTERM);
    run.finish().exits(130);
    assert_eq!(muster.processes(), []);
    muster.assert_no_temporary_left();
}

#[test]
fn a_reader_that_leaves_cancels_the_job() {
    let muster = Muster::new();
    let script = "\"$0\" run \"$1\" ms=1 -n 1000000 --out - | head -n 3; echo \"${PIPESTATUS[0]}\" >&2";
    let mut command = muster.program(std::path::Path::new("bash"));
    command.args(["-c", script, env!("CARGO_BIN_EXE_muster"), &plugin("sleep")]);
    let done = fixture::Started::new(command).finish().ok();
    assert_eq!(done.text().lines().count(), 3);
    let errors = done.stderr.lines().filter(|line| line.starts_with("error: ")).collect::<Vec<_>>();
    let [error] = errors[..] else { panic!("one error line is wanted: {}", done.stderr) };
    assert!(error.contains("nobody reads stdout any more: job 1 is cancelled with "), "{error}");
    assert!(error.ends_with(" of 1000000 tasks done"), "{error}");
    assert!(done.stderr.ends_with("\n9\n"), "{}", done.stderr);
    muster.assert_no_process_left();
}

#[test]
fn a_reader_that_leaves_after_the_last_output_is_fine() {
    let muster = Muster::new();
    let script = "set -o pipefail; \"$0\" run \"$1\" -n 3 --out - | head -n 3";
    let mut command = muster.program(std::path::Path::new("bash"));
    command.args(["-c", script, env!("CARGO_BIN_EXE_muster"), &plugin("null")]);
    let done = fixture::Started::new(command).finish().ok();
    assert_eq!(done.text().lines().count(), 3);
    assert!(!done.stderr.contains("error"), "{}", done.stderr);
}

#[test]
fn outputs_are_not_written_over_inputs() {
    let muster = Muster::new();
    let input = muster.write("in/lines", "one\ntwo\n");
    let link = muster.path("link").display().to_string();
    std::fs::hard_link(&input, &link).unwrap();
    let folder = muster.path("in").display().to_string();
    let wordcount = plugin("wordcount");
    for (flag, inputs, out) in [
        ("--lines", &input, &input),
        ("--lines", &input, &link),
        ("--files", &input, &input),
        ("--files", &folder, &link),
    ] {
        let run = muster.run(&["run", &wordcount, flag, inputs, "--out", out]);
        run.fails(2, &["is the file of the input", &input, out]).says_no_more();
        assert_eq!(muster.read("in/lines"), b"one\ntwo\n");
    }
    muster.run(&["run", &wordcount, "--lines", "/dev/null", "--out", "/dev/null"]).ok();
}

#[test]
fn a_file_keeps_what_is_in_it_until_there_are_outputs() {
    let muster = Muster::new();
    let out = muster.write("out", "from the last run");
    let (null, wordcount) = (plugin("null"), plugin("wordcount"));
    muster.run(&["run", &null, "-n", "1", "--out", &out, "--state", "/proc/x"]);
    assert_eq!(muster.read("out"), b"from the last run");
    muster.run(&["run", &null, "-n", "1", "--out", "new", "--state", "/proc/x"]);
    assert!(!muster.path("new").exists());
    muster.run(&["run", &plugin("exec"), "command= ", "-n", "1", "--out", &out]).exits(3);
    assert_eq!(muster.read("out"), b"from the last run");
    for reduce in [&[][..], &["--reduce"]] {
        muster.write("out", "from the last run");
        let empty = ["run", &wordcount, "--lines", "/dev/null", "--out", &out];
        muster.run(&[&empty[..], reduce].concat()).ok();
        assert_eq!(muster.read("out"), b"", "a job without tasks has no outputs");
    }
}

#[test]
fn outputs_that_cannot_be_written_cancel_the_job() {
    let muster = Muster::new();
    let arguments = ["run", &plugin("sleep"), "ms=20", "-n", "100000", "--out", "/dev/full"];
    let words =
        ["cannot write /dev/full: No space left", "hint: job 1 is cancelled with ", "of 100000 tasks done"];
    muster.run(&arguments).fails(9, &words);
    muster.assert_no_process_left();
}

#[test]
fn a_killed_run_leaves_no_process() {
    let muster = Muster::new();
    let mut run =
        muster.start(&["run", &plugin("sleep"), "ms=20", "-n", "100000", "--out", "-", "-w", "2", "-t", "1"]);
    run.wait_for_lines(1);
    assert!(muster.processes().len() >= 3, "{:?}", muster.processes());
    run.signal(libc::SIGKILL);
    assert_eq!(run.finish().code(), -1);
    muster.assert_no_process_left();
    // What it could not remove is removed by the next one.
    muster.run(&["run", &plugin("null"), "-n", "1"]).ok();
    muster.assert_no_temporary_left();
}

#[test]
fn how_all_workers_ended_is_said() {
    let muster = Muster::new();
    let started = muster.path("started");
    let command = format!("command=echo > {}; sleep 1000", started.display());
    let run = muster.start(&["run", &plugin("exec"), &command, "-n", "1"]);
    assert!(fixture::wait_until(|| started.exists()));
    let worker = muster.processes().into_iter().find(|(_, line)| line.contains("worker start")).unwrap().0;
    muster.signal(worker, libc::SIGKILL);
    let said = run.finish().fails(5, &["the worker of the private cluster ended: SIGKILL", "memory"]).stderr;
    assert!(!said.contains("above"), "{said}");
    // A worker that ends by itself says why.
    let mut command = muster.command(&["run", &plugin("null"), "-n", "1"]);
    command.env("MUSTER_CACHE", "/proc/nowhere");
    let said = fixture::Started::new(command).finish().exits(5).stderr;
    let mut lines = said.lines().rev();
    assert_eq!(lines.next(), Some("hint: why is said above"), "{said}");
    assert_eq!(lines.next(), Some("error: the worker of the private cluster ended"), "{said}");
    // Above, but the worker may have said it before or after muster said what cluster this is.
    assert!(lines.any(|line| line.contains("MUSTER_CACHE")), "{said}");
    muster.assert_no_process_left();
}

#[test]
fn explain_says_what_runs_and_where_the_time_went() {
    let muster = Muster::new();
    let done = muster.run(&["run", &plugin("primes"), "--explain"]).ok();
    for word in ["digest", "slots", "leases", "queue", "dispatch", "report", "idle", "try"] {
        assert!(done.stderr.contains(word), "{word} is missing in {}", done.stderr);
    }
    for (name, flags, words) in [
        ("primes", &["-t", "1"][..], "thread: 1 executor x 1 thread on each worker"),
        ("primes", &["-p", "2"], "process: 2 executors x 1 thread on each worker"),
        ("sleep", &["--model", "async", "-t", "1"], "up to 64 tasks in flight on each thread"),
        (
            "primes",
            &["--model", "async", "-t", "1"],
            "64 threads that stand in for tasks in flight: the plugin has no",
        ),
        ("primes", &["--model", "gil", "-t", "1"], "tasks take turns, 1 lock in each executor"),
    ] {
        let run = ["run", &plugin(name), "-n", "2", "--explain", "--oversubscribe"];
        let said = muster.run(&[&run[..], flags].concat()).ok().stderr;
        let before = said.split("\njob ").next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(before.contains(words), "{words:?}: {said}");
    }
}

#[test]
fn a_plugin_says_which_models_are_for_it() {
    let muster = Muster::new();
    for (name, words) in [
        ("sleep", ["models thread, process, hybrid, spawn, async, gil", "async yes: "]),
        ("primes", ["models thread, process, hybrid, spawn, async, gil", "async no: "]),
    ] {
        let info = muster.run(&["plugin", "info", &plugin(name)]).ok().text();
        let info = info.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.iter().all(|words| info.contains(words)), "{info}");
    }
}

/// The coordinator never sees the inputs: what is wrong with them is said, not that none came.
#[test]
fn an_input_that_is_too_long_is_named() {
    let muster = Muster::new();
    let line = muster.write("line", vec![b'x'; (32 << 20) + 1]);
    let exec = plugin("exec");
    let words = ["line 1 of", "has more than 33554432 bytes"];
    muster.run(&["run", &exec, "command=cat", "--lines", &line]).fails(7, &words);
    let words = ["at most 33554432"];
    muster.run(&["run", &exec, "command=cat", "--files", &line, "--chunk", "4MiB"]).fails(7, &words);
    muster.assert_no_process_left();
}

/// A task that fails has worked as well.
#[test]
fn failed_tasks_count_as_work() {
    let muster = Muster::new();
    let arguments = ["run", &plugin("exec"), "command=sleep 0.2; exit 3", "-n", "12", "-t", "1", "--json"];
    let report = muster.run(&arguments).exits(1).json();
    assert_eq!(report["failed"], 12);
    let (busy, mean) = (report["busy_share"].as_f64().unwrap(), report["run_s"]["mean"].as_f64().unwrap());
    assert!(busy > 0.5, "{report}");
    assert!((0.2..2.0).contains(&mean), "{report}");
    assert_eq!(report["run_s"]["samples"], 12);
}
