//! `muster-worker`: a worker alone, the same as `muster worker start`.

use clap::Parser;
use muster_proto::logging::{self, Reader};
use muster_worker::{WorkerArgs, WorkerError};
use std::process::ExitCode;

/// As `muster --help` lists it.
const EXIT_USAGE: u8 = 2;

/// Runs tasks for a muster coordinator.
#[derive(Parser)]
#[command(name = "muster-worker", version)]
struct Cli {
    #[command(flatten)]
    args: WorkerArgs,
}

fn main() -> ExitCode {
    muster_worker::run_if_executor();
    let cli = Cli::parse();
    if let Err(error) = logging::init("info", Reader::Operator) {
        eprintln!("error: {error}");
        return ExitCode::from(EXIT_USAGE);
    }
    match start(cli.args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn start(args: WorkerArgs) -> Result<(), WorkerError> {
    let config = args.into_config()?;
    muster_worker::run_blocking(config)
}
