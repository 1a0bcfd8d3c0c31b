//! The command of a job, made into the command of a task.

use muster_sdk::Error;
use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Linux takes no longer argument or environment variable, with its name and its end.
const WORD_BYTES_MAX: usize = (128 << 10) - 64;
const INPUT: &str = "{}";
const INDEX: &str = "{#}";
/// The variable that holds the input where the command asks for it.
pub const INPUT_VARIABLE: &str = "MUSTER_INPUT";

/// A command with places for input and number. The input goes through a variable, so that the shell never parses it.
#[derive(Debug)]
pub struct Template {
    script: String,
    takes_input: bool,
    takes_index: bool,
}

impl Template {
    /// Reads the command.
    pub fn new(command: &str) -> Result<Self, Error> {
        if command.trim().is_empty() {
            return Err(Error::params(
                "parameter command is empty; give a shell command such as command='wc -l'",
            ));
        }
        if command.contains('\0') {
            return Err(Error::params("parameter command contains a NUL byte; no command may"));
        }
        if command.len() > WORD_BYTES_MAX {
            let len = command.len();
            return Err(Error::params(format_args!(
                "parameter command has {len} bytes; it may have {WORD_BYTES_MAX}: put it into a script"
            )));
        }
        let script = command.replace(INPUT, &format!("\"${INPUT_VARIABLE}\""));
        let takes_index = places_of_index(&script).next().is_some();
        Ok(Self { script, takes_input: command.contains(INPUT), takes_index })
    }

    /// What the shell runs for a task.
    pub fn script(&self, index: u64) -> Cow<'_, str> {
        if !self.takes_index {
            return Cow::Borrowed(&self.script);
        }
        let mut script = String::new();
        let mut copied = 0;
        for place in places_of_index(&self.script) {
            script.push_str(&self.script[copied..place]);
            script.push_str(&index.to_string());
            copied = place + INDEX.len();
        }
        script.push_str(&self.script[copied..]);
        Cow::Owned(script)
    }

    /// Refuses a job without inputs when the command asks for one.
    pub fn check_inputs(&self, has_inputs: bool) -> Result<(), Error> {
        if self.takes_input && !has_inputs {
            return Err(Error::params(
                "the command has {} for the input, and the tasks have none; give --lines or --files, or use {#}",
            ));
        }
        Ok(())
    }

    /// The input as a word of the command; none when the command does not ask for it.
    pub fn word<'a>(&self, input: &'a [u8]) -> Result<Option<&'a OsStr>, Error> {
        if !self.takes_input {
            return Ok(None);
        }
        let len = input.len();
        if len > WORD_BYTES_MAX {
            return Err(Error::params(format_args!(
                "the input has {len} bytes, and Linux takes {WORD_BYTES_MAX} in place of {{}}: read standard input"
            )));
        }
        if input.contains(&0) {
            return Err(Error::params(
                "the input contains a NUL byte and cannot stand in place of {}: read standard input",
            ));
        }
        Ok(Some(OsStr::from_bytes(input)))
    }
}

/// Where `{#}` stands, unless it is the shell's own `${#}`.
fn places_of_index(script: &str) -> impl Iterator<Item = usize> {
    script.match_indices(INDEX).map(|(at, _)| at).filter(|&at| !script[..at].ends_with('$'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(command: &str) -> String {
        Template::new(command).unwrap().script(7).into_owned()
    }

    #[test]
    fn places_are_filled() {
        assert_eq!(script("wc -l"), "wc -l");
        assert_eq!(script("echo {} {#}{#}"), "echo \"$MUSTER_INPUT\" 77");
        assert_eq!(script("set a b; echo ${#} {#}"), "set a b; echo ${#} 7");
    }

    #[test]
    fn only_inputs_that_fit_become_words() {
        let asks = Template::new("echo {}").unwrap();
        assert_eq!(asks.word(b"a b").unwrap(), Some(OsStr::new("a b")));
        assert!(asks.word(b"a\0").unwrap_err().message().contains("NUL"));
        let long = vec![b'x'; 200_000];
        assert!(asks.word(&long).unwrap_err().message().contains("200000 bytes"));
        assert_eq!(Template::new("cat").unwrap().word(&long).unwrap(), None);
    }

    #[test]
    fn a_command_that_asks_for_an_input_needs_one() {
        let asks = Template::new("echo {}").unwrap();
        assert!(asks.check_inputs(false).unwrap_err().message().contains("--lines"));
        assert!(asks.check_inputs(true).is_ok());
        assert!(Template::new("echo {#}").unwrap().check_inputs(false).is_ok());
    }

    #[test]
    fn commands_that_cannot_run_are_refused() {
        for (command, said) in [(" ", "is empty"), ("a\0b", "NUL"), (&*"x".repeat(200_000), "200000 bytes")] {
            let message = Template::new(command).unwrap_err().message().to_owned();
            assert!(message.contains(said), "{message}");
        }
    }
}
