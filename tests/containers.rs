//! `deploy/compose.yaml` on the Docker engine of this machine, with images that .ci/containers makes: a job runs, the page and
//! Prometheus see the cluster, and a killed and a cut-off worker cost no work. Grafana's image cannot be made from Debian's packages,
//! so its service is left out, which the test says; its dashboards are checked by .ci/dashboards.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod daemons;
mod fixture;
mod monitoring;

use daemons::until;
use fixture::page::try_get;
use monitoring::query;
use serde_json::Value;
use std::net::TcpListener;
use std::process::{Command, Output};
use std::time::Duration;

/// How long what involves an engine may take.
const LIMIT: Duration = Duration::from_secs(120);
/// What a job gives each slot to do: it takes twice as long as a silent worker keeps its tasks.
const TASKS_PER_SLOT: u64 = 400;
const WORKERS: usize = 2;

/// The services of the file, under a name of their own. They end with it.
struct Compose {
    project: String,
    /// The coordinator's. Whoever takes it in between makes the start fail, which is noticed.
    port: String,
}

impl Compose {
    fn up() -> Self {
        let free = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
        let compose = Self { project: format!("muster-test-{}", std::process::id()), port: free.to_string() };
        println!("not started: grafana (no image of it can be made here)");
        compose.run(&["up", "--detach", "coordinator", "worker", "prometheus"]);
        compose
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker-compose");
        command.current_dir(fixture::repository()).args(["--project-name", &self.project]);
        command.args(["--file", "deploy/compose.yaml"]).args(arguments);
        // Free ports of this machine.
        command.env("MUSTER_PORT", &self.port);
        for port in ["MUSTER_HTTP_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT"] {
            command.env(port, "0");
        }
        command
    }

    /// Does it and gives what it printed.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        done(&format!("docker-compose {arguments:?}"), &self.command(arguments).output().unwrap())
    }

    /// `muster` in the coordinator's container.
    #[track_caller]
    fn muster(&self, arguments: &[&str]) -> String {
        self.run(&[&["exec", "-T", "coordinator", "muster"], arguments].concat())
    }

    #[track_caller]
    fn muster_json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.muster(&[arguments, &["--json"]].concat())).unwrap()
    }

    /// A service's port here, as `127.0.0.1:PORT`.
    fn address(&self, service: &str, port: &str) -> String {
        let bound = self.run(&["port", service, port]);
        format!("127.0.0.1:{}", bound.trim().rsplit_once(':').unwrap().1)
    }

    fn containers(&self, service: &str) -> Vec<String> {
        self.run(&["ps", "--quiet", service]).lines().map(str::to_owned).collect()
    }

    /// Waits until so many workers are up.
    #[track_caller]
    fn until_workers(&self, count: usize) {
        until(&format!("{count} workers"), LIMIT, || (self.workers_up()?.len() == count).then_some(()));
    }

    /// The workers that are up; `None`: the coordinator does not answer yet.
    fn workers_up(&self) -> Option<Vec<Value>> {
        let list = ["exec", "-T", "coordinator", "muster", "worker", "ls", "--json"];
        let listed = self.command(&list).output().unwrap();
        let listed: Value = serde_json::from_slice(&listed.stdout).ok()?;
        let workers = listed["workers"].as_array()?.iter();
        Some(workers.filter(|worker| worker["state"] == "up").cloned().collect())
    }

    /// Submits a job, does something to the cluster while it runs, and finds that every task came out well.
    #[track_caller]
    fn loses_nothing(&self, happens: impl FnOnce()) {
        let workers = self.workers_up().unwrap();
        let slots: u64 = workers.iter().map(|worker| worker["slots"].as_u64().unwrap()).sum();
        let tasks = slots * TASKS_PER_SLOT;
        let job = self.muster_json(&["submit", "sleep", "ms=50", "-n", &tasks.to_string()]);
        let job = job["job"].as_u64().unwrap().to_string();
        let job = job.as_str();
        let done = || self.muster_json(&["job", "info", job])["ok"].as_u64().unwrap();
        until("first results", LIMIT, || (done() > 0).then_some(()));
        happens();
        assert!(done() < tasks, "the job was over before anything happened");
        self.muster(&["job", "wait", job]);
        let ended = self.muster_json(&["job", "info", job]);
        assert_eq!((&ended["state"], &ended["ok"]), (&"done".into(), &tasks.into()), "{ended}");
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = self.command(&["logs", "--tail", "40", "--no-color"]).output();
            eprintln!(
                "{}",
                logs.map_or_else(|e| e.to_string(), |out| String::from_utf8_lossy(&out.stdout).into())
            );
        }
        let down = self.command(&["down", "--volumes", "--timeout", "5"]).output();
        assert!(std::thread::panicking() || down.unwrap().status.success(), "the services do not end");
    }
}

#[track_caller]
fn done(what: &str, output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {}\n{error}", output.status);
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn docker(arguments: &[&str]) -> String {
    done(&format!("docker {arguments:?}"), &Command::new("docker").args(arguments).output().unwrap())
}

#[test]
#[ignore = "needs a Docker engine and images that .ci/containers makes"]
fn the_compose_file_brings_up_a_cluster_that_loses_nothing() {
    let compose = Compose::up();
    compose.until_workers(WORKERS);
    assert_eq!(compose.muster(&["run", "primes", "limit=200000", "--reduce", "--out", "-"]), "17984\n");

    for container in compose.containers("worker").iter().chain(&compose.containers("coordinator")) {
        let health = || docker(&["inspect", "--format", "{{.State.Health.Status}}", container]);
        until("health", LIMIT, || (health().trim() == "healthy").then_some(()));
        let id = docker(&["exec", container, "id", "-u"]);
        assert_eq!(id, "10001\n", "nothing runs as root");
    }
    the_page_asks_for_its_token(&compose);

    let prometheus = compose.address("prometheus", "9090");
    let until_up = |value: f64, count: usize| {
        let expression = format!("count(up{{job=\"muster-worker\"}} == {value})");
        until(&expression, LIMIT, || (query(&prometheus, &expression) == [count as f64]).then_some(()));
    };
    until_up(1.0, WORKERS);
    assert_eq!(query(&prometheus, "sum(muster_workers{state=\"up\"})"), [WORKERS as f64]);

    let workers = compose.containers("worker");
    compose.loses_nothing(|| {
        docker(&["kill", &workers[0]]);
    });
    until_up(0.0, 1);
    compose.run(&["up", "--detach", "--no-recreate", "coordinator", "worker", "prometheus"]);
    compose.until_workers(WORKERS);

    let network = format!("{}_default", compose.project);
    compose.loses_nothing(|| {
        docker(&["network", "disconnect", &network, &workers[1]]);
        compose.until_workers(WORKERS - 1);
    });
    docker(&["network", "connect", &network, &workers[1]]);
    compose.until_workers(WORKERS);

    // What is kept is kept.
    compose.run(&["restart", "coordinator"]);
    compose.until_workers(WORKERS);
    let jobs = compose.muster_json(&["job", "ls"]);
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 3, "{jobs}");
    compose.loses_nothing(|| ());
}

/// Published on this machine, for who has the token.
fn the_page_asks_for_its_token(compose: &Compose) {
    let address = compose.address("coordinator", "7078");
    assert!(try_get(&address, "/healthz").is_some());
    let page = |header: &str| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--max-time", "30", "--write-out", "\n%{http_code}", "--header", header]);
        done("curl", &command.arg(format!("http://{address}/")).output().unwrap())
    };
    assert!(page("Authorization: none").ends_with("\n401"), "without its token there is no page");
    let token = compose.run(&["exec", "-T", "coordinator", "cat", "page-token"]);
    let page = page(&format!("Authorization: Bearer {token}"));
    assert!(page.contains("<title>muster") && page.ends_with("\n200"), "{page}");
}
