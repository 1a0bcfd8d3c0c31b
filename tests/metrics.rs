//! What operators see: `/metrics` of coordinator and workers are clean Prometheus text without labels that grow, and a
//! Prometheus with the configuration of deploy/ scrapes them.
//!
//! With `MUSTER_CHECK_DASHBOARDS` set to a program (see `.ci/dashboards`) the dashboards are checked, too: it is called with
//! that Prometheus' URL and the files.

#![allow(clippy::unwrap_used, missing_docs)]

mod daemons;
mod fixture;

use daemons::{Daemon, SOON, skip_without, until, workers_up};
use fixture::page::{assert_clean, get, try_get};
use fixture::{Muster, plugin};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Labels whose values are as many as there is work; a time series each would drown any Prometheus.
const FORBIDDEN_LABELS: [&str; 8] = ["job", "task", "thread", "pid", "tid", "lease", "index", "id"];

/// A coordinator and two workers, all with metrics, and the plugin that the jobs run.
struct Cluster {
    daemons: Vec<Daemon>,
    muster: Muster,
    address: String,
    coordinator_http: String,
    workers_http: Vec<String>,
    plugin: String,
}

impl Cluster {
    fn start() -> Self {
        let plugin = plugin("loop");
        let muster = Muster::new();
        let (folder, socket) = (muster.path(""), muster.path("c.sock"));
        let address = format!("unix:{}", socket.display());
        let mut coordinator = muster.command(&[
            "coordinator",
            "start",
            "--listen",
            "none",
            "--name",
            "metrics",
            "--http",
            "127.0.0.1:0",
        ]);
        coordinator.arg("--socket").arg(&socket);
        let mut daemons = vec![Daemon::start("coordinator", &folder, coordinator)];
        until("socket of the coordinator", SOON, || {
            daemons[0].assert_runs();
            socket.exists().then_some(())
        });
        for name in ["w1", "w2"] {
            let arguments = ["worker", "start", "--slots", "1", "--http", "127.0.0.1:0", "--name", name];
            let mut worker = muster.command(&arguments);
            worker.args(["--connect", &address]);
            daemons.push(Daemon::start(name, &folder, worker));
        }
        let workers = workers_up(2, || muster.command(&["worker", "ls", "--json", "--cluster", &address]));
        let workers_http =
            workers.iter().map(|worker| worker["metrics_address"].as_str().unwrap().to_owned()).collect();
        let access = until("access file of the coordinator", SOON, || {
            std::fs::read(muster.path(".local/state/muster/clusters/metrics.json")).ok()
        });
        let access: Value = serde_json::from_slice(&access).unwrap();
        let coordinator_http = access["http"].as_str().unwrap().to_owned();
        Self { daemons, muster, address, coordinator_http, workers_http, plugin }
    }

    /// Two thousand tasks of less than a tenth of a millisecond.
    fn run_job(&self) {
        let arguments =
            ["run", &self.plugin, "iters=100000", "-n", "2000", "--json", "--cluster", &self.address];
        let report = self.muster.run(&arguments).ok().json();
        assert_eq!(report["ok"], 2_000, "{report}");
    }

    /// `kill -9` of the executor of the first worker.
    fn kill_an_executor(&self) {
        let worker = self.daemons[1].id();
        let executors = std::fs::read_dir(format!("/proc/{worker}/task")).unwrap().flat_map(|thread| {
            let children = std::fs::read_to_string(thread.unwrap().path().join("children")).unwrap();
            children.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<i32>>()
        });
        let executors: Vec<i32> = executors.collect();
        assert_eq!(executors.len(), 1, "one executor stays warm");
        // SAFETY: kill takes numbers only.
        assert_eq!(unsafe { libc::kill(executors[0], libc::SIGKILL) }, 0);
    }

    fn pages(&self) -> Vec<(&str, String)> {
        let addresses = std::iter::once(&self.coordinator_http).chain(&self.workers_http);
        addresses.map(|address| (address.as_str(), get(address, "/metrics"))).collect()
    }
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

/// Prometheus with the configuration of deploy/, on these addresses and ten times as often.
struct Prometheus {
    daemon: Daemon,
    address: String,
}

impl Prometheus {
    fn start(cluster: &Cluster) -> Self {
        let folder = &cluster.muster.path("");
        let config = folder.join("prometheus.yml");
        std::fs::write(&config, configuration(cluster)).unwrap();
        // Whoever takes the port in between makes the start fail, which is noticed.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
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
        Self { daemon, address }
    }

    /// The values of an instant query without characters that a URL would have to escape beside those below.
    fn query(&self, expression: &str) -> Vec<f64> {
        let mut escaped = String::new();
        for byte in expression.bytes() {
            write!(escaped, "%{byte:02x}").unwrap();
        }
        let answer = try_get(&self.address, &format!("/api/v1/query?query={escaped}"));
        let answer: Value = serde_json::from_str(&answer.expect("Prometheus answers")).unwrap();
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        let series = answer["data"]["result"].as_array().unwrap();
        series.iter().map(|one| one["value"][1].as_str().unwrap().parse().unwrap()).collect()
    }

    /// Waits until the one value of a query is as wanted.
    #[track_caller]
    fn until(&mut self, expression: &str, wanted: impl Fn(f64) -> bool) {
        until(expression, SOON, || {
            self.daemon.assert_runs();
            let values = self.query(expression);
            (values.len() == 1 && wanted(values[0])).then_some(())
        });
    }
}

/// The deployed configuration with other targets and a shorter interval; nothing else differs.
fn configuration(cluster: &Cluster) -> String {
    let mut text = std::fs::read_to_string(deploy("prometheus.yml")).unwrap();
    let workers = cluster.workers_http.join("\", \"");
    let changes = [
        ("127.0.0.1:7078\"]", format!("{}\"]", cluster.coordinator_http)),
        ("127.0.0.1:7079\"]", format!("{workers}\"]")),
        ("scrape_interval: 5s", "scrape_interval: 500ms".to_owned()),
        ("scrape_timeout: 4s", "scrape_timeout: 500ms".to_owned()),
    ];
    for (from, to) in changes {
        assert_eq!(text.matches(from).count(), 1, "{from} in deploy/prometheus.yml");
        text = text.replace(from, &to);
    }
    text
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

#[test]
fn pages_are_clean_and_no_label_grows_with_the_work() {
    let cluster = Cluster::start();
    // Once before anything ran, too: a family without series must not be half there.
    let before = cluster.pages();
    cluster.run_job();
    let after = cluster.pages();
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
    let cluster = Cluster::start();
    let mut prometheus = Prometheus::start(&cluster);
    prometheus.until("count(up == 1)", |targets| targets == 3.0);
    cluster.run_job();
    prometheus.until("sum(muster_tasks_total{outcome=\"ok\"})", |tasks| tasks == 2_000.0);
    // Rates need a change that was scraped.
    cluster.run_job();
    prometheus.until("sum(rate(muster_tasks_total{outcome=\"ok\"}[1m]))", |rate| rate > 0.0);
    prometheus.until("sum(muster_attempts_total{outcome=\"ok\"})", |attempts| attempts == 4_000.0);
    cluster.kill_an_executor();
    prometheus.until("sum(muster_executor_exits_total{job=\"muster-worker\", cause=\"signal\"})", |exits| {
        exits == 1.0
    });
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
