//! The kinds of faults. Each seed enables some of them only: what one kind hides, others show (Groce, Zhang, Eide,
//! Chen and Regehr, "Swarm testing", ISSTA 2012).

use std::fmt;
use std::str::FromStr;

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident = $name:literal,)*) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($(#[$doc])* $fault,)*
        }

        impl Fault {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$fault,)*];

            /// The name in parameters and reports.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$fault => $name,)*
                }
            }
        }
    };
}

faults! {
    /// A message is lost.
    Drop = "drop",
    /// A message comes twice.
    Duplicate = "duplicate",
    /// A message overtakes the one before it.
    Reorder = "reorder",
    /// A connection ends, and both sides notice.
    Reset = "reset",
    /// A worker's machine stops; it may come back with nothing. Sometimes nobody is told.
    CrashWorker = "crash-worker",
    /// A worker's machine stands still, often for longer than a lease, and goes on.
    Pause = "pause",
    /// Nothing gets from a worker to the coordinator for a while.
    CutUp = "cut-up",
    /// Nothing gets from the coordinator to a worker for a while.
    CutDown = "cut-down",
    /// Both.
    Partition = "partition",
    /// An executor dies, and its page says what it was running.
    CrashExecutor = "crash-executor",
    /// An executor dies, and nothing says what it was running.
    CrashUnseen = "crash-unseen",
    /// A plugin writes all over its page.
    LosePage = "lose-page",
    /// What a thread has claimed vanishes from the page.
    ForgetClaim = "forget-claim",
    /// The coordinator ends without what its disk had not got, and starts again.
    CrashCoordinator = "crash-coordinator",
    /// Some tasks end their executor whenever they run, or harm its page.
    Poison = "poison",
    /// Some tasks fail, for now or for good, and so do some combinations.
    FailTask = "fail-task",
    /// A plugin does not load in some executors.
    Trouble = "trouble",
    /// A worker is asked to finish and go.
    Drain = "drain",
    /// A worker comes.
    Join = "join",
    /// A worker tells the coordinator what is not so.
    Lie = "lie",
    /// An executor hands in what it never had.
    MadeUp = "made-up",
}

/// Some kinds of faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults(u32);

impl Faults {
    /// With one kind more.
    #[must_use]
    pub const fn with(self, fault: Fault) -> Self {
        Self(self.0 | 1 << fault as u32)
    }

    /// Without one kind.
    #[must_use]
    pub const fn without(self, fault: Fault) -> Self {
        Self(self.0 & !(1 << fault as u32))
    }

    /// Whether a kind is among them.
    #[must_use]
    pub const fn has(self, fault: Fault) -> bool {
        self.0 & 1 << fault as u32 != 0
    }

    /// Them, in the order of [`Fault::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Fault> {
        Fault::ALL.iter().copied().filter(move |&fault| self.has(fault))
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("none");
        }
        for (at, fault) in self.iter().enumerate() {
            write!(f, "{}{}", if at > 0 { "+" } else { "" }, fault.name())?;
        }
        Ok(())
    }
}

impl FromStr for Faults {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::default());
        }
        text.split('+').try_fold(Self::default(), |faults, name| {
            let fault = Fault::ALL.iter().find(|fault| fault.name() == name);
            fault.map(|&fault| faults.with(fault)).ok_or_else(|| {
                let names: Vec<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
                format!("faults: no kind is called {name:?}; there are {}", names.join(", "))
            })
        })
    }
}

/// How often each kind really struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Struck([u64; Fault::ALL.len()]);

impl Default for Struck {
    fn default() -> Self {
        Self([0; Fault::ALL.len()])
    }
}

impl Struck {
    /// One more of a kind.
    pub const fn count(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    /// How often a kind struck.
    #[must_use]
    pub const fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    /// All together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, more)| *sum += more);
    }
}
