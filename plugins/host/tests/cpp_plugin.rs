//! A plugin written with the C++ header, end to end through the loader.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::{Ears, Words, load, params, range, results, run};
use muster_plugin_host::{ErrorKind, Inputs, OutBuffer, Plugin, Take};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

const SOURCE: &str = r##"
#include <muster_plugin.hpp>
#include <vector>

class Tester {
 public:
  using Partial = std::vector<uint64_t>;

  Tester(const muster::Params &params, const muster::Job &job)
      : bad_(params.get_u64("bad", UINT64_MAX)), word_(params.get_string("word", "none")),
        counter_(job.metric(MUSTER_METRIC_COUNTER, "runs_total")) {
    if (params.get_bool("refuse", false)) throw muster::Error(MUSTER_E_PARAMS, "refused", 9);
    if (static_cast<char *>(job.shared("numbers", 64))[63] != 0) throw muster::Error::failed("not zeros");
    if (params.get_bool("share_nothing", false)) job.shared("", 64);
    double scale = params.get_f64("scale", 1.0);
    int64_t shift = params.get_i64("shift", 0);
    job.log(MUSTER_LOG_INFO, word_ + " " + std::to_string(scale) + " " + std::to_string(shift));
  }

  void run(const muster::Task &task, muster::Context &ctx) {
    muster::record(counter_, 1);
    if (task.index == bad_) throw muster::Error::transient("not now");
    if (task.index == bad_ + 1) throw std::out_of_range("no such row");
    if (task.index == bad_ + 2) throw 5;
    if (task.index == bad_ + 3) throw std::bad_alloc();
    ctx.blocking([] {});
    ctx.checkpoint();
    ctx.write_u64(task.index + task.input.size());
  }

  void add(Partial &partial, muster::View result, uint64_t index) {
    uint64_t value;
    if (result.size() != sizeof value) throw muster::Error::failed("bad result of " + std::to_string(index));
    std::memcpy(&value, result.data(), sizeof value);
    partial.push_back(value);
  }
  void merge(Partial &left, Partial &&right) { left.insert(left.end(), right.begin(), right.end()); }
  std::string encode(const Partial &partial) {
    return std::string(reinterpret_cast<const char *>(partial.data()), partial.size() * 8);
  }
  Partial decode(muster::View bytes) {
    Partial partial(bytes.size() / 8);
    if (!partial.empty()) std::memcpy(partial.data(), bytes.data(), partial.size() * 8);
    return partial;
  }
  std::string finish(Partial &&partial) {
    std::string text;
    for (uint64_t value : partial) text += std::to_string(value) + " ";
    return text;
  }

 private:
  uint64_t bad_;
  std::string word_;
  muster_metric counter_;
};

MUSTER_PLUGIN(Tester, R"({"muster": 1, "name": "tester", "version": "0.3.0", "output": "u64", "reduce": true,
  "flags": ["concurrent", "idempotent"], "metrics": [{"name": "runs_total", "kind": "counter", "help": "runs"}]})");
"##;

/// Builds and loads it; none without a C++ compiler, which Rust does not need.
fn tester() -> Option<(Plugin, Arc<Ears>)> {
    let folder = tempfile::tempdir().unwrap();
    if Command::new("c++").arg("--version").output().is_err() {
        assert!(std::env::var_os("MUSTER_REQUIRE_ALL").is_none(), "there is no C++ compiler named c++");
        eprintln!("SKIPPED: there is no C++ compiler named c++");
        return None;
    }
    Some(load(&build(folder.path())))
}

fn build(folder: &Path) -> PathBuf {
    let (input, output) = (folder.join("tester.cpp"), folder.join("tester.so"));
    std::fs::write(&input, SOURCE).unwrap();
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../abi/include");
    let status = Command::new("c++")
        .args(["-std=c++17", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-shared", "-fPIC", "-I"])
        .arg(include)
        .arg("-o")
        .args([&output, &input])
        .status()
        .unwrap();
    assert!(status.success());
    output
}

#[test]
fn a_class_becomes_a_plugin() {
    let Some((plugin, ears)) = tester() else { return };
    assert_eq!(plugin.inspection().manifest.flag_names().collect::<Vec<_>>(), ["concurrent", "idempotent"]);
    let job = plugin
        .create_unchecked(params(r#"{"word": "a\"\u00e9\ud83d\ude00\n", "scale": 2.5, "shift": -3}"#))
        .unwrap();
    assert_eq!(ears.take(), ["info None a\"\u{e9}\u{1f600}\n 2.500000 -3"]);
    let (words, mut out) = (Words::default(), OutBuffer::new());
    let input = range(40, 2, Some(Inputs::new(b"abc", &[0, 0, 3]).unwrap()));
    assert_eq!(job.run_range(&mut words.slot(), input, &mut out).failure, None);
    assert_eq!(results(&out), [40_u64.to_le_bytes(), 44_u64.to_le_bytes()]);
    assert_eq!(ears.take(), ["checkpoint 3", "checkpoint 3"]);
}

#[test]
fn exceptions_stop_at_the_border() {
    let Some((plugin, _)) = tester() else { return };
    let (job, words) = (plugin.create_unchecked(params(r#"{"bad": 2}"#)).unwrap(), Words::default());
    let mut slot = words.slot();
    let mut failure = |start| {
        let (outcome, got) = run(&job, &mut slot, start, 9);
        assert_eq!(got.len() as u64, outcome.done);
        outcome.failure.unwrap()
    };
    assert_eq!(failure(0).to_string(), "transient: not now");
    assert_eq!(failure(3).to_string(), "no such row");
    assert_eq!(failure(4).to_string(), "panic: threw a value that is no std::exception");
    assert_eq!(failure(5).kind, ErrorKind::NoMemory);
}

#[test]
fn bad_parameters_are_named() {
    let Some((plugin, _)) = tester() else { return };
    for (json, said) in [
        (r#"{"refuse": true}"#, "params: refused (code 9)"),
        (
            r#"{"share_nothing": true}"#,
            "params: a region needs a name of 1 to 64 bytes of UTF-8; this one has 0 bytes",
        ),
        (r#"{"bad": -1}"#, "params: parameter bad is -1; it must be a whole number from 0"),
        (r#"{"bad": 1.5}"#, "params: parameter bad is 1.5; it must be a whole number from 0"),
        (r#"{"bad": "1"}"#, "params: parameter bad is 1; it must be a whole number from 0"),
        (r#"{"word": 1}"#, "params: parameter word is 1; it must be a string"),
        (r#"{"scale": null}"#, "params: parameter scale is null; it must be a number"),
        (r#"{"a": [1]}"#, "params: parameters are not a flat JSON object: see byte 6"),
        (r#"{"a": "#, "params: parameters are not a flat JSON object: see byte 6"),
    ] {
        assert_eq!(plugin.create_unchecked(params(json)).unwrap_err().to_string(), said);
    }
}

#[test]
fn results_are_combined_in_order() {
    let Some((plugin, _)) = tester() else { return };
    let (job, words) = (plugin.create_unchecked(params("{}")).unwrap(), Words::default());
    let mut slot = words.slot();
    let mut part = |value: u64| {
        let mut acc = job.accumulator(&mut slot).unwrap();
        acc.add(&mut slot, value, &value.to_le_bytes()).unwrap();
        acc
    };
    let (mut first, second, third) = (part(1), part(2), part(3));
    let third = third.take(&mut slot, Take::Partial).unwrap();
    first.join(&mut slot, second).unwrap();
    first.merge(&mut slot, &third).unwrap();
    assert_eq!(first.add(&mut slot, 4, b"x").unwrap_err().message, "bad result of 4");
    assert_eq!(first.take(&mut slot, Take::Output).unwrap(), b"1 2 3 ");
}
