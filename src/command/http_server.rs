//! `muster http-server`.

use crate::cli::HttpServerArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::http_server::{Address, Latency, listen, serve};
use crate::interrupt::Interrupt;
use crate::terminal;

/// Serves until a signal ends it, which is the way it is meant to end.
pub async fn http_server(args: &HttpServerArgs) -> Outcome {
    let mut interrupt = Interrupt::listen()?;
    muster_coordinator::raise_file_limit();
    let HttpServerArgs { host, port, allow_remote, .. } = *args;
    let listener = listen(Address { host, port, allow_remote })?;
    let address = listener.local_addr().map_err(|error| Failure::caused(Exit::Connection, &error))?;
    super::printed(terminal::print(format_args!("http://{address}")))?;
    let latency = Latency::new(args.latency.clone(), args.seed);
    let connections =
        args.connections.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
    let conversations = tokio::task::LocalSet::new();
    tokio::select! {
        () = conversations.run_until(serve(listener, latency, connections)) => {}
        _ = interrupt.next() => {}
    }
    Ok(Exit::Ok)
}
