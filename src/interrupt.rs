//! Ctrl-C, SIGTERM and SIGHUP: the first one asks politely, the second one ends everything at once.

use crate::exit::{Exit, Failure, Outcome};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask a command to end.
pub struct Interrupt {
    signals: [Signal; 3],
}

impl Interrupt {
    /// Listens from now on.
    pub fn listen() -> Result<Self, Failure> {
        let one = |kind| signal(kind).map_err(|error| Failure::new(Exit::Limit, error));
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds;
        Ok(Self { signals: [one(interrupt)?, one(terminate)?, one(hangup)?] })
    }

    /// What comes of `work`, unless a signal comes first.
    pub async fn or<T>(&mut self, work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
        tokio::select! {
            outcome = work => outcome,
            signal = self.next() => Err(Failure::new(Exit::Interrupted, format_args!("cancelled by {signal}"))),
        }
    }

    /// Waits for the next one and gives its name.
    pub async fn next(&mut self) -> &'static str {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => "Ctrl-C",
            _ = terminate.recv() => "SIGTERM",
            _ = hangup.recv() => "SIGHUP",
        }
    }
}
