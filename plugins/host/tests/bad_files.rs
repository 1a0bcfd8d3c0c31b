//! Every way in which a plugin file can be wrong has its own sentence, and none runs its code or hangs.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::{MANIFEST, Source, compile};
use muster_plugin_host::{Plugin, StderrServices, inspect, inspect_any, inspect_bytes};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

/// What inspection says about a file.
fn said(path: &Path) -> String {
    inspect(path).unwrap_err().to_string()
}

/// What loading says about a file that inspection finds nothing wrong with.
fn refused(path: &Path) -> String {
    inspect(path).unwrap();
    Plugin::load(path, Arc::new(StderrServices)).unwrap_err().to_string()
}

#[track_caller]
fn assert_says(message: &str, part: &str) {
    assert!(message.contains(part), "{message:?} does not contain {part:?}");
    assert!(message.starts_with("plugin /") && !message.contains('\n'), "{message:?}");
}

#[test]
fn things_that_are_no_files() {
    let folder = tempfile::tempdir().unwrap();
    assert_says(&said(&folder.path().join("none.so")), "no such file");
    assert_says(&said(folder.path()), "is a directory");
    assert_says(&said(Path::new("/dev/null")), "is a device");
    let fifo = folder.path().join("fifo");
    let name = CString::new(fifo.as_os_str().as_bytes()).unwrap();
    // SAFETY: the name is a valid C text.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    assert_says(&said(&fifo), "is a FIFO");
    let socket = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert_says(&said(&socket), "is a socket");
}

#[test]
fn files_that_are_no_shared_objects() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    assert_says(&said(&file("empty", b"")), "is empty");
    assert_says(&said(&file("text", b"hello\n")), "is a text file");
    assert_says(&said(&file("script", b"#!/bin/sh\n")), "is a script");
    assert_says(&said(&file("windows", b"MZ\x90\0\0")), "is a Windows file");
    let huge = folder.path().join("huge");
    std::fs::File::create(&huge).unwrap().set_len(300 << 20).unwrap();
    assert_says(&said(&huge), "has 314572800 bytes, more than the 268435456 allowed");
    let program = "int main(void) { return 0; }";
    assert_says(&said(&compile(folder.path(), "pie", program, &["-fPIE", "-pie"])), "is an executable");
    assert_says(&said(&compile(folder.path(), "fixed", program, &["-no-pie"])), "is an executable");
    assert_says(&said(&compile(folder.path(), "object.o", program, &["-c"])), "is an object file");
}

#[test]
fn files_that_are_cut_off_or_scrambled() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(Source::default().build(folder.path())).unwrap();
    let path = folder.path().join("cut.so");
    for keep in [8, 63, 64, 200, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..keep]).unwrap();
        assert_says(&said(&path), "is cut off");
    }
    // No change of one byte of the headers may panic; the outcome is whatever it is.
    for at in 0..whole.len().min(0x500) {
        for value in [0, 1, 0x7f, 0xff] {
            let mut changed = whole.clone();
            changed[at] = value;
            let _ = inspect_bytes(&changed, true);
        }
    }
    // Bytes that begin at an odd address.
    let mut shifted = vec![0];
    shifted.extend_from_slice(&whole);
    inspect_bytes(&shifted[1..], true).unwrap();
}

#[test]
fn files_for_other_machines() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(Source::default().build(folder.path())).unwrap();
    let path = folder.path().join("other.so");
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        path.clone()
    };
    let other = if cfg!(target_arch = "x86_64") { ("aarch64", 183) } else { ("x86_64", 62) };
    let path = with(&|bytes| bytes[18] = other.1);
    assert_says(&said(&path), &format!("is built for {}, this machine is", other.0));
    assert!(inspect_any(&path).unwrap().target.starts_with(other.0));
    assert_says(&said(&with(&|bytes| bytes[18] = 243)), "is built for riscv64");
    assert_says(&said(&with(&|bytes| bytes[4] = 1)), "is a 32-bit object");
    assert_says(&said(&with(&|bytes| bytes[5] = 2)), "is for a big-endian machine");
    assert_says(&said(&with(&|bytes| bytes[7] = 9)), "another operating system (ELF OS ABI 9)");
}

#[test]
fn a_file_that_needs_a_newer_glibc() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source {
        extra: "char *use(void); char *use(void) { return getenv(\"A\"); }".into(),
        ..Source::default()
    };
    let mut bytes = std::fs::read(source.build(folder.path())).unwrap();
    // The one version that it needs, written as a later one.
    let version = if cfg!(target_arch = "x86_64") { b"GLIBC_2.2.5" } else { b"GLIBC_2.17\0" };
    let at = bytes.windows(version.len()).position(|window| window == version).unwrap();
    bytes[at..at + 11].copy_from_slice(b"GLIBC_9.9\0\0");
    let path = folder.path().join("new.so");
    std::fs::write(&path, bytes).unwrap();
    assert_says(&said(&path), "needs glibc 9.9, this machine has 2.");
}

#[test]
fn files_without_entry_or_with_a_bad_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let library = |source: &str| compile(folder.path(), "lib.so", source, &["-shared", "-fPIC"]);
    let header = "#include <muster_plugin.h>\n";
    let entry =
        "const muster_plugin *muster_plugin_v1(uint32_t a, uint32_t b) { (void)a; (void)b; return 0; }\n";
    let note = |json: &str| format!("{header}{entry}MUSTER_MANIFEST(\"{json}\");");
    assert_says(
        &said(&library("int answer(void); int answer(void) { return 42; }")),
        "does not export muster_plugin_v1",
    );
    assert_says(&said(&library(&format!("{header}{entry}"))), "carries no manifest");
    assert_says(
        &said(&library("int muster_plugin_v2(void); int muster_plugin_v2(void) { return 0; }")),
        "plugin ABI 2",
    );
    assert_says(
        &said(&library(&note(r#"{\"muster\":3}"#))),
        "is built for plugin ABI 3, this muster speaks 1.0",
    );
    assert_says(&said(&library(&note("{oops"))), "its manifest is wrong: the whole is not JSON");
    assert_says(
        &said(&library(&note(r#"{\"muster\":1,\"name\":\"a\"}"#))),
        "its manifest is wrong: version is missing",
    );
    let two = format!("{}\n#define muster_note_ second\nMUSTER_MANIFEST(\"{MANIFEST}\");", note(MANIFEST));
    assert_says(&said(&library(&two)), "carries 2 manifests");
}

#[test]
fn libraries_that_the_linker_or_their_own_table_gives_away() {
    let cases = [
        (Source { extra: "int missing(void); int use(void); int use(void) { return missing(); }".into(), ..Source::default() }, "needs the symbol missing"),
        (Source { manifest: format!("MUSTER_MANIFEST(\"{}\");", MANIFEST.replace("tiny", "huge")), ..Source::default() }, "its table says name \"tiny\", its manifest \"huge\""),
        (Source { manifest: format!("MUSTER_MANIFEST(\"{}\");", MANIFEST.replace("1.0.0", "1.0.1")), ..Source::default() }, "its table says version \"1.0.0\", its manifest \"1.0.1\""),
        (Source { table: ".run = run, .flags = MUSTER_F_CONCURRENT".into(), ..Source::default() }, "its table says flags \"concurrent\", its manifest \"\""),
        (Source { table: ".run = 0".into(), ..Source::default() }, "its table lacks run or run_range"),
        (Source { table: ".run = run, .create = 0".into(), ..Source::default() }, "its table lacks create"),
        (Source { table: ".run = run, .abi_major = 9".into(), ..Source::default() }, "is built for plugin ABI 9"),
        (Source { table: ".run = run, .struct_size = 64".into(), ..Source::default() }, "its table has 64 bytes, plugin ABI 1.0 needs 152"),
        (Source { extra: "static muster_status acc(muster_job *j, muster_acc **o, muster_error *e) { (void)j; (void)o; (void)e; return 0; }".into(), table: ".run = run, .acc_new = acc".into(), ..Source::default() }, "its table lacks acc_add"),
        (Source { manifest: format!("MUSTER_MANIFEST(\"{}\");", MANIFEST.replace('}', r#",\"reduce\":true}"#)), ..Source::default() }, "its table says reduce \"false\", its manifest \"true\""),
        (Source { extra: "static muster_status no(const muster_host *h, muster_error *e) { (void)h; memcpy(e->text, \"no GPU\", 6); e->len = 6; return MUSTER_E_UNSUPPORTED; }".into(), table: ".run = run, .load = no".into(), ..Source::default() }, "its load function failed: unsupported: no GPU"),
    ];
    for (source, part) in cases {
        let folder = tempfile::tempdir().unwrap();
        assert_says(&refused(&source.build(folder.path())), part);
    }
}
