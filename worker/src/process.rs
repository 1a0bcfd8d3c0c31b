//! A worker as a process of its own: runtime, exit code.

use crate::agent::run;
use crate::config::Config;
use crate::error::WorkerError;
use muster_proto::link::system_error;

/// Runs a worker on a runtime of its own, on the calling thread.
///
/// # Errors
/// As [`run`].
pub fn run_blocking(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), WorkerError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()
        .map_err(|source| WorkerError::System { what: "the worker's event loop", source })?;
    let result = runtime.block_on(run(config, shutdown));
    // A plugin may still be hashed on a thread: nobody waits for it.
    runtime.shutdown_background();
    result
}

impl WorkerError {
    /// The exit code of a process that ends with this error, as the command line documents them.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            _ if system_error(self) == Some(std::io::ErrorKind::PermissionDenied) => 6,
            Self::NoCoordinator | Self::Join(_) | Self::Secret(_) | Self::Flag { .. } => 2,
            Self::Link(error) if error.is_permission() => 6,
            Self::Link(_) | Self::Refused { .. } | Self::Http { .. } => 5,
            Self::Cache(_) => 9,
            Self::System { .. } => 7,
        }
    }
}
