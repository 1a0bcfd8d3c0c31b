use super::*;

fn status() -> v1::JobStatus {
    let run = v1::Sketch { buckets: vec![100], counts: vec![30], sum_ns: 30_000, max_ns: 1200 };
    v1::JobStatus {
        job: 3,
        state: JobState::Done.into(),
        tasks: 1_000_000,
        ok: 999_999,
        failed: 1,
        wall_s: 2.0,
        busy_ns: 3_000_000_000,
        slot_ns: 4_000_000_000,
        workers: 2,
        processes: 1,
        threads: 1,
        slots: 2,
        run: Some(run),
        ..Default::default()
    }
}

fn report() -> Report {
    Report::new(
        &status(),
        Facts { cluster: "private".into(), total_s: None, output: None, interrupted: false },
    )
}

#[test]
fn percentiles_without_support_are_null() {
    let json = serde_json::to_value(report()).unwrap();
    assert!(json["run_s"]["p50"].is_f64());
    assert!(json["run_s"]["p99"].is_null());
    assert!(json["queue_s"]["p50"].is_null());
    assert_eq!(json["tasks_per_s"], 500_000.0);
    assert_eq!(json["busy_share"], 0.75);
}

#[test]
fn the_summary_fits_in_80_columns() {
    let text = report().table();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.contains("999,999 ok, 1 failed"), "{text}");
    assert!(text.contains("2 workers x 1 process x 1 thread"), "{text}");
    let uneven = Report { slots: 3, ..report() };
    assert!(uneven.table().contains("2 workers, 3 threads in all"), "{}", uneven.table());
}

#[test]
fn failures_are_told_once_and_the_rest_is_counted() {
    let failure = |index, class: v1::FailureClass, message: &str| v1::TaskFailure {
        index,
        class: class.into(),
        message: message.to_owned(),
        ..Default::default()
    };
    let first_failures = vec![
        failure(1, v1::FailureClass::Failed, "exit code 3"),
        failure(2, v1::FailureClass::Panicked, "panicked at src/lib.rs:5: no"),
        failure(3, v1::FailureClass::Crashed, "SIGSEGV ended the executor (signal 11)"),
    ];
    let shown = |outputs: v1::Outputs, reduce, total_s| {
        let spec = Some(v1::JobSpec { outputs: outputs.into(), reduce, ..Default::default() });
        let status = v1::JobStatus { failed: 1003, spec, first_failures: first_failures.clone(), ..status() };
        let facts = Facts { cluster: "default".into(), total_s, output: None, interrupted: false };
        let table = Report::new(&status, facts).table();
        table
            .lines()
            .filter_map(|line| line.strip_prefix("failed"))
            .map(|line| line.trim_start().to_owned())
            .collect::<Vec<_>>()
    };
    let lines = shown(v1::Outputs::Keep, false, None);
    assert_eq!(
        lines,
        [
            "task 1: exit code 3",
            "task 2: panicked at src/lib.rs:5: no",
            "task 3 (crashed): SIGSEGV ended the executor (signal 11)",
            "and 1,000 more: muster job results 3",
        ]
    );
    let alike = vec![
        failure(1, v1::FailureClass::Crashed, "SIGABRT"),
        failure(2, v1::FailureClass::Failed, "no"),
        failure(5, v1::FailureClass::Crashed, "SIGABRT"),
        failure(7, v1::FailureClass::Timeout, "SIGABRT"),
    ];
    let status = v1::JobStatus { failed: 4, first_failures: alike, ..status() };
    let facts = Facts { cluster: "default".into(), total_s: None, output: None, interrupted: false };
    let table = Report::new(&status, facts).table();
    let failed: Vec<&str> = table.lines().filter(|line| line.starts_with("failed")).collect();
    assert_eq!(failed.len(), 3, "{table}");
    assert!(failed[0].ends_with("tasks 1, 5 (crashed): SIGABRT"), "{table}");
    for (outputs, reduce, words) in [
        (v1::Outputs::Checksum, false, "and 1,000 more; with --out FILE each has a line there"),
        (v1::Outputs::Stream, false, "and 1,000 more; each has its place in the outputs"),
        (v1::Outputs::Keep, false, "and 1,000 more; each has its place in the outputs"),
        (v1::Outputs::Stream, true, "and 1,000 more"),
    ] {
        assert_eq!(shown(outputs, reduce, Some(1.0)).last().unwrap(), words);
    }
}

#[test]
fn a_job_that_goes_on_is_not_told_as_one_that_ended() {
    let row = |report: &Report, name: &str| {
        let table = report.table();
        table.lines().find(|line| line.starts_with(name)).unwrap().to_owned()
    };
    let running = Report { ok: 10, failed: 0, tasks: 100, ended: false, ..report() };
    assert!(row(&running, "tasks").ends_with("10 ok, 90 to go"), "{}", running.table());
    let halfway = Report { in_progress: 1.5, ..running };
    assert!(row(&halfway, "tasks").ends_with("10 ok, 90 to go (1.50 done in running tasks)"));
    let cancelled = Report { ended: true, in_progress: 0.0, ..halfway };
    assert!(row(&cancelled, "tasks").ends_with("10 ok, 90 not run"), "{}", cancelled.table());
    for (ok, ended, words) in [
        (0, false, "no worker yet"),
        (0, true, "no worker"),
        (5, true, "workers from before the coordinator's restart"),
    ] {
        let report = Report { workers: 0, ok, failed: 0, ended, wall_s: 0.0, ..report() };
        assert!(!report.table().contains("\ntime"), "{}", report.table());
        let timed = Report { wall_s: 0.5, ..report };
        assert_eq!(row(&timed, "time").contains("tasks/s"), ok > 0, "{}", timed.table());
        assert!(row(&timed, "ran on").contains(&format!(" {words} (")), "{}", timed.table());
    }
}
