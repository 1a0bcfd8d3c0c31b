//! How long every answer takes beside what its path asks for.

use muster_core::quantity;
use muster_core::random::Stream;
use muster_core::time::Span;
use muster_sim::scenario::TaskTime;
use muster_sim::time_model;
use std::time::Duration;

const FORMS: &str = "write const:100ms, uniform:50ms..150ms, exp:100ms (its mean) or lognormal:100ms,0.5 (its median, and \
     the deviation of the logarithm)";
/// A larger deviation of the logarithm makes waits that nobody sees the end of.
const SIGMA_MAX: f64 = 10.0;

/// A distribution with the seed that its draws follow from.
#[derive(Clone, Debug)]
pub struct Latency {
    time: TaskTime,
    stream: Stream,
}

impl Latency {
    /// Times of this distribution.
    pub fn new(time: Option<TaskTime>, seed: u64) -> Self {
        Self { time: time.unwrap_or(TaskTime::Const(Span(0))), stream: Stream::new(seed) }
    }

    /// That of the request with this number, counted from 0.
    pub fn of(&self, number: u64) -> Duration {
        Duration::from_nanos(time_model::sample(&self.time, self.stream, number).0)
    }
}

/// A distribution as it is written on the command line.
pub fn distribution(text: &str) -> Result<TaskTime, String> {
    let (kind, values) = text.split_once(':').ok_or_else(|| format!("not a distribution: {FORMS}"))?;
    let span = |text: &str| quantity::duration(text).map_err(|error| format!("{text:?} {error}; {FORMS}"));
    match kind {
        "const" => Ok(TaskTime::Const(span(values)?)),
        "exp" => Ok(TaskTime::Exp { mean: span(values)? }),
        "uniform" => {
            let (min, max) = values.split_once("..").ok_or_else(|| format!("uniform has no ..: {FORMS}"))?;
            let (min, max) = (span(min)?, span(max)?);
            if min > max {
                return Err("uniform begins above its end: write the shorter time first".to_owned());
            }
            Ok(TaskTime::Uniform { min, max })
        }
        "lognormal" => {
            let (median, sigma) =
                values.split_once(',').ok_or_else(|| format!("lognormal has no comma: {FORMS}"))?;
            match sigma.parse() {
                Ok(sigma) if (0.0..=SIGMA_MAX).contains(&sigma) => {
                    Ok(TaskTime::Lognormal { median: span(median)?, sigma })
                }
                _ => Err(format!("{sigma:?} is no deviation: from 0 to {SIGMA_MAX}; {FORMS}")),
            }
        }
        _ => Err(format!("unknown distribution {kind:?}: {FORMS}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn distributions_are_read() {
        let uniform = TaskTime::Uniform { min: Span(50 * MS), max: Span(150 * MS) };
        for (text, time) in [
            ("const:100ms", TaskTime::Const(Span(100 * MS))),
            ("exp:1.5s", TaskTime::Exp { mean: Span(1_500 * MS) }),
            ("uniform:50ms..150ms", uniform),
            ("lognormal:100ms,0.5", TaskTime::Lognormal { median: Span(100 * MS), sigma: 0.5 }),
        ] {
            assert_eq!(distribution(text).unwrap(), time, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_right() {
        for text in [
            "",
            "100ms",
            "const:",
            "const:100",
            "const:-1ms",
            "uniform:1ms",
            "exp:x",
            "lognormal:1s",
            "lognormal:1s,x",
            "lognormal:1s,-1",
            "lognormal:1s,NaN",
            "pareto:1s",
        ] {
            let error = distribution(text).unwrap_err();
            assert!(error.contains("const:100ms"), "{text}: {error}");
        }
        assert!(distribution("uniform:2ms..1ms").unwrap_err().contains("shorter time first"));
    }

    #[test]
    fn draws_follow_from_the_seed() {
        let exponential = distribution("exp:100ms").unwrap();
        let draws = |seed| {
            let latency = Latency::new(Some(exponential.clone()), seed);
            (0..1_000).map(|number| latency.of(number)).collect::<Vec<_>>()
        };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
        let mean = draws(1).iter().sum::<Duration>().as_secs_f64() / 1e3;
        assert!((0.09..0.11).contains(&mean), "{mean}");
        assert_eq!(Latency::new(None, 1).of(7), Duration::ZERO);
    }
}
