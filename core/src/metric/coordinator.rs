//! What the coordinator exports.

super::table! {
    TASKS Counter "muster_tasks_total" ["plugin" "outcome"] "tasks" "Tasks that ended, by plugin and outcome.";
    TASK_PHASE Histogram "muster_task_phase_seconds" ["plugin" "phase"] "seconds" "Time of tasks by plugin and phase: queue, from submit to lease, and report, from their end to the coordinator.";
    QUARANTINED Counter "muster_quarantined_tasks_total" ["plugin"] "tasks" "Tasks that used up their attempts by ending executors or by panics, by plugin.";
    SPECULATIVE Counter "muster_speculative_tasks_total" [] "tasks" "Tasks leased to a second worker because the first took too long.";
    DUPLICATES Counter "muster_duplicate_tasks_total" [] "tasks" "Tasks whose result came a second time or too late, and was dropped.";
    QUEUE_TASKS Gauge "muster_queue_tasks" ["plugin" "priority"] "tasks" "Tasks that no worker has, by plugin and priority.";
    QUEUE_OLDEST Gauge "muster_queue_oldest_seconds" ["plugin" "priority"] "seconds" "How long the task that has waited longest for its first lease has done so, by plugin and priority.";
    JOBS Gauge "muster_jobs" [] "jobs" "Jobs that have not ended.";
    JOBS_PAUSED Gauge "muster_jobs_paused" [] "jobs" "Jobs that are paused because most of their attempts end their executor.";
    JOBS_ENDED Counter "muster_jobs_ended_total" ["outcome"] "jobs" "Jobs that ended, by outcome.";
    WORKERS Gauge "muster_workers" ["state"] "workers" "Workers by state; lost and left count since the coordinator started.";
    REGISTRATIONS Counter "muster_worker_registrations_total" [] "workers" "Workers that attached, also those that came back.";
    LOSSES Counter "muster_worker_losses_total" ["reason"] "workers" "Workers that went, by reason; left is the one that is no loss.";
    SLOTS Gauge "muster_slots" ["state"] "slots" "Slots of the attached workers by state.";
    EXECUTORS Gauge "muster_executors" [] "processes" "Executors of all workers.";
    EXECUTOR_EXITS Counter "muster_executor_exits_total" ["cause"] "processes" "Executors that ended, by cause.";
    LEASES Gauge "muster_leases" [] "leases" "Leases in force.";
    LEASE_TASKS Histogram "muster_lease_tasks" [] "tasks" "Tasks of a lease.";
    LEASES_RECALLED Counter "muster_leases_recalled_total" [] "leases" "Leases of which tasks were called back.";
    TASKS_ADOPTED Counter "muster_tasks_adopted_total" [] "tasks" "Tasks that workers had and kept when they came back: after a cut, or to a coordinator that was started again.";
    LEASES_EXPIRED Counter "muster_leases_expired_total" [] "leases" "Leases that ended because their worker was gone.";
    DROPPED_REPORTS Counter "muster_dropped_reports_total" ["reason"] "reports" "Late, repeated or void reports of workers, by reason.";
    REJECTED_MESSAGES Counter "muster_rejected_messages_total" ["reason"] "messages" "Messages that were refused, by reason; stale are those of an earlier life of the coordinator or a worker.";
    GRPC_REQUESTS Counter "muster_grpc_requests_total" ["method" "code"] "requests" "gRPC requests that ended, by method and code; those with another code than ok are errors.";
    GRPC_OPEN Gauge "muster_grpc_open_requests" [] "requests" "gRPC requests that have not ended; a stream is one.";
    STREAM_QUEUE Gauge "muster_stream_queue_messages" [] "messages" "Messages that wait for workers to read them.";
    STREAM_OVERRUNS Counter "muster_stream_overruns_total" [] "streams" "Streams that were cut because their worker did not read.";
    REPORT_BACKLOG Gauge "muster_report_backlog_bytes" [] "bytes" "Reports of workers that wait for the driver or the store, in steps of 1 KiB; workers wait above 128 MiB.";
    DRIVER_QUEUE Gauge "muster_driver_queue_commands" [] "commands" "Commands that wait for the driver.";
    STORE_COMMIT Histogram "muster_store_commit_seconds" [] "seconds" "How long the store took to make a batch of records durable.";
    STORE_RECORDS Counter "muster_store_records_total" [] "records" "Records that the store was given.";
    STATE_FREE Gauge "muster_state_free_bytes" [] "bytes" "What this user can still write to the file system of the state folder; absent without one.";
    STATE_SIZE Gauge "muster_state_size_bytes" [] "bytes" "The size of the file system of the state folder; absent without one.";
    EPOCH Gauge "muster_epoch" [] "lives" "This life of the coordinator.";
    BUILD_INFO Gauge "muster_build_info" ["version" "role"] "" "1, with the version of this process as a label.";
}
