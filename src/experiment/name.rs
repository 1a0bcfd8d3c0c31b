//! The experiments by their names.

use super::claim::{Claim, Evidence};
use super::workloads::Workloads;
use super::{
    Findings, Setting, cpu, exchange, gil, hybrid, interruption, io, isolation, lifecycle, memory, mixed,
    overhead, python, shared, switching,
};
use crate::compare::Group;
use crate::exit::Outcome;
use crate::interrupt::Interrupt;
use clap::ValueEnum;

/// An experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// Computing, with and without an interpreter lock
    Cpu,
    /// How much an interpreter lock costs, by what is outside of it and by how often it changes hands
    Gil,
    /// Waiting, fetching and writing, by how much of it goes on at the same time
    Io,
    /// Computing and waiting, by the share of each
    Mixed,
    /// A counter that tasks share, in all its forms
    Shared,
    /// Passing messages, by what carries them and by their size
    Exchange,
    /// Processes with threads in them: every P x T
    Hybrid,
    /// Starts and ends of threads, processes, executors and spawned tasks
    Lifecycle,
    /// Context switches by what passes the turn, and more threads or processes than processors
    Switch,
    /// Memory of each model, and of a table that several read
    Memory,
    /// What a fault costs under each model
    Isolate,
    /// How fast running tasks stop
    Interrupt,
    /// What muster itself costs, by the size of a task
    Overhead,
}

impl Name {
    /// As people type it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Gil => "gil",
            Self::Io => "io",
            Self::Mixed => "mixed",
            Self::Shared => "shared",
            Self::Exchange => "exchange",
            Self::Hybrid => "hybrid",
            Self::Lifecycle => "lifecycle",
            Self::Switch => "switch",
            Self::Memory => "memory",
            Self::Isolate => "isolate",
            Self::Interrupt => "interrupt",
            Self::Overhead => "overhead",
        }
    }

    /// Whether it compares times of a workload; else it measures something else by itself.
    pub const fn is_of_times(self) -> bool {
        match self {
            Self::Cpu | Self::Gil | Self::Io | Self::Mixed | Self::Shared | Self::Exchange | Self::Hybrid => {
                true
            }
            Self::Lifecycle
            | Self::Switch
            | Self::Memory
            | Self::Isolate
            | Self::Interrupt
            | Self::Overhead => false,
        }
    }

    /// Whether it has something to ask CPython.
    pub const fn has_python(self) -> bool {
        matches!(self, Self::Cpu | Self::Gil | Self::Io | Self::Shared | Self::Hybrid)
    }

    /// Measures what is no time of a workload.
    pub async fn find(
        self,
        setting: &Setting,
        interrupt: &mut Interrupt,
        findings: &mut Findings,
    ) -> Outcome<()> {
        match self {
            Self::Lifecycle => lifecycle::run(setting, interrupt, findings).await,
            Self::Switch => switching::run(setting, interrupt, findings).await,
            Self::Memory => memory::run(setting, interrupt, findings).await,
            Self::Isolate => Box::pin(isolation::run(setting, interrupt, findings)).await,
            Self::Interrupt => Box::pin(interruption::run(setting, interrupt, findings)).await,
            Self::Overhead => overhead::run(setting, interrupt, findings).await,
            Self::Cpu | Self::Gil | Self::Io | Self::Mixed | Self::Shared | Self::Exchange | Self::Hybrid => {
                Ok(())
            }
        }
    }

    /// What is compared. `slots`: of each model, unless the experiment is about their number; `python`: in CPython, too.
    pub async fn groups(self, slots: u32, python: bool, with: &mut Workloads<'_>) -> Outcome<Vec<Group>> {
        // What it has nothing to ask is said before anything is built.
        let beside = if python { python::groups(self, slots, with).await? } else { Vec::new() };
        let mut groups = self.own_groups(slots, with).await?;
        groups.extend(beside);
        Ok(groups)
    }

    pub(super) async fn own_groups(self, slots: u32, with: &mut Workloads<'_>) -> Outcome<Vec<Group>> {
        match self {
            Self::Cpu => cpu::groups(slots, with).await,
            Self::Gil => gil::groups(slots, with).await,
            Self::Io => io::groups(with).await,
            Self::Mixed => mixed::groups(slots, with).await,
            Self::Shared => shared::groups(slots, with).await,
            Self::Exchange => exchange::groups(with).await,
            Self::Hybrid => hybrid::groups(with).await,
            Self::Lifecycle
            | Self::Switch
            | Self::Memory
            | Self::Isolate
            | Self::Interrupt
            | Self::Overhead => Ok(Vec::new()),
        }
    }

    /// What became of the claims that it is about.
    pub fn claims(self, slots: u32, python: bool, evidence: Evidence<'_>) -> Vec<Claim> {
        let mut claims = self.own_claims(slots, evidence);
        claims.extend(if python { python::claims(self, slots, evidence) } else { Vec::new() });
        claims
    }

    pub(super) fn own_claims(self, slots: u32, evidence: Evidence<'_>) -> Vec<Claim> {
        match self {
            Self::Cpu => cpu::claims(slots, evidence),
            Self::Gil => gil::claims(slots, evidence),
            Self::Io => io::claims(evidence),
            Self::Mixed => mixed::claims(slots, evidence),
            Self::Shared => shared::claims(slots, evidence),
            Self::Exchange => exchange::claims(evidence),
            Self::Hybrid => hybrid::claims(evidence),
            Self::Lifecycle
            | Self::Switch
            | Self::Memory
            | Self::Isolate
            | Self::Interrupt
            | Self::Overhead => Vec::new(),
        }
    }
}
