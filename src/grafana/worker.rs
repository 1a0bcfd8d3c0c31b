//! The dashboard of workers: all of them, or some that the reader chooses.

use super::panel::{Choice, Dashboard, Panel, Row, Shown, Unit, q};

pub const WORKER: Dashboard = Dashboard {
    name: "worker",
    description: "What workers do: slots, executors, plugins, and where the time of their tasks goes.",
    choice: Some(Choice {
        name: "worker",
        label: "Worker",
        of: r#"muster_worker_connected{job="muster-worker"}"#,
    }),
    rows: &[NOW, WORK, EXECUTORS, MACHINE],
};

const NOW: Row = Row {
    title: "Now",
    panels: &[
        Panel::number(
            "Connected",
            "Workers whose link to the coordinator stands.",
            Unit::Number,
            &[q(r#"sum(muster_worker_connected{job="muster-worker", worker=~"$worker"})"#, "connected")],
        )
        .alert("MusterWorkerNotConnected"),
        Panel::number(
            "Slots busy",
            "Share of the slots that run a task now.",
            Unit::Share,
            &[q(
                r#"sum(muster_slots{job="muster-worker", state="busy", worker=~"$worker"}) / sum(muster_slots{job="muster-worker", worker=~"$worker"})"#,
                "busy",
            )],
        ),
        Panel::number(
            "Executors",
            "Executor processes.",
            Unit::Number,
            &[q(r#"sum(muster_executors{job="muster-worker", worker=~"$worker"})"#, "executors")],
        ),
        Panel::number(
            "Attempts per second",
            "Attempts at tasks that ended, over the last four scrapes.",
            Unit::PerSecond,
            &[q(
                r#"sum(rate(muster_attempts_total{job="muster-worker", worker=~"$worker"}[$__rate_interval]))"#,
                "attempts/s",
            )],
        ),
        Panel::number(
            "Crashed executors",
            "Executors that what they ran ended, in the time shown.",
            Unit::Number,
            &[q(
                r#"sum(increase(muster_executor_exits_total{job="muster-worker", worker=~"$worker", cause=~"exited|signal|aborted|protocol|memory"}[$__range])) or vector(0)"#,
                "crashed",
            )],
        )
        .bad()
        .alert("MusterCrashLoop"),
        Panel::number(
            "Plugins not loaded",
            "Loads of plugins that failed in the time shown.",
            Unit::Number,
            &[q(
                r#"sum(increase(muster_plugin_loads_total{job="muster-worker", worker=~"$worker", result="failed"}[$__range])) or vector(0)"#,
                "failed",
            )],
        )
        .bad()
        .alert("MusterPluginLoadFailing"),
    ],
};

const WORK: Row = Row {
    title: "Work",
    panels: &[
        Panel::lines(
            "Attempts by worker",
            "Attempts at tasks that ended per second.",
            Unit::PerSecond,
            &[q(
                r#"sum by (worker) (rate(muster_attempts_total{job="muster-worker", worker=~"$worker"}[$__rate_interval]))"#,
                "{{worker}}",
            )],
        ),
        Panel::lines(
            "Attempts by outcome",
            "The same by how they ended.",
            Unit::PerSecond,
            &[q(
                r#"sum by (outcome) (rate(muster_attempts_total{job="muster-worker", worker=~"$worker"}[$__rate_interval]))"#,
                "{{outcome}}",
            )],
        ),
        Panel::lines(
            "Pool utilisation",
            "Share of the time of slots with a job that tasks took. Far below 1 while tasks wait: they are too short, or leases too.",
            Unit::Share,
            &[q(
                r#"sum by (worker) (rate(muster_slot_busy_seconds_total{job="muster-worker", worker=~"$worker"}[$__rate_interval])) / (sum by (worker) (rate(muster_slot_seconds_total{job="muster-worker", worker=~"$worker"}[$__rate_interval])) > 0)"#,
                "{{worker}}",
            )],
        )
        .up_to(q("vector(1)", "all")),
        Panel::lines(
            "Task phases, median",
            "Dispatch, from the lease's arrival to a thread; run, which is sampled; and report, until results were sent.",
            Unit::Seconds,
            &[q(
                r#"histogram_quantile(0.5, sum by (phase, le) (rate(muster_task_phase_seconds_bucket{job="muster-worker", worker=~"$worker"}[$__rate_interval])))"#,
                "{{phase}}",
            )],
        ),
        Panel::lines(
            "Task phases, 99th percentile",
            "The same for the slowest of a hundred tasks.",
            Unit::Seconds,
            &[q(
                r#"histogram_quantile(0.99, sum by (phase, le) (rate(muster_task_phase_seconds_bucket{job="muster-worker", worker=~"$worker"}[$__rate_interval])))"#,
                "{{phase}}",
            )],
        )
        .alert("MusterDispatchSlow"),
        Panel::lines(
            "Slots",
            "Slots that run a task, below all of them.",
            Unit::Number,
            &[q(
                r#"sum by (worker) (muster_slots{job="muster-worker", state="busy", worker=~"$worker"})"#,
                "{{worker}}",
            )],
        )
        .up_to(q(r#"sum(muster_slots{job="muster-worker", worker=~"$worker"})"#, "all")),
        Panel::lines(
            "Wait for the interpreter lock",
            "Half of the tasks under `gil` waited longer for it in all, and one of a hundred.",
            Unit::Seconds,
            &[
                q(
                    r#"histogram_quantile(0.5, sum by (le) (rate(muster_gil_wait_seconds_bucket{job="muster-worker", worker=~"$worker"}[$__rate_interval])))"#,
                    "median",
                ),
                q(
                    r#"histogram_quantile(0.99, sum by (le) (rate(muster_gil_wait_seconds_bucket{job="muster-worker", worker=~"$worker"}[$__rate_interval])))"#,
                    "99th percentile",
                ),
            ],
        ),
        Panel::lines(
            "Cancel latency",
            "From telling the running tasks of a job to stop until all had.",
            Unit::Seconds,
            &[
                q(
                    r#"histogram_quantile(0.5, sum by (le) (rate(muster_cancel_latency_seconds_bucket{job="muster-worker", worker=~"$worker"}[$__rate_interval])))"#,
                    "median",
                ),
                q(
                    r#"histogram_quantile(0.99, sum by (le) (rate(muster_cancel_latency_seconds_bucket{job="muster-worker", worker=~"$worker"}[$__rate_interval])))"#,
                    "99th percentile",
                ),
            ],
        ),
        Panel::lines(
            "Leases",
            "Leases that the workers have.",
            Unit::Number,
            &[q(r#"sum by (worker) (muster_leases{job="muster-worker", worker=~"$worker"})"#, "{{worker}}")],
        ),
    ],
};

const EXECUTORS: Row = Row {
    title: "Executors and plugins",
    panels: &[
        Panel::lines(
            "Executors by state",
            "Starting, busy with a job, or idle.",
            Unit::Number,
            &[q(
                r#"sum by (state) (muster_executors{job="muster-worker", worker=~"$worker"})"#,
                "{{state}}",
            )],
        ),
        Panel::lines(
            "Starts",
            "Executors that were started per second, and those of them in place of one that had ended unasked.",
            Unit::PerSecond,
            &[
                q(
                    r#"sum(rate(muster_executor_starts_total{job="muster-worker", worker=~"$worker"}[$__rate_interval]))"#,
                    "started",
                ),
                q(
                    r#"sum(rate(muster_executor_restarts_total{job="muster-worker", worker=~"$worker"}[$__rate_interval]))"#,
                    "of them restarted",
                ),
            ],
        )
        .alert("MusterCrashLoop"),
        Panel::lines(
            "Exits by cause",
            "Executors that ended, in the time of a point. Stopped and retired are no faults.",
            Unit::Number,
            &[q(
                r#"sum by (cause) (increase(muster_executor_exits_total{job="muster-worker", worker=~"$worker"}[$__rate_interval]))"#,
                "{{cause}}",
            )],
        )
        .alert("MusterCrashLoop"),
        Panel::lines(
            "Start of an executor",
            "From its start until it was ready for tasks.",
            Unit::Seconds,
            &[
                q(
                    r#"histogram_quantile(0.5, sum by (le) (rate(muster_executor_start_seconds_bucket{job="muster-worker", worker=~"$worker"}[$__rate_interval])))"#,
                    "median",
                ),
                q(
                    r#"histogram_quantile(0.99, sum by (le) (rate(muster_executor_start_seconds_bucket{job="muster-worker", worker=~"$worker"}[$__rate_interval])))"#,
                    "99th percentile",
                ),
            ],
        ),
        Panel::lines(
            "Plugin loads",
            "By result, in the time of a point.",
            Unit::Number,
            &[q(
                r#"sum by (result) (increase(muster_plugin_loads_total{job="muster-worker", worker=~"$worker"}[$__rate_interval]))"#,
                "{{result}}",
            )],
        )
        .alert("MusterPluginLoadFailing"),
        Panel::lines(
            "Plugin cache",
            "Plugins asked of the cache, by result, in the time of a point.",
            Unit::Number,
            &[q(
                r#"sum by (result) (increase(muster_plugin_cache_requests_total{job="muster-worker", worker=~"$worker"}[$__rate_interval]))"#,
                "{{result}}",
            )],
        ),
    ],
};

const MACHINE: Row = Row {
    title: "Machine and link",
    panels: &[
        Panel::lines(
            "Memory",
            "Proportional memory of the worker and its executors.",
            Unit::Bytes,
            &[q(
                r#"sum by (worker) (muster_worker_pss_bytes{job="muster-worker", worker=~"$worker"})"#,
                "{{worker}}",
            )],
        ),
        Panel::lines(
            "CPU of the agent",
            "Processors that the worker's own process uses; its executors are not in it.",
            Unit::Number,
            &[q(
                r#"sum by (worker) (rate(process_cpu_seconds_total{job="muster-worker", worker=~"$worker"}[$__rate_interval]))"#,
                "{{worker}}",
            )],
        ),
        Panel::lines(
            "Link",
            "Bytes of messages to and from the coordinator.",
            Unit::BytesPerSecond,
            &[q(
                r#"sum by (direction) (rate(muster_link_bytes_total{job="muster-worker", worker=~"$worker"}[$__rate_interval]))"#,
                "{{direction}}",
            )],
        )
        .alert("MusterWorkerNotConnected"),
        Panel::lines(
            "Plugins in the cache",
            "What they take there.",
            Unit::Bytes,
            &[q(
                r#"sum by (worker) (muster_plugin_cache_bytes{job="muster-worker", worker=~"$worker"})"#,
                "{{worker}}",
            )],
        ),
        Panel::lines(
            "Results that nobody waits for",
            "Per second: their leases had ended.",
            Unit::PerSecond,
            &[q(
                r#"sum by (worker) (rate(muster_results_refused_total{job="muster-worker", worker=~"$worker"}[$__rate_interval]))"#,
                "{{worker}}",
            )],
        ),
        Panel::lines(
            "Links that came to stand",
            "How often, in the time of a point. More than once: the network, or a coordinator that starts again.",
            Unit::Number,
            &[q(
                r#"sum by (worker) (increase(muster_link_connects_total{job="muster-worker", worker=~"$worker"}[$__rate_interval]))"#,
                "{{worker}}",
            )],
        )
        .alert("MusterWorkerNotConnected"),
        Panel::table(
            "Isolation",
            "What keeps executors apart on each worker.",
            &[q(r#"muster_isolation_info{job="muster-worker", worker=~"$worker"}"#, "")],
            Shown::Labels,
        ),
    ],
};
