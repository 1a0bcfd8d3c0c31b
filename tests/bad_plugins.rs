//! Plugin files that cannot be run: `check` and `run` name what is wrong, exit 4, and nothing hangs.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, compile_c, has_tool, plugin};
use std::path::Path;

#[track_caller]
fn refused(muster: &Muster, file: &Path, words: &[&str]) {
    let file = file.to_str().unwrap();
    muster.run(&["plugin", "check", file, "--timeout", "2s"]).fails(4, words);
    muster.run(&["run", file, "-n", "1"]).fails(4, words);
}

const MANIFEST: &str = r#"#include "muster_plugin.h"
MUSTER_MANIFEST("{\"muster\":1,\"name\":\"bad\",\"version\":\"1.0.0\",\"output\":\"none\"}");
"#;

const ENTRY: &str = r#"
const muster_plugin *muster_plugin_v1(uint32_t major, uint32_t minor) { (void)major; (void)minor; return 0; }
"#;

#[test]
fn files_that_are_no_plugins_are_named() {
    let muster = Muster::new();
    refused(&muster, &muster.path("missing.so"), &["missing.so"]);
    muster.write("empty.so", "");
    refused(&muster, &muster.path("empty.so"), &["is empty"]);
    muster.write("text.so", "#!/bin/sh\necho hello\n");
    refused(&muster, &muster.path("text.so"), &["not a shared object"]);
    let bytes = std::fs::read(plugin("null")).unwrap();
    muster.write("cut.so", &bytes[..bytes.len() / 2]);
    refused(&muster, &muster.path("cut.so"), &["cut off"]);
    refused(&muster, Path::new("/bin/true"), &["executable"]);
    let mut other = bytes.clone();
    other[18] = if other[18] == 62 { 183 } else { 62 };
    muster.write("other.so", &other);
    refused(&muster, &muster.path("other.so"), &["built for"]);
    std::fs::create_dir(muster.path("folder.so")).unwrap();
    muster.run(&["run", "./folder.so"]).fails(4, &["folder.so"]);
    let fifo = std::ffi::CString::new(muster.path("fifo.so").to_str().unwrap()).unwrap();
    // SAFETY: the path is a valid C string.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
    refused(&muster, &muster.path("fifo.so"), &["FIFO"]);
    muster.assert_no_process_left();
    muster.assert_no_temporary_left();
}

#[test]
fn plugins_that_lack_something_are_named() {
    if !has_tool("cc") {
        return;
    }
    let muster = Muster::new();
    let compiled = |name: &str, source: &str| compile_c(source, &muster.path(name), &[]);
    refused(&muster, &compiled("noentry.so", MANIFEST), &["muster_plugin_v1"]);
    refused(
        &muster,
        &compiled("nomanifest.so", &format!("#include \"muster_plugin.h\"\n{ENTRY}")),
        &["no manifest"],
    );
    refused(&muster, &compiled("null.so", &format!("{MANIFEST}{ENTRY}")), &["refuses"]);
    let undefined = format!(
        "{MANIFEST}{ENTRY}\nint nobody_has_this(void);\nint call(void) {{ return nobody_has_this(); }}"
    );
    refused(&muster, &compiled("undefined.so", &undefined), &["nobody_has_this"]);
    let abi = MANIFEST.replace("\\\"muster\\\":1", "\\\"muster\\\":9");
    refused(&muster, &compiled("abi.so", &format!("{abi}{ENTRY}")), &["ABI"]);
}

#[test]
fn constructors_that_abort_exit_or_hang_are_survived() {
    if !has_tool("cc") {
        return;
    }
    let muster = Muster::new();
    for (name, body, word) in [
        ("abort", "abort();", "SIGABRT"),
        ("exit", "exit(0);", "code 0"),
        ("hang", "for (;;) pause();", "did not finish loading"),
    ] {
        let constructor = format!(
            "#include <stdlib.h>\n#include <unistd.h>\n__attribute__((constructor)) static void begin(void) {{ {body} }}"
        );
        let file =
            compile_c(&format!("{MANIFEST}{ENTRY}{constructor}"), &muster.path(&format!("{name}.so")), &[]);
        muster.run(&["plugin", "check", file.to_str().unwrap(), "--timeout", "1s"]).fails(4, &[word]);
    }
    muster.assert_no_process_left();
}

#[test]
fn the_same_version_with_other_bytes_is_refused() {
    if !has_tool("cc") {
        return;
    }
    let muster = Muster::new();
    let source =
        std::fs::read_to_string(fixture::repository().join("src/plugin/templates/plugin.c.in")).unwrap();
    let source = source.replace("@NAME@", "twice");
    let first = compile_c(&source, &muster.path("first.so"), &["-O2"]);
    let second = compile_c(&source, &muster.path("second.so"), &["-O0", "-g"]);
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    muster.run(&["plugin", "push", first.to_str().unwrap()]).ok();
    muster.run(&["plugin", "push", second.to_str().unwrap()]).fails(4, &["twice", "version"]);
    muster.run(&["down"]).ok();
}
