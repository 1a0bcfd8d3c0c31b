//! Plugins whose constructors abort, exit or hang end their probe, and nothing else. This file has its own
//! main: the probes are child processes of the same executable.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod fixture;

use fixture::Source;
use muster_plugin_host::{PROBE_ARGUMENT, Problem, inspect, probe, probe_main};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

fn main() {
    let arguments: Vec<_> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|argument| argument == PROBE_ARGUMENT) {
        probe_main(Path::new(&arguments[2]));
    }
    if arguments.iter().any(|argument| argument == "--list") {
        return;
    }
    let tests: [(&str, fn()); 4] = [
        ("a_plugin_that_loads_is_inspected", a_plugin_that_loads_is_inspected),
        ("constructors_that_end_the_process_are_named", constructors_that_end_the_process_are_named),
        ("a_constructor_that_hangs_is_killed", a_constructor_that_hangs_is_killed),
        ("what_only_loading_shows_comes_back_in_words", what_only_loading_shows_comes_back_in_words),
    ];
    for (name, test) in tests {
        test();
        println!("test {name} ... ok");
    }
}

fn with_constructor(body: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let extra = format!(
        "#include <stdio.h>\nint pause(void);\n__attribute__((constructor)) static void begin(void) {{ {body} }}"
    );
    let path = Source { extra, ..Source::default() }.build(folder.path());
    (folder, path)
}

fn try_out(
    path: &Path,
    patience: Duration,
) -> Result<muster_plugin_host::Inspection, muster_plugin_host::PluginError> {
    probe(&std::env::current_exe().unwrap(), path, patience)
}

fn complaint(body: &str, patience: Duration) -> String {
    let (_folder, path) = with_constructor(body);
    try_out(&path, patience).unwrap_err().to_string()
}

fn a_plugin_that_loads_is_inspected() {
    let (_folder, path) = with_constructor("puts(\"noise on standard output\");");
    let found = try_out(&path, PATIENCE).unwrap();
    assert_eq!(found.digest, inspect(&path).unwrap().digest);
}

fn constructors_that_end_the_process_are_named() {
    let said = complaint("fputs(\"out of cheese\\n\", stderr); abort();", PATIENCE);
    assert!(said.contains("killed its process with SIGABRT"), "{said}");
    assert!(said.contains("it said: out of cheese"), "{said}");
    let said = complaint("volatile int *volatile nowhere = 0; *nowhere = 1;", PATIENCE);
    assert!(said.contains("SIGSEGV"), "{said}");
    let said = complaint("exit(0);", PATIENCE);
    assert!(said.contains("ended its process with code 0 while it was loaded"), "{said}");
}

fn a_constructor_that_hangs_is_killed() {
    let begun = Instant::now();
    let said = complaint("for (;;) pause();", Duration::from_millis(300));
    assert!(said.contains("did not finish loading within 0.3 s"), "{said}");
    assert!(begun.elapsed() < PATIENCE, "the probe was killed, not waited for");
}

fn what_only_loading_shows_comes_back_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = Source { table: ".run = 0".into(), ..Source::default() }.build(folder.path());
    let error = try_out(&path, PATIENCE).unwrap_err();
    assert!(matches!(error.problem(), Problem::ProbeRefused { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!("plugin {}: its table lacks run or run_range; set it", path.display())
    );
    let error = probe("/nonexistent".as_ref(), &path, PATIENCE).unwrap_err();
    assert!(error.to_string().contains("could not be tried out"), "{error}");
}
