//! The manifest and its ELF note, written while compiling, and the export macro.

use crate::json::Writer;
use muster_plugin_abi::{FLAGS, NOTE_TYPE};

/// Whether tasks have inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Tasks have an index only.
    None,
    /// A task works with and without an input.
    Optional,
    /// Every task needs an input.
    Required,
}

/// A metric of the workload.
#[derive(Clone, Copy, Debug)]
pub struct MetricSpec {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
}

impl MetricSpec {
    /// A metric that only rises.
    #[must_use]
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: "counter", help }
    }

    /// A metric that is set.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: "gauge", help }
    }

    /// A metric of observations.
    #[must_use]
    pub const fn histogram(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: "histogram", help }
    }
}

/// What [`export!`](crate::export!) can be told; only `name` is required.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// `[a-z0-9][a-z0-9_-]{0,62}`
    pub name: &'static str,
    /// `SemVer`; by default that of the crate.
    pub version: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// Whether tasks have inputs.
    pub input: Input,
    /// How many tasks a job has by default; 0: it must be said.
    pub default_tasks: u64,
    /// The same input and seed give the same bytes.
    pub deterministic: bool,
    /// Running a task again has no further effect.
    pub idempotent: bool,
    /// May share a process with other threads that run tasks.
    pub threads_ok: bool,
    /// Several jobs, one after the other, may live in one process.
    pub multi_job: bool,
    /// It has an async form; `export!` sets it.
    pub interleaves: bool,
    /// Made to harm its process.
    pub chaos: bool,
    /// The workload's metrics.
    pub metrics: &'static [MetricSpec],
    /// What it cannot do without in a sandbox: `network`, `exec`, `read:/PATH`, `write:/PATH`, `env:NAME`.
    pub needs: &'static [&'static str],
}

impl Spec {
    /// What holds for a workload in safe Rust unless it says otherwise.
    #[must_use]
    pub const fn new(version: &'static str) -> Self {
        Self {
            name: "",
            version,
            description: "",
            input: Input::None,
            default_tasks: 0,
            deterministic: false,
            idempotent: false,
            threads_ok: true,
            multi_job: true,
            interleaves: false,
            chaos: false,
            metrics: &[],
            needs: &[],
        }
    }

    /// `MUSTER_F_*`. Calls may always overlap: a workload is `Sync`.
    #[must_use]
    pub const fn flags(&self) -> u64 {
        use muster_plugin_abi::{
            F_ASYNC, F_CHAOS, F_CONCURRENT, F_DETERMINISTIC, F_IDEMPOTENT, F_MULTI_JOB, F_THREADS_OK,
        };
        let mut flags = F_CONCURRENT;
        if self.threads_ok {
            flags |= F_THREADS_OK;
        }
        if self.deterministic {
            flags |= F_DETERMINISTIC;
        }
        if self.idempotent {
            flags |= F_IDEMPOTENT;
        }
        if self.multi_job {
            flags |= F_MULTI_JOB;
        }
        if self.interleaves {
            flags |= F_ASYNC;
        }
        if self.chaos {
            flags |= F_CHAOS;
        }
        flags
    }
}

/// What the types say.
#[derive(Clone, Copy, Debug)]
pub struct Types {
    /// `Output::KIND`
    pub output: &'static str,
    /// `Total::KIND` when results can be combined.
    pub reduced: Option<&'static str>,
    /// `Params::SCHEMA`
    pub params: &'static str,
}

/// Writes the manifest and returns its length; `out` may be too short.
pub const fn write(spec: &Spec, types: &Types, out: &mut [u8]) -> usize {
    check_name(spec.name);
    let mut json = Writer::new(out);
    json.raw("{\"muster\":1,\"name\":");
    json.string(spec.name);
    json.raw(",\"version\":");
    json.string(spec.version);
    json.raw(",\"description\":");
    json.string(spec.description);
    json.raw(match spec.input {
        Input::None => ",\"input\":\"none\"",
        Input::Optional => ",\"input\":\"optional\"",
        Input::Required => ",\"input\":\"required\"",
    });
    json.raw(",\"output\":");
    json.string(types.output);
    match types.reduced {
        Some(kind) => {
            json.raw(",\"reduce\":true,\"reduced\":");
            json.string(kind);
        }
        None => json.raw(",\"reduce\":false"),
    }
    flags(&mut json, spec.flags());
    if spec.default_tasks > 0 {
        json.raw(",\"default_tasks\":");
        json.integer(spec.default_tasks as i128);
    }
    json.raw(",\"params\":");
    json.raw(types.params);
    metrics(&mut json, spec.metrics);
    needs(&mut json, spec.needs);
    json.raw(concat!(",\"sdk\":\"rust ", env!("CARGO_PKG_VERSION"), "\"}"));
    json.len()
}

const fn flags(json: &mut Writer<'_>, flags: u64) {
    json.raw(",\"flags\":[");
    let (mut at, mut first) = (0, true);
    while at < FLAGS.len() {
        if flags & FLAGS[at].1 != 0 {
            if !first {
                json.raw(",");
            }
            json.string(FLAGS[at].0);
            first = false;
        }
        at += 1;
    }
    json.raw("]");
}

const fn metrics(json: &mut Writer<'_>, metrics: &[MetricSpec]) {
    json.raw(",\"metrics\":[");
    let mut at = 0;
    while at < metrics.len() {
        json.raw(if at > 0 { ",{\"name\":" } else { "{\"name\":" });
        json.string(metrics[at].name);
        json.raw(",\"kind\":");
        json.string(metrics[at].kind);
        json.raw(",\"help\":");
        json.string(metrics[at].help);
        json.raw("}");
        at += 1;
    }
    json.raw("]");
}

const fn needs(json: &mut Writer<'_>, needs: &[&str]) {
    if needs.is_empty() {
        return;
    }
    json.raw(",\"needs\":[");
    let mut at = 0;
    while at < needs.len() {
        check_need(needs[at].as_bytes());
        if at > 0 {
            json.raw(",");
        }
        json.string(needs[at]);
        at += 1;
    }
    json.raw("]");
}

/// How a need is spelled, or how it begins.
const NEEDS: [&[u8]; 5] = [b"network", b"exec", b"read:/", b"write:/", b"env:"];

const fn check_need(need: &[u8]) {
    let mut at = 0;
    while at < NEEDS.len() {
        let known = NEEDS[at];
        // `network` and `exec` are whole words.
        let fits = if at < 2 { need.len() == known.len() } else { need.len() >= known.len() };
        let mut same = 0;
        while fits && same < known.len() && need[same] == known[same] {
            same += 1;
        }
        if fits && same == known.len() {
            return;
        }
        at += 1;
    }
    panic!("export!: needs must be of network, exec, read:/PATH, write:/PATH and env:NAME");
}

const fn check_name(name: &str) {
    let bytes = name.as_bytes();
    assert!(!bytes.is_empty() && bytes.len() <= 63, "export!: name must have 1 to 63 characters");
    let mut at = 0;
    while at < bytes.len() {
        let fits =
            matches!(bytes[at], b'a'..=b'z' | b'0'..=b'9') || (at > 0 && matches!(bytes[at], b'-' | b'_'));
        assert!(fits, "export!: name must be of a-z, 0-9, - and _, and begin with a letter or digit");
        at += 1;
    }
}

/// The bytes that a manifest of `len` bytes takes in its note: a NUL, then to a multiple of 4.
#[must_use]
pub const fn padded(len: usize) -> usize {
    (len + 1).next_multiple_of(4)
}

/// An ELF note.
#[repr(C, align(4))]
#[derive(Debug)]
pub struct Note<const N: usize> {
    name_size: u32,
    body_size: u32,
    kind: u32,
    name: [u8; 8],
    body: [u8; N],
}

impl<const N: usize> Note<N> {
    /// The note with the manifest of `spec` and `types`, which is `len` bytes long.
    #[must_use]
    pub const fn new(spec: &Spec, types: &Types, len: usize) -> Self {
        let mut body = [0; N];
        write(spec, types, &mut body);
        Self { name_size: 7, body_size: len as u32 + 1, kind: NOTE_TYPE, name: *b"muster\0\0", body }
    }
}

/// Exports a workload: the entry symbol, the table and the manifest. One per crate. `Name { .. }` for a
/// [`Workload`](crate::Workload), `Name: Reduce { .. }` when it is also [`Reduce`](crate::Reduce), `Name: Async { .. }` when it has an async
/// form (feature `async`). The keys:
///
/// | key | default | |
/// |---|---|---|
/// | `name` | required | `[a-z0-9][a-z0-9_-]{0,62}` |
/// | `version` | the crate's | `SemVer` |
/// | `description` | empty | one sentence |
/// | `input` | `Input::None` | whether tasks have inputs: also `Input::Optional`, `Input::Required` |
/// | `default_tasks` | none | tasks of a job that does not say |
/// | `deterministic` | false | the same input and seed give the same bytes |
/// | `idempotent` | false | running a task again has no further effect |
/// | `threads_ok` | true | may share a process with other threads that run tasks |
/// | `multi_job` | true | several jobs may live in one process |
/// | `chaos` | false | made to harm its process: shared clusters refuse it unless `--allow-chaos` allows it |
/// | `needs` | none | what it cannot do without in a sandbox: `&["network", "exec", "read:/PATH", "write:/PATH", "env:NAME"]` |
/// | `metrics` | none | `&[MetricSpec::counter("name", "help"), ..]`, also `gauge` and `histogram` |
#[macro_export]
macro_rules! export {
    ($workload:ident { $($key:ident: $value:expr),* $(,)? }) => {
        $crate::export!(@ $workload, plugin, ::core::option::Option::None, { $($key: $value),* });
    };
    ($workload:ident: Async { $($key:ident: $value:expr),* $(,)? }) => {
        $crate::export!(
            @ $workload, async_plugin, ::core::option::Option::None, { $($key: $value,)* interleaves: true }
        );
    };
    ($workload:ident: Reduce { $($key:ident: $value:expr),* $(,)? }) => {
        $crate::export!(
            @ $workload,
            reducing_plugin,
            ::core::option::Option::Some(<<$workload as $crate::Reduce>::Total as $crate::Output>::KIND),
            { $($key: $value),* }
        );
    };
    (@ $workload:ident, $plugin:ident, $reduced:expr, { $($key:ident: $value:expr),* }) => {
        const _: () = {
            #[allow(unused_imports)]
            use $crate::{Input, MetricSpec};

            const SPEC: $crate::manifest::Spec = $crate::manifest::Spec {
                $($key: $value,)*
                ..$crate::manifest::Spec::new(::core::env!("CARGO_PKG_VERSION"))
            };
            const TYPES: $crate::manifest::Types = $crate::manifest::Types {
                output: <<$workload as $crate::Workload>::Output as $crate::Output>::KIND,
                reduced: $reduced,
                params: <<$workload as $crate::Workload>::Params as $crate::Params>::SCHEMA,
            };
            const LEN: usize = $crate::manifest::write(&SPEC, &TYPES, &mut []);

            #[used]
            #[unsafe(link_section = ".note.muster")]
            static NOTE: $crate::manifest::Note<{ $crate::manifest::padded(LEN) }> =
                $crate::manifest::Note::new(&SPEC, &TYPES, LEN);
            static PLUGIN: $crate::abi::Plugin = $crate::border::$plugin::<$workload>(&SPEC);

            #[unsafe(no_mangle)]
            extern "C" fn muster_plugin_v1(major: u32, minor: u32) -> *const $crate::abi::Plugin {
                $crate::border::entry(&PLUGIN, major, minor)
            }
        };
    };
}
