//! What the executors of a job may use, and by what that is kept here.

use super::driver::Driver;
use crate::cache::PluginFile;
use crate::os::cgroup::{Bounds, Cgroups};
use crate::sandbox::{ABI_SCOPES, Sandbox, Standing};
use crate::spawner::Confinement;
use muster_core::quantity::size_text;
use muster_core::sandbox::{Level, Unkept};
use muster_proto::convert::JobOpen;
use std::sync::Arc;

/// What helps a worker that may not make control groups.
const DELEGATE: &str = "run the worker where it may make control groups (as root, or systemd: Delegate=yes)";

/// The bounds of each executor of a job.
pub(super) const fn bounds(open: &JobOpen) -> Bounds {
    let limits = &open.limits;
    Bounds { memory_bytes: limits.memory_bytes, open_files: limits.open_files, processes: limits.processes }
}

impl Driver {
    /// How executors of a job are kept to its limits, and what its user should know of that.
    ///
    /// # Errors
    /// A limit that cannot be kept here, in words.
    pub fn confinement(
        &mut self,
        open: &JobOpen,
        plugin: &PluginFile,
    ) -> Result<(Confinement, Option<String>), String> {
        self.check_trust(&plugin.name, &plugin.version, &plugin.digest)?;
        let sandbox = Arc::new(self.sandbox(open, plugin)?);
        let bounds = bounds(open);
        if bounds.memory_bytes.is_none() && bounds.processes.is_none() {
            return Ok((Confinement { bounds, sandbox, ..Confinement::default() }, None));
        }
        let cgroups = self.cgroups.get_or_insert_with(|| Arc::new(Cgroups::find()));
        if cgroups.memory().is_ok() || cgroups.pids().is_ok() {
            self.metrics.set_cgroups();
        }
        if let Some(processes) = bounds.processes {
            let threads = open.shape.threads;
            if processes <= threads {
                return Err(format!(
                    "--procs {processes} leaves no room for the executor itself, which has {threads} task threads and one more"
                ));
            }
            cgroups.pids().map_err(|why| {
                format!(
                    "--procs {processes} cannot be kept by this worker: {why}; leave it out, or {DELEGATE}"
                )
            })?;
        }
        let notice = bounds.memory_bytes.map(|bytes| {
            let limit = size_text(bytes);
            match cgroups.memory() {
                Ok(version) => format!("memory limit {limit} per executor: by cgroup v{version}"),
                Err(why) => format!(
                    "memory limit {limit} per executor: by rlimit (RLIMIT_DATA, each process by itself), because no \
                     cgroup can be used: {why}"
                ),
            }
        });
        let cgroups = Some(Arc::clone(cgroups));
        Ok((Confinement { bounds, cgroups, sandbox, scratch: None }, notice))
    }

    /// Whether a plugin is loaded here.
    ///
    /// # Errors
    /// It is not listed, in words.
    pub fn check_trust(&self, name: &str, version: &str, digest: &[u8; 32]) -> Result<(), String> {
        self.config.trust.why_not(name, version, digest, "this worker").map_or(Ok(()), Err)
    }

    /// What executors of a job are kept from.
    ///
    /// # Errors
    /// The job asks for more than can be kept here, or its plugin needs what is not granted, in words.
    fn sandbox(&self, open: &JobOpen, plugin: &PluginFile) -> Result<Sandbox, String> {
        let Standing { terms, kernel } = &self.standing;
        let told = |unkept: Unkept| unkept.text(&plugin.name, "this worker");
        let level = terms.level_for(open.sandbox, &plugin.needs).map_err(told)?;
        let sandbox = Sandbox::new(level, &plugin.needs, &terms.grants);
        if level == Level::Standard && sandbox.exec && !kernel.holds_programs() {
            return Err(format!(
                "plugin {} needs exec, and this worker's kernel ({kernel}) cannot keep --sandbox standard from programs that a \
                 plugin starts: that takes landlock {ABI_SCOPES}, Linux 6.12; use another machine or --sandbox limits",
                plugin.name
            ));
        }
        Ok(sandbox)
    }
}
