//! The plugin `python`: what functions get and give, in the executor and beside it, what failing, crashing and endless ones
//! cost, and that people learn which interpreter it is.

#![allow(clippy::print_stderr, clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, plugin, python, wait_until};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;

const MODES: [&str; 2] = ["mode=embedded", "mode=child"];
const THREADS: &[&str] = &["--model", "thread", "-t", "2"];
const PROCESSES: &[&str] = &["--model", "process", "-p", "2"];

/// A world with the functions in it; `None`: there is no Python that can be embedded.
fn world() -> Option<Muster> {
    python()?;
    let muster = Muster::new();
    muster.write("tasks.py", include_str!("fixtures/python/tasks.py"));
    Some(muster)
}

/// Arguments of a run of a function of that file.
fn arguments(function: &str, mode: &str, more: &[&str]) -> Vec<String> {
    let function = format!("function={function}");
    let run = ["run", &plugin("python"), "file=tasks.py", &function, mode, "--oversubscribe", "--out", "-"];
    run.iter().chain(more).map(|&word| word.to_owned()).collect()
}

/// The output of each task, or why it failed.
fn outputs(lines: &[Value]) -> Vec<Value> {
    lines.iter().map(|line| line.get("output").or(line.get("error")).unwrap().clone()).collect()
}

#[test]
fn functions_get_index_and_item_and_give_json() {
    let Some(muster) = world() else { return };
    muster.write("lines", "1\n\"\u{e4}\"\n");
    let inputs: &[&str] = &["--lines", "lines"];
    for mode in MODES {
        let run = |function: &str, more: &[&str]| {
            let done = muster.run(&arguments(function, mode, &[more, THREADS].concat())).ok();
            outputs(&done.json_lines())
        };
        let square = |n: u64| json!({"square": n * n, "none": null, "text": "\u{e4}"});
        assert_eq!(run("task", &["-n", "3"]), [0, 1, 2].map(square), "{mode}");
        assert_eq!(run("pair", &["-n", "2"]), [json!([0, null]), json!([1, null])]);
        assert_eq!(run("pair", inputs), [json!([0, "1"]), json!([1, "\"\u{e4}\""])]);
        assert_eq!(run("pair", &[inputs, &["items=json"]].concat()), [json!([0, 1]), json!([1, "\u{e4}"])]);
        assert_eq!(
            run("item_only", &[inputs, &["items=bytes"]].concat()),
            ["b'1'", r#"b'"\xc3\xa4"'"#].map(Value::from)
        );
        assert_eq!(run("nothing", &["-n", "1"]), ["nothing"]);
        assert_eq!(run("later", &["-n", "2"]), [0, 1]);
    }
}

#[test]
fn code_is_the_body_of_a_function() {
    let Some(muster) = world() else { return };
    let run = |code: &str| {
        let code = format!("code={code}");
        muster.run(&["run", &plugin("python"), &code, "-n", "2", "--out", "-"])
    };
    assert_eq!(outputs(&run("index + 10").ok().json_lines()), [10, 11]);
    let loops = "total = 0\nfor i in range(5):\n    total += i * index\ntotal";
    assert_eq!(outputs(&run(loops).ok().json_lines()), [0, 10]);
    assert_eq!(
        outputs(&run("import math\nif index: return math.pi > 3\n").ok().json_lines()),
        [json!(null), json!(true)]
    );
    run("x =").fails(3, &["the code", "SyntaxError", "line 1"]);
    run("").fails(3, &["it is empty"]);
    let plain = muster.run(&["run", &plugin("python"), "-n", "2", "--out", "-"]).ok().json_lines();
    assert_eq!(outputs(&plain), [0, 499_999_500_000_u64], "what it does when nothing is said");
}

#[test]
fn failures_read_alike_wherever_the_interpreter_is() {
    let Some(muster) = world() else { return };
    for (function, words) in [
        ("fails", &["ValueError: no 0 (", "tasks.py, line ", ", in inner: raise ValueError(f"][..]),
        (
            "deep_in_a_library",
            &["JSONDecodeError: ", "called by ", "tasks.py, line ", "in deep_in_a_library"],
        ),
        ("exits", &["SystemExit: 3", "tasks.py", "a task ends with return"]),
        ("no_json", &["the result is no JSON: set", "{1, 2}"]),
    ] {
        let texts = MODES.map(|mode| {
            let done = muster.run(&arguments(function, mode, &["-n", "1"])).exits(1);
            done.json_lines()[0]["error"].as_str().unwrap().to_owned()
        });
        assert_eq!(texts[0], texts[1]);
        for word in words {
            assert!(texts[0].contains(word), "{function}: {word:?} is not in {:?}", texts[0]);
        }
    }
}

#[test]
fn threads_share_globals_and_executors_do_not() {
    let Some(muster) = world() else { return };
    for mode in MODES {
        let counts = |function: &str, shape: &[&str]| {
            let done = muster.run(&arguments(function, mode, &[&["-n", "12"], shape].concat())).ok();
            let mut counts: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
            for output in outputs(&done.json_lines()) {
                assert_eq!(output[2], "tasks", "the file is a module");
                counts.entry(output[0].as_u64().unwrap()).or_default().insert(output[1].as_u64().unwrap());
            }
            counts
        };
        let shared = counts("count_up", THREADS);
        assert_eq!(shared.len(), 1, "{mode}: one interpreter per executor: {shared:?}");
        // Each adds, and waits before it looks: so some see what others have added meanwhile, up to all twelve.
        assert_eq!(shared.values().next().unwrap().last(), Some(&12), "{mode}: {shared:?}");
        let apart = counts("count_apart", PROCESSES);
        for name in muster.files().iter().filter(|path| path.to_string_lossy().contains("/here-")) {
            std::fs::remove_file(name).unwrap();
        }
        assert_eq!(apart.len(), 2, "{mode}: {apart:?}");
        let sum: u64 = apart.values().map(|seen| *seen.last().unwrap()).sum();
        assert_eq!(sum, 12, "{mode}: each counts its own: {apart:?}");
    }
}

#[test]
fn a_crash_costs_its_task_and_no_other() {
    let Some(muster) = world() else { return };
    for mode in MODES {
        for (function, words) in [("aborts", "SIGABRT"), ("segfaults", "SIGSEGV"), ("leaves", "9")] {
            for shape in [THREADS, PROCESSES] {
                let done = muster.run(&arguments(function, mode, &[&["-n", "30"], shape].concat())).exits(1);
                let found = outputs(&done.json_lines());
                assert_eq!(found.len(), 30);
                for (index, output) in found.iter().enumerate() {
                    match index {
                        7 => assert!(output.as_str().unwrap().contains(words), "{mode} {function}: {output}"),
                        _ => assert_eq!(*output, index, "{mode} {function} {shape:?}"),
                    }
                }
            }
        }
    }
    muster.assert_no_process_left();
}

#[test]
fn endless_tasks_stop_when_asked_and_those_that_wait_in_c_with_their_executor() {
    let Some(muster) = world() else { return };
    muster.run(&["up", "-w", "1", "-t", "4", "--oversubscribe"]).ok();
    for mode in MODES {
        for (function, rung) in [("spins", "asked"), ("sleeps", "terminated")] {
            for shape in [THREADS, PROCESSES] {
                let function = format!("function={function}");
                let submit = [
                    "submit",
                    &plugin("python"),
                    "file=tasks.py",
                    &function,
                    mode,
                    "-n",
                    "2",
                    "--grace",
                    "3s",
                ];
                let job = muster.run(&[&submit[..], shape].concat()).ok().text();
                let begun = [0, 1].map(|index| muster.path(&format!("begun-{index}")));
                assert!(wait_until(|| begun.iter().all(|path| path.exists())), "{mode} {function}");
                let report = muster.run(&["job", "cancel", job.trim(), "--json"]).ok().json();
                assert_eq!(report["stopped"][rung], 2, "{mode} {function} {shape:?}: {report}");
                begun.iter().for_each(|path| std::fs::remove_file(path).unwrap());
            }
        }
    }
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
}

/// The lock of CPython and that of `--gil` are two, which nobody may hold while waiting for the other.
#[test]
fn two_locks_do_not_wait_for_each_other() {
    let Some(muster) = world() else { return };
    for mode in MODES {
        let gil = [
            "code=sum(i * index for i in range(300_000))",
            "--model",
            "gil",
            "-t",
            "4",
            "--gil-switch",
            "1ms",
        ];
        let run = ["run", &plugin("python"), mode, "-n", "16", "--oversubscribe", "--out", "-"];
        let done = muster.run(&[&run[..], &gil].concat()).ok();
        let sums: Vec<u64> = (0..16).map(|index| index * 44_999_850_000).collect();
        assert_eq!(outputs(&done.json_lines()), sums, "{mode}");
    }
}

#[test]
fn people_learn_which_interpreter_it_is() {
    let Some(muster) = world() else { return };
    let says = |mode: &str, words: &str| {
        let done = muster.run(&arguments("prints", mode, &["-n", "1"])).ok();
        assert!(
            done.stderr.contains("] CPython 3.") && done.stderr.contains(words),
            "{mode}: {}",
            done.stderr
        );
        assert!(done.stderr.contains("] printed 0\n"), "{}", done.stderr);
    };
    says("mode=embedded", ", embedded: /");
    says("mode=child", ", a child process: /");
    says("mode=auto", ", embedded: /");
}

/// A Python that says of itself that it has no shared library.
#[test]
fn without_a_library_it_is_a_child_and_says_so() {
    let Some(muster) = world() else { return };
    let real = python().unwrap();
    let script = format!("#!/bin/sh\n{real} \"$@\" | sed 's/\"library\": \"[^\"]*\"/\"library\": null/'\n");
    let path = muster.write("python", script);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    let python = format!("python={path}");
    let done = muster.run(&arguments("task", "mode=auto", &["-n", "1", &python])).ok();
    for words in ["a child process: ", "because it was built without a shared library"] {
        assert!(done.stderr.contains(words), "{}", done.stderr);
    }
    muster
        .run(&arguments("task", "mode=embedded", &["-n", "1", &python]))
        .fails(3, &["cannot be embedded", "without a shared library", "mode=child"]);
}

#[test]
fn what_cannot_run_fails_the_job_in_one_line() {
    let Some(muster) = world() else { return };
    let here = muster.path("").canonicalize().unwrap();
    let here = here.to_str().unwrap();
    let run = |more: &[&str]| muster.run(&[&["run", &plugin("python"), "-n", "1"], more].concat());
    run(&["file=none.py"]).fails(3, &["file=none.py", here, "No such file"]);
    run(&["file=tasks.py", "function=none"]).fails(3, &["no function none", "task, pair", "tasks.py"]);
    run(&["python=/nowhere/python"]).fails(3, &["python=/nowhere/python is not on this machine"]);
    run(&["python=/bin/false"]).fails(3, &["python=/bin/false is no Python"]);
    run(&["mode=both"]).fails(2, &["mode", "embedded"]);
    muster.write("broken.py", "import sys\nsys.exit('not today')\n");
    for mode in MODES {
        run(&["file=broken.py", mode]).fails(3, &["broken.py", "SystemExit: not today"]);
    }
    let mut command = muster.command(&["run", &plugin("python"), "-n", "1"]);
    command.env("PATH", "/nowhere");
    fixture::Started::new(command)
        .finish()
        .fails(3, &["no Python on this machine", "/nowhere", "python=PATH"]);
}
