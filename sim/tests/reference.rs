//! The reference workload gives the makespans that were found without muster, through the real scheduler and agents.

#![allow(clippy::unwrap_used, missing_docs)]

use muster_core::scheduler::JobSpec;
use muster_core::time::Span;
use muster_sim::cluster::Cluster;
use muster_sim::outcome::Report;
use muster_sim::scenario::{Coordinator, Job, Link, Scenario, Scheduling, TaskTime, Unreliable, WorkerGroup};

fn reference(workers: u32, tasks: u64) -> Scenario {
    Scenario {
        name: "reference".to_owned(),
        seed: 42,
        until: Span(u64::MAX / 8),
        scheduling: Scheduling {
            policy: "fifo+fixed:1".parse().unwrap(),
            lease: Span::from_millis(10_000),
            credit_tasks: 1,
            credit: Span::ZERO,
            claim: Span::from_millis(1),
            hold: Span::from_millis(100),
        },
        coordinator: Coordinator {
            per_message: Span::ZERO,
            per_byte_ps: 0,
            commit: Span::ZERO,
            bandwidth: None,
        },
        workers: vec![WorkerGroup {
            name: "workers".to_owned(),
            count: workers,
            slots: 1,
            cores: 1,
            speed: 1.0,
            executor_start: Span::ZERO,
            plugin_load: Span::ZERO,
            link: Some(0),
        }],
        links: vec![Link {
            name: "lan".to_owned(),
            latency: Span::from_millis(1),
            jitter: Span::ZERO,
            bandwidth: None,
            worker_bandwidth: None,
            unreliable: Unreliable::default(),
        }],
        jobs: vec![Job {
            name: "main".to_owned(),
            submit_at: Span::ZERO,
            spec: JobSpec { tasks, ..JobSpec::default() },
            time: TaskTime::Exp { mean: Span::from_millis(1_000) },
            io: 0.0,
            plugin_bytes: 0,
            input_bytes: 0,
            result_bytes: 0,
            plugin: None,
        }],
        faults: vec![],
    }
}

fn run(workers: u32, tasks: u64) -> Report {
    Cluster::new(reference(workers, tasks), 42).run(|| false)
}

#[test]
fn a_hundred_workers() {
    let report = run(100, 100_000);
    assert_eq!(report.committed(), 100_000);
    let seconds = report.makespan.as_secs_f64();
    assert!((seconds - 1001.93556).abs() < 20e-6, "{seconds}");
}
