//! What each command does.

mod bench;
mod compare;
mod conformance;
mod coordinator;
mod diff;
mod doctor;
mod emulate;
mod export;
mod grafana;
mod health;
mod http_server;
mod job;
mod logs;
mod plugin;
mod push;
mod replay;
mod report;
mod run;
mod runs;
mod simulate;
mod state;
mod submit;
mod token;
mod trace;
mod up;
mod why;
mod worker;

pub use push::push;
pub use worker::up_workers;

use crate::cli::{BenchCommand, Cli, Command};
use crate::exit::{Exit, Failure, Outcome};
use clap::CommandFactory as _;

/// Does what the command line says.
pub fn execute(cli: Cli) -> Outcome {
    match cli.command {
        Command::Run(args) => block_on(run::run(&args)),
        Command::Compare(args) => block_on(compare::compare(&args)),
        Command::Tour(args) => block_on(compare::tour(&args)),
        Command::Doctor { strict, view } => block_on(doctor::doctor(&view, strict)),
        Command::Runs(command) => runs::runs(command),
        Command::Diff(args) => diff::diff(&args),
        Command::Report(args) => report::report(&args),
        Command::Export(args) => export::export(&args),
        Command::Trace(args) => block_on(trace::trace(&args)),
        Command::Up(args) => block_on(up::up(&args)),
        Command::Down(args) => block_on(up::down(&args)),
        Command::Submit(args) => block_on(submit::submit(&args)),
        Command::Job(command) => block_on(job::job(command)),
        Command::Worker(command) => worker::worker(command),
        Command::Token(command) => block_on(token::token(command)),
        Command::State(command) => state::state(command),
        Command::Coordinator(command) => coordinator::coordinator(command),
        Command::Emulate(args) => block_on(emulate::emulate(&args)),
        Command::Plugin(command) => block_on(plugin::plugin(command)),
        Command::Simulate(args) => block_on(simulate::simulate(*args)),
        Command::Health(args) => block_on(health::health(&args)),
        Command::Grafana(command) => grafana::grafana(command),
        Command::Bench(BenchCommand::Overhead(args)) => block_on(bench::overhead(&args)),
        Command::HttpServer(args) => block_on(http_server::http_server(&args)),
        Command::Completions { shell } => completions(shell),
    }
}

/// Runs a client's side on this thread: it is one connection that mostly waits.
fn block_on<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::new(Exit::Limit, format_args!("cannot start: {error}")))?;
    runtime.block_on(Box::pin(work))
}

/// Nobody reads stdout any more: that is fine.
fn printed(result: std::io::Result<()>) -> Outcome {
    match result {
        Ok(()) => Ok(Exit::Ok),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Exit::Ok),
        Err(error) => Err(Failure::io(Exit::Storage, "write", std::path::Path::new("stdout"), &error)),
    }
}

fn completions(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "muster", &mut script);
    use std::io::Write as _;
    printed(std::io::stdout().lock().write_all(&script))
}
