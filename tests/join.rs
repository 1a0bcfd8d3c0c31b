//! Joining over TLS with the printed string: coordinator, worker and client as on machines of their own, each with
//! a home of its own.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, end, joinable, plugin, wait_until};

/// A join string for whoever has these roles.
fn token(muster: &Muster, roles: &str) -> String {
    muster.run(&["token", "new", "--role", roles]).ok().text().trim().to_owned()
}

/// Plugins of the network are native code: a worker says which of them it runs.
#[test]
fn a_worker_that_joins_runs_what_it_trusts_and_nothing_else() {
    let (here, there) = (Muster::new(), Muster::new());
    let (coordinator, join) = joinable(&here);
    let start = |trust: &[&str]| {
        let flags = ["worker", "start", "--join", &join, "--name", "wary", "--http", "none", "--detach"];
        there.run(&[&flags, trust].concat())
    };
    start(&[]).fails(2, &["--trust is not given", "--trust NAME@VERSION", "--trust any"]);
    start(&["--trust", "primes"]).fails(2, &["--trust primes", "NAME@VERSION"]);
    let (primes, null) = (plugin("primes"), plugin("null"));
    let inspected = here.run(&["plugin", "info", &primes, "--json"]).ok().json();
    let digest = inspected["digest"].as_str().unwrap();
    let file = there.write("trusted", format!("# what this machine runs\n{digest}  # primes\n"));
    start(&["--trust", &file]).ok();
    let job = |plugin: &str, more: &[&str]| here.run(&[&["run", plugin][..], more].concat());
    assert_eq!(job(&primes, &["limit=200000", "--reduce", "--out", "-"]).ok().text().trim(), "17984");
    let words = ["worker wary does not trust plugin null@", "--trust "];
    job(&null, &["-n", "1"]).fails(2, &words);
    let listed = here.run(&["worker", "ls", "--json"]).ok().json();
    assert_eq!(listed["workers"][0]["trust"], serde_json::json!([digest]));
    let wary = listed["workers"][0]["pid"].as_u64().unwrap();
    there.signal(u32::try_from(wary).unwrap(), libc::SIGTERM);
    there.assert_no_process_left();
    end(coordinator);
}

/// Workers are exchanged one after the other, and for a time nobody trusts the job's plugin: it waits.
#[test]
fn a_rolling_restart_with_unlike_lists_loses_no_job() {
    let (here, there) = (Muster::new(), Muster::new());
    let (coordinator, join) = joinable(&here);
    let start = |name: &str, trusted: &str| {
        let flags = ["worker", "start", "--join", &join, "--slots", "2", "--http", "none", "--detach"];
        there.run(&[&flags[..], &["--name", name, "--trust", trusted]].concat()).ok();
    };
    let sleep = plugin("sleep");
    let info = here.run(&["plugin", "info", &sleep, "--json"]).ok().json();
    let named = format!("sleep@{}", info["version"].as_str().unwrap());
    let workers = || {
        let listed = here.run(&["worker", "ls", "--json"]).ok().json();
        let names = listed["workers"].as_array().unwrap().iter().map(|worker| worker["name"].clone());
        names.collect::<Vec<_>>()
    };
    let leave = |name: &str| {
        here.run(&["worker", "drain", name]).ok();
        assert!(wait_until(|| !workers().contains(&name.into())), "{name} stays");
    };
    start("old", &named);
    let job = here.run(&["submit", &sleep, "ms=20", "-n", "100", "--json"]).ok().json();
    let job = job["job"].as_u64().unwrap().to_string();
    let info = || here.run(&["job", "info", &job, "--json"]).ok().json();
    assert!(wait_until(|| info()["ok"].as_u64() > Some(0)));
    start("new-1", "other@1.0.0");
    start("new-2", &"7".repeat(64));
    leave("old");
    let waiting = info();
    assert_eq!(waiting["reason"], format!("all 2 workers do not trust {named}"), "{waiting}");
    let shown = here.run(&["job", "info", &job]).ok();
    assert!(shown.text().contains("do not trust"), "{}", shown.text());
    start("new-3", &named);
    leave("new-1");
    let ended = here.run(&["job", "wait", &job, "--json"]).ok().json();
    assert_eq!(
        (&ended["ok"], &ended["retried"], &ended["workers"]),
        (&100.into(), &0.into(), &2.into()),
        "{ended}"
    );
    leave("new-2");
    leave("new-3");
    there.assert_no_process_left();
    end(coordinator);
}

#[test]
fn a_job_runs_on_a_worker_that_joined_with_the_string() {
    let (here, there, client) = (Muster::new(), Muster::new(), Muster::new());
    let (coordinator, join) = joinable(&here);
    let file = there.write("join", &join);
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let detached = there
        .run(&[
            "worker", "start", "--trust", "any", "--join", &file, "--name", "far", "--slots", "2", "--detach",
        ])
        .ok();
    let log = format!("worker-{}.log", detached.text().trim());
    assert!(detached.stderr.contains(&log), "{log} is not in {}", detached.stderr);
    assert!(there.files().iter().any(|path| path.ends_with(&log)), "{:?}", there.files());
    let worker: u32 = detached.text().trim().parse().unwrap();
    // The printed string is for workers: they run tasks, and give none.
    let job = |join: &str| {
        client.run(&["run", &plugin("primes"), "limit=200000", "--reduce", "--json", "--cluster", join])
    };
    job(&join).fails(
        6,
        &[
            "Plugins/Find needs the role submitter, publisher, viewer or admin",
            "muster token new --role submitter",
        ],
    );
    let join = token(&here, "submitter,publisher");
    let report = job(&join).ok();
    assert!(!report.stderr.contains(&join), "the join string is a secret");
    assert_eq!((&report.json()["output"], &report.json()["workers"]), (&"17984".into(), &1.into()));
    let listed = client.run(&["worker", "ls", "--json", "--cluster", &join]).ok().json();
    assert_eq!(listed["workers"][0]["name"], "far");
    // On the coordinator's machine its name is enough.
    assert_eq!(here.run(&["job", "ls", "--json"]).ok().json()["jobs"].as_array().unwrap().len(), 1);
    there.signal(worker, libc::SIGTERM);
    there.assert_no_process_left();
    end(coordinator);
}

#[test]
fn who_has_not_the_string_is_refused() {
    let (here, there) = (Muster::new(), Muster::new());
    let (coordinator, join) = joinable(&here);
    let mut parts: Vec<&str> = join.rsplitn(3, ':').collect();
    parts.reverse();
    let (address, pin, token) = (parts[0], parts[1], parts[2]);
    let other = "A".repeat(token.len());
    let wrong_token = format!("{address}:{pin}:{other}");
    there.run(&["worker", "start", "--trust", "any", "--join", &wrong_token]).fails(6, &["token"]);
    there
        .run(&["worker", "start", "--trust", "any", "--join", &wrong_token, "--detach"])
        .fails(6, &["token"]);
    there.run(&["job", "ls", "--cluster", &wrong_token]).fails(6, &["token"]);
    let wrong_pin = format!("{address}:{other}:{token}");
    there.run(&["worker", "start", "--trust", "any", "--join", &wrong_pin]).fails(5, &["join string"]);
    let bare = address.trim_start_matches("muster1:");
    there.run(&["job", "ls", "--cluster", bare]).fails(2, &["whole join string"]);
    end(coordinator);
    there.run(&["job", "ls", "--cluster", &join]).fails(5, &["no coordinator is running"]);
}

#[test]
fn a_coordinator_that_cannot_start_says_why() {
    let (muster, other) = (Muster::new(), Muster::new());
    let (coordinator, join) = joinable(&muster);
    muster.run(&["coordinator", "start", "--http", "none"]).fails(5, &["up already", "--name"]);
    let address = join.trim_start_matches("muster1:").rsplitn(3, ':').last().unwrap();
    let busy = ["coordinator", "start", "--listen", address, "--http", "none"];
    other.run(&busy).fails(5, &[address, "in use"]);
    other.run(&["coordinator", "start", "--lease", "10"]).fails(2, &["no unit"]);
    end(coordinator);
}
