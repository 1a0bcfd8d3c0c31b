//! The files of deploy/ are what their programs take. Whether the dashboards show anything is the matter of tests/metrics.rs.

#![allow(clippy::unwrap_used, missing_docs)]

mod daemons;

use daemons::skip_without;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

/// Runs a tool; nothing when it is not there.
fn tool(program: &str, arguments: &[&str]) -> Option<Output> {
    let output = Command::new(program).args(arguments).output();
    if skip_without(output.is_ok(), program) { None } else { output.ok() }
}

#[track_caller]
fn assert_silent(output: &Output) {
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.trim().is_empty(), "{}: {said}", output.status);
}

#[test]
fn prometheus_takes_its_configuration() {
    for config in ["prometheus.yml", "compose/prometheus.yml"] {
        let config = deploy(config);
        let Some(output) = tool("promtool", &["check", "config", config.to_str().unwrap()]) else { return };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// What is written for containers differs from what is written for machines in addresses alone, and in what is only here or there.
#[test]
fn the_compose_file_has_the_same_data_source_and_scrape_jobs() {
    let lines = |path: &str, drop: &str| {
        let text = std::fs::read_to_string(deploy(path)).unwrap();
        let text = text.replace("http://prometheus:9090", "http://127.0.0.1:9090");
        let text = text.replace("coordinator:7078", "127.0.0.1:7078");
        let (before, after) = text.split_once(drop).unwrap_or((&text, ""));
        // A block ends with its first empty line.
        let after = after.split_once("\n\n").map_or(after, |(_, after)| after);
        let lines = before.lines().chain(after.lines()).map(str::to_owned);
        lines.filter(|line| !line.trim().is_empty() && !line.trim().starts_with('#')).collect::<Vec<_>>()
    };
    let (here, there) =
        (lines("prometheus.yml", "alerting:\n"), lines("compose/prometheus.yml", "alerting:\n"));
    assert_eq!(here, there);
    let source = "grafana/provisioning/datasources/prometheus.yml";
    assert_eq!(lines(source, "alerting:\n"), lines("compose/datasource.yml", "alerting:\n"));
}

/// A plugin that is added to the repository is added to the image.
#[test]
fn the_image_has_all_plugins_but_the_harmful_ones() {
    let file = std::fs::read_to_string(deploy("Dockerfile")).unwrap();
    let (_, list) = file.split_once("plugins='").unwrap();
    let listed: Vec<&str> = list.split_once('\'').unwrap().0.split(' ').collect();
    let crates = std::fs::read_dir(deploy("../plugins")).unwrap().map(|entry| entry.unwrap().path());
    let is_plugin = |path: &PathBuf| {
        let manifest = std::fs::read_to_string(path.join("Cargo.toml")).unwrap_or_default();
        let (_, library) = manifest.split_once("[lib]").unwrap_or_default();
        library.split("\n[").next().unwrap_or_default().contains("cdylib")
    };
    let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut plugins: Vec<String> = crates.filter(is_plugin).map(name).collect();
    plugins.retain(|name| !["chaos", "hostile"].contains(&name.as_str()));
    plugins.sort_unstable();
    assert_eq!(listed, plugins);
}

#[test]
fn systemd_takes_the_units() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["muster-coordinator.service", "muster-worker.service"] {
        let unit = std::fs::read_to_string(deploy("systemd").join(name)).unwrap();
        // The programs are not installed where a test runs; any program will do in their place.
        assert!(unit.contains("/usr/local/bin/muster-"), "{unit}");
        let unit = unit.replace("/usr/local/bin/muster-coordinator", "/bin/true");
        let unit = unit.replace("/usr/local/bin/muster-worker", "/bin/true");
        let path = folder.path().join(name);
        std::fs::write(&path, unit).unwrap();
        let Some(output) = tool("systemd-analyze", &["verify", "--man=no", path.to_str().unwrap()]) else {
            return;
        };
        assert_silent(&output);
    }
}

#[test]
fn every_panel_says_what_it_shows_and_in_which_unit() {
    let mut panels = 0;
    for entry in std::fs::read_dir(deploy("grafana/dashboards")).unwrap() {
        let path = entry.unwrap().path();
        let dashboard: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(dashboard["schemaVersion"], 39, "{}", path.display());
        let panels_of = dashboard["panels"].as_array().unwrap();
        for panel in panels_of.iter().filter(|panel| panel["type"] != "row") {
            let title = panel["title"].as_str().unwrap();
            let has_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
            assert!(has_text(&panel["description"]), "{title} has no description");
            assert!(has_text(&panel["fieldConfig"]["defaults"]["unit"]), "{title} has no unit");
            for target in panel["targets"].as_array().unwrap() {
                let query = target["expr"].as_str().unwrap();
                // A rate over a fixed time is empty or too smooth for other scrape intervals.
                let windows = query.matches('[').count();
                let adapted =
                    query.matches("[$__rate_interval]").count() + query.matches("[$__range]").count();
                assert_eq!(windows, adapted, "{title}: {query}");
            }
            panels += 1;
        }
    }
    assert!(panels > 0);
}
