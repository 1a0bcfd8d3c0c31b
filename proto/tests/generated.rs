//! The committed code matches the .proto file. `MUSTER_REGENERATE=1` writes it anew.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use prost::Message;

const CODE: &str = "src/generated/muster.v1.rs";
const DESCRIPTORS: &str = "src/generated/muster.v1.bin";

#[test]
fn the_committed_code_is_what_the_proto_file_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let descriptors = protox::compile(["muster/v1/muster.proto"], [root.join("proto")]).unwrap();
    let bytes = descriptors.encode_to_vec();

    let folder = tempfile::tempdir().unwrap();
    tonic_prost_build::configure().bytes(".").out_dir(folder.path()).compile_fds(descriptors).unwrap();
    let code = fs::read(folder.path().join("muster.v1.rs")).unwrap();

    if std::env::var_os("MUSTER_REGENERATE").is_some() {
        fs::create_dir_all(root.join("src/generated")).unwrap();
        fs::write(root.join(CODE), &code).unwrap();
        fs::write(root.join(DESCRIPTORS), &bytes).unwrap();
        return;
    }
    let again = "run MUSTER_REGENERATE=1 cargo test -p muster-proto --test generated";
    assert!(fs::read(root.join(CODE)).unwrap() == code, "{CODE} is stale: {again}");
    assert!(fs::read(root.join(DESCRIPTORS)).unwrap() == bytes, "{DESCRIPTORS} is stale: {again}");
}
