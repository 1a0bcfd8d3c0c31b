//! The experiments by their names.

use super::claim::{Claim, Evidence};
use super::workloads::Workloads;
use super::{cpu, exchange, gil, hybrid, io, mixed, python, shared};
use crate::compare::Group;
use crate::exit::Outcome;
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

    async fn own_groups(self, slots: u32, with: &mut Workloads<'_>) -> Outcome<Vec<Group>> {
        match self {
            Self::Cpu => cpu::groups(slots, with).await,
            Self::Gil => gil::groups(slots, with).await,
            Self::Io => io::groups(with).await,
            Self::Mixed => mixed::groups(slots, with).await,
            Self::Shared => shared::groups(slots, with).await,
            Self::Exchange => exchange::groups(with).await,
            Self::Hybrid => hybrid::groups(with).await,
        }
    }

    /// What became of the claims that it is about.
    pub fn claims(self, slots: u32, python: bool, evidence: Evidence<'_>) -> Vec<Claim> {
        let mut claims = self.own_claims(slots, evidence);
        claims.extend(if python { python::claims(self, slots, evidence) } else { Vec::new() });
        claims
    }

    fn own_claims(self, slots: u32, evidence: Evidence<'_>) -> Vec<Claim> {
        match self {
            Self::Cpu => cpu::claims(slots, evidence),
            Self::Gil => gil::claims(slots, evidence),
            Self::Io => io::claims(evidence),
            Self::Mixed => mixed::claims(slots, evidence),
            Self::Shared => shared::claims(slots, evidence),
            Self::Exchange => exchange::claims(evidence),
            Self::Hybrid => hybrid::claims(evidence),
        }
    }
}
