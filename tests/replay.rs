//! `muster plugin test PLUGIN --case JOB.INDEX`: a task again, alone, with all that it had; as `job why` prints it.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Finished, Muster, compile_c, has_tool, plugin};
use std::path::Path;
use std::process::Stdio;

/// In a folder whose name a shell would take apart.
fn picky(muster: &Muster) -> String {
    std::fs::create_dir_all(muster.path("my plugins")).unwrap();
    let source = include_str!("fixtures/plugins/picky.c");
    let flags = ["-std=c11", "-g", "-O0", "-Wall", "-Wextra", "-Werror"];
    compile_c(source, Path::new(&muster.path("my plugins/picky.so")), &flags);
    "my plugins/picky.so".to_owned()
}

const INPUTS: &str = "good\n-bad\n!null\nlast\n";

/// Does what a person would who pastes a line into a shell.
fn paste(muster: &Muster, line: &str) -> Finished {
    let mut shell = muster.program(Path::new("/bin/sh"));
    let muster_binary = Path::new(env!("CARGO_BIN_EXE_muster"));
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut path = muster_binary.parent().unwrap().as_os_str().to_owned();
    path.push(":");
    path.push(folders);
    shell.env("PATH", path).arg("-c").arg(line).stdin(Stdio::null());
    let output = shell.output().unwrap();
    Finished {
        status: output.status,
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The results and the commands of the failed tasks are as they were.
fn check(muster: &Muster, job: &str) {
    let known = muster.run(&["job", "why", "--json"]).ok().json();
    let commands: Vec<&str> =
        known.as_array().unwrap().iter().map(|object| object["replay"].as_str().unwrap()).collect();
    let [bad, null] = commands[..] else { panic!("{commands:?}") };
    let text = muster.run(&["job", "why"]).ok().text();
    for command in [bad, null] {
        let whole = |line: &&str| line.trim() == command;
        assert!(text.lines().any(|line| whole(&line)), "{command} is not a line of {text}");
    }
    let again = paste(muster, bad).exits(1);
    assert!(again.text().contains("refused -bad"), "{}", again.text());
    let again = paste(muster, null).exits(1);
    let words = again.text().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("segmentation fault at address 0x0") && words.contains("in follow (picky.c:"),
        "{words}"
    );
    let again = paste(muster, &format!("{null} --json")).exits(1).json();
    assert_eq!(
        (&again["ok"], &again["task"], &again["why"]["cause"]),
        (&false.into(), &2.into(), &"signal".into())
    );
    assert_eq!(again["job"].to_string(), job);
    assert_eq!(again["why"]["replay"], null);
}

#[test]
fn a_task_of_a_private_run_runs_again_alone() {
    let muster = Muster::new();
    let plugin = picky(&muster);
    muster.run(&["plugin", "test", &plugin, "--case", "1.1"]).fails(5, &["no failed run is remembered"]);
    let inputs = muster.write("inputs", INPUTS);
    muster
        .run(&["run", &plugin, "word=x y", "--lines", &inputs, "--seed", "7", "--max-attempts", "1"])
        .exits(1);
    check(&muster, "1");
    let gone = ["plugin", "test", &plugin, "--case", "last.0"];
    muster.run(&gone).fails(3, &["the input of task 0 of the last failed run is not kept"]);
    muster.run(&["plugin", "test", &plugin, "--case", "1.9"]).fails(3, &["job 1 has no task 9"]);
    muster.run(&["plugin", "test", &plugin, "--case", "2.0"]).fails(5, &["job 2"]);
    let null = fixture::plugin("null");
    muster.run(&["plugin", "test", &null, "--case", "1.1"]).fails(2, &["ran the plugin picky", "null"]);
    // Elsewhere the command names the plugin by its whole path.
    let mut elsewhere = muster.command(&["job", "why", "last.1", "--json"]);
    std::fs::create_dir(muster.path("elsewhere")).unwrap();
    let told = elsewhere.current_dir(muster.path("elsewhere")).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    let command = told["replay"].as_str().unwrap();
    assert!(command.contains(muster.path("my plugins").to_str().unwrap()), "{command}");
    muster.assert_no_process_left();
    muster.assert_no_temporary_left();
}

#[test]
fn a_task_of_a_cluster_runs_again_here() {
    let muster = Muster::new();
    let plugin = picky(&muster);
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    let inputs = muster.write("inputs", INPUTS);
    let arguments = ["submit", &plugin, "word=w", "--lines", &inputs, "--seed", "7", "--max-attempts", "1"];
    let job = muster.run(&arguments).ok().text().trim().to_owned();
    muster.run(&["job", "wait", &job]).exits(1);
    check(&muster, &job);
    let gone = muster.run(&["plugin", "test", "picky", "--case", &format!("{job}.0")]);
    gone.fails(3, &["the input of task 0 of job 1 is gone"]);
    muster.run(&["plugin", "test", "picky", "--case", "77.0"]).fails(3, &["job is 77"]);
    // Another build of the plugin is said to be one, and is what runs.
    let source = include_str!("fixtures/plugins/picky.c").replace("refused", "still refused");
    compile_c(&source, Path::new(&muster.path("my plugins/picky.so")), &["-std=c11"]);
    let again = muster.run(&["plugin", "test", &plugin, "--case", &format!("{job}.1")]).exits(1);
    assert!(again.stderr.contains("the plugin was changed since job 1"), "{}", again.stderr);
    assert!(again.text().contains("still refused -bad"), "{}", again.text());
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
}

#[test]
fn a_task_that_went_well_goes_as_well_again() {
    let muster = Muster::new();
    let chaos = plugin("chaos");
    let run = ["run", &chaos, "mode=error", "after=3", "-n", "5", "--out", "first"];
    muster.run(&run).exits(1);
    let first = String::from_utf8(muster.read("first")).unwrap();
    for index in [0, 2] {
        let again = muster.run(&["plugin", "test", &chaos, "--case", &format!("last.{index}")]).ok();
        assert_eq!(again.text().trim(), first.lines().nth(index).unwrap());
        assert!(again.stderr.contains("ended well"), "{}", again.stderr);
    }
    let json = muster.run(&["plugin", "test", &chaos, "--case", "last.2", "--json"]).ok().json();
    assert_eq!(
        (&json["ok"], &json["output"], &json["why"]),
        (&true.into(), &2.into(), &serde_json::Value::Null)
    );
}

#[test]
fn a_debugger_gets_the_process_that_calls_the_plugin() {
    let muster = Muster::new();
    let plugin = picky(&muster);
    let inputs = muster.write("inputs", INPUTS);
    muster.run(&["run", &plugin, "--lines", &inputs, "--max-attempts", "1"]).exits(1);
    let missing = ["plugin", "test", &plugin, "--case", "1.2", "--debugger", "no-such-debugger"];
    muster.run(&missing).fails(2, &["no debugger \"no-such-debugger\""]).says_no_more();
    // Any program will do that runs what stands behind --args.
    let script = muster.write("bare-debugger", "#!/bin/sh\n[ \"$1\" = --args ] && shift && exec \"$@\"\n");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let direct = muster.run(&["plugin", "test", &plugin, "--case", "1.1", "--debugger", &script]).exits(1);
    assert!(direct.stderr.contains("task 1 failed: refused -bad"), "{}", direct.stderr);
    if has_tool("gdb") {
        let text = "set debuginfod enabled off\nset pagination off\nset confirm off\nrun\nbacktrace\nquit\n";
        let commands = ["plugin", "test", &plugin, "--case", "1.2", "--debugger", "gdb"];
        let gdb = muster.run_with_input(&commands, text.as_bytes());
        let said = gdb.text();
        assert!(said.contains("SIGSEGV") && said.contains("follow (pointer=0x0)"), "{said}\n{}", gdb.stderr);
    }
    muster.assert_no_process_left();
    muster.assert_no_temporary_left();
}

#[test]
fn what_does_not_go_together_is_refused() {
    let muster = Muster::new();
    for (arguments, words) in [
        (&["--case", "3"][..], "names one task"),
        (&["--case", "x.1"], "a job is its number"),
        (&["--case", "1.1", "a=b"], "takes the parameters of its job"),
        (&["--case", "1.1", "-n", "4"], "takes tasks and inputs of its job"),
        (&["--debugger", "gdb"], "--case"),
    ] {
        muster.run(&[&["plugin", "test", "x"][..], arguments].concat()).fails(2, &[words]).says_no_more();
    }
}
