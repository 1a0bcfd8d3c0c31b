//! A job, or one task of it, as people name it.

use crate::cli::JobRef;

/// `JOB` or `JOB.INDEX`; the job is its number or `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskOf {
    /// The job.
    pub job: JobRef,
    /// The task; `None`: all of them.
    pub index: Option<u64>,
}

impl std::str::FromStr for TaskOf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((job, index)) = text.split_once('.') else {
            return Ok(Self { job: text.parse()?, index: None });
        };
        let index = index.parse().map_err(|_| {
            format!("{index:?} is no task's index: a task is JOB.INDEX, for example 3.17 or last.17")
        })?;
        Ok(Self { job: job.parse()?, index: Some(index) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_and_tasks_are_told_apart() {
        let parse = |text: &str| text.parse::<TaskOf>();
        assert_eq!(parse("3"), Ok(TaskOf { job: JobRef(3), index: None }));
        assert_eq!(parse("last.17"), Ok(TaskOf { job: JobRef(0), index: Some(17) }));
        for wrong in ["", "x", "0", "3.", "3.x", ".4", "3.4.5", "3.-1"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
