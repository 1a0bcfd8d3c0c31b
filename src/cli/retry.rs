//! How often tasks are tried again: `--max-attempts`, `--retry` and `--backoff`.

use super::quantity;
use crate::exit::Failure;
use clap::Args;
use muster_proto::v1;
use std::time::Duration;

/// The longest wait before a second attempt.
const BACKOFF_MAX: Duration = Duration::from_secs(86_400);

#[derive(Clone, Debug, Args)]
pub struct RetryArgs {
    /// How often a task is tried before it counts as failed, when it fails for a passing reason or crashes
    #[arg(long, value_name = "N", value_parser = quantity::attempts, default_value = "3", allow_hyphen_values = true)]
    pub max_attempts: u32,
    /// How often a task is tried by why it failed: transient, crash, panic, timeout, memory [default:
    /// transient and crash as --max-attempts says, the others once]
    #[arg(long, value_name = "CLASS=N", value_parser = budget, value_delimiter = ',', allow_hyphen_values = true)]
    pub retry: Vec<Budget>,
    /// The longest wait before a second attempt; doubles with each further one up to 10s [default: 100ms]
    #[arg(long, value_name = "DURATION", value_parser = backoff, allow_hyphen_values = true)]
    pub backoff: Option<Duration>,
}

/// Attempts of one class of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    class: &'static str,
    attempts: u32,
}

const CLASSES: [&str; 5] = ["transient", "crash", "panic", "timeout", "memory"];

impl RetryArgs {
    /// The message.
    pub fn policy(&self) -> Result<v1::RetryPolicy, Failure> {
        let attempts = |class: &str| {
            let mut given = self.retry.iter().filter(|budget| budget.class == class);
            match (given.next(), given.next()) {
                (Some(_), Some(_)) => Err(Failure::usage(format_args!("--retry says {class} twice"))),
                (one, _) => Ok(one.map_or(0, |budget| budget.attempts)),
            }
        };
        let [transient, crashed, panicked, timeout, memory] = CLASSES.map(attempts);
        Ok(v1::RetryPolicy {
            transient: transient?,
            crashed: crashed?,
            panicked: panicked?,
            timeout: timeout?,
            memory: memory?,
            backoff_ms: self.backoff.map_or(0, |wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            backoff_max_ms: 0,
        })
    }
}

fn budget(text: &str) -> Result<Budget, String> {
    let (class, attempts) =
        text.split_once('=').ok_or("attempts are written CLASS=N, for example crash=5")?;
    let class = CLASSES
        .into_iter()
        .find(|known| *known == class)
        .ok_or_else(|| format!("{class:?} is none of {}", CLASSES.join(", ")))?;
    Ok(Budget { class, attempts: quantity::attempts(attempts)? })
}

fn backoff(text: &str) -> Result<Duration, String> {
    let wait = quantity::duration(text)?;
    if (Duration::from_millis(1)..=BACKOFF_MAX).contains(&wait) {
        return Ok(wait);
    }
    Err("must be from 1ms to 24h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_name_a_class_and_a_number() {
        assert_eq!(budget("crash=5"), Ok(Budget { class: "crash", attempts: 5 }));
        for bad in ["crash", "crash=0", "crash=-1", "crash=x", "crashed=2", "=3", "panic=1001"] {
            assert!(budget(bad).is_err(), "{bad}");
        }
        for (text, ms) in [("1ms", Some(1)), ("2s", Some(2_000)), ("0s", None), ("25h", None), ("5", None)] {
            assert_eq!(backoff(text).ok().map(|wait| wait.as_millis()), ms, "{text}");
        }
    }

    #[test]
    fn a_class_is_said_once() {
        let args = |retry: &[&str]| RetryArgs {
            max_attempts: 3,
            retry: retry.iter().map(|text| budget(text).unwrap()).collect(),
            backoff: Some(Duration::from_millis(20)),
        };
        let policy = args(&["crash=5", "memory=2"]).policy().unwrap();
        let expected = v1::RetryPolicy { crashed: 5, memory: 2, backoff_ms: 20, ..Default::default() };
        assert_eq!(policy, expected);
        assert!(args(&["crash=5", "crash=2"]).policy().is_err());
    }
}
