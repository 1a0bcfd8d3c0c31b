//! Debian's Prometheus and Alertmanager watch a live cluster, found through its service discovery: workers that join are
//! scraped, killed ones are down, and those that leave are gone; the rules of deploy/ load, and their alerts fire for a
//! killed worker, a queue that stands still and executors that crash again and again.

#![allow(clippy::unwrap_used, missing_docs)]

mod daemons;
mod fixture;
mod monitoring;

use daemons::{SOON, skip_without, until};
use fixture::plugin;
use monitoring::{Cluster, Prometheus, deploy, has};
use std::path::Path;
use std::process::Command;

/// The rules of deploy/ with times that fit into a test: what lasts minutes lasts seconds. Nothing else differs.
fn hurried_rules() -> String {
    let rules = std::fs::read_to_string(deploy("rules/muster.yml")).unwrap();
    let mut text = String::new();
    for line in rules.lines() {
        let line = match line.trim_start().strip_prefix("for: ") {
            Some(_) => "        for: 2s".to_owned(),
            None => ["[1m]", "[5m]", "[10m]", "[15m]", "[1h]"]
                .into_iter()
                .fold(line.to_owned(), |line, window| line.replace(window, "[15s]")),
        };
        text.push_str(&line);
        text.push('\n');
    }
    assert!(text.matches("[15s]").count() > 10 && text.matches("for: 2s").count() > 10, "{text}");
    text
}

fn signal(pid: u32, number: i32) {
    // SAFETY: kill takes numbers only.
    assert_eq!(unsafe { libc::kill(pid.cast_signed(), number) }, 0);
}

/// promtool must not find anything to say but that all is well.
fn assert_lints(arguments: &[&str]) {
    let output = Command::new("promtool").args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.contains("SUCCESS"), "promtool {arguments:?}: {said}");
    assert!(!said.contains("FAILED") && !said.contains("error"), "promtool {arguments:?}: {said}");
}

fn path(file: &Path) -> &str {
    file.to_str().unwrap()
}

#[test]
fn the_rules_are_clean_and_each_alert_has_a_test_and_its_lines_in_the_runbook() {
    let rules = std::fs::read_to_string(deploy("rules/muster.yml")).unwrap();
    let tests = std::fs::read_to_string(deploy("rules/tests/muster.yml")).unwrap();
    let runbook = std::fs::read_to_string(fixture::repository().join("docs/runbook.md")).unwrap();
    let alerts: Vec<&str> =
        rules.lines().filter_map(|line| line.trim_start().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 10, "{alerts:?}");
    for alert in &alerts {
        assert!(runbook.contains(&format!("\n## {alert}\n")), "{alert} is not in docs/runbook.md");
        assert!(rules.contains(&format!("runbook: docs/runbook.md#{}\n", alert.to_lowercase())), "{alert}");
        assert!(tests.contains(&format!("- alertname: {alert}\n")), "{alert} has no test");
    }
    let headings = runbook.lines().filter_map(|line| line.strip_prefix("## "));
    headings.for_each(|heading| assert!(alerts.contains(&heading), "no alert is called {heading}"));
    if skip_without(has("promtool"), "promtool (Debian package prometheus)") {
        return;
    }
    assert_lints(&["check", "rules", "--lint=all", "--lint-fatal", path(&deploy("rules/muster.yml"))]);
    assert_lints(&["check", "config", "--lint=all", "--lint-fatal", path(&deploy("prometheus.yml"))]);
    assert_lints(&["test", "rules", path(&deploy("rules/tests/muster.yml"))]);
}

/// Series that rules and dashboards name are series that muster has.
#[test]
fn rules_and_dashboards_name_no_series_that_is_not_there() {
    use muster_core::metric::{Kind, coordinator, worker};
    let known: Vec<(&str, Kind)> =
        coordinator::ALL.iter().chain(worker::ALL).map(|metric| (metric.name, metric.kind)).collect();
    let is_known = |name: &str| {
        known.iter().any(|&(known, kind)| {
            let part = name.strip_prefix(known);
            match kind {
                Kind::Histogram => part.is_some_and(|part| ["_bucket", "_sum", "_count"].contains(&part)),
                Kind::Counter | Kind::Gauge => part == Some(""),
            }
        })
    };
    let mut files = vec![deploy("rules/muster.yml"), deploy("rules/tests/muster.yml")];
    files.extend(std::fs::read_dir(deploy("grafana/dashboards")).unwrap().map(|entry| entry.unwrap().path()));
    let mut names = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let word = |c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':' && c != '-' && c != '.';
        // Plugins' own series are named by a pattern.
        let is_pattern = |name: &&str| name.trim_end_matches('.') == "muster_plugin_";
        for name in
            text.split(word).filter(|word| word.starts_with("muster_")).filter(|name| !is_pattern(name))
        {
            assert!(is_known(name), "{} names {name}", file.display());
            names += 1;
        }
    }
    assert!(names > 50, "{names}");
}

#[test]
fn a_cluster_is_found_and_its_alerts_fire() {
    let tools = has("prometheus") && has("prometheus-alertmanager");
    if skip_without(
        tools,
        "prometheus and alertmanager (Debian packages prometheus, prometheus-alertmanager)",
    ) {
        return;
    }
    let mut cluster = Cluster::start(&["w1", "w2"]);
    let rules = hurried_rules();
    let mut prometheus = Prometheus::start_with_rules(&cluster, &rules);
    prometheus.until_is("up{job=\"muster-coordinator\"}", &[1.0]);
    prometheus.until_is("sort(up{job=\"muster-worker\"})", &[1.0, 1.0]);
    prometheus.until_is("up{worker=\"w1\"}", &[1.0]);
    assert_every_rule_works(&prometheus, &rules);

    cluster.join("w3");
    prometheus.until_is("up{worker=\"w3\"}", &[1.0]);
    let report = cluster.run(&[&plugin("null"), "-n", "100000"]).ok().json();
    assert_eq!(report["ok"], 100_000, "{report}");
    prometheus.until_is("sum(muster_attempts_total{outcome=\"ok\"})", &[100_000.0]);

    // One is killed: it stays listed, and is down.
    cluster.daemons[1].kill();
    prometheus.until_is("up{worker=\"w1\"}", &[0.0]);
    let alert = prometheus.until_alert("MusterWorkerDown", &[("worker", "w1"), ("severity", "warning")]);
    assert_eq!(alert["annotations"]["runbook"], "docs/runbook.md#musterworkerdown", "{alert}");
    prometheus.until_alert("MusterWorkersLost", &[("reason", "disconnected")]);

    // One leaves: it is not listed, and neither down nor anything else.
    signal(cluster.daemons[2].id(), libc::SIGTERM);
    cluster.daemons[2].wait(SOON);
    prometheus.until_is("up{worker=\"w2\"}", &[]);
    prometheus.until_is("muster_slots{worker=\"w2\"}", &[]);
    prometheus.until_is("up{worker=\"w1\"}", &[0.0]);

    // Every task ends its executor: they are started again and again until the job is paused, and then it stands still.
    let chaos = plugin("chaos");
    let submit = ["submit", &chaos, "mode=abort", "ms=0", "-n", "1000", "--cluster", &cluster.address];
    cluster.muster.run(&submit).ok();
    prometheus.until_alert("MusterCrashLoop", &[("worker", "w3"), ("severity", "critical")]);
    prometheus.until_alert("MusterJobPaused", &[]);
    prometheus.until_alert("MusterQueueStalled", &[("severity", "critical")]);
    cluster.muster.run(&["job", "cancel", "--cluster", &cluster.address]).ok();

    // The last worker goes; tasks that come now find none.
    signal(cluster.daemons[3].id(), libc::SIGTERM);
    cluster.daemons[3].wait(SOON);
    cluster.muster.run(&["submit", &plugin("null"), "-n", "7", "--cluster", &cluster.address]).ok();
    prometheus.until_alert("MusterNoWorkers", &[]);
    cluster.muster.run(&["job", "cancel", "--cluster", &cluster.address]).ok();
    prometheus.until_is("sum(muster_queue_tasks)", &[0.0]);

    cluster.daemons[0].kill();
    prometheus.until_alert("MusterCoordinatorDown", &[]);
}

fn assert_every_rule_works(prometheus: &Prometheus, rules: &str) {
    let written = rules.matches("- alert: ").count() + rules.matches("- record: ").count();
    until("all rules evaluated", SOON, || {
        let groups = prometheus.ask("/api/v1/rules")["groups"].as_array().unwrap().clone();
        let loaded: Vec<_> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
        assert_eq!(loaded.len(), written);
        for rule in &loaded {
            assert!(rule["health"] != "err", "{rule}");
        }
        loaded.iter().all(|rule| rule["health"] == "ok").then_some(())
    });
}
