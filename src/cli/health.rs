//! `muster health`.

use super::quantity::{address, duration};
use clap::Args;
use std::time::Duration;

/// Whom to ask.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// The HTTP port of a coordinator or a worker
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7078", value_parser = address)]
    pub http: String,
    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub timeout: Duration,
}
