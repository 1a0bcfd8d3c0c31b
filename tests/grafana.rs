//! `muster grafana init` writes a folder that Prometheus takes as it is, and nothing over what is there.

#![allow(clippy::unwrap_used, missing_docs)]

mod daemons;
mod fixture;

use daemons::skip_without;
use fixture::Muster;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

#[test]
fn a_folder_is_written_that_prometheus_takes() {
    let muster = Muster::new();
    let said = muster.run(&["grafana", "init", "mon", "--coordinator", "c.lan:80"]).ok();
    let prometheus = muster.path("mon/prometheus.yml");
    assert!(
        said.stderr.contains(&format!("prometheus --config.file={}", prometheus.display())),
        "{}",
        said.stderr
    );
    for name in ["overview", "worker", "plugin"] {
        let text = muster.read(&format!("mon/grafana/dashboards/{name}.json"));
        let dashboard: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(
            (&dashboard["schemaVersion"], &dashboard["uid"]),
            (&39.into(), &format!("muster-{name}").into())
        );
    }
    if skip_without(Command::new("promtool").arg("--version").output().is_ok(), "promtool") {
        return;
    }
    let output = Command::new("promtool").args(["check", "config"]).arg(&prometheus).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 rule files found"), "{said}");
}

#[test]
fn what_is_there_stays_unless_it_is_to_be_replaced() {
    let muster = Muster::new();
    muster.write("mon/rules/muster.yml", "mine");
    muster.run(&["grafana", "init", "mon"]).fails(3, &["mon/rules/muster.yml is there already", "--force"]);
    assert_eq!(muster.read("mon/rules/muster.yml"), b"mine");
    assert!(!muster.path("mon/prometheus.yml").exists(), "nothing is written");
    muster.run(&["grafana", "init", "mon", "--force"]).ok();
    assert_ne!(muster.read("mon/rules/muster.yml"), b"mine");
    let plain = muster.write("plain", "");
    muster.run(&["grafana", "init", &plain]).fails(2, &["plain is a file", "name a folder"]);
    muster.run(&["grafana", "init", "x", "--coordinator", "http://c:1"]).fails(2, &["not HOST:PORT"]);
    muster.run(&["grafana", "init", "x", "--prometheus", "c:1"]).fails(2, &["not a URL"]);
    muster.run(&["grafana", "init"]).fails(2, &["DIR"]);
    assert!(!Path::new(&muster.path("x")).exists());
}
