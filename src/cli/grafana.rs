//! `muster grafana`.

use super::quantity::address;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum GrafanaCommand {
    /// Write a folder from which Prometheus and Grafana show a cluster: scrape configuration, rules, runbook and dashboards
    Init(GrafanaInitArgs),
}

/// Where it goes, and where things are.
#[derive(Debug, Args)]
pub struct GrafanaInitArgs {
    /// The folder; where one of the files is there already, nothing is written
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// The coordinator's HTTP port, as Prometheus and browsers reach it
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7078", value_parser = address)]
    pub coordinator: String,
    /// Prometheus, as Grafana reaches it
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090", value_parser = url)]
    pub prometheus: String,
    /// Replace files that are there
    #[arg(long)]
    pub force: bool,
}

fn url(text: &str) -> Result<String, String> {
    let uri = text.parse::<tonic::transport::Uri>().ok();
    let is_right =
        uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    if is_right {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("not a URL, as in http://127.0.0.1:9090".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked() {
        assert_eq!(url("https://p.lan/prom/"), Ok("https://p.lan/prom".to_owned()));
        for wrong in ["p.lan:9090", "ftp://p.lan", "http://", ""] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
    }
}
