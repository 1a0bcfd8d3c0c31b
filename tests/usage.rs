//! Bad input, part 2: the command line. One clear line, the right exit code, nothing left behind.
//!
//! | item of issue 1 | test |
//! |---|---|
//! | unknown command or flag, with a suggestion | `unknown_commands_and_flags_get_a_suggestion` |
//! | 0, negative and huge counts | `counts_are_whole_and_within_their_limits`, `shapes_are_bounded`, `rates_are_tasks_by_time_and_for_one_worker` |
//! | durations without unit | `durations_and_sizes_need_a_unit` |
//! | unknown or badly typed parameter, schema named | `parameters_are_checked_against_the_schema` |
//! | coordinator not running | `a_cluster_that_is_not_there_is_named` |
//! | port in use | `a_port_in_use_is_named` |
//! | stdout closed | `a_closed_stdout_is_fine_and_a_full_one_is_not`, `a_coordinator_needs_no_stdout`; in the middle of a stream: `tests/run.rs` |
//!
//! Part 1, plugin files, is `tests/bad_plugins.rs`; part 3, the wire, `coordinator/tests/wire.rs`.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Finished, Muster, Started, plugin};
use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

/// Runs a command that must be refused before it starts anything.
#[track_caller]
fn refused(muster: &Muster, arguments: &[&str], code: i32, words: &[&str]) {
    let before = muster.files();
    muster.run(arguments).fails(code, words).says_no_more();
    assert_eq!(muster.processes(), [], "{arguments:?}");
    assert_eq!(muster.files(), before, "{arguments:?}");
}

#[test]
fn unknown_commands_and_flags_get_a_suggestion() {
    let muster = Muster::new();
    for (arguments, words) in [
        (&["runn"][..], ["'runn'", "'run'"]),
        (&["wrker", "ls"], ["'wrker'", "'worker'"]),
        (&["job", "resluts"], ["'resluts'", "'results'"]),
        (&["plugin", "chek", "x"], ["'chek'", "'check'"]),
        (&["worker", "lst"], ["'lst'", "'ls'"]),
        (&["coordinator", "strt"], ["'strt'", "'start'"]),
        (&["run", "x", "--modle", "thread"], ["'--modle'", "'--model'"]),
        (&["run", "x", "--reduec"], ["'--reduec'", "'--reduce'"]),
        (&["up", "--worker", "2"], ["'--worker'", "'--workers'"]),
        (&["job", "wait", "--timout", "1s"], ["'--timout'", "'--timeout'"]),
        (&["coordinator", "start", "--lisen", "x"], ["'--lisen'", "'--listen'"]),
        (&["worker", "start", "--jion", "x"], ["'--jion'", "'--join'"]),
        (&["run", "x", "--model", "threads"], ["'threads'", "'thread'"]),
    ] {
        refused(&muster, arguments, 2, &words);
    }
}

#[test]
fn rates_are_tasks_by_time_and_for_one_worker() {
    let muster = Muster::new();
    let null = plugin("null");
    for (flags, words) in [
        (&["--rate", "200"][..], &["200", "as in 200/s"][..]),
        (&["--rate", "5/day"], &["5/day", "as in 200/s"]),
        (&["--rate", "0/s"], &["0/s", "above 0"]),
        (&["--rate", "-3/min"], &["-3/min", "above 0"]),
        (&["--rate", "NaN/s"], &["NaN/s", "as in 200/s"]),
        (&["--rate", "2e6/s"], &["2e6/s", "at most 1000000/s"]),
        (&["--arrivals", "poisson"], &["--rate"]),
        (&["--rate", "1/s", "--arrivals", "often"], &["often", "poisson"]),
    ] {
        for command in ["run", "submit"] {
            refused(&muster, &[&[command, &null], flags].concat(), 2, words);
        }
    }
    let wide = ["run", &null, "--rate", "1/s", "-w", "2"];
    refused(&muster, &wide, 2, &["--rate is for one worker, and -w 2 asks for more", "-p and -t"]);
    let scenario = muster.write("scenario.toml", "workers = [{ count = 1 }]\njobs = [{ tasks = 1 }]\n");
    for command in ["emulate", "simulate"] {
        refused(&muster, &[command, &scenario, "--rate", "5/s"], 2, &["--rate"]);
    }
}

#[test]
fn counts_are_whole_and_within_their_limits() {
    let muster = Muster::new();
    let null = plugin("null");
    let run = ["run", &null];
    let counts: &[(&[&str], &str)] = &[
        (&run, "-n"),
        (&run, "-w"),
        (&run, "-p"),
        (&run, "-t"),
        (&run, "--max-attempts"),
        (&["submit", &null], "--max-attempts"),
        (&run, "--weight"),
        (&["submit", &null], "-n"),
        (&["up"], "-w"),
        (&["up"], "-p"),
        (&["up"], "-t"),
        (&["job", "ls"], "--limit"),
        (&["job", "results"], "--tail"),
        (&["job", "logs"], "--tail"),
        (&["bench", "overhead"], "-n"),
        (&["bench", "overhead"], "-w"),
        (&["bench", "overhead"], "-t"),
    ];
    for &(command, flag) in counts {
        for (value, word) in [
            ("0", "at least 1"),
            ("-5", "whole number"),
            ("1.5", "whole number"),
            ("many", "whole number"),
            ("", "whole number"),
            ("10000000000000", "at most"),
            ("99999999999999999999", "at most"),
        ] {
            refused(&muster, &[command, &[flag, value]].concat(), 2, &[word, value]);
        }
    }
    for (command, flag) in [(&run[..], "--seed"), (&["job", "results"], "--from")] {
        for value in ["-1", "0.5", "99999999999999999999"] {
            refused(&muster, &[command, &[flag, value]].concat(), 2, &["whole number", value]);
        }
    }
    for value in ["0", "-1", "100000"] {
        refused(
            &muster,
            &["worker", "start", "--connect", "unix:/x", "--slots", value],
            2,
            &["1..=4096", value],
        );
    }
    for (value, words) in [
        ("crash", ["CLASS=N", "crash"]),
        ("crash=0", ["at least 1", "crash=0"]),
        ("crash=1001", ["at most", "crash=1001"]),
        ("crashed=2", ["crashed", "transient, crash, panic, timeout, memory"]),
        ("panic=2,", ["CLASS=N", "--retry"]),
        ("panic=2,panic=3", ["panic", "twice"]),
    ] {
        refused(&muster, &[&run[..], &["--retry", value]].concat(), 2, &words);
    }
    for value in ["0s", "25h", "-1s", "5", "soon"] {
        refused(&muster, &[&run[..], &["--backoff", value]].concat(), 2, &[value]);
    }
    for value in ["-1", "0.5", "99999999999999999999"] {
        refused(&muster, &["job", "retry", "1", "--index", value], 2, &["whole number", value]);
    }
    for job in ["0", "18446744073709551616"] {
        refused(&muster, &["job", "info", job], 2, &[job, "a job is its number"]);
    }
    refused(&muster, &[&run[..], &["--priority", "99999999999"]].concat(), 2, &["99999999999"]);
}

#[test]
fn limits_are_sizes_times_and_counts_within_bounds() {
    let muster = Muster::new();
    let null = plugin("null");
    for (flag, value, words) in [
        ("--timeout", "10", &["10s"][..]),
        ("--timeout", "0s", &["at least 1ms"]),
        ("--timeout", "-1s", &["negative"]),
        ("--timeout", "9000h", &["at most 8760h"]),
        ("--grace", "0.5ms", &["at least 1ms"]),
        ("--grace", "soon", &["soon"]),
        ("--mem", "200", &["200MiB"]),
        ("--mem", "0B", &["at least 1B"]),
        ("--mem", "1MiB", &["at least 4 MiB"]),
        ("--mem", "lots", &["lots"]),
        ("--output-max", "1GiB", &["at most 48 MiB"]),
        ("--output-max", "-4KiB", &["negative"]),
        ("--log-max", "2GiB", &["at most 1 GiB"]),
        ("--open-files", "3", &["at least 32"]),
        ("--open-files", "many", &["whole number"]),
        ("--procs", "0", &["at least 1"]),
        ("--procs", "5000000", &["at most 4194304"]),
    ] {
        for command in ["run", "submit"] {
            refused(&muster, &[command, &null, "-n", "1", flag, value], 2, &[words, &[flag]].concat());
        }
    }
}

#[test]
fn an_emulated_worker_needs_times_sizes_and_speeds_that_make_sense() {
    let muster = Muster::new();
    for (flags, words) in [
        (&["--emulate-latency", "20"][..], &["--emulate-latency 20", "20ms"][..]),
        (&["--emulate-latency", "-1ms"], &["--emulate-latency -1ms"]),
        (&["--emulate-jitter", "1h"], &["--emulate-jitter 1h", "2s"]),
        (
            &["--emulate-latency", "1s", "--emulate-jitter", "1100ms"],
            &["--emulate-jitter 1100ms", "together"],
        ),
        (&["--emulate-bandwidth", "fast"], &["--emulate-bandwidth fast", "a number"]),
        (&["--emulate-seed", "x"], &["--emulate-seed x"]),
        (&["--emulate-speed", "0"], &["--emulate-speed 0", "0.001 to 1"]),
        (&["--emulate-speed", "-0.5"], &["--emulate-speed -0.5"]),
        (&["--emulate-cut", "1s", "--emulate-start", "0"], &["--emulate-cut 1s", "AT+LENGTH"]),
        (&["--emulate-cut", "1s+1s:sideways", "--emulate-start", "0"], &["sideways", "to-worker"]),
        (&["--emulate-cut", "1s+1s"], &["--emulate-cut 1s+1s", "--emulate-start"]),
        (&["--emulate-start", "0"], &["--emulate-start 0", "--emulate-cut"]),
        (&["--emulate-cut", "1s+1s", "--emulate-start", "soon"], &["--emulate-start soon"]),
        (&["--emulate-speed"], &["a value is required", "--emulate-speed"]),
    ] {
        let start = ["worker", "start", "--connect", "unix:/nowhere"];
        refused(&muster, &[&start[..], flags].concat(), 2, words);
    }
}

#[test]
fn shapes_are_bounded() {
    let muster = Muster::new();
    let null = plugin("null");
    let run = |flags: &[&str], words: &[&str]| refused(&muster, &[&["run", &null], flags].concat(), 2, words);
    run(&["-t", "4000"], &["4000 threads", "--oversubscribe"]);
    run(&["-p", "4096", "-t", "4096", "--oversubscribe"], &["16777216 threads", "at most 4096"]);
    run(&["--model", "thread", "-p", "2"], &["--model thread", "-p 2"]);
    run(&["--model", "process", "-t", "2"], &["--model process", "-t 2"]);
    refused(
        &muster,
        &["up", "-p", "4096", "-t", "2", "--oversubscribe"],
        2,
        &["8192 threads", "at most 4096"],
    );
}

#[test]
fn flags_go_with_their_model() {
    let muster = Muster::new();
    // What it names is never looked at.
    for command in ["run", "submit"] {
        for (flags, words) in [
            (
                &["--model", "gil", "-p", "2"][..],
                &["--model gil has one process", "-p 2", "--model hybrid --gil"][..],
            ),
            (&["--model", "spawn", "-t", "2"], &["--model spawn has one thread in each process", "-t 2"]),
            (&["--gil-domains", "2"], &["--gil-domains", "add --gil"]),
            (&["--gil-switch", "2ms", "--model", "async"], &["--gil-switch", "add --gil"]),
            (&["--gil", "--gil-switch", "0s"], &["--gil-switch 0", "at least 1us"]),
            (&["--in-flight", "8"], &["--in-flight", "--model async"]),
            (&["--in-flight", "8", "--model", "gil"], &["--in-flight", "--model async"]),
            (&["-t", "2", "--procs", "2"], &["--procs 2", "2 task threads and one more", "--procs 3"]),
            (
                &["--model", "spawn", "--procs", "1"],
                &["--procs 1", "1 task thread and one more", "--procs 2"],
            ),
        ] {
            refused(&muster, &[&[command, "not-there", "-n", "1"], flags].concat(), 2, words);
        }
    }
    refused(
        &muster,
        &["run", "not-there", "-w", "1", "-p", "1", "-t", "3", "--oversubscribe", "--procs", "3"],
        2,
        &["--procs 3", "3 task threads"],
    );
}

/// Where no control groups can be made, a private cluster cannot keep `--procs`.
#[test]
fn what_cannot_be_kept_is_refused_at_once() {
    // SAFETY: it takes nothing.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("SKIPPED: only root can become somebody who may not make control groups");
        return;
    }
    let muster = Muster::new();
    let mut command = muster.command(&["run", "not-there", "--cluster", "private", "--procs", "100"]);
    command.uid(65_534).gid(65_534).current_dir("/");
    Started::new(command)
        .finish()
        .fails(2, &["--procs 100 needs control groups", "Delegate=yes"])
        .says_no_more();
}

#[test]
fn durations_and_sizes_need_a_unit() {
    let muster = Muster::new();
    let null = plugin("null");
    for command in [&["job", "wait", "--timeout"][..], &["plugin", "check", &null, "--timeout"]] {
        for (value, words) in [
            ("10", ["no unit", "10s"]),
            ("0", ["no unit", "0s"]),
            ("10 parsecs", ["unknown unit", "parsecs"]),
            ("-1s", ["is negative", "-1s"]),
            ("5000000000000000h", ["at most", "8760h"]),
        ] {
            refused(&muster, &[command, &[value]].concat(), 2, &words);
        }
    }
    for (value, words) in
        [("10", ["no unit", "10s"]), ("-1s", ["is negative", "-1s"]), ("2ms", ["1s to 60min", "2ms"])]
    {
        refused(&muster, &["coordinator", "start", "--lease", value], 2, &words);
    }
    for (flags, words) in [
        (&["--role", "viewer", "--ttl", "10"][..], &["no unit", "10s"][..]),
        (&["--role", "viewer", "--ttl", "1ms"], &["at least 1s, or none"]),
        (&["--role", "viewer", "--uses", "0"], &["from 1 to", "or any"]),
        (&["--role", "viewer", "--uses", "-1"], &["from 1 to", "or any"]),
        (&["--role", "root"], &["no role `root`", "submitter"]),
        (&["--role", "viewer,"], &["no role ``"]),
        (&[], &["--role"]),
    ] {
        refused(&muster, &[&["token", "new"], flags].concat(), 2, words);
    }
    refused(&muster, &["token", "revoke", "xyz"], 2, &["12 hex digits", "muster token ls"]);
    refused(&muster, &["coordinator", "start", "--certificate-life", "1s"], 2, &["5s to 365d"]);
    let start = ["coordinator", "start", "--listen", "none", "--http", "127.0.0.1:0"];
    let (short, open) = (muster.write("short", "0123"), muster.write("open", "0123456789abcdef"));
    std::fs::set_permissions(&short, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    for (flags, words) in [
        (
            &["--page-token", "/nowhere/token"][..],
            &["--page-token", "no file /nowhere/token", "openssl rand"][..],
        ),
        (&["--metrics-token", "/nowhere/token"], &["--metrics-token", "no file /nowhere/token"]),
        (&["--page-token", &short], &["--page-token", &short, "16 to 256 letters"]),
        (&["--page-token", &open], &["--page-token", &open, "chmod 600"]),
        (&["--no-page", "--page-token", &short], &["--no-page", "--page-token"]),
    ] {
        muster.run(&[&start[..], flags].concat()).fails(2, words);
    }
    for command in [&["run", &null][..], &["up"], &["coordinator", "start"]] {
        for (value, words) in [
            ("fiar", ["\"fiar\"", "did you mean fair?"]),
            ("shortest", ["\"shortest\"", "fixed:N, guided, factoring or adaptive[:TIME]; speculation"]),
            ("fifo+random", ["fifo and random", "same kind"]),
            ("fixed:0", ["\"fixed:0\"", "from 1 to 16777215"]),
            ("adaptive:9", ["\"adaptive:9\"", "1ms to 60s"]),
        ] {
            refused(&muster, &[command, &["--policy", value]].concat(), 2, &words);
        }
    }
    for (name, shown) in [("../x", "`../x`"), ("", "``"), ("a/b", "`a/b`"), ("a\nb", "`a\\nb`")] {
        refused(
            &muster,
            &["coordinator", "start", "--name", name],
            2,
            &[shown, "cannot be a cluster's name"],
        );
    }
    for (value, words) in [
        ("4", ["no unit", "4MiB"]),
        ("4MIB", ["unknown unit", "MIB"]),
        ("0B", ["at least 1B", "0B"]),
        ("99999999999GiB", ["too large", "99999999999GiB"]),
    ] {
        refused(&muster, &["run", "x", "--files", "y", "--chunk", value], 2, &words);
    }
}

#[test]
fn parameters_are_checked_against_the_schema() {
    const INTEGER: &str = "it must be a whole number from 0 to";
    let muster = Muster::new();
    let primes = plugin("primes");
    for (parameter, words) in [
        ("limti=5", &["limti", "limit"][..]),
        ("colour=red", &["colour", "limit"]),
        ("limit=many", &["\"many\"", INTEGER]),
        ("limit=1.5", &["\"1.5\"", INTEGER]),
        ("limit=-1", &["\"-1\"", INTEGER]),
        ("limit=99999999999999999999999", &["\"99999999999999999999999\"", INTEGER]),
        ("limit=", &["\"\"", INTEGER]),
        ("limit", &["limit", "key=value"]),
        ("10", &["10", "--trace=10"]),
        ("=5", &["=5", "key=value"]),
    ] {
        refused(&muster, &["run", &primes, parameter], 2, words);
    }
    refused(&muster, &["run", &primes, "limit=5", "limit=6"], 2, &["limit", "twice"]);
    refused(
        &muster,
        &["run", &plugin("sleep"), "dist=often"],
        2,
        &["often", "parameter dist", "it must be one of"],
    );
}

#[test]
fn the_plugin_says_what_fits_it() {
    let muster = Muster::new();
    let lines = muster.write("lines", "a\n");
    refused(&muster, &["run", &plugin("wordcount")], 2, &["needs an input", "--lines"]);
    refused(&muster, &["run", &plugin("primes"), "--lines", &lines], 2, &["take no input"]);
    refused(&muster, &["run", &plugin("null"), "--reduce"], 2, &["cannot combine"]);
    refused(&muster, &["run", &plugin("exec"), "command=true"], 2, &["how many tasks"]);
}

#[test]
fn only_files_are_cut() {
    let muster = Muster::new();
    let lines = muster.write("lines", "a\n");
    for command in ["run", "submit"] {
        for (others, named) in
            [(&[][..], "--files"), (&["-n", "3"], "--tasks"), (&["--lines", &lines], "--lines")]
        {
            let flags = [&[command, "x", "--chunk", "4MiB"], others].concat();
            refused(&muster, &flags, 2, &[named]);
        }
    }
}

#[test]
fn inputs_that_cannot_be_read_are_named() {
    let muster = Muster::new();
    let wordcount = plugin("wordcount");
    muster.run(&["run", &wordcount, "--lines", "missing.txt"]).fails(3, &["missing.txt", "No such file"]);
    muster.run(&["run", &wordcount, "--files", "missing.txt"]).fails(3, &["missing.txt", "No such file"]);
    muster.run(&["run", &wordcount, "--files", "*.nothing"]).fails(3, &["*.nothing"]);
    std::fs::create_dir(muster.path("empty")).unwrap();
    muster.run(&["run", &wordcount, "--lines", "empty"]).fails(3, &["empty is a folder", "--files empty"]);
    muster.run(&["run", &wordcount, "--files", "empty"]).fails(3, &["no file in empty"]);
    let big = File::create(muster.path("big")).unwrap();
    big.set_len(33 << 20).unwrap();
    muster.run(&["run", &wordcount, "--files", "big"]).fails(7, &["big", "--chunk"]);
    muster.assert_no_process_left();
}

#[test]
fn a_folder_that_is_no_plugin_is_named() {
    let muster = Muster::new();
    std::fs::create_dir_all(muster.path("data/null")).unwrap();
    let in_data = |arguments: &[&str]| {
        let mut command = muster.command(arguments);
        command.current_dir(muster.path("data"));
        Started::new(command).finish()
    };
    let no_project = "is not a plugin's folder: it has neither Cargo.toml nor C or C++ sources";
    let commands =
        [&["run"][..], &["submit"], &["plugin", "info"], &["plugin", "check"], &["plugin", "build"]];
    let all_say = || {
        for command in commands {
            for folder in [".", "..", "null", "./null"] {
                in_data(&[command, &[folder]].concat()).fails(4, &[&format!("error: {folder} {no_project}")]);
            }
        }
    };
    all_say();
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    all_say();
    // A name that the cluster knows is that plugin also where a folder has the same name.
    muster.run(&["plugin", "push", &plugin("null")]).ok();
    in_data(&["run", "null", "-n", "1"]).ok();
    muster.run(&["down"]).ok();
}

#[test]
fn a_folder_without_plugin_files_is_named() {
    let muster = Muster::new();
    std::fs::create_dir(muster.path("empty")).unwrap();
    let words = ["no plugin file (*.so) in empty"];
    let quiet = ["--listen", "none", "--http", "none"];
    muster.run(&[&["coordinator", "start", "--plugins", "empty"], &quiet[..]].concat()).fails(4, &words);
    muster.run(&["up", "-w", "1", "--plugins", "empty"]).fails(4, &words).says_no_more();
    muster.assert_no_process_left();
}

/// A wrong input is not found out after a long build.
#[test]
fn inputs_are_looked_at_before_the_plugin_is_built() {
    let muster = Muster::new();
    let broken = muster.write("broken/src/plugin.c", "#error this does not compile\n");
    let folder = std::path::Path::new(&broken).parent().unwrap().parent().unwrap().to_str().unwrap();
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    for command in ["run", "submit"] {
        for flag in ["--lines", "--files"] {
            muster
                .run(&[command, folder, flag, "missing"])
                .fails(3, &["missing: No such file"])
                .says_no_more();
        }
    }
    for (arguments, code, word) in [
        (&["run", "--out", "/no/such/x"][..], 3, "/no/such/x"),
        (&["run", "--cluster", "private", "--state", "/proc/x"], 9, "/proc/x"),
        (&["run", "--cluster", "private", "-p", "64", "-t", "64"], 2, "64x64"),
        (&["run", "--cluster", "unix:/no.sock"], 5, "/no.sock"),
        (&["submit", "--cluster", "unix:/no.sock"], 5, "/no.sock"),
        (&["submit", "--model", "thread", "-p", "2"], 2, "-p"),
    ] {
        muster
            .run(&[&[arguments[0], folder, "-n", "1"], &arguments[1..]].concat())
            .fails(code, &[word])
            .says_no_more();
    }
    muster.run(&["run", folder, "-n", "1", "-w", "2"]).fails(2, &["-w", "default"]).says_no_more();
    muster.run(&["down"]).ok();
}

/// It would be an empty word for every task.
#[test]
fn a_command_that_wants_an_input_is_told_that_there_is_none() {
    let muster = Muster::new();
    let exec = plugin("exec");
    let done = muster.run(&["run", &exec, "command=echo {}", "-n", "1", "--out", "-"]).exits(1);
    assert!(
        done.json_lines()[0]["error"].as_str().unwrap().contains("--lines or --files"),
        "{}",
        done.text()
    );
    let lines = muster.write("lines", "\na\n");
    let done = muster.run(&["run", &exec, "command=echo {}", "--lines", &lines, "--out", "-"]).ok();
    assert_eq!(done.json_lines()[0]["output"]["stdout"], "\n", "an empty line is an input");
}

#[test]
fn outputs_that_cannot_be_written_are_named() {
    let muster = Muster::new();
    let null = plugin("null");
    muster
        .run(&["run", &null, "-n", "1", "--out", "no/such/folder/file"])
        .fails(3, &["no/such/folder/file", "mkdir -p no/such/folder"]);
    muster.run(&["run", &null, "-n", "1", "--out", "-", "--json"]).fails(2, &["--json", "--out -"]);
    muster.run(&["run", &null, "-n", "1", "--out", "x.png"]).fails(2, &["x.png", "--reduce"]);
    muster.run(&["run", &null, "-n", "10", "--out", "/dev/full"]).fails(9, &["/dev/full"]);
    muster.assert_no_process_left();
    muster.assert_no_temporary_left();
}

#[test]
fn a_cluster_that_is_not_there_is_named() {
    let muster = Muster::new();
    let null = plugin("null");
    let commands: &[&[&str]] = &[
        &["job", "ls"],
        &["job", "info"],
        &["job", "wait"],
        &["job", "cancel"],
        &["job", "results"],
        &["worker", "ls"],
        &["worker", "drain", "worker-1"],
        &["plugin", "ls"],
        &["plugin", "rm", "null"],
        &["plugin", "info", "null"],
        &["plugin", "push", &null],
        &["submit", &null, "-n", "1"],
    ];
    for command in commands {
        refused(&muster, command, 5, &["no cluster is up", "muster up"]);
        for (cluster, code, words) in [
            ("nobody", 5, ["nobody", "muster up --name nobody"]),
            ("unix:/nowhere.sock", 5, ["/nowhere.sock", "muster coordinator start --socket /nowhere.sock"]),
            ("muster1:x", 2, ["join string", "incomplete"]),
            ("", 2, ["--cluster", "is empty"]),
        ] {
            refused(&muster, &[command, &["--cluster", cluster][..]].concat(), code, &words);
        }
    }
    refused(
        &muster,
        &["plugin", "info", "null"],
        5,
        &["there is no file or folder null, and no cluster is up"],
    );
    refused(&muster, &["job", "logs"], 5, &["no cluster is up", "muster job why"]);
    refused(&muster, &["down"], 5, &["no cluster", "default"]);
    for command in [
        &["up", "--plugins", "/nowhere"][..],
        &["coordinator", "start", "--listen", "none", "--plugins", "/nowhere"],
    ] {
        muster.run(command).fails(4, &["/nowhere", "No such file"]);
    }
    refused(&muster, &["run", "primes"], 4, &["no plugin", "primes", "the path of a plugin file"]);
    refused(&muster, &["run", "./primes"], 4, &["no plugin", "./primes", "the path of a plugin file"]);
    refused(&muster, &["worker", "start", "--join", "muster1:127.0.0.1:1:bad:bad"], 2, &["damaged"]);
    refused(&muster, &["worker", "start", "--join", "nobody"], 2, &["nobody", "join string"]);
    let missing = ["join file ./missing", "No such file", "unix:./missing"];
    refused(&muster, &["worker", "start", "--trust", "any", "--join", "./missing"], 2, &missing);
    refused(&muster, &["worker", "start", "--cache-size", "-1"], 2, &["--cache-size", "-1"]);
    refused(&muster, &["worker", "start"], 2, &["--join", "MUSTER_JOIN", "--connect unix:PATH"]);
    refused(
        &muster,
        &["worker", "start", "--connect", "/no.sock"],
        2,
        &["hint: a coordinator's socket is given as unix:/no.sock"],
    );
    let file = muster.write("file", "");
    for command in [&["up"][..], &["coordinator", "start", "--listen", "none"]] {
        muster.run(&[command, &["--state", &file]].concat()).fails(9, &[&file, "folder"]);
    }
}

/// What is left of a join string when its coordinator has ended.
#[test]
fn a_coordinator_that_ended_is_named() {
    let muster = Muster::new();
    let flags = ["--listen", "127.0.0.1:0", "--advertise", "127.0.0.1", "--http", "none"];
    let mut coordinator = muster.start(&[&["coordinator", "start"], &flags[..]].concat());
    let join = coordinator.wait_for_lines(1).remove(0);
    coordinator.signal(libc::SIGTERM);
    coordinator.finish().ok();
    let address = join.trim_start_matches("muster1:").rsplitn(3, ':').last().unwrap();
    for command in [&["job", "ls", "--cluster", &join][..], &["run", &plugin("null"), "--cluster", &join]] {
        let said = muster
            .run(command)
            .fails(5, &[address, "no coordinator is running", "muster coordinator start"])
            .says_no_more();
        assert!(!said.stderr.contains(&join), "the join string is a secret");
    }
}

#[test]
fn addresses_and_hosts_are_looked_at_first() {
    let muster = Muster::new();
    let start = ["coordinator", "start"];
    for (flags, words) in [
        (&["--listen", "foo"][..], &["'foo'", "--listen", "HOST:PORT", "for example"]),
        (&["--listen", "none", "--http", "0.0.0.0:80000"], &["80000", "--http", "HOST:PORT", "65535"]),
        (
            &["--listen", "none", "--advertise", "foo:99"],
            &["'foo:99'", "--advertise", "without a port", "--listen"],
        ),
        (
            &["--listen", "none", "--http-host", "foo:99"],
            &["'foo:99'", "--http-host", "without a port", "name"],
        ),
    ] {
        refused(&muster, &[&start[..], flags].concat(), 2, words);
    }
    refused(&muster, &["up", "--http", "foo"], 2, &["--http", "HOST:PORT"]);
    muster.write("afile", "");
    let start = ["coordinator", "start", "--listen", "none", "--http", "none", "--runs", "afile"];
    refused(&muster, &start, 2, &["--runs afile is a file", ".muster/runs"]);
}

#[test]
fn levels_and_grants_that_are_none_are_named() {
    let muster = Muster::new();
    let worker = ["worker", "start", "--connect", "unix:/nowhere"];
    let (run, up) = (["run", "null"], ["up"]);
    for start in [&worker[..], &run, &up] {
        let wanted = ["'strict'", "--sandbox", "none, limits or standard"];
        refused(&muster, &[start, &["--sandbox", "strict"]].concat(), 2, &wanted);
        for grant in ["files", "read:data", "write:/a/../b", "env:A=B", ""] {
            refused(&muster, &[start, &["--allow", grant]].concat(), 2, &["--allow", grant]);
        }
    }
}

#[test]
fn a_port_in_use_is_named() {
    let muster = Muster::new();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let in_use = |finished: Finished| {
        let said = finished.fails(5, &[&taken, "in use"]).says_no_more().stderr;
        assert!(!said.contains("os error"), "{said}");
    };
    let coordinator = ["coordinator", "start", "--listen"];
    in_use(muster.run(&[&coordinator[..], &[&taken, "--http", "none"]].concat()));
    in_use(muster.run(&[&coordinator[..], &["none", "--http", &taken]].concat()));
    in_use(muster.run(&["up", "--http", &taken]));
    assert_eq!(muster.processes(), []);
    let sockets =
        || muster.files().into_iter().filter(|path| path.extension().is_some_and(|it| it == "sock"));
    assert_eq!(sockets().count(), 0, "{:?}", muster.files());
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    let mut connect = std::ffi::OsString::from("unix:");
    connect.push(sockets().next().unwrap());
    let worker = ["worker", "start", "--connect", connect.to_str().unwrap(), "--http", &taken];
    in_use(muster.run(&worker));
    in_use(muster.run(&[&worker[..], &["--detach"]].concat()));
    assert_eq!(muster.processes().len(), 2, "{:?}", muster.processes());
    muster.run(&["down"]).ok();
}

/// Commands that write to stdout, on the cluster that is up.
const WRITERS: &[&[&str]] = &[
    &["--help"],
    &["run", "--help"],
    &["--version"],
    &["completions", "bash"],
    &["plugin", "ls"],
    &["plugin", "ls", "--json"],
    &["plugin", "info", "null"],
    &["job", "ls"],
    &["job", "info"],
    &["job", "wait", "--json"],
    &["job", "results"],
    &["worker", "ls"],
    &["up", "--json"],
    &["submit", "null", "-n", "1"],
    &["run", "null", "-n", "1", "--out", "-"],
    &["run", "null", "-n", "1", "--json"],
];

#[test]
fn a_closed_stdout_is_fine_and_a_full_one_is_not() {
    let muster = Muster::new();
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    muster.run(&["run", &plugin("null"), "-n", "1"]).ok();
    muster.run(&["submit", "null", "-n", "10"]).ok();
    for &arguments in WRITERS {
        let to = |stdout: Stdio| Started::with_stdout(muster.command(arguments), stdout).finish();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let quiet = |finished: Finished| {
            let stderr = finished.ok().stderr;
            assert!(!stderr.contains("error") && !stderr.contains("panicked"), "{arguments:?}: {stderr}");
        };
        quiet(to(writer.into()));
        let mut closed = muster.command(arguments);
        // SAFETY: between fork and exec it only closes a descriptor.
        unsafe {
            closed.pre_exec(|| {
                libc::close(libc::STDOUT_FILENO);
                Ok(())
            });
        }
        quiet(Started::new(closed).finish());
        to(File::options().write(true).open("/dev/full").unwrap().into())
            .fails(9, &["stdout", "No space left"]);
    }
    muster.run(&["down"]).ok();
}

/// The join string has no reader; the access file is enough for commands on this machine.
#[test]
fn a_coordinator_needs_no_stdout() {
    let muster = Muster::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let flags =
        ["coordinator", "start", "--listen", "127.0.0.1:0", "--advertise", "127.0.0.1", "--http", "none"];
    let mut coordinator = Started::with_stdout(muster.command(&flags), writer.into());
    coordinator.wait_for_note("coordinator is up");
    assert!(fixture::wait_until(|| muster.run(&["job", "ls"]).code() == 0));
    coordinator.signal(libc::SIGTERM);
    coordinator.finish().ok();
}

#[test]
fn a_folder_for_temporary_files_is_not_made() {
    let muster = Muster::new();
    let nowhere = muster.path("no/where");
    let arguments = ["run", &plugin("null"), "-n", "1"];
    let with_tmpdir = |folder: &std::path::Path| {
        let mut command = muster.command(&arguments);
        command.env("TMPDIR", folder);
        Started::new(command).finish()
    };
    with_tmpdir(&nowhere).fails(9, &["no folder", nowhere.to_str().unwrap(), "TMPDIR"]).says_no_more();
    assert!(!muster.path("no").exists());
    with_tmpdir(std::path::Path::new("")).ok();
    assert!(!muster.files().iter().any(|path| path.to_string_lossy().contains("muster-private")));
}

#[test]
fn help_is_not_an_error() {
    let muster = Muster::new();
    let help = |arguments: &[&str]| {
        let text = muster.run(arguments).ok().text();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for (arguments, words) in [
        (&["--help"][..], "Exit codes"),
        (&["--help"], "bench"),
        (&["--help"], "jobs and results are kept for the next `up`"),
        (&["run", "--help"], "a folder that exists, or a path that ends in /"),
        (&["run", "--help"], "a line that is longer is a task by itself"),
        (&["--help"], "MUSTER_JOIN"),
        (&["job", "info", "--help"], "[default: last]"),
        (&["job", "wait", "--help"], "[default: last]"),
        (&["job", "cancel", "--help"], "[default: last]"),
        (&["job", "results", "--help"], "[default: last]"),
        (&["plugin", "build", "--help"], "[default: .]"),
        (&["run", "--help"], "Workers of the private cluster (default: 1)"),
        (&["coordinator", "start", "--help"], "keeps its tasks [default: 10s]"),
        (&["run", "--help"], "unix:PATH, or `private`"),
    ] {
        let text = help(arguments);
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
    for command in [&["submit"][..], &["job", "ls"], &["worker", "ls"], &["plugin", "push"]] {
        let text = help(&[command, &["--help"]].concat());
        assert!(text.contains("or unix:PATH") && !text.contains("`private`"), "{text}");
    }
    assert!(help(&["--version"]).starts_with("muster "));
    for shell in ["bash", "zsh", "fish"] {
        assert!(help(&["completions", shell]).contains("muster"));
    }
}
