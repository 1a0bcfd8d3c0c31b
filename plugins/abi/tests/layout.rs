//! The Rust mirror has the layout of the header, the header is accepted by C and C++ compilers, and the seed of
//! a task is the same in both languages.
#![allow(clippy::unwrap_used)]

use muster_plugin_abi::{self as abi, task_seed};
use std::fmt::Write;
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::Command;

fn include() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include")
}

/// A folder of this test's own, gone when it ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("muster-abi-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a C program with this body of `main` prints.
fn printed(name: &str, body: &str) -> String {
    let folder = Folder::new(name);
    let (source, program) = (folder.0.join("main.c"), folder.0.join("main"));
    let text =
        format!("#include <stdio.h>\n#include <muster_plugin.h>\nint main(void) {{\n{body}return 0;\n}}\n");
    std::fs::write(&source, text).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"]).arg(include());
    let status =
        compiler.arg("-o").args([&program, &source]).status().expect("this test needs a C compiler named cc");
    assert!(status.success());
    String::from_utf8(Command::new(&program).output().unwrap().stdout).unwrap()
}

macro_rules! layouts {
    ($($rust:ident = $c:ident { $($field:ident $(= $c_field:ident)?),* $(,)? })*) => {{
        let (mut body, mut expected) = (String::new(), String::new());
        $(
            writeln!(body, "printf(\"{0} %zu\\n\", sizeof({0}));", stringify!($c)).unwrap();
            writeln!(expected, "{} {}", stringify!($c), size_of::<abi::$rust>()).unwrap();
            $(
                let field = [$(stringify!($c_field),)? stringify!($field)][0];
                writeln!(body, "printf(\"{0}.{1} %zu\\n\", offsetof({0}, {1}));", stringify!($c), field).unwrap();
                writeln!(expected, "{}.{field} {}", stringify!($c), offset_of!(abi::$rust, $field)).unwrap();
            )*
        )*
        (body, expected)
    }};
}

#[test]
fn structs_have_the_layout_of_the_header() {
    let (body, expected) = layouts! {
        Str = muster_str { ptr, len }
        Bytes = muster_bytes { ptr, len }
        Buf = muster_buf { ptr, len }
        ErrorText = muster_error { struct_size, plugin_code, len, reserved0, text }
        JobParams = muster_job_params {
            struct_size, threads, job_id_hi, job_id_lo, params, seed, memory_limit, tasks
        }
        Task = muster_task { struct_size, attempt, index, seed, input }
        Range = muster_range { struct_size, attempt, start, count, job_seed, input_data, input_offsets }
        Out = muster_out { struct_size, reserved0, data, data_len, data_cap, lens, lens_len, lens_cap, data_soft_max }
        TaskCtx = muster_task_ctx { struct_size, slot, ctx, cancel, deadline_ns, scratch_dir, current }
        AsyncTask = muster_async_task { struct_size, attempt, ticket, index, seed, input }
        Async = muster_async {
            struct_size, in_flight, this = self, wake_fd, reserved0, next, enter, complete
        }
        ExtAsync = muster_ext_async { struct_size, reserved0, drive }
        Host = muster_host {
            struct_size, abi_major, abi_minor, this = self, log, metric, metric_record, now_ns, progress,
            result_alloc, out_reserve, checkpoint, blocking_begin, blocking_end, extension
        }
        Backtrace = muster_backtrace { struct_size, reserved0, capture }
        Shared = muster_shared { struct_size, reserved0, region }
        ChannelSpec = muster_channel_spec { struct_size, kind, side, capacity, message_max, wait_ns, name }
        Channels = muster_channels { struct_size, reserved0, open, send, receive, close }
        Rehearsal = muster_rehearsal { struct_size, reserved0, panics }
        Scratch = muster_scratch { struct_size, reserved0, dir }
        Plugin = muster_plugin {
            struct_size, abi_major, abi_minor, name, version, flags, load, unload, create, destroy, run, run_range,
            acc_new, acc_add, acc_merge, acc_take, acc_free, acc_join, extension
        }
    };
    assert_eq!(printed("layout", &body), expected);
}

#[test]
fn constants_are_those_of_the_header() {
    let mut body = String::new();
    let mut expected = String::new();
    let flags = abi::FLAGS.map(|(name, value)| (format!("F_{}", name.to_uppercase()), value as i64));
    let numbers = [
        ("ABI_MAJOR", abi::ABI_MAJOR as i64),
        ("ABI_MINOR", abi::ABI_MINOR as i64),
        ("NOTE_TYPE", abi::NOTE_TYPE as i64),
        ("REGION_NAME_MAX", abi::REGION_NAME_MAX as i64),
        ("ERROR_CAP", abi::ErrorText::CAPACITY as i64),
        ("CHANNEL_QUEUE", abi::channel_kind::QUEUE.into()),
        ("CHANNEL_SHARED", abi::channel_kind::SHARED.into()),
        ("CHANNEL_PIPE", abi::channel_kind::PIPE.into()),
        ("CHANNEL_SOCKET", abi::channel_kind::SOCKET.into()),
        ("CHANNEL_EITHER", abi::channel_side::EITHER.into()),
        ("CHANNEL_SENDER", abi::channel_side::SENDER.into()),
        ("CHANNEL_RECEIVER", abi::channel_side::RECEIVER.into()),
        ("CHANNEL_NAME_MAX", abi::CHANNEL_NAME_MAX as i64),
        ("CHANNEL_BYTES_MAX", abi::CHANNEL_BYTES_MAX as i64),
        ("CHANNEL_END", abi::CHANNEL_END as i64),
        ("METRIC_COUNTER", abi::METRIC_COUNTER as i64),
        ("METRIC_GAUGE", abi::METRIC_GAUGE as i64),
        ("METRIC_HISTOGRAM", abi::METRIC_HISTOGRAM as i64),
        ("OK", abi::status::OK.into()),
        ("E_FAILED", abi::status::FAILED.into()),
        ("E_TRANSIENT", abi::status::TRANSIENT.into()),
        ("E_CANCELLED", abi::status::CANCELLED.into()),
        ("E_PARAMS", abi::status::PARAMS.into()),
        ("E_UNSUPPORTED", abi::status::UNSUPPORTED.into()),
        ("E_NOMEM", abi::status::NOMEM.into()),
        ("E_PANIC", abi::status::PANIC.into()),
        ("E_ABI", abi::status::ABI.into()),
        ("E_LIMIT", abi::status::LIMIT.into()),
    ];
    let hooks = abi::hook::ALL.map(|(hook, name)| (format!("HOOK_{}", name.to_uppercase()), i64::from(hook)));
    let numbers = numbers.map(|(name, value)| (name.to_owned(), value));
    for (name, value) in numbers.into_iter().chain(flags).chain(hooks) {
        writeln!(body, "printf(\"{name} %lld\\n\", (long long)MUSTER_{name});").unwrap();
        writeln!(expected, "{name} {value}").unwrap();
    }
    assert_eq!(printed("constants", &body), expected);
}

#[test]
fn seeds_of_tasks_are_the_same() {
    let (mut body, mut expected) = (String::new(), String::new());
    for (seed, index) in [(0, 0), (0, 1), (1, 0), (77, 123_456_789), (u64::MAX, u64::MAX)] {
        writeln!(body, "printf(\"%llu\\n\", (unsigned long long)muster_task_seed({seed}u, {index}u));")
            .unwrap();
        writeln!(expected, "{}", task_seed(seed, index)).unwrap();
    }
    assert_eq!(printed("seeds", &body), expected);
}

#[test]
fn compilers_accept_the_headers_without_a_warning() {
    let headers: [(&str, &str, &str); 4] = [
        ("cc", "c11", "muster_plugin.h"),
        ("cc", "c17", "muster_plugin.h"),
        ("c++", "c++11", "muster_plugin.h"),
        ("c++", "c++17", "muster_plugin.hpp"),
    ];
    for (compiler, standard, header) in headers {
        if Command::new(compiler).arg("--version").output().is_err() {
            assert!(
                std::env::var_os("MUSTER_REQUIRE_ALL").is_none(),
                "there is no compiler named {compiler}"
            );
            eprintln!("SKIPPED: there is no compiler named {compiler}");
            continue;
        }
        let language = if compiler == "cc" { "c" } else { "c++" };
        let status = Command::new(compiler)
            .args(["-x", language, &format!("-std={standard}")])
            .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-include"])
            .args([&include().join(header), Path::new("/dev/null")])
            .status()
            .unwrap();
        assert!(status.success(), "{compiler} -std={standard} {header}");
    }
}
