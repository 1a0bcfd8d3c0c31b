//! Why a worker cannot start or go on.

use crate::cache::CacheError;
use muster_proto::link::{JoinError, LinkError, SecretError};
use std::io;
use std::net::SocketAddr;

/// Why a worker ended.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Nothing says where the coordinator is.
    #[error(
        "which coordinator? give its join string with --join (or MUSTER_JOIN), or its socket with --connect unix:PATH"
    )]
    NoCoordinator,
    /// Nothing says whose code may run.
    #[error(
        "--trust is not given: plugins that come over the network are native code; say which ones this worker loads, for example --trust NAME@VERSION \
         or --trust DIGEST (muster plugin ls --json shows both), or --trust any for all that the coordinator has"
    )]
    NoTrust,
    /// What was given to join with cannot be used.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The token of /metrics cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The coordinator cannot be joined, and trying again would not help.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The coordinator refused this worker.
    #[error("the coordinator refuses this worker: {reason}")]
    Refused {
        /// Its words.
        reason: String,
    },
    /// The plugin folder cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The address for metrics cannot be had.
    #[error("cannot serve metrics on {address}: {source}; choose another --http address, or none")]
    Http {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The machine refused something that every worker needs.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A flag holds something that makes no sense.
    #[error("{flag} {}: {wanted}", .value.escape_debug())]
    Flag {
        /// The flag.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What would do.
        wanted: String,
    },
}
