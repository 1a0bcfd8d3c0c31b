//! How far executors are kept apart from the rest of their machine, what plugins need all the same, and whether a worker
//! gives it to them.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

/// The longest path or name in a need.
pub const NEED_BYTES_MAX: usize = 4_096;
/// Needs of one plugin, and grants of one worker.
pub const NEEDS_MAX: usize = 256;

/// How much is kept from an executor: each level keeps what the one before it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Nothing but what the job's limits say.
    #[default]
    None,
    /// What was not meant for it: descriptors and variables of who started the worker, further rights, core dumps.
    Limits,
    /// Files, sockets, programs and other processes, but for what its plugin needs and the worker grants.
    Standard,
}

impl Level {
    /// All of them, the weakest first.
    pub const ALL: [Self; 3] = [Self::None, Self::Limits, Self::Standard];

    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Limits => "limits",
            Self::Standard => "standard",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|level| level.name() == text);
        found.ok_or_else(|| "none, limits or standard is wanted".to_owned())
    }
}

/// Something that a plugin cannot do without, or that a worker grants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// Sockets of the internet.
    Network,
    /// To start programs and processes.
    Exec,
    /// To read what is at and below a path.
    Read(String),
    /// To read and change what is at and below a path.
    Write(String),
    /// A variable of the worker's environment.
    Env(String),
    /// A need of a later version, which nobody can grant.
    Unknown(String),
}

impl Need {
    /// A need as a plugin's manifest spells it.
    #[must_use]
    fn of_plugin(text: &str) -> Self {
        text.parse().unwrap_or_else(|_| Self::Unknown(text.to_owned()))
    }

    /// Whether who has this can do what the other one asks for.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Network, Self::Network) | (Self::Exec, Self::Exec) => true,
            (Self::Env(granted), Self::Env(wanted)) => granted == wanted,
            (Self::Write(granted), Self::Read(wanted) | Self::Write(wanted))
            | (Self::Read(granted), Self::Read(wanted)) => is_below(wanted, granted),
            _ => false,
        }
    }
}

/// Whether a path is another one or below it.
fn is_below(path: &str, top: &str) -> bool {
    path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || top.ends_with('/') || rest.starts_with('/'))
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network => f.write_str("network"),
            Self::Exec => f.write_str("exec"),
            Self::Read(path) => write!(f, "read:{path}"),
            Self::Write(path) => write!(f, "write:{path}"),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::Unknown(text) => f.write_str(text),
        }
    }
}

impl FromStr for Need {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "network" => Ok(Self::Network),
            None if text == "exec" => Ok(Self::Exec),
            Some(("read", path)) => path_of(path).map(Self::Read),
            Some(("write", path)) => path_of(path).map(Self::Write),
            Some(("env", name)) => name_of(name).map(Self::Env),
            None | Some(_) => Err("network, exec, read:PATH, write:PATH or env:NAME is wanted".to_owned()),
        }
    }
}

/// A path as it is compared: from the root, without `.`, `..`, doubled slashes and a slash at its end.
fn path_of(text: &str) -> Result<String, String> {
    let is_plain = |part: &str| part != "." && part != "..";
    let fits = text.starts_with('/')
        && text.len() <= NEED_BYTES_MAX
        && !text.chars().any(char::is_control)
        && text.split('/').all(is_plain);
    if !fits {
        return Err(format!(
            "the path must begin with / and be without . and .., at most {NEED_BYTES_MAX} bytes long"
        ));
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    Ok(format!("/{}", parts.join("/")))
}

fn name_of(text: &str) -> Result<String, String> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let fits = !text.is_empty() && text.len() <= 256 && text.bytes().all(letter);
    if fits {
        Ok(text.to_owned())
    } else {
        Err("the name of a variable is of letters, digits and _".to_owned())
    }
}

/// What a worker keeps from its executors, and what it grants them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The level in force for jobs that ask for nothing.
    pub level: Level,
    /// The strongest level that its machine can keep.
    pub most: Level,
    /// What is granted to plugins that need it.
    pub grants: Vec<Need>,
}

/// Why a job cannot run under a worker's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unkept {
    /// Its machine cannot keep the level.
    Level {
        /// What the job asks for.
        asked: Level,
        /// What there is.
        most: Level,
    },
    /// The plugin needs what is not granted.
    Needs {
        /// The level that it would run at.
        level: Level,
        /// What is missing.
        missing: Vec<Need>,
    },
}

impl Terms {
    /// The level that a job with a plugin runs at here, which is never weaker than the worker's own or the job's.
    ///
    /// # Errors
    /// That level cannot be kept, or the plugin needs what it keeps from it.
    pub fn level_for(&self, asked: Option<Level>, needs: &[Need]) -> Result<Level, Unkept> {
        let level = asked.unwrap_or_default().max(self.level);
        if level > self.most {
            return Err(Unkept::Level { asked: level, most: self.most });
        }
        let is_granted = |need: &&Need| self.grants.iter().any(|grant| grant.covers(need));
        let is_kept = |need: &&Need| match need {
            Need::Env(_) => level >= Level::Limits,
            Need::Network | Need::Exec | Need::Read(_) | Need::Write(_) | Need::Unknown(_) => {
                level >= Level::Standard
            }
        };
        let missing: Vec<Need> =
            needs.iter().filter(is_kept).filter(|need| !is_granted(need)).cloned().collect();
        if missing.is_empty() { Ok(level) } else { Err(Unkept::Needs { level, missing }) }
    }
}

impl Unkept {
    /// The same in words, for a plugin; `who`: the worker or workers, at the beginning of a sentence.
    #[must_use]
    pub fn text(&self, plugin: &str, who: &str) -> String {
        match self {
            Self::Level { asked, most } => format!(
                "{who} cannot keep --sandbox {asked}, at most {most}: its kernel lacks what that needs, as its log says; leave \
                 the flag out, or use a machine that can"
            ),
            Self::Needs { level, missing } => {
                let listed = |separator, before: &str| {
                    let texts: Vec<String> = missing.iter().map(|need| format!("{before}{need}")).collect();
                    texts.join(separator)
                };
                let (named, flags) = (listed(", ", ""), listed(" ", "--allow "));
                format!(
                    "plugin {plugin} needs {named}, which {who} does not grant under --sandbox {level}; start the worker, or run \
                     on a private cluster, with {flags}"
                )
            }
        }
    }
}

/// Needs as a plugin's manifest spells them.
#[must_use]
pub fn needs_of_plugin(texts: &[String]) -> Vec<Need> {
    texts.iter().map(|text| Need::of_plugin(text)).collect()
}

/// Needs and grants as text, for messages and tables.
#[must_use]
pub fn need_texts(needs: &[Need]) -> Vec<String> {
    needs.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn need(text: &str) -> Need {
        text.parse().unwrap()
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        for text in ["network", "exec", "read:/", "read:/a/b", "write:/a", "env:OMP_NUM_THREADS"] {
            assert_eq!(need(text).to_string(), text);
        }
        assert_eq!(need("read:/a//b/").to_string(), "read:/a/b");
        for text in ["", "net", "read", "read:", "read:a", "write:/a/../b", "env:", "env:A=B", "exec:/bin"] {
            assert!(text.parse::<Need>().is_err(), "{text}");
        }
        for level in Level::ALL {
            assert_eq!(level.name().parse(), Ok(level));
        }
        assert!("strict".parse::<Level>().unwrap_err().contains("standard"));
    }

    #[test]
    fn a_folder_covers_what_is_in_it() {
        let covers = |grant: &str, wanted: &str| need(grant).covers(&need(wanted));
        assert!(
            covers("read:/a", "read:/a") && covers("read:/a", "read:/a/b") && covers("read:/", "read:/a")
        );
        assert!(covers("write:/a", "read:/a/b") && covers("write:/a", "write:/a/b"));
        assert!(
            !covers("read:/a", "read:/ab")
                && !covers("read:/a/b", "read:/a")
                && !covers("read:/a", "write:/a")
        );
        assert!(covers("network", "network") && !covers("network", "exec") && !covers("env:A", "env:B"));
    }

    #[test]
    fn no_job_runs_weaker_than_it_or_the_worker_asks_for() {
        for level in Level::ALL {
            for most in Level::ALL.into_iter().filter(|most| *most >= level) {
                let terms = Terms { level, most, grants: Vec::new() };
                for asked in [None, Some(Level::None), Some(Level::Limits), Some(Level::Standard)] {
                    match terms.level_for(asked, &[]) {
                        Ok(given) => {
                            assert!(given >= level && given >= asked.unwrap_or_default() && given <= most);
                        }
                        Err(unkept) => {
                            assert_eq!(unkept, Unkept::Level { asked: asked.unwrap(), most });
                            assert!(asked.unwrap() > most);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_not_granted_is_named_with_the_flag() {
        let terms = Terms { level: Level::None, most: Level::Standard, grants: vec![need("network")] };
        let needs = [need("network"), need("exec"), need("read:/data")];
        assert_eq!(terms.level_for(None, &needs), Ok(Level::None));
        assert_eq!(terms.level_for(Some(Level::Limits), &needs), Ok(Level::Limits));
        let unkept = terms.level_for(Some(Level::Standard), &needs).unwrap_err();
        assert_eq!(
            unkept.text("x", "this worker"),
            "plugin x needs exec, read:/data, which this worker does not grant under --sandbox standard; start the worker, or \
             run on a private cluster, with --allow exec --allow read:/data"
        );
    }
}
