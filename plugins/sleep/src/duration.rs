//! How long a task waits.

use muster_sdk::Random;
use std::time::Duration;

/// Longer times are cut: heavy tails reach for years.
const SECONDS_MAX: f64 = 7.0 * 86_400.0;

/// A distribution of times with a given mean.
#[derive(Clone, Copy, Debug)]
pub struct Distribution {
    /// The mean.
    pub mean_seconds: f64,
    /// The kind, with what it needs beside the mean.
    pub law: Law,
}

/// Kinds of distributions.
#[derive(Clone, Copy, Debug)]
pub enum Law {
    /// Always the mean.
    Const,
    /// Exponential.
    Exponential,
    /// The logarithm is normal with deviation `sigma`.
    LogNormal {
        /// Deviation of the logarithm.
        sigma: f64,
    },
    /// The share of times longer than t falls as t to the power of -`alpha`; needs an alpha above 1.
    Pareto {
        /// Exponent of the tail.
        alpha: f64,
    },
}

impl Distribution {
    /// One time.
    pub fn draw(&self, random: &mut Random) -> Duration {
        let factor = match self.law {
            Law::Const => 1.0,
            Law::Exponential => random.exponential(),
            Law::LogNormal { sigma } => (sigma * random.normal() - sigma * sigma / 2.0).exp(),
            Law::Pareto { alpha } => (alpha - 1.0) / alpha * (random.exponential() / alpha).exp(),
        };
        Duration::from_secs_f64((self.mean_seconds * factor).min(SECONDS_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: usize = 50_000;

    fn draws(law: Law) -> Vec<f64> {
        let distribution = Distribution { mean_seconds: 0.01, law };
        let mut random = Random::new(7);
        let mut times: Vec<f64> =
            (0..DRAWS).map(|_| distribution.draw(&mut random).as_secs_f64() / 0.01).collect();
        times.sort_by(f64::total_cmp);
        times
    }

    #[test]
    fn all_have_the_mean() {
        for law in [Law::Const, Law::Exponential, Law::LogNormal { sigma: 1.0 }, Law::Pareto { alpha: 3.0 }] {
            let mean = draws(law).iter().sum::<f64>() / DRAWS as f64;
            assert!((mean - 1.0).abs() < 0.02, "{law:?} has mean {mean}");
        }
    }

    #[test]
    fn medians_are_those_of_the_distributions() {
        for (law, median) in [
            (Law::Const, 1.0),
            (Law::Exponential, 2_f64.ln()),
            (Law::LogNormal { sigma: 1.0 }, (-0.5_f64).exp()),
            (Law::Pareto { alpha: 3.0 }, 2.0 / 3.0 * 2_f64.powf(1.0 / 3.0)),
        ] {
            let found = draws(law)[DRAWS / 2];
            assert!((found - median).abs() < 0.01, "{law:?} has median {found}, not {median}");
        }
    }

    #[test]
    fn extremes_are_finite() {
        for law in [Law::LogNormal { sigma: 5.0 }, Law::Pareto { alpha: 1.01 }] {
            for mean_seconds in [0.0, 86_400.0] {
                let distribution = Distribution { mean_seconds, law };
                let mut random = Random::new(1);
                let longest = (0..DRAWS).map(|_| distribution.draw(&mut random)).max().unwrap();
                assert!(longest <= Duration::from_secs_f64(SECONDS_MAX));
            }
        }
    }
}
