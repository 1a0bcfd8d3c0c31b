//! A worker as a process of its own: runtime, exit code.

use crate::agent::{Stop, run};
use crate::config::Config;
use crate::error::WorkerError;
use futures_util::{Stream, stream};
use muster_proto::link::system_error;
use tokio::signal::unix::{SignalKind, signal};

/// Runs a worker on a runtime of its own, on the calling thread, until it has drained or a signal ends it: SIGTERM lets it
/// finish what it has begun, a second one or SIGINT ends it at once. One of a private cluster ends at either.
///
/// # Errors
/// As [`run`].
pub fn run_blocking(config: Config) -> Result<(), WorkerError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()
        .map_err(|source| WorkerError::System { what: "the worker's event loop", source })?;
    let result = runtime.block_on(async {
        let stops = signals(config.private);
        run(config, stops).await
    });
    // A plugin may still be hashed on a thread: nobody waits for it.
    runtime.shutdown_background();
    result
}

/// What signals ask for. Without handlers both end the process, and its executors with it.
fn signals(at_once: bool) -> impl Stream<Item = Stop> {
    let handlers = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    stream::unfold(handlers, move |(mut terminate, mut interrupt)| async move {
        let (Ok(soon), Ok(now)) = (&mut terminate, &mut interrupt) else { return None };
        let stop = tokio::select! {
            _ = soon.recv() => if at_once { Stop::AtOnce } else { Stop::Drain },
            _ = now.recv() => Stop::AtOnce,
        };
        Some((stop, (terminate, interrupt)))
    })
}

impl WorkerError {
    /// The exit code of a process that ends with this error, as the command line documents them.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            _ if system_error(self) == Some(std::io::ErrorKind::PermissionDenied) => 6,
            Self::NoCoordinator | Self::NoTrust | Self::Join(_) | Self::Secret(_) | Self::Flag { .. } => 2,
            Self::Link(error) if error.is_permission() => 6,
            Self::Link(_) | Self::Refused { .. } | Self::Http { .. } => 5,
            Self::Cache(_) => 9,
            Self::System { .. } => 7,
        }
    }
}
