//! Muster's own plugins, by their names.

use super::build::{Project, build};
use super::file::PluginFile;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::terminal::note;
use std::path::Path;

/// A plugin file in a folder, or its sources there, built first.
pub async fn bundled(folder: &Path, name: &str, interrupt: &mut Interrupt) -> Result<PluginFile, Failure> {
    let files = [format!("{name}.so"), format!("libmuster_{name}.so"), format!("lib{name}.so")];
    if let Some(path) = files.iter().map(|file| folder.join(file)).find(|path| path.is_file()) {
        return Ok(PluginFile::inspect(&path)?);
    }
    let sources = folder.join(name);
    if sources.is_dir() && Project::detect(&sources).is_some() {
        note(format_args!("building {}", sources.display()));
        return Ok(PluginFile::inspect(&build(&sources, interrupt).await?)?);
    }
    Err(Failure::new(Exit::Plugin, format_args!("no plugin {name:?} in {}", folder.display()))
        .hint("name the folder of muster's plugins: --plugins DIR"))
}
