//! Dependencies between muster's own crates point one way, as drawn in ARCHITECTURE.md.

#![allow(clippy::unwrap_used, missing_docs)]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Crate -> the crates of this workspace it may depend on. A new arrow needs a line here and in
/// ARCHITECTURE.md.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "muster",
        &[
            "muster-coordinator",
            "muster-core",
            "muster-plugin-host",
            "muster-proto",
            "muster-sim",
            "muster-worker",
        ],
    ),
    ("muster-coordinator", &["muster-core", "muster-proto"]),
    ("muster-worker", &["muster-core", "muster-plugin-host", "muster-proto"]),
    ("muster-proto", &["muster-core"]),
    ("muster-sim", &["muster-core"]),
    ("muster-plugin-host", &["muster-plugin-abi"]),
    ("muster-sdk", &["muster-plugin-abi"]),
    ("muster-http", &["muster-sdk"]),
    ("muster-http-fetch", &["muster-http", "muster-sdk"]),
    ("muster-fetch-then-sum", &["muster-http", "muster-sdk"]),
    ("muster-core", &[]),
    ("muster-plugin-abi", &[]),
];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Crate -> what of the workspace it depends on outside its tests.
fn dependencies(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let packages = metadata["packages"].as_array().unwrap();
    let names: BTreeSet<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    let of = |package: &Value| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        dependencies
            .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
            .map(|dependency| dependency["name"].as_str().unwrap())
            .filter(|name| names.contains(name))
            .map(str::to_owned)
            .collect()
    };
    packages.iter().map(|package| (package["name"].as_str().unwrap().to_owned(), of(package))).collect()
}

#[test]
fn crates_depend_only_where_an_arrow_points() {
    let dependencies = dependencies(&metadata());
    let drawn: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    for (name, found) in &dependencies {
        let allowed: BTreeSet<String> = match drawn.get(name.as_str()) {
            Some(allowed) => allowed.iter().map(ToString::to_string).collect(),
            // Every other crate is a workload.
            None => BTreeSet::from(["muster-sdk".to_owned()]),
        };
        let extra: Vec<_> = found.difference(&allowed).collect();
        assert!(extra.is_empty(), "{name} depends on {extra:?}, where no arrow points");
    }
    for name in drawn.keys() {
        assert!(dependencies.contains_key(*name), "{name} is drawn and not there");
    }
}

#[test]
fn the_core_has_neither_clock_nor_socket_nor_thread() {
    let source = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/core/src/lib.rs")).unwrap();
    assert!(source.lines().any(|line| line == "#![no_std]"), "core has left no_std");
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let core = packages.iter().find(|package| package["name"] == "muster-core").unwrap();
    let normal =
        core["dependencies"].as_array().unwrap().iter().filter(|dependency| dependency["kind"].is_null());
    let names: Vec<&str> = normal.map(|dependency| dependency["name"].as_str().unwrap()).collect();
    // A logarithm and a container: no clock, no socket, no thread.
    assert_eq!(names, ["libm", "smallvec"], "core depends on something else");
}

/// The feature `mutations` is on in no build that does not ask for it.
#[test]
fn no_default_build_can_take_guarantees_away() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    for name in ["muster-core", "muster-sim"] {
        let package = packages.iter().find(|package| package["name"] == name).unwrap();
        assert!(!package["features"]["mutations"].is_null(), "the feature of {name} has another name now");
    }
    // What is built here: a tree, unlike all metadata, needs no crates of other systems.
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--workspace",
            "--offline",
            "--prefix=none",
            "--format={p} features: {f}",
            "--manifest-path",
        ])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(tree.lines().any(|line| line.starts_with("muster-core ")), "{tree}");
    let mutable = tree.lines().find(|line| line.contains("features:") && line.contains("mutations"));
    assert_eq!(mutable, None, "can be mutated");
}
