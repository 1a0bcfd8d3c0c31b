//! How long a task takes: the number at a task's place in a job's stream, turned into a time by the inverse of
//! the distribution. All logarithms and powers are libm's, so that every machine draws the same times.
//!
//! Inversion as in Devroye, "Non-uniform random variate generation", 1986, chapter II.2: where one even number
//! makes one time, the time never falls when the number rises. Lognormal times take two numbers (Box and Muller,
//! "A note on the generation of random normal deviates", Annals of Mathematical Statistics 29, 1958).

use crate::scenario::TaskTime;
use muster_core::random::Stream;
use muster_core::time::Span;

/// No task takes longer, so that its end is still a point in time.
pub const TASK_TIME_MAX: Span = Span(u64::MAX / 4);

/// The time of the task at `index` of a job with this stream, on a core of speed 1; truncated to nanoseconds,
/// at most [`TASK_TIME_MAX`].
///
/// With u the number in 0..1 at `index`:
/// - const: always the same.
/// - uniform: `min + (max - min) u`.
/// - exp: `-ln(1 - u) mean`.
/// - lognormal: `median exp(sigma z)` with `z = sqrt(-2 ln(1 - u)) cos(2 pi v)` and v the second number there.
/// - pareto: `min (1 - u)^(-1 / shape)`, as `min exp(-ln(1 - u) / shape)`.
/// - bimodal: the long time when `u >= 1 - share`.
/// - recorded: the time at place `floor(u n)` of n.
#[inline]
#[must_use]
pub fn sample(time: &TaskTime, stream: Stream, index: u64) -> Span {
    match time {
        TaskTime::Exp { mean } => truncated(-libm::log(1.0 - stream.unit(index)) * mean.0 as f64),
        TaskTime::Const(span) => *span,
        TaskTime::Uniform { min, max } => {
            let width = max.0.saturating_sub(min.0) as f64;
            *min + truncated(width * stream.unit(index))
        }
        TaskTime::Lognormal { median, sigma } => {
            let (u, v) = stream.units(index);
            let normal = libm::sqrt(-2.0 * libm::log(1.0 - u)) * libm::cos(core::f64::consts::TAU * v);
            truncated(median.0 as f64 * libm::exp(sigma * normal))
        }
        TaskTime::Pareto { min, shape } => {
            truncated(min.0 as f64 * libm::exp(-libm::log(1.0 - stream.unit(index)) / shape))
        }
        TaskTime::Bimodal { short, long, share } => {
            if stream.unit(index) >= 1.0 - share {
                *long
            } else {
                *short
            }
        }
        TaskTime::Recorded(times) => {
            let place = (stream.unit(index) * times.len() as f64) as usize;
            times.get(place.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
        }
    }
}

/// The mean of the distribution, at most [`TASK_TIME_MAX`]; none when it has no bound.
#[must_use]
pub fn mean(time: &TaskTime) -> Option<Span> {
    let ns = match time {
        TaskTime::Const(span) => return Some(*span),
        TaskTime::Uniform { min, max } => (min.0 as f64 + max.0 as f64) / 2.0,
        TaskTime::Exp { mean } => return Some(*mean),
        TaskTime::Lognormal { median, sigma } => median.0 as f64 * libm::exp(sigma * sigma / 2.0),
        TaskTime::Pareto { shape, .. } if *shape <= 1.0 => return None,
        TaskTime::Pareto { min, shape } => min.0 as f64 * shape / (shape - 1.0),
        TaskTime::Bimodal { short, long, share } => short.0 as f64 * (1.0 - share) + long.0 as f64 * share,
        TaskTime::Recorded(times) => {
            let sum: u128 = times.iter().map(|span| u128::from(span.0)).sum();
            sum as f64 / times.len().max(1) as f64
        }
    };
    Some(truncated(libm::round(ns)))
}

/// The cast saturates: what is no number becomes 0, what is too large the most.
#[inline]
fn truncated(ns: f64) -> Span {
    Span((ns as u64).min(TASK_TIME_MAX.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Span = Span(1_000_000_000);
    const DRAWS: u64 = 200_000;

    fn seconds(time: &TaskTime) -> Vec<f64> {
        let mut times: Vec<f64> =
            (0..DRAWS).map(|index| sample(time, Stream::new(42), index).as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        times
    }

    fn quantile(sorted: &[f64], part: f64) -> f64 {
        sorted[(part * sorted.len() as f64) as usize]
    }

    /// The measured number is within `tolerance`, as a part of the expected one.
    #[track_caller]
    fn close(measured: f64, expected: f64, tolerance: f64) {
        assert!((measured / expected - 1.0).abs() < tolerance, "{measured}, not {expected}");
    }

    fn average(times: &[f64]) -> f64 {
        times.iter().sum::<f64>() / times.len() as f64
    }

    fn deviation(times: &[f64]) -> f64 {
        let mean = average(times);
        (times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / times.len() as f64).sqrt()
    }

    fn every_kind() -> Vec<TaskTime> {
        vec![
            TaskTime::Const(SECOND),
            TaskTime::Uniform { min: Span(1), max: SECOND },
            TaskTime::Exp { mean: SECOND },
            TaskTime::Pareto { min: SECOND, shape: 1.5 },
            TaskTime::Bimodal { short: Span(5), long: SECOND, share: 0.05 },
            TaskTime::Recorded([Span(1), Span(2), SECOND].into()),
            TaskTime::Lognormal { median: SECOND, sigma: 0.5 },
        ]
    }

    /// With 200,000 draws the standard error of the mean is 0.22 %; 1 % is more than four of them.
    #[test]
    fn exponential_times_have_mean_deviation_and_quantiles() {
        let times = seconds(&TaskTime::Exp { mean: SECOND });
        close(average(&times), 1.0, 0.01);
        close(deviation(&times), 1.0, 0.02);
        for part in [0.1f64, 0.5, 0.9, 0.99] {
            close(quantile(&times, part), -(1.0 - part).ln(), 0.03);
        }
    }

    #[test]
    fn exponential_times_are_exactly_the_logarithm() {
        let (stream, mean) = (Stream::new(42), 1_234_567_891u64);
        for index in 0..10_000 {
            let expected = -libm::log(1.0 - stream.unit(index)) * mean as f64;
            assert_eq!(sample(&TaskTime::Exp { mean: Span(mean) }, stream, index), Span(expected as u64));
        }
    }

    #[test]
    fn uniform_times_fill_their_range() {
        let times = seconds(&TaskTime::Uniform { min: SECOND, max: Span(3 * SECOND.0) });
        close(average(&times), 2.0, 0.01);
        close(deviation(&times), 2.0 / 12f64.sqrt(), 0.01);
        assert!(times[0] >= 1.0 && times[times.len() - 1] < 3.0);
    }

    #[test]
    fn lognormal_times_have_median_and_logarithmic_deviation() {
        let times = seconds(&TaskTime::Lognormal { median: SECOND, sigma: 0.5 });
        close(quantile(&times, 0.5), 1.0, 0.01);
        close(average(&times), (0.125f64).exp(), 0.01);
        let logarithms: Vec<f64> = times.iter().map(|time| time.ln()).collect();
        close(deviation(&logarithms), 0.5, 0.01);
        // A normal number is below 1.6449 in 95 % of the draws.
        close(quantile(&times, 0.95), (0.5f64 * 1.6449).exp(), 0.02);
    }

    #[test]
    fn pareto_times_have_their_quantiles_and_mean() {
        let times = seconds(&TaskTime::Pareto { min: SECOND, shape: 2.5 });
        assert!(times[0] >= 1.0);
        for part in [0.5f64, 0.9, 0.99] {
            close(quantile(&times, part), (1.0 - part).powf(-0.4), 0.03);
        }
        close(average(&times), 2.5 / 1.5, 0.02);
    }

    #[test]
    fn bimodal_and_recorded_times_come_as_often_as_said() {
        let times = seconds(&TaskTime::Bimodal { short: Span(1), long: SECOND, share: 0.05 });
        close(times.iter().filter(|time| **time == 1.0).count() as f64, 0.05 * DRAWS as f64, 0.05);
        let none = TaskTime::Bimodal { short: Span(1), long: SECOND, share: 0.0 };
        let all = TaskTime::Bimodal { short: Span(1), long: SECOND, share: 1.0 };
        assert!((0..10_000).all(|index| sample(&none, Stream::new(1), index) == Span(1)));
        assert!((0..10_000).all(|index| sample(&all, Stream::new(1), index) == SECOND));
        let times = seconds(&TaskTime::Recorded([Span(0), SECOND, SECOND, SECOND].into()));
        close(average(&times), 0.75, 0.01);
    }

    #[test]
    fn same_seed_same_times() {
        for time in every_kind() {
            let draw = |seed| -> Vec<Span> {
                (0..100).map(|index| sample(&time, Stream::new(seed), index)).collect()
            };
            assert_eq!(draw(7), draw(7));
            assert!(matches!(time, TaskTime::Const(_)) || draw(7) != draw(8), "{time:?}");
        }
    }

    #[test]
    fn times_never_fall_when_their_number_rises() {
        let stream = Stream::new(3);
        let mut places: Vec<u64> = (0..10_000).collect();
        places.sort_by(|a, b| stream.unit(*a).total_cmp(&stream.unit(*b)));
        for time in every_kind().iter().filter(|time| !matches!(time, TaskTime::Lognormal { .. })) {
            let times: Vec<Span> = places.iter().map(|place| sample(time, stream, *place)).collect();
            assert!(times.is_sorted(), "{time:?}");
        }
    }

    #[test]
    fn means_are_those_of_the_draws() {
        for time in every_kind().iter().filter(|time| !matches!(time, TaskTime::Pareto { .. })) {
            close(mean(time).unwrap().as_secs_f64(), average(&seconds(time)), 0.05);
        }
        assert_eq!(mean(&TaskTime::Pareto { min: SECOND, shape: 1.0 }), None);
        assert_eq!(mean(&TaskTime::Pareto { min: SECOND, shape: 1.5 }), Some(Span(3 * SECOND.0)));
    }

    #[test]
    fn times_have_a_limit() {
        let wild = [
            TaskTime::Pareto { min: SECOND, shape: 0.001 },
            TaskTime::Lognormal { median: SECOND, sigma: 1e6 },
            TaskTime::Exp { mean: Span(u64::MAX) },
            TaskTime::Recorded([].into()),
        ];
        for time in wild {
            assert!((0..10_000).all(|index| sample(&time, Stream::new(1), index) <= TASK_TIME_MAX));
            assert!(
                mean(&time).is_none_or(|mean| mean <= TASK_TIME_MAX || matches!(time, TaskTime::Exp { .. }))
            );
        }
    }
}
