//! The dashboard of plugins: all of them, or some that the reader chooses.

use super::panel::{Choice, Dashboard, Panel, Row, Shown, Unit, q};

pub const PLUGIN: Dashboard = Dashboard {
    name: "plugin",
    description: "What a workload does: how its tasks end, how long they take, and its own metrics.",
    choice: Some(Choice {
        name: "plugin",
        label: "Plugin",
        of: r#"muster_tasks_total{job="muster-coordinator"}"#,
    }),
    rows: &[NOW, TASKS, TIME, OWN],
};

const NOW: Row = Row {
    title: "Now",
    panels: &[
        Panel::number(
            "Tasks waiting",
            "Tasks that no worker has.",
            Unit::Number,
            &[q(r#"sum(muster_queue_tasks{job="muster-coordinator", plugin=~"$plugin"}) or vector(0)"#, "waiting")],
        )
        .wide(6)
        .alert("MusterQueueStalled"),
        Panel::number(
            "Tasks per second",
            "Tasks that ended, in any way, over the last four scrapes.",
            Unit::PerSecond,
            &[q(
                r#"sum(rate(muster_tasks_total{job="muster-coordinator", plugin=~"$plugin"}[$__rate_interval]))"#,
                "tasks/s",
            )],
        )
        .wide(6),
        Panel::number(
            "Failed tasks",
            "Tasks that failed for good in the time shown.",
            Unit::Number,
            &[q(
                r#"sum(increase(muster_tasks_total{job="muster-coordinator", plugin=~"$plugin", outcome="failed"}[$__range])) or vector(0)"#,
                "failed",
            )],
        )
        .wide(6)
        .bad()
        .alert("MusterErrorRatio"),
        Panel::number(
            "Quarantined tasks",
            "Tasks that used up their attempts by ending executors or by panics, in the time shown.",
            Unit::Number,
            &[q(
                r#"sum(increase(muster_quarantined_tasks_total{job="muster-coordinator", plugin=~"$plugin"}[$__range])) or vector(0)"#,
                "quarantined",
            )],
        )
        .wide(6)
        .bad()
        .alert("MusterCrashLoop"),
    ],
};

const TASKS: Row = Row {
    title: "Tasks",
    panels: &[
        Panel::lines(
            "Tasks by plugin",
            "Tasks that ended per second.",
            Unit::PerSecond,
            &[q(
                r#"sum by (plugin) (rate(muster_tasks_total{job="muster-coordinator", plugin=~"$plugin"}[$__rate_interval]))"#,
                "{{plugin}}",
            )],
        ),
        Panel::lines(
            "Tasks by outcome",
            "The same by how they ended.",
            Unit::PerSecond,
            &[q(
                r#"sum by (outcome) (rate(muster_tasks_total{job="muster-coordinator", plugin=~"$plugin"}[$__rate_interval]))"#,
                "{{outcome}}",
            )],
        )
        .alert("MusterErrorRatio"),
        Panel::lines(
            "Attempts by outcome",
            "Attempts at tasks that ended per second. More of them than tasks: something runs again.",
            Unit::PerSecond,
            &[q(
                r#"sum by (outcome) (rate(muster_attempts_total{job="muster-worker", plugin=~"$plugin"}[$__rate_interval]))"#,
                "{{outcome}}",
            )],
        ),
        Panel::lines(
            "Queue",
            "Tasks that no worker has, by plugin and priority.",
            Unit::Number,
            &[q(
                r#"sum by (plugin, priority) (muster_queue_tasks{job="muster-coordinator", plugin=~"$plugin"})"#,
                "{{plugin}}, {{priority}}",
            )],
        )
        .alert("MusterQueueGrowing"),
        Panel::lines(
            "Longest wait",
            "How long the task that has waited longest for its first lease has done so.",
            Unit::Seconds,
            &[q(
                r#"max by (plugin, priority) (muster_queue_oldest_seconds{job="muster-coordinator", plugin=~"$plugin"})"#,
                "{{plugin}}, {{priority}}",
            )],
        )
        .alert("MusterQueueStalled"),
        Panel::lines(
            "Share that failed",
            "Tasks that failed for good, of all that ended.",
            Unit::Share,
            &[q(
                r#"sum by (plugin) (rate(muster_tasks_total{job="muster-coordinator", plugin=~"$plugin", outcome="failed"}[$__rate_interval])) / (sum by (plugin) (rate(muster_tasks_total{job="muster-coordinator", plugin=~"$plugin"}[$__rate_interval])) > 0)"#,
                "{{plugin}}",
            )],
        )
        .up_to(q("vector(1)", "all"))
        .alert("MusterErrorRatio"),
    ],
};

const TIME: Row = Row {
    title: "Time",
    panels: &[
        Panel::lines(
            "Run time, median",
            "What half of the tasks take at most, of a sample.",
            Unit::Seconds,
            &[q(
                r#"histogram_quantile(0.5, sum by (plugin, le) (rate(muster_task_phase_seconds_bucket{job="muster-worker", plugin=~"$plugin", phase="run"}[$__rate_interval])))"#,
                "{{plugin}}",
            )],
        ),
        Panel::lines(
            "Run time, 99th percentile",
            "The same for the slowest of a hundred tasks.",
            Unit::Seconds,
            &[q(
                r#"histogram_quantile(0.99, sum by (plugin, le) (rate(muster_task_phase_seconds_bucket{job="muster-worker", plugin=~"$plugin", phase="run"}[$__rate_interval])))"#,
                "{{plugin}}",
            )],
        ),
        Panel::lines(
            "Wait for a lease, 99th percentile",
            "From submit to lease.",
            Unit::Seconds,
            &[q(
                r#"histogram_quantile(0.99, sum by (plugin, le) (rate(muster_task_phase_seconds_bucket{job="muster-coordinator", plugin=~"$plugin", phase="queue"}[$__rate_interval])))"#,
                "{{plugin}}",
            )],
        )
        .alert("MusterQueueGrowing"),
        Panel::lines(
            "Slots",
            "Slots that tasks kept busy on average, below those that belonged to jobs of the plugin.",
            Unit::Number,
            &[q(
                r#"sum(rate(muster_slot_busy_seconds_total{job="muster-worker", plugin=~"$plugin"}[$__rate_interval]))"#,
                "busy",
            )],
        )
        .up_to(q(
            r#"sum(rate(muster_slot_seconds_total{job="muster-worker", plugin=~"$plugin"}[$__rate_interval]))"#,
            "its own",
        )),
        Panel::lines(
            "Wait for the interpreter lock",
            "Share of the time of slots in which tasks under `gil` waited for their lock.",
            Unit::Share,
            &[q(
                r#"sum by (plugin) (rate(muster_gil_wait_seconds_sum{job="muster-worker", plugin=~"$plugin"}[$__rate_interval])) / (sum by (plugin) (rate(muster_slot_seconds_total{job="muster-worker", plugin=~"$plugin"}[$__rate_interval])) > 0)"#,
                "{{plugin}}",
            )],
        ),
        Panel::lines(
            "Start of an executor, 99th percentile",
            "From its start until it was ready for tasks of the plugin.",
            Unit::Seconds,
            &[q(
                r#"histogram_quantile(0.99, sum by (plugin, le) (rate(muster_executor_start_seconds_bucket{job="muster-worker", plugin=~"$plugin"}[$__rate_interval])))"#,
                "{{plugin}}",
            )],
        ),
    ],
};

const OWN: Row = Row {
    title: "Own metrics",
    panels: &[Panel::table(
        "Metrics of plugins",
        "What plugins declare in their manifests and set as they run, added up over all workers.",
        &[q(
            r#"sum by (__name__) ({job="muster-worker", __name__=~"muster_plugin_.+", __name__!~"muster_plugin_(loads|cache)_.+"})"#,
            "",
        )],
        Shown::NameAndValue,
    )],
};
