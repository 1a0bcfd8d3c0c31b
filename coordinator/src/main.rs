//! `muster-coordinator`: a coordinator alone, in the foreground. Prints the join string on stdout.

use clap::Parser;
use muster_coordinator::args::CoordinatorArgs;
use muster_coordinator::{Coordinator, StartError};
use muster_proto::link::system_error;
use muster_proto::logging::{self, Reader};
use std::io::Write;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Takes jobs, leases their tasks to workers, keeps what must last.
#[derive(Debug, Parser)]
#[command(name = "muster-coordinator", version)]
struct Cli {
    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match start(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, message)) => {
            let _ = writeln!(std::io::stderr(), "error: {message}");
            ExitCode::from(code)
        }
    }
}

fn start(cli: Cli) -> Result<(), (u8, String)> {
    logging::init("info", Reader::Operator).map_err(|error| (2, error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| (9, format!("cannot start: {error}")))?.block_on(run(cli))
}

async fn run(cli: Cli) -> Result<(), (u8, String)> {
    let config = cli.coordinator.into_config().map_err(|error| (9, error.to_string()))?;
    let failed = |error: std::io::Error| (9, format!("cannot wait for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut running = Coordinator::start(config).await.map_err(|error| (code(&error), error.to_string()))?;
    if let Some(join) = running.join_string() {
        // A closed stdout is no reason not to coordinate.
        let mut out = std::io::stdout();
        let _ = writeln!(out, "{join}").and_then(|()| out.flush());
    }
    let stopped = tokio::select! {
        stopped = running.wait() => stopped,
        _ = terminate.recv() => running.shutdown().await,
        _ = interrupt.recv() => running.shutdown().await,
    };
    stopped.map_err(|error| (9, error.to_string()))
}

/// Exit codes as `muster --help` lists them.
fn code(error: &StartError) -> u8 {
    match error {
        _ if system_error(error) == Some(std::io::ErrorKind::PermissionDenied) => 6,
        StartError::Store(_) | StartError::Keys(_) | StartError::Writer(_) | StartError::Ended(_) => 9,
        StartError::Listen(_) | StartError::Http { .. } => 5,
        StartError::NoKeys { .. } | StartError::Advertise(_) | StartError::PageToken(_) => 2,
        StartError::Plugins(_) => 4,
    }
}
