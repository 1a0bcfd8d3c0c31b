//! Parses the command line and says what is wrong with it in one line.

use super::Cli;
use crate::exit::{Exit, Failure};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser as _};
use std::ffi::OsString;

/// The command line, `None` when help or version was asked for and printed.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Cli>, Failure> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    match Cli::try_parse_from(&arguments) {
        Ok(cli) => Ok(Some(cli)),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            match error.print() {
                // Nobody reads it any more: that is fine.
                Err(closed) if closed.kind() == std::io::ErrorKind::BrokenPipe => Ok(None),
                Err(full) => Err(Failure::io(Exit::Storage, "write", std::path::Path::new("stdout"), &full)),
                Ok(()) => Ok(None),
            }
        }
        Err(error) => {
            let failure = failure(&error.render().to_string(), &arguments);
            Err(match said_in_scenario(&error, &arguments) {
                Some(hint) => failure.hint(hint),
                None => failure,
            })
        }
    }
}

/// Folds clap's message into one line, and its tip, or the way to more help, into the hint.
fn failure(text: &str, arguments: &[OsString]) -> Failure {
    let mut message = String::new();
    let mut tips = Vec::new();
    let mut in_message = true;
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(tip) = trimmed.strip_prefix("tip: ") {
            // No value of ours looks like a flag.
            if !tip.starts_with("to pass '") {
                tips.push(tip.to_owned());
            }
        } else if trimmed.is_empty() || !in_message {
            in_message &= message.is_empty();
        } else {
            if !message.is_empty() {
                message.push(' ');
            }
            message.push_str(trimmed.strip_prefix("error: ").unwrap_or(trimmed));
        }
    }
    let possible = text.lines().find_map(|line| {
        let line = line.trim();
        line.strip_prefix("[possible values: ").and_then(|rest| rest.strip_suffix(']'))
    });
    if let Some(values) = possible.filter(|_| !message.contains("possible values")) {
        tips.push(format!("possible values: {values}"));
    }
    if tips.is_empty() {
        tips.push(format!("{} --help", command_words(arguments)));
    }
    Failure::usage(message).hint(tips.join("; "))
}

/// What a scenario says is changed in it, and not with the flags of a job.
fn said_in_scenario(error: &clap::Error, arguments: &[OsString]) -> Option<String> {
    if !matches!(command_words(arguments).as_str(), "muster simulate" | "muster emulate") {
        return None;
    }
    let argument = |kind| match error.get(kind) {
        Some(ContextValue::String(argument)) => Some(argument.as_str()),
        Some(ContextValue::Strings(arguments)) => arguments.first().map(String::as_str),
        _ => None,
    };
    let invalid = argument(ContextKind::InvalidArg)?;
    if error.kind() == ErrorKind::ArgumentConflict {
        let both = [invalid, argument(ContextKind::PriorArg)?];
        let beside = both.iter().any(|name| name.starts_with("--beside")) && both.contains(&"[SCENARIO]");
        return beside
            .then(|| "RUN holds its scenario: leave the other out, and change it with --set".to_owned());
    }
    let (key, example) = match invalid {
        "-n" | "--tasks" => ("tasks", "100"),
        "-w" | "--workers" => ("workers", "500"),
        "--latency" => ("latency", "5ms"),
        _ => return None,
    };
    let words: Vec<_> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    let at = words.iter().position(|word| word.starts_with(invalid))?;
    let attached = words[at][invalid.len()..].trim_start_matches('=');
    let value = if attached.is_empty() { words.get(at + 1).copied().unwrap_or_default() } else { attached };
    let is_value = value.starts_with(|c: char| c.is_ascii_digit());
    Some(format!("--set {key}={}", if is_value { value } else { example }))
}

/// The command among the arguments, down to its subcommand: not all of clap's messages name it.
fn command_words(arguments: &[OsString]) -> String {
    let mut command = &Cli::command();
    let mut words = command.get_name().to_owned();
    for word in arguments.iter().skip(1) {
        let Some(subcommand) = command.find_subcommand(word) else { break };
        command = subcommand;
        words.push(' ');
        words.push_str(command.get_name());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(words: &[&str]) -> String {
        let words = std::iter::once("muster").chain(words.iter().copied()).map(Into::into);
        parse(words).unwrap_err().to_string()
    }

    #[test]
    fn unknown_commands_and_flags_get_a_suggestion() {
        let text = wrong(&["runn", "x"]);
        assert!(text.starts_with("error: unrecognized subcommand 'runn'\nhint: "), "{text}");
        assert!(text.contains("'run'"), "{text}");
        let text = wrong(&["run", "x", "--reduec"]);
        assert!(text.contains("--reduce"), "{text}");
        assert_eq!(text.lines().count(), 2, "{text}");
    }

    #[test]
    fn every_usage_error_is_one_line_and_a_hint() {
        for words in [
            &["run"][..],
            &["run", "x", "-n", "0"],
            &["run", "x", "-n", "-4"],
            &["run", "x", "-n", "99999999999999999999"],
            &["run", "x", "--model", "fibres"],
            &["run", "x", "--lines", "a", "--files", "b"],
            &["run", "x", "--files", "b", "--chunk", "4"],
            &["run", "x", "novalue"],
            &["job", "wait", "--timeout", "10"],
            &["job"],
            &["worker"],
            &["coordinator"],
            &["plugin"],
            &["bench"],
            &[],
        ] {
            let text = wrong(words);
            assert_eq!(text.lines().count(), 2, "{words:?}: {text}");
            assert!(text.starts_with("error: "), "{words:?}: {text}");
        }
        assert!(wrong(&["run", "x", "-n", "0"]).contains("at least 1"));
        for (group, commands) in [
            (&["job"][..], "ls, info, wait, cancel, rm, retry"),
            (&["worker"], "ls, drain, start"),
            (&["coordinator"], "start"),
            (&["plugin"], "new, build, check, test, info, push, ls, rm"),
            (&["bench"], "overhead"),
            (&[], "run, compare, tour, doctor, runs, diff, report, export, trace, up, down"),
        ] {
            let text = wrong(group);
            assert!(text.contains("requires a subcommand") && text.contains(commands), "{group:?}: {text}");
        }
        assert!(
            wrong(&["run", "x", "-n", "-4"]).contains("whole number"),
            "{}",
            wrong(&["run", "x", "-n", "-4"])
        );
        assert!(wrong(&["run", "x", "--model", "fibres"]).contains("hybrid"));
    }

    #[test]
    fn what_a_scenario_says_is_changed_with_set() {
        for (words, hint) in [
            (&["simulate", "s.toml", "-n", "250"][..], "--set tasks=250"),
            (&["simulate", "s.toml", "-n250"], "--set tasks=250"),
            (&["simulate", "--tasks=1e6", "s.toml"], "--set tasks=1e6"),
            (&["emulate", "s.toml", "--workers", "40"], "--set workers=40"),
            (&["emulate", "s.toml", "-w"], "--set workers=500"),
            (&["emulate", "--latency", "s.toml"], "--set latency=5ms"),
            (
                &["simulate", "s.toml", "--beside", "run"],
                "RUN holds its scenario: leave the other out, and change it with --set",
            ),
            (
                &["simulate", "--beside", "run", "s.toml"],
                "RUN holds its scenario: leave the other out, and change it with --set",
            ),
            (&["simulate", "--beside", "run", "-o", "x"], "muster simulate --help"),
            (&["simulate", "s.toml", "--nothing"], "muster simulate --help"),
        ] {
            let text = wrong(words);
            assert!(text.ends_with(&format!("\nhint: {hint}")), "{words:?}: {text}");
            assert_eq!(text.lines().count(), 2, "{words:?}: {text}");
        }
    }

    #[test]
    fn the_help_of_the_command_at_hand_is_named() {
        for (words, command) in [
            (&["run", "x", "-n", "0"][..], "muster run --help"),
            (&["job", "info", "abc"], "muster job info --help"),
            (&["worker", "drain"], "muster worker drain --help"),
            (&["job"], "muster job --help"),
            (&["run", "x", "--nothing"], "muster run --help"),
            (&[], "muster --help"),
        ] {
            let text = wrong(words);
            assert!(text.ends_with(&format!("\nhint: {command}")), "{words:?}: {text}");
        }
    }
}
