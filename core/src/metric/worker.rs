//! What a worker exports, beside the metrics that plugins declare. Which worker it is says the label that service
//! discovery adds.

super::table! {
    ATTEMPTS Counter "muster_attempts_total" ["plugin" "outcome"] "attempts" "Attempts at tasks that ended, by plugin and outcome.";
    TASK_PHASE Histogram "muster_task_phase_seconds" ["plugin" "phase"] "seconds" "Time of tasks by plugin and phase: dispatch, from the lease's arrival to a thread, run, which is sampled, and report, until results were sent.";
    GIL_WAIT Histogram "muster_gil_wait_seconds" ["plugin"] "seconds" "How long tasks waited for the lock of their executor, by plugin.";
    GIL_HANDOVERS Counter "muster_gil_handovers_total" ["plugin"] "handovers" "How often that lock went to a task that had asked for it, by plugin.";
    CANCEL_LATENCY Histogram "muster_cancel_latency_seconds" [] "seconds" "From the moment that the running tasks of a job were told to stop until all had, for jobs that had some.";
    SLOTS Gauge "muster_slots" ["state"] "slots" "Slots of this worker by state.";
    SLOT_SECONDS Counter "muster_slot_seconds_total" ["plugin"] "seconds" "Time for which slots belonged to jobs that had leases, by plugin.";
    SLOT_BUSY Counter "muster_slot_busy_seconds_total" ["plugin"] "seconds" "Time that tasks took of it, by plugin; the ratio is how well the pool is used.";
    LEASES Gauge "muster_leases" [] "leases" "Leases that this worker has.";
    LEASE_TASKS Histogram "muster_lease_tasks" [] "tasks" "Tasks of the leases that arrived.";
    EXECUTORS Gauge "muster_executors" ["state"] "processes" "Executors by state: starting, busy with a job, or idle.";
    EXECUTOR_STARTS Counter "muster_executor_starts_total" [] "processes" "Executors that were started.";
    EXECUTOR_RESTARTS Counter "muster_executor_restarts_total" [] "processes" "Those that were started in place of one that had ended unasked.";
    EXECUTOR_START Histogram "muster_executor_start_seconds" ["plugin"] "seconds" "From an executor's start until it was ready for tasks, by plugin.";
    EXECUTOR_EXITS Counter "muster_executor_exits_total" ["cause"] "processes" "Executors that ended, by cause.";
    PLUGIN_LOADS Counter "muster_plugin_loads_total" ["result"] "loads" "Plugins loaded by executors, by result.";
    CACHE_REQUESTS Counter "muster_plugin_cache_requests_total" ["result"] "requests" "Plugins asked of the cache, by result: hit, fetched or failed.";
    CACHE_FILES Gauge "muster_plugin_cache_files" [] "files" "Plugins in the cache.";
    CACHE_BYTES Gauge "muster_plugin_cache_bytes" [] "bytes" "What they take there.";
    RESULTS_REFUSED Counter "muster_results_refused_total" [] "tasks" "Results of tasks that no lease in force waits for.";
    LINK_BYTES Counter "muster_link_bytes_total" ["direction"] "bytes" "Messages to and from the coordinator, as they are encoded.";
    CONNECTED Gauge "muster_worker_connected" [] "" "1 while the link to the coordinator stands.";
    CONNECTS Counter "muster_link_connects_total" [] "links" "How often it came to stand.";
    MEMORY Gauge "muster_worker_pss_bytes" [] "bytes" "Proportional memory of the worker and its executors.";
    ISOLATION Gauge "muster_isolation_info" ["level"] "" "1 for what keeps executors apart here: processes always, control groups once a job with limits found that they can be used.";
    BUILD_INFO Gauge "muster_build_info" ["version" "role"] "" "1, with the version of this process as a label.";
}
