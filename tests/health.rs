//! `muster health` tells supervisors whether a coordinator or a worker is well.

#![allow(clippy::unwrap_used, missing_docs)]

mod daemons;
mod fixture;

use daemons::{Daemon, SOON, until};
use fixture::Muster;
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

#[test]
fn a_coordinator_that_answers_is_well_and_one_that_is_gone_is_not() {
    let muster = Muster::new();
    let arguments = ["coordinator", "start", "--listen", "none", "--name", "health", "--http", "127.0.0.1:0"];
    let mut coordinator = Daemon::start("coordinator", &muster.path(""), muster.command(&arguments));
    let access = until("access file of the coordinator", SOON, || {
        coordinator.assert_runs();
        std::fs::read(muster.path(".local/state/muster/clusters/health.json")).ok()
    });
    let access: Value = serde_json::from_slice(&access).unwrap();
    let address = access["http"].as_str().unwrap();
    assert_eq!(muster.run(&["health", "--http", address]).ok().text().trim(), "ok");
    coordinator.kill();
    muster.run(&["health", "--http", address]).fails(5, &[address, "refused"]);
}

#[test]
fn whoever_answers_something_else_or_nothing_is_not_well() {
    let muster = Muster::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let ask = |timeout: &str| muster.start(&["health", "--http", &address, "--timeout", timeout]);

    let asked = ask("30s");
    let (mut stream, _) = listener.accept().unwrap();
    let mut head = [0; 4];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"GET ");
    stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 5\r\n\r\nbusy\n").unwrap();
    asked.finish().fails(5, &["503", "busy"]);

    let asked = ask("30s");
    drop(listener.accept().unwrap());
    asked.finish().fails(5, &[&address]);

    let asked = ask("100ms");
    let (_held, _) = listener.accept().unwrap();
    asked.finish().fails(5, &["no answer within 100 ms"]);

    muster.run(&["health", "--http", "nowhere"]).fails(2, &["nowhere", "not HOST:PORT"]);
    muster.run(&["health", "--timeout", "soon"]).fails(2, &["soon"]);
}
