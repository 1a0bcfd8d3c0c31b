//! Collects the sources of the SDK and the ABI headers, which `muster plugin new` and `build` write out, so that
//! no file is forgotten when one is added.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Folder in the checkout, the name it gets below the new plugin's SDK folder.
const FOLDERS: [(&str, &str); 3] =
    [("plugins/sdk/src", "sdk/src"), ("plugins/abi/src", "abi/src"), ("plugins/abi/include", "abi/include")];

fn main() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let target = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    let mut code = String::from("&[\n");
    for (folder, name) in FOLDERS {
        println!("cargo::rerun-if-changed={folder}");
        let mut files = Vec::new();
        walk(&root.join(folder), &mut files);
        files.sort();
        for file in files {
            let inner = file.strip_prefix(root.join(folder)).expect("it was found there");
            let name = Path::new(name).join(inner);
            writeln!(code, "    ({name:?}, include_str!({file:?})),").expect("strings grow");
        }
    }
    code.push_str("]\n");
    fs::write(target.join("sdk_sources.rs"), code).expect("cargo's folder is writable");
    println!("cargo::rerun-if-changed=build.rs");
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let wanted = path.extension().is_some_and(|end| end == "rs" || end == "h" || end == "hpp");
        if path.is_dir() {
            walk(&path, files);
        } else if wanted && path.file_name().is_some_and(|name| name != "tests.rs") {
            files.push(path);
        }
    }
}
