//! A cluster with pages for machines, and a real Prometheus and Alertmanager that watch it as deploy/ says, ten times as
//! often.

#![allow(dead_code, reason = "every test file uses its own part")]

use crate::daemons::{Daemon, SOON, until, workers_up};
use crate::fixture::Muster;
use crate::fixture::page::{get, try_get};
use serde_json::Value;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How long a silent worker keeps its tasks: after a start nobody is told of workers for so long.
const LEASE: &str = "3s";

/// A coordinator and workers of one slot, all with metrics.
pub struct Cluster {
    /// The coordinator first, then the workers.
    pub daemons: Vec<Daemon>,
    pub muster: Muster,
    pub address: String,
    pub coordinator_http: String,
}

impl Cluster {
    /// With workers of these names.
    pub fn start(workers: &[&str]) -> Self {
        let muster = Muster::new();
        let (folder, socket) = (muster.path(""), muster.path("c.sock"));
        let address = format!("unix:{}", socket.display());
        let mut coordinator =
            muster.command(&["coordinator", "start", "--listen", "none", "--name", "watched"]);
        coordinator.args(["--http", "127.0.0.1:0", "--lease", LEASE, "--allow-chaos", "--state"]);
        coordinator.arg(muster.path("state")).arg("--socket").arg(&socket);
        let mut daemons = vec![Daemon::start("coordinator", &folder, coordinator)];
        until("socket of the coordinator", SOON, || {
            daemons[0].assert_runs();
            socket.exists().then_some(())
        });
        let access = until("access file of the coordinator", SOON, || {
            std::fs::read(muster.path(".local/state/muster/clusters/watched.json")).ok()
        });
        let access: Value = serde_json::from_slice(&access).unwrap();
        let coordinator_http = access["http"].as_str().unwrap().to_owned();
        let mut cluster = Self { daemons, muster, address, coordinator_http };
        workers.iter().for_each(|name| cluster.join(name));
        cluster.workers_http(workers.len());
        cluster
    }

    /// Starts another worker.
    pub fn join(&mut self, name: &str) {
        let arguments = ["worker", "start", "--slots", "1", "--http", "127.0.0.1:0", "--name", name];
        let mut worker = self.muster.command(&arguments);
        worker.args(["--connect", &self.address]);
        self.daemons.push(Daemon::start(name, &self.muster.path(""), worker));
    }

    /// Where the workers' pages are, once so many are up.
    pub fn workers_http(&self, count: usize) -> Vec<String> {
        let list = || self.muster.command(&["worker", "ls", "--json", "--cluster", &self.address]);
        let address = |worker: &Value| worker["metrics_address"].as_str().unwrap().to_owned();
        workers_up(count, list).iter().map(address).collect()
    }

    /// Runs a job to its end.
    pub fn run(&self, arguments: &[&str]) -> crate::fixture::Finished {
        let last = ["--json", "--cluster", &self.address];
        self.muster.run(&[&["run"][..], arguments, &last].concat())
    }

    /// All pages, with their addresses.
    pub fn pages(&self, workers: usize) -> Vec<(String, String)> {
        let addresses = std::iter::once(self.coordinator_http.clone()).chain(self.workers_http(workers));
        addresses.map(|address| (address.clone(), get(&address, "/metrics"))).collect()
    }
}

/// A Prometheus, and an Alertmanager when rules are watched.
pub struct Prometheus {
    pub address: String,
    alertmanager: Option<(Daemon, String)>,
    daemon: Daemon,
}

impl Prometheus {
    /// With the configuration of deploy/ and no rules.
    pub fn start(cluster: &Cluster) -> Self {
        Self::start_with(cluster, None)
    }

    /// With these rules, and an Alertmanager that is told.
    pub fn start_with_rules(cluster: &Cluster, rules: &str) -> Self {
        let folder = cluster.muster.path("rules");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("muster.yml"), rules).unwrap();
        let config = cluster.muster.path("alertmanager.yml");
        std::fs::write(&config, "route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n").unwrap();
        let address = free_address();
        let mut command = Command::new("prometheus-alertmanager");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", cluster.muster.path("alerts").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=")
            .arg("--log.level=warn");
        let mut daemon = Daemon::start("alertmanager", &cluster.muster.path(""), command);
        until("Alertmanager that is ready", SOON, || {
            daemon.assert_runs();
            try_get(&address, "/-/ready")
        });
        Self::start_with(cluster, Some((daemon, address)))
    }

    fn start_with(cluster: &Cluster, alertmanager: Option<(Daemon, String)>) -> Self {
        let folder = &cluster.muster.path("");
        let config = folder.join("prometheus.yml");
        let alerts = alertmanager.as_ref().map(|(_, address)| address.as_str());
        std::fs::write(&config, configuration(&cluster.coordinator_http, alerts)).unwrap();
        let address = free_address();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("series").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=warn");
        let mut daemon = Daemon::start("prometheus", folder, command);
        until("Prometheus that is ready", SOON, || {
            daemon.assert_runs();
            try_get(&address, "/-/ready")
        });
        Self { address, alertmanager, daemon }
    }

    /// The values of an instant query.
    pub fn query(&self, expression: &str) -> Vec<f64> {
        query(&self.address, expression)
    }

    /// What its interface says.
    pub fn ask(&self, path: &str) -> Value {
        ask(&self.address, path)
    }

    /// Waits until the values of a query are these.
    #[track_caller]
    pub fn until_is(&mut self, expression: &str, wanted: &[f64]) {
        let mut last = Vec::new();
        until(&format!("{expression} = {wanted:?}"), 2 * SOON, || {
            self.daemon.assert_runs();
            last = self.query(expression);
            (last == wanted).then_some(())
        });
    }

    /// Waits until the one value of a query is as wanted.
    #[track_caller]
    pub fn until(&mut self, expression: &str, wanted: impl Fn(f64) -> bool) {
        until(expression, 2 * SOON, || {
            self.daemon.assert_runs();
            let values = self.query(expression);
            (values.len() == 1 && wanted(values[0])).then_some(())
        });
    }

    /// Waits until the Alertmanager has an alert with these labels.
    #[track_caller]
    pub fn until_alert(&mut self, name: &str, labels: &[(&str, &str)]) -> Value {
        let (_, address) = self.alertmanager.as_ref().expect("started with rules");
        until(&format!("alert {name} {labels:?}"), 3 * SOON, || {
            let alerts: Value = serde_json::from_str(&try_get(address, "/api/v2/alerts")?).unwrap();
            let has = |alert: &&Value| {
                let found = &alert["labels"];
                found["alertname"] == name && labels.iter().all(|(label, value)| found[label] == *value)
            };
            alerts.as_array().unwrap().iter().find(has).cloned()
        })
    }
}

/// The values of an instant query of the Prometheus at `address`.
pub fn query(address: &str, expression: &str) -> Vec<f64> {
    let mut escaped = String::new();
    for byte in expression.bytes() {
        write!(escaped, "%{byte:02x}").unwrap();
    }
    let answer = ask(address, &format!("/api/v1/query?query={escaped}"));
    let series = answer["result"].as_array().unwrap();
    series.iter().map(|one| one["value"][1].as_str().unwrap().parse().unwrap()).collect()
}

fn ask(address: &str, path: &str) -> Value {
    let answer = try_get(address, path).expect("Prometheus answers");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["status"], "success", "{path}: {answer}");
    answer["data"].clone()
}

/// Whoever takes the port in between makes the start fail, which is noticed.
fn free_address() -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("127.0.0.1:{port}")
}

/// The deployed configuration with other targets and shorter intervals; nothing else differs.
fn configuration(coordinator: &str, alertmanager: Option<&str>) -> String {
    let mut text = std::fs::read_to_string(deploy("prometheus.yml")).unwrap();
    let changes = [
        ("- targets: [\"127.0.0.1:7078\"]", format!("- targets: [\"{coordinator}\"]")),
        (
            "- targets: [\"127.0.0.1:9093\"]",
            format!("- targets: [\"{}\"]", alertmanager.unwrap_or("127.0.0.1:1")),
        ),
        ("http://127.0.0.1:7078/sd", format!("http://{coordinator}/sd")),
        ("refresh_interval: 10s", "refresh_interval: 1s".to_owned()),
        ("scrape_interval: 5s", "scrape_interval: 500ms".to_owned()),
        ("scrape_timeout: 4s", "scrape_timeout: 500ms".to_owned()),
        ("evaluation_interval: 5s", "evaluation_interval: 500ms".to_owned()),
    ];
    for (from, to) in changes {
        assert_eq!(text.matches(from).count(), 1, "{from} in deploy/prometheus.yml");
        text = text.replace(from, &to);
    }
    text
}

/// Whether a program is there.
pub fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// A file of deploy/.
pub fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}
