//! `muster token`.

use super::job::{ago, whole_units};
use super::printed;
use crate::cli::{TokenCommand, TokenNewArgs, ViewArgs};
use crate::cluster::{clients, session};
use crate::exit::{Exit, Failure, Outcome};
use crate::summary::{Column, counted, list};
use crate::terminal::{self, note};
use muster_proto::convert::roles;
use muster_proto::link::{Moment, TokenId};
use muster_proto::v1;
use tonic::{Code, Status};

/// Does what a `token` command says.
pub async fn token(command: TokenCommand) -> Outcome {
    match command {
        TokenCommand::New(args) => new(&args).await,
        TokenCommand::Ls { view } => ls(&view).await,
        TokenCommand::Revoke { token, view } => revoke(token, &view).await,
    }
}

async fn new(args: &TokenNewArgs) -> Outcome {
    let session = session(&args.view.cluster).await?;
    let request = v1::NewTokenRequest {
        roles: args.roles.iter().map(|&role| v1::Role::from(role) as i32).collect(),
        life_s: args.ttl.0.map_or(0, |life| life.as_secs()),
        uses: args.uses.0.unwrap_or(0),
        note: args.note.clone(),
    };
    let reply = clients::identity(&session.link).new_token(request).await;
    let v1::NewTokenReply { join_string, token } =
        reply.map_err(|status| failure("making the token", &status))?.into_inner();
    let token = token.unwrap_or_default();
    if args.view.json {
        let mut facts = facts(&token);
        facts["join_string"] = join_string.into();
        return printed(terminal::print_json(&facts));
    }
    printed(terminal::print(&join_string))?;
    let until = match token.until_unix_s {
        0 => "without an end".to_owned(),
        until => format!("until {}", Moment::of_unix_s(until)),
    };
    let uses = match token.uses_max {
        0 => "any number of machines".to_owned(),
        uses => counted(uses, "machine", "machines"),
    };
    let roles = roles(&token.roles);
    note(format_args!("token {}: {roles}, {until}, for {uses}; the line on stdout is a secret", token.token));
    Ok(Exit::Ok)
}

async fn ls(view: &ViewArgs) -> Outcome {
    let session = session(&view.cluster).await?;
    let reply = clients::identity(&session.link).list_tokens(v1::ListTokensRequest {}).await;
    let tokens = reply.map_err(|status| failure("listing tokens", &status))?.into_inner().tokens;
    if view.json {
        let all: Vec<_> = tokens.iter().map(facts).collect();
        return printed(terminal::print_json(&serde_json::json!({ "tokens": all })));
    }
    let columns = [
        Column::text("ID"),
        Column::text("ROLES"),
        Column::text("STATE"),
        Column::text("USES"),
        Column::number("OPEN"),
        Column::number("MADE"),
        Column::text("NOTE"),
    ];
    let row = |token: &v1::TokenInfo| {
        vec![
            token.token.clone(),
            roles(&token.roles).to_string(),
            state(token),
            match token.uses_max {
                0 => token.uses.to_string(),
                max => format!("{} of {max}", token.uses),
            },
            token.connections.to_string(),
            ago(token.made_unix_s as f64),
            token.note.clone(),
        ]
    };
    printed(terminal::print(list(&columns, tokens.iter().map(row).collect())))
}

async fn revoke(token: TokenId, view: &ViewArgs) -> Outcome {
    let session = session(&view.cluster).await?;
    let request = v1::RevokeTokenRequest { token: token.to_string() };
    let reply = clients::identity(&session.link).revoke_token(request).await;
    let v1::RevokeTokenReply { token, closed } =
        reply.map_err(|status| failure("revoking the token", &status))?.into_inner();
    let token = token.unwrap_or_default();
    if view.json {
        let mut facts = facts(&token);
        facts["closed"] = closed.into();
        return printed(terminal::print_json(&facts));
    }
    let connections = counted(closed, "connection", "connections");
    printed(terminal::print(format_args!("token {} revoked, {connections} closed", token.token)))?;
    if token.standing {
        note("the coordinator prints another join string when it is started the next time");
    }
    Ok(Exit::Ok)
}

/// Whether a token still admits somebody, in a word.
fn state(token: &v1::TokenInfo) -> String {
    let is_used_up = token.uses_max > 0 && token.uses >= u64::from(token.uses_max);
    let is_over = token.until_unix_s > 0 && Moment::now().unix_s() >= token.until_unix_s;
    match token {
        token if token.revoked_unix_s > 0 => "revoked".to_owned(),
        _ if is_over => "ended".to_owned(),
        _ if is_used_up => "used up".to_owned(),
        token if token.until_unix_s > 0 => {
            let left = Moment::of_unix_s(token.until_unix_s).since(Moment::now());
            format!("{} left", whole_units(left.as_secs()))
        }
        _ => "no end".to_owned(),
    }
}

fn facts(token: &v1::TokenInfo) -> serde_json::Value {
    let some = |number: u64| (number > 0).then_some(number);
    let names: Vec<&str> = roles(&token.roles).iter().map(muster_proto::link::Role::name).collect();
    serde_json::json!({
        "token": token.token, "roles": names, "made_unix_s": token.made_unix_s,
        "until_unix_s": some(token.until_unix_s), "uses": token.uses, "uses_max": some(u64::from(token.uses_max)),
        "revoked_unix_s": some(token.revoked_unix_s), "note": token.note, "standing": token.standing,
        "connections": token.connections,
    })
}

fn failure(what: &str, status: &Status) -> Failure {
    match status.code() {
        Code::NotFound => Failure::new(Exit::Job, status.message()),
        Code::FailedPrecondition => Failure::new(Exit::Usage, format_args!("{what}: {}", status.message()))
            .hint(
                "muster coordinator start --listen HOST:PORT takes others in; muster up is for this machine",
            ),
        _ => Failure::from_status(what, status),
    }
}
