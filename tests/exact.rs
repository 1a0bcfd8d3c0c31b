//! Counters are exact: what Prometheus adds up over all workers is what the job's own report says, also when tasks fail and
//! executors crash.

#![allow(clippy::unwrap_used, missing_docs)]

mod daemons;
mod fixture;
mod monitoring;

use daemons::skip_without;
use fixture::compile_c;
use monitoring::{Cluster, Prometheus, has};
use serde_json::Value;

const TASKS: u64 = 1_000_000;
/// Tasks that end their executor, and have no second attempt.
const CRASHES: u64 = 100;
/// One in a hundred fails for good.
const FAILURES: u64 = TASKS / 100;

#[test]
fn prometheus_adds_up_to_what_the_job_says() {
    if skip_without(has("prometheus"), "prometheus (Debian package prometheus)") {
        return;
    }
    let cluster = Cluster::start(&["w1", "w2"]);
    let source = include_str!("fixtures/plugins/flaws.c");
    let flags = ["-std=c11", "-Wall", "-Wextra", "-Werror"];
    let flaws = compile_c(source, &cluster.muster.path("plugin.so"), &flags);
    let mut prometheus = Prometheus::start(&cluster);
    prometheus.until("count(up == 1)", |targets| targets == 3.0);

    let count = TASKS.to_string();
    let arguments = [flaws.to_str().unwrap(), "-n", &count, "--max-attempts", "1"];
    let report = cluster.run(&arguments).exits(1).json();
    assert_eq!(number(&report, "ok"), TASKS - FAILURES - CRASHES, "{report}");
    assert_eq!(number(&report, "failed"), FAILURES + CRASHES, "{report}");
    assert_eq!(number(&report, "executor_exits"), CRASHES, "{report}");

    let ok = number(&report, "ok") as f64;
    let failed = number(&report, "failed") as f64;
    let exits = number(&report, "executor_exits") as f64;
    // Later scrapes must not add anything.
    for _ in 0..2 {
        prometheus.until_is("sum(muster_attempts_total{job=\"muster-worker\", outcome=\"ok\"})", &[ok]);
        prometheus.until_is("sum(muster_attempts_total{job=\"muster-worker\", outcome!=\"ok\"})", &[failed]);
        prometheus.until_is("sum(muster_attempts_total{outcome=\"failed\"})", &[FAILURES as f64]);
        prometheus.until_is("sum(muster_attempts_total{outcome=\"crashed\"})", &[CRASHES as f64]);
        prometheus
            .until_is("sum(muster_executor_exits_total{job=\"muster-worker\", cause=\"signal\"})", &[exits]);
        prometheus.until_is(
            "sum(muster_executor_exits_total{job=\"muster-coordinator\", cause=\"signal\"})",
            &[exits],
        );
        prometheus.until_is("sum(muster_tasks_total{outcome=\"ok\"})", &[ok]);
        prometheus.until_is("sum(muster_tasks_total{outcome=\"failed\"})", &[failed]);
        prometheus.until_is("sum(muster_quarantined_tasks_total)", &[CRASHES as f64]);
        prometheus.until_is("sum(muster_lease_tasks_sum{job=\"muster-worker\"}) >= bool 1000000", &[1.0]);
        let scraped = prometheus.query("min(timestamp(up))")[0];
        prometheus.until("min(timestamp(up))", |now| now > scraped);
    }
}

fn number(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap_or_else(|| panic!("{name}: {report}"))
}
