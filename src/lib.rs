//! The `muster` command: the only place that knows coordinator, worker and plugins alike.
//!
//! The binary is [`main`]; [`emulation`], [`statistics`] and [`trace`] are there for it and for tests. The rest parses, asks, shows
//! and starts processes. It never schedules and never loads a plugin: those happen in the coordinator and in executors,
//! also when they are this binary again, and in the child that a debugger holds ([`replay`]).
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cli;
pub mod exit;
mod shell;
mod terminal;

mod bench;
mod cluster;
mod command;
mod compare;
mod conformance;
pub mod emulation;
mod experiment;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod grafana;
mod http_server;
mod input;
pub mod interrupt;
mod job;
mod kept;
mod leftover;
mod output;
mod plugin;
mod postmortem;
mod replay;
mod report;
mod reports;
mod service;
mod simulation;
pub mod statistics;
mod summary;
mod timeline;
pub mod trace;
mod trial;

use std::process::ExitCode;

/// Does what the command line says, or is an executor when that says so.
pub fn main() -> ExitCode {
    muster_worker::run_if_executor();
    conformance::run_if_inside();
    experiment::run_if_bare();
    if let Some(code) = replay::run_if_direct() {
        return code;
    }
    let (_held, arguments) = experiment::hold(std::env::args_os());
    let outcome = match cli::parse(arguments) {
        Ok(Some(cli)) => command::execute(cli),
        Ok(None) => Ok(exit::Exit::Ok),
        Err(failure) => Err(failure),
    };
    let exit = outcome.unwrap_or_else(|failure| {
        if failure.exit != exit::Exit::Ok {
            terminal::note(&failure);
        }
        failure.exit
    });
    ExitCode::from(exit as u8)
}
