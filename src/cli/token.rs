//! `muster token`.

use super::ViewArgs;
use clap::{Args, Subcommand};
use muster_coordinator::quantity::duration;
use muster_proto::link::{Role, TokenId};
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token; prints the join string that holds it, once
    New(TokenNewArgs),
    /// List the tokens of a cluster
    Ls {
        #[command(flatten)]
        view: ViewArgs,
    },
    /// Refuse a token from now on, and all who joined by it; their connections end
    Revoke {
        /// Its id
        #[arg(value_name = "ID")]
        token: TokenId,
        #[command(flatten)]
        view: ViewArgs,
    },
}

#[derive(Debug, Args)]
pub struct TokenNewArgs {
    /// What those may do who join by it: worker, submitter, publisher, viewer, admin; several joined by commas
    #[arg(long = "role", value_name = "ROLE", value_delimiter = ',', required = true)]
    pub roles: Vec<Role>,
    /// How long it may be used, or "none" for no end
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = parse_life, allow_hyphen_values = true)]
    pub ttl: Life,
    /// How many machines may join by it, or "any"
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_uses, allow_hyphen_values = true)]
    pub uses: Uses,
    /// For whom it is
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub note: String,
    #[command(flatten)]
    pub view: ViewArgs,
}

/// How long a token may be used; `None`: it has no end.
#[derive(Clone, Copy, Debug)]
pub struct Life(pub Option<Duration>);

/// How many may join by a token; `None`: any number.
#[derive(Clone, Copy, Debug)]
pub struct Uses(pub Option<u32>);

fn parse_life(text: &str) -> Result<Life, String> {
    if text == "none" {
        return Ok(Life(None));
    }
    let life = duration(text)?;
    if life < Duration::from_secs(1) {
        Err("must be at least 1s, or none".to_owned())
    } else {
        Ok(Life(Some(life)))
    }
}

fn parse_uses(text: &str) -> Result<Uses, String> {
    match text.parse::<u32>() {
        _ if text == "any" => Ok(Uses(None)),
        Ok(uses) if uses > 0 => Ok(Uses(Some(uses))),
        Ok(_) | Err(_) => Err(format!("must be a number from 1 to {}, or any", u32::MAX)),
    }
}
