//! `muster report` and `muster export`: a page that opens anywhere and loads nothing, tables that pandas reads, and one clear line
//! for runs that are broken.

#![allow(clippy::unwrap_used, missing_docs)]

mod browser;
mod daemons;
mod fixture;
mod kept_run;

use base64::Engine as _;
use browser::{Browser, CONTRAST, no_browser};
use daemons::skip_without;
use fixture::{Muster, Started, plugin};
use kept_run::{Kept, hostile};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A page of less than this can be sent around.
const PAGE_MAX_BYTES: usize = 2_000_000;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// A real comparison as run 1, as short as one can be.
fn compare(muster: &Muster) -> Value {
    let sleep = plugin("sleep");
    let line = ["compare", &sleep, "ms=2", "--models", "thread,process", "--slots", "2"];
    muster.run(&[&line[..], &["-n", "8", "--blocks", "6", "--json"]].concat()).ok().json()
}

/// What a page must fulfil at every width: gives what is wrong.
const FAULTS: &str = r#"
const faults = [];
const root = document.documentElement;
if (root.scrollWidth > root.clientWidth) faults.push(`${root.scrollWidth} px wide in ${root.clientWidth}`);
const shown = [...document.querySelectorAll('svg[role=img]')].filter(it => it.getBoundingClientRect().width > 0);
if (shown.length === 0) faults.push('no chart is shown');
for (const chart of shown) {
  const name = chart.querySelector(':scope > title'), words = chart.querySelector(':scope > desc');
  if (!name || !name.textContent.trim() || !words || !words.textContent.trim()) faults.push('a chart without words');
  const frame = chart.getBoundingClientRect();
  for (const text of chart.querySelectorAll('text')) {
    const box = text.getBoundingClientRect();
    if (box.left < frame.left - 2 || box.right > frame.right + 2) faults.push(`"${text.textContent}" is cut off`);
    if (box.height < 9) faults.push(`"${text.textContent}" is ${box.height} px high`);
  }
}
for (const figure of document.querySelectorAll('figure')) {
  const charts = [...figure.querySelectorAll('svg[role=img]')].filter(it => it.getBoundingClientRect().width > 0);
  if (charts.length !== 1) faults.push(`a figure shows ${charts.length} charts`);
}
if (document.scripts.length > 0) faults.push('a script');
return faults;
"#;

#[track_caller]
fn assert_looks_right(browser: &Browser, page: &Path) {
    for (width, scheme) in [(1280, "light"), (400, "light"), (1280, "dark"), (400, "dark")] {
        browser.look(width, scheme);
        browser.open(page);
        assert_eq!(browser.script(FAULTS), json!([]), "at {width} px, {scheme}");
        let contrast = browser.script(CONTRAST);
        assert!(number(&contrast[0]) > 50.0, "{contrast}");
        assert_eq!(contrast[1], json!([]), "at {width} px, {scheme}");
        assert_eq!(browser.take_console(), [""; 0], "at {width} px, {scheme}");
        assert_eq!(
            browser.script("return performance.getEntriesByType('resource').map(it => it.name)"),
            json!([])
        );
        let own = format!("file://{}", page.display());
        let others: Vec<String> = browser
            .take_requests()
            .into_iter()
            .filter(|url| *url != own && !url.starts_with("data:"))
            .collect();
        assert_eq!(others, [""; 0], "a request left the file");
    }
    let ground = |scheme| {
        browser.look(1280, scheme);
        browser.script("return getComputedStyle(document.body).backgroundColor")
    };
    assert_ne!(ground("light"), ground("dark"));
    assert!(browser.print().starts_with(b"%PDF-"));
}

/// The file that the page offers under this name.
fn downloaded(browser: &Browser, name: &str) -> Vec<u8> {
    let link = browser.script(&format!("return document.querySelector('a[download=\"{name}\"]').href"));
    let link = link.as_str().unwrap().to_owned();
    base64::prelude::BASE64_STANDARD.decode(link.split_once(";base64,").unwrap().1).unwrap()
}

#[test]
fn a_report_opens_anywhere_and_loads_nothing() {
    if no_browser() {
        return;
    }
    let muster = Muster::new();
    let found = compare(&muster);
    let grid = Kept::grid(2, &hostile("loop"));
    grid.write(&muster);
    Kept::sweep(3).write(&muster);
    let said = muster.run(&["report", "1", "2", "3"]).ok().stderr;
    assert!(said.starts_with("report: report.html ("), "{said}");
    let page = muster.path("report.html");
    assert!(muster.read("report.html").len() < PAGE_MAX_BYTES);
    let browser = Browser::start(&muster);
    assert_that_faults_are_seen(&muster, &browser);
    assert_looks_right(&browser, &page);
    let words = browser.script("return document.body.innerText");
    let words = words.as_str().unwrap();
    let verdict = found["verdict"][0].as_str().unwrap();
    for wanted in
        [verdict, &grid.verdict(), "Linux kernel", "Seed", "it was interrupted", "from intended start"]
    {
        assert!(words.contains(wanted), "{wanted:?} is not in\n{words}");
    }
    // The answer stands before everything that it rests on.
    assert!(words.find(verdict) < words.find("Times the best"), "{words}");
    assert!(words.contains(&hostile("loop")), "text of a run stays text");
    let samples = muster.read(".muster/runs/1/samples.csv");
    assert_eq!(downloaded(&browser, "run-1-samples.csv"), samples);
    assert_eq!(downloaded(&browser, "run-2-tasks.csv"), muster.read(".muster/runs/2/tasks.csv"));
    assert_eq!(downloaded(&browser, "run-2-comparison.json"), muster.read(".muster/runs/2/comparison.json"));
    drop(browser);
    muster.assert_no_process_left();
}

/// What the browser is asked would notice a page that loads and logs.
fn assert_that_faults_are_seen(muster: &Muster, browser: &Browser) {
    let bad = "<!DOCTYPE html><body style=\"width:5000px\"><p style=\"color:#bbb\">pale</p>\
               <img src=\"nowhere.png\"><script>console.error('a fault')</script>";
    muster.write("bad.html", bad);
    browser.look(400, "light");
    browser.open(&muster.path("bad.html"));
    let console = browser.take_console().join("\n");
    assert!(console.contains("a fault"), "{console}");
    assert!(browser.take_requests().iter().any(|url| url.ends_with("nowhere.png")));
    let faults = browser.script(FAULTS).to_string();
    assert!(faults.contains("px wide in 400") && faults.contains("a script"), "{faults}");
    assert!(browser.script(CONTRAST)[1].to_string().contains("pale"));
}

#[test]
fn charts_and_tables_say_what_was_measured() {
    let muster = Muster::new();
    let (grid, sweep) = (Kept::grid(1, "loop"), Kept::sweep(2));
    grid.write(&muster);
    sweep.write(&muster);
    let page = muster.run(&["report", "1", "-o", "-"]).ok().text();
    // 2 x 2 shapes: the times, what is fastest, and what nothing beats.
    for (name, time) in [
        ("thread 1x1", "4.00 s"),
        ("thread 1x2", "2.20 s"),
        ("process 2x1", "2.10 s"),
        ("hybrid 2x2", "1.90 s"),
    ] {
        assert!(page.contains(name) && page.contains(time), "{name}: {time}");
    }
    assert!(page.contains("Pareto front over time, peak of memory, tasks lost by one crash: thread 1x1, thread 1x2, process 2x1, hybrid 2x2."));
    for words in [
        "invalid, because a test says so",
        "noise floor of 2.0 %: less is not claimed",
        "lost updates",
        "message, ns",
        "Creation",
        "20.0 us (10.0 us to 30.0 us, of 100)",
        "cannot",
    ] {
        assert!(page.contains(words), "{words}");
    }
    assert_eq!(page.matches("Latency of tasks by percentile</figcaption>").count(), 1);
    // Lines of 1 + 3 x and 2 + x meet at one half.
    let page = muster.run(&["report", "-o", "-"]).ok().text();
    assert!(page.contains("up to share 0.25 thread is the fastest, from 0.75 on process; straight lines between the medians cross at about 0.5."), "{page}");
    assert!(page.contains("<title>Time of a run by share</title>"), "{page}");
    // An experiment with groups has its own name, and its claims before tables and notes.
    assert!(page.contains("<title>muster report: Run 2: mixed</title>"), "{page}");
    assert!(page.contains("<h2>Run 2: mixed</h2>\n<p class=\"soft\">4 groups · 8 blocks</p>"), "{page}");
    let at = |words: &str| page.find(words).unwrap_or_else(|| panic!("{words} is not in {page}"));
    let order = ["class=\"verdict\"", ">What people claim<", "<table>", ">Notes<", ">How it was measured<"];
    assert!(order.map(at).is_sorted(), "{:?}", order.map(at));
    for words in [
        "At 0.25 this is the answer.",
        "<strong>does not hold</strong>",
        "they take 2 times as long",
        "on cluster lab: 3 workers, 12 slots",
        "16 tasks that do nothing",
    ] {
        assert!(page.contains(words), "{words}");
    }
    // The same workload twice is compared run by run.
    Kept::grid(3, "loop").write(&muster);
    let page = muster.run(&["report", "1", "3", "3", "-o", "-"]).ok().text();
    assert_eq!(page.matches("<section id=").count(), 2, "each run once");
    assert!(page.contains("From run to run") && page.contains("hybrid 2x2, run 3"), "{page}");
}

#[test]
fn a_report_stays_small_and_names_what_it_leaves_out() {
    let muster = Muster::new();
    let mut kept = Kept::grid(1, "loop");
    kept.tasks = 40_000;
    kept.write(&muster);
    muster.run(&["report"]).ok();
    let page = String::from_utf8(muster.read("report.html")).unwrap();
    assert!(page.len() < PAGE_MAX_BYTES, "{}", page.len());
    assert!(
        page.contains("download=\"run-1-samples.csv\"") && !page.contains("download=\"run-1-tasks.csv\"")
    );
    assert!(
        page.contains("and is left out, because a report stays below 2 MB: it is .muster/runs/1/tasks.csv."),
        "{page}"
    );
    // Pages without their data do not become too large, either.
    let runs: Vec<String> = (1..=40).map(|run| run.to_string()).collect();
    for run in 2..=40 {
        Kept::grid(run, "loop").write(&muster);
    }
    let line: Vec<&str> =
        ["report", "-o", "all.html"].into_iter().chain(runs.iter().map(String::as_str)).collect();
    muster.run(&line).fails(7, &["a report of 40 runs has", "below 2 MB", "fewer runs"]).says_no_more();
    assert!(!muster.path("all.html").exists());
    // A report may be replaced, anything else not.
    muster.run(&["report"]).ok();
    muster.write("mine.html", "<p>mine</p>");
    muster
        .run(&["report", "-o", "mine.html"])
        .fails(2, &["mine.html", "is no report of muster", "-o"])
        .says_no_more();
    assert_eq!(muster.read("mine.html"), b"<p>mine</p>");
}

#[test]
fn broken_runs_and_full_disks_get_one_line() {
    let muster = Muster::new();
    for command in ["report", "export"] {
        muster.run(&[command]).fails(3, &["no run in .muster/runs", "muster compare"]).says_no_more();
        muster.run(&[command, "0"]).fails(2, &["its number, or `last`"]).says_no_more();
    }
    Kept::grid(1, "loop").write(&muster);
    let good = String::from_utf8(muster.read(".muster/runs/1/comparison.json")).unwrap();
    let samples = String::from_utf8(muster.read(".muster/runs/1/samples.csv")).unwrap();
    let header = "block,configuration,time_s,cpu_s,ctx_switches,stolen,throttled,others";
    let cut = &good[..good.len() / 2];
    let open = good.replacen('{', "{\"measure\":\"latency_p95\",", 1);
    for (place, (comparison, samples, words)) in [
        (
            "{\"hello\":1}",
            samples.as_str(),
            "comparison.json is not what muster writes: it has neither rows nor tables",
        ),
        ("[]", &samples, "comparison.json is not what muster writes"),
        (cut, &samples, "comparison.json is not what muster writes: EOF"),
        ("{\"rows\":[{\"name\":1}]}", &samples, "comparison.json is not what muster writes: invalid type"),
        (&good, "a,b\n1,2\n", "samples.csv has no column block"),
        (&good, "", "samples.csv has no column block"),
        (
            &good,
            &format!("{header}\n1,thread 1x1,soon,1,1,0,0,0\n"),
            "line 2 of samples.csv has time_s that is no number: \"soon\"",
        ),
        (&good, &format!("{header}\n1,thread 1x1\n"), "line 2 of samples.csv has no time"),
        (
            &good,
            &format!("{header}\n1,thread 1x1,0,1,1,0,0,0\n"),
            "line 2 of samples.csv has time_s that is not above 0: 0",
        ),
        (&open, &samples, "samples.csv has no column latency_p95_s"),
        (
            &open,
            "block,configuration,time_s,latency_p95_s\n1,thread 1x1,1,\n",
            "line 2 of samples.csv has no p95 latency",
        ),
        (
            &good,
            &format!("{header}\nx,thread 1x1,1,1,1,0,0,0\n"),
            "line 2 of samples.csv has block that is no whole number",
        ),
        (
            &good,
            "block,configuration,time_s\n1,\u{0},inf\n",
            "line 2 of samples.csv has time_s that is no number",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let run = place + 2;
        muster.write(&format!(".muster/runs/{run}/comparison.json"), comparison);
        muster.write(&format!(".muster/runs/{run}/samples.csv"), samples);
        let run = run.to_string();
        muster.run(&["report", "1", &run]).fails(3, &[&format!("run {run}: "), words]).says_no_more();
        muster.run(&["export", "1", &run]).fails(3, &[&format!("run {run}: "), words]).says_no_more();
    }
    std::fs::remove_file(muster.path(".muster/runs/2/comparison.json")).unwrap();
    muster
        .run(&["report", "2"])
        .fails(3, &["run 2: it has no comparison.json: it was not finished"])
        .says_no_more();
    muster.write(".muster/runs/3/comparison.json", [0xff; 20]);
    muster.run(&["report", "3"]).fails(3, &["run 3: ", "is not what muster writes"]).says_no_more();
    // Nobody writes to that pipe.
    for (file, others) in [("samples.csv", "comparison.json"), ("comparison.json", "samples.csv")] {
        let folder = muster.path(".muster/runs/4");
        std::fs::write(folder.join(others), if others == "comparison.json" { &good } else { &samples })
            .unwrap();
        std::fs::remove_file(folder.join(file)).unwrap();
        assert!(Command::new("mkfifo").arg(folder.join(file)).status().unwrap().success());
        muster.run(&["report", "4"]).fails(3, &["run 4: ", file, "is no file"]).says_no_more();
        std::fs::remove_file(folder.join(file)).unwrap();
        let large = std::fs::File::create(folder.join(file)).unwrap();
        large.set_len(80 << 20).unwrap();
        let words = ["run 4: ", file, "has 80.0 MiB, and muster reads no more than 64.0 MiB"];
        muster.run(&["report", "4"]).fails(3, &words).says_no_more();
    }
    std::fs::remove_file(muster.path(".muster/runs/5/samples.csv")).unwrap();
    muster.write(".muster/runs/5/comparison.json", &good);
    muster.run(&["report", "5"]).fails(3, &["run 5: it has no samples.csv"]).says_no_more();
    assert!(!muster.path("report.html").exists(), "nothing is written of what cannot be read");
    muster
        .run(&["report", "1", "-o", "/dev/full"])
        .fails(9, &["cannot write /dev/full: No space left"])
        .says_no_more();
    muster
        .run(&["report", "1", "-o", "a/b.html"])
        .fails(3, &["cannot write a/b.html", "mkdir -p a"])
        .says_no_more();
    muster.run(&["report", "1", "-o", ".muster"]).fails(2, &["-o .muster is a folder"]).says_no_more();
    muster
        .run(&["export", "1", "-o", ".muster/runs/1/samples.csv"])
        .fails(3, &["samples.csv"])
        .says_no_more();
    Kept::sweep(1).write(&muster);
    std::fs::remove_file(muster.path(".muster/runs/1/tasks.csv")).unwrap();
    muster.run(&["export", "1", "--tasks"]).fails(3, &["run 1 kept no times of single tasks"]).says_no_more();
    // An experiment that timed no runs has a page and no lines.
    let table = r#"{"experiment":"lifecycle","tables":[{"title":"Start","of":"what"}]}"#;
    muster.write(".muster/runs/6/comparison.json", table);
    let _ = std::fs::remove_file(muster.path(".muster/runs/6/samples.csv"));
    let exported = muster.run(&["export", "6"]).ok();
    assert_eq!(exported.text().lines().count(), 1, "a header");
    assert!(exported.stderr.contains("run 6: lifecycle has no line here"), "{}", exported.stderr);
    muster.run(&["diff", "1", "6"]).fails(3, &["run 6"]).says_no_more();
    if !cfg!(feature = "parquet") {
        let line = ["export", "1", "--format", "parquet"];
        muster.run(&line).fails(2, &["built without Parquet", "--features parquet"]).says_no_more();
    }
}

/// A disk of 64 KiB that only these commands see: what does not fit leaves the old report as it was, and nothing else.
#[test]
fn a_disk_that_becomes_full_keeps_the_old_report() {
    let muster = Muster::new();
    Kept::grid(1, "loop").write(&muster);
    std::fs::create_dir(muster.path("small")).unwrap();
    let inside = |script: &str| {
        let mount = "mount -t tmpfs -o size=64k none small && ";
        let mut command = muster.program("unshare".as_ref());
        command.args(["-r", "-m", "sh", "-c", &format!("{mount}{script}"), env!("CARGO_BIN_EXE_muster")]);
        command
    };
    let can = inside("true").status().is_ok_and(|status| status.success());
    if skip_without(can, "mounts in a namespace are not allowed here") {
        return;
    }
    let old = "<meta name=\"generator\" content=\"muster report\">";
    let script = format!(
        "echo '{old}' > small/report.html; \"$0\" report -o small/report.html; echo \"code $?\"; cat small/report.html; ls -A small"
    );
    let finished = Started::new(inside(&script)).finish().ok();
    assert_eq!(finished.text(), format!("code 9\n{old}\nreport.html\n"), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("error: cannot write small/report.html: No space left on device"),
        "{}",
        finished.stderr
    );
}

/// A Python that has pandas, in the target folder; the first time it is made.
fn python_with_pandas() -> Result<PathBuf, String> {
    const PANDAS: &str = "pandas==3.1.1";
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("venv-{PANDAS}"));
    let python = place.join("bin/python");
    if python.exists() {
        return Ok(python);
    }
    let made = tempfile::Builder::new().prefix("venv-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let run = |program: &Path, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(said) }
    };
    run("python3".as_ref(), &["-m", "venv", made.path().to_str().unwrap()])?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PANDAS];
    run(&made.path().join("bin/python"), &pip)?;
    // Another process of tests may have been faster: its is as good.
    let _ = std::fs::rename(made.path(), &place);
    Ok(python)
}

/// Prints medians by configuration of both files as JSON, in the order of the arguments.
const MEDIANS: &str = r#"
import json, sys, pandas
samples = pandas.read_csv(sys.argv[1])
samples = samples[~samples.configuration.str.endswith(" (again)")]
table = pandas.read_csv(sys.argv[2])
tidy = table[(table.run == 1) & ~table.again]
assert str(table.again.dtype) == "bool" and str(table.time_s.dtype) == "float64", table.dtypes
print(json.dumps([it.groupby("configuration").time_s.median().to_dict() for it in (samples, tidy)]))
rest = table[table.run == 2]
print(json.dumps([len(rest), sorted(rest.factor_share.unique().tolist()), rest.plugin.unique().tolist()]))
"#;

#[test]
fn pandas_gets_the_same_medians() {
    let python = match python_with_pandas() {
        Ok(python) => python,
        Err(why) => {
            eprintln!("{why}");
            assert!(skip_without(
                false,
                "pandas in a virtual environment (Debian package python3-venv, PyPI)"
            ));
            return;
        }
    };
    let muster = Muster::new();
    let found = compare(&muster);
    let sweep = Kept::sweep(2);
    sweep.write(&muster);
    let said = muster.run(&["export", "1", "2", "-o", "out"]).ok().stderr;
    assert!(said.starts_with("exported: out/samples.csv ("), "{said}");
    assert_eq!(muster.run(&["export", "1", "2"]).ok().stdout, muster.read("out/samples.csv"));
    let mut command = muster.program(&python);
    command.args(["-c", MEDIANS, ".muster/runs/1/samples.csv", "out/samples.csv"]);
    let lines = Started::new(command).finish().ok().json_lines();
    for row in found["rows"].as_array().unwrap() {
        let median = number(&row["time_s"]["median"]);
        for (place, file) in ["samples.csv", "the export"].into_iter().enumerate() {
            let theirs = number(&lines[0][place][row["name"].as_str().unwrap()]);
            assert!((theirs - median).abs() < 1e-12, "{file}: {theirs} is not {median} of {row}");
        }
    }
    assert_eq!(lines[1], json!([sweep.samples(), [0.0, 0.25, 0.75, 1.0], ["mixed, \"quoted\""]]));
    // Single tasks, too.
    let tasks = String::from_utf8(muster.run(&["export", "2", "--tasks"]).ok().stdout).unwrap();
    assert_eq!(tasks.lines().count(), sweep.tasks + 1, "{tasks}");
    assert!(tasks.lines().next().unwrap().ends_with("block,again,task,start_s,run_s,latency_s"), "{tasks}");
}
