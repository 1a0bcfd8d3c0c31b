//! The coordinator's flags, shared by `muster-coordinator` and `muster coordinator start`.

use crate::Config;
use crate::config::LEASE;
use muster_proto::link::{AccessFolder, FileError};
use std::path::PathBuf;
use std::time::Duration;

/// The flags as they were given.
#[derive(Clone, Debug, clap::Args)]
pub struct CoordinatorArgs {
    /// Address for other machines (TLS, token in the join string), or "none"
    #[arg(long, value_name = "HOST:PORT", default_value = "0.0.0.0:7077")]
    pub listen: String,

    /// Host that the join string names, when others reach this machine under another name
    #[arg(long, value_name = "HOST")]
    pub advertise: Option<String>,

    /// Unix socket for this machine [default: in the user's state folder]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// Folder for everything that must survive a restart; without it nothing does
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,

    /// Address of /metrics and /healthz, or "none"
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7078")]
    pub http: String,

    /// Folder of built plugins to register; may be given several times
    #[arg(long, value_name = "DIR")]
    pub plugins: Vec<PathBuf>,

    /// The cluster's name
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub name: String,

    /// How long a silent worker keeps its tasks, for example 10s
    #[arg(long, value_name = "DURATION", value_parser = parse_lease, allow_hyphen_values = true)]
    pub lease: Option<Duration>,
}

impl CoordinatorArgs {
    /// The checked configuration.
    ///
    /// # Errors
    /// The user's state folder is not known, and a default in it is needed.
    pub fn into_config(self) -> Result<Config, FileError> {
        let given = |text: String| (text != "none").then_some(text);
        let in_home =
            |file: String| Ok::<_, FileError>(AccessFolder::state_home()?.join("coordinators").join(file));
        let keys = match &self.state {
            Some(state) => state.join("authority"),
            None => in_home(format!("{}.authority", self.name))?,
        };
        let unix = match self.socket {
            Some(path) => path,
            None => in_home(format!("{}.sock", self.name))?,
        };
        Ok(Config {
            name: self.name,
            unix: Some(unix),
            listen: given(self.listen),
            advertise: self.advertise,
            state: self.state,
            keys: Some(keys),
            http: given(self.http),
            plugins: self.plugins,
            lease: self.lease.unwrap_or(LEASE),
        })
    }
}

/// A duration with its unit, from one second to one hour.
fn parse_lease(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = match number.parse() {
        Ok(number) => number,
        Err(_) if number.is_empty() => return Err(format!("{text:?} does not begin with a whole number")),
        Err(_) => u64::MAX,
    };
    let millis_per_unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "min" | "m" => 60_000,
        "" => return Err(format!("{text:?} has no unit; write {text}s or {text}ms")),
        _ => return Err(format!("{unit:?} is not a unit; use ms, s or min")),
    };
    let millis = number.saturating_mul(millis_per_unit);
    if !(1_000..=3_600_000).contains(&millis) {
        return Err(format!("{text} is out of range; a lease is 1s to 60min"));
    }
    Ok(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_need_a_unit_and_a_sane_length() {
        assert_eq!(parse_lease("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_lease("1500ms"), Ok(Duration::from_millis(1_500)));
        for bad in ["10", "s", "-1s", "1.5s", "0s", "10ms", "2h", "100min", "99999999999999999999s"] {
            assert!(parse_lease(bad).is_err(), "{bad}");
        }
    }
}
