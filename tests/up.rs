//! A cluster in the background: `up`, `submit`, `job`, `worker ls`, `plugin`, `down`.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, plugin, wait_until};

/// A world with a cluster that is taken down at the end.
fn with_cluster(test: impl FnOnce(&Muster)) {
    let muster = Muster::new();
    muster.run(&["up", "-w", "2", "-t", "1"]).ok();
    test(&muster);
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
}

#[test]
fn a_job_goes_from_submit_to_its_results() {
    with_cluster(|muster| {
        let job = muster.run(&["submit", &plugin("primes"), "limit=200000", "-n", "20"]).ok().text();
        let job = job.trim();
        let report = muster.run(&["job", "wait", job, "--json"]).ok().json();
        assert_eq!((report["state"].as_str(), report["ok"].as_u64()), (Some("done"), Some(20)));
        let lines = muster.run(&["job", "results", "last"]).ok().json_lines();
        let total: u64 = lines.iter().map(|line| line["output"].as_u64().unwrap()).sum();
        assert_eq!(total, 17_984);
        assert_eq!(muster.run(&["job", "results", job, "--tail", "3"]).ok().json_lines().len(), 3);
        let listed = muster.run(&["job", "ls", "--json"]).ok().json();
        assert_eq!(listed["jobs"][0]["job"].to_string(), job);
        let table = muster.run(&["job", "ls"]).ok().text();
        assert!(table.contains("primes") && table.lines().all(|line| line.chars().count() <= 80), "{table}");
        assert!(muster.run(&["job", "info", job]).ok().text().contains("20 ok"));
    });
}

#[test]
fn a_job_that_is_not_there_is_named_alike_by_all_commands() {
    with_cluster(|muster| {
        for command in ["info", "wait", "cancel", "results"] {
            for (job, words) in
                [("99", "there is no such job"), ("last", "error: no job was submitted yet\n")]
            {
                muster.run(&["job", command, job]).fails(3, &[words, "hint: list jobs: muster job ls"]);
            }
        }
    });
}

#[test]
fn jobs_that_have_ended_are_removed() {
    with_cluster(|muster| {
        for _ in 0..3 {
            muster.run(&["run", &plugin("null"), "-n", "10"]).ok();
        }
        let removed = muster.run(&["job", "rm", "1", "last"]).ok();
        assert_eq!(removed.text(), "removed job 1\nremoved job 3\n");
        assert_eq!(muster.run(&["job", "ls", "--json"]).ok().json()["jobs"].as_array().unwrap().len(), 1);
        muster.run(&["job", "results", "1"]).fails(3, &["job is 1", "forgotten"]);
        muster.run(&["job", "rm", "7"]).fails(3, &["job is 7", "muster job ls"]);
        let json = muster.run(&["job", "rm", "2", "--json"]).ok().json();
        assert_eq!(json["removed"], serde_json::json!([2]));
        muster.run(&["job", "rm"]).fails(2, &["JOBS"]);
    });
}

#[test]
fn a_job_that_has_ended_is_not_cancelled() {
    with_cluster(|muster| {
        muster.run(&["submit", &plugin("null"), "-n", "7"]).ok();
        muster.run(&["job", "wait"]).ok();
        let words = ["job 1 cannot be cancelled: it has ended (done, 7 of 7 tasks ok)", "muster job info 1"];
        for flags in [&["1"][..], &["last"], &["1", "--no-wait"]] {
            muster.run(&[&["job", "cancel"], flags].concat()).fails(2, &words).says_no_more();
        }
        assert_eq!(muster.run(&["job", "cancel", "--json"]).fails(2, &words).json()["state"], "done");
        muster.run(&["submit", &plugin("sleep"), "ms=100000", "-n", "1"]).ok();
        muster.run(&["job", "cancel"]).ok();
        muster
            .run(&["job", "cancel"])
            .fails(2, &["job 2 cannot be cancelled", "(cancelled, 0 of 1 tasks ok)"]);
        assert_eq!(muster.run(&["job", "info", "1", "--json"]).ok().json()["state"], "done");
    });
}

#[test]
fn inputs_are_sent_before_submit_returns() {
    with_cluster(|muster| {
        let lines = muster.write("lines", "a b\nb c\n");
        let submitted =
            muster.run(&["submit", &plugin("wordcount"), "--lines", &lines, "--json"]).ok().json();
        std::fs::remove_file(&lines).unwrap();
        assert_eq!(submitted["tasks"], 2);
        muster.run(&["job", "wait"]).ok();
        let lines = muster.run(&["job", "results"]).ok().json_lines();
        assert_eq!(lines[1]["output"], "b 1\nc 1\n");
    });
}

#[test]
fn run_uses_the_cluster_that_is_up() {
    with_cluster(|muster| {
        let done = muster.run(&["run", &plugin("primes"), "limit=200000", "--reduce", "--json"]).ok();
        assert!(done.stderr.contains("cluster: default"), "{}", done.stderr);
        assert_eq!((&done.json()["output"], &done.json()["cluster"]), (&"17984".into(), &"default".into()));
        // By name now: the plugin was registered with the first run.
        let report = muster.run(&["run", "primes", "limit=200000", "--reduce", "--json"]).ok().json();
        assert_eq!(report["output"], "17984");
        muster.run(&["run", "primes", "-w", "2"]).fails(2, &["-w", "default"]);
        let private = muster.run(&["run", &plugin("null"), "-n", "1", "--cluster", "private"]).ok();
        assert!(private.stderr.contains("cluster: private"), "{}", private.stderr);
    });
}

/// What could not be written is not lost: the file ends with a whole line, and the coordinator has the rest.
#[test]
fn a_full_disk_loses_no_result() {
    with_cluster(|muster| {
        // A file of more than 8 KiB is refused, without a signal.
        let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" run \"$1\" ms=1 -n 100000 --out written";
        let mut command = muster.program(std::path::Path::new("bash"));
        command.args(["-c", script, env!("CARGO_BIN_EXE_muster"), &plugin("sleep")]);
        let done = fixture::Started::new(command).finish();
        done.fails(9, &["written: File too large", "job 1 is cancelled with ", " --out FILE"]);
        let index = |line: &serde_json::Value| line["index"].as_u64().unwrap();
        let text = String::from_utf8(muster.read("written")).unwrap();
        assert!(text.ends_with('\n'), "{text}");
        let written: Vec<u64> =
            text.lines().map(|line| index(&serde_json::from_str(line).unwrap())).collect();
        let gone = muster.run(&["job", "results"]);
        let from = written.len().to_string();
        gone.fails(3, &[&format!("below index {from}"), &format!("muster job results 1 --from {from}")]);
        let over = ["job", "results", "last", "--from", &from, "--out", "written"];
        muster.run(&over).fails(3, &["written is not empty", ">> written"]);
        assert_eq!(muster.read("written"), text.as_bytes());
        let rest = muster.run(&["job", "results", "last", "--from", &from]).ok().json_lines();
        let all: Vec<u64> = written.into_iter().chain(rest.iter().map(index)).collect();
        assert!(all.windows(2).all(|two| two[0] < two[1]), "{all:?}");
        let status = muster.run(&["job", "info", "--json"]).json();
        assert_eq!(status["ok"].as_u64(), Some(all.len() as u64), "{status}");
    });
}

#[test]
fn a_run_that_was_killed_leaves_its_results_to_others() {
    with_cluster(|muster| {
        let sleep = plugin("sleep");
        let mut run = muster.start(&["run", &sleep, "ms=2", "-n", "1000", "--out", "-"]);
        run.wait_for_lines(1);
        run.signal(libc::SIGKILL);
        let written = run.finish().text().lines().count() as u64;
        muster.run(&["job", "wait"]).ok();
        let from = muster.run(&["job", "info", "--json"]).ok().json()["results_from"].as_u64().unwrap();
        assert!(from <= written, "{from} were dropped, and {written} were written");
        assert_eq!(muster.run(&["job", "results", "--tail", "2"]).ok().json_lines().len(), 2);
        let rest = muster.run(&["job", "results", "last", "--from", &from.to_string()]).ok().json_lines();
        assert_eq!(rest.len() as u64, 1_000 - from);
    });
}

#[test]
fn a_run_whose_coordinator_is_lost_says_how_to_go_on() {
    let muster = Muster::new();
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    let mut run = muster.start(&["run", &plugin("sleep"), "ms=2", "-n", "500", "--out", "-"]);
    run.wait_for_lines(1);
    let processes = muster.processes();
    let coordinator = processes.iter().find(|(_, line)| line.contains("coordinator start")).unwrap().0;
    muster.signal(coordinator, libc::SIGKILL);
    let lost = run.finish();
    let written = lost.text().lines().count() as u64;
    lost.fails(5, &["job 1 goes on as soon as its coordinator does: muster job wait 1"]);
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    muster.run(&["job", "wait", "1"]).ok();
    let from = muster.run(&["job", "info", "--json"]).ok().json()["results_from"].as_u64().unwrap();
    assert!(from <= written, "{from} were dropped, and {written} were written");
    let rest = muster.run(&["job", "results", "1", "--from", &from.to_string()]).ok().json_lines();
    assert_eq!(rest.len() as u64, 500 - from);
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
}

#[test]
fn workers_are_listed_and_drained() {
    with_cluster(|muster| {
        let workers = muster.run(&["worker", "ls", "--json"]).ok().json();
        assert_eq!(workers["workers"].as_array().unwrap().len(), 2);
        let table = muster.run(&["worker", "ls"]).ok().text();
        assert!(
            table.contains("worker-1") && table.lines().all(|line| line.chars().count() <= 80),
            "{table}"
        );
        muster.run(&["worker", "drain", "worker-1"]).ok();
        let report = muster.run(&["run", &plugin("null"), "-n", "1000", "--json"]).ok().json();
        assert_eq!((&report["ok"], &report["workers"]), (&1000.into(), &1.into()));
        muster.run(&["worker", "drain", "nobody"]).fails(3, &["nobody", "muster worker ls"]);
        let all = || muster.run(&["worker", "ls", "--all"]).ok().text();
        assert!(wait_until(|| all().contains(" left ")), "{}", all());
        let text = all();
        let gone = text.lines().find(|line| line.contains(" left ")).unwrap();
        let words: Vec<&str> = gone.split_whitespace().skip(3).take(5).collect();
        assert_eq!(words, ["left", "none", "-", "1", "-"], "{text}");
    });
}

#[test]
fn plugins_are_pushed_listed_and_removed() {
    with_cluster(|muster| {
        let primes = plugin("primes");
        assert!(muster.run(&["plugin", "push", &primes]).ok().text().starts_with("added primes@"));
        assert!(muster.run(&["plugin", "push", &primes]).ok().text().starts_with("known primes@"));
        let listed = muster.run(&["plugin", "ls", "--json"]).ok().json();
        let digest = listed["plugins"][0]["digest"].as_str().unwrap().to_owned();
        assert!(muster.run(&["plugin", "info", "primes"]).ok().text().contains("limit=1000000"));
        let facts = muster.run(&["plugin", "info", "primes", "--json"]).ok().json();
        assert_eq!(
            (&facts["async"], facts["models"].as_array().unwrap().len()),
            (&false.into(), 6),
            "{facts}"
        );
        assert!(muster.run(&["plugin", "info", &digest[..12]]).ok().text().contains("primes"));
        muster.run(&["plugin", "rm", "primes"]).ok();
        muster.run(&["run", "primes"]).fails(4, &["primes"]);
    });
}

#[test]
fn up_twice_is_fine_and_down_twice_says_so() {
    let muster = Muster::new();
    let up = || muster.run(&["up", "--json", "-w", "1", "-t", "1"]).ok();
    for (started, words) in
        [(true, "is up: 1 worker of 1 slot;"), (false, "is up already: 1 worker, 1 slot\n")]
    {
        let done = up();
        assert_eq!(done.json()["started"], started);
        assert!(done.stderr.contains(words), "{}", done.stderr);
        // Where the page is, is said to people in a line.
        let page = format!("live page: http://{}/\n", done.json()["http"].as_str().unwrap());
        let again = muster.run(&["up", "-w", "1", "-t", "1"]).ok();
        assert!(again.stderr.contains(&page), "{page} is not in {}", again.stderr);
    }
    muster.run(&["down"]).ok();
    let silent = muster.run(&["up", "-w", "1", "-t", "1", "--http", "none"]).ok();
    assert!(!silent.stderr.contains("live page"), "{}", silent.stderr);
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
    muster.run(&["down"]).fails(5, &["no cluster"]);
}

#[test]
fn a_cluster_whose_coordinator_was_killed_is_cleaned_up() {
    let muster = Muster::new();
    let coordinator =
        muster.run(&["up", "--json", "-w", "1"]).ok().json()["coordinator_pid"].as_u64().unwrap();
    let pid = i32::try_from(coordinator).unwrap();
    // SAFETY: kill takes numbers only.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    muster.run(&["job", "ls"]).fails(5, &[]);
    muster.run(&["up", "-w", "1"]).ok();
    assert_eq!(muster.processes().len(), 2, "{:?}", muster.processes());
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
}

#[test]
fn jobs_outlive_their_cluster() {
    let muster = Muster::new();
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    muster.run(&["submit", &plugin("primes"), "limit=200000", "-n", "10"]).ok();
    muster.run(&["job", "wait"]).ok();
    muster.run(&["down"]).ok();
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    let lines = muster.run(&["job", "results"]).ok().json_lines();
    assert_eq!(lines.iter().map(|line| line["output"].as_u64().unwrap()).sum::<u64>(), 17_984);
    muster.run(&["down"]).ok();
}

#[test]
fn jobs_that_go_on_are_named() {
    let muster = Muster::new();
    let up = || muster.run(&["up", "-w", "1", "-t", "1"]).ok().stderr;
    assert!(!up().contains("note: "));
    muster.run(&["submit", &plugin("sleep"), "ms=100000", "-n", "1"]).ok();
    let down = muster.run(&["down"]).ok().stderr;
    assert!(down.contains("note: job 1 is not finished and goes on when it is up again\n"), "{down}");
    let again = up();
    assert!(again.contains("note: job 1 was not finished and goes on\n"), "{again}");
    // Its one task holds the only slot.
    let mut waiting = muster.start(&["run", &plugin("null"), "-n", "1"]);
    waiting.wait_for_note("note: job 2 has no result yet: job 1 uses the same workers\n");
    muster.run(&["job", "cancel", "1"]).ok();
    waiting.finish().ok();
    let down = muster.run(&["down"]).ok().stderr;
    assert!(!down.contains("note: "), "{down}");
}

#[test]
fn a_coordinator_that_up_did_not_start_is_left_alone() {
    let muster = Muster::new();
    let mut coordinator = muster.start(&["coordinator", "start", "--listen", "none", "--http", "none"]);
    coordinator.wait_for_note("coordinator is up");
    assert!(wait_until(|| muster.run(&["job", "ls"]).code() == 0));
    let theirs = ["cluster default", "was not started by muster up"];
    muster.run(&["up", "-w", "1"]).fails(3, &[&theirs[..], &["--name NAME"]].concat()).says_no_more();
    muster.run(&["down"]).fails(3, &[&theirs[..], &["Ctrl-C"]].concat()).says_no_more();
    muster.run(&["job", "ls"]).ok();
    coordinator.signal(libc::SIGTERM);
    coordinator.finish().ok();
}

/// What `kill -9` of a coordinator leaves, when its number has gone to another process since.
#[test]
fn another_process_with_a_coordinators_number_is_left_alone() {
    let muster = Muster::new();
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    let folder = muster.path(".local/state/muster/clusters");
    let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&file).unwrap();
    muster.run(&["down"]).ok();
    let mut other = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let mut access: serde_json::Value = serde_json::from_str(&text).unwrap();
    access["pid"] = other.id().into();
    let forge = || {
        std::fs::write(&file, access.to_string()).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    forge();
    muster.run(&["down"]).fails(5, &["no cluster"]);
    forge();
    muster.run(&["job", "ls"]).fails(5, &["no cluster is up"]);
    forge();
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    muster.run(&["down"]).ok();
    assert!(other.try_wait().unwrap().is_none(), "it was ended although it is none of ours");
    other.kill().unwrap();
    other.wait().unwrap();
}

/// Whoever runs while another does finds its folder there and fails. A thread may claim once more before it sees that
/// the slot is another job's: on a machine with too much to do that is one task in a hundred.
#[test]
fn tasks_of_two_jobs_share_no_slot() {
    let muster = Muster::new();
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    let lock = muster.path("lock");
    let command = format!("command=mkdir {0} && sleep 0.005 && rmdir {0}", lock.display());
    let submit = ["submit", &plugin("exec"), &command, "-n", "60", "--max-attempts", "1"];
    let jobs = [(); 2].map(|()| muster.run(&submit).ok().text().trim().to_owned());
    let failed = jobs.map(|job| {
        // The exit code says whether tasks failed.
        muster.run(&["job", "wait", &job]);
        let status = muster.run(&["job", "info", &job, "--json"]).ok().json();
        status["failed"].as_u64().unwrap()
    });
    assert!(failed.iter().sum::<u64>() <= 6, "{failed:?} of 60 and 60 ran beside another");
    muster.run(&["down"]).ok();
}
