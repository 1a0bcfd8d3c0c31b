//! `muster tour`: claim after claim, and what must come out on any machine.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::Muster;
use serde_json::Value;

#[test]
fn the_article_is_held_against_this_machine() {
    let muster = Muster::new();
    let plugins = concat!(env!("CARGO_MANIFEST_DIR"), "/plugins");
    // Less than a block of everything needs on a machine that does other things; then it is given more.
    let budgets = ["100s", "200s"];
    let taken = budgets.iter().find_map(|budget| {
        let finished = muster.run(&["tour", "--budget", budget, "--plugins", plugins, "--json"]);
        (finished.code() != 7).then(|| finished.ok().json())
    });
    let found = taken.expect("no budget was enough for one block");
    let claims = found["claims"].as_array().unwrap();
    let topics: Vec<&str> = claims.iter().map(|claim| claim["topic"].as_str().unwrap()).collect();
    let mut once = topics.clone();
    once.dedup();
    let all = [
        "data sharing",
        "a thread-safe counter",
        "communication",
        "the GIL",
        "CPU-bound work",
        "I/O-bound work",
        "the hybrid",
        "creation cost",
        "context switches",
        "memory",
        "error isolation",
        "interruptibility",
        "async",
    ];
    assert_eq!(once, all, "in the order of the article");
    let verdict = |topic: &str| {
        let claim = claims.iter().find(|claim| claim["topic"] == topic);
        claim.unwrap_or_else(|| panic!("no {topic} in {topics:?}"))["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(verdict("a thread-safe counter"), "yes");
    assert_eq!(verdict("data sharing"), "depends", "threads lose updates, those that take turns do not");
    for topic in ["creation cost", "memory", "error isolation"] {
        assert!(["yes", "unknown"].contains(&verdict(topic).as_str()), "{topic}: {claims:?}");
    }
    if fixture::has_tool("python3") {
        let is_python = |claim: &&Value| claim["command"].as_str().unwrap().ends_with("--with-python");
        assert_eq!(claims.iter().filter(is_python).count(), 3, "{topics:?}");
    }
    // What was measured is a run like any other.
    let listed = muster.run(&["runs", "ls", "--json"]).ok().json();
    assert_eq!(listed[0]["experiment"], "tour", "{listed}");
    muster.run(&["report", "-o", "tour.html"]).ok();
    let page = String::from_utf8(muster.read("tour.html")).unwrap();
    assert!(
        page.contains("holds") && page.contains("10 x 1,000 under a lock"),
        "the claims are in the report"
    );
    muster.run(&["tour", "--plugins", "nowhere"]).fails(4, &["nowhere", "--plugins DIR"]);
    muster.run(&["tour", "--budget", "0s", "--plugins", plugins]).fails(7, &["budget"]);
    muster.assert_no_process_left();
    muster.assert_no_temporary_left();
}
