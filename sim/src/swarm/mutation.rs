//! Guarantees that a run can take away, in builds with the feature `mutations`.

#[cfg(feature = "mutations")]
use muster_core::mutation::Mutation as Core;
#[cfg(feature = "mutations")]
use std::str::FromStr;

/// A guarantee that the shells around scheduler and agents give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// The coordinator tells clients before its disk has it.
    CommitBeforeStore,
    /// Nobody tells an agent that nothing moves.
    NoQuiet,
    /// Executors combine partial results in another order.
    PartsSwapped,
}

/// A guarantee that is taken away, to show that a checker notices.
#[cfg(feature = "mutations")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// One of the core's.
    Core(Core),
    /// One of the shells'.
    Shell(Shell),
}

#[cfg(feature = "mutations")]
impl Mutation {
    /// Every one, with its name.
    pub const ALL: [(&'static str, Self); 28] = [
        ("no-fencing", Self::Core(Core::NoFencing)),
        ("no-duplicate-check", Self::Core(Core::NoDuplicateCheck)),
        ("no-heartbeat-timeout", Self::Core(Core::NoHeartbeatTimeout)),
        ("lost-callback", Self::Core(Core::LostCallback)),
        ("attempts-charged-twice", Self::Core(Core::AttemptsChargedTwice)),
        ("attempts-stand-still", Self::Core(Core::AttemptsStandStill)),
        ("credit-leak", Self::Core(Core::CreditLeak)),
        ("second-lease-stays", Self::Core(Core::SecondLeaseStays)),
        ("second-lease-at-once", Self::Core(Core::SecondLeaseAtOnce)),
        ("second-lease-early", Self::Core(Core::SecondLeaseEarly)),
        ("pair-remembered", Self::Core(Core::PairRemembered)),
        ("place-given-twice", Self::Core(Core::PlaceGivenTwice)),
        ("hold-unheard", Self::Core(Core::HoldUnheard)),
        ("backoff-ignored", Self::Core(Core::BackoffIgnored)),
        ("class-budget-ignored", Self::Core(Core::ClassBudgetIgnored)),
        ("crashes-uncounted", Self::Core(Core::CrashesUncounted)),
        ("pause-unheard", Self::Core(Core::PauseUnheard)),
        ("unfit-unheard", Self::Core(Core::UnfitUnheard)),
        ("drain-unheard", Self::Core(Core::DrainUnheard)),
        ("drained-early", Self::Core(Core::DrainedEarly)),
        ("rank-ignored", Self::Core(Core::RankIgnored)),
        ("credit-uncounted", Self::Core(Core::CreditUncounted)),
        ("lease-place-lost", Self::Core(Core::LeasePlaceLost)),
        ("nothing-refused", Self::Core(Core::NothingRefused)),
        ("lease-kept", Self::Core(Core::LeaseKept)),
        ("commit-before-store", Self::Shell(Shell::CommitBeforeStore)),
        ("no-quiet", Self::Shell(Shell::NoQuiet)),
        ("parts-swapped", Self::Shell(Shell::PartsSwapped)),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, other)| *other == self).map_or("", |(name, _)| name)
    }
}

#[cfg(feature = "mutations")]
impl FromStr for Mutation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(name, _)| *name == text);
        found.map(|(_, mutation)| *mutation).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|(name, _)| *name).collect();
            format!("no mutation is called {text:?}; there are {}", names.join(", "))
        })
    }
}
