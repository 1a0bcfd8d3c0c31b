//! What people write: scenarios and changes of them, comparisons, command lines, quantities, policies, patterns.

#![no_main]

use libfuzzer_sys::fuzz_target;
use muster::fuzzing::told;
use muster_coordinator::limits::parse_limit;
use muster_core::quantity;
use muster_core::sandbox::{Level, Need};
use muster_core::scheduler::PolicySpec;
use muster_fuzz::{assert_one_line, split};
use muster_sim::scenario::{Override, Scenario, Source, Sweep, points};
use muster_worker::emulation::{Cut, Emulation, EmulationArgs, Start};
use std::fmt::{Debug, Display};
use std::path::Path;
use std::str::FromStr;
use std::sync::LazyLock;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("there is room"));

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = split(input, 6) else { return };
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match kind {
        0 => scenario(text),
        1 => changed(text),
        2 => comparison(text),
        3 => command_line(text),
        4 => words(text),
        _ => pattern(text),
    }
});

fn scenario(text: &str) {
    read_and_write(text, &[]);
}

/// A line of changes, and a scenario below it.
fn changed(text: &str) {
    let (line, text) = text.split_once('\n').unwrap_or((text, ""));
    let mut sweeps = Vec::new();
    for word in line.split(' ').filter(|word| !word.is_empty()) {
        match word.parse::<Sweep>() {
            Ok(sweep) => sweeps.push(sweep),
            Err(error) => assert_one_line(told(error)),
        }
        if let Err(error) = word.parse::<Override>() {
            assert_one_line(error);
        }
    }
    match points(&sweeps) {
        Ok(points) => points.iter().take(2).for_each(|changes| read_and_write(text, changes)),
        Err(error) => assert_one_line(told(error)),
    }
}

/// A scenario that is written down as it is run is run as it was.
fn read_and_write(text: &str, changes: &[Override]) {
    // Files are read as somebody names them, whatever they are.
    if text.contains("recorded") && text.contains(['/', '\\']) {
        return;
    }
    let scenario = match Scenario::parse(text, "scenario.toml", Path::new("/nowhere"), changes) {
        Ok(scenario) => scenario,
        Err(error) => return assert_one_line(told(error)),
    };
    scenario.notes.iter().for_each(|note| assert_one_line(told(note)));
    let path = FOLDER.path().join("scenario.toml");
    std::fs::write(&path, text).expect("there is room");
    let again = |text: &str| Scenario::parse(text, "scenario.toml", Path::new("/nowhere"), &[]);
    let written = Source::read(&path).and_then(|source| source.written(changes)).expect("it was read before");
    assert_same(&again(&written).expect("what is written can be read"), &scenario, &written);
    let written = Scenario::text(&path, changes).expect("it was read before");
    assert_same(&again(&written).expect("what is written can be read"), &scenario, &written);
}

/// But for the lines that notes name.
fn assert_same(found: &Scenario, wanted: &Scenario, written: &str) {
    let plain = |scenario: &Scenario| Scenario { notes: Vec::new(), ..scenario.clone() };
    assert_eq!(plain(found), plain(wanted), "{written}");
}

fn comparison(text: &str) {
    if let Err(failure) = muster::fuzzing::comparison(text) {
        assert_one_line(failure.message());
    }
}

/// A word in each line.
fn command_line(text: &str) {
    let words: Vec<&str> = text.lines().take(40).collect();
    if let Err(failure) = muster::fuzzing::command_line(&words) {
        assert_one_line(failure.message());
    }
}

fn words(text: &str) {
    let all = [
        quantity::duration(text).map(drop),
        quantity::size(text).map(drop),
        quantity::rate(text).map(drop),
        quantity::per_byte_ps(text).map(drop),
    ];
    all.into_iter().filter_map(Result::err).for_each(assert_one_line);
    if let Ok(span) = quantity::duration(text) {
        assert_eq!(quantity::duration(&format!("{}ns", span.0)), Ok(span));
    }
    if let Ok(bytes) = quantity::size(text) {
        assert_eq!(quantity::size(&format!("{bytes}B")), Ok(bytes));
        drop(quantity::size_text(bytes));
    }
    if let Err(error) = muster::fuzzing::quantities(text) {
        assert_one_line(error);
    }
    if let Err(error) = parse_limit(text) {
        assert_one_line(error);
    }
    printed::<PolicySpec>(text);
    printed::<Need>(text);
    printed::<Level>(text);
    printed::<Cut>(text);
    printed::<Start>(text);
    emulation(text);
}

/// Every flag of an emulated worker with this value; what is understood is written as flags that say the same.
fn emulation(text: &str) {
    let given = || Some(text.to_owned());
    let of = |change: &dyn Fn(&mut EmulationArgs)| {
        let mut args = EmulationArgs::default();
        change(&mut args);
        args.into_emulation().map_err(assert_one_line).ok()
    };
    let found: [Option<Emulation>; 6] = [
        of(&|args| args.emulate_latency = given()),
        of(&|args| args.emulate_jitter = given()),
        of(&|args| args.emulate_bandwidth = given()),
        of(&|args| args.emulate_seed = given()),
        of(&|args| args.emulate_speed = given()),
        of(&|args| (args.emulate_cut, args.emulate_start) = (vec![text.to_owned()], Some("7".to_owned()))),
    ];
    found.into_iter().flatten().for_each(|emulation| drop(emulation.to_arguments()));
}

/// What is printed is read as the same.
fn printed<T: FromStr<Err: Display> + Display + PartialEq + Debug>(text: &str) {
    match text.parse::<T>() {
        Ok(value) => match value.to_string().parse::<T>() {
            Ok(again) => assert_eq!(again, value),
            Err(error) => panic!("{value} is not read again: {error}"),
        },
        Err(error) => assert_one_line(error),
    }
}

/// A pattern, and a name below it.
fn pattern(text: &str) {
    let (pattern, name) = text.split_once('\n').unwrap_or((text, ""));
    let matches = muster::fuzzing::pattern(pattern, name);
    if !pattern.contains(['*', '?', '[']) && !name.starts_with('.') {
        assert_eq!(matches, Some(pattern == name), "{pattern:?} {name:?}");
    }
}
