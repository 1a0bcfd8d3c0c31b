//! `muster token`: made, listed and revoked, and what that means for those who joined.

#![allow(clippy::unwrap_used, missing_docs)]

mod daemons;
mod fixture;

use daemons::{Daemon, SOON, until};
use fixture::{Muster, end, joinable, plugin};
use serde_json::Value;

fn tokens(muster: &Muster) -> Vec<Value> {
    muster.run(&["token", "ls", "--json"]).ok().json()["tokens"].as_array().unwrap().clone()
}

#[test]
fn a_token_is_made_for_so_many_and_so_long() {
    let (here, there) = (Muster::new(), Muster::new());
    let (coordinator, _) = joinable(&here);
    let made = here.run(&["token", "new", "--role", "viewer", "--note", "for Ada"]).ok();
    assert!(
        made.stderr.contains("viewer, until 20") && made.stderr.contains("for 1 machine;"),
        "{}",
        made.stderr
    );
    let join = made.text().trim().to_owned();
    assert!(join.starts_with("muster1:127.0.0.1:") && !made.stderr.contains(&join), "{join}");
    there.run(&["job", "ls", "--cluster", &join]).ok();
    there.run(&["worker", "ls", "--cluster", &join]).ok();
    Muster::new()
        .run(&["job", "ls", "--cluster", &join])
        .fails(6, &["used up (1 of 1 uses)", "muster token new"]);
    there
        .run(&["plugin", "push", &plugin("null"), "--cluster", &join])
        .fails(6, &["role publisher or admin"]);
    there.run(&["token", "ls", "--cluster", &join]).fails(6, &["role admin"]);

    let made = here
        .run(&["token", "new", "--role", "admin", "--ttl", "none", "--uses", "any", "--json"])
        .ok()
        .json();
    assert_eq!(
        (&made["roles"], &made["until_unix_s"], &made["uses_max"]),
        (&serde_json::json!(["admin"]), &Value::Null, &Value::Null)
    );
    let admin = made["join_string"].as_str().unwrap();
    there.run(&["token", "ls", "--cluster", admin]).ok();
    let listed = tokens(&here);
    let uses: Vec<_> = listed
        .iter()
        .map(|token| (token["standing"].as_bool().unwrap(), token["uses"].as_u64().unwrap()))
        .collect();
    assert_eq!(uses.len(), 3, "{listed:?}");
    assert!(uses.contains(&(true, 0)) && uses.contains(&(false, 1)), "{listed:?}");
    let table = here.run(&["token", "ls"]).ok();
    assert!(table.text().contains("1 of 1") && table.text().contains("for Ada"), "{}", table.text());
    end(coordinator);
}

#[test]
fn a_revoked_worker_is_cut_off_and_told() {
    let (here, there) = (Muster::new(), Muster::new());
    let (coordinator, join) = joinable(&here);
    let command = there
        .command(&["worker", "start", "--trust", "any", "--http", "none", "--name", "far", "--join", &join]);
    let mut worker = Daemon::start("worker", &there.path(""), command);
    let is_open = || tokens(&here)[0]["connections"] == 1;
    until("the worker has joined", SOON, || {
        worker.assert_runs();
        is_open().then_some(())
    });
    let id = tokens(&here)[0]["token"].as_str().unwrap().to_owned();
    let revoked = here.run(&["token", "revoke", &id]).ok();
    assert_eq!(revoked.text().trim(), format!("token {id} revoked, 1 connection closed"));
    assert!(revoked.stderr.contains("another join string"), "{}", revoked.stderr);
    let status = until("the worker's end", SOON, || worker.ended());
    assert_eq!(status.code(), Some(6), "{}", worker.log());
    assert!(worker.log().contains("was revoked at 20"), "{}", worker.log());
    let lost = here.run(&["worker", "ls", "--json"]).ok().json();
    assert_eq!(
        lost["workers"].as_array().unwrap().iter().filter(|worker| worker["state"] == "up").count(),
        0
    );
    there.run(&["worker", "start", "--trust", "any", "--join", &join]).fails(6, &["was revoked"]);
    here.run(&["token", "revoke", "001122334455"]).fails(3, &["no token 001122334455"]);
    end(coordinator);
    // Another one is printed from now on, and only that one admits.
    let (coordinator, other) = joinable(&here);
    assert_ne!(other.rsplit(':').next(), join.rsplit(':').next());
    end(coordinator);
}

#[test]
fn a_cluster_of_this_machine_has_no_tokens_to_give() {
    let muster = Muster::new();
    muster.run(&["up", "-w", "1", "--http", "none"]).ok();
    muster
        .run(&["token", "new", "--role", "worker"])
        .fails(2, &["without --listen", "muster coordinator start"]);
    muster.run(&["down"]).ok();
}

#[test]
fn without_tls_only_this_machine_is_taken() {
    let (here, there) = (Muster::new(), Muster::new());
    let start = |listen: &str| {
        here.run(&["coordinator", "start", "--listen", listen, "--insecure", "--http", "none"])
    };
    start("0.0.0.0:0").fails(5, &["not a loopback address"]);
    let arguments = ["coordinator", "start", "--listen", "127.0.0.1:0", "--insecure", "--http", "none"];
    let mut coordinator = here.start(&arguments);
    let join = coordinator.wait_for_lines(1).remove(0);
    assert!(join.starts_with("muster1-plain:127.0.0.1:"), "{join}");
    let worker =
        there.run(&["worker", "start", "--trust", "any", "--join", &join, "--slots", "2", "--detach"]).ok();
    let client = here
        .run(&["token", "new", "--role", "submitter,publisher", "--uses", "any"])
        .ok()
        .text()
        .trim()
        .to_owned();
    let run = ["run", &plugin("primes"), "limit=200000", "--reduce", "--json", "--cluster", &client];
    assert_eq!(there.run(&run).ok().json()["output"], "17984");
    there.run(&["job", "ls", "--cluster", &join]).fails(6, &["needs the role"]);
    there.signal(worker.text().trim().parse().unwrap(), libc::SIGTERM);
    there.assert_no_process_left();
    end(coordinator);
}
