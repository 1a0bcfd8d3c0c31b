//! What PLUGIN on the command line means: a source folder, a plugin file, or something a cluster knows.

use super::build::{Project, build};
use super::error::{PluginFailure, Searched};
use super::file::PluginFile;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::terminal::note;
use std::path::Path;

/// Where a plugin is.
#[derive(Debug)]
pub enum Located {
    /// On this machine.
    Here(Box<PluginFile>),
    /// Registered with a cluster under a name, name@version or digest.
    Registered(String),
}

/// Why there is no cluster to ask for a plugin; where a folder has the name, that folder was meant.
pub fn without_cluster(text: &str, failure: Failure) -> Failure {
    let path = Path::new(text);
    if failure.exit == Exit::Connection && path.is_dir() && Project::detect(path).is_none() {
        return PluginFailure::NotAProject { path: path.to_owned() }.into();
    }
    if failure.exit == Exit::Connection && path.symlink_metadata().is_err() {
        return failure.after(format_args!("there is no file or folder {text}, and "));
    }
    failure
}

/// Finds a plugin: a source folder is built, a file is inspected, the rest is for the cluster to know.
pub async fn locate(text: &str, interrupt: &mut Interrupt) -> Result<Located, PluginFailure> {
    let path = Path::new(text);
    let is_folder = path.is_dir();
    if is_folder && Project::detect(path).is_some() {
        note(format_args!("building {text}"));
        return PluginFile::inspect(&build(path, interrupt).await?).map(|file| Located::Here(Box::new(file)));
    }
    let is_path = text.contains('/') || text.ends_with(".so") || matches!(text, "." | "..");
    if is_folder && is_path {
        return Err(PluginFailure::NotAProject { path: path.to_owned() });
    }
    if !is_folder && path.symlink_metadata().is_ok() {
        return PluginFile::inspect(path).map(|file| Located::Here(Box::new(file)));
    }
    if is_path || !is_query(text) {
        return Err(PluginFailure::NotFound { query: text.to_owned(), searched: Searched::Files });
    }
    Ok(Located::Registered(text.to_owned()))
}

/// Whether a cluster could know it: a name, name@version or digest.
fn is_query(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_@.+".contains(&byte);
    (1..=200).contains(&text.len()) && text.bytes().all(allowed)
}
