//! The live page in a real browser: a job starts, progresses and fails in part, its post-mortem is read, the coordinator is
//! killed and comes back; and a large cluster is drawn in time. Pictures are left in the target folder.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod browser;
mod daemons;
mod fixture;
mod swarm;

use browser::{Browser, CONTRAST, no_browser};
use daemons::{Daemon, SOON, allow_descriptors, until, workers_up};
use fixture::{Muster, plugin};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use swarm::Swarm;

/// A median frame of a large cluster takes less: three times of what it takes on a machine that does nothing else.
const FRAME_MAX_MS: f64 = 3.0 * 50.0;
/// Frames that a median is of.
const FRAMES: usize = 30;
const WORKERS: u64 = 1_000;
const TASKS: u64 = 1_000_000;
/// Descriptors beside the workers' connections.
const SPARE_DESCRIPTORS: u64 = 500;

/// A coordinator with a state folder, in a process of its own.
struct Coordinator {
    daemon: Daemon,
    cluster: String,
    http: String,
    /// Last: it finds that no process is left.
    muster: Muster,
}

impl Coordinator {
    fn start() -> Self {
        let muster = Muster::new();
        let cluster = format!("unix:{}", muster.path("c.sock").display());
        let (daemon, http) = run(&muster, "127.0.0.1:0");
        Self { daemon, cluster, http, muster }
    }

    /// `kill -9`, and nobody listens.
    fn kill(&mut self) {
        self.daemon.kill();
    }

    /// The same again, on the same state and address.
    fn start_again(&mut self) {
        let http = self.http.clone();
        (self.daemon, self.http) = run(&self.muster, &http);
        assert_eq!(self.http, http);
    }

    fn worker(&self) -> Daemon {
        let mut command = self.muster.command(&["worker", "start", "--slots", "2", "--name", "anna"]);
        command.args(["--connect", &self.cluster]);
        let worker = Daemon::start("worker", &self.muster.path(""), command);
        workers_up(1, || self.muster.command(&["worker", "ls", "--json", "--cluster", &self.cluster]));
        worker
    }

    fn submit(&self, arguments: &[&str]) {
        self.muster.run(&[&["submit"], arguments, &["--cluster", &self.cluster]].concat()).ok();
    }
}

fn run(muster: &Muster, http: &str) -> (Daemon, String) {
    let access = muster.path(".local/state/muster/clusters/page.json");
    let _ = std::fs::remove_file(&access);
    let mut command =
        muster.command(&["coordinator", "start", "--listen", "none", "--name", "page", "--allow-chaos"]);
    command.args(["--http", http]).arg("--socket").arg(muster.path("c.sock"));
    command.arg("--state").arg(muster.path("state")).arg("--runs").arg(muster.path(".muster/runs"));
    command.env("MUSTER_LOG", "warn");
    let mut daemon = Daemon::start("coordinator", &muster.path(""), command);
    let access = until("access file of the coordinator", SOON, || {
        daemon.assert_runs();
        serde_json::from_slice::<Value>(&std::fs::read(&access).ok()?).ok()
    });
    (daemon, access["http"].as_str().unwrap().to_owned())
}

/// Waits until a function body of the page gives something that is not empty.
#[track_caller]
fn shows(browser: &Browser, what: &str, body: &str) -> Value {
    until(what, 2 * SOON, || {
        let found = browser.script(body);
        let empty = found.is_null() || found == false || found == "" || found == 0;
        (!empty).then_some(found)
    })
}

#[track_caller]
fn shows_words(browser: &Browser, words: &str) {
    shows(browser, words, &format!("return document.body.innerText.includes({})", json!(words)));
}

/// Clicks what a selector finds and has these words.
#[track_caller]
fn click(browser: &Browser, selector: &str, words: &str) {
    let (selector, words) = (json!(selector), json!(words));
    let body = format!(
        "const it = [...document.querySelectorAll({selector})].find(it => it.textContent.includes({words}));
         if (it) it.click();
         return Boolean(it)"
    );
    shows(browser, &format!("{selector} with {words}"), &body);
}

/// What every view must fulfil at every width: gives what is wrong.
const FAULTS: &str = r#"
const faults = [];
const root = document.documentElement;
if (root.scrollWidth > root.clientWidth) faults.push(`${root.scrollWidth} px wide in ${root.clientWidth}`);
for (const [selector, number] of [['header', 1], ['nav[aria-label]', 1], ['main', 1], ['h1', 1], ['[role=status][aria-live=polite]', 1], ['nav a[aria-current=page]', 1]]) {
  const found = document.querySelectorAll(selector).length;
  if (found !== number) faults.push(`${found} of ${selector}`);
}
const levels = [...document.querySelectorAll('h1,h2,h3')].map(it => Number(it.tagName[1]));
levels.forEach((level, at) => { if (at > 0 && level > levels[at - 1] + 1) faults.push(`h${level} after h${levels[at - 1]}`); });
for (const table of document.querySelectorAll('table')) {
  if (!table.caption || !table.caption.textContent) faults.push('a table without a caption');
  if ([...table.querySelectorAll('thead th')].some(it => it.scope !== 'col' || !it.textContent)) faults.push('a column without a head');
}
for (const picture of document.querySelectorAll('canvas,svg')) {
  if (picture.getAttribute('role') !== 'img' || !picture.getAttribute('aria-label')) faults.push('a picture without words');
}
for (const it of document.querySelectorAll('input,select,progress')) {
  if (!it.labels?.length && !it.getAttribute('aria-label')) faults.push(`${it.tagName} without a label`);
}
for (const it of document.querySelectorAll('a,button,summary')) {
  if (it.checkVisibility() && !it.textContent.trim()) faults.push(`${it.tagName} without words`);
}
return faults;
"#;

fn save(browser: &Browser, name: &str) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("page-{name}.png"));
    std::fs::write(&path, browser.picture()).unwrap();
    println!("{}", path.display());
}

#[track_caller]
fn assert_looks_right(browser: &Browser, name: &str) {
    for (width, scheme) in [(1280, "dark"), (400, "dark"), (400, "light"), (1280, "light")] {
        browser.look(width, scheme);
        // Pictures are drawn anew by the width: with the next frame.
        shows(browser, "a frame", "return document.querySelector('h1') !== null");
        let faults = until_settled(browser);
        assert_eq!(faults, json!([]), "{name} at {width} px, {scheme}");
        let contrast = browser.script(CONTRAST);
        assert!(contrast[0].as_u64().unwrap() > 10, "{contrast}");
        assert_eq!(contrast[1], json!([]), "{name} at {width} px, {scheme}");
        save(browser, &format!("{name}-{width}-{scheme}"));
    }
}

/// The faults that stay once the page had a second to draw itself in its new width.
fn until_settled(browser: &Browser) -> Value {
    let frames = "return performance.getEntriesByName('muster:frame').length";
    let before = browser.script(frames).as_u64().unwrap();
    // Every second there is a frame; when there are very many the count begins anew.
    until("two frames", SOON, || {
        let now = browser.script(frames).as_u64().unwrap();
        (now >= before + 2 || now < before).then_some(())
    });
    browser.script(FAULTS)
}

#[test]
fn a_job_starts_progresses_and_fails_in_part_and_the_page_survives_a_restart() {
    if no_browser() {
        return;
    }
    let mut coordinator = Coordinator::start();
    let _worker = coordinator.worker();
    let browser = Browser::start(&coordinator.muster);
    browser.look(1280, "light");
    browser.visit(&format!("http://{}/", coordinator.http));
    shows_words(&browser, "1 up");
    shows_words(&browser, "anna");
    shows_words(&browser, "0 of 2 slots of 1 workers are busy");

    let chaos = plugin("chaos");
    let plan = ["mode=segv", "after=300", "every=1000", "ms=20", "-n", "600"];
    coordinator.submit(&[&[chaos.as_str()], &plan[..]].concat());
    shows_words(&browser, "2 of 2 slots of 1 workers are busy");
    // By keyboard: the skip link, then Cluster, then Jobs.
    browser.script("document.activeElement.blur(); return document.body.focus()");
    browser.press(&["Tab", "Tab", "Tab", "Enter"]);
    shows(
        &browser,
        "the list of jobs",
        "return location.pathname === '/jobs' && document.activeElement.tagName === 'H1'",
    );
    shows_words(&browser, "chaos@");
    click(&browser, "td a", "1");
    shows(&browser, "the job", "return location.pathname === '/jobs/1'");

    // It goes forward, and what is said of it goes with it.
    let ended = "return Number(/Tasks ended\\s+([\\d,]+) of 600/.exec(document.body.innerText)?.[1].replace(',', '') ?? 0)";
    let mut seen = Vec::new();
    until("the end of the job", 2 * SOON, || {
        let now = browser.script(ended).as_u64()?;
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        (now == 600).then_some(())
    });
    assert!(seen.len() > 4 && seen.is_sorted(), "{seen:?}");
    let value = "return document.querySelector('progress').value";
    assert_eq!(browser.script(value).as_f64(), Some(1.0));
    shows_words(&browser, "1 task failed for good");
    shows_words(&browser, "1, 1 in quarantine");
    // Its post-mortem is open, because it is the only one.
    for words in [
        "Task 300: crashed",
        "Attempt 1 on anna",
        "signal 11 (SIGSEGV)",
        "fault at 0x40",
        "muster job why 1.300",
        "Stack, innermost first",
    ] {
        shows_words(&browser, words);
    }
    let stream = browser.script("return document.querySelector('canvas').getAttribute('aria-label')");
    let stream = stream.as_str().unwrap().to_owned();
    assert!(
        stream.contains("of 600 tasks that ended, in ")
            && stream.contains(" of 1 worker over ")
            && stream.contains("failed attempts"),
        "{stream}"
    );
    click(&browser, "button", "Read the log");
    shows(&browser, "log", "return /The last [\\d,]+ lines?|No lines/.test(document.body.innerText)");
    assert_looks_right(&browser, "job");

    // Everything came from here, and nothing was complained about.
    let own = format!("http://{}/", coordinator.http);
    let foreign: Vec<String> = browser
        .take_requests()
        .into_iter()
        .filter(|url| !url.starts_with(&own) && !url.starts_with("data:"))
        .collect();
    assert_eq!(foreign, [""; 0]);
    assert_eq!(browser.take_console(), [""; 0]);

    for (path, name, words) in
        [("/", "cluster", "anna"), ("/jobs", "jobs", "chaos@"), ("/plugins", "plugins", "chaos@")]
    {
        browser.visit(&format!("{own}{}", path.trim_start_matches('/')));
        shows_words(&browser, words);
        assert_looks_right(&browser, name);
    }

    reports_are_listed_and_read(&browser, &coordinator);

    browser.visit(&format!("{own}jobs/1"));
    shows_words(&browser, "600 of 600");
    coordinator.kill();
    shows_words(&browser, "Connection lost");
    shows_words(&browser, "600 of 600");
    coordinator.start_again();
    shows(&browser, "a live page", "return document.getElementById('connection').textContent === 'Live'");
    shows_words(&browser, "600 of 600");
    click(&browser, "nav a", "Cluster");
    shows_words(&browser, "life 2 of the coordinator");
    shows_words(&browser, "1 up");
    drop(browser);
}

/// A comparison appears when it has ended, and its report opens as a page of its own.
fn reports_are_listed_and_read(browser: &Browser, coordinator: &Coordinator) {
    browser.visit(&format!("http://{}/reports", coordinator.http));
    shows_words(browser, "There is no comparison in");
    let (line, sleep) =
        (["--models", "thread,async", "--slots", "2", "-n", "8", "--blocks", "6"], plugin("sleep"));
    coordinator.muster.run(&[&["compare", &sleep, "ms=2"][..], &line].concat()).ok();
    shows_words(browser, "1 comparison in");
    // While it ran it was listed as not finished.
    let row = "return [...document.querySelectorAll('tbody td')].map(it => it.textContent)";
    until("a verdict", 2 * SOON, || {
        let row = browser.script(row);
        (row[1] == "sleep" && row[2] != "–" && row[4] == "8" && row[5] != "–").then_some(())
    });
    assert_looks_right(browser, "reports");
    browser.take_requests();
    click(browser, "td a", "1");
    shows_words(browser, "noise floor");
    let own = format!("http://{}/", coordinator.http);
    let asked: Vec<String> =
        browser.take_requests().into_iter().filter(|url| !url.starts_with("data:")).collect();
    assert_eq!(asked, [format!("{own}page/report?run=1")], "a report loads nothing else");
    let (applied, elements) = (
        browser.script("return getComputedStyle(document.querySelector('table')).borderCollapse"),
        browser.script("return document.querySelectorAll('svg').length"),
    );
    assert!(
        applied == "collapse" && elements.as_u64() > Some(0),
        "{applied} {elements}: its own style holds"
    );
    save(browser, "report");
    assert_eq!(browser.take_console(), [""; 0]);
    // What is no run is said in a line.
    let code =
        "const answer = await fetch('/page/report?run=9'); return [answer.status, await answer.text()]";
    browser.visit(&own);
    let answer = browser.script(&format!("return (async () => {{ {code} }})()"));
    assert_eq!(answer, json!([404, "run is 9: there is no such run\n"]));
    browser.take_console();
}

/// The median of the last frames, once there are enough of them, in milliseconds.
fn median_frame(browser: &Browser, view: &str) -> f64 {
    browser.script("performance.clearMeasures('muster:frame')");
    let frames = until("enough frames", Duration::from_secs(120), || {
        let frames =
            browser.script("return performance.getEntriesByName('muster:frame').map(it => it.duration)");
        let frames: Vec<f64> = frames.as_array()?.iter().filter_map(Value::as_f64).collect();
        (frames.len() >= FRAMES).then_some(frames)
    });
    let mut sorted = frames.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let median = sorted[sorted.len() / 2];
    println!(
        "{view}: {} frames, median {median:.1} ms, longest {:.1} ms",
        frames.len(),
        sorted[sorted.len() - 1]
    );
    median
}

#[test]
fn a_thousand_workers_and_a_million_tasks_are_drawn_in_time() {
    if no_browser() {
        return;
    }
    allow_descriptors(WORKERS + SPARE_DESCRIPTORS);
    let coordinator = Coordinator::start();
    let swarm = Swarm::start(WORKERS, &PathBuf::from(coordinator.cluster.trim_start_matches("unix:")));
    let browser = Browser::start(&coordinator.muster);
    browser.look(1280, "light");
    browser.visit(&format!("http://{}/", coordinator.http));
    shows_words(&browser, "1,000 up");
    let tasks = TASKS.to_string();
    coordinator.submit(&[&plugin("null"), "-n", &tasks]);
    shows_words(&browser, "1 live");
    let cluster = median_frame(&browser, "cluster");
    save(&browser, "large-cluster");
    browser.visit(&format!("http://{}/jobs/last", coordinator.http));
    shows_words(&browser, "of 1,000,000");
    let job = median_frame(&browser, "job");
    save(&browser, "large-job");
    let running = browser.script("return document.querySelector('p.state').textContent");
    assert!(running == "running" || running == "done", "{running}");
    assert!(cluster < FRAME_MAX_MS && job < FRAME_MAX_MS, "{cluster:.1} and {job:.1} ms");
    let ended = "return /Tasks ended\\s+1,000,000 of 1,000,000/.test(document.body.innerText)";
    until("the end of the job", Duration::from_secs(180), || (browser.script(ended) == true).then_some(()));
    assert_eq!(browser.take_console(), [""; 0]);
    drop(browser);
    swarm.end();
}
