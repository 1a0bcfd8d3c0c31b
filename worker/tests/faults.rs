//! What goes wrong in executors, plugins and links, and what the worker makes of it.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::coordinator::{Coordinator, Session, grant, open, results, settled};
use fixture::executor::until;
use fixture::plugin::{null, wild};
use fixture::worker::{Worker, is_alive};
use muster_plugin_host::inspect;
use muster_proto::v1::{FailureClass, JobClose, JobOpen, Model, PluginRef, Sandbox, Shape, Work};
use muster_worker::page::JobPage;
use std::path::PathBuf;

/// A coordinator and a worker that has attached.
fn world(arguments: &[&str]) -> (Coordinator, Worker, Session) {
    let mut coordinator = Coordinator::start();
    let worker = Worker::start(&coordinator, arguments);
    let session = coordinator.session();
    (coordinator, worker, session)
}

fn close(job: u64, cancel: bool) -> Work {
    Work { closes: vec![JobClose { job, cancel }], ..Work::default() }
}

#[test]
fn a_crash_costs_the_task_that_ran_and_no_other() {
    let Some(wild) = wild() else { return };
    for (mode, cause, word) in
        [("segv", "signal", "SIGSEGV"), ("abort", "aborted", "last words"), ("exit", "exited", "exit code 7")]
    {
        let (coordinator, worker, mut session) = world(&["--slots", "1"]);
        let plugin = coordinator.plugin(&wild);
        let opens = vec![open(1, &plugin, &format!(r#"{{"at":333,"mode":"{mode}"}}"#), 1)];
        coordinator.work(&session, Work { opens, grants: vec![grant(1, 5, 0, 1_000)], ..Work::default() });
        let report = coordinator.reports_until(&mut session, |report| settled(report) == 1_000);
        assert_eq!(report.failures.len(), 1, "{mode}");
        assert_eq!((report.failures[0].index, report.failures[0].class()), (333, FailureClass::Crashed));
        assert!(report.failures[0].message.contains(word), "{}", report.failures[0].message);
        let others: Vec<u64> = results(&report).into_iter().map(|(index, _)| index).collect();
        assert!(others.into_iter().eq((0..333).chain(334..1_000)));
        // What was not done when its executor ended ran on the one thread of the next.
        let ran_on = report.blocks.iter().map(|block| (block.start, block.ran_on.unwrap()));
        assert!(ran_on.clone().all(|(_, it)| it.thread == 0 && it.ended_ns > 0));
        let (_, last) = ran_on.max_by_key(|(start, _)| *start).unwrap();
        assert_eq!(last.executor, 2);
        assert_eq!(report.exits.len(), 1);
        assert_eq!(report.exits[0].cause, cause);
        assert_eq!(worker.children().len(), 1, "a fresh executor took its place");
    }
}

#[test]
fn a_killed_executor_loses_nothing() {
    let Some(wild) = wild() else { return };
    let (coordinator, worker, mut session) = world(&["--slots", "2"]);
    let plugin = coordinator.plugin(&wild);
    let opens = vec![open(1, &plugin, r#"{"mode":"slow"}"#, 2)];
    coordinator.work(&session, Work { opens, grants: vec![grant(1, 5, 0, 1_000)], ..Work::default() });
    let mut report = coordinator.reports_until(&mut session, |report| settled(report) > 0);
    let killed = worker.children()[0];
    muster_worker::os::process::kill_group(killed, libc::SIGKILL);
    let rest = 1_000 - settled(&report);
    let more = coordinator.reports_until(&mut session, |report| settled(report) == rest);
    report.blocks.extend(more.blocks);
    // Two tasks ran as a rule: both are suspects, none is charged, and both run again. When the other thread
    // was between two claims, the one that ran is charged.
    assert!(more.failures.len() <= 1 && more.failures.iter().all(|it| it.class() == FailureClass::Crashed));
    let mut indexes: Vec<u64> = results(&report).into_iter().map(|(index, _)| index).collect();
    indexes.extend(more.failures.iter().map(|failure| failure.index));
    indexes.sort_unstable();
    assert!(indexes.into_iter().eq(0..1_000), "each task once");
    assert_eq!(more.exits[0].cause, "signal");
    assert!(!is_alive(killed));
}

#[test]
fn tasks_that_vanish_from_the_page_run_again() {
    let Some(wild) = wild() else { return };
    let (coordinator, worker, mut session) = world(&["--slots", "1"]);
    let plugin = coordinator.plugin(&wild);
    let opens = vec![open(1, &plugin, r#"{"mode":"slow"}"#, 1)];
    coordinator.work(&session, Work { opens, grants: vec![grant(1, 5, 0, 500)], ..Work::default() });
    let first = coordinator.reports_until(&mut session, |report| settled(report) > 0);
    // What a plugin could do that writes where it must not: the last tasks are taken out of the page.
    let page = page_of(worker.children()[0]);
    let entry = page.entries().iter().find(|entry| entry.word().unclaimed() > 0).unwrap();
    let stolen = entry.call_back(entry.word().generation, 100);
    assert_eq!(stolen.len(), 100);
    let rest = 500 - settled(&first);
    let mut report = coordinator.reports_until(&mut session, |report| settled(report) == rest);
    report.blocks.extend(first.blocks);
    assert!(results(&report).into_iter().map(|(index, _)| index).eq(0..500), "each task once");
}

#[test]
fn cancelled_tasks_stop_and_deaf_ones_are_killed() {
    let Some(wild) = wild() else { return };
    for mode in ["hang", "deaf"] {
        let (coordinator, worker, mut session) = world(&["--slots", "1"]);
        let plugin = coordinator.plugin(&wild);
        let opens = vec![open(1, &plugin, &format!(r#"{{"at":3,"mode":"{mode}"}}"#), 1)];
        coordinator.work(&session, Work { opens, grants: vec![grant(1, 5, 3, 10)], ..Work::default() });
        while coordinator.heartbeat(&mut session).busy_slots == 0 {}
        assert_eq!(worker.children().len(), 1);
        coordinator.work(&session, close(1, true));
        until("the executor is gone", || worker.children().is_empty());
    }
}

/// What the worker says of a job that it cannot run.
fn trouble_with(coordinator: &Coordinator, session: &mut Session, open: JobOpen) -> String {
    let job = open.job;
    let (opens, grants) = (vec![open], vec![grant(job, job, 0, 10)]);
    coordinator.work(session, Work { opens, grants, ..Work::default() });
    let report = coordinator.reports_until(session, |report| !report.troubles.is_empty());
    assert_eq!(report.troubles[0].job, job);
    report.troubles[0].message.clone()
}

fn runs(coordinator: &Coordinator, session: &mut Session, job: u64, plugin: &PluginRef) {
    let opens = vec![open(job, plugin, "{}", 1)];
    coordinator.work(session, Work { opens, grants: vec![grant(job, job, 0, 10)], ..Work::default() });
    coordinator.reports_until(session, |report| settled(report) == 10);
}

#[test]
fn a_plugin_that_cannot_be_used_is_said_in_words() {
    let Some(wild) = wild() else { return };
    let (coordinator, _worker, mut session) = world(&["--slots", "1"]);
    let trouble = |session: &mut Session, job, plugin: &PluginRef, params: &str| {
        trouble_with(&coordinator, session, open(job, plugin, params, 1))
    };
    let mut unknown = coordinator.plugin(&wild);
    unknown.digest = vec![9; 32].into();
    let text = trouble(&mut session, 1, &unknown, "{}");
    assert!(text.contains("no plugin with this digest"), "{text}");
    let damaged = coordinator.plugin(&wild);
    coordinator.damage(&damaged);
    let text = trouble(&mut session, 2, &damaged, "{}");
    assert!(text.contains("damaged"), "{text}");
    let plugin = coordinator.plugin(&wild);
    let text = trouble(&mut session, 3, &plugin, r#"{"mode":"refuse"}"#);
    assert!(text.contains("not welcome"), "{text}");
    // The worker still works.
    runs(&coordinator, &mut session, 4, &plugin);
}

/// The files of plugins that the worker keeps.
fn kept(coordinator: &Coordinator) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(coordinator.folder().join("cache")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "so")).collect()
}

#[test]
fn what_is_not_trusted_is_not_even_fetched() {
    let Some(wild) = wild() else { return };
    let null = inspect(&null()).unwrap();
    let trusted = format!("{}@{}", null.manifest.name(), null.manifest.version());
    let mut coordinator = Coordinator::start();
    let _worker = Worker::start(&coordinator, &["--slots", "1", "--trust", &trusted]);
    let mut session = coordinator.session();
    assert_eq!(session.hello.trust.as_ref().unwrap().versions, [trusted]);
    let null = coordinator.plugin(&fixture::plugin::null());
    let other = coordinator.plugin(&wild);
    let text = trouble_with(&coordinator, &mut session, open(1, &other, "{}", 1));
    assert!(text.contains("does not trust plugin") && text.contains("--trust "), "{text}");
    assert!(kept(&coordinator).is_empty());
    // A coordinator that lies about the name gets its file to the worker, but not into an executor.
    let lie = PluginRef { name: null.name.clone(), version: null.version.clone(), ..other.clone() };
    let text = trouble_with(&coordinator, &mut session, open(2, &lie, "{}", 1));
    assert!(text.contains(&format!("does not trust plugin {}@", other.name)), "{text}");
    runs(&coordinator, &mut session, 3, &null);
}

#[test]
fn a_full_cache_keeps_what_is_in_use() {
    let Some(wild) = wild() else { return };
    let (coordinator, _worker, mut session) = world(&["--slots", "2", "--cache-size", "1B"]);
    let null = coordinator.plugin(&null());
    runs(&coordinator, &mut session, 1, &null);
    runs(&coordinator, &mut session, 2, &coordinator.plugin(&wild));
    assert_eq!(kept(&coordinator).len(), 2, "the first job is open");
    runs(&coordinator, &mut session, 3, &null);
}

/// A job for four executors; in a sandbox of its own it has none of those that another job leaves.
fn open_apart(job: u64, plugin: &PluginRef) -> JobOpen {
    let four = Shape { model: Model::Process.into(), processes: 4, threads: 1, ..Shape::default() };
    JobOpen { sandbox: Sandbox::Limits.into(), shape: Some(four), ..open(job, plugin, "{}", 1) }
}

/// Has the worker run a job, and then a bit of its plugin's file is another: as if somebody had put another file there.
fn run_and_change(coordinator: &Coordinator, session: &mut Session, plugin: &PluginRef) -> PathBuf {
    runs(coordinator, session, 1, plugin);
    coordinator.work(session, close(1, false));
    let file = kept(coordinator).remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, bytes).unwrap();
    file
}

#[test]
fn a_file_that_changes_after_it_came_is_fetched_once_more() {
    let Some(wild) = wild() else { return };
    let (coordinator, _worker, mut session) = world(&["--slots", "4"]);
    let plugin = coordinator.plugin(&wild);
    let file = run_and_change(&coordinator, &mut session, &plugin);
    let opens = vec![open_apart(2, &plugin)];
    coordinator.work(&session, Work { opens, grants: vec![grant(2, 2, 0, 1_000)], ..Work::default() });
    let report = coordinator.reports_until(&mut session, |report| settled(report) == 1_000);
    assert_eq!(results(&report).len(), 1_000);
    assert_eq!((&report.troubles[..], &report.exits[..]), (&[][..], &[][..]));
    let [notice] = &report.notices[..] else { panic!("{:?}", report.notices) };
    let text = &notice.text;
    assert!(text.contains("was changed after it came") && text.contains(file.to_str().unwrap()), "{text}");
    assert_eq!(coordinator.pulls(), 2, "for all four executors it is fetched once");
    assert_eq!(*blake3::hash(&std::fs::read(&file).unwrap()).as_bytes(), plugin.digest[..]);
}

#[test]
fn a_changed_file_that_cannot_be_fetched_again_is_trouble() {
    let Some(wild) = wild() else { return };
    let (coordinator, _worker, mut session) = world(&["--slots", "4"]);
    let plugin = coordinator.plugin(&wild);
    let file = run_and_change(&coordinator, &mut session, &plugin);
    coordinator.damage(&plugin);
    let text = trouble_with(&coordinator, &mut session, open_apart(2, &plugin));
    for part in ["was changed after it came", ", and cannot be fetched again: ", "arrived damaged"] {
        assert!(text.contains(part), "{text}");
    }
    // Nor can a folder in its place be replaced.
    std::fs::create_dir_all(file.join("inside")).unwrap();
    let text = trouble_with(&coordinator, &mut session, open(3, &plugin, "{}", 1));
    assert!(text.contains(file.to_str().unwrap()) && text.contains("; remove what is there"), "{text}");
    std::fs::remove_dir_all(&file).unwrap();
    coordinator.plugin(&wild);
    runs(&coordinator, &mut session, 4, &plugin);
}

#[test]
fn a_plugin_changed_in_the_cache_is_fetched_again() {
    let plugin_file = null();
    let mut coordinator = Coordinator::start();
    let plugin = coordinator.plugin(&plugin_file);
    for round in 1..3 {
        let _worker = Worker::start(&coordinator, &["--slots", "1"]);
        let mut session = coordinator.session();
        let opens = vec![open(1, &plugin, "{}", 1)];
        coordinator.work(&session, Work { opens, grants: vec![grant(1, 1, 0, 10)], ..Work::default() });
        coordinator.reports_until(&mut session, |report| settled(report) == 10);
        assert_eq!(coordinator.pulls(), round);
        let cache = std::fs::read_dir(coordinator.folder().join("cache")).unwrap();
        let files: Vec<_> = cache.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
        let [cached] = &files[..] else { panic!("the cache has {files:?}, expected one plugin") };
        std::fs::remove_file(cached).unwrap();
        std::fs::write(cached, "something else").unwrap();
    }
}

#[test]
fn after_a_new_coordinator_nothing_of_the_old_one_is_reported() {
    let Some(wild) = wild() else { return };
    let (mut coordinator, _worker, mut session) = world(&["--slots", "1"]);
    let plugin = coordinator.plugin(&wild);
    let slow = r#"{"mode":"slow"}"#;
    let work = || Work {
        opens: vec![open(1, &plugin, slow, 1)],
        grants: vec![grant(1, 5, 0, 300)],
        ..Work::default()
    };
    coordinator.work(&session, work());
    coordinator.reports_until(&mut session, |report| settled(report) > 0);
    coordinator.next_epoch();
    session.close();
    let mut session = coordinator.session();
    // The same job and the same number of a lease, in another life.
    coordinator.work(&session, work());
    let report = coordinator.reports_until(&mut session, |report| settled(report) == 300);
    assert_eq!(report.epoch, 2);
    let exits: Vec<&str> = report.exits.iter().map(|exit| exit.detail.as_str()).collect();
    // An executor that had done all its tasks by then stays, and none ends.
    assert!(exits.iter().all(|why| why.contains("connected anew")), "the job is not over: {exits:?}");
    assert!(results(&report).into_iter().map(|(index, _)| index).eq(0..300), "each task once");
}

/// The job page that an executor has mapped.
fn page_of(executor: u32) -> JobPage {
    let links = std::fs::read_dir(format!("/proc/{executor}/fd")).unwrap();
    let is_page = |path: &PathBuf| {
        std::fs::read_link(path).is_ok_and(|target| target.to_string_lossy().contains("muster-page"))
    };
    let path = links.map(|link| link.unwrap().path()).find(is_page).unwrap();
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    JobPage::map(file.into()).unwrap()
}
