//! From values to places, and which values stand beside an axis.

/// How the values of an axis become places on it.
#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    /// Equal differences are equally long.
    Linear {
        /// At its start.
        min: f64,
        /// At its end, above `min`.
        max: f64,
    },
    /// Equal multiples are equally long.
    Log {
        /// At its start, above 0.
        min: f64,
        /// At its end, above `min`.
        max: f64,
    },
    /// Names side by side; value 0 is the first.
    Names(Vec<String>),
}

impl Scale {
    /// From nothing to at least `max`.
    #[must_use]
    pub fn up_to(max: f64) -> Self {
        Self::Linear { min: 0.0, max: if max > 0.0 { max } else { 1.0 } }
    }

    /// From nothing to a round number that is at least `max`.
    #[must_use]
    pub fn rounded_up_to(max: f64) -> Self {
        const STEPS: f64 = 4.0;
        if max > 0.0 {
            let step = nice_step(max / STEPS);
            Self::up_to(libm::ceil(max / step - 1e-9) * step)
        } else {
            Self::up_to(max)
        }
    }

    /// The same with room at both ends.
    #[must_use]
    pub fn with_room(self) -> Self {
        const ROOM: f64 = 1.15;
        match self {
            Self::Linear { max, .. } => Self::rounded_up_to(max * 1.02),
            Self::Log { min, max } => Self::Log { min: min / ROOM, max: max * ROOM },
            Self::Names(names) => Self::Names(names),
        }
    }

    /// Whatever shows these values best: those that span more than a factor of twenty by their logarithm, others
    /// from nothing.
    #[must_use]
    pub fn around(values: impl IntoIterator<Item = f64> + Clone) -> Self {
        let least = values.clone().into_iter().fold(f64::INFINITY, f64::min);
        let most = values.into_iter().fold(f64::NEG_INFINITY, f64::max);
        if least > 0.0 && most / least > 20.0 {
            Self::Log { min: least, max: most }
        } else {
            Self::up_to(most)
        }
    }

    /// The place of a value, 0 at the start and 1 at the end.
    #[must_use]
    pub fn place(&self, value: f64) -> f64 {
        let place = match self {
            Self::Linear { min, max } => (value - min) / (max - min),
            Self::Log { min, max } => libm::log(value.max(*min) / min) / libm::log(max / min),
            Self::Names(names) => (value + 0.5) / names.len().max(1) as f64,
        };
        place.clamp(0.0, 1.0)
    }

    /// Values to write beside the axis, about so many, with their words.
    #[must_use]
    pub fn ticks(&self, about: usize) -> Vec<(f64, String)> {
        match self {
            Self::Linear { min, max } => linear_ticks(*min, *max, about),
            Self::Log { min, max } => log_ticks(*min, *max, about),
            Self::Names(names) => {
                let every = names.len().div_ceil(about.max(1)).max(1);
                let numbered = names.iter().enumerate().step_by(every);
                numbered.map(|(at, name)| (at as f64, name.clone())).collect()
            }
        }
    }
}

fn linear_ticks(min: f64, max: f64, about: usize) -> Vec<(f64, String)> {
    let step = nice_step((max - min) / about.max(1) as f64);
    let first = libm::ceil(min / step - 1e-9) as i64;
    let last = libm::floor(max / step + 1e-9) as i64;
    (first..=last).map(|at| at as f64 * step).map(|value| (value, short(value, step))).collect()
}

/// Powers of ten; where they are few, some between them as well.
fn log_ticks(min: f64, max: f64, about: usize) -> Vec<(f64, String)> {
    let (first, last) = (libm::floor(libm::log10(min)) as i32, libm::ceil(libm::log10(max)) as i32);
    let with = |steps: &[f64], every: usize| -> Vec<(f64, String)> {
        let powers = (first..=last).step_by(every).map(|power| libm::pow(10.0, f64::from(power)));
        let values = powers.flat_map(|power| steps.iter().map(move |step| step * power).collect::<Vec<_>>());
        let shown = values.filter(|value| (min * 0.999..=max * 1.001).contains(value));
        shown.map(|value| (value, short(value, value))).collect()
    };
    for between in [&[1.0, 2.0, 5.0][..], &[1.0, 3.0]] {
        let fine = with(between, 1);
        if fine.len() <= about.max(3) {
            return fine;
        }
    }
    let powers = (last - first) as usize;
    with(&[1.0], powers.div_ceil(about.max(1)).max(1))
}

/// 1, 2 or 5 times a power of ten, at least `step`.
fn nice_step(step: f64) -> f64 {
    let power = libm::pow(10.0, libm::floor(libm::log10(step)));
    let times =
        [1.0, 2.0, 5.0].into_iter().find(|times| times * power >= step * (1.0 - 1e-9)).unwrap_or(10.0);
    times * power
}

/// A number beside an axis: `20 k`; with as many decimals as its neighbours differ in.
fn short(value: f64, step: f64) -> String {
    let size = value.abs().max(step);
    let (scale, unit) = match size {
        size if size >= 1e12 => (1e12, " T"),
        size if size >= 1e9 => (1e9, " G"),
        size if size >= 1e6 => (1e6, " M"),
        size if size >= 1e4 => (1e3, " k"),
        _ => (1.0, ""),
    };
    if value == 0.0 {
        return "0".to_owned();
    }
    let decimals = (-libm::floor(libm::log10(step / scale) + 1e-9)).clamp(0.0, 9.0) as usize;
    format!("{:.decimals$}{unit}", value / scale)
}

/// What times on an axis are measured in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeUnit {
    /// Its short name.
    pub name: &'static str,
    /// Its name in full: a label with "min" reads as the least.
    pub full_name: &'static str,
    /// Its length.
    pub seconds: f64,
}

impl TimeUnit {
    /// The unit in which the longest time of an axis is a readable number.
    #[must_use]
    pub fn of(longest_s: f64) -> Self {
        const UNITS: [(&str, &str, f64, f64); 6] = [
            ("d", "days", 86_400.0, 3.0),
            ("h", "hours", 3_600.0, 3.0),
            ("min", "minutes", 60.0, 10.0),
            ("s", "seconds", 1.0, 1.0),
            ("ms", "milliseconds", 1e-3, 1.0),
            ("us", "microseconds", 1e-6, 1.0),
        ];
        let fitting = UNITS.into_iter().find(|(_, _, unit, least)| longest_s >= unit * least);
        let (name, full_name, seconds, _) = fitting.unwrap_or(("ns", "nanoseconds", 1e-9, 0.0));
        Self { name, full_name, seconds }
    }

    /// At most seconds: where tables beside the axis are in seconds, too.
    #[must_use]
    pub fn up_to_seconds(longest_s: f64) -> Self {
        Self::of(longest_s.min(59.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(scale: &Scale, about: usize) -> Vec<String> {
        scale.ticks(about).into_iter().map(|(_, words)| words).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(words(&Scale::up_to(1.0), 5), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(words(&Scale::up_to(99_900.0), 4), ["0", "50 k"]);
        assert_eq!(words(&Scale::up_to(1_003.0), 6), ["0", "200", "400", "600", "800", "1000"]);
        assert_eq!(words(&Scale::Log { min: 10.0, max: 10_000.0 }, 6), ["10", "100", "1000", "10 k"]);
        assert_eq!(words(&Scale::rounded_up_to(99_598.0), 3), ["0", "50 k", "100 k"]);
        assert_eq!(words(&Scale::Log { min: 3.0, max: 80.0 }, 6), ["5", "10", "20", "50"]);
        assert_eq!(words(&Scale::Names(vec!["fifo".into(), "fair".into()]), 8), ["fifo", "fair"]);
        assert_eq!(words(&Scale::Log { min: 1e-9, max: 1e9 }, 4).len(), 4);
    }

    #[test]
    fn places_go_from_start_to_end() {
        let log = Scale::around([10.0, 1_000.0]);
        assert_eq!((log.place(10.0), log.place(1_000.0)), (0.0, 1.0));
        assert!((log.place(100.0) - 0.5).abs() < 1e-12);
        assert_eq!(Scale::around([5.0, 10.0]), Scale::Linear { min: 0.0, max: 10.0 });
        assert_eq!(Scale::around([0.0]), Scale::Linear { min: 0.0, max: 1.0 });
        assert_eq!(Scale::Names(vec!["a".into(), "b".into()]).place(1.0), 0.75);
    }

    #[test]
    fn time_has_the_unit_of_the_longest() {
        let names = [90_000.0, 500_000.0, 1_003.0, 20.0, 0.5, 2e-5].map(|longest| TimeUnit::of(longest).name);
        assert_eq!(names, ["h", "d", "min", "s", "ms", "us"]);
        assert_eq!([90_000.0, 0.5].map(|longest| TimeUnit::up_to_seconds(longest).name), ["s", "ms"]);
    }
}
