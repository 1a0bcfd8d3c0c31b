//! What listens: every socket that coordinators, workers and their executors have open for others is a Unix socket of its
//! user, speaks TLS, or serves the plain pages and nothing else.

#![allow(clippy::unwrap_used, missing_docs)]

mod daemons;
mod fixture;
mod threads;

use daemons::{Daemon, SOON, skip_without, until};
use fixture::{Muster, plugin};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

/// A socket that waits for others, as `ss` shows it.
#[derive(Debug)]
struct Listening {
    family: String,
    address: String,
    pid: u32,
}

/// All that processes of this test have.
fn listening(pids: &[u32]) -> Vec<Listening> {
    let shown = Command::new("ss")
        .args(["--no-header", "--listening", "--processes", "--numeric", "-tuxw"])
        .output()
        .unwrap();
    assert!(shown.status.success());
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    let lines = text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let pid = line.split_once("pid=")?.1.split(',').next()?.parse().ok()?;
        Some(Listening { family: fields[0].to_owned(), address: fields[4].to_owned(), pid })
    });
    lines.filter(|socket| pids.contains(&socket.pid)).collect()
}

/// What a port answers to a request in plain HTTP.
fn asked(address: &str, path: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // In one piece: who expects TLS hangs up on the first one.
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A server that hangs up on this may reset the connection.
    let _ = stream.read_to_end(&mut answer);
    answer
}

fn status(answer: &[u8]) -> String {
    String::from_utf8_lossy(answer).split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn every_listener_is_a_socket_of_its_user_tls_or_a_plain_page() {
    if skip_without(Command::new("ss").arg("-V").output().is_ok(), "ss (iproute2)") {
        return;
    }
    let (here, there) = (Muster::new(), Muster::new());
    let command = here.command(&[
        "coordinator",
        "start",
        "--listen",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        "--no-page",
        "--state",
    ]);
    let mut command = command;
    command.arg(here.path("state"));
    let mut coordinator = Daemon::start("coordinator", &here.path(""), command);
    let join = until("join string", SOON, || {
        coordinator.assert_runs();
        coordinator.output().lines().next().map(str::to_owned)
    });
    let command = there
        .command(&["worker", "start", "--trust", "any", "--slots", "2", "--name", "far", "--join", &join]);
    let worker = Daemon::start("worker", &there.path(""), command);
    until("the worker", SOON, || {
        let listed = here.run(&["worker", "ls", "--json"]).ok().json();
        (!listed["workers"].as_array().unwrap().is_empty()).then_some(())
    });
    // A job leaves executors behind, which wait for the next one.
    here.run(&["run", &plugin("null"), "-n", "1000", "-p", "2", "-t", "1"]).ok();
    let family = threads::below(worker.id());
    let mut pids: Vec<u32> = family.into_keys().map(|(pid, _)| pid).chain([coordinator.id()]).collect();
    pids.dedup();
    assert!(pids.len() > 3, "a worker with two executors, and the coordinator: {pids:?}");

    let all = listening(&pids);
    let (mut tls, mut plain, mut unix) = (0, 0, 0);
    for socket in &all {
        let is_of_coordinator = socket.pid == coordinator.id();
        match socket.family.as_str() {
            "u_str" => {
                let mode = std::fs::metadata(&socket.address).unwrap().permissions().mode();
                assert_eq!((mode & 0o777, is_of_coordinator), (0o600, true), "{socket:?}");
                unix += 1;
            }
            "tcp" => {
                assert!(socket.address.starts_with("127.0.0.1:"), "{socket:?}");
                let answer = asked(&socket.address, "/metrics");
                if answer.starts_with(b"HTTP/1.1 200") {
                    let pages: &[&str] = if is_of_coordinator {
                        &["/metrics", "/healthz", "/sd", "/runbook"]
                    } else {
                        &["/metrics", "/healthz"]
                    };
                    for page in pages {
                        assert!(
                            ["200", "503"].contains(&status(&asked(&socket.address, page)).as_str()),
                            "{page} {socket:?}"
                        );
                    }
                    for other in [
                        "/",
                        "/cluster",
                        "/muster.v1.Jobs/List",
                        "/page/stream",
                        "/metrics/../state",
                        "/debug",
                    ] {
                        assert_eq!(status(&asked(&socket.address, other)), "404", "{other} {socket:?}");
                    }
                    plain += 1;
                } else {
                    // An alert: content type 21, TLS 1.x.
                    assert_eq!(
                        answer.get(..2),
                        Some(&[21, 3][..]),
                        "{socket:?}: {}",
                        String::from_utf8_lossy(&answer)
                    );
                    tls += 1;
                }
            }
            _ => panic!("{socket:?}"),
        }
    }
    assert_eq!((tls, plain, unix), (1, 2, 1), "{all:?}");
}
