//! What the plugin gets from its executor.

use super::outbox::Outbox;
use crate::frame::FromExecutor;
use muster_plugin_host::{HostServices, LogLevel};
use std::sync::Arc;

/// Log lines go to the agent as frames.
#[derive(Debug)]
pub(super) struct Services {
    pub outbox: Arc<Outbox>,
}

impl HostServices for Services {
    fn log(&self, _slot: Option<u32>, level: LogLevel, text: &str) {
        let level = match level {
            LogLevel::Error => 1,
            LogLevel::Warn => 2,
            LogLevel::Info => 3,
            LogLevel::Debug => 4,
            LogLevel::Trace => 5,
        };
        self.outbox.send(&FromExecutor::Log { level, text: text.to_owned() });
    }
}
