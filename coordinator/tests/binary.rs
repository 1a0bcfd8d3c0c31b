//! The program itself: starts, prints how to join, ends on a signal, says what is wrong in one line.
#![allow(clippy::unwrap_used)]

use muster_proto::link::{Identities, Target, connect_by};
use muster_proto::v1::InfoRequest;
use muster_proto::v1::cluster_client::ClusterClient;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The program with a folder of its own; killed when the test ends.
struct Program {
    child: Child,
}

impl Program {
    fn start(folder: &Path, more: &[&str]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_muster-coordinator"))
            .arg("--socket")
            .arg(folder.join("socket"))
            .arg("--state")
            .arg(folder.join("state"))
            .args(more)
            .env("MUSTER_LOG", "error")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Its exit code and what it said on stderr.
    fn end(mut self) -> (Option<i32>, String) {
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        (self.child.wait().unwrap().code(), text)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(program: &Program, signal: i32) {
    // SAFETY: the child has not been waited for, so its number is its own.
    let sent = unsafe { libc::kill(program.child.id() as i32, signal) };
    assert_eq!(sent, 0);
}

#[tokio::test]
async fn starts_tells_how_to_join_and_ends_on_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    for (epoch, number, policy) in [(1, libc::SIGTERM, "fair+guided"), (2, libc::SIGINT, "fifo+adaptive")] {
        let flags = ["--http", "none", "--listen", "127.0.0.1:0", "--policy", policy];
        let mut program = Program::start(folder.path(), &flags);
        let target = Target::parse(&program.line()).unwrap();
        assert!(matches!(target, Target::Tls { .. }));
        for target in [target, Target::Unix(folder.path().join("socket"))] {
            let mut cluster =
                ClusterClient::new(connect_by(&Identities::in_memory(), &target).await.unwrap());
            let info = cluster.info(InfoRequest { protocol: 1 }).await.unwrap().into_inner();
            assert_eq!((info.epoch, info.durable, info.pid), (epoch, true, program.child.id()));
            assert_eq!(info.policy, policy);
        }
        signal(&program, number);
        let (code, text) = program.end();
        assert_eq!((code, text.as_str()), (Some(0), ""));
        assert!(!folder.path().join("socket").exists());
    }
}

#[test]
fn says_in_one_line_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let nowhere = folder.path().join("nowhere");
    for (flags, code, words) in [
        (vec!["--http", "none", "--listen", &taken], 5, "in use"),
        (vec!["--listen", "none", "--http", &taken], 5, "metrics"),
        (vec!["--http", "none", "--listen", "none", "--plugins", nowhere.to_str().unwrap()], 4, "nowhere"),
    ] {
        let (found, text) = Program::start(folder.path(), &flags).end();
        assert_eq!(found, Some(code), "{flags:?}: {text}");
        assert!(text.starts_with("error: ") && text.contains(words), "{flags:?}: {text}");
        assert_eq!(text.lines().count(), 1, "{flags:?}: {text}");
    }
    let program = Command::new(env!("CARGO_BIN_EXE_muster-coordinator"))
        .args(["--socket", folder.path().join("socket").to_str().unwrap()])
        .env("MUSTER_LOG", "loud")
        .output()
        .unwrap();
    let text = String::from_utf8(program.stderr).unwrap();
    assert_eq!(program.status.code(), Some(2), "{text}");
    assert!(text.starts_with("error: MUSTER_LOG is `loud`: ") && text.lines().count() == 1, "{text}");
    for (flag, value, words) in [
        ("--lease", "10", "has no unit"),
        ("--listen", "nonsense", "not HOST:PORT"),
        ("--policy", "guided+fiar", "did you mean fair?"),
    ] {
        let (found, text) = Program::start(folder.path(), &[flag, value]).end();
        assert_eq!(found, Some(2));
        assert!(text.contains(words) && text.contains(flag) && text.contains(value), "{text}");
    }
}
