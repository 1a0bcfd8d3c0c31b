//! Which plugins a worker loads. They are native code: whoever may send a worker any of them may do on its machine what its
//! user may, but for what a sandbox keeps.

use crate::hex::hex;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

/// Plugins that one worker can list.
pub const TRUSTED_MAX: usize = 1_024;
/// The longest name and version of a plugin, together.
const NAME_BYTES_MAX: usize = 512;

/// Which plugins a worker loads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Any that the coordinator has.
    #[default]
    Any,
    /// Those that are listed.
    Listed(Vec<Trusted>),
}

/// A plugin that a worker loads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trusted {
    /// The file with this BLAKE3 digest.
    Digest([u8; 32]),
    /// Whatever calls itself so.
    Version {
        /// The plugin's name.
        name: String,
        /// Its version.
        version: String,
    },
}

impl Trust {
    /// Whether a plugin is loaded.
    #[must_use]
    pub fn admits(&self, name: &str, version: &str, digest: &[u8; 32]) -> bool {
        let fits = |trusted: &Trusted| match trusted {
            Trusted::Digest(of) => of == digest,
            Trusted::Version { name: of, version: its } => of == name && its == version,
        };
        match self {
            Self::Any => true,
            Self::Listed(listed) => listed.iter().any(fits),
        }
    }

    /// Why a plugin is not loaded, and what would change that; `None`: it is. `who`: the worker, in the middle of a sentence.
    #[must_use]
    pub fn why_not(&self, name: &str, version: &str, digest: &[u8; 32], who: &str) -> Option<String> {
        (!self.admits(name, version, digest)).then(|| {
            let digest = Trusted::Digest(*digest);
            format!(
                "{who} does not trust plugin {name}@{version}; start it with --trust {digest}, or --trust {name}@{version} for \
                 whatever has that name and version"
            )
        })
    }
}

impl fmt::Display for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => f.write_str(&hex(digest)),
            Self::Version { name, version } => write!(f, "{name}@{version}"),
        }
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Listed(listed) => {
                for (at, trusted) in listed.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(f, "{comma}{trusted}")?;
                }
                Ok(())
            }
        }
    }
}

impl FromStr for Trusted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain =
            |part: &str| !part.is_empty() && !part.chars().any(|it| it.is_control() || it.is_whitespace());
        match text.split_once('@') {
            Some((name, version)) if plain(name) && plain(version) && text.len() <= NAME_BYTES_MAX => {
                Ok(Self::Version { name: name.to_owned(), version: version.to_owned() })
            }
            None if text.len() == 64 => digest_of(text).map(Self::Digest).ok_or_else(wanted),
            Some(_) | None => Err(wanted()),
        }
    }
}

fn wanted() -> String {
    "NAME@VERSION or the 64 hexadecimal digits of a plugin's digest (muster plugin info) are wanted"
        .to_owned()
}

fn digest_of(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    for (byte, digits) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |at: usize| char::from(digits[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    #[test]
    fn plugins_are_read_as_they_are_written() {
        let digest = "0123456789abcdef".repeat(4);
        for text in [digest.as_str(), "primes@1.2.0", "a@b@c"] {
            assert_eq!(text.parse::<Trusted>().unwrap().to_string(), text);
        }
        assert_eq!(digest.to_uppercase().parse::<Trusted>(), digest.parse());
        for text in
            ["", "any", "primes", "@1", "primes@", "a b@1", &digest[1..], &format!("{}x", &digest[1..])]
        {
            assert!(text.parse::<Trusted>().unwrap_err().contains("NAME@VERSION"), "{text}");
        }
        assert!(format!("{}@1", "n".repeat(NAME_BYTES_MAX)).parse::<Trusted>().is_err());
        assert!("\u{e4}".repeat(32).parse::<Trusted>().is_err());
    }

    #[test]
    fn what_is_not_listed_is_not_loaded() {
        assert!(Trust::Any.admits("x", "1", &[0; 32]));
        let listed = vec![Trusted::Digest([1; 32]), "x@1".parse().unwrap()];
        let trust = Trust::Listed(listed);
        assert!(trust.admits("y", "9", &[1; 32]) && trust.admits("x", "1", &[2; 32]));
        assert!(!trust.admits("x", "2", &[2; 32]) && !trust.admits("y", "1", &[2; 32]));
        assert!(!Trust::Listed(Vec::new()).admits("x", "1", &[0; 32]));
        assert_eq!(trust.why_not("x", "1", &[2; 32], "worker w"), None);
        let why = trust.why_not("x", "2", &[0xab; 32], "worker w").unwrap();
        assert!(
            why.starts_with("worker w does not trust plugin x@2; ") && why.contains(&"ab".repeat(32)),
            "{why}"
        );
    }
}
