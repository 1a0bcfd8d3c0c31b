//! What a worker keeps from its executors, as it was started and as its kernel can.

use super::kernel::Kernel;
use crate::config::Config;
use crate::error::WorkerError;
use muster_core::sandbox::{Level, Need, Terms};
use muster_proto::link::Target;

/// A worker's terms and what its kernel can.
#[derive(Clone, Debug)]
pub struct Standing {
    /// For jobs.
    pub terms: Terms,
    /// What is behind them.
    pub kernel: Kernel,
}

impl Default for Standing {
    fn default() -> Self {
        Self { terms: Terms::default(), kernel: Kernel { landlock: 0, filters: false } }
    }
}

impl Standing {
    /// That of a worker with these settings, on this machine.
    ///
    /// # Errors
    /// The level that is wanted cannot be kept here.
    pub fn new(config: &Config) -> Result<Self, WorkerError> {
        let kernel = Kernel::here();
        let (level, most) = (config.sandbox.unwrap_or_else(|| usual(&config.target)), kernel.most());
        if level > most {
            return Err(WorkerError::Flag {
                flag: "--sandbox",
                value: level.to_string(),
                wanted: format!(
                    "this machine can keep at most {most}: its kernel has {kernel}, and standard takes landlock 3 (Linux 6.2) and \
                     seccomp, in containers also their permission to use both"
                ),
            });
        }
        config.grants.iter().try_for_each(check)?;
        Ok(Self { terms: Terms { level, most, grants: config.grants.clone() }, kernel })
    }
}

/// A path that is not there cannot be granted: no executor could be started then.
fn check(grant: &Need) -> Result<(), WorkerError> {
    let (Need::Read(path) | Need::Write(path)) = grant else { return Ok(()) };
    std::fs::metadata(path).map(drop).map_err(|error| WorkerError::Flag {
        flag: "--allow",
        value: grant.to_string(),
        wanted: format!("a file or folder that is there is wanted: {error}"),
    })
}

/// Who runs plugins on a cluster of his own trusts them as any program. Over the network come those of others: what was
/// never meant for plugins is kept from them, and what they do by themselves goes on.
const fn usual(target: &Target) -> Level {
    match target {
        Target::Unix(_) => Level::None,
        Target::Tls { .. } | Target::Plain { .. } => Level::Limits,
    }
}
