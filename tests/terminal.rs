//! What people read fits their terminal, and is whole lines everywhere else.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, repository, wait_until};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::process::{Command, Stdio};

/// What a command says on a terminal that is so wide.
fn on_terminal(mut command: Command, columns: u16) -> String {
    let size = libc::winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let (mut ours, mut theirs) = (-1, -1);
    let (name, termios) = (std::ptr::null_mut(), std::ptr::null());
    // SAFETY: the call writes two descriptors and reads one winsize; nothing else is asked for.
    let made = unsafe { libc::openpty(&raw mut ours, &raw mut theirs, name, termios, &raw const size) };
    assert_eq!(made, 0);
    // SAFETY: both were just made and belong to nobody else.
    let (ours, theirs) = unsafe { (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) };
    command.env_remove("COLUMNS").env("TERM", "xterm").stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.stderr(theirs).spawn().unwrap();
    // It holds the other end, too.
    drop(command);
    let (mut text, mut part, mut terminal) = (Vec::new(), [0; 4096], File::from(ours));
    // After the last process has closed it the terminal gives an error.
    while let Ok(count @ 1..) = terminal.read(&mut part) {
        text.extend(&part[..count]);
    }
    child.wait().unwrap();
    String::from_utf8(text).unwrap().replace("\r\n", "\n")
}

const LONG: [&str; 4] = ["run", "no-such-plugin", "--model", "thread"];

#[test]
fn errors_and_hints_fit_the_terminal() {
    let muster = Muster::new();
    let whole = muster.run(&LONG).exits(4).stderr;
    assert_eq!(whole.lines().count(), 2, "{whole}");
    for columns in [44, 60, 72] {
        let text = on_terminal(muster.command(&LONG), columns);
        assert!(text.lines().count() > 2, "{text}");
        for line in text.lines() {
            assert!(line.chars().count() <= columns.into(), "{columns}: {text}");
            let goes_on = line.starts_with("      ") && !line.trim().is_empty();
            assert!(line.starts_with("error: ") || line.starts_with("hint: ") || goes_on, "{text}");
        }
        assert!(text.split_whitespace().eq(whole.split_whitespace()), "{text}");
    }
    assert_eq!(on_terminal(muster.command(&LONG), 400), whole);
}

#[test]
fn notices_fit_the_terminal() {
    let muster = Muster::new();
    let scenario = "workers = [{ count = 1 }]\njobs = [{ tasks = 2, time = { const = \"1ms\" } }]\n";
    let scenario = muster.write("small.toml", scenario);
    let plugins = repository().join("plugins");
    let arguments = ["emulate", &scenario, "--plugins", plugins.to_str().unwrap()];
    let text = on_terminal(muster.command(&arguments), 50);
    let mut lines = text.lines().skip_while(|line| !line.starts_with("emulating "));
    assert!(lines.next().is_some_and(|line| line.chars().count() <= 50), "{text}");
    assert!(lines.next().is_some_and(|line| line.starts_with("  ") && line.chars().count() <= 50), "{text}");
    let whole = muster.run(&arguments).ok().stderr;
    assert!(whole.lines().any(|line| line.starts_with("emulating ") && line.ends_with("1 run")), "{whole}");
}

#[test]
fn what_is_to_be_pasted_is_not_broken() {
    let muster = Muster::new();
    let scenario = "workers = [{ count = 1 }]\njobs = [{ tasks = 2, time = { const = \"1ms\" } }]\n";
    let scenario = muster.write("a-scenario-of-which-the-name-is-rather-long.toml", scenario);
    let text = on_terminal(muster.command(&["simulate", scenario.as_str(), "--set", "seed=7"]), 50);
    let command = text.lines().find(|line| line.starts_with("muster simulate ")).unwrap();
    assert!(command.chars().count() > 50 && command.contains(&scenario), "{text}");
}

#[test]
fn logs_are_text_on_a_terminal() {
    let muster = Muster::new();
    let socket = muster.path("socket");
    let arguments = ["coordinator", "start", "--listen", "none", "--http", "none", "--socket"];
    let command = muster.command(&[&arguments[..], &[socket.to_str().unwrap()]].concat());
    let text = std::thread::scope(|scope| {
        let end = scope.spawn(|| {
            assert!(wait_until(|| socket.exists()));
            muster.processes().into_iter().for_each(|(pid, _)| muster.signal(pid, libc::SIGTERM));
        });
        let text = on_terminal(command, 80);
        end.join().unwrap();
        text
    });
    let line = text.lines().find(|line| line.contains("coordinator is up")).unwrap();
    assert!(line.contains("INFO") && !line.starts_with('{'), "{text}");
}
