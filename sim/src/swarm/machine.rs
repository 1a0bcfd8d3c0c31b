//! A worker: the real agent, real claim words, and threads that take their time.

use muster_core::agent::Agent;
use muster_core::id::{ExecutorId, JobId, LeaseId};
use muster_core::page::{Claim, ENTRIES, LeaseEntry};
use muster_core::range::IndexRange;
use muster_core::reduce::Block;
use muster_core::time::Time;
use std::collections::BTreeMap;

use super::partial::Partial;

/// A worker's machine.
#[derive(Debug)]
pub(super) struct Machine {
    pub slots: u32,
    /// It may run every job.
    pub fits_all: bool,
    pub agent: Agent,
    pub up: bool,
    /// It has said goodbye and does not come back.
    pub gone: bool,
    /// Which life this is: events of an earlier one are void.
    pub life: u32,
    pub connection: Option<usize>,
    /// Its agent knows of the connection.
    pub attached: bool,
    pub connecting: bool,
    pub paused_until: Time,
    pub cut_up: Time,
    pub cut_down: Time,
    pub pages: BTreeMap<JobId, Page>,
    pub executors: BTreeMap<ExecutorId, Executor>,
    pub threads: Vec<Thread>,
    pub leaves: BTreeMap<JobId, Option<u64>>,
    /// The partial results of combine leases, and whether they make the output.
    pub parts: BTreeMap<LeaseId, (Vec<(Block, Partial)>, bool)>,
    pub agent_due: Time,
    /// The partial result that is being handed to the agent.
    pub handed: Option<Partial>,
}

/// A job's page.
#[derive(Debug)]
pub(super) struct Page {
    pub entries: Vec<LeaseEntry>,
    pub published: BTreeMap<usize, Published>,
    pub allowed: u32,
    pub leaf: Option<u64>,
}

/// What stands in an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Published {
    pub lease: LeaseId,
    pub range: IndexRange,
    pub whole: bool,
}

/// An executor process.
#[derive(Debug)]
pub(super) struct Executor {
    pub ready: bool,
    /// It was told to close its job or to end: it claims no more.
    pub stopping: bool,
    /// It had its job before the worker connected anew: what it hands in is not taken.
    pub outdated: bool,
}

/// A thread of an executor.
#[derive(Debug)]
pub(super) struct Thread {
    pub executor: ExecutorId,
    pub job: JobId,
    pub slot: u32,
    /// Names what it is doing; an event for something earlier is void.
    pub turn: u32,
    pub claim: Option<Claimed>,
}

/// What a thread has.
#[derive(Debug)]
pub(super) struct Claimed {
    pub published: Published,
    pub claim: Claim,
    /// The task in which it ends its executor, or harms the page.
    pub ending: Option<Ending>,
}

/// How a claim ends its executor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub index: u64,
    pub seen: bool,
    pub harm: bool,
}

impl Page {
    pub(super) fn new(leaf: Option<u64>) -> Self {
        Self {
            entries: (0..ENTRIES).map(|_| LeaseEntry::default()).collect(),
            published: BTreeMap::new(),
            allowed: 0,
            leaf,
        }
    }

    /// Nothing stands in it any more, and nobody may claim.
    pub(super) fn renew(&mut self) {
        *self = Self::new(self.leaf);
    }
}

impl Machine {
    pub(super) fn new(slots: u32) -> Self {
        Self {
            slots,
            fits_all: false,
            agent: Agent::new(slots),
            up: true,
            gone: false,
            life: 0,
            connection: None,
            attached: false,
            connecting: false,
            paused_until: Time::ZERO,
            cut_up: Time::ZERO,
            cut_down: Time::ZERO,
            pages: BTreeMap::new(),
            executors: BTreeMap::new(),
            threads: Vec::new(),
            leaves: BTreeMap::new(),
            parts: BTreeMap::new(),
            agent_due: Time(u64::MAX),
            handed: None,
        }
    }

    /// Everything in it is gone.
    pub(super) fn stop(&mut self) {
        let (slots, life, gone) = (self.slots, self.life, self.gone);
        let cuts = (self.cut_up, self.cut_down);
        *self = Self { up: false, life: life + 1, gone, ..Self::new(slots) };
        (self.cut_up, self.cut_down) = cuts;
    }

    /// What the threads of an executor have, by the page.
    pub(super) fn held(&self, executor: ExecutorId) -> Vec<(LeaseId, IndexRange)> {
        let threads = self.threads.iter().filter(|thread| thread.executor == executor);
        threads
            .filter_map(|thread| thread.claim.as_ref())
            .map(|claimed| (claimed.published.lease, claimed.claim.range))
            .collect()
    }

    /// Threads of a job have tasks.
    pub(super) fn is_busy(&self, job: JobId) -> bool {
        self.threads.iter().any(|thread| thread.job == job && thread.claim.is_some())
    }
}
