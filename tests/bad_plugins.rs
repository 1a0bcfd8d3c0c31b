//! Bad input, part 1: plugin files. Each line of [`CASES`] is one way in which a file can be bad, and what `check`,
//! `run` and `push` say about it: exit 4, one line that names the file and what to do, and nothing left behind.
//! `the_same_version_with_other_bytes_is_refused` is the one case that takes two files.
//!
//! Part 2, the command line, is `tests/usage.rs`; part 3, the wire, `coordinator/tests/wire.rs`.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Finished, Muster, compile_c, has_tool, plugin, repository};
use std::ffi::CString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

struct Case {
    /// As the list in issue 1 calls it.
    item: &'static str,
    bad: Bad,
    /// What must be said.
    words: &'static [&'static str],
}

enum Bad {
    /// Made in a folder of the test's own.
    File(fn(&Path)),
    /// `tests/fixtures/plugins/bent.c`, bent by these macros.
    Bent(&'static [&'static str]),
    /// Good somewhere else: `push` takes it, because other workers may be of another kind.
    Elsewhere(fn(&Path)),
}

const CASES: &[Case] = &[
    Case { item: "missing", bad: Bad::File(|_| {}), words: &["no such file"] },
    Case { item: "empty", bad: Bad::File(|path| write(path, b"")), words: &["is empty"] },
    Case {
        item: "text",
        bad: Bad::File(|path| write(path, b"hello\n")),
        words: &["a text file", "not a shared object"],
    },
    Case { item: "a script", bad: Bad::File(|path| write(path, b"#!/bin/sh\n")), words: &["a script"] },
    Case {
        item: "truncated by half",
        bad: Bad::File(|path| cut(path, 2)),
        words: &["is cut off", "copy it again"],
    },
    Case {
        item: "truncated in its header",
        bad: Bad::File(|path| cut(path, usize::MAX)),
        words: &["is cut off"],
    },
    Case { item: "directory", bad: Bad::File(|path| std::fs::create_dir(path).unwrap()), words: &[] },
    Case { item: "FIFO", bad: Bad::File(fifo), words: &["is a FIFO"] },
    Case {
        item: "executable instead of library",
        bad: Bad::File(|path| copy("/bin/sh", path)),
        words: &["is an executable"],
    },
    Case { item: "too large", bad: Bad::File(large), words: &["314572800 bytes", "268435456 allowed"] },
    Case {
        item: "other architecture",
        bad: Bad::Elsewhere(other_machine),
        words: &["is built for", "this machine is"],
    },
    Case {
        item: "needs a newer glibc",
        bad: Bad::Elsewhere(newer_glibc),
        words: &["needs glibc 9.9", "this machine has"],
    },
    Case {
        item: "undefined symbol",
        bad: Bad::Bent(&["-DUNDEFINED"]),
        words: &["needs the symbol nobody_has_this"],
    },
    Case {
        item: "no entry symbol",
        bad: Bad::Bent(&["-DENTRY=other_entry"]),
        words: &["does not export muster_plugin_v1"],
    },
    Case { item: "no manifest", bad: Bad::Bent(&["-DNO_MANIFEST"]), words: &["carries no manifest"] },
    Case { item: "two manifests", bad: Bad::Bent(&["-DSECOND_MANIFEST"]), words: &["carries 2 manifests"] },
    Case {
        item: "manifest that is no JSON",
        bad: Bad::Bent(&["-DMANIFEST_ABI=\"{\""]),
        words: &["its manifest is wrong"],
    },
    Case {
        item: "manifest disagrees with descriptor: name",
        bad: Bad::Bent(&["-DMANIFEST_NAME=\"straight\""]),
        words: &["its table says name \"bent\", its manifest \"straight\""],
    },
    Case {
        item: "manifest disagrees with descriptor: flags",
        bad: Bad::Bent(&["-DTABLE_FLAGS=MUSTER_F_CONCURRENT"]),
        words: &["its table says flags \"concurrent\", its manifest \"\""],
    },
    Case {
        item: "wrong ABI in the manifest",
        bad: Bad::Bent(&["-DMANIFEST_ABI=\"9\""]),
        words: &["plugin ABI 9", "rebuild it"],
    },
    Case {
        item: "wrong ABI in the table",
        bad: Bad::Bent(&["-DTABLE_ABI=9"]),
        words: &["plugin ABI 9", "rebuild it"],
    },
    Case {
        item: "wrong ABI in the entry",
        bad: Bad::Bent(&["-DENTRY=muster_plugin_v9"]),
        words: &["plugin ABI 9", "rebuild it"],
    },
    Case { item: "no table", bad: Bad::Bent(&["-DNULL_TABLE"]), words: &["refuses this muster"] },
    Case {
        item: "constructor that aborts",
        bad: Bad::Bent(&["-DCONSTRUCTOR=abort()"]),
        words: &["SIGABRT", "constructors"],
    },
    Case {
        item: "constructor that calls exit",
        bad: Bad::Bent(&["-DCONSTRUCTOR=exit(0)"]),
        words: &["with code 0", "must not exit"],
    },
    Case {
        item: "constructor that hangs",
        bad: Bad::Bent(&["-DCONSTRUCTOR=for(;;)pause()"]),
        words: &["did not finish loading within"],
    },
];

fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

fn copy(from: &str, path: &Path) {
    std::fs::copy(from, path).unwrap();
}

/// The first `1 / share` of a good plugin; at least some of its header.
fn cut(path: &Path, share: usize) {
    let bytes = std::fs::read(plugin("null")).unwrap();
    write(path, &bytes[..(bytes.len() / share).max(20)]);
}

fn fifo(path: &Path) {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the path is a valid C string.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
}

fn large(path: &Path) {
    File::create(path).unwrap().set_len(300 << 20).unwrap();
}

fn other_machine(path: &Path) {
    let mut bytes = std::fs::read(plugin("null")).unwrap();
    bytes[18] = if cfg!(target_arch = "x86_64") { 183 } else { 62 };
    write(path, &bytes);
}

/// The one version that it needs, written as a later one.
fn newer_glibc(path: &Path) {
    let mut bytes = std::fs::read(bent(path, &["-DNEEDS_GLIBC"])).unwrap();
    let version = if cfg!(target_arch = "x86_64") { b"GLIBC_2.2.5" } else { b"GLIBC_2.17\0" };
    let at = bytes.windows(version.len()).position(|window| window == version).unwrap();
    bytes[at..at + version.len()].copy_from_slice(b"GLIBC_9.9\0\0");
    write(path, &bytes);
}

fn bent(path: &Path, macros: &[&str]) -> PathBuf {
    let source = std::fs::read_to_string(repository().join("tests/fixtures/plugins/bent.c")).unwrap();
    compile_c(&source, path, macros)
}

/// Makes the file, and says where it is.
fn make(muster: &Muster, at: usize, case: &Case) -> String {
    let path = muster.path(&format!("bad/{at}.so"));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    match case.bad {
        Bad::File(make) | Bad::Elsewhere(make) => make(&path),
        Bad::Bent(macros) => drop(bent(&path, macros)),
    }
    path.to_str().unwrap().to_owned()
}

/// Exit 4, and one line that holds the file's path and these words; nothing else is said but a hint.
#[track_caller]
fn refused(finished: Finished, item: &str, file: &str, words: &[&str]) {
    eprintln!("{item}: {}", finished.stderr.trim());
    let said = finished.fails(4, words).says_no_more().stderr;
    let line = said.lines().find(|line| line.starts_with("error: ")).unwrap();
    assert!(line.contains(file), "{item}: the file is not named: {said}");
}

#[test]
fn check_and_run_name_what_is_wrong_and_leave_nothing() {
    if !has_tool("cc") {
        return;
    }
    let muster = Muster::new();
    let before = muster.files();
    for (at, case) in CASES.iter().enumerate() {
        let file = make(&muster, at, case);
        refused(muster.run(&["plugin", "check", &file, "--timeout", "2s"]), case.item, &file, case.words);
        refused(muster.run(&["run", &file, "-n", "1"]), case.item, &file, case.words);
        assert_eq!(muster.processes(), [], "{}", case.item);
        assert_eq!(muster.files(), before, "{}", case.item);
    }
}

#[test]
fn push_names_what_is_wrong_and_the_cluster_is_as_before() {
    if !has_tool("cc") {
        return;
    }
    let muster = Muster::new();
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    let before = muster.files();
    let mut taken = 0;
    for (at, case) in CASES.iter().enumerate() {
        let file = make(&muster, at, case);
        let pushed = muster.run(&["plugin", "push", &file]);
        if matches!(case.bad, Bad::Elsewhere(_)) {
            assert!(pushed.ok().text().starts_with("added "), "{}", case.item);
            taken += 1;
        } else {
            let words = if case.item == "directory" { &["no plugin file (*.so)"] } else { case.words };
            refused(pushed, case.item, &file, words);
        }
        assert_eq!(muster.processes().len(), 2, "{}: coordinator and worker", case.item);
    }
    let listed = muster.run(&["plugin", "ls", "--json"]).ok().json();
    assert_eq!(listed["plugins"].as_array().unwrap().len(), taken, "{listed}");
    let blobs = muster.files().difference(&before).filter(|path| !path.is_dir()).count();
    assert_eq!(blobs, taken, "one file for each that was taken");
    muster.run(&["run", &plugin("null"), "-n", "10"]).ok();
    muster.run(&["down"]).ok();
}

/// A folder is pushed as a whole or not at all.
#[test]
fn one_bad_file_stops_the_push_of_its_folder() {
    let muster = Muster::new();
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    std::fs::create_dir(muster.path("plugins")).unwrap();
    copy(&plugin("null"), &muster.path("plugins/a.so"));
    let bad = muster.write("plugins/b.so", "hello\n");
    refused(muster.run(&["plugin", "push", "plugins"]), "a folder", "plugins/b.so", &["a text file"]);
    assert_eq!(muster.run(&["plugin", "ls", "--json"]).ok().json()["plugins"], serde_json::json!([]));
    std::fs::remove_file(bad).unwrap();
    muster.run(&["plugin", "push", "plugins"]).ok();
    muster.run(&["down"]).ok();
}

#[test]
fn the_same_version_with_other_bytes_is_refused() {
    if !has_tool("cc") {
        return;
    }
    let muster = Muster::new();
    let file = |name: &str, macros: &[&str]| bent(&muster.path(name), macros).to_str().unwrap().to_owned();
    let (first, second) = (file("first.so", &[]), file("second.so", &["-DOTHER_BYTES=\"other\""]));
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    let before = muster.run(&["plugin", "push", &first]).ok().text();
    for arguments in [&["plugin", "push", &second][..], &["run", &second, "-n", "1"]] {
        let said = muster.run(arguments).fails(4, &[&second, "bent@1.0.0", "raise the version"]).stderr;
        assert!(said.contains(before.split_whitespace().last().unwrap()), "the digest that is there: {said}");
    }
    let listed = muster.run(&["plugin", "ls", "--json"]).ok().json();
    assert_eq!(listed["plugins"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(muster.run(&["job", "ls", "--json"]).ok().json()["jobs"], serde_json::json!([]));
    muster.run(&["run", &first, "-n", "10"]).ok();
    muster.run(&["down"]).ok();
}

/// A coordinator never loads what it registers: what only loading shows comes back from the workers.
#[test]
fn a_registered_plugin_that_cannot_be_loaded_fails_its_job_in_words() {
    if !has_tool("cc") {
        return;
    }
    let muster = Muster::new();
    std::fs::create_dir(muster.path("plugins")).unwrap();
    let bad = [
        ("abort", "-DCONSTRUCTOR=abort()", "SIGABRT"),
        ("exit", "-DCONSTRUCTOR=exit(0)", "code 0"),
        ("undefined", "-DUNDEFINED", "nobody_has_this"),
        ("hang", "-DCONSTRUCTOR=for(;;)pause()", "did not finish loading within 30"),
    ];
    for (name, bend, _) in bad {
        let version = format!("-DMANIFEST_NAME=\"{name}\"");
        bent(&muster.path(&format!("plugins/{name}.so")), &[bend, &version]);
    }
    muster.run(&["up", "-w", "1", "-t", "1", "--plugins", "plugins"]).ok();
    for (name, _, word) in bad {
        muster.run(&["run", name, "-n", "1"]).fails(3, &[name, word]);
    }
    muster.run(&["run", &plugin("null"), "-n", "10"]).ok();
    muster.run(&["down"]).ok();
}
