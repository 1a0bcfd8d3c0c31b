//! The coordinator's flags, shared by `muster-coordinator` and `muster coordinator start`.

use crate::Config;
use crate::config::{FEED_WAIT, LEASE, PageConfig, RESULTS_MEMORY_BYTES};
use crate::limits::{Limits, Setting, parse_limit};
use crate::quantity::{duration, size};
use crate::state::AUTHORITY;
use muster_core::scheduler::PolicySpec;
use muster_proto::link::{AccessFolder, CERTIFICATE_LIFE, FileError, is_address, parse_bare_host};
use std::path::PathBuf;
use std::time::Duration;

/// What `--policy` takes, for the help of every command that has it.
pub const POLICY_HELP: &str = "How jobs and the lengths of leases are chosen: words joined by +, of fifo, fair, priority, random; \
     fixed:N, guided, factoring, adaptive[:TIME]; speculation [default: fair+adaptive]";

/// The flags as they were given.
#[derive(Clone, Debug, clap::Args)]
pub struct CoordinatorArgs {
    /// Address for other machines (TLS, token in the join string), or "none"
    #[arg(long, value_name = "HOST:PORT", default_value = "0.0.0.0:7077", value_parser = parse_address)]
    pub listen: String,

    /// No TLS on --listen, which must then be on the loopback interface: whoever may listen there sees the tokens
    #[arg(long)]
    pub insecure: bool,

    /// How long certificates of workers and clients are good for; they renew them in time [default: 7d]
    #[arg(long, value_name = "DURATION", value_parser = parse_certificate_life, allow_hyphen_values = true)]
    pub certificate_life: Option<Duration>,

    /// Host that the join string names, when others reach this machine under another name
    #[arg(long, value_name = "HOST", value_parser = parse_host)]
    pub advertise: Option<String>,

    /// Unix socket for this machine [default: in the user's state folder]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// Folder for everything that must survive a restart; without it nothing does
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,

    /// Address of the page, /metrics, /sd and /healthz, or "none"
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7078", value_parser = parse_address)]
    pub http: String,

    /// Further name by which what is at --http may be asked for; may be given several times
    #[arg(long, value_name = "NAME", value_parser = parse_bare_host)]
    pub http_host: Vec<String>,

    /// File with the token that whoever opens the page needs (mode 600); off loopback there is no page without it
    #[arg(long, value_name = "FILE")]
    pub page_token: Option<PathBuf>,

    /// File with the token that /metrics and /sd want to be shown (mode 600); /healthz never does
    #[arg(long, value_name = "FILE")]
    pub metrics_token: Option<PathBuf>,

    /// No page, only /metrics, /sd and /healthz
    #[arg(long, conflicts_with = "page_token")]
    pub no_page: bool,

    /// Folder of built plugins to register; may be given several times
    #[arg(long, value_name = "DIR")]
    pub plugins: Vec<PathBuf>,

    /// The cluster's name
    #[arg(long, value_name = "NAME", default_value = "default", value_parser = parse_name)]
    pub name: String,

    /// How long a silent worker keeps its tasks [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = parse_lease, allow_hyphen_values = true)]
    pub lease: Option<Duration>,

    /// Results that jobs may leave in memory without --state [default: 1GiB]; then the oldest ended jobs are
    /// forgotten, and a job with more than this fails
    #[arg(long, value_name = "SIZE", value_parser = size, allow_hyphen_values = true)]
    pub results_memory: Option<u64>,

    /// Ended jobs to keep, with their results [default: 10000, without --state 1000]; the oldest beyond are forgotten
    #[arg(long, value_name = "N", value_parser = parse_keep_jobs, allow_hyphen_values = true)]
    pub keep_jobs: Option<usize>,

    /// How long to keep ended jobs, with their results [default: as long as there is room]
    #[arg(long, value_name = "DURATION", value_parser = duration, allow_hyphen_values = true)]
    pub keep_for: Option<Duration>,

    /// Results to keep in the state folder [default: as many as fit on the disk]; beyond them the oldest ended jobs
    /// are forgotten
    #[arg(long, value_name = "SIZE", value_parser = size, allow_hyphen_values = true, requires = "state")]
    pub keep_results: Option<u64>,

    /// Let jobs run plugins that are made to harm their process; without it they are refused
    #[arg(long)]
    pub allow_chaos: bool,

    /// How much of something is taken, for example jobs=20000 or upload-idle=2m; may be given several times
    /// (docs/limits.md lists them)
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_limit, allow_hyphen_values = true)]
    pub limit: Vec<Setting>,

    /// How the scheduler chooses
    #[arg(long, value_name = "POLICY", help = POLICY_HELP, allow_hyphen_values = true)]
    pub policy: Option<PolicySpec>,
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
            Some(state) => state.join(AUTHORITY),
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
            insecure: self.insecure,
            certificate_life: self.certificate_life.unwrap_or(CERTIFICATE_LIFE),
            advertise: self.advertise,
            state: self.state,
            keys: Some(keys),
            http: given(self.http),
            page: (!self.no_page).then_some(PageConfig { token: self.page_token }),
            http_hosts: self.http_host,
            metrics_token: self.metrics_token,
            plugins: self.plugins,
            lease: self.lease.unwrap_or(LEASE),
            feed_wait: FEED_WAIT,
            results_memory_bytes: self.results_memory.unwrap_or(RESULTS_MEMORY_BYTES),
            keep_jobs: self.keep_jobs,
            keep_for: self.keep_for,
            keep_results: self.keep_results,
            allow_chaos: self.allow_chaos,
            limits: Limits::default().with(&self.limit),
            policy: self.policy.unwrap_or_default(),
            ..Config::default()
        })
    }
}

fn parse_name(text: &str) -> Result<String, String> {
    AccessFolder::check_name(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// `HOST:PORT` to listen on, or `none`.
///
/// # Errors
/// Says what the form is.
pub fn parse_address(text: &str) -> Result<String, String> {
    if is_address(text) || text == "none" {
        return Ok(text.to_owned());
    }
    Err("not HOST:PORT with a port up to 65535 (IPv6 in brackets), for example 127.0.0.1:7077, nor none"
        .to_owned())
}

fn parse_host(text: &str) -> Result<String, String> {
    parse_bare_host(text).map_err(|error| format!("{error}; the port is that of --listen"))
}

/// Ended jobs that may be kept: each costs some memory, and time at the next start.
const KEEP_JOBS_MAX: usize = 1_000_000;

fn parse_keep_jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count <= KEEP_JOBS_MAX => Ok(count),
        Ok(_) | Err(_) => Err(format!("must be a number from 0 to {KEEP_JOBS_MAX}")),
    }
}

/// How long a lease may be.
const LEASE_MIN: Duration = Duration::from_secs(1);
const LEASE_MAX: Duration = Duration::from_secs(3_600);

/// How long a certificate may be good for. Renewing takes place after two thirds of it.
const CERTIFICATE_LIFE_MIN: Duration = Duration::from_secs(5);
const CERTIFICATE_LIFE_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

fn parse_certificate_life(text: &str) -> Result<Duration, String> {
    let life = duration(text)?;
    if (CERTIFICATE_LIFE_MIN..=CERTIFICATE_LIFE_MAX).contains(&life) {
        Ok(life)
    } else {
        Err("must be from 5s to 365d".to_owned())
    }
}

fn parse_lease(text: &str) -> Result<Duration, String> {
    let lease = duration(text)?;
    if (LEASE_MIN..=LEASE_MAX).contains(&lease) {
        Ok(lease)
    } else {
        Err("must be from 1s to 60min".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_port_and_hosts_have_none() {
        for good in ["none", "0.0.0.0:7077", "node-1.example:0", "[::]:65535"] {
            assert_eq!(parse_address(good), Ok(good.to_owned()));
        }
        for bad in ["", "foo", ":7077", "::1:7077", "foo:", "foo:80000", "foo:-1", "foo:http"] {
            assert!(parse_address(bad).is_err_and(|error| error.contains("127.0.0.1:7077")), "{bad}");
        }
        for good in ["node-1.example", "10.1.2.3", "[::1]"] {
            assert_eq!(parse_host(good), Ok(good.to_owned()));
        }
        for bad in ["", "foo:99", "::1", "[::1]:99", "a b"] {
            assert!(parse_host(bad).is_err_and(|error| error.contains("without a port")), "{bad}");
        }
    }

    #[test]
    fn leases_need_a_unit_and_a_sane_length() {
        assert_eq!(parse_lease("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_lease("1500ms"), Ok(Duration::from_millis(1_500)));
        for bad in ["10", "s", "-1s", "0.5s", "0s", "10ms", "2h", "100min", "99999999999999999999s"] {
            assert!(parse_lease(bad).is_err(), "{bad}");
        }
    }
}
