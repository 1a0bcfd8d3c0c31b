//! Open-loop load: tasks start at their own times, whatever became of those before them, and latency is counted from there.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, plugin, wait_until};
use muster_core::arrivals::{Arrivals, Pattern, Timetable};
use muster_proto::link::{AccessFolder, Link, connect};
use muster_proto::v1::jobs_client::JobsClient;
use muster_proto::v1::{self, JobState};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const MS: u64 = 1_000_000;

/// A cluster of one worker that knows the plugin `sleep`, asked over its wire.
struct Cluster {
    muster: Muster,
    runtime: tokio::runtime::Runtime,
    jobs: JobsClient<Link>,
    plugin: Option<v1::PluginRef>,
}

impl Cluster {
    fn start(slots: &str) -> Self {
        let muster = Muster::new();
        muster.run(&["up", "-w", "1", "-t", slots]).ok();
        muster.run(&["submit", &plugin("sleep"), "ms=0", "-n", "1"]).ok();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = AccessFolder::at(&muster.path(".local/state/muster"));
        let target = folder.read(&folder.names().unwrap()[0]).unwrap().target;
        let mut jobs = JobsClient::new(runtime.block_on(connect(&target)).unwrap());
        let known = runtime.block_on(jobs.get(v1::JobRequest { job: 0 })).unwrap().into_inner();
        let plugin = known.spec.unwrap().plugin;
        Self { muster, runtime, jobs, plugin }
    }

    /// Runs tasks of 10 ms that arrive so fast to their end, and looks at all of them.
    fn run(&mut self, tasks: u64, arrivals: v1::Arrivals) -> (v1::JobStatus, Vec<v1::TaskSample>) {
        let spec = v1::JobSpec {
            plugin: self.plugin.clone(),
            params: r#"{"ms":10}"#.into(),
            tasks,
            arrivals: Some(arrivals),
            task_samples: 10_000,
            seed: 3,
            ..v1::JobSpec::default()
        };
        let request = v1::SubmitRequest { request_id: "rate".to_owned(), spec: Some(spec) };
        let jobs = &mut self.jobs;
        self.runtime.block_on(async {
            let job = jobs.submit(request).await.unwrap().into_inner().job;
            let mut watched = jobs.watch(v1::JobRequest { job }).await.unwrap().into_inner();
            let mut last = v1::JobStatus::default();
            while let Some(status) = watched.message().await.unwrap() {
                last = status;
            }
            assert_eq!((last.state(), last.ok), (JobState::Done, tasks), "{last:?}");
            let samples = jobs.task_samples(v1::TaskSamplesRequest { job }).await.unwrap().into_inner();
            assert_eq!(samples.job, job);
            (last, samples.samples)
        })
    }

    fn stop(self) {
        self.muster.run(&["down"]).ok();
        self.muster.assert_no_process_left();
    }
}

fn poisson(rate_per_s: f64) -> v1::Arrivals {
    v1::Arrivals { rate_per_s, pattern: v1::ArrivalPattern::Poisson.into() }
}

/// What the queue of one server must do (Lindley's recursion): a task begins when it is due and the one before it has ended,
/// and as much later as the load generator lags. With that, and with arrivals that are exponential and times that are
/// constant, the mean wait is what Pollaczek and Khinchine say, see below.
#[test]
fn tasks_of_one_slot_wait_as_in_a_queue_of_one_server() {
    const TASKS: u64 = 250;
    let mut cluster = Cluster::start("1");
    let (status, samples) = cluster.run(TASKS, poisson(50.0));
    cluster.stop();
    assert!(samples.iter().map(|sample| sample.index).eq(0..TASKS), "{samples:?}");
    let mut times = Timetable::new(Arrivals::try_new(50.0, Pattern::Poisson).unwrap(), 3);
    let (mut free_ns, mut lags, mut waited) = (0, Vec::new(), 0);
    for sample in &samples {
        let due_ns = times.due(sample.index).0;
        assert!(sample.start_ns >= due_ns.max(free_ns), "it began before its turn: {sample:?}, due {due_ns}");
        assert!(sample.run_ns >= 10 * MS && !sample.failed, "{sample:?}");
        lags.push(sample.start_ns - due_ns.max(free_ns));
        free_ns = sample.start_ns + sample.run_ns;
        assert_eq!(sample.latency_ns, Some(free_ns - due_ns), "{sample:?}");
        waited += u64::from(sample.start_ns - due_ns > 5 * MS);
    }
    let sum = |sketch: &Option<v1::Sketch>| sketch.as_ref().unwrap().sum_ns;
    assert_eq!(sum(&status.latency), samples.iter().filter_map(|sample| sample.latency_ns).sum::<u64>());
    // The thread is free again a moment after its task has ended.
    assert!(sum(&status.start_lag) <= lags.iter().sum(), "{lags:?}");
    assert_eq!(status.start_lag.unwrap().counts.iter().sum::<u64>(), TASKS);
    lags.sort_unstable();
    assert!(lags[lags.len() / 2] < 5 * MS, "a free thread wakes up in time: {lags:?}");
    // Half of the time the slot is busy when a task arrives, and has 5 ms to go.
    assert!(waited > TASKS / 10, "{waited} tasks waited for more than 5 ms");
}

/// The same recursion over many tasks of exactly 10 ms: M/D/1 waits for rho s / (2 (1 - rho)).
#[test]
fn poisson_arrivals_wait_as_pollaczek_and_khinchine_say() {
    const TASKS: u64 = 400_000;
    for (rate, expected_ms) in [(50.0, 5.0), (80.0, 20.0)] {
        let mut times = Timetable::new(Arrivals::try_new(rate, Pattern::Poisson).unwrap(), 1);
        let (mut free_ns, mut waited_ns) = (0, 0);
        for index in 0..TASKS {
            let due_ns = times.due(index).0;
            let begun_ns = due_ns.max(free_ns);
            waited_ns += begun_ns - due_ns;
            free_ns = begun_ns + 10 * MS;
        }
        let mean_ms = waited_ns as f64 / TASKS as f64 / 1e6;
        assert!((mean_ms / expected_ms - 1.0).abs() < 0.05, "{mean_ms} ms at {rate}/s");
    }
}

/// Twice as fast as one slot can: the queue is not hidden (coordinated omission), and the summary says so.
#[test]
fn arrivals_that_are_too_fast_show_as_latency_and_not_as_service_time() {
    const TASKS: u64 = 100;
    let muster = Muster::new();
    let run = ["run", &plugin("sleep"), "ms=10", "-n", "100", "-t", "1", "--rate", "200/s"];
    let finished = muster.run(&[&run[..], &["--json"]].concat()).ok();
    let report = finished.json();
    let open = &report["open_loop"];
    // The last one is due after N/rate and ends after N times 10 ms.
    let last_s = TASKS as f64 * (0.010 - 0.005);
    let max_s = open["latency_s"]["max"].as_f64().unwrap();
    assert!(max_s >= last_s * 0.99, "{report}");
    assert!(open["latency_s"]["p50"].as_f64().unwrap() >= last_s * 0.4, "{report}");
    assert!(open["load"].as_f64().unwrap() >= 1.99 && open["outran"] == true, "{report}");
    let service_s = report["run_s"]["p50"].as_f64().unwrap();
    assert!(service_s >= 0.0099 && service_s < max_s / 3.0, "{report}");
    let said = finished.stderr;
    assert!(said.contains("from the intended start") && said.contains("overload"), "{said}");
    assert!(said.contains("service time"), "{said}");
    // In a closed loop nothing seems to wait.
    let finished = muster.run(&[&run[..7], &["--json"]].concat()).ok();
    assert_eq!(finished.json()["open_loop"], Value::Null);
    assert!(finished.stderr.contains("service time") && !finished.stderr.contains("intended"));
}

#[test]
fn every_model_and_every_kind_of_task_can_arrive() {
    let muster = Muster::new();
    let lines = muster.write("lines", "a\nb a\n".repeat(30));
    let (sleep, words, loops) = (plugin("sleep"), plugin("wordcount"), plugin("loop"));
    let sleep = [&sleep, "ms=10", "-n", "60", "--oversubscribe"];
    let cases: &[&[&[&str]]] = &[
        &[&sleep, &["--model", "process", "-p", "3"]],
        &[&sleep, &["--model", "hybrid", "-p", "2", "-t", "2"]],
        &[&sleep, &["--model", "async", "-t", "1"]],
        &[&sleep, &["--model", "async", "-p", "2", "-t", "1", "--in-flight", "3"]],
        &[&sleep, &["--model", "gil", "-t", "3"]],
        &[&sleep, &["--model", "spawn", "-p", "3"]],
        &[&sleep, &["--timeout", "20s"]],
        &[&[&words, "--lines", &lines]],
        &[&[&words, "--lines", &lines, "--reduce"]],
        &[&[&loops, "iters=10", "-n", "60", "--reduce"]],
    ];
    for case in cases {
        let rate: &[&str] = &["--rate", "100/s", "--arrivals", "poisson", "--seed", "5", "--json"];
        let report = muster.run(&[&[&["run"][..]], *case, &[rate]].concat().concat()).ok().json();
        assert_eq!(
            (report["ok"].as_u64(), report["failed"].as_u64()),
            (Some(60), Some(0)),
            "{case:?}: {report}"
        );
        let latency = &report["open_loop"]["latency_s"];
        assert_eq!(latency["samples"], 60, "{case:?}: {report}");
        // Nobody runs ahead.
        let arrivals = Arrivals::try_new(100.0, Pattern::Poisson).unwrap();
        let last_s = Timetable::new(arrivals, 5).due(59).0 as f64 / 1e9;
        assert!(report["wall_s"].as_f64().unwrap() >= last_s, "{case:?}: {report}");
        let least_s = if case[0].contains(&"ms=10") { 0.010 } else { 0.0 };
        assert!(latency["mean"].as_f64().unwrap() >= least_s, "{case:?}: {report}");
    }
    muster.assert_no_process_left();
}

#[test]
fn waiting_for_an_arrival_ends_at_once_with_the_job() {
    let muster = Muster::new();
    muster.run(&["up", "-w", "2", "-t", "2"]).ok();
    let sleep = plugin("sleep");
    for model in [&["--model", "process", "-p", "2"][..], &["--model", "async", "-t", "1"]] {
        muster.run(&[&["submit", &sleep, "ms=1", "-n", "50", "--rate", "1/h"], model].concat()).ok();
        let info = || muster.run(&["job", "info", "--json"]).ok().json();
        assert!(wait_until(|| info()["ok"] == 1), "{}", info());
        let began = Instant::now();
        let report = muster.run(&["job", "cancel", "--json"]).ok().json();
        assert!(began.elapsed() < Duration::from_secs(5), "{model:?}: {:?}", began.elapsed());
        assert_eq!((&report["state"], report["ok"].as_u64()), (&"cancelled".into(), Some(1)), "{report}");
        // One queue, one worker, though there are two.
        assert_eq!(report["workers"], 1, "{report}");
    }
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
}

#[test]
fn a_killed_executor_loses_no_task_and_the_times_go_on() {
    let muster = Muster::new();
    let out = muster.path("out");
    let flags =
        ["-n", "150", "--rate", "100/s", "--model", "process", "-p", "2", "--oversubscribe", "--json"];
    let sleep = plugin("sleep");
    let run = [&["run", &sleep, "ms=5", "--out", out.to_str().unwrap()], &flags[..]].concat();
    let started = muster.start(&run);
    let executors = || -> Vec<u32> {
        let all = muster.processes().into_iter();
        all.filter(|(_, command)| command.contains("__executor")).map(|(pid, _)| pid).collect()
    };
    assert!(wait_until(|| executors().len() == 2));
    muster.signal(executors()[0], libc::SIGKILL);
    let report = started.finish().ok().json();
    assert_eq!((report["ok"].as_u64(), report["lost_executors"].as_u64()), (Some(150), Some(1)), "{report}");
    // From one zero on, whichever executor runs a task.
    let wall_s = report["wall_s"].as_f64().unwrap();
    assert!(wall_s >= 1.49, "{report}");
    let lines = std::fs::read_to_string(&out).unwrap();
    let indexes: Vec<u64> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["index"].as_u64().unwrap())
        .collect();
    assert_eq!(indexes.len(), 150);
    assert!(indexes.iter().copied().collect::<BTreeSet<_>>().into_iter().eq(0..150));
    muster.assert_no_process_left();
}
