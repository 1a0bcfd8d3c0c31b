//! What is modelled gives what theory says: cores, links, losses.

#![allow(clippy::unwrap_used, missing_docs)]

use muster_core::time::Span;
use muster_sim::cluster::Cluster;
use muster_sim::outcome::Report;
use muster_sim::scenario::Scenario;
use std::path::Path;

/// A scenario in which nothing costs time but what the text says.
fn scenario(text: &str) -> Scenario {
    let text = text.replace("[[workers]]", "[[workers]]\nexecutor_start = \"0s\"\nplugin_load = \"0s\"");
    Scenario::parse(&text, "test.toml", Path::new(""), &[]).unwrap()
}

fn run_with(text: &str, seed: u64) -> Report {
    let report = Cluster::new(scenario(text), seed).checked().run(|| false);
    assert_eq!(report.unfinished(), 0, "{report:?}");
    report
}

fn makespan(text: &str) -> f64 {
    run_with(text, 1).makespan.as_secs_f64()
}

#[track_caller]
fn near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} instead of {expected}");
}

const ONE_BY_ONE: &str = "policy = \"fifo+fixed:1\"\ncredit_tasks = 1\ncredit = \"0s\"\n";

#[test]
fn equal_tasks_take_whole_rounds_and_two_trips_each() {
    let text = "[[links]]\nname = \"lan\"\nlatency = \"5ms\"\n[[workers]]\ncount = 4\nslots = 3\nlink = \"lan\"\n\
                [[jobs]]\ntasks = 120\ntime = { const = \"100ms\" }\n";
    near(makespan(&format!("{ONE_BY_ONE}{text}")), 10.0 * 0.110, 1e-9);
}

#[test]
fn waiting_tasks_need_no_round_trips() {
    let text = "[[links]]\nname = \"lan\"\nlatency = \"5ms\"\n[[workers]]\ncount = 4\nlink = \"lan\"\n\
                [[jobs]]\ntasks = 400\ntime = { const = \"10ms\" }\n";
    // A tenth of the time of what goes one by one is lost; leases ahead lose only the first and last trip.
    near(makespan(&format!("{ONE_BY_ONE}{text}")), 100.0 * 0.020, 1e-9);
    near(makespan(text), 1.010, 0.025);
}

#[test]
fn threads_share_cores() {
    let workers = "[[workers]]\ncount = 1\nslots = 4\ncores = 2\n";
    let job =
        |rest: &str| format!("{ONE_BY_ONE}{workers}[[jobs]]\ntasks = 4\ntime = {{ const = \"1s\" }}\n{rest}");
    near(makespan(&job("")), 2.0, 1e-6);
    near(makespan(&job("io = 1.0\n")), 1.0, 1e-6);
    near(makespan(&job("io = 0.5\n")), 1.5, 1e-6);
}

#[test]
fn a_faster_core_helps_only_what_computes() {
    let workers = "[[workers]]\ncount = 1\nspeed = 2.0\n";
    let job = |io: f64| {
        format!("{ONE_BY_ONE}{workers}[[jobs]]\ntasks = 10\ntime = {{ const = \"1s\" }}\nio = {io:?}\n")
    };
    near(makespan(&job(0.0)), 5.0, 1e-6);
    near(makespan(&job(0.5)), 7.5, 1e-6);
}

#[test]
fn workers_of_a_link_share_its_bandwidth() {
    let rest = "[[workers]]\ncount = 2\nlink = \"lan\"\n\
                [[jobs]]\ntasks = 2\ntime = { const = \"1s\" }\ninput_bytes = \"1MB\"\n";
    let link =
        |limits: &str| format!("{ONE_BY_ONE}[[links]]\nname = \"lan\"\nlatency = \"0s\"\n{limits}\n{rest}");
    near(makespan(&link("bandwidth = \"1MB/s\"")), 3.0, 0.002);
    near(makespan(&link("worker_bandwidth = \"250kB/s\"")), 5.0, 0.005);
    near(makespan(&link("bandwidth = \"1MB/s\"\nworker_bandwidth = \"750kB/s\"")), 3.0, 0.002);
}

#[test]
fn a_worker_fetches_a_plugin_once_and_keeps_its_executors() {
    let took = |first: &str, second: &str| {
        let job = |plugin: &str, at: &str| {
            format!(
                "[[jobs]]\ntasks = 1\ntime = {{ const = \"1s\" }}\nsubmit_at = \"{at}\"\nplugin = \"{plugin}\"\n\
                 plugin_bytes = \"1MB\"\n"
            )
        };
        let (first, second) = (job(first, "0s"), job(second, "10s"));
        let link = "[[links]]\nname = \"lan\"\nlatency = \"0s\"\nworker_bandwidth = \"1MB/s\"\n";
        let workers = "[[workers]]\ncount = 1\nlink = \"lan\"\n";
        let scenario = scenario(&format!("{ONE_BY_ONE}{link}{workers}{first}{second}"));
        let mut slow = scenario.clone();
        slow.workers[0].executor_start = Span::from_millis(500);
        [scenario, slow].map(|scenario| {
            let report = Cluster::new(scenario, 1).checked().run(|| false);
            let job = &report.jobs[1];
            job.ended.unwrap().since(job.submitted.unwrap()).as_secs_f64()
        })
    };
    for (found, expected) in took("loop", "loop").into_iter().zip([1.0, 1.0]) {
        near(found, expected, 0.002);
    }
    for (found, expected) in took("loop", "sleep").into_iter().zip([2.0, 2.5]) {
        near(found, expected, 0.002);
    }
}

const TWO_JOBS: &str = "[[workers]]\ncount = 1\n[[jobs]]\ntasks = 20\ntime = { const = \"1s\" }\n\
                        [[jobs]]\ntasks = 20\ntime = { const = \"1s\" }\n";

#[test]
fn jobs_beside_each_other_take_as_long_as_one_after_the_other() {
    for policy in ["fair+fixed:1", "fifo+fixed:1", "fair+adaptive", "fair+guided"] {
        let text = format!("policy = \"{policy}\"\n{TWO_JOBS}");
        let report = run_with(&text, 1);
        near(report.makespan.as_secs_f64(), 40.0, 0.01);
        near(report.utilisation(), 1.0, 0.001);
        // Waiting needs no core, and yet no more of it than there are slots.
        let waiting = text.replace("time =", "io = 1.0\ntime =");
        near(makespan(&waiting), 40.0, 0.01);
        near(makespan(&waiting.replace("count = 1", "count = 2\nslots = 3")), 7.0, 0.3);
    }
    // Twenty of these are one core's work, whatever runs on the other slots.
    let more = TWO_JOBS.replace("count = 1", "count = 1\nslots = 8\ncores = 2");
    near(makespan(&more), 20.0, 0.05);
}

#[test]
fn results_take_their_time_on_a_link() {
    let text = "[[links]]\nbandwidth = \"1MB/s\"\n[[workers]]\ncount = 1\n\
                [[jobs]]\ntasks = 10\ntime = { const = \"1ms\" }\nresult_bytes = \"1MB\"\n";
    for policy in ["fifo+fixed:1", "fifo+fixed:7", "fifo+fixed:10", "fair+adaptive"] {
        near(makespan(&format!("policy = \"{policy}\"\n{text}")), 10.0, 0.02);
    }
    let slow = text.replace("bandwidth = \"1MB/s\"", "latency = \"0s\"");
    near(
        makespan(&format!("policy = \"fair+fixed:1\"\n{slow}[coordinator]\nper_byte = \"1us\"\n")),
        10.0,
        0.02,
    );
}

#[test]
fn poison_does_nothing_before_its_time() {
    let text = "[[workers]]\ncount = 1\n[[jobs]]\ntasks = 10\ntime = { const = \"1s\" }\n\
                [[faults]]\nkind = \"poison\"\nshare = 1.0\nat = ";
    assert_eq!(run_with(&format!("{text}\"1h\""), 1).committed(), 10);
    assert_eq!(run_with(&format!("{text}\"0s\""), 1).committed(), 0);
    let later = run_with(&format!("{text}\"4500ms\""), 1).committed();
    assert!((4..=6).contains(&later), "{later}");
}

#[test]
fn what_runs_twice_is_counted_once_each_time() {
    let text = "[[workers]]\ncount = 1\n[[jobs]]\ntasks = 10_000\ntime = { const = \"100us\" }\n\
                [[faults]]\nkind = \"worker_crash\"\nat = \"500ms\"\nrestart = \"0s\"\n";
    for claim in ["", "claim = \"1h\"\n"] {
        let report = run_with(&format!("{claim}{text}"), 1);
        let (lost, wasted) = (report.measures.lost, report.measures.wasted.as_secs_f64());
        assert!(lost > 0, "{report:?}");
        near(wasted / 100e-6, lost as f64, 1.0);
        assert_eq!(report.repeated(), lost);
    }
    // Nothing runs twice because the end is not waited for.
    let text = "until = \"100ms\"\n[[workers]]\ncount = 4\nslots = 2\n[[jobs]]\ntasks = 100\ntime = { const = \"10ms\" }\n";
    let report = Cluster::new(scenario(text), 1).checked().run(|| false);
    assert!(report.unfinished() > 0);
    assert_eq!((report.repeated(), report.measures.lost), (0, 0));
}

#[test]
fn nothing_ends_after_the_end() {
    let text = "until = \"10s\"\n[coordinator]\ncommit = \"1h\"\n[[workers]]\ncount = 1\n\
                [[jobs]]\ntasks = 1\ntime = { const = \"1s\" }\n";
    let report = Cluster::new(scenario(text), 1).checked().run(|| false);
    assert_eq!((report.jobs[0].ended, report.makespan.as_secs_f64()), (None, 10.0));
    // An end that was not durable yet is lost with the coordinator, and found again.
    let text = "[coordinator]\ncommit = \"5s\"\n[[workers]]\ncount = 1\n[[jobs]]\ntasks = 1\n\
                time = { const = \"1s\" }\n[[faults]]\nkind = \"coordinator_crash\"\nat = \"4s\"\nrestart = \"1s\"\n";
    let report = run_with(text, 1);
    assert_eq!(report.measures.faults["coordinator_crash"], 1);
    assert!(report.makespan.as_secs_f64() > 11.0, "{report:?}");
}

#[test]
fn the_last_point_of_a_series_is_how_things_stand() {
    let text = "[[links]]\nlatency = \"100ms\"\n[[workers]]\ncount = 1\n\
                [[jobs]]\ntasks = 1\ntime = { const = \"1ms\" }\n";
    let report = run_with(text, 1);
    let last = report.measures.series.points().last().unwrap();
    assert_eq!((last.committed, last.jobs), (1, 0));
}

#[test]
fn a_coordinator_is_never_busy_for_longer_than_it_was_there() {
    let text = "[coordinator]\nper_message = \"1s\"\n[[workers]]\ncount = 100\n\
                [[jobs]]\ntasks = 1_000\ntime = { const = \"1ms\" }\n";
    for text in [text.to_owned(), format!("until = \"10s\"\n{text}")] {
        let report = Cluster::new(scenario(&text), 1).checked().run(|| false);
        assert!((0.9..=1.0).contains(&report.coordinator_load()), "{}", report.coordinator_load());
        let series = &report.measures.series;
        let booked: u64 = series.points().iter().map(|point| point.coordinating_ns).sum();
        near(booked as f64, report.measures.coordinating.0 as f64, 1.0);
        assert!(series.points().iter().all(|point| point.coordinating_ns <= series.step().0));
    }
}

#[test]
fn a_worker_that_stands_still_is_not_busy() {
    for slots in ["", "slots = 2\ncores = 1\n"] {
        let text = format!(
            "{ONE_BY_ONE}[[workers]]\ncount = 1\n{slots}[[jobs]]\ntasks = 1\ntime = {{ const = \"1s\" }}\n\
             [[faults]]\nkind = \"pause\"\nat = \"500ms\"\nlength = \"9s\"\n\
             [[faults]]\nkind = \"pause\"\nat = \"700ms\"\nlength = \"1s\"\n"
        );
        let report = run_with(&text, 1);
        near(report.makespan.as_secs_f64(), 10.0, 1e-6);
        near(report.measures.busy.as_secs_f64(), 1.0, 1e-6);
        let drawn: u64 = report.measures.series.points().iter().map(|point| point.busy_ns).sum();
        near(drawn as f64 / 1e9, 1.0, 1e-6);
    }
}

#[test]
fn stragglers_slow_down_only_what_computes_and_never_stop_it() {
    let text = |io: &str, until: &str| {
        format!(
            "until = \"{until}\"\n[[workers]]\ncount = 1\n[[jobs]]\ntasks = 1_000\nio = {io}\n\
             time = {{ const = \"1s\" }}\n[[faults]]\nkind = \"straggler\"\nevery = \"1s\"\nfactor = 10.0\n"
        )
    };
    near(makespan(&text("1.0", "30d")), 1_000.0, 0.1);
    let report = Cluster::new(scenario(&text("0.5", "10000s")), 1).checked().run(|| false);
    assert!(report.unfinished() > 900, "{report:?}");
}

#[test]
fn a_worker_that_wants_to_go_goes_whatever_happens_meanwhile() {
    let text = "[[links]]\nlatency = \"100ms\"\n[[workers]]\nname = \"going\"\ncount = 1\n[[workers]]\ncount = 1\n\
                [[jobs]]\ntasks = 40\ntime = { const = \"1s\" }\n\
                [[faults]]\nkind = \"leave\"\nat = \"1550ms\"\nworkers = \"going\"\n";
    let crash = "[[faults]]\nkind = \"coordinator_crash\"\nat = \"1600ms\"\nrestart = \"1s\"\n";
    for text in [text.to_owned(), format!("{text}{crash}")] {
        let report = run_with(&text, 1);
        let last = report.measures.series.points().last().unwrap();
        assert_eq!(last.workers, 1, "{report:?}");
        assert!(report.makespan.as_secs_f64() > 30.0, "one worker does most: {report:?}");
    }
}

#[test]
fn faults_end_with_the_workers_that_they_could_hit() {
    let text = "[[workers]]\ncount = 4\n[[jobs]]\ntasks = 1_000\ntime = { const = \"1s\" }\n\
                [[faults]]\nkind = \"worker_crash\"\nevery = \"10ms\"\n\
                [[faults]]\nkind = \"coordinator_crash\"\nevery = \"10ms\"\nrestart = \"1ms\"\n";
    let report = Cluster::new(scenario(text), 1).checked().run(|| false);
    assert_eq!(report.measures.faults["worker_crash"], 4);
    assert!(report.events < 10_000, "{}", report.events);
}

/// A worker that was given up while it stood still is back as soon as it goes on, and one that starts greets first.
#[test]
fn workers_come_back_when_they_can() {
    let paused = "lease = \"300ms\"\n[[workers]]\ncount = 1\n[[jobs]]\ntasks = 20\ntime = { const = \"50ms\" }\n\
                  [[faults]]\nkind = \"pause\"\nat = \"300ms\"\nlength = \"600ms\"\n";
    let report = run_with(paused, 1);
    assert_eq!(report.measures.workers_lost, 1);
    // A second of work, the pause, and what it had not handed in.
    near(report.makespan.as_secs_f64(), 1.65, 0.06);
    let behind = "[[links]]\nlatency = \"500ms\"\n[[workers]]\ncount = 1\n[[jobs]]\ntasks = 1\n\
                  time = { const = \"10ms\" }\n[[faults]]\nkind = \"worker_crash\"\nat = \"0s\"\nrestart = \"100ms\"\n";
    // There and back, the greeting, the lease and the result: five ways.
    near(makespan(behind), 0.1 + 5.0 * 0.5 + 0.01, 1e-3);
}

#[test]
fn what_a_crashed_worker_waited_for_blocks_nobody() {
    let text = "[[links]]\nlatency = \"0s\"\nworker_bandwidth = \"300kB/s\"\n[[workers]]\ncount = 1\n\
                [[jobs]]\ntasks = 20\ntime = { const = \"50ms\" }\nplugin_bytes = \"600kB\"\n\
                [[faults]]\nkind = \"worker_crash\"\nat = \"500ms\"\nrestart = \"100ms\"\n";
    near(makespan(text), 0.6 + 2.0 + 1.0, 0.03);
}

/// One link gives its worker 100 kB/s; what the coordinator can send beyond that goes to the other: 900 kB/s.
#[test]
fn the_coordinators_bandwidth_is_shared_max_min_fair() {
    let text = format!(
        "{ONE_BY_ONE}[coordinator]\nbandwidth = \"1MB/s\"\n\
         [[links]]\nname = \"slow\"\nlatency = \"0s\"\nworker_bandwidth = \"100kB/s\"\n\
         [[links]]\nname = \"fast\"\nlatency = \"0s\"\n\
         [[workers]]\nname = \"a\"\ncount = 1\nlink = \"slow\"\n[[workers]]\nname = \"b\"\ncount = 1\nlink = \"fast\"\n\
         [[jobs]]\ntasks = 11\ntime = {{ const = \"1us\" }}\ninput_bytes = \"900kB\"\n"
    );
    // In 9 s the slow one gets one input and the fast one nine; the eleventh then has the link for itself.
    near(makespan(&text), 9.9, 0.05);
}

#[test]
fn messages_queue_at_the_coordinator() {
    let text = format!(
        "{ONE_BY_ONE}[coordinator]\nper_message = \"1ms\"\n[[workers]]\ncount = 1000\n\
         [[jobs]]\ntasks = 10000\ntime = {{ const = \"1s\" }}\n"
    );
    let report = Cluster::new(scenario(&text), 1).run(|| false);
    assert_eq!(report.committed(), 10_000);
    // Two messages a task, one after the other: the coordinator is the limit, not the workers.
    near(report.makespan.as_secs_f64(), 21.0, 1.2);
    assert!(report.coordinator_load() > 0.93, "{}", report.coordinator_load());
    near(report.saturates_at().unwrap(), 500.0, 30.0);
}

/// The longest of n exponential times has the mean 1 + 1/2 + ... + 1/n.
#[test]
fn the_longest_of_many_exponential_tasks() {
    let text =
        format!("{ONE_BY_ONE}[[workers]]\ncount = 50\n[[jobs]]\ntasks = 50\ntime = {{ exp = \"1s\" }}\n");
    let runs = 1_000;
    let sum: f64 =
        (0..runs).map(|seed| Cluster::new(scenario(&text), seed).run(|| false).makespan.as_secs_f64()).sum();
    let expected: f64 = (1..=50).map(|n| 1.0 / f64::from(n)).sum();
    // The standard deviation of the longest is about pi / sqrt(6) = 1.28; four standard errors.
    near(sum / runs as f64, expected, 4.0 * 1.28 / (runs as f64).sqrt());
}

const SMALL: &str = "[[links]]\nname = \"lan\"\nlatency = \"2ms\"\njitter = \"1ms\"\n\
                     [[workers]]\ncount = 8\nslots = 2\nlink = \"lan\"\n\
                     [[jobs]]\ntasks = 2000\ntime = { exp = \"20ms\" }\n";

#[test]
fn everything_is_committed_once_whatever_goes_wrong() {
    for (fault, expected) in [
        ("kind = \"worker_crash\"\nevery = \"10s\"\nrestart = \"500ms\"\n", "worker_crash"),
        ("kind = \"executor_crash\"\nevery = \"2s\"\n", "executor_crash"),
        ("kind = \"coordinator_crash\"\nat = \"1s\"\nrestart = \"1s\"\n", "coordinator_crash"),
        ("kind = \"pause\"\nat = \"1s\"\nlength = \"15s\"\ncount = 3\n", "pause"),
        ("kind = \"partition\"\nat = \"1s\"\nlength = \"20s\"\ncount = 3\n", "partition"),
        (
            "kind = \"partition\"\nat = \"1s\"\nlength = \"20s\"\ncount = 3\ndirection = \"to_workers\"\n",
            "partition",
        ),
        ("kind = \"straggler\"\nat = \"1s\"\nfactor = 10.0\ncount = 1\n", "straggler"),
        ("kind = \"leave\"\nat = \"1s\"\ncount = 4\n", "leave"),
        ("kind = \"join\"\nat = \"1s\"\ncount = 4\nworkers = \"workers\"\n", "join"),
        ("kind = \"clock_drift\"\nat = \"1s\"\nppm = 100\n", "clock_drift"),
    ] {
        let report = run_with(&format!("{SMALL}[[faults]]\n{fault}"), 3);
        assert_eq!(report.committed(), 2_000, "{fault}");
        assert!(report.measures.faults[expected] > 0, "{fault} never struck");
    }
}

#[test]
fn unreliable_links_lose_nothing() {
    let text =
        SMALL.replace("jitter = \"1ms\"", "jitter = \"1ms\"\ndrop = 0.01\nduplicate = 0.02\nreorder = 0.02");
    let report = run_with(&text, 5);
    for kind in ["drop", "duplicate", "reorder"] {
        assert!(report.measures.faults[kind] > 0, "{kind} never happened");
    }
    assert_eq!(report.committed(), 2_000);
}

#[test]
fn poisoned_tasks_fail_and_the_others_do_not() {
    let report = run_with(&format!("{SMALL}[[faults]]\nkind = \"poison\"\nshare = 0.002\n"), 4);
    let failed: u64 = report.jobs.iter().map(|job| job.failed).sum();
    assert!((1..30).contains(&failed), "{failed}");
    assert_eq!(report.committed() + failed, 2_000);
}

/// Between half of the wait and all of it, drawn by job and task.
#[test]
fn tasks_wait_between_their_attempts() {
    let text = |backoff: &str| {
        format!(
            "{ONE_BY_ONE}[[workers]]\ncount = 1\n[[jobs]]\ntasks = 1\ntime = {{ const = \"1ms\" }}\nmax_attempts = 2\n\
             backoff = \"{backoff}\"\n[[faults]]\nkind = \"poison\"\nshare = 1.0\n"
        )
    };
    let (short, long) = (makespan(&text("1ms")), makespan(&text("1h")));
    assert!(short < 1.0 && (1_800.0..3_601.0).contains(&long), "{short} {long}");
}

#[test]
fn the_same_seed_goes_the_same_way() {
    let faults = "[[faults]]\nkind = \"worker_crash\"\nevery = \"2s\"\nrestart = \"1s\"\n";
    let text = format!("{SMALL}{faults}");
    let digest = |seed| run_with(&text, seed).digest;
    assert_eq!(digest(1), digest(1));
    assert_ne!(digest(1), digest(2));
}

/// Attempts of one thread do not overlap, and every task is there.
#[test]
fn columns_say_when_and_where_each_task_ran() {
    let text = SMALL.replace("slots = 2", "slots = 1");
    let report = Cluster::new(scenario(&text), 7).with_columns().run(|| false);
    let columns = report.measures.columns.unwrap();
    let mut seen = vec![false; 2_000];
    let mut ends = [0; 8];
    for at in 0..columns.len() {
        let worker = columns.worker[at] as usize;
        assert!(columns.began_ns[at] >= ends[worker], "worker {worker} runs two tasks at once");
        ends[worker] = columns.began_ns[at] + columns.ran_ns[at];
        assert!(!std::mem::replace(&mut seen[columns.index[at] as usize], true));
    }
    assert!(seen.into_iter().all(|seen| seen));
    assert_eq!(columns.ran_ns.iter().sum::<u64>(), report.measures.busy.0);
}
