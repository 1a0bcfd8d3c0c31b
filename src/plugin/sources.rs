//! The SDK's sources and the ABI headers, carried in the binary.

use super::error::PluginFailure;
use std::path::Path;

/// Path below the SDK folder, and text.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sdk_sources.rs"));

/// The crates that come with a Rust plugin: cargo takes no second one of the same name.
pub const SDK_CRATES: [&str; 2] = ["muster-sdk", "muster-plugin-abi"];

const SDK_MANIFEST: &str = r#"[package]
name = "muster-sdk"
version = "@VERSION@"
edition = "2024"
license = "MIT OR Apache-2.0"
publish = false

[dependencies]
muster-plugin-abi = { path = "../abi" }
serde = { version = "1", features = ["derive"] }
serde_json = "1"
libc = "0.2"
futures-util = { version = "0.3", default-features = false, features = ["std"], optional = true }
tokio = { version = "1", default-features = false, features = ["rt", "net", "time"], optional = true }

[features]
async = ["dep:futures-util", "dep:tokio"]
shared = []
"#;

const ABI_MANIFEST: &str = r#"[package]
name = "muster-plugin-abi"
version = "@VERSION@"
edition = "2024"
license = "MIT OR Apache-2.0"
publish = false
"#;

/// Writes the Rust SDK as the crates `sdk` and `abi` below `folder`.
pub fn write_sdk(folder: &Path) -> Result<(), PluginFailure> {
    for (name, text) in FILES {
        write(&folder.join(name), text)?;
    }
    for (name, manifest) in [("sdk", SDK_MANIFEST), ("abi", ABI_MANIFEST)] {
        write(
            &folder.join(name).join("Cargo.toml"),
            &manifest.replace("@VERSION@", env!("CARGO_PKG_VERSION")),
        )?;
    }
    Ok(())
}

/// Writes the headers for C and C++ into `folder`.
pub fn write_headers(folder: &Path) -> Result<(), PluginFailure> {
    for (name, text) in FILES {
        if let Some(name) = name.strip_prefix("abi/include/") {
            write(&folder.join(name), text)?;
        }
    }
    Ok(())
}

/// Writes a file and the folders above it.
pub fn write(path: &Path, text: &str) -> Result<(), PluginFailure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(path, text))
        .map_err(|error| PluginFailure::Write { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_carries_sdk_and_headers() {
        let names: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        for name in ["sdk/src/lib.rs", "abi/src/lib.rs", "abi/include/muster_plugin.h"] {
            assert!(names.contains(&name), "{name} is missing in {names:?}");
        }
    }

    #[test]
    fn the_crates_have_their_names() {
        for (name, manifest) in SDK_CRATES.iter().zip([SDK_MANIFEST, ABI_MANIFEST]) {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{manifest}");
        }
    }

    /// What is written for the author is what the workspace's own SDK offers.
    #[test]
    fn the_written_sdk_has_all_features() {
        let own = include_str!("../../plugins/sdk/Cargo.toml");
        let features = |manifest: &str| -> Vec<String> {
            let lines = manifest.split("[features]").nth(1).unwrap().lines().skip(1);
            lines
                .take_while(|line| !line.starts_with('['))
                .filter(|line| line.contains(" = "))
                .map(str::to_owned)
                .collect()
        };
        assert_eq!(features(SDK_MANIFEST), features(own));
    }

    #[test]
    fn the_headers_stand_alone() {
        let dir = tempfile::tempdir().unwrap();
        write_headers(dir.path()).unwrap();
        assert!(dir.path().join("muster_plugin.h").is_file());
        assert!(!dir.path().join("lib.rs").exists());
    }
}
