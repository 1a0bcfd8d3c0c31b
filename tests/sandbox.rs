//! What each level of the sandbox holds, tried by a plugin that attacks; what it leaves alone; and that nothing runs weaker
//! than was asked for.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod confined;
mod daemons;
mod fixture;

use confined::{Confined, User, is_root};
use daemons::skip_without;
use fixture::{Muster, compile_c, plugin, repository};
use std::fmt::Write as _;

const LEVELS: [&str; 3] = ["none", "limits", "standard"];
/// In docs/sandbox.md, around the table.
const BEGIN: &str = "<!-- written by tests/sandbox.rs: begin -->\n";
const END: &str = "<!-- written by tests/sandbox.rs: end -->";
/// What root need not do.
const NOT_FOR_ROOT: &str = "become root by a program that is root's (setuid)";

/// What came of an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    /// It worked.
    Through,
    /// It does without the sandbox, and not with it.
    Stopped,
    /// It does not even without one: the system allows it to root alone, or it makes no sense.
    Nowhere,
}

impl Came {
    const fn word(self) -> &'static str {
        match self {
            Self::Through => "possible",
            Self::Stopped => "stopped",
            Self::Nowhere => "-",
        }
    }
}

/// What came of all attacks of a user, by attack and level.
fn attacks_of(user: User, hostile: &str, keeper: &str) -> Vec<(String, [Came; 3])> {
    let found = LEVELS.map(|level| {
        println!("{user:?} at {level}:");
        let confined = Confined::start(user, &["--sandbox", level]);
        assert_eq!(confined.listed()["sandbox"], level);
        confined.attack(hostile, keeper)
    });
    let came = |row: usize, level: usize| {
        let is_moot = user == User::Root && found[0][row].0 == NOT_FOR_ROOT;
        match (is_moot || !found[0][row].1, found[level][row].1) {
            (true, _) => Came::Nowhere,
            (false, true) => Came::Through,
            (false, false) => Came::Stopped,
        }
    };
    (0..found[0].len())
        .map(|row| (found[0][row].0.clone(), [0, 1, 2].map(|level| came(row, level))))
        .collect()
}

#[test]
fn a_hostile_plugin_is_stopped_and_the_table_says_at_which_level() {
    if skip_without(is_root(), "root, who can also be an ordinary user") {
        return;
    }
    let muster = Muster::new();
    let source = include_str!("fixtures/plugins/keeper.c");
    let flags = ["-std=c11", "-Wall", "-Wextra", "-Werror"];
    let keeper = compile_c(source, &muster.path("keeper.so"), &flags).to_str().unwrap().to_owned();
    let hostile = plugin("hostile");
    let [root, nobody] = [User::Root, User::Nobody].map(|user| attacks_of(user, &hostile, &keeper));
    let mut table = "| what a plugin tries | root: none | limits | standard | ordinary user: none | limits | standard |\n\
                     |---|---|---|---|---|---|---|\n"
        .to_owned();
    for ((attack, as_root), (_, as_nobody)) in root.iter().zip(&nobody) {
        let words: Vec<&str> = as_root.iter().chain(as_nobody).map(|came| came.word()).collect();
        writeln!(table, "| {attack} | {} |", words.join(" | ")).unwrap();
        // Without this a row says nothing about the sandbox.
        assert!(as_root[0] == Came::Through || as_nobody[0] == Came::Through, "{attack}: nobody can anyway");
        for came in [as_root, as_nobody] {
            assert_ne!(came[2], Came::Through, "{attack} gets through at standard");
        }
    }
    let stopped = root.iter().chain(&nobody).filter(|(_, came)| came[2] == Came::Stopped).count();
    println!(
        "{table}\n{} attacks; stopped at standard as root and as an ordinary user: {stopped} of those that work",
        root.len()
    );
    check_page(&table);
}

/// docs/sandbox.md has this table.
fn check_page(table: &str) {
    let path = repository().join("docs/sandbox.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let wanted = format!("{before}{BEGIN}{table}{END}{after}");
    if std::env::var_os("MUSTER_REGENERATE").is_some() {
        std::fs::write(&path, wanted).unwrap();
        return;
    }
    let again = "run MUSTER_REGENERATE=1 cargo test --test sandbox";
    let rows = |page: &str| page.lines().map(str::to_owned).collect::<Vec<_>>();
    let (have, wanted) = (rows(&page), rows(&wanted));
    let is_same = have.len() == wanted.len()
        && have.iter().zip(&wanted).all(|(a, b)| a == b || is_up_to_the_system(a, b));
    assert!(is_same, "docs/sandbox.md is stale, or this system allows other things: {again}\n{table}");
}

/// Systems differ in what they allow to ordinary users without any sandbox: tracing, counting, namespaces.
fn is_up_to_the_system(row: &str, other: &str) -> bool {
    const NOTHING: &str = " - | - | - |";
    let split = |row: &str| {
        let at = row.match_indices('|').nth_back(3).map_or(0, |(at, _)| at + 1);
        (row[..at].to_owned(), row[at..].to_owned())
    };
    let ((row, user), (other, as_user)) = (split(row), split(other));
    row == other && (user == NOTHING || as_user == NOTHING)
}

/// What a plugin that asks for nothing does is the same under every model.
#[test]
fn plugins_that_need_nothing_run_at_standard_as_ever() {
    let muster = Muster::new();
    let lines = muster.write("lines", "a b\nc d e\nf\n");
    let checksum = |plugin: &str, flags: &[&str], level: &str| {
        let line =
            [&["run", plugin, "--sandbox", level, "--json", "--cluster", "private"][..], flags].concat();
        let report = muster.run(&line).ok().json();
        assert_eq!(
            (&report["failed"], &report["executor_exits"]),
            (&0.into(), &0.into()),
            "{line:?}: {report}"
        );
        report["checksum"].as_str().unwrap().to_owned()
    };
    for (name, flags) in [
        ("null", &["bytes_out=8", "-n", "1000"][..]),
        ("loop", &["-n", "20"]),
        ("primes", &["--reduce"]),
        ("sleep", &["ms=1", "-n", "20"]),
        ("mandelbrot", &["-n", "2"]),
        ("wordcount", &["--lines", &lines]),
        ("disk", &["size=65536", "-n", "4"]),
        ("mixed", &["-n", "4"]),
    ] {
        let (plugin, is_quick) = (plugin(name), ["null", "sleep"].contains(&name));
        let models: &[&str] =
            if is_quick { &["thread", "process", "hybrid", "spawn", "async", "gil"] } else { &["process"] };
        for model in models {
            let flags = [flags, &["--model", model]].concat();
            assert_eq!(
                checksum(&plugin, &flags, "standard"),
                checksum(&plugin, &flags, "none"),
                "{name} under {model}"
            );
        }
    }
    // What these give back depends on who comes first.
    for (name, flags) in [
        ("counter", &["-n", "20"][..]),
        ("exchange", &["kind=queue", "messages=100"]),
        ("exchange", &["kind=shared", "messages=100"]),
        ("exchange", &["kind=pipe", "messages=100", "-p", "1"]),
    ] {
        checksum(&plugin(name), flags, "standard");
    }
    let between = ["kind=shared", "messages=100", "--model", "process", "-p", "2", "--oversubscribe"];
    checksum(&plugin("exchange"), &between, "standard");
    muster.assert_no_process_left();
}

/// Whoever reads of a crash finds as much as without a sandbox.
#[test]
fn a_crash_at_standard_is_told_with_the_place_of_the_code() {
    let muster = Muster::new();
    let chaos = plugin("chaos");
    let run = ["run", &chaos, "mode=segv", "after=1", "-n", "2", "-t", "1", "--max-attempts", "1"];
    let done = muster.run(&[&run[..], &["--sandbox", "standard"]].concat()).exits(1);
    let words = done.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("a null pointer was written to (address 0x40); in "), "{}", done.stderr);
}

/// A line of `/proc/PID/status` of the first executor.
fn status(confined: &Confined, key: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{}/status", confined.executors()[0])).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(":\t"));
    line.unwrap_or_else(|| panic!("no {key} in {status}")).to_owned()
}

#[test]
fn a_job_runs_at_the_stronger_of_its_level_and_the_workers() {
    let sleep = plugin("sleep");
    for (worker, job, filtered, privileges) in [
        ("none", None, "0", "0"),
        ("none", Some("limits"), "0", "1"),
        ("none", Some("standard"), "2", "1"),
        ("limits", Some("none"), "0", "1"),
        ("standard", Some("none"), "2", "1"),
        ("standard", None, "2", "1"),
    ] {
        let confined = Confined::start(User::Mine, &["--sandbox", worker]);
        let mut arguments = vec!["run", &sleep, "ms=600000", "-n", "1", "-t", "1", "-p", "1"];
        arguments.extend(job.into_iter().flat_map(|level| ["--sandbox", level]));
        let run = fixture::Started::new(confined.command(&arguments));
        let is_running = || {
            let workers = confined.listed();
            (workers["busy_slots"] == 1).then_some(())
        };
        daemons::until("running task", daemons::SOON, is_running);
        let found = (status(&confined, "Seccomp"), status(&confined, "NoNewPrivs"));
        assert_eq!(found, (filtered.to_owned(), privileges.to_owned()), "{worker}, {job:?}");
        run.signal(libc::SIGINT);
        run.finish().exits(130);
    }
}

#[test]
fn what_is_granted_can_be_done_and_nothing_else() {
    let muster = Muster::new();
    let exec = plugin("exec");
    let told = |flags: &[&str], command: &str| {
        let command = format!("command={command}");
        let line = ["run", &exec, &command, "check=false", "-n", "1", "--sandbox", "standard", "--out", "-"];
        let line = [&line[..], &["--cluster", "private"], flags].concat();
        let line = muster.run(&line).ok().json();
        let said = &line["output"];
        (said["stdout"].as_str().unwrap().to_owned(), said["stderr"].as_str().unwrap().to_owned())
    };
    let secret = muster.write("data/secret", "for who may read it");
    let folder = muster.path("data").display().to_string();
    let (exec_only, reading, writing) = ("exec", format!("read:{folder}"), format!("write:{folder}"));
    let (cat, put) = (format!("cat {secret}"), format!("echo new > {folder}/new && cat {folder}/new"));
    let grants =
        |all: &[&str]| all.iter().flat_map(|it| ["--allow".to_owned(), (*it).to_owned()]).collect::<Vec<_>>();
    let told = |all: &[&str], command: &str| {
        let flags = grants(all);
        told(&flags.iter().map(String::as_str).collect::<Vec<_>>(), command)
    };
    assert!(told(&[exec_only], &cat).1.contains("Permission denied"));
    assert_eq!(told(&[exec_only, &reading], &cat).0, "for who may read it");
    assert!(told(&[exec_only, &reading], &put).1.contains("ermission denied"));
    assert_eq!(told(&[exec_only, &writing], &put).0, "new\n");
    assert_eq!(told(&[exec_only], "echo mine > $TMPDIR/file && cat $TMPDIR/file").0, "mine\n");
    let open = "bash -c \"exec 3<>/dev/tcp/127.0.0.1/1\"";
    assert!(told(&[exec_only], open).1.contains("not permitted"));
    if skip_without(is_root(), "root, who has powers to lose") {
        return;
    }
    // Root reads what is somebody else's only by a power that it has no more.
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    std::os::unix::fs::chown(&secret, Some(65_534), Some(65_534)).unwrap();
    assert!(told(&[exec_only, &reading], &cat).1.contains("Permission denied"));
}

/// What is not granted is named, with the flag, before anything runs.
#[test]
fn a_plugin_that_needs_more_is_refused_with_the_flag_that_helps() {
    let muster = Muster::new();
    for (name, more, need) in [
        ("exec", "command=true", "exec"),
        ("python", "code=1", "exec"),
        ("http-fetch", "url=http://127.0.0.1:1/", "network"),
        ("fetch-then-sum", "url=http://127.0.0.1:1/", "network"),
    ] {
        let (needs, flag) = (format!("plugin {name} needs {need}"), format!("--allow {need}"));
        let line = ["run", &plugin(name), more, "-n", "1", "--sandbox", "standard", "--cluster", "private"];
        muster.run(&line).fails(2, &[&needs, &flag, "--sandbox standard"]);
    }
    let url = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("url=http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc")
                .unwrap();
        });
        url
    };
    let line =
        ["run", &plugin("http-fetch"), &url, "-n", "1", "--sandbox", "standard", "--cluster", "private"];
    let done = muster.run(&[&line[..], &["--allow", "network", "--json"]].concat()).ok().json();
    assert_eq!(done["ok"], 1);
    let up = ["up", "-w", "1", "-t", "1", "--sandbox", "standard", "--allow", "read:/usr/share"];
    muster.run(&up).ok();
    let listed = muster.run(&["worker", "ls", "--json"]).ok().json();
    let worker = &listed["workers"][0];
    assert_eq!(
        (&worker["sandbox"], &worker["grants"]),
        (&"standard".into(), &serde_json::json!(["read:/usr/share"]))
    );
    assert!(muster.run(&["worker", "ls"]).ok().text().contains("standard"));
    muster.run(&["run", &plugin("exec"), "command=true", "-n", "1"]).fails(2, &["needs exec", "worker-1"]);
    muster
        .run(&["run", &plugin("null"), "-n", "1", "--allow", "exec"])
        .fails(2, &["--allow is for a private cluster"]);
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
}

/// As on a kernel that has none, or in a container that keeps it away.
#[test]
fn without_landlock_there_is_no_standard_and_it_is_said() {
    let confined = Confined::start_without_landlock(&["--sandbox", "limits"]);
    assert!(confined.worker.log().contains("no landlock"), "{}", confined.worker.log());
    let listed = confined.listed();
    assert_eq!((&listed["sandbox"], &listed["sandbox_most"]), (&"limits".into(), &"limits".into()));
    let null = plugin("null");
    confined.run(&["run", &null, "-n", "1", "--sandbox", "limits"]).ok();
    let words = ["worker ", "cannot keep --sandbox standard, at most limits"];
    confined.run(&["run", &null, "-n", "1", "--sandbox", "standard"]).fails(2, &words);
    let words = ["--sandbox standard", "at most limits", "no landlock", "Linux 6.2"];
    confined.refused_worker(&["--sandbox", "standard"]).fails(2, &words);
    let words = ["--allow read:/nowhere/at/all", "that is there is wanted"];
    confined.refused_worker(&["--allow", "read:/nowhere/at/all"]).fails(2, &words);
}
