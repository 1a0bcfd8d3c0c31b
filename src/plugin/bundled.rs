//! Muster's own plugins, by their names.

use super::build::{Project, build};
use super::file::PluginFile;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::terminal::note;
use muster_core::spelling::nearest;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

thread_local! {
    /// Sources that this command has built, and what came of them.
    static BUILT: RefCell<BTreeMap<PathBuf, PathBuf>> = const { RefCell::new(BTreeMap::new()) };
}

/// A plugin file in a folder, or its sources there, built first.
pub async fn bundled(folder: &Path, name: &str, interrupt: &mut Interrupt) -> Result<PluginFile, Failure> {
    // Cargo writes files with _ where names have -.
    let plain = name.replace('-', "_");
    let files = [
        format!("{name}.so"),
        format!("libmuster_{plain}.so"),
        format!("lib{name}.so"),
        format!("lib{plain}.so"),
    ];
    if let Some(path) = files.iter().map(|file| folder.join(file)).find(|path| path.is_file()) {
        return Ok(PluginFile::inspect(&path)?);
    }
    let sources = folder.join(name);
    if sources.is_dir() && Project::detect(&sources).is_some() {
        // Experiments ask for the same plugins again and again, some while time runs.
        let known = BUILT.with_borrow(|built| built.get(&sources).cloned());
        let file = match known {
            Some(file) => file,
            None => {
                note(format_args!("building {}", sources.display()));
                let file = build(&sources, interrupt).await?;
                BUILT.with_borrow_mut(|built| built.insert(sources, file.clone()));
                file
            }
        };
        return Ok(PluginFile::inspect(&file)?);
    }
    let known = names(folder);
    let hint = match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near:?}?"),
        None if known.is_empty() => {
            "name the folder plugins of a checkout of muster's sources: --plugins DIR".to_owned()
        }
        None => format!("there are {}; another folder is named with --plugins DIR", known.join(", ")),
    };
    Err(Failure::new(Exit::Plugin, format_args!("no plugin {name:?} in {}", folder.display())).hint(hint))
}

/// The plugins in a folder, built or as sources, by the names that find them.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let name = |entry: std::fs::DirEntry| {
        let (path, name) = (entry.path(), entry.file_name().into_string().ok()?);
        if let Some(stem) = name.strip_suffix(".so") {
            let short = stem.strip_prefix("libmuster_").or_else(|| stem.strip_prefix("lib"));
            return path.is_file().then(|| short.unwrap_or(stem).to_owned());
        }
        let is_plugin = match Project::detect(&path)? {
            // Crates that only help plugins are beside them.
            Project::Cargo => {
                let manifest = std::fs::read_to_string(path.join("Cargo.toml")).ok()?;
                let library = manifest.split("\n[").find_map(|part| part.strip_prefix("lib]"));
                library.is_some_and(|library| library.contains("cdylib"))
            }
            Project::C(_) | Project::Cpp(_) => true,
        };
        is_plugin.then_some(name)
    };
    let mut names: Vec<String> = entries.filter_map(name).collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_known_by_their_files_and_sources() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins");
        let expected = [
            "chaos",
            "counter",
            "disk",
            "exchange",
            "exec",
            "fetch-then-sum",
            "hostile",
            "http-fetch",
            "loop",
            "mandelbrot",
            "mixed",
            "null",
            "primes",
            "python",
            "sleep",
            "wordcount",
        ];
        assert_eq!(names(&here), expected, "and not the crates around them");
        let dir = tempfile::tempdir().unwrap();
        for file in ["libmuster_sleep.so", "libown.so", "mine.so", "mine.txt"] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        std::fs::create_dir_all(dir.path().join("folder.so")).unwrap();
        std::fs::create_dir_all(dir.path().join("c/src")).unwrap();
        std::fs::write(dir.path().join("c/src/a.c"), "").unwrap();
        assert_eq!(names(dir.path()), ["c", "mine", "own", "sleep"]);
        assert!(names(&dir.path().join("nothing")).is_empty());
    }
}
