//! A plugin file that was inspected, and tried out in a child process where it is going to run.

use super::error::PluginFailure;
use muster_plugin_host::{Inspection, Manifest, inspect, inspect_any, probe};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long loading may take before a plugin counts as hung.
const PROBE_LIMIT: Duration = Duration::from_secs(10);

/// A plugin file on this machine.
#[derive(Debug)]
pub struct PluginFile {
    path: PathBuf,
    inspection: Inspection,
}

impl PluginFile {
    /// Inspects a file that is to run on this machine; none of its code runs.
    pub fn inspect(path: &Path) -> Result<Self, PluginFailure> {
        let inspection = inspect(path)?;
        Ok(Self { path: path.to_owned(), inspection })
    }

    /// Inspects a file that is to run on some machine.
    pub fn inspect_any(path: &Path) -> Result<Self, PluginFailure> {
        let inspection = inspect_any(path)?;
        Ok(Self { path: path.to_owned(), inspection })
    }

    /// Loads it in a child process: its constructors may abort, hang or exit.
    pub async fn try_out(&self) -> Result<(), PluginFailure> {
        self.try_out_within(PROBE_LIMIT).await
    }

    /// The same, with a limit of its own.
    pub async fn try_out_within(&self, limit: Duration) -> Result<(), PluginFailure> {
        let path = self.path.clone();
        let (sender, outcome) = oneshot::channel();
        // Not one of the runtime's threads: those would be waited for at the end, and the child ends with its thread.
        std::thread::spawn(move || {
            // Nobody may be waiting any more.
            let _ = sender.send(probe(Path::new("/proc/self/exe"), &path, limit));
        });
        outcome.await.map_err(|_| PluginFailure::NotTried { path: self.path.clone() })??;
        Ok(())
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says about itself.
    pub fn inspection(&self) -> &Inspection {
        &self.inspection
    }

    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.inspection.manifest
    }

    /// How messages name it.
    pub fn reference(&self) -> muster_proto::v1::PluginRef {
        muster_proto::v1::PluginRef {
            name: self.manifest().name().to_owned(),
            version: self.manifest().version().to_owned(),
            digest: self.inspection.digest.as_bytes().to_vec().into(),
            size: self.inspection.size,
        }
    }
}
