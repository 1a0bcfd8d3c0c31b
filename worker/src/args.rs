//! The command line of a worker, shared by `muster worker start` and `muster-worker`.

use crate::config::Config;
use crate::cpus::usable_cpus;
use crate::emulation::EmulationArgs;
use crate::error::WorkerError;
use clap::Args;
use muster_core::quantity::size;
use muster_core::sandbox::{Level, Need};
use muster_proto::link::{Hosts, Readers, Secret, Target, parse_bare_host};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// What a worker can be told.
#[derive(Args, Clone, Debug)]
pub struct WorkerArgs {
    /// The join string that the coordinator printed, or a file that holds it
    #[arg(long, value_name = "STRING|FILE", env = "MUSTER_JOIN", hide_env_values = true)]
    #[arg(conflicts_with = "connect")]
    pub join: Option<String>,
    /// The coordinator's socket on this machine
    #[arg(long, value_name = "unix:PATH")]
    pub connect: Option<String>,
    /// The worker's name [default: machine and process id]
    #[arg(long)]
    pub name: Option<String>,
    /// Tasks to run at the same time [default: the CPUs that this process may use]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(crate::page::SLOTS_MAX)))]
    #[arg(allow_hyphen_values = true)]
    pub slots: Option<u32>,
    /// The folder that keeps plugins [default: muster/plugins in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// How much it may keep there; plugins that were not used for longest go, those in use stay
    #[arg(long, value_name = "SIZE", default_value = "4GiB", value_parser = cache_size)]
    #[arg(allow_hyphen_values = true)]
    pub cache_size: u64,
    /// The folder in which tasks have folders of their own while they run [default: one below that of the plugins]
    #[arg(long, value_name = "DIR", env = "MUSTER_SCRATCH")]
    pub scratch: Option<PathBuf>,
    /// Where to serve /metrics and /healthz, or none [default: a free port on this machine]
    #[arg(long, value_name = "ADDR|none")]
    pub http: Option<String>,
    /// Further name by which the pages of --http may be asked for; may be given several times
    #[arg(long, value_name = "NAME", value_parser = parse_bare_host)]
    pub http_host: Vec<String>,
    /// File with the token that /metrics wants to be shown (mode 600); /healthz never does
    #[arg(long, value_name = "FILE")]
    pub metrics_token: Option<PathBuf>,
    /// Belong to a private cluster: end when its coordinator is gone
    #[arg(long, hide = true)]
    pub private: bool,
    /// What is kept from plugins at least: none, limits or standard [default: limits for a coordinator on the network, else
    /// none]
    #[arg(long, value_name = "LEVEL", value_parser = str::parse::<Level>)]
    pub sandbox: Option<Level>,
    /// What plugins that need it may do in a sandbox: network, exec, read:PATH, write:PATH or env:NAME; may be given several
    /// times
    #[arg(long, value_name = "WHAT", value_parser = str::parse::<Need>)]
    pub allow: Vec<Need>,
    /// Which plugins it loads: any, NAME@VERSION, a digest as `muster plugin info` shows it, or a file that lists such (a
    /// path with a /, one in each line); may be given several times. Must be given with --join [default: any with --connect]
    #[arg(long, value_name = "WHAT", env = "MUSTER_TRUST", value_delimiter = ',')]
    pub trust: Vec<String>,
    /// How it is to seem
    #[command(flatten)]
    pub emulation: EmulationArgs,
}

impl WorkerArgs {
    /// The settings they ask for.
    ///
    /// # Errors
    /// A join string, address, name or emulation that cannot be used.
    pub fn into_config(self) -> Result<Config, WorkerError> {
        let place = self.join.or(self.connect).ok_or(WorkerError::NoCoordinator)?;
        let target = Target::parse(place.trim())?;
        let http = match (self.http.as_deref(), self.private) {
            (Some("none"), _) | (None, true) => None,
            (None, false) => Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            (Some(text), _) => Some(text.parse().map_err(|_| WorkerError::Flag {
                flag: "--http",
                value: text.to_owned(),
                wanted: "ADDRESS:PORT is wanted, for example 127.0.0.1:9101, or none".to_owned(),
            })?),
        };
        Ok(Config {
            name: self.name.filter(|name| !name.is_empty()).unwrap_or_else(Config::default_name),
            slots: self.slots.unwrap_or_else(usable_cpus),
            cache: self.cache.unwrap_or_else(Config::default_cache),
            cache_bytes: self.cache_size,
            scratch: self.scratch,
            http,
            readers: Readers {
                hosts: Hosts::with(self.http_host),
                secret: self
                    .metrics_token
                    .as_deref()
                    .map(|file| Secret::read("--metrics-token", file))
                    .transpose()?,
            },
            private: self.private,
            adopts: true,
            sandbox: self.sandbox,
            grants: self.allow,
            trust: crate::trust::read(&self.trust, &target)?,
            emulation: self.emulation.into_emulation()?,
            target,
        })
    }
}

fn cache_size(text: &str) -> Result<u64, String> {
    size(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: WorkerArgs,
    }

    fn parse(args: &[&str]) -> Result<Config, String> {
        let args = std::iter::once("worker").chain(args.iter().copied());
        let cli = Cli::try_parse_from(args).map_err(|error| error.to_string())?;
        cli.args.into_config().map_err(|error| error.to_string())
    }

    #[test]
    fn flags_become_settings() {
        let config = parse(&["--connect", "unix:/run/m.sock", "--slots", "3", "--http", "none"]).unwrap();
        assert_eq!((config.slots, config.http, config.private), (3, None, false));
        assert_eq!(config.target, Target::Unix("/run/m.sock".into()));
        let config = parse(&["--connect", "unix:/run/m.sock", "--private", "--name", "w"]).unwrap();
        assert_eq!((config.name.as_str(), config.http), ("w", None));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (args, word) in [
            (&["--slots", "0", "--connect", "unix:/x"][..], "--slots"),
            (&["--connect", "unix:/x", "--http", "here"], "--http here"),
            (&["--join", "muster1:nonsense"], "join string"),
            (&[], "--join"),
            (&[], "MUSTER_JOIN"),
            (&[], "--connect unix:PATH"),
        ] {
            let error = parse(args).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
