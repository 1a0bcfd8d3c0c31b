//! What operators see: `/metrics` of coordinator and workers are clean Prometheus text without labels that grow, and a
//! Prometheus with the configuration of deploy/ scrapes them.
//!
//! With `MUSTER_CHECK_DASHBOARDS` set to a program (see `.ci/dashboards`) the dashboards are checked, too: it is called with
//! that Prometheus' URL and the files.

#![allow(clippy::unwrap_used, missing_docs)]

mod daemons;
mod fixture;
mod monitoring;

use daemons::skip_without;
use fixture::page::{assert_clean, get};
use fixture::plugin;
use monitoring::{Cluster, Prometheus, deploy, has};
use std::io::Write as _;
use std::process::Command;

/// Labels whose values are as many as there is work; a time series each would drown any Prometheus.
const FORBIDDEN_LABELS: [&str; 8] = ["job", "task", "thread", "pid", "tid", "lease", "index", "id"];

/// The workers of each cluster.
const WORKERS: [&str; 2] = ["w1", "w2"];

/// Two thousand tasks of less than a tenth of a millisecond.
fn run_job(cluster: &Cluster) {
    let report = cluster.run(&[&plugin("loop"), "iters=100000", "-n", "2000"]).ok().json();
    assert_eq!(report["ok"], 2_000, "{report}");
}

/// Two tasks of a plugin with metrics of its own.
fn write_some(cluster: &Cluster) {
    let report = cluster.run(&[&plugin("disk"), "size=65536", "-n", "2"]).ok().json();
    assert_eq!(report["ok"], 2, "{report}");
}

/// `kill -9` of the executor of the first worker.
fn kill_an_executor(cluster: &Cluster) {
    let worker = cluster.daemons[1].id();
    let executors = std::fs::read_dir(format!("/proc/{worker}/task")).unwrap().flat_map(|thread| {
        let children = std::fs::read_to_string(thread.unwrap().path().join("children")).unwrap();
        children.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<i32>>()
    });
    let executors: Vec<i32> = executors.collect();
    assert_eq!(executors.len(), 1, "one executor stays warm");
    // SAFETY: kill takes numbers only.
    assert_eq!(unsafe { libc::kill(executors[0], libc::SIGKILL) }, 0);
}

/// The names of the labels in a line of Prometheus text.
fn labels(line: &str) -> Vec<&str> {
    let Some((_, rest)) = line.split_once('{') else { return Vec::new() };
    let mut names = Vec::new();
    let mut rest = rest;
    while let Some((name, value)) = rest.split_once("=\"") {
        names.push(name.trim_start_matches(','));
        let mut escaped = false;
        let end = value.find(|c| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        });
        rest = &value[end.unwrap() + 1..];
    }
    names
}

fn assert_label_names(address: &str, page: &str) {
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        for label in labels(line) {
            assert!(!FORBIDDEN_LABELS.contains(&label), "label {label} at {address}: {line}");
        }
    }
}

#[test]
fn pages_are_clean_and_no_label_grows_with_the_work() {
    let cluster = Cluster::start(&WORKERS);
    // Once before anything ran, too: a family without series must not be half there.
    let before = cluster.pages(WORKERS.len());
    run_job(&cluster);
    let after = cluster.pages(WORKERS.len());
    for (address, page) in before.iter().chain(&after) {
        assert_label_names(address, page);
        assert_eq!(get(address, "/healthz").trim(), "ok");
    }
    let coordinator = &after[0].1;
    assert!(coordinator.contains("muster_tasks_total{plugin=\"loop\",outcome=\"ok\"} 2000"), "{coordinator}");
    for (_, worker) in &after[1..] {
        assert!(worker.contains("muster_attempts_total{plugin=\"loop\",outcome=\"ok\"}"), "{worker}");
    }
    if skip_without(has("promtool"), "promtool (Debian package prometheus)") {
        return;
    }
    for (address, page) in before.iter().chain(&after) {
        assert_clean(address, page);
    }
}

#[test]
fn prometheus_scrapes_the_cluster_and_the_dashboards_show_it() {
    if skip_without(has("prometheus"), "prometheus (Debian package prometheus)") {
        return;
    }
    let cluster = Cluster::start(&WORKERS);
    let mut prometheus = Prometheus::start(&cluster);
    prometheus.until("count(up == 1)", |targets| targets == 3.0);
    run_job(&cluster);
    prometheus.until("sum(muster_tasks_total{outcome=\"ok\"})", |tasks| tasks == 2_000.0);
    prometheus.until("sum(muster_slot_seconds_total)", |seconds| seconds > 0.0);
    // Rates need a change that was scraped, of workers, too.
    run_job(&cluster);
    prometheus.until("sum(rate(muster_tasks_total{outcome=\"ok\"}[1m]))", |rate| rate > 0.0);
    prometheus.until("sum(rate(muster_slot_seconds_total[1m]))", |rate| rate > 0.0);
    prometheus.until("sum(muster_attempts_total{outcome=\"ok\"})", |attempts| attempts == 4_000.0);
    kill_an_executor(&cluster);
    prometheus.until("sum(muster_executor_exits_total{job=\"muster-worker\", cause=\"signal\"})", |exits| {
        exits == 1.0
    });
    write_some(&cluster);
    prometheus.until("sum(muster_plugin_disk_bytes_total)", |bytes| bytes == 2.0 * 65_536.0);
    prometheus.until("count(up == 1)", |targets| targets == 3.0);
    check_dashboards(&prometheus);
}

fn check_dashboards(prometheus: &Prometheus) {
    let Some(checker) = std::env::var_os("MUSTER_CHECK_DASHBOARDS") else { return };
    let dashboards = std::fs::read_dir(deploy("grafana/dashboards")).unwrap();
    let dashboards: Vec<_> = dashboards.map(|entry| entry.unwrap().path()).collect();
    assert!(!dashboards.is_empty());
    let url = format!("http://{}", prometheus.address);
    let output = Command::new(checker).arg(url).args(dashboards).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    // A checker that looked at nothing has not passed.
    assert!(said.lines().any(|line| line.starts_with("ok ")), "{said}");
    print_past_the_harness(&said);
}

fn print_past_the_harness(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}

#[test]
fn labels_are_found() {
    assert_eq!(labels(r#"a{b="c",d="e\",f=\"g"} 1"#), ["b", "d"]);
    assert!(labels("a 1").is_empty());
}
