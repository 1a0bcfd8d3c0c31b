//! The dashboard of a whole cluster.

use super::panel::{Dashboard, Panel, Row, Shown, Unit, q};

pub const OVERVIEW: Dashboard = Dashboard {
    name: "overview",
    description: "One cluster at a glance: what is done, what waits, what it costs.",
    choice: None,
    rows: &[NOW, WORK, CLUSTER, COORDINATOR],
};

const NOW: Row = Row {
    title: "Now",
    panels: &[
        Panel::number(
            "Workers up",
            "Workers that are attached to the coordinator.",
            Unit::Number,
            &[q(r#"sum(muster_workers{job="muster-coordinator", state="up"})"#, "up")],
        )
        .alert("MusterNoWorkers"),
        Panel::number(
            "Slots busy",
            "Share of all slots that run a task now. Low with a long queue: look at dispatch, and at the lengths of leases.",
            Unit::Share,
            &[q(
                r#"sum(muster_slots{job="muster-coordinator", state="busy"}) / sum(muster_slots{job="muster-coordinator"})"#,
                "busy",
            )],
        ),
        Panel::number(
            "Tasks waiting",
            "Tasks that no worker has.",
            Unit::Number,
            &[q(r#"sum(muster_queue_tasks{job="muster-coordinator"})"#, "waiting")],
        )
        .alert("MusterQueueStalled"),
        Panel::number(
            "Tasks per second",
            "Tasks that ended, in any way, over the last four scrapes.",
            Unit::PerSecond,
            &[q(r#"sum(rate(muster_tasks_total{job="muster-coordinator"}[$__rate_interval]))"#, "tasks/s")],
        ),
        Panel::number(
            "Failed tasks",
            "Tasks that failed for good in the time shown.",
            Unit::Number,
            &[q(
                r#"sum(increase(muster_tasks_total{job="muster-coordinator", outcome="failed"}[$__range])) or 0 * sum(muster_tasks_total{job="muster-coordinator"})"#,
                "failed",
            )],
        )
        .bad()
        .alert("MusterErrorRatio"),
        Panel::number(
            "Crashed executors",
            "Executors that what they ran ended, in the time shown. Tasks beside the culprit run again.",
            Unit::Number,
            &[q(
                r#"sum(increase(muster_executor_exits_total{job="muster-worker", cause=~"exited|signal|aborted|protocol|memory"}[$__range])) or vector(0)"#,
                "crashed",
            )],
        )
        .bad()
        .alert("MusterCrashLoop"),
    ],
};

const WORK: Row = Row {
    title: "Work",
    panels: &[
        Panel::lines(
            "Tasks by outcome",
            "Tasks that ended per second. Each task ends once, whatever ran again.",
            Unit::PerSecond,
            &[q(
                r#"sum by (outcome) (rate(muster_tasks_total{job="muster-coordinator"}[$__rate_interval]))"#,
                "{{outcome}}",
            )],
        )
        .alert("MusterErrorRatio"),
        Panel::lines(
            "Attempts by outcome",
            "Attempts at tasks that ended per second on all workers. More of them than tasks: something runs again.",
            Unit::PerSecond,
            &[q(
                r#"sum by (outcome) (rate(muster_attempts_total{job="muster-worker"}[$__rate_interval]))"#,
                "{{outcome}}",
            )],
        ),
        Panel::lines(
            "Queue",
            "Tasks that no worker has, by plugin and priority.",
            Unit::Number,
            &[q(
                r#"sum by (plugin, priority) (muster_queue_tasks{job="muster-coordinator"})"#,
                "{{plugin}}, {{priority}}",
            )],
        )
        .alert("MusterQueueGrowing"),
        Panel::lines(
            "Longest wait",
            "How long the task that has waited longest for its first lease has done so.",
            Unit::Seconds,
            &[q(
                r#"max by (plugin, priority) (muster_queue_oldest_seconds{job="muster-coordinator"})"#,
                "{{plugin}}, {{priority}}",
            )],
        )
        .alert("MusterQueueStalled"),
        Panel::lines(
            "Task phases, median",
            "Where the time of tasks goes: queue, from submit to lease; dispatch, on the worker before a thread has it; run; and \
             report, until the coordinator has the result. Phases of two clocks are never added up.",
            Unit::Seconds,
            &[
                q(
                    r#"histogram_quantile(0.5, sum by (phase, le) (rate(muster_task_phase_seconds_bucket{job="muster-coordinator", phase="queue"}[$__rate_interval])))"#,
                    "{{phase}}",
                ),
                q(
                    r#"histogram_quantile(0.5, sum by (phase, le) (rate(muster_task_phase_seconds_bucket{job="muster-worker"}[$__rate_interval])))"#,
                    "{{phase}}",
                ),
            ],
        ),
        Panel::lines(
            "Task phases, 99th percentile",
            "The same for the slowest of a hundred tasks.",
            Unit::Seconds,
            &[
                q(
                    r#"histogram_quantile(0.99, sum by (phase, le) (rate(muster_task_phase_seconds_bucket{job="muster-coordinator", phase="queue"}[$__rate_interval])))"#,
                    "{{phase}}",
                ),
                q(
                    r#"histogram_quantile(0.99, sum by (phase, le) (rate(muster_task_phase_seconds_bucket{job="muster-worker"}[$__rate_interval])))"#,
                    "{{phase}}",
                ),
            ],
        )
        .alert("MusterDispatchSlow"),
        Panel::lines(
            "Jobs",
            "Jobs that have not ended, and those of them that are paused because most of their attempts end their executor.",
            Unit::Number,
            &[
                q(r#"sum(muster_jobs{job="muster-coordinator"})"#, "not ended"),
                q(r#"sum(muster_jobs_paused{job="muster-coordinator"})"#, "paused"),
            ],
        )
        .alert("MusterJobPaused"),
        Panel::lines(
            "Jobs that ended",
            "Per second, by how they ended.",
            Unit::PerSecond,
            &[q(
                r#"sum by (outcome) (rate(muster_jobs_ended_total{job="muster-coordinator"}[$__rate_interval]))"#,
                "{{outcome}}",
            )],
        ),
        Panel::lines(
            "Done twice, or given up",
            "Tasks per second whose result came a second time and was dropped, that were leased to a second worker because the first \
             took too long, and that used up their attempts by ending executors.",
            Unit::PerSecond,
            &[
                q(
                    r#"sum(rate(muster_duplicate_tasks_total{job="muster-coordinator"}[$__rate_interval]))"#,
                    "duplicates",
                ),
                q(
                    r#"sum(rate(muster_speculative_tasks_total{job="muster-coordinator"}[$__rate_interval]))"#,
                    "speculative",
                ),
                q(
                    r#"sum(rate(muster_quarantined_tasks_total{job="muster-coordinator"}[$__rate_interval])) or 0 * sum(muster_jobs{job="muster-coordinator"})"#,
                    "quarantined",
                ),
            ],
        ),
    ],
};

const CLUSTER: Row = Row {
    title: "Cluster",
    panels: &[
        Panel::lines(
            "Workers",
            "Workers by state. Lost and left count since the coordinator started.",
            Unit::Number,
            &[q(r#"sum by (state) (muster_workers{job="muster-coordinator"})"#, "{{state}}")],
        )
        .alert("MusterWorkersLost"),
        Panel::lines(
            "Slots",
            "Slots that run a task, below all slots of the workers that are there.",
            Unit::Number,
            &[q(r#"sum(muster_slots{job="muster-coordinator", state="busy"})"#, "busy")],
        )
        .up_to(q(r#"sum(muster_slots{job="muster-coordinator"})"#, "all")),
        Panel::lines(
            "Comings and goings",
            "Workers that attached and that went, in the time of a point. Left is the one that is no loss.",
            Unit::Number,
            &[
                q(
                    r#"sum(increase(muster_worker_registrations_total{job="muster-coordinator"}[$__rate_interval]))"#,
                    "attached",
                ),
                q(
                    r#"sum by (reason) (increase(muster_worker_losses_total{job="muster-coordinator"}[$__rate_interval]))"#,
                    "{{reason}}",
                ),
            ],
        )
        .alert("MusterWorkersLost"),
        Panel::lines(
            "Executors",
            "Executor processes of each worker.",
            Unit::Number,
            &[q(r#"sum by (worker) (muster_executors{job="muster-worker"})"#, "{{worker}}")],
        ),
        Panel::lines(
            "Executor exits",
            "Executors that ended, by cause, in the time of a point. Stopped and retired are no faults.",
            Unit::Number,
            &[q(
                r#"sum by (cause) (increase(muster_executor_exits_total{job="muster-worker"}[$__rate_interval]))"#,
                "{{cause}}",
            )],
        )
        .alert("MusterCrashLoop"),
        Panel::lines(
            "Plugin loads",
            "Plugins that executors loaded, by result, in the time of a point.",
            Unit::Number,
            &[q(
                r#"sum by (result) (increase(muster_plugin_loads_total{job="muster-worker"}[$__rate_interval]))"#,
                "{{result}}",
            )],
        )
        .alert("MusterPluginLoadFailing"),
        Panel::lines(
            "Lease length",
            "Tasks of a lease when it is made: long for short tasks, 1 for long ones.",
            Unit::Number,
            &[
                q(
                    r#"histogram_quantile(0.5, sum by (le) (rate(muster_lease_tasks_bucket{job="muster-coordinator"}[$__rate_interval])))"#,
                    "median",
                ),
                q(
                    r#"histogram_quantile(0.9, sum by (le) (rate(muster_lease_tasks_bucket{job="muster-coordinator"}[$__rate_interval])))"#,
                    "90th percentile",
                ),
            ],
        ),
        Panel::lines(
            "Leases",
            "Leases in force.",
            Unit::Number,
            &[q(r#"sum(muster_leases{job="muster-coordinator"})"#, "in force")],
        ),
        Panel::lines(
            "Leases that were cut short",
            "Per second: those of which tasks were called back, for others or because a job was held, and those whose worker was gone.",
            Unit::PerSecond,
            &[
                q(
                    r#"sum(rate(muster_leases_recalled_total{job="muster-coordinator"}[$__rate_interval]))"#,
                    "recalled",
                ),
                q(
                    r#"sum(rate(muster_leases_expired_total{job="muster-coordinator"}[$__rate_interval]))"#,
                    "expired",
                ),
            ],
        ),
    ],
};

const COORDINATOR: Row = Row {
    title: "Coordinator",
    panels: &[
        Panel::lines(
            "Store commits",
            "How long the store took to make a batch of records durable. Absent without a state folder.",
            Unit::Seconds,
            &[
                q(
                    r#"histogram_quantile(0.5, sum by (le) (rate(muster_store_commit_seconds_bucket{job="muster-coordinator"}[$__rate_interval])))"#,
                    "median",
                ),
                q(
                    r#"histogram_quantile(0.99, sum by (le) (rate(muster_store_commit_seconds_bucket{job="muster-coordinator"}[$__rate_interval])))"#,
                    "99th percentile",
                ),
            ],
        )
        .alert("MusterStoreSlow"),
        Panel::lines(
            "Disk of the state folder",
            "What this user can still write to its file system.",
            Unit::Bytes,
            &[q(r#"sum(muster_state_free_bytes{job="muster-coordinator"})"#, "free")],
        )
        .up_to(q(r#"sum(muster_state_size_bytes{job="muster-coordinator"})"#, "size"))
        .alert("MusterDiskFilling"),
        Panel::lines(
            "Reports that wait",
            "Bytes of results that wait for the driver or the store. Workers wait at the limit.",
            Unit::Bytes,
            &[q(r#"sum(muster_report_backlog_bytes{job="muster-coordinator"})"#, "waiting")],
        )
        .up_to(q("vector(134217728)", "limit"))
        .alert("MusterStoreSlow"),
        Panel::lines(
            "gRPC requests",
            "Requests that ended per second, by code. Another code than ok is an error.",
            Unit::PerSecond,
            &[q(
                r#"sum by (code) (rate(muster_grpc_requests_total{job="muster-coordinator"}[$__rate_interval]))"#,
                "{{code}}",
            )],
        ),
        Panel::lines(
            "gRPC requests by method",
            "Requests that ended per second, by method.",
            Unit::PerSecond,
            &[q(
                r#"sum by (method) (rate(muster_grpc_requests_total{job="muster-coordinator"}[$__rate_interval]))"#,
                "{{method}}",
            )],
        ),
        Panel::lines(
            "Messages that wait",
            "For workers to read them, and for the driver to take them.",
            Unit::Number,
            &[
                q(r#"sum(muster_stream_queue_messages{job="muster-coordinator"})"#, "for workers"),
                q(r#"sum(muster_driver_queue_commands{job="muster-coordinator"})"#, "for the driver"),
            ],
        )
        .alert("MusterStreamOverrun"),
        Panel::lines(
            "Messages that were refused or dropped",
            "Per second, by reason. Stale ones are those of an earlier life of the coordinator or a worker.",
            Unit::PerSecond,
            &[
                q(
                    r#"sum by (reason) (rate(muster_rejected_messages_total{job="muster-coordinator"}[$__rate_interval]))"#,
                    "refused, {{reason}}",
                ),
                q(
                    r#"sum by (reason) (rate(muster_dropped_reports_total{job="muster-coordinator"}[$__rate_interval]))"#,
                    "dropped, {{reason}}",
                ),
            ],
        ),
        Panel::lines(
            "Memory",
            "Resident memory of the coordinator; proportional memory of each worker with its executors.",
            Unit::Bytes,
            &[
                q(r#"sum(process_resident_memory_bytes{job="muster-coordinator"})"#, "coordinator"),
                q(r#"sum by (worker) (muster_worker_pss_bytes{job="muster-worker"})"#, "{{worker}}"),
            ],
        ),
        Panel::lines(
            "CPU",
            "Processors that the coordinator and the agents of workers use; executors are not in it.",
            Unit::Number,
            &[
                q(
                    r#"sum(rate(process_cpu_seconds_total{job="muster-coordinator"}[$__rate_interval]))"#,
                    "coordinator",
                ),
                q(
                    r#"sum by (worker) (rate(process_cpu_seconds_total{job="muster-worker"}[$__rate_interval]))"#,
                    "{{worker}}",
                ),
            ],
        ),
        Panel::table(
            "Builds",
            "The version of each process. Different ones in one cluster are worth a look.",
            &[q("muster_build_info", "")],
            Shown::Labels,
        ),
    ],
};
