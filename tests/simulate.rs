//! `muster simulate` from the command line to its files: the same seed gives the same run, and bad input one line.

#![allow(clippy::unwrap_used, missing_docs)]

mod daemons;
mod fixture;

use daemons::skip_without;
use fixture::{Muster, has_tool};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Small, with something of everything: two jobs, costs of the coordinator, crashes.
const SCENARIO: &str = r#"
name = "small"
seed = 42
until = "1h"

[coordinator]
per_byte = "2us"
commit = "1ms"

[[links]]
latency = "1ms"

[[workers]]
count = 10
slots = 2

[[jobs]]
name = "first"
tasks = 2_000
time = { exp = "100ms" }

[[jobs]]
name = "second"
tasks = 500
submit_at = "2s"
time = { uniform = ["10ms", "50ms"] }

[[faults]]
kind = "executor_crash"
at = "3s"
count = 3
"#;

/// A world with the scenario in it.
fn world() -> Muster {
    let muster = Muster::new();
    muster.write("s.toml", SCENARIO);
    muster
}

fn simulate(muster: &Muster, flags: &[&str]) -> Value {
    muster.run(&[&["simulate", "s.toml", "--json"], flags].concat()).ok().json()
}

/// What must not depend on the machine.
fn lasting(mut report: Value) -> Value {
    for key in ["wall_s", "peak_rss_bytes"] {
        assert!(report.as_object_mut().unwrap().remove(key).is_some(), "{key} is not there");
    }
    report
}

#[test]
fn the_same_seed_is_the_same_run_and_another_seed_another() {
    let muster = world();
    let first = simulate(&muster, &[]);
    let again = simulate(&muster, &["--seed", "42"]);
    assert_eq!(lasting(first.clone()), lasting(again));
    let other = simulate(&muster, &["--seed", "43"]);
    assert_ne!(first["digest"], other["digest"]);
    // Within one process: the replica with the same seed.
    let runs = simulate(&muster, &["--seed", "41", "--replicas", "2"]);
    assert_eq!(runs["runs"][1]["digest"], first["digest"]);
    assert_eq!(runs["runs"][1]["makespan_s"], first["makespan_s"]);
}

#[test]
fn the_report_has_every_number_in_one_object() {
    let muster = world();
    let report = simulate(&muster, &[]);
    for key in [
        "scenario",
        "command",
        "policy",
        "seed",
        "ended",
        "makespan_s",
        "tasks",
        "ok",
        "failed",
        "unfinished",
        "throughput",
        "utilisation",
        "queue_wait_s",
        "lost",
        "lost_thread_s",
        "repeated",
        "lost_workers",
        "faults",
        "coordinator_load",
        "saturation",
        "events",
        "scheduler_inputs",
        "agent_inputs",
        "digest",
        "jobs",
        "wall_s",
        "peak_rss_bytes",
        "interrupted",
    ] {
        assert!(report.get(key).is_some_and(|value| !value.is_null()), "{key}: {report}");
    }
    assert_eq!(
        (&report["tasks"], &report["ok"], &report["seed"]),
        (&2_500.into(), &2_500.into(), &42.into())
    );
    let digest = report["digest"].as_str().unwrap();
    assert!(digest.len() == 16 && digest.bytes().all(|c| c.is_ascii_hexdigit()), "{digest}");
    let utilisation = report["utilisation"].as_f64().unwrap();
    assert!(utilisation > 0.3 && utilisation <= 1.0, "{utilisation}");
    let rate = report["ok"].as_f64().unwrap() / report["makespan_s"].as_f64().unwrap();
    assert!((report["throughput"].as_f64().unwrap() - rate).abs() < 1e-6 * rate);
    assert_eq!(report["faults"]["executor_crash"], 3, "{report}");
    assert_eq!(report["jobs"][1]["name"], "second");
    assert!(report["queue_wait_s"]["p99"].is_f64() && report["saturation"]["workers"].is_f64());
    // p95 from 200 samples on, p99 from 1,000.
    let few = simulate(&muster, &["--set", "jobs.first.tasks=100", "--set", "jobs.second.tasks=150"]);
    assert!(few["queue_wait_s"]["p95"].is_f64() && few["queue_wait_s"]["p99"].is_null(), "{few}");
}

#[test]
fn a_share_of_nobody_is_said_once() {
    let muster = world();
    let fault = "\n[[faults]]\nkind = \"straggler\"\nfactor = 2.0\nshare = 0.05\n";
    muster.write("s.toml", format!("{SCENARIO}{fault}"));
    let text = muster.run(&["simulate", "s.toml", "--set", "workers=5", "--policy", "fifo,fair"]).ok().stderr;
    assert_eq!(text.matches("share 0.05 of 5 workers is nobody: write count = 1").count(), 1, "{text}");
}

#[test]
fn people_see_the_seed_first_then_numbers_and_a_chart() {
    let muster = world();
    for columns in [80, 120] {
        let mut command = muster.command(&["simulate", "s.toml", "--set", "workers=20"]);
        let output = command.env("COLUMNS", columns.to_string()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let notes = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{notes}");
        let first = notes.lines().next().unwrap();
        assert_eq!(first, "seed 42; the same again: muster simulate s.toml --seed 42 --set workers=20");
        for words in [
            "makespan",
            "throughput",
            "utilisation, % of slots",
            "queue, tasks",
            "█",
            "second",
            "saturated at",
            " s\n",
        ] {
            assert!(text.contains(words), "{words:?} is not in {text}");
        }
        assert!(!text.contains('\x1b'), "colours where nobody sees them: {text}");
        assert!(text.lines().all(|line| line.chars().count() <= columns), "{columns}: {text}");
        assert!(text.starts_with("scenario ") && notes.trim_end() == first, "{notes}");
    }
}

/// The gap of a fault that comes again and again is that of each worker.
#[test]
fn faults_and_counts_read_well() {
    let muster = world();
    let faults = "\n[[faults]]\nkind = \"worker_crash\"\nevery = \"1m\"\nrestart = \"1s\"\n\
                  [[faults]]\nkind = \"coordinator_crash\"\nevery = \"2h\"\nrestart = \"1s\"\n";
    muster.write("often.toml", SCENARIO.to_owned() + faults);
    let text = muster.command(&["simulate", "often.toml"]).env("COLUMNS", "200").output().unwrap().stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains(" (every 1m for each of 10 workers)"), "{text}");
    assert!(text.contains("coordinator_crash 0 (every 2h), executor_crash 3, worker_crash "), "{text}");
    let text = muster.run(&["simulate", "s.toml", "--replicas", "3"]).ok().text();
    assert!(text.contains("in all runs executor_crash 9\n"), "{text}");
    let row = text.lines().find(|line| line.starts_with("workers lost")).unwrap();
    assert_eq!(row, "workers lost  0 ± 0 (0 to 0)");
    let row = text.lines().find(|line| line.starts_with("lost work")).unwrap();
    let (_, range) = row.split_once('(').unwrap();
    assert!(!range.contains('.'), "{row}");
}

/// The names between backticks in the first column of the table after `heading`; in the second, where there are three.
fn documented(text: &str, heading: &str) -> BTreeSet<String> {
    let after = text.split_once(heading).unwrap_or_else(|| panic!("{heading} is not there")).1;
    let rows = after.lines().skip_while(|line| !line.starts_with("|---"));
    let mut names = BTreeSet::new();
    for row in rows.skip(1).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let name = cells[usize::from(cells.len() == 3)];
        names.extend(name.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    names
}

#[test]
fn every_field_is_documented_and_every_documented_field_is_there() {
    let muster = world();
    let one = simulate(&muster, &[]);
    let many = simulate(&muster, &["--policy", "fifo,fair", "--sweep", "workers=10,20", "--replicas", "2"]);
    let text = std::fs::read_to_string(fixture::repository().join("docs/simulate-output.md")).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let summary = &many["summary"];
    let (point, comparison) = (&summary["points"][0], &summary["comparisons"][0]);
    for (heading, value) in [
        ("## Numbers of a run\n", &many["runs"][0]),
        ("### Times\n", &one["queue_wait_s"]),
        ("### Jobs\n", &one["jobs"][0]),
        ("### Summary\n", summary),
        ("An object in `points`:\n", point),
        ("An interval:\n", &point["makespan_s"]),
        ("An object in `comparisons`:\n", comparison),
        ("An object in `pairs`:\n", &comparison["pairs"][0]),
    ] {
        assert_eq!(keys(value), documented(&text, heading), "{heading}");
    }
    let shared = documented(&text, "## The object of `--json`\n");
    let with = |more: BTreeSet<String>| shared.union(&more).cloned().collect::<BTreeSet<_>>();
    let mut run = documented(&text, "## Numbers of a run\n");
    assert!(run.remove("set"));
    assert_eq!(keys(&one), with(run));
    assert_eq!(keys(&many), with(documented(&text, "it has those five and\n")));
    assert_eq!(keys(&one["saturation"]), ["tasks_per_s", "workers"].map(str::to_owned).into());
}

/// As with `| head -1`.
#[test]
fn nobody_may_read_the_summary() {
    let muster = world();
    let mut command = muster.command(&["simulate", "s.toml"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && notes.trim_end().lines().count() == 1, "{notes}");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = muster.command(&["simulate", "s.toml", "-o", "out"]).stdout(full).output().unwrap();
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && notes.contains("stdout") && !notes.contains("panicked"), "{notes}");
    assert!(!muster.read("out/report.json").is_empty());
}

/// Also what was so for less than a step of the series.
#[test]
fn charts_begin_with_the_start_and_hold_all_that_there_was() {
    let muster = world();
    let gone = "\n[[faults]]\nkind = \"worker_crash\"\nat = \"5s\"\n";
    muster.write("gone.toml", SCENARIO.to_owned() + gone);
    let at_once = ["--set", "workers.slots=1000", "--set", "until=2s"];
    let text = muster.run(&[&["simulate", "s.toml"], &at_once[..]].concat()).exits(1).text();
    assert!(text.contains("queue, tasks: at most 2,000\n"), "{text}");
    let text = muster.run(&["simulate", "gone.toml", "-o", "out"]).exits(1).text();
    assert!(text.contains("workers: 0 to 10\n"), "{text}");
    assert!(text.contains(" of the slots at the start\n"), "{text}");
    assert!(text.contains(" % of the time of the slots at the start\n"), "{text}");
    let svg = String::from_utf8(muster.read("out/utilisation.svg")).unwrap();
    // The corner of the first step: all ten workers, at the top of the axis.
    let workers = svg.rsplit("<polyline").next().unwrap();
    let start = workers.split("points=\"84.0,").nth(1).unwrap().split(' ').next().unwrap();
    let top = svg.rsplit("<path class=\"axis\" fill=\"none\" d=\"M84 ").next().unwrap();
    let top: f64 = top.split('V').next().unwrap().parse().unwrap();
    assert!(start.parse::<f64>().unwrap() < top + 30.0, "{start} {top}");
}

/// Tasks of the first job still run while its slots are given to the second.
#[test]
fn utilisation_above_all_slots_is_within_the_chart() {
    let muster = world();
    let longer =
        SCENARIO.replace("100ms", "20s").replace("{ uniform = [\"10ms\", \"50ms\"] }", "{ exp = \"5s\" }");
    muster.write("longer.toml", longer.replace("submit_at = \"2s\"", "submit_at = \"100s\""));
    let text = muster.run(&["simulate", "longer.toml"]).ok().text();
    let mut lines = text.lines().skip_while(|line| !line.contains("utilisation, % of slots"));
    let top = lines.nth(1).unwrap().trim_start().split('┤').next().unwrap();
    assert!(top.parse::<f64>().unwrap() > 100.0, "{text}");
}

#[test]
fn replicas_are_the_same_on_any_number_of_threads() {
    let muster = world();
    let on = |threads: &str| simulate(&muster, &["--replicas", "9", "--threads", threads]);
    let one = on("1");
    let three = on("3");
    assert_eq!(lasting(one.clone()), lasting(three));
    let seeds: Vec<u64> =
        one["runs"].as_array().unwrap().iter().map(|run| run["seed"].as_u64().unwrap()).collect();
    assert_eq!(seeds, (42..51).collect::<Vec<_>>());
    let makespan = &one["summary"]["points"][0]["makespan_s"];
    let number = |key: &str| makespan[key].as_f64().unwrap();
    assert!(number("min") <= number("mean") && number("mean") <= number("max"));
    assert!(number("low") < number("mean") && number("mean") < number("high"));
    // t(0.975; 8) = 2.306004
    let half = 2.306_004 * number("deviation") / 3.0;
    assert!((number("high") - number("mean") - half).abs() < 1e-6, "{makespan}");
    assert!(one["summary"]["method"].as_str().unwrap().contains("Student"));
    let shown = muster.run(&["simulate", "s.toml", "--replicas", "3"]).ok();
    assert!(shown.stderr.contains("seeds 42 to 44") && shown.text().contains(" ± "), "{}", shown.text());
    assert!(shown.text().contains("the first run, seed 42: "), "{}", shown.text());
}

#[test]
fn policies_are_compared_on_the_same_seeds() {
    let muster = world();
    let flags = ["--policy", "fifo+fixed:1,fifo+fixed:500", "--replicas", "5"];
    let report = simulate(&muster, &flags);
    let runs = report["runs"].as_array().unwrap();
    let seeds: Vec<u64> = runs.iter().map(|run| run["seed"].as_u64().unwrap()).collect();
    assert_eq!(seeds, [42, 43, 44, 45, 46, 42, 43, 44, 45, 46]);
    let comparison = &report["summary"]["comparisons"][0];
    // 500 tasks a lease leave most of 20 slots with nothing.
    assert_eq!(comparison["winner"], "fifo+fixed:1", "{comparison}");
    assert_eq!(comparison["pairs"][0]["within_noise"], false);
    assert!(comparison["pairs"][0]["difference_s"]["low"].as_f64().unwrap() > 0.0);
    let text = muster.run(&[&["simulate", "s.toml"], &flags[..]].concat()).ok().text();
    assert!(text.contains("fifo+fixed:1 wins: ") && text.contains("├") | text.contains("●"), "{text}");
    let once = simulate(&muster, &["--policy", "fifo+fixed:1,fifo+fixed:500"]);
    let verdict = once["summary"]["comparisons"][0]["verdict"].as_str().unwrap();
    assert!(verdict.contains("--replicas"), "{verdict}");
}

/// Long names in narrow windows: broken at their joints, nothing beyond the edge but a command to be copied.
#[test]
fn tables_fit_the_window() {
    let muster = world();
    let policies = "fifo+adaptive,fifo+adaptive+speculation,fair+factoring+speculation";
    let flags = ["simulate", "s.toml", "--policy", policies, "--replicas", "2", "--sweep", "workers=10,20"];
    for columns in [60, 80, 120] {
        let output = muster.command(&flags).env("COLUMNS", columns.to_string()).output().unwrap();
        let text = String::from_utf8([output.stderr, output.stdout].concat()).unwrap();
        let is_command = |line: &str| line.starts_with("muster simulate s.toml");
        assert!(text.lines().all(|line| is_command(line) || line.chars().count() <= columns), "{text}");
        for words in ["COORDINATOR", "DIFFERENCE", "NOISE?", "makespan against that of fifo+adaptive\n"] {
            assert!(text.contains(words), "{columns}: {words} is not in {text}");
        }
        assert_eq!(text.contains("a wider window also shows "), columns < 120, "{text}");
        for word in text.split(|c: char| !c.is_ascii_lowercase()) {
            for whole in ["adaptive", "speculation", "factoring"] {
                assert!(!word.starts_with(&whole[..3]) || word == whole, "{columns}: {word} in {text}");
            }
        }
    }
}

#[test]
fn lines_beyond_the_colours_are_named() {
    let muster = world();
    let policies: Vec<String> = (1..=10).map(|length| format!("fifo+fixed:{length}")).collect();
    simulate(&muster, &["--policy", &policies.join(","), "--sweep", "workers=5,10", "-o", "out"]);
    let svg = String::from_utf8(muster.read("out/makespan.svg")).unwrap();
    assert!(
        svg.contains("there are colours for 8 lines, missing: fifo+fixed:9; fifo+fixed:10</desc>"),
        "{svg}"
    );
    assert!(svg.contains(">makespan (seconds)") && svg.contains(">fifo+fixed:8</text>"), "{svg}");
}

#[test]
fn sweeps_run_every_combination() {
    let muster = world();
    let report =
        simulate(&muster, &["--sweep", "workers=5,20", "--sweep", "latency=1ms..100ms:3", "--replicas", "2"]);
    let runs = report["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 12);
    assert_eq!(runs[0]["set"], serde_json::json!({"workers": "5", "latency": "1ms"}));
    assert_eq!(runs[11]["set"], serde_json::json!({"workers": "20", "latency": "100ms"}));
    let points = report["summary"]["points"].as_array().unwrap();
    assert_eq!(points.len(), 6);
    let mean = |at: usize| points[at]["makespan_s"]["mean"].as_f64().unwrap();
    assert!(mean(0) > 2.0 * mean(3), "four times the workers: {} and {}", mean(0), mean(3));
}

#[test]
fn a_folder_gets_everything_and_the_scenario_in_it_runs_the_same() {
    let muster = world();
    let flags = ["--set", "workers=12", "--policy", "fifo+fixed:5", "--seed", "7", "-o", "out"];
    let report = simulate(&muster, &flags);
    let names = |folder: &str| -> BTreeSet<String> {
        let files = std::fs::read_dir(muster.path(folder)).unwrap();
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    };
    let set = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(names("out"), set(&["report.json", "scenario.toml", "metrics.txt", "utilisation.svg"]));
    let written: Value = serde_json::from_slice(&muster.read("out/report.json")).unwrap();
    assert_eq!(written, report);
    let again = muster.run(&["simulate", "out/scenario.toml", "--json"]).ok().json();
    assert_eq!(again["digest"], report["digest"]);
    assert_eq!(again["scenario"], "small");
    let flags = ["simulate", "out/scenario.toml", "--task-times", "-o", "timed"];
    muster.run(&flags).ok();
    let times = String::from_utf8(muster.read("timed/tasks.csv")).unwrap();
    assert_eq!(times.lines().next(), Some("job,index,worker,began_ns,ran_ns"));
    // What was tried again is there as often.
    assert!(times.lines().count() as u64 > report["ok"].as_u64().unwrap(), "{report}");
    // A folder that holds something is left alone.
    let refused = muster.run(&["simulate", "s.toml", "-o", "out"]);
    refused.fails(3, &["out is not empty", "-o DIR"]).says_no_more();
    std::fs::create_dir(muster.path("empty")).unwrap();
    let report = simulate(&muster, &["--replicas", "2", "--sweep", "workers=5,10", "-o", "empty"]);
    assert_eq!(
        names("empty"),
        set(&["report.json", "scenario.toml", "results.csv", "results.json", "makespan.svg"])
    );
    let rows: Value = serde_json::from_slice(&muster.read("empty/results.json")).unwrap();
    assert_eq!(rows, report["runs"]);
    let table = String::from_utf8(muster.read("empty/results.csv")).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines.len() == 5 && lines[0].starts_with("workers,policy,seed,") && lines[1].starts_with("5,"),
        "{table}"
    );
    assert!(lines.iter().all(|line| line.split(',').count() == lines[0].split(',').count()), "{table}");
    for name in ["out/utilisation.svg", "empty/makespan.svg"] {
        let svg = String::from_utf8(muster.read(name)).unwrap();
        assert!(svg.starts_with("<svg ") && svg.contains("prefers-color-scheme: dark"), "{name}");
        assert!(!svg.contains("NaN") && !svg.contains("href"), "{name} is not self-contained");
    }
}

/// Prometheus' older text format says the same with other words: whole milliseconds, and the suffix of a counter in
/// the name of its family. `promtool check metrics` reads only that.
fn as_prometheus_text(open_metrics: &str) -> String {
    let mut text = String::new();
    let mut counters = BTreeSet::new();
    for line in open_metrics.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "EOF"] => {}
            ["#", what, family, rest] => {
                if what == "TYPE" && rest == "counter" {
                    counters.insert(family);
                }
                let suffix = if counters.contains(family) { "_total" } else { "" };
                text.push_str(&format!("# {what} {family}{suffix} {rest}\n"));
            }
            _ => {
                let (sample, seconds) = line.rsplit_once(' ').unwrap();
                let millis = (seconds.parse::<f64>().unwrap() * 1e3).round();
                text.push_str(&format!("{sample} {millis:.0}\n"));
            }
        }
    }
    text
}

#[test]
fn metrics_have_their_real_names_and_prometheus_takes_them_in() {
    let muster = world();
    let report = simulate(&muster, &["-o", "out"]);
    let text = String::from_utf8(muster.read("out/metrics.txt")).unwrap();
    assert!(text.ends_with("\n# EOF\n"));
    let last = |series: &str| -> f64 {
        let line =
            text.lines().rfind(|line| line.starts_with(series)).unwrap_or_else(|| panic!("{series}: {text}"));
        line.rsplit(' ').nth(1).unwrap().parse().unwrap()
    };
    assert_eq!(last("muster_tasks_total{plugin=\"simulated\",outcome=\"ok\"}"), 2_500.0);
    assert_eq!(last("muster_queue_tasks "), 0.0);
    assert_eq!(last("muster_workers{state=\"up\"}"), 10.0);
    // Those that an executor's crash took along ran twice.
    assert!(last("muster_task_phase_seconds_count{plugin=\"simulated\",phase=\"run\"}") >= 2_500.0);
    let end = text.lines().rfind(|line| !line.starts_with('#')).unwrap().rsplit(' ').next().unwrap();
    let end: f64 = end.parse().unwrap();
    assert!((end - report["makespan_s"].as_f64().unwrap()).abs() < 0.002, "{end}");
    let points = text.lines().filter(|line| line.starts_with("muster_queue_tasks ")).count();
    assert!((100..=512).contains(&points), "{points} points");
    if skip_without(has_tool("promtool"), "promtool (Debian package prometheus)") {
        return;
    }
    let mut check = Command::new("promtool");
    check.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut check = check.spawn().unwrap();
    check.stdin.take().unwrap().write_all(as_prometheus_text(&text).as_bytes()).unwrap();
    let output = check.wait_with_output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
    let mut blocks = muster.program(Path::new("promtool"));
    blocks.args(["tsdb", "create-blocks-from", "openmetrics", "out/metrics.txt", "blocks"]);
    let output = blocks.output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success() && said.contains("BLOCK ULID"), "{said}");
    assert!(!said.contains("error"), "{said}");
}

#[test]
fn jobs_that_do_not_end_are_said() {
    let muster = world();
    let short = ["simulate", "s.toml", "--set", "until=1s", "--json"];
    let finished = muster.run(&short).exits(1);
    let report = finished.json();
    assert_eq!((&report["ended"], &report["jobs"][0]["outcome"]), (&false.into(), &Value::Null));
    for words in [
        "makespan      at least 1.00 s\n",
        "job \"first\" did not end: ",
        " of 2,000 tasks are left\n",
        "job \"second\" was never submitted: all of its 500 tasks are left\n",
        "the time was over: until is 1s\n",
    ] {
        assert!(finished.stderr.contains(words), "{words}: {}", finished.stderr);
    }
    let crash = "\n[[faults]]\nkind = \"worker_crash\"\nat = \"1s\"\n";
    muster.write("gone.toml", SCENARIO.to_owned() + crash);
    let words = "no worker is left: 10 crashed, and workers without restart stay away\n";
    let gone = muster.run(&["simulate", "gone.toml"]).exits(1);
    assert!(gone.stderr.contains(words) && !gone.stderr.contains("until"), "{}", gone.stderr);
    muster.write("left.toml", SCENARIO.to_owned() + &crash.replace("worker_crash", "leave"));
    let left = muster.run(&["simulate", "left.toml"]).exits(1);
    assert!(left.stderr.contains("no worker is left: 10 left\n"), "{}", left.stderr);
    let many = muster.run(&["simulate", "s.toml", "--set", "until=1s", "--replicas", "2"]).exits(1);
    assert!(many.stderr.contains("2 of 2 runs did not end"), "{}", many.stderr);
}

#[test]
fn a_signal_ends_it_within_a_second_with_what_there_is() {
    let muster = world();
    // Long for any machine: ten thousand million tasks of a millisecond.
    let long = ["simulate", "s.toml", "--json", "--set", "jobs.first.time.exp=1ms"];
    let one = [&long[..], &["--set", "tasks=1e10", "-o", "one"]].concat();
    let many = [&long[..], &["--sweep", "tasks=10,1e10", "--replicas", "2", "-o", "many"]].concat();
    for (arguments, signal) in [(one, libc::SIGINT), (many, libc::SIGTERM)] {
        let mut run = muster.start(&arguments);
        run.wait_for_note("the same again");
        std::thread::sleep(Duration::from_millis(1_500));
        let before = Instant::now();
        run.signal(signal);
        let finished = run.finish().exits(130);
        let took = before.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert!(finished.stderr.contains("cancelled by "), "{}", finished.stderr);
        assert_eq!(finished.json()["interrupted"], true);
    }
    let one: Value = serde_json::from_slice(&muster.read("one/report.json")).unwrap();
    assert!(one["ended"] == false && one["ok"].as_u64().unwrap() > 0, "{one}");
    let many: Value = serde_json::from_slice(&muster.read("many/report.json")).unwrap();
    assert_eq!(many["runs"].as_array().unwrap().len(), 2, "the short ones had ended");
    assert_eq!(many["summary"]["planned"], 4);
    muster.assert_no_process_left();
}

#[test]
fn bad_input_is_one_line() {
    let muster = world();
    std::fs::create_dir(muster.path("folder")).unwrap();
    muster.write("huge.toml", SCENARIO.replace("2_000", "1e12"));
    muster.write("broken.toml", "name = \n");
    muster.write("binary.toml", [0xff, 0xfe, 0x00]);
    muster.write("file", "");
    let s = "s.toml";
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&[], 2, &["<SCENARIO>"]),
        (&["missing.toml"], 3, &["error: cannot read missing.toml: No such file"]),
        (&["folder"], 3, &["folder", "Is a directory"]),
        (&["huge.toml"], 3, &["huge.toml:", "1e12"]),
        (&["broken.toml"], 3, &["broken.toml:1", "not TOML"]),
        (&["binary.toml"], 3, &["binary.toml", "UTF-8"]),
        (&[s, "--replicas", "0"], 2, &["at least 1"]),
        (&[s, "--replicas", "-1"], 2, &["whole number"]),
        (&[s, "--replicas", "NaN"], 2, &["whole number"]),
        (&[s, "--replicas", "1.5"], 2, &["whole number"]),
        (&[s, "--replicas", "100001"], 2, &["at most 100000"]),
        (&[s, "--replicas", "99999999999999999999"], 2, &["at most"]),
        (&[s, "--seed", "-1"], 2, &["whole number from 0 to 9223372036854775807"]),
        (&[s, "--seed", "9223372036854775808"], 2, &["9223372036854775807"]),
        (&[s, "--seed", "x"], 2, &["whole number"]),
        (&[s, "--seed", "9223372036854775807", "--replicas", "2"], 2, &["smaller --seed"]),
        (&[s, "--threads", "0"], 2, &["at least 1"]),
        (&[s, "--threads", "-2"], 2, &["whole number"]),
        (&[s, "--threads", "100000"], 2, &["at most 4096"]),
        (&[s, "--set", "workers"], 2, &["key=value"]),
        (&[s, "--set", "=5"], 2, &["key=value"]),
        (&[s, "--set", "workers.coutn=5"], 2, &["--set workers.coutn", "count"]),
        (&[s, "--set", "nothing=5"], 2, &["--set nothing", "unknown key"]),
        (&[s, "--set", "workers=-5"], 2, &["--set workers", "-5"]),
        (&[s, "--set", "workers=nan"], 2, &["--set workers", "nan"]),
        (&[s, "--set", "workers.speed=nan"], 2, &["--set workers.speed", "nan"]),
        (&[s, "--set", "tasks=1e12"], 2, &["--set tasks", "1e12"]),
        (&[s, "--set", "seed=1", "--seed", "2"], 2, &["--set and --seed both say seed"]),
        (&[s, "--set", "workers=1", "--sweep", "workers=2,3"], 2, &["--set and --sweep both say workers"]),
        (&[s, "--set", "workers=1", "--set", "workers=2"], 2, &["twice"]),
        (&[s, "--sweep", "workers"], 2, &["key=values"]),
        (&[s, "--sweep", "workers=1,,2"], 2, &["empty value"]),
        (&[s, "--sweep", "nothing=1,2"], 2, &["--sweep nothing", "unknown key"]),
        (&[s, "--sweep", "workers=0,5"], 2, &["--sweep workers", "count = 0"]),
        (&[s, "--sweep", "workers=1,2", "--sweep", "workers=3"], 2, &["swept twice"]),
        (&[s, "--sweep", "workers=2,2"], 2, &["twice"]),
        (&[s, "--sweep", "workers=1..1000:500", "--sweep", "tasks=1..1000:500"], 2, &["at most 10000"]),
        (&[s, "--sweep", "workers=1..1000:200", "--replicas", "1000"], 2, &["at most 100000", "--replicas"]),
        (&[s, "--policy", "fiffo"], 2, &["fiffo", "fifo"]),
        (&[s, "--policy", "fifo,"], 2, &["no policy has the word \"\""]),
        (&[s, "--policy", "fifo,fifo"], 2, &["--policy", "twice"]),
        (&[s, "--policy", "fair,fair+adaptive"], 2, &["--policy", "twice"]),
        (
            &[s, "--sweep", "policy=fair,fair+adaptive"],
            2,
            &["--sweep policy", "twice", "as fair and as fair+adaptive"],
        ),
        (&[s, "--sweep", "policy=bogus,fair"], 2, &["--sweep policy", "bogus"]),
        (&[s, "--policy", "bogus,fair"], 2, &["--policy", "bogus"]),
        (&[s, "--sweep", "workers=1,1.0"], 2, &["--sweep workers", "twice"]),
        (&[s, "--policy", "fifo,fair", "--sweep", "policy=fifo,fair"], 2, &["both say policy"]),
        (&[s, "--policy", "fifo", "--set", "policy=fair"], 2, &["both say policy"]),
        (&[s, "-o", "folder/../s.toml"], 3, &["Not a directory"]),
        (&[s, "-o", "file/x"], 3, &["Not a directory"]),
        (&[s, "-o", "."], 3, &["is not empty"]),
        (&[s, "--task-times"], 2, &["--out"]),
        (&[s, "--task-times", "-o", "new", "--replicas", "2"], 2, &["--replicas"]),
        (&["--beside", "nothing"], 3, &["nothing/report.json"]),
        (&[s, "--beside", "nothing"], 2, &["--beside"]),
        (&[], 2, &["SCENARIO"]),
        (&[s, "--replica", "2"], 2, &["--replicas"]),
        (&[s, "--repeats", "0"], 2, &["--replicas", "at least 1"]),
        (&[s, "t.toml"], 2, &["unexpected argument"]),
    ];
    for (arguments, code, words) in cases {
        let before = muster.files();
        let arguments = [&["simulate"], *arguments].concat();
        let finished = muster.run(&arguments);
        assert_eq!(finished.code(), *code, "{arguments:?}: {}", finished.stderr);
        finished.fails(*code, words).says_no_more();
        assert_eq!(muster.files(), before, "{arguments:?}");
    }
}
