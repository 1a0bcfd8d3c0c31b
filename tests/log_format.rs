//! What coordinators and workers log: JSON for programs, without secrets, and as much as MUSTER_LOG says.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, Started, plugin};
use serde_json::Value;

/// The lines that are events; what a command says to its user besides stands between them.
fn events(log: &str) -> Vec<Value> {
    let events: Vec<Value> = log
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for event in &events {
        for field in ["time", "level", "target", "message"] {
            assert!(event[field].is_string(), "{field} of {event}");
        }
    }
    events
}

fn start(muster: &Muster, arguments: &[&str], filter: &str) -> Started {
    let mut command = muster.command(arguments);
    command.env("MUSTER_LOG", filter);
    Started::new(command)
}

#[test]
fn logs_are_json_and_hold_no_secret_however_much_is_logged() {
    let (here, there) = (Muster::new(), Muster::new());
    let listen =
        ["coordinator", "start", "--listen", "127.0.0.1:0", "--advertise", "127.0.0.1", "--http", "none"];
    let mut coordinator = start(&here, &listen, "trace");
    let join = coordinator.wait_for_lines(1).remove(0);
    let client = here.run(&["token", "new", "--role", "submitter,publisher"]).ok().text().trim().to_owned();
    let secret = |join: &str| join.rsplit(':').next().unwrap().to_owned();
    let tokens = [secret(&join), secret(&client)];
    let file = there.write("join", &join);
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let worker = start(
        &there,
        &["worker", "start", "--trust", "any", "--join", &file, "--name", "far", "--http", "none"],
        "trace",
    );
    let mut run = there.command(&["run", &plugin("null"), "-n", "1000", "--cluster", &client, "--json"]);
    run.env("MUSTER_LOG", "trace");
    let run = Started::new(run).finish().ok();
    assert_eq!(run.json()["ok"], 1_000);
    worker.signal(libc::SIGTERM);
    let worker = worker.finish().ok().stderr;
    coordinator.signal(libc::SIGTERM);
    let coordinator = coordinator.finish().ok().stderr;
    for (name, log) in [("coordinator", &coordinator), ("worker", &worker), ("run", &run.stderr)] {
        for token in &tokens {
            assert!(token.len() > 20 && !log.contains(token), "the token is in the log of the {name}");
        }
        assert!(!log.contains("PRIVATE KEY"), "a key is in the log of the {name}");
    }
    let of = |log: &str, message: &str| events(log).into_iter().find(|event| event["message"] == message);
    let attached = of(&coordinator, "worker attached").expect("the worker attached");
    assert_eq!((&attached["name"], &attached["level"]), (&"far".into(), &"info".into()));
    assert_eq!(of(&coordinator, "job submitted").unwrap()["tasks"], 1_000);
    assert!(of(&worker, "connected").unwrap()["coordinator"].as_str().unwrap().starts_with("127.0.0.1:"));
}

#[test]
fn the_filter_says_what_is_logged_and_a_wrong_one_is_refused() {
    let muster = Muster::new();
    let socket = muster.path("socket").to_str().unwrap().to_owned();
    let arguments = ["coordinator", "start", "--socket", &socket, "--listen", "none", "--http", "none"];
    for (filter, is_up) in
        [("info", true), ("warn", false), ("muster_coordinator=info,off", true), ("", true)]
    {
        let mut coordinator = start(&muster, &arguments, filter);
        coordinator.wait_for_lines(1);
        coordinator.signal(libc::SIGTERM);
        let log = coordinator.finish().ok().stderr;
        let said = events(&log).iter().any(|event| event["message"] == "coordinator is up");
        assert_eq!(said, is_up, "{filter}: {log}");
    }
    let null = plugin("null");
    let worker = ["worker", "start", "--connect", "unix:/nonexistent.sock"];
    for command in [&arguments[..], &worker[..], &["run", &null, "-n", "1"]] {
        let refused = start(&muster, command, "verbose").finish();
        refused.fails(2, &["MUSTER_LOG is `verbose`: `verbose` is no level", "muster_worker=debug"]);
    }
    muster.assert_no_process_left();
}

#[test]
fn the_log_of_a_private_cluster_stands_as_text_among_what_run_says() {
    let muster = Muster::new();
    let mut run = muster.command(&["run", &plugin("null"), "-n", "10"]);
    run.env("MUSTER_LOG", "info");
    let said = Started::new(run).finish().ok().stderr;
    assert!(said.lines().any(|line| line.contains(" INFO ") && line.contains("coordinator is up")), "{said}");
    assert_eq!(events(&said), Vec::<Value>::new());
}
