//! What a worker is told when it starts.

use crate::emulation::Emulation;
use muster_core::sandbox::{Level, Need};
use muster_core::trust::Trust;
use muster_proto::link::{Readers, Target, host_name};
use std::net::SocketAddr;
use std::path::PathBuf;

/// The settings of a worker.
#[derive(Clone, Debug)]
pub struct Config {
    /// The coordinator.
    pub target: Target,
    /// The worker's name, unique in its cluster.
    pub name: String,
    /// Tasks that it runs at the same time, at least 1.
    pub slots: u32,
    /// The folder that keeps plugins.
    pub cache: PathBuf,
    /// Bytes that it may have beside plugins that are in use.
    pub cache_bytes: u64,
    /// The folder in which tasks have theirs; `None`: one below that of the plugins.
    pub scratch: Option<PathBuf>,
    /// Where metrics and health are served.
    pub http: Option<SocketAddr>,
    /// Who may read them.
    pub readers: Readers,
    /// The worker belongs to a private cluster: it ends when its coordinator is gone.
    pub private: bool,
    /// The process has no children but this worker's: processes that its tasks leave behind become its children, and
    /// end with the executor that they come from.
    pub adopts: bool,
    /// What is kept from its executors; `None`: as is usual for where its coordinator is.
    pub sandbox: Option<Level>,
    /// What plugins may need in a sandbox.
    pub grants: Vec<Need>,
    /// Which plugins it loads.
    pub trust: Trust,
    /// How it is to seem: slower, farther away, cut off.
    pub emulation: Emulation,
}

impl Config {
    /// The user's folder for plugins: `$MUSTER_CACHE`, `$XDG_CACHE_HOME/muster/plugins` or
    /// `~/.cache/muster/plugins`; without a home, a folder of this user in the folder for temporary files.
    #[must_use]
    pub fn default_cache() -> PathBuf {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        absolute("MUSTER_CACHE")
            .or_else(|| absolute("XDG_CACHE_HOME").map(|path| path.join("muster/plugins")))
            .or_else(|| absolute("HOME").map(|path| path.join(".cache/muster/plugins")))
            .unwrap_or_else(|| {
                // SAFETY: geteuid takes nothing and cannot fail.
                let user = unsafe { libc::geteuid() };
                std::env::temp_dir().join(format!("muster-plugins-{user}"))
            })
    }

    /// A name for a worker that was given none: its machine and process.
    #[must_use]
    pub fn default_name() -> String {
        format!("{}-{}", host_name(), std::process::id())
    }
}
