//! Bad input on the command line: one clear line, the right exit code, nothing left behind.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, plugin};

#[test]
fn unknown_commands_and_flags_get_a_suggestion() {
    let muster = Muster::new();
    muster.run(&["runn"]).fails(2, &["runn", "'run'"]);
    muster.run(&["run", "x", "--modle", "thread"]).fails(2, &["--modle", "--model"]);
    muster.run(&["job", "resluts"]).fails(2, &["results"]);
}

#[test]
fn counts_are_checked() {
    let muster = Muster::new();
    let null = plugin("null");
    for (flag, value, word) in [
        ("-n", "0", "at least 1"),
        ("-n", "-5", "whole number"),
        ("-n", "99999999999999999999", "at most"),
        ("-n", "1.5", "whole number"),
        ("-t", "0", "at least 1"),
        ("-w", "100000", "at most"),
        ("--max-attempts", "-1", "whole number"),
    ] {
        muster.run(&["run", &null, flag, value]).fails(2, &[word, value]);
    }
    muster.run(&["run", &null, "-t", "4000"]).fails(2, &["4000 threads", "--oversubscribe"]);
    muster.run(&["run", &null, "--model", "thread", "-p", "2"]).fails(2, &["--model thread", "-p 2"]);
}

#[test]
fn durations_and_sizes_need_a_unit() {
    let muster = Muster::new();
    muster.run(&["job", "wait", "--timeout", "10"]).fails(2, &["no unit", "10s"]);
    muster.run(&["run", "x", "--files", "y", "--chunk", "4"]).fails(2, &["no unit", "4MiB"]);
}

#[test]
fn parameters_are_checked_against_the_schema() {
    let muster = Muster::new();
    let primes = plugin("primes");
    muster.run(&["run", &primes, "limti=5"]).fails(2, &["limti", "limit"]);
    muster.run(&["run", &primes, "limit=many"]).fails(2, &["limit", "many", "whole number"]);
    muster.run(&["run", &primes, "limit=-1"]).fails(2, &["limit", "-1"]);
    muster.run(&["run", &primes, "limit"]).fails(2, &["key=value"]);
}

#[test]
fn the_plugin_says_what_fits_it() {
    let muster = Muster::new();
    let lines = muster.write("lines", "a\n");
    muster.run(&["run", &plugin("wordcount")]).fails(2, &["needs an input", "--lines"]);
    muster.run(&["run", &plugin("primes"), "--lines", &lines]).fails(2, &["take no input"]);
    muster.run(&["run", &plugin("null"), "--reduce"]).fails(2, &["cannot combine"]);
    muster.run(&["run", &plugin("exec"), "command=true"]).fails(2, &["how many tasks"]);
}

#[test]
fn inputs_that_cannot_be_read_are_named() {
    let muster = Muster::new();
    let wordcount = plugin("wordcount");
    muster.run(&["run", &wordcount, "--lines", "missing.txt"]).fails(3, &["missing.txt", "No such file"]);
    muster.run(&["run", &wordcount, "--files", "missing.txt"]).fails(3, &["missing.txt", "No such file"]);
    muster.run(&["run", &wordcount, "--files", "*.nothing"]).fails(3, &["*.nothing"]);
    let big = std::fs::File::create(muster.path("big")).unwrap();
    big.set_len(33 << 20).unwrap();
    muster.run(&["run", &wordcount, "--files", "big"]).fails(7, &["big", "--chunk"]);
    muster.assert_no_process_left();
}

#[test]
fn outputs_that_cannot_be_written_are_named() {
    let muster = Muster::new();
    let null = plugin("null");
    muster.run(&["run", &null, "-n", "1", "--out", "no/such/folder/file"]).fails(3, &["no/such/folder/file"]);
    muster.run(&["run", &null, "-n", "1", "--out", "-", "--json"]).fails(2, &["--json", "--out -"]);
    muster.run(&["run", &null, "-n", "10", "--out", "/dev/full"]).fails(9, &["/dev/full"]);
    muster.assert_no_process_left();
    muster.assert_no_temporary_left();
}

#[test]
fn a_cluster_that_is_not_there_is_named() {
    let muster = Muster::new();
    muster.run(&["job", "ls"]).fails(5, &["no cluster is up", "muster up"]);
    muster.run(&["submit", &plugin("null"), "-n", "1"]).fails(5, &["no cluster is up"]);
    muster.run(&["job", "ls", "--cluster", "nobody"]).fails(5, &["nobody"]);
    muster.run(&["job", "ls", "--cluster", "unix:/nowhere.sock"]).fails(5, &["/nowhere.sock"]);
    muster.run(&["job", "ls", "--cluster", "muster1:x"]).fails(2, &["incomplete"]);
    muster.run(&["run", "primes"]).fails(4, &["primes"]);
    muster.run(&["worker", "start", "--join", "muster1:127.0.0.1:1:bad:bad"]).fails(2, &["damaged"]);
}

#[test]
fn help_is_not_an_error() {
    let muster = Muster::new();
    let help = muster.run(&["--help"]).ok().text();
    assert!(help.contains("Exit codes") && help.contains("bench"), "{help}");
    muster.run(&["run", "--help"]).ok();
    assert!(muster.run(&["--version"]).ok().text().starts_with("muster "));
    for shell in ["bash", "zsh", "fish"] {
        assert!(muster.run(&["completions", shell]).ok().text().contains("muster"));
    }
}
