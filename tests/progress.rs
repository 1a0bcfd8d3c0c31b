//! What a running task says of how far it is can be seen until it ends.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, compile_c, has_tool, wait_until};

/// Waits until so many tasks of the newest job are done; says what the running ones have done then.
#[track_caller]
fn in_progress(muster: &Muster, ok: u64, enough: impl Fn(f64) -> bool) -> f64 {
    let mut found = 0.0;
    let came = wait_until(|| {
        let report = muster.run(&["job", "info", "--json"]).ok().json();
        found = report["in_progress"].as_f64().unwrap();
        report["ok"] == ok && enough(found)
    });
    assert!(came, "with {ok} tasks done, {found} in progress");
    found
}

#[test]
fn a_task_is_half_done_until_it_ends() {
    if !has_tool("cc") {
        return;
    }
    let muster = Muster::new();
    let source = include_str!("fixtures/plugins/halfway.c");
    let flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror"];
    let plugin = compile_c(source, &muster.path("halfway.so"), &flags);
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    let until = format!("until={}", muster.path("go").display());
    muster.run(&["submit", plugin.to_str().unwrap(), &until, "-n", "3"]).ok();
    assert_eq!(in_progress(&muster, 0, |tasks| tasks > 0.0), 0.5);
    let table = muster.run(&["job", "info"]).ok().text();
    assert!(table.contains("0 ok, 3 to go (0.50 done in running tasks)"), "{table}");
    // The second task says nothing, on the same thread; the third one does.
    muster.write("go.0", "");
    assert_eq!(in_progress(&muster, 1, |_| true), 0.0);
    muster.write("go.1", "");
    assert_eq!(in_progress(&muster, 2, |tasks| tasks > 0.0), 0.5);
    muster.write("go.2", "");
    assert_eq!(muster.run(&["job", "wait", "--json"]).ok().json()["in_progress"], 0.0);
    assert_eq!(in_progress(&muster, 3, |_| true), 0.0);
    muster.run(&["down"]).ok();
}
