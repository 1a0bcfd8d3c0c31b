//! Guarantees that a run can take away.

use std::str::FromStr;

/// A guarantee that is taken away, to show that a checker notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// One of the core's.
    Core(muster_core::mutation::Mutation),
    /// The coordinator tells clients before its disk has it.
    CommitBeforeStore,
}

impl Mutation {
    /// Every one, with its name.
    pub const ALL: [(&'static str, Self); 7] = [
        ("no-fencing", Self::Core(muster_core::mutation::Mutation::NoFencing)),
        ("no-duplicate-check", Self::Core(muster_core::mutation::Mutation::NoDuplicateCheck)),
        ("no-heartbeat-timeout", Self::Core(muster_core::mutation::Mutation::NoHeartbeatTimeout)),
        ("lost-callback", Self::Core(muster_core::mutation::Mutation::LostCallback)),
        ("attempts-charged-twice", Self::Core(muster_core::mutation::Mutation::AttemptsChargedTwice)),
        ("credit-leak", Self::Core(muster_core::mutation::Mutation::CreditLeak)),
        ("commit-before-store", Self::CommitBeforeStore),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, other)| *other == self).map_or("", |(name, _)| name)
    }
}

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
