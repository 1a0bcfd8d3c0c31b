//! `muster plugin new`: a folder that builds and runs anywhere, because it carries the SDK with it.

use super::error::PluginFailure;
use super::sources::{SDK_CRATES, write, write_headers, write_sdk};
use crate::cli::Language;
use std::path::{Path, PathBuf};

const NAME_MAX_CHARS: usize = 63;

/// Writes a new plugin into `folder`, whose last part is its name. `is_async`: one in Rust with an async form.
pub fn scaffold(folder: &Path, language: Language, is_async: bool) -> Result<PathBuf, PluginFailure> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !is_name(&name) {
        return Err(PluginFailure::BadName { name });
    }
    if language == Language::Rust && SDK_CRATES.contains(&name.as_str()) {
        return Err(PluginFailure::TakenName { name });
    }
    let is_empty = |path: &Path| path.read_dir().is_ok_and(|mut entries| entries.next().is_none());
    if folder.symlink_metadata().is_ok() && !is_empty(folder) {
        return Err(PluginFailure::Exists { path: folder.to_owned() });
    }
    let fill = |text: &str| text.replace("@NAME@", &name);
    let (source, sdk) = match language {
        Language::Rust => ("src/lib.rs", "the Rust SDK that this folder is built with"),
        Language::C => ("src/plugin.c", "the header of the plugin ABI"),
        Language::Cpp => ("src/plugin.cpp", "the headers of the plugin ABI"),
    };
    match language {
        Language::Rust => {
            let (code, features) = if is_async {
                (include_str!("templates/lib.async.rs.in"), "\"async\"")
            } else {
                (include_str!("templates/lib.rs.in"), "")
            };
            let manifest = include_str!("templates/Cargo.toml.in").replace("@FEATURES@", features);
            write_sdk(&folder.join(".muster"))?;
            write(&folder.join("Cargo.toml"), &fill(&manifest))?;
            write(&folder.join(source), &fill(code))?;
        }
        Language::C => {
            write_headers(&folder.join(".muster/include"))?;
            write(&folder.join(source), &fill(include_str!("templates/plugin.c.in")))?;
        }
        Language::Cpp => {
            write_headers(&folder.join(".muster/include"))?;
            write(&folder.join(source), &fill(include_str!("templates/plugin.cpp.in")))?;
        }
    }
    let readme = if is_async {
        include_str!("templates/README.async.md.in")
    } else {
        include_str!("templates/README.md.in")
    };
    let readme = readme.replace("@SOURCE@", source).replace("@SDK@", sdk);
    write(&folder.join("README.md"), &fill(&readme))?;
    write(&folder.join(".gitignore"), if language == Language::Rust { "/target\n" } else { "/build\n" })?;
    Ok(folder.to_owned())
}

/// Names are also those of a crate, so they begin with a letter.
fn is_name(name: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    let first = name.bytes().next();
    first.is_some_and(|byte| byte.is_ascii_lowercase())
        && name.len() <= NAME_MAX_CHARS
        && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_is_written_once() {
        let dir = tempfile::tempdir().unwrap();
        for (language, file) in [(Language::Rust, "Cargo.toml"), (Language::C, "src/plugin.c")] {
            let folder = dir.path().join(format!("pi-{}", file.len()));
            scaffold(&folder, language, false).unwrap();
            let text = std::fs::read_to_string(folder.join(file)).unwrap();
            assert!(text.contains("pi-") && !text.contains("@NAME@"));
            assert!(matches!(scaffold(&folder, language, false), Err(PluginFailure::Exists { .. })));
        }
    }

    #[test]
    fn names_are_checked() {
        let dir = tempfile::tempdir().unwrap();
        for name in SDK_CRATES {
            let refused = scaffold(&dir.path().join(name), Language::Rust, false);
            assert!(matches!(refused, Err(PluginFailure::TakenName { .. })), "{name}");
        }
        for name in ["", "..", "Pi", "1st", "a b", "-a", &"x".repeat(64)] {
            assert!(
                matches!(scaffold(Path::new(name), Language::C, false), Err(PluginFailure::BadName { .. })),
                "{name}"
            );
        }
    }
}
