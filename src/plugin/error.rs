//! What can go wrong before a plugin is on a cluster.

use crate::exit::{Exit, Failure};
use std::path::PathBuf;

/// Why there is no plugin to run.
#[derive(Debug, thiserror::Error)]
pub enum PluginFailure {
    #[error("{} is not a plugin's folder: it has neither Cargo.toml nor C or C++ sources", path.display())]
    NotAProject { path: PathBuf },
    #[error("cannot start {tool} to build {}: {}", path.display(), crate::exit::reason(error))]
    NoTool { tool: String, path: PathBuf, error: std::io::Error },
    #[error("building {} failed", path.display())]
    BuildFailed { path: PathBuf },
    #[error("cannot try {} out: the thread for it ended", path.display())]
    NotTried { path: PathBuf },
    #[error("building {} was interrupted", path.display())]
    BuildInterrupted { path: PathBuf },
    #[error("{} builds no plugin", path.display())]
    NoLibrary { path: PathBuf },
    #[error("there is no plugin {query:?}: no such file or folder{}", searched.and_nothing_else())]
    NotFound { query: String, searched: Searched },
    #[error("{0}")]
    Broken(#[from] muster_plugin_host::PluginError),
    #[error(
        "{name:?} cannot be a plugin's name: small letters, digits, - and _, at most 63, and a letter first"
    )]
    BadName { name: String },
    #[error("{name:?} is the name of a crate that a Rust plugin is built with: choose another")]
    TakenName { name: String },
    #[error("{} exists already", path.display())]
    Exists { path: PathBuf },
    #[error("cannot write {}: {}", path.display(), crate::exit::reason(error))]
    Write { path: PathBuf, error: std::io::Error },
}

impl PluginFailure {
    /// Nobody knows this name; where a folder has it, that folder was meant.
    pub fn not_found(query: String, searched: Searched) -> Self {
        let path = PathBuf::from(&query);
        if path.is_dir() { Self::NotAProject { path } } else { Self::NotFound { query, searched } }
    }
}

/// Where a plugin was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Searched {
    /// Among files and folders: it cannot be a registered one's name.
    Files,
    /// There too, with no cluster to ask.
    FilesWithoutCluster,
    /// There, and among the plugins that a cluster has.
    FilesAndCluster,
}

impl Searched {
    const fn and_nothing_else(self) -> &'static str {
        match self {
            Self::Files => "",
            Self::FilesWithoutCluster => ", and a private cluster has no registered plugins",
            Self::FilesAndCluster => ", and no registered plugin of that name or digest",
        }
    }

    const fn hint(self) -> &'static str {
        match self {
            Self::Files => "give the path of a plugin file or of a plugin's source folder",
            Self::FilesWithoutCluster => {
                "give the path of a plugin file or source folder; names are for clusters that are up (muster plugin push)"
            }
            Self::FilesAndCluster => "list registered plugins: muster plugin ls",
        }
    }
}

impl From<PluginFailure> for Failure {
    fn from(error: PluginFailure) -> Self {
        let failure = |exit| Self::new(exit, &error);
        match &error {
            PluginFailure::NotAProject { .. } => {
                failure(Exit::Plugin).hint("write a new one: muster plugin new NAME")
            }
            PluginFailure::NoTool { tool, .. } if tool == "cargo" => {
                failure(Exit::Plugin).hint("install Rust from https://rustup.rs, or give a built plugin file")
            }
            PluginFailure::NoLibrary { .. } => {
                failure(Exit::Plugin).hint("its Cargo.toml needs [lib] with crate-type = [\"cdylib\"]")
            }
            PluginFailure::NotFound { searched, .. } => failure(Exit::Plugin).hint(searched.hint()),
            PluginFailure::NoTool { .. } | PluginFailure::BuildFailed { .. } | PluginFailure::Broken(_) => {
                failure(Exit::Plugin)
            }
            PluginFailure::NotTried { .. } => failure(Exit::Limit),
            PluginFailure::BuildInterrupted { .. } => failure(Exit::Interrupted),
            PluginFailure::BadName { .. } | PluginFailure::TakenName { .. } => failure(Exit::Usage),
            PluginFailure::Exists { .. } => failure(Exit::Usage).hint("choose another name or folder"),
            PluginFailure::Write { path, error } => Self::io(Exit::Storage, "write", path, error),
        }
    }
}
