//! Guarantees that can be taken away on purpose, so that tests of the simulation show that they would notice.
//!
//! Only builds with the feature `mutations` can do so, and nothing but those tests has it. In every other build
//! [`Broken`] is empty and its answer is a constant: the places that ask cost nothing.

/// A guarantee that is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(not(feature = "mutations"), allow(dead_code))]
pub enum Mutation {
    /// A result counts although its lease is not in force: it is taken for whatever lease has the tasks now.
    NoFencing,
    /// A result that was given before counts again.
    NoDuplicateCheck,
    /// Silent workers keep their leases.
    NoHeartbeatTimeout,
    /// What a worker gives back is not heard.
    LostCallback,
    /// A failure is charged twice to its task.
    AttemptsChargedTwice,
    /// Tasks of a lease that was lost keep their attempt.
    AttemptsStandStill,
    /// Committed tasks go on counting in their worker's credit.
    CreditLeak,
    /// A task that ended under one of its two leases goes on under the other.
    SecondLeaseStays,
    /// Overdue or not, every lease gets a second one.
    SecondLeaseAtOnce,
    /// A second lease waits for the least patience only, however long the first should take.
    SecondLeaseEarly,
    /// One lease of a pair goes on being one when the other has ended.
    PairRemembered,
    /// A place in the log is given again and again.
    PlaceGivenTwice,
    /// Holding a job has no effect.
    HoldUnheard,
    /// A task is tried again at once.
    BackoffIgnored,
    /// A class of failures has the budget of all of them together.
    ClassBudgetIgnored,
    /// However many attempts of a job crash, it goes on.
    CrashesUncounted,
    /// A job is said to be paused and goes on.
    PauseUnheard,
    /// Whoever must not run a job gets it all the same.
    UnfitUnheard,
    /// A worker that is to finish goes on as before.
    DrainUnheard,
    /// A worker is said to have drained while it has leases.
    DrainedEarly,
    /// The oldest job is served whatever its rank.
    RankIgnored,
    /// Leases take nothing of their worker's credit in time.
    CreditUncounted,
    /// The place of a lease that ended is not used again.
    LeasePlaceLost,
    /// An agent hands on what nothing is owed of.
    NothingRefused,
    /// An agent keeps leases that nothing is owed of.
    LeaseKept,
}

/// What is taken away from one scheduler or agent, and how often that made a difference.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Broken {
    #[cfg(feature = "mutations")]
    mutation: Option<Mutation>,
    #[cfg(feature = "mutations")]
    strikes: u64,
}

#[cfg(feature = "mutations")]
impl Broken {
    pub(crate) const fn new(mutation: Mutation) -> Self {
        Self { mutation: Some(mutation), strikes: 0 }
    }

    /// Whether this guarantee is taken away. Asked only where it would have made a difference, and counted.
    pub(crate) fn strikes(&mut self, mutation: Mutation) -> bool {
        let struck = self.mutation == Some(mutation);
        self.strikes += u64::from(struck);
        struck
    }

    pub(crate) fn is(self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    pub(crate) const fn count(self) -> u64 {
        self.strikes
    }
}

#[cfg(not(feature = "mutations"))]
impl Broken {
    #[inline(always)]
    #[allow(clippy::unused_self)]
    pub(crate) const fn strikes(&mut self, _mutation: Mutation) -> bool {
        false
    }
}
