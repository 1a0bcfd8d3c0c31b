//! Plugin files and their manifests: what the coordinator reads of one and what everybody else does.

#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_coordinator::plugin::{Version, describe};
use muster_core::sandbox::needs_of_plugin;
use muster_fuzz::{assert_one_line, split};
use muster_plugin_host::{Manifest, check, from_pairs, inspect_bytes};

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = split(input, 3) else { return };
    match kind {
        0 => file(bytes),
        kind => {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            if kind == 1 { manifest(text) } else { params(text) }
        }
    }
});

/// The coordinator looks at less of a file than a worker, and must not refuse what a worker takes. The other way round
/// it takes files that no worker loads: it knows neither symbols nor versions of C libraries.
fn file(bytes: &[u8]) {
    let described = describe(bytes, 7);
    if let Err(error) = &described {
        assert_one_line(error);
    }
    match inspect_bytes(bytes, false) {
        Ok(inspection) => {
            let plugin = described.expect("the coordinator takes what workers take");
            let manifest = &inspection.manifest;
            assert_eq!(
                (&*plugin.name, &*plugin.version, &*plugin.manifest),
                (manifest.name(), manifest.version(), manifest.json())
            );
            assert_eq!((&plugin.digest, plugin.size), (inspection.digest.as_bytes(), inspection.size));
            let machine = |target: &str| target.split('-').next().map(str::to_owned);
            // By the needed libraries here, and by any mention of musl there.
            assert_eq!(machine(&plugin.target), machine(&inspection.target));
            assert!(Version::of(&plugin.version) == Version::of(manifest.version()), "two orders");
            parsed(manifest);
        }
        Err(problem) => assert_one_line(problem),
    }
    if let Err(problem) = inspect_bytes(bytes, true) {
        assert_one_line(problem);
    }
}

fn manifest(text: &str) {
    match Manifest::parse(text) {
        Ok(manifest) => parsed(&manifest),
        Err(error) => assert_one_line(error),
    }
}

fn parsed(manifest: &Manifest) {
    drop(needs_of_plugin(manifest.needs()));
    for spec in manifest.params() {
        drop(spec.to_string());
        if let Some(default) = spec.default() {
            assert!(spec.allows(default), "{}: its own default", spec.name());
        }
    }
    // Parameters that are complete are complete.
    if let Ok(params) = check(manifest, &Default::default()) {
        assert_eq!(check(manifest, &params).as_ref(), Ok(&params));
    }
}

/// A manifest, and behind an empty line `name=value` in lines.
fn params(text: &str) {
    let (text, rest) = text.split_once("\n\n").unwrap_or((text, ""));
    let Ok(manifest) = Manifest::parse(text) else { return };
    let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let pairs: Vec<(String, String)> = rest.lines().filter_map(pair).collect();
    match from_pairs(&manifest, &pairs) {
        Ok(params) => assert_eq!(check(&manifest, &params).as_ref(), Ok(&params)),
        Err(error) => assert_one_line(error),
    }
}
