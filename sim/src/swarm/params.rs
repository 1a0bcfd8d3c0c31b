//! What a run is made of, as numbers that can be made smaller one by one. The rest follows from the seed.

use super::dice::Dice;
use super::fault::{Fault, Faults};
use std::fmt;
use std::str::FromStr;

/// The size of a run. Everything else is drawn from the seed, so a seed and its parameters are a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Workers at the start.
    pub workers: u32,
    /// Jobs.
    pub jobs: u32,
    /// The most tasks that a job has at the start or gets at once.
    pub tasks: u64,
    /// Faults that may strike.
    pub faults: Faults,
    /// They begin then, in milliseconds of virtual time.
    pub from_ms: u64,
    /// They end then.
    pub until_ms: u64,
}

impl Params {
    /// What a seed stands for.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 1);
        let mut faults = Faults::default();
        for &fault in Fault::ALL {
            if dice.once_in(2) {
                faults = faults.with(fault);
            }
        }
        // One seed in 16 shows that nothing is amiss without faults.
        if dice.once_in(16) {
            faults = Faults::default();
        }
        let longest = dice.pick(&[12, 60, 120, 250]);
        Self {
            workers: dice.between(1, 8) as u32,
            jobs: dice.between(1, 4) as u32,
            tasks: dice.between(1, longest),
            faults,
            from_ms: dice.between(0, 200),
            until_ms: dice.between(500, 5_000),
        }
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workers, jobs, tasks, faults, from_ms, until_ms } = self;
        write!(
            f,
            "workers={workers} jobs={jobs} tasks={tasks} faults={faults} from_ms={from_ms} until_ms={until_ms}"
        )
    }
}

impl FromStr for Params {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut params =
            Self { workers: 1, jobs: 1, tasks: 1, faults: Faults::default(), from_ms: 0, until_ms: 0 };
        for word in text.split_whitespace() {
            let (name, value) =
                word.split_once('=').ok_or_else(|| format!("{word:?} is not of the form NAME=VALUE"))?;
            let number = || {
                let number = value.parse::<u64>().ok().filter(|&number| number <= 1_000_000);
                number.ok_or_else(|| format!("{name}={value} is not a number up to 1000000"))
            };
            match name {
                "workers" => params.workers = number()?.clamp(1, 64) as u32,
                "jobs" => params.jobs = number()?.clamp(1, 64) as u32,
                "tasks" => params.tasks = number()?,
                "faults" => params.faults = value.parse()?,
                "from_ms" => params.from_ms = number()?,
                "until_ms" => params.until_ms = number()?,
                _ => {
                    return Err(format!(
                        "{name:?} is none of workers, jobs, tasks, faults, from_ms, until_ms"
                    ));
                }
            }
        }
        Ok(params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_again() {
        for seed in 0..200 {
            let params = Params::draw(seed);
            assert_eq!(params.to_string().parse(), Ok(params));
        }
        assert!("workers=x".parse::<Params>().is_err());
        assert!("faults=drop+nothing".parse::<Params>().is_err());
        assert!("speed=1".parse::<Params>().is_err());
    }
}
