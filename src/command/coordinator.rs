//! `muster coordinator`.

use crate::cli::CoordinatorCommand;
use crate::exit::Outcome;
use crate::service;

/// Does what a `coordinator` command says.
pub fn coordinator(command: CoordinatorCommand) -> Outcome {
    match command {
        CoordinatorCommand::Start(args) => service::coordinator(*args),
    }
}
