//! What a task costs between the executor and the plugin: `cargo bench -p muster-plugin-host`.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use fixture::{MANIFEST, Source, Words, cargo_build, load, null, params, range};
use muster_plugin_host::{Inputs, Job, OutBuffer};
use std::time::Instant;

const RANGE: u64 = 4096;
const RANGES: u64 = 5_000;

fn main() {
    let (plugin, _) = load(&null());
    let job = |json: &str| plugin.create(params(json)).unwrap();
    measure("null, no output", &job("{}"), RANGE, None);
    measure("null, no output, one task a call", &job("{}"), 1, None);
    measure("null, 8 bytes out", &job(r#"{"bytes_out": 8}"#), RANGE, None);
    measure("null, 16 bytes in", &job("{}"), RANGE, Some(16));
    let (plugin, _) = load(&cargo_build(&["-p", "muster-loop"], "libmuster_loop.so"));
    measure(
        "loop without rounds, a u64 out",
        &plugin.create(params(r#"{"iters": 0}"#)).unwrap(),
        RANGE,
        None,
    );
    let folder = tempfile::tempdir().unwrap();
    let (plugin, _) = load(&Source::default().build(folder.path()));
    measure("C, run(), no output", &plugin.create(params("{}")).unwrap(), RANGE, None);
    for kind in ["bytes", "text", "json"] {
        let run = "muster_buf buf = host->result_alloc(host->self, tc->ctx, 16);
                   memcpy(buf.ptr, \"{\\\"value\\\":123456}\", 16);
                   return MUSTER_OK;";
        let manifest = format!("MUSTER_MANIFEST(\"{}\");", MANIFEST.replace("bytes", kind));
        let source = Source { manifest, run: run.into(), ..Source::default() };
        let folder = tempfile::tempdir().unwrap();
        let (plugin, _) = load(&source.build(folder.path()));
        let name = format!("C, run(), 16 bytes of {kind} out");
        measure(&name, &plugin.create(params("{}")).unwrap(), RANGE, None);
    }
}

fn measure(name: &str, job: &Job, count: u64, input_bytes: Option<u64>) {
    let (words, mut out) = (Words::default(), OutBuffer::new());
    let mut slot = words.slot();
    let data = vec![0; (count * input_bytes.unwrap_or(0)) as usize];
    let offsets: Vec<u64> = (0..=count).map(|at| at * input_bytes.unwrap_or(0)).collect();
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let begun = Instant::now();
        for at in 0..RANGES {
            let inputs = input_bytes.map(|_| Inputs::new(&data, &offsets).unwrap());
            let outcome = job.run_range(&mut slot, range(at * count, count, inputs), &mut out);
            assert_eq!(outcome.done, count);
            out.clear();
        }
        best = best.min(begun.elapsed().as_secs_f64() * 1e9 / (RANGES * count) as f64);
    }
    println!("{name:40} {best:8.2} ns a task");
}
