//! `muster http-server`.

use super::quantity;
use crate::http_server::latency_distribution;
use clap::Args;
use muster_sim::scenario::TaskTime;
use std::net::IpAddr;

#[derive(Debug, Args)]
pub struct HttpServerArgs {
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// Port to listen on; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value = "0")]
    pub port: u16,
    /// Allow a host that other machines can reach
    #[arg(long)]
    pub allow_remote: bool,
    /// Added to every answer: const:100ms, uniform:50ms..150ms, exp:100ms (mean), lognormal:100ms,0.5 (median, deviation
    /// of the logarithm)
    #[arg(long, value_name = "DIST", value_parser = latency_distribution, allow_hyphen_values = true)]
    pub latency: Option<TaskTime>,
    /// Seed of the latencies (default: 0)
    #[arg(long, value_name = "S", value_parser = quantity::whole, default_value = "0", hide_default_value = true)]
    #[arg(allow_hyphen_values = true)]
    pub seed: u64,
    /// Connections at the same time; others wait [default: no limit]
    #[arg(long, value_name = "N", value_parser = quantity::tasks, allow_hyphen_values = true)]
    pub connections: Option<u64>,
}
