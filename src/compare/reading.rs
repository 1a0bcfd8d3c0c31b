//! Further quantities that a run tells: by the outputs of its tasks, or by their times.

use super::tasks::TaskRun;
use crate::exit::{Exit, Failure, Outcome};
use crate::job::Results;
use crate::statistics::quantile;
use serde_json::Value;

/// A quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Where it is found.
    pub from: From,
    /// What it is.
    pub name: &'static str,
    /// Of what.
    pub unit: &'static str,
}

/// Where a quantity is found. Outputs are JSON objects.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum From {
    /// A member of the reduced output.
    Reduced(&'static str),
    /// How far a number got that all tasks see: from the least of one member to the most of another.
    Advance(&'static str, &'static str),
    /// What is missing in that to a number.
    Missing(f64, &'static str, &'static str),
    /// A quantile of the service times of every so-manieth task, in seconds; 2: tasks 1, 3, 5 and so on.
    RunTimes { every: u64, quantile: f64 },
}

impl Reading {
    /// Whether it is found in the reduced output.
    pub const fn is_reduced(&self) -> bool {
        matches!(self.from, From::Reduced(_))
    }

    /// Whether it is found in times of single tasks.
    pub const fn is_of_tasks(&self) -> bool {
        matches!(self.from, From::RunTimes { .. })
    }

    /// Whether it is found in outputs.
    pub const fn is_of_outputs(&self) -> bool {
        !self.is_of_tasks()
    }
}

/// The readings of a run: of its outputs and of the tasks that were looked at.
pub fn read(readings: &[Reading], results: &Results, tasks: &[TaskRun], plugin: &str) -> Outcome<Vec<f64>> {
    let reduced: Value = json(results.reduced.as_deref().unwrap_or_default());
    let outputs: Vec<Value> = results.outputs.iter().map(|(_, bytes)| json(bytes)).collect();
    let advance = |from: &str, to: &str| {
        let least = outputs.iter().map(|output| output[from].as_f64()).collect::<Option<Vec<f64>>>()?;
        let most = outputs.iter().map(|output| output[to].as_f64()).collect::<Option<Vec<f64>>>()?;
        let least = least.into_iter().min_by(f64::total_cmp)?;
        Some(most.into_iter().max_by(f64::total_cmp)? - least)
    };
    let number = |reading: &Reading| {
        let found = match reading.from {
            From::Reduced(member) => reduced[member].as_f64(),
            From::Advance(from, to) => advance(from, to),
            From::Missing(whole, from, to) => advance(from, to).map(|advance| whole - advance),
            From::RunTimes { every, quantile: q } => {
                let is_one = |task: &&TaskRun| task.index % every == every - 1;
                quantile(&tasks.iter().filter(is_one).map(|task| task.run_s).collect::<Vec<f64>>(), q)
            }
        };
        found.ok_or_else(|| {
            let name = reading.name.to_lowercase();
            Failure::new(Exit::Job, format_args!("plugin {plugin}: its outputs do not tell {name}"))
                .hint("build the plugins of this version of muster")
        })
    };
    readings.iter().map(number).collect()
}

/// What bytes are in JSON; nothing when they are something else.
fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn numbers_are_found_in_outputs() {
        let reading = |from| Reading { from, name: "LOST", unit: "" };
        let output = |from, to| Bytes::from(format!(r#"{{"from":{from},"to":{to}}}"#));
        let results = Results {
            outputs: vec![(0, output(5, 9)), (1, output(7, 30)), (2, output(6, 12))],
            reduced: Some(Bytes::from_static(br#"{"lost":3}"#)),
        };
        let all = [
            reading(From::Reduced("lost")),
            reading(From::Advance("from", "to")),
            reading(From::Missing(40.0, "from", "to")),
        ];
        assert_eq!(read(&all, &results, &[], "x").unwrap(), [3.0, 25.0, 15.0]);
        for from in [From::Reduced("lots"), From::Advance("from", "until")] {
            let refused = read(&[reading(from)], &results, &[], "x").unwrap_err().to_string();
            assert!(refused.contains("plugin x: its outputs do not tell lost"), "{refused}");
        }
        assert!(read(&all, &Results::default(), &[], "x").is_err(), "nothing came");
    }

    #[test]
    fn times_are_those_of_every_so_manieth_task() {
        let task = |index| TaskRun { index, run_s: index as f64, ..TaskRun::default() };
        let tasks: Vec<TaskRun> = (0..40).map(task).collect();
        let times =
            |every| Reading { from: From::RunTimes { every, quantile: 0.5 }, name: "WAITER P50", unit: "s" };
        assert_eq!(read(&[times(2)], &Results::default(), &tasks, "x").unwrap(), [19.0]);
        let refused = read(&[times(4)], &Results::default(), &tasks, "x").unwrap_err().to_string();
        assert!(refused.contains("tell waiter p50"), "ten are not enough: {refused}");
    }
}
