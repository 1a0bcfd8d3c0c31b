//! What is kept from an executor: where the levels of [`muster_core::sandbox`] become system calls. An executor takes
//! its rights from itself before it loads its plugin and before it has a second thread; nothing gives them back.

mod calls;
mod environment;
mod files;
mod kernel;
mod rights;
mod standing;

pub(crate) use environment::passed_on;
pub(crate) use kernel::ABI_SCOPES;
pub use kernel::Kernel;
pub(crate) use standing::Standing;

use muster_core::sandbox::{Level, Need};
use std::io;
use std::path::{Path, PathBuf};

/// What an executor is kept from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// How much.
    pub level: Level,
    /// It may have sockets of the internet.
    pub network: bool,
    /// It may start programs and processes.
    pub exec: bool,
    /// What it may read beside the system's libraries.
    pub read: Vec<String>,
    /// What it may read and change beside its own folder.
    pub write: Vec<String>,
    /// Variables that it keeps beside the usual ones.
    pub env: Vec<String>,
}

/// What cannot be taken from an executor.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Rights of its process.
    #[error("sandbox: {what}: {source}")]
    Rights {
        /// What failed.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Its files.
    #[error("sandbox: landlock refused its rules: {0}")]
    Files(#[from] landlock::RulesetError),
    /// A path that the operator granted.
    #[error("sandbox: what was granted cannot be opened: {}: {source}; start the worker with another --allow", .path.display())]
    Granted {
        /// The path.
        path: PathBuf,
        /// Why.
        source: landlock::PathFdError,
    },
    /// The kernel took less than was asked for.
    #[error("sandbox: landlock keeps only a part of its rules on this kernel")]
    Partial,
    /// Its system calls.
    #[error("sandbox: the filter of system calls cannot be made: {0}")]
    Filter(#[from] seccompiler::BackendError),
    /// The same.
    #[error("sandbox: the filter of system calls cannot be set: {0}")]
    SetFilter(#[from] seccompiler::Error),
}

impl Sandbox {
    /// That of a plugin at a level. Network and programs are for plugins that say that they need them; a path or variable
    /// that was granted is for all, because paths often stand in the parameters of a job.
    #[must_use]
    pub fn new(level: Level, needs: &[Need], grants: &[Need]) -> Self {
        let needs_it = |need: Need| needs.contains(&need) && grants.contains(&need);
        let mut sandbox =
            Self { level, network: needs_it(Need::Network), exec: needs_it(Need::Exec), ..Self::default() };
        for grant in grants {
            match grant {
                Need::Read(path) => sandbox.read.push(path.clone()),
                Need::Write(path) => sandbox.write.push(path.clone()),
                Need::Env(name) => sandbox.env.push(name.clone()),
                Need::Network | Need::Exec | Need::Unknown(_) => {}
            }
        }
        sandbox
    }

    /// Takes from this process what is kept from it. `plugin` is the file that it will load; `scratch` is the folder of
    /// its own.
    ///
    /// # Errors
    /// Something that cannot be taken: the process must not go on then.
    pub(crate) fn enter(&self, plugin: &Path, scratch: Option<&Path>) -> Result<(), SandboxError> {
        if self.level == Level::None {
            return Ok(());
        }
        // Programs find it as the folder for temporary files.
        if let Some(scratch) = scratch {
            make(scratch).map_err(|source| SandboxError::Rights { what: "making its folder", source })?;
        }
        rights::no_core_dumps()?;
        rights::no_new_privileges()?;
        if self.level < Level::Standard {
            return Ok(());
        }
        let abi = kernel::landlock_abi();
        files::restrict(self, plugin, scratch, abi)?;
        rights::drop_capabilities()?;
        calls::restrict(self, abi)
    }
}

fn make(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Closes every descriptor of this process but its first three: they were meant for whoever started the worker.
pub(crate) fn close_inherited() -> Result<(), SandboxError> {
    rights::close_from(3)
}
