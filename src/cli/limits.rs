//! What tasks and executors of a job may use: shared by `run` and `submit`.

use super::quantity;
use clap::Args;
use muster_core::quantity::size_text;
use muster_proto::convert::{
    COUNT_MAX, LOG_MAX_BYTES, MEMORY_MAX_BYTES, MEMORY_MIN_BYTES, OPEN_FILES_MIN, RESULT_MAX_BYTES,
};
use muster_proto::v1;
use std::time::Duration;

/// Limits; without one nothing is bounded but what is said.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct LimitArgs {
    /// Time limit of one attempt at a task: it is told to stop, and its executor is ended when it does not
    #[arg(long, value_name = "DURATION", value_parser = time, allow_hyphen_values = true)]
    pub timeout: Option<Duration>,
    /// Memory of each executor, kept by a cgroup where one can be used
    #[arg(long, value_name = "SIZE", value_parser = memory, allow_hyphen_values = true)]
    pub mem: Option<u64>,
    /// Largest result of one task (default: 16 MiB)
    #[arg(long, value_name = "SIZE", value_parser = output, allow_hyphen_values = true)]
    pub output_max: Option<u64>,
    /// How much is kept of what one task writes and logs (default: 64 KiB)
    #[arg(long, value_name = "SIZE", value_parser = log, allow_hyphen_values = true)]
    pub log_max: Option<u64>,
    /// Open files of each executor
    #[arg(long, value_name = "N", value_parser = open_files, allow_hyphen_values = true)]
    pub open_files: Option<u32>,
    /// Processes and threads of each executor; needs a cgroup
    #[arg(long, value_name = "N", value_parser = processes, allow_hyphen_values = true)]
    pub procs: Option<u32>,
    /// From being told to stop to being killed, for tasks that are cancelled or over their time; SIGTERM comes
    /// at half of it (default: 5s)
    #[arg(long, value_name = "DURATION", value_parser = time, allow_hyphen_values = true)]
    pub grace: Option<Duration>,
}

impl LimitArgs {
    /// The message.
    pub fn to_proto(self) -> v1::Limits {
        let millis = |time: Option<Duration>| {
            time.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
        };
        v1::Limits {
            timeout_ms: millis(self.timeout),
            memory_bytes: self.mem.unwrap_or(0),
            log_bytes: self.log_max.unwrap_or(0),
            open_files: self.open_files.unwrap_or(0),
            processes: self.procs.unwrap_or(0),
            scratch_bytes: 0,
            grace_ms: millis(self.grace),
        }
    }
}

/// A time that is counted in milliseconds.
fn time(text: &str) -> Result<Duration, String> {
    match quantity::duration(text)? {
        time if time < Duration::from_millis(1) => Err("must be at least 1ms".to_owned()),
        time => Ok(time),
    }
}

fn memory(text: &str) -> Result<u64, String> {
    match quantity::size(text)? {
        bytes if bytes < MEMORY_MIN_BYTES => Err(format!("must be at least {}", size_text(MEMORY_MIN_BYTES))),
        bytes => within(bytes, MEMORY_MAX_BYTES),
    }
}

fn output(text: &str) -> Result<u64, String> {
    within(quantity::size(text)?, RESULT_MAX_BYTES)
}

fn log(text: &str) -> Result<u64, String> {
    within(quantity::size(text)?, LOG_MAX_BYTES)
}

fn within(bytes: u64, max: u64) -> Result<u64, String> {
    if bytes > max { Err(format!("must be at most {}", size_text(max))) } else { Ok(bytes) }
}

fn open_files(text: &str) -> Result<u32, String> {
    match count(text)? {
        number if number < OPEN_FILES_MIN => {
            Err(format!("must be at least {OPEN_FILES_MIN}: an executor needs some itself"))
        }
        number => Ok(number),
    }
}

fn processes(text: &str) -> Result<u32, String> {
    count(text)
}

fn count(text: &str) -> Result<u32, String> {
    quantity::count(text, COUNT_MAX.into()).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_within_what_can_be_kept() {
        assert_eq!(time("1ms"), Ok(Duration::from_millis(1)));
        assert!(time("0.5ms").unwrap_err().contains("1ms"));
        assert_eq!(memory("200MiB"), Ok(200 << 20));
        assert_eq!(memory("1MiB").unwrap_err(), "must be at least 4 MiB");
        assert_eq!(output("1GiB").unwrap_err(), "must be at most 48 MiB");
        assert!(log("2GiB").unwrap_err().contains("1 GiB"));
        assert!(open_files("31").unwrap_err().contains("at least 32"));
        assert_eq!(processes("1"), Ok(1));
        let args =
            LimitArgs { timeout: Some(Duration::from_millis(1_500)), mem: Some(7), ..Default::default() };
        let expected = v1::Limits { timeout_ms: 1_500, memory_bytes: 7, ..v1::Limits::default() };
        assert_eq!(args.to_proto(), expected);
    }
}
