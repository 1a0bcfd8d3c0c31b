//! Means over replicas, and how sure they are: the interval of Student's t ("Student", The probable error of a mean,
//! Biometrika 1908), which holds for the mean of independent runs whatever their number, as long as single runs are
//! roughly normal or many.

/// What several independent runs say about one number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Runs.
    pub samples: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation; none of a single run.
    pub deviation: Option<f64>,
    /// How far the interval around the mean reaches to each side; none of a single run.
    pub half_width: Option<f64>,
    /// The least of them.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Estimate {
    /// The mean and the interval that holds the true mean with this confidence, 0 to 1; none without values.
    #[must_use]
    pub fn of(values: &[f64], confidence: f64) -> Option<Self> {
        let samples = values.len();
        let mean = values.iter().sum::<f64>() / samples as f64;
        let (min, max) = (values.iter().copied().reduce(f64::min)?, values.iter().copied().reduce(f64::max)?);
        let deviation = (samples > 1).then(|| {
            let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
            libm::sqrt(squares / (samples - 1) as f64)
        });
        let half_width = deviation.map(|deviation| {
            student_t(confidence, (samples - 1) as f64) * deviation / libm::sqrt(samples as f64)
        });
        Some(Self { samples, mean, deviation, half_width, min, max })
    }

    /// The lower end of the interval.
    #[must_use]
    pub fn low(&self) -> Option<f64> {
        self.half_width.map(|half| self.mean - half)
    }

    /// Its upper end.
    #[must_use]
    pub fn high(&self) -> Option<f64> {
        self.half_width.map(|half| self.mean + half)
    }

    /// Whether the interval leaves out 0: a mean difference that is no accident, as far as the confidence goes.
    #[must_use]
    pub fn differs_from_zero(&self) -> bool {
        self.half_width.is_some_and(|half| self.mean.abs() > half)
    }
}

/// The `t` for which a variable of Student's distribution lies between `-t` and `t` with this probability (0 to 1).
#[must_use]
pub fn student_t(probability: f64, degrees: f64) -> f64 {
    const HALVINGS: u32 = 200;
    let within = |t: f64| 1.0 - beta_share(degrees / 2.0, 0.5, degrees / (degrees + t * t));
    let mut high = 1.0;
    while within(high) < probability && high < 1e12 {
        high *= 2.0;
    }
    let mut low = 0.0;
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        if middle == low || middle == high {
            break;
        }
        if within(middle) < probability { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// The regularised incomplete beta function, by its continued fraction (Lentz's method; DLMF 8.17.22).
fn beta_share(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    // The fraction converges fast on this side only.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta_share(b, a, 1.0 - x);
    }
    let log_front =
        libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * libm::log(x) + b * libm::log1p(-x);
    libm::exp(log_front) / (a * beta_fraction(a, b, x))
}

fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const STEPS_MAX: u32 = 10_000;
    const TINY: f64 = 1e-300;
    let nonzero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let (mut value, mut c, mut d) = (1.0, 1.0, 0.0);
    for step in 1..=STEPS_MAX {
        let m = f64::from(step / 2);
        let term = if step % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        d = 1.0 / nonzero(1.0 + term * d);
        c = nonzero(1.0 + term / c);
        value *= c * d;
        if (c * d - 1.0).abs() < 1e-15 {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the tables in every textbook.
    #[test]
    fn t_is_as_in_the_tables() {
        for (probability, degrees, t) in [
            (0.95, 1.0, 12.706_205),
            (0.95, 2.0, 4.302_653),
            (0.95, 4.0, 2.776_445),
            (0.95, 9.0, 2.262_157),
            (0.95, 29.0, 2.045_230),
            (0.95, 999.0, 1.962_341),
            (0.99, 9.0, 3.249_836),
            (0.90, 9.0, 1.833_113),
            (0.95, 1e6, 1.959_966),
        ] {
            let found = student_t(probability, degrees);
            assert!((found - t).abs() < 2e-6 * t, "{probability} {degrees}: {found} is not {t}");
        }
    }

    #[test]
    fn the_interval_is_that_of_the_mean() {
        let estimate = Estimate::of(&[1.0, 2.0, 3.0, 4.0], 0.95).unwrap();
        assert_eq!((estimate.mean, estimate.min, estimate.max), (2.5, 1.0, 4.0));
        assert!((estimate.deviation.unwrap() - 1.290_994_449).abs() < 1e-9);
        // 3.182446 * 1.290994 / 2
        assert!((estimate.half_width.unwrap() - 2.054_260).abs() < 1e-5, "{estimate:?}");
        assert!(estimate.differs_from_zero());
        assert!(!Estimate::of(&[-1.0, 1.0, 2.0], 0.95).unwrap().differs_from_zero());
    }

    #[test]
    fn one_run_has_no_interval_and_equal_ones_none_to_speak_of() {
        let one = Estimate::of(&[7.0], 0.95).unwrap();
        assert_eq!((one.mean, one.half_width, one.low()), (7.0, None, None));
        assert!(!one.differs_from_zero());
        assert_eq!(Estimate::of(&[3.0; 5], 0.95).unwrap().half_width, Some(0.0));
        assert_eq!(Estimate::of(&[], 0.95), None);
    }

    /// The interval of 95 % holds the true mean in about 95 of 100 experiments.
    #[test]
    fn coverage_is_as_said() {
        let stream = muster_core::random::Stream::new(5);
        let held = (0..2_000u64).filter(|experiment| {
            let draws = stream.split(*experiment);
            let values: Vec<f64> = (0..8).map(|at| draws.unit(2 * at)).collect();
            let estimate = Estimate::of(&values, 0.95).unwrap();
            (estimate.mean - 0.5).abs() <= estimate.half_width.unwrap()
        });
        let share = held.count() as f64 / 2_000.0;
        assert!((0.93..0.97).contains(&share), "{share}");
    }
}
