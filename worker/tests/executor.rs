//! Executors as child processes, end to end over their socket.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::executor::{Executor, Job, until};
use fixture::plugin::{null, wild};
use muster_core::scheduler::FailureClass;
use muster_proto::packed::Items;
use muster_worker::frame::{FromExecutor, ToExecutor};
use std::sync::atomic::Ordering::SeqCst;

#[test]
fn every_task_comes_back_once() {
    let job = Job::new(2).params(r#"{"bytes_out":3}"#);
    let uses: Vec<_> = (0..10u64).map(|at| job.publish(at as usize, at * 1_000, at * 1_000 + 999)).collect();
    let mut executor = Executor::with_job(&null(), &job);
    // What came before `Opened` was dropped by the fixture: tasks published from here on are all seen.
    until("the first tasks are done", || {
        job.page.entries().iter().all(|entry| entry.word().unclaimed() == 0)
    });
    let again = job.publish(20, 50_000, 60_000);
    assert!(!uses.contains(&again));
    let mut found = Vec::new();
    while found.len() < 10_000 {
        for block in executor.batch().blocks.into_iter().filter(|block| block.place == again) {
            let items = Items::try_new(block.results, block.range.len()).unwrap();
            assert!(items.iter().all(|item| item == [0; 3]));
            found.extend(block.range.start..block.range.end);
        }
    }
    found.sort_unstable();
    assert!(found.into_iter().eq(50_000..60_000));
}

#[test]
fn inputs_reach_their_tasks() {
    let mut job = Job::new(2).params(r#"{"bytes_in":16,"bytes_out":1}"#);
    let mut executor = Executor::with_job(&null(), &job);
    let inputs = Items::of((0..5_000).map(|_| [7u8; 16]));
    job.publish_inputs(3, 100, &inputs);
    let results = executor.collect(5_000);
    assert!(results.iter().map(|(index, _)| *index).eq(100..5_100));
    // One input of another length fails, and only that one.
    let inputs = Items::of((0..50).map(|at| vec![7u8; if at == 20 { 5 } else { 16 }]));
    job.publish_inputs(4, 9_000, &inputs);
    let (mut done, mut failures) = (0, Vec::new());
    while done + failures.len() < 50 {
        let batch = executor.batch();
        done += batch.blocks.iter().map(|block| block.range.len() as usize).sum::<usize>();
        failures.extend(batch.failures);
    }
    assert_eq!(failures.len(), 1);
    assert_eq!((failures[0].index, failures[0].class), (9_020, FailureClass::Failed));
    assert!(failures[0].text.contains("5 bytes"), "{}", failures[0].text);
}

/// A task that is tried again has done nothing yet, whatever its attempt before said on the same thread.
#[test]
fn a_new_attempt_begins_with_nothing_done() {
    let job = Job::new(1);
    let mut executor = Executor::with_job(&null(), &job);
    let record = job.page.slot(0).unwrap();
    record.progress.store((1 << 62) | 7, SeqCst);
    job.publish(0, 7, 8);
    executor.collect(1);
    record.current.store(7, SeqCst);
    assert_eq!(job.page.in_progress(), 0.0);
}

#[test]
fn a_job_closes_and_the_next_one_opens() {
    let mut executor = Executor::start(&null());
    assert_eq!(executor.receive(), FromExecutor::Loaded);
    for number in 1..4 {
        let mut job = Job::new(2).params(r#"{"bytes_out":8}"#);
        job.open.job = number;
        executor.open(&job);
        assert_eq!(executor.receive(), FromExecutor::Opened { job: number });
        job.publish(0, 0, 3_000);
        assert_eq!(executor.collect(3_000).len(), 3_000);
        executor.send(&ToExecutor::Close { job: number }, &[]);
        assert_eq!(executor.receive(), FromExecutor::Closed { job: number });
    }
    executor.send(&ToExecutor::Stop, &[]);
    assert_eq!(executor.try_receive(), None);
    assert_eq!(executor.wait().code(), Some(0));
}

#[test]
fn only_allowed_slots_claim() {
    let job = Job::new(3);
    job.page.allow(1);
    let mut executor = Executor::with_job(&null(), &job);
    job.publish(0, 0, 100_000);
    executor.collect(100_000);
    let tasks = || job.page.slot_records().iter().map(|slot| slot.tasks.load(SeqCst)).collect::<Vec<_>>();
    assert_eq!(tasks(), [100_000, 0, 0]);
}

#[test]
fn a_failed_task_leaves_the_others_alone() {
    let Some(wild) = wild() else { return };
    for (mode, class, text) in [
        ("fail", FailureClass::Failed, "no such row"),
        ("transient", FailureClass::Transient, "try again"),
        ("big", FailureClass::Limit, "limit"),
    ] {
        let mut job = Job::new(1).params(&format!(r#"{{"at":500,"mode":"{mode}"}}"#));
        job.open.result_bytes_max = 100;
        let mut executor = Executor::with_job(&wild, &job);
        job.publish(0, 0, 1_000);
        let (mut done, mut failures) = (0, Vec::new());
        while done + failures.len() < 1_000 {
            let batch = executor.batch();
            done += batch.blocks.iter().map(|block| block.range.len() as usize).sum::<usize>();
            failures.extend(batch.failures);
        }
        assert_eq!((done, failures.len()), (999, 1), "{mode}");
        assert_eq!((failures[0].index, failures[0].class), (500, class));
        assert!(failures[0].text.contains(text), "{}", failures[0].text);
    }
}

#[test]
fn a_crash_is_seen_in_the_page() {
    let Some(wild) = wild() else { return };
    for (mode, signal) in [("segv", libc::SIGSEGV), ("abort", libc::SIGABRT)] {
        let job = Job::new(1).params(&format!(r#"{{"at":700,"mode":"{mode}"}}"#));
        let place = job.publish(6, 0, 1_000);
        // The crash may come before the executor has said that the job is open.
        let mut executor = Executor::start(&wild);
        assert_eq!(executor.receive(), FromExecutor::Loaded);
        executor.open(&job);
        let mut delivered = 0;
        while let Some(frame) = executor.try_receive() {
            if let FromExecutor::Batch(batch) = frame {
                delivered += batch.blocks.iter().map(|block| block.range.len()).sum::<u64>();
            }
        }
        assert_eq!(executor.wait_signal(), Some(signal));
        let slot = job.page.slot(0).unwrap();
        assert_eq!(slot.current.load(SeqCst), 700, "the task that ran");
        let blamed: Vec<_> = slot.pending().filter(|(_, _, range)| range.contains(700)).collect();
        assert_eq!(blamed.len(), 1);
        assert_eq!((blamed[0].0, blamed[0].1), (6, place.generation));
        assert!(delivered <= 700, "{delivered} results although task 700 never ended");
    }
}

#[test]
fn killed_in_the_middle_every_task_is_delivered_held_or_unclaimed() {
    let Some(wild) = wild() else { return };
    let job = Job::new(2).params(r#"{"mode":"slow"}"#);
    let mut executor = Executor::with_job(&wild, &job);
    let place = job.publish(9, 0, 10_000);
    let mut seen = vec![0u8; 10_000];
    let mut note = |frame: FromExecutor| {
        if let FromExecutor::Batch(batch) = frame {
            for block in batch.blocks {
                (block.range.start..block.range.end).for_each(|index| seen[index as usize] += 1);
            }
        }
    };
    note(executor.receive());
    executor.kill();
    while let Some(frame) = executor.try_receive() {
        note(frame);
    }
    assert_eq!(executor.wait_signal(), Some(libc::SIGKILL));
    assert!(seen.iter().all(|&times| times <= 1), "no task is delivered twice");
    for slot in job.page.slot_records() {
        for (entry, generation, range) in slot.pending() {
            assert_eq!((entry, generation), (9, place.generation));
            (range.start..range.end).for_each(|index| seen[index as usize] |= 0x80);
        }
    }
    let next = u64::from(job.page.entries()[9].word().next);
    for (index, &times) in seen.iter().enumerate() {
        assert_eq!((index as u64) < next, times != 0, "task {index} of {next} claimed ones was lost");
    }
}

#[test]
fn a_finished_result_does_not_wait_for_a_long_task() {
    let Some(wild) = wild() else { return };
    let job = Job::new(1).params(r#"{"at":40,"mode":"hang"}"#);
    let mut executor = Executor::with_job(&wild, &job);
    job.publish(0, 38, 50);
    // Tasks 38 and 39 are done at once; the thread then sits in task 40 until it is cancelled.
    assert_eq!(executor.collect(2).iter().map(|(index, _)| *index).collect::<Vec<_>>(), [38, 39]);
    assert_eq!(job.page.slot(0).unwrap().current.load(SeqCst), 40);
    job.page.cancel();
    executor.send(&ToExecutor::Close { job: 1 }, &[]);
    assert_eq!(executor.receive_other(), FromExecutor::Closed { job: 1 });
}

#[test]
fn what_cannot_be_loaded_or_opened_is_said_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let mut executor = Executor::start(&folder.path().join("missing.so"));
    match executor.receive() {
        FromExecutor::LoadFailed { text, is_damage } => {
            assert!(text.contains("no such file") && is_damage, "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(executor.wait().code(), Some(3));
    let job = Job::new(1).params(r#"{"bytes_out":"many"}"#);
    let mut executor = Executor::start(&null());
    assert_eq!(executor.receive(), FromExecutor::Loaded);
    executor.open(&job);
    match executor.receive() {
        FromExecutor::OpenFailed { job: 1, text } => assert!(text.contains("bytes_out"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(executor.wait().code(), Some(3));
}

#[test]
fn an_executor_ends_with_its_agent_and_on_nonsense() {
    let job = Job::new(1);
    let mut executor = Executor::with_job(&null(), &job);
    executor.send_bytes(&[2, 0, 0, 0, 99, 0], &[]);
    assert_eq!(executor.try_receive(), None);
    assert_eq!(executor.wait().code(), Some(2));
    let executor = Executor::with_job(&null(), &job);
    let pid = executor.pid();
    drop(executor);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn descriptors_of_the_agent_do_not_reach_executors() {
    let job = Job::new(1);
    let executor = Executor::with_job(&null(), &job);
    let targets: Vec<String> = open_files(executor.pid()).into_iter().map(|(_, target)| target).collect();
    // What this test was itself started with, and would pass on to any child: its output, a lock around it.
    let inherited: Vec<String> = open_files(std::process::id())
        .into_iter()
        .filter(|(ours, _)| !ours)
        .map(|(_, target)| target)
        .collect();
    let ours = |target: &&String| {
        let known = ["/dev/null", "pipe:", "socket:", "/memfd:muster-", "anon_inode:[eventfd]"];
        !inherited.contains(target) && !known.iter().any(|known| target.starts_with(known))
    };
    let sockets = targets.iter().filter(|target| target.starts_with("socket:")).count();
    assert_eq!(sockets, 2, "one socket, held twice: {targets:?}");
    // The page, the inputs and the regions.
    assert_eq!(targets.iter().filter(|target| target.starts_with("/memfd:")).count(), 3, "{targets:?}");
    assert_eq!(targets.iter().filter(ours).count(), 0, "{targets:?}, and the test had {inherited:?}");
}

/// The open files of a process: whether it closes each when it starts a program, and what it is.
fn open_files(pid: u32) -> Vec<(bool, String)> {
    let links = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    links
        .filter_map(|link| {
            let link = link.unwrap();
            let target = std::fs::read_link(link.path()).ok()?.to_string_lossy().into_owned();
            let info = format!("/proc/{pid}/fdinfo/{}", link.file_name().to_str().unwrap());
            let info = std::fs::read_to_string(info).ok()?;
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
            let flags = i32::from_str_radix(flags, 8).unwrap();
            Some((flags & libc::O_CLOEXEC != 0, target))
        })
        .collect()
}
