//! Policies as people write them: words joined by `+`, such as `priority+guided+speculation`.

use crate::page::LEASE_TASKS_MAX;
use crate::quantity::duration;
use crate::spelling::nearest;
use crate::time::Span;
use alloc::borrow::ToOwned as _;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// The parts of a policy. As text, the words of its parts joined by `+`, in any order: `fifo`, `fair`, `priority` or
/// `random`; `fixed:N`, `guided`, `factoring` or `adaptive[:TIME]`; `speculation`. What is not said is as in the
/// default, `fair+adaptive`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySpec {
    /// Whose turn it is.
    pub order: Order,
    /// How long leases are.
    pub chunking: Chunking,
    /// Whether, and when, a task gets a second lease.
    pub speculation: Option<Speculation>,
}

/// Which of the jobs that could be served goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The oldest, until nothing of it is left to lease out.
    Fifo,
    /// The one of the highest priority; of those the one that was given the least for its weight; then the oldest.
    #[default]
    Fair,
    /// The one of the highest priority, then the oldest. Weights count for nothing.
    Priority,
    /// Any, with the same chance, whatever its age, priority and weight.
    Random,
}

/// How long a lease is. P is the number of slots of all workers; a worker of several slots takes as many chunks at
/// once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunking {
    /// Always so many tasks.
    Fixed(u64),
    /// A P-th of what is left: Polychronopoulos and Kuck, "Guided self-scheduling: a practical scheduling scheme for
    /// parallel supercomputers", IEEE Transactions on Computers C-36(12), 1987.
    Guided,
    /// In batches: half of what is left, in P chunks of the same length. Hummel, Schonberg and Flynn, "Factoring: a
    /// method for scheduling parallel loops", CACM 35(8), 1992.
    Factoring,
    /// As many tasks as fill `target` on every slot of the worker, by the measured task time, and near the end of the
    /// job at most half of what is left, divided by all slots.
    Adaptive {
        /// The time a lease should last.
        target: Span,
    },
}

/// When a task is leased a second time: nothing is ready, a slot is free, and the lease is out for `factor` times as
/// long as it should take, but at least `wait_min`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speculation {
    /// How many times the time that the lease should take by the measured task time.
    pub factor: u32,
    /// Nothing younger gets a second lease.
    pub wait_min: Span,
}

impl Chunking {
    /// The length of adaptive leases unless something else is said.
    pub const TARGET: Span = Span::from_millis(100);
    /// The shortest and the longest adaptive lease that text can ask for.
    const TARGETS: [Span; 2] = [Span::from_millis(1), Span::from_millis(60_000)];
}

impl Default for Chunking {
    fn default() -> Self {
        Self::Adaptive { target: Self::TARGET }
    }
}

impl Default for Speculation {
    fn default() -> Self {
        Self { factor: 2, wait_min: Span::from_millis(100) }
    }
}

impl fmt::Display for PolicySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.order {
            Order::Fifo => "fifo",
            Order::Fair => "fair",
            Order::Priority => "priority",
            Order::Random => "random",
        })?;
        match self.chunking {
            Chunking::Fixed(tasks) => write!(f, "+fixed:{tasks}")?,
            Chunking::Guided => f.write_str("+guided")?,
            Chunking::Factoring => f.write_str("+factoring")?,
            Chunking::Adaptive { target: Chunking::TARGET } => f.write_str("+adaptive")?,
            Chunking::Adaptive { target } => {
                let (unit, length) =
                    UNITS.into_iter().find(|(_, length)| target.0 % length == 0).unwrap_or(("ns", 1));
                write!(f, "+adaptive:{}{unit}", target.0 / length)?;
            }
        }
        f.write_str(if self.speculation.is_some() { "+speculation" } else { "" })
    }
}

impl FromStr for PolicySpec {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let (mut order, mut chunking, mut speculation) = (None, None, None);
        for word in text.split('+').map(str::trim) {
            match Part::parse(word)? {
                Part::Order(part) => once(&mut order, word, part)?,
                Part::Chunking(part) => once(&mut chunking, word, part)?,
                Part::Speculation(part) => once(&mut speculation, word, part)?,
            }
        }
        Ok(Self {
            order: order.map(|(_, part)| part).unwrap_or_default(),
            chunking: chunking.map(|(_, part)| part).unwrap_or_default(),
            speculation: speculation.map(|(_, part)| part),
        })
    }
}

/// Why a text is no policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyError {
    /// No word of policies is spelled so.
    Unknown {
        /// The word.
        word: String,
        /// The word that was meant, most likely.
        nearest: Option<&'static str>,
    },
    /// Two words say the same thing, or contradict each other.
    Repeated {
        /// The first.
        first: String,
        /// The second.
        second: String,
    },
    /// A word has a value that it cannot have, or lacks one.
    Value {
        /// The word with its value.
        word: String,
        /// What it could be.
        expected: &'static str,
    },
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { word, nearest } => {
                write!(f, "no policy has the word {word:?}")?;
                match nearest {
                    Some(nearest) => write!(f, ", did you mean {nearest}?")?,
                    None => write!(f, ".")?,
                }
                write!(f, " Words, joined by +: {FORMS}")
            }
            Self::Repeated { first, second } => {
                write!(f, "{first} and {second} are of the same kind; give one of them")
            }
            Self::Value { word, expected } => write!(f, "{word:?} is not {expected}"),
        }
    }
}

impl core::error::Error for PolicyError {}

/// The words as help shows them.
const FORMS: &str =
    "fifo, fair, priority or random; fixed:N, guided, factoring or adaptive[:TIME]; speculation";
const WORDS: [&str; 9] =
    ["fifo", "fair", "priority", "random", "fixed", "guided", "factoring", "adaptive", "speculation"];
/// Units in which times are shown, the longest first.
const UNITS: [(&str, u64); 4] = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];

/// What one word says.
enum Part {
    Order(Order),
    Chunking(Chunking),
    Speculation(Speculation),
}

impl Part {
    fn parse(word: &str) -> Result<Self, PolicyError> {
        let (name, value) = word.split_once(':').map_or((word, None), |(name, value)| (name, Some(value)));
        let wrong = |expected| PolicyError::Value { word: word.to_owned(), expected };
        let part = match name {
            "fifo" => Self::Order(Order::Fifo),
            "fair" => Self::Order(Order::Fair),
            "priority" => Self::Order(Order::Priority),
            "random" => Self::Order(Order::Random),
            "guided" => Self::Chunking(Chunking::Guided),
            "factoring" => Self::Chunking(Chunking::Factoring),
            "speculation" => Self::Speculation(Speculation::default()),
            "fixed" => {
                let tasks = value.and_then(|value| value.parse().ok());
                let tasks = tasks.filter(|tasks| (1..=LEASE_TASKS_MAX).contains(tasks));
                return tasks
                    .map(|tasks| Self::Chunking(Chunking::Fixed(tasks)))
                    .ok_or(wrong("fixed:N with N from 1 to 16777215"));
            }
            "adaptive" => {
                let [least, most] = Chunking::TARGETS;
                let target = value.map_or(Some(Chunking::TARGET), |value| duration(value).ok());
                return target
                    .filter(|target| (least..=most).contains(target))
                    .map(|target| Self::Chunking(Chunking::Adaptive { target }))
                    .ok_or(wrong("adaptive:TIME with TIME from 1ms to 60s"));
            }
            _ => return Err(PolicyError::Unknown { word: word.to_owned(), nearest: nearest(name, WORDS) }),
        };
        if value.is_some() {
            return Err(wrong("a word of policies; it takes no value"));
        }
        Ok(part)
    }
}

fn once<'a, T>(place: &mut Option<(&'a str, T)>, word: &'a str, part: T) -> Result<(), PolicyError> {
    match place {
        Some((first, _)) => {
            Err(PolicyError::Repeated { first: (*first).to_owned(), second: word.to_owned() })
        }
        None => {
            *place = Some((word, part));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    fn parsed(text: &str) -> PolicySpec {
        text.parse().unwrap()
    }

    fn refused(text: &str) -> String {
        text.parse::<PolicySpec>().unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        assert_eq!(PolicySpec::default().to_string(), "fair+adaptive");
        for (text, full) in [
            ("fifo", "fifo+adaptive"),
            ("guided", "fair+guided"),
            ("speculation", "fair+adaptive+speculation"),
            ("speculation + fixed:12 + priority", "priority+fixed:12+speculation"),
            ("adaptive:100ms", "fair+adaptive"),
            ("random+adaptive:2500us", "random+adaptive:2500us"),
            ("adaptive:2000ms", "fair+adaptive:2s"),
        ] {
            assert_eq!(parsed(text).to_string(), full);
            assert_eq!(parsed(full), parsed(text));
        }
    }

    #[test]
    fn misspelled_words_are_recognized() {
        for (text, meant) in [
            ("fair+guidd", Some("guided")),
            ("FIFO", Some("fifo")),
            ("priorty", Some("priority")),
            ("factorng+fair", Some("factoring")),
            ("lifo", Some("fifo")),
            ("shortest-first", None),
            ("", None),
            ("fair+", None),
        ] {
            let error = text.parse::<PolicySpec>().unwrap_err();
            assert!(matches!(error, PolicyError::Unknown { nearest, .. } if nearest == meant), "{error}");
            assert!(error.to_string().contains("fifo, fair, priority or random;"), "{error}");
        }
        assert!(refused("x").starts_with("no policy has the word \"x\". Words, joined by +: fifo"));
        let error = refused("fiar");
        assert!(error.starts_with("no policy has the word \"fiar\", did you mean fair? Words"), "{error}");
    }

    #[test]
    fn a_kind_is_said_once() {
        assert_eq!(refused("fifo+fair"), "fifo and fair are of the same kind; give one of them");
        for text in ["fixed:1+guided", "fair+fair", "speculation+fifo+speculation"] {
            assert!(refused(text).contains("same kind"), "{text}");
        }
    }

    #[test]
    fn values_are_checked() {
        for text in ["fixed", "fixed:", "fixed:0", "fixed:x", "fixed:16777216", "fixed:-1"] {
            assert!(refused(text).contains("is not fixed:N with N from 1 to 16777215"), "{text}");
        }
        for text in ["adaptive:", "adaptive:5", "adaptive:ms", "adaptive:0s", "adaptive:2min", "adaptive:61s"]
        {
            assert!(refused(text).contains("from 1ms to 60s"), "{text}: {}", refused(text));
        }
        assert!(refused("adaptive:99999999999999999999s").contains("from 1ms to 60s"));
        assert!(refused("fifo:3").contains("takes no value"));
        assert_eq!(LEASE_TASKS_MAX, 16_777_215, "the message names it");
    }
}
