//! Where a coordinator is and how to know that it is the right one. The join string
//! `muster1:HOST:PORT:PIN:TOKEN` holds both; it is as secret as its token.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::JoinError;

const PREFIX: &str = "muster1:";
const PLAIN_PREFIX: &str = "muster1-plain:";
const UNIX_PREFIX: &str = "unix:";
/// A join file holds one line; a longer file is some other file.
const JOIN_FILE_MAX_BYTES: u64 = 4096;
/// Base64 characters of 32 bytes.
const KEY_CHARS: usize = 43;

/// The SHA-256 of a cluster's authority certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin(pub [u8; 32]);

/// The secret that admits to a cluster from another machine. `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token(pub [u8; 32]);

/// Where a coordinator listens. `Display` shows the address and never the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A Unix socket on this machine.
    Unix(PathBuf),
    /// A TLS listener.
    Tls {
        /// `HOST:PORT`, IPv6 in brackets.
        address: String,
        /// The authority that the coordinator must show.
        pin: Pin,
        /// By which this process joins, unless it has.
        token: Token,
    },
    /// A listener without TLS, on the loopback interface.
    Plain {
        /// `HOST:PORT`, IPv6 in brackets.
        address: String,
        /// What the coordinator wants to be shown.
        token: Token,
    },
}

impl Target {
    /// Reads what a person gave: a join string, `unix:PATH`, the path of a socket, or a file that holds a join
    /// string.
    ///
    /// # Errors
    /// A text that is none of these, with what is wrong with it. Secrets are not repeated.
    pub fn parse(text: &str) -> Result<Self, JoinError> {
        let text = text.trim();
        if let Some(target) = Self::parse_string(text)? {
            return Ok(target);
        }
        let path = Path::new(text);
        match path.metadata() {
            Ok(file) if file.file_type().is_socket() => Ok(Self::Unix(path.to_path_buf())),
            Ok(_) => read_join_file(path),
            Err(_) if host_and_port(text).is_some() => {
                Err(JoinError::BareAddress { address: shortened(text) })
            }
            Err(source) if source.kind() == std::io::ErrorKind::PermissionDenied || text.contains('/') => {
                Err(JoinError::File { path: path.to_path_buf(), source })
            }
            Err(_) => Err(JoinError::Unknown { text: shortened(text) }),
        }
    }

    /// A target behind TLS.
    ///
    /// # Errors
    /// [`JoinError::Address`] when `address` is not `HOST:PORT`.
    pub fn tls(address: &str, pin: Pin, token: Token) -> Result<Self, JoinError> {
        Ok(Self::Tls { address: checked(address)?, pin, token })
    }

    /// A target without TLS, which must be on this machine.
    ///
    /// # Errors
    /// [`JoinError::Address`] when `address` is not `HOST:PORT`.
    pub fn plain(address: &str, token: Token) -> Result<Self, JoinError> {
        Ok(Self::Plain { address: checked(address)?, token })
    }

    /// The string that [`Target::parse`] turns into this target again, with all secrets.
    #[must_use]
    pub fn to_join_string(&self) -> String {
        match self {
            Self::Unix(path) => format!("{UNIX_PREFIX}{}", path.display()),
            Self::Tls { address, pin, token } => format!("{PREFIX}{address}:{pin}:{}", token.reveal()),
            Self::Plain { address, token } => format!("{PLAIN_PREFIX}{address}:{}", token.reveal()),
        }
    }

    /// `None`: neither of the two prefixes, so the text may be a path.
    fn parse_string(text: &str) -> Result<Option<Self>, JoinError> {
        if let Some(path) = text.strip_prefix(UNIX_PREFIX) {
            return if path.is_empty() {
                Err(JoinError::NoSocketPath)
            } else {
                Ok(Some(Self::Unix(path.into())))
            };
        }
        if let Some(rest) = text.strip_prefix(PLAIN_PREFIX) {
            let (address, token) = rest.rsplit_once(':').ok_or(JoinError::Incomplete)?;
            return Self::plain(address, decoded_token(token)?).map(Some);
        }
        let Some(rest) = text.strip_prefix(PREFIX) else { return Ok(None) };
        let mut parts = rest.rsplitn(3, ':');
        let (Some(token), Some(pin), Some(address)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(JoinError::Incomplete);
        };
        let token = decoded_token(token)?;
        let pin = Pin(decode(pin).ok_or(JoinError::Pin { found: pin.len(), wanted: KEY_CHARS })?);
        Self::tls(address, pin, token).map(Some)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{UNIX_PREFIX}{}", path.display()),
            Self::Tls { address, .. } | Self::Plain { address, .. } => f.write_str(address),
        }
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    /// The token as text, for headers, files and join strings.
    #[must_use]
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The token that `text` shows.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        decode(text).map(Self)
    }
}

fn checked(address: &str) -> Result<String, JoinError> {
    match host_and_port(address) {
        Some(_) => Ok(address.to_owned()),
        None => Err(JoinError::Address { address: shortened(address) }),
    }
}

fn decoded_token(text: &str) -> Result<Token, JoinError> {
    Token::from_text(text).ok_or(JoinError::Token { found: text.len(), wanted: KEY_CHARS })
}

/// Host and port of `HOST:PORT` or `[IPV6]:PORT`; not port 0.
#[must_use]
pub fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|&port| port != 0)?;
    is_host(host).then_some((host, port))
}

/// Whether a text is an address: `HOST:PORT`.
#[must_use]
pub fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| is_host(host) && port.parse::<u16>().is_ok())
}

/// Whether a text is what an address may have before its port: a name, an IPv4 address, or an IPv6 one in brackets.
#[must_use]
pub fn is_host(host: &str) -> bool {
    let is_word = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match bracketed {
        Some(inner) => {
            // A scope (`%eth0`) is part of an address, but not of what the parser takes.
            let (address, scope) = inner.split_once('%').map_or((inner, None), |(a, scope)| (a, Some(scope)));
            address.parse::<std::net::Ipv6Addr>().is_ok() && scope.is_none_or(is_word)
        }
        None => is_word(host),
    }
}

/// A host as flags take it.
///
/// # Errors
/// Says what the form is.
pub fn parse_bare_host(text: &str) -> Result<String, String> {
    let error = || "not a host: give a name or an address (IPv6 in brackets) without a port".to_owned();
    is_host(text).then(|| text.to_owned()).ok_or_else(error)
}

fn decode(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

fn read_join_file(path: &Path) -> Result<Target, JoinError> {
    let failed = |source| JoinError::File { path: path.to_path_buf(), source };
    let meta = path.metadata().map_err(failed)?;
    if !meta.is_file() || meta.len() > JOIN_FILE_MAX_BYTES {
        return Err(JoinError::NotAJoinFile { path: path.to_path_buf() });
    }
    if meta.permissions().mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "other users can read this join file and its token: chmod 600 it");
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    if file.take(JOIN_FILE_MAX_BYTES).read_to_string(&mut text).is_err() {
        return Err(JoinError::NotAJoinFile { path: path.to_path_buf() });
    }
    Target::parse_string(text.trim())?.ok_or_else(|| JoinError::NotAJoinFile { path: path.to_path_buf() })
}

/// Enough of a text to know it again in an error.
fn shortened(text: &str) -> String {
    const SHOWN_CHARS: usize = 60;
    let mut shown: String =
        text.chars().take(SHOWN_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(address: &str) -> Target {
        Target::tls(address, Pin([7; 32]), Token([250; 32])).unwrap()
    }

    #[test]
    fn a_join_string_reads_back() {
        for address in ["10.1.2.3:7000", "node-1.example:1", "[::1]:65535", "[fe80::1%eth0]:7000"] {
            let target = target(address);
            assert_eq!(Target::parse(&format!(" {}\n", target.to_join_string())).unwrap(), target);
            assert_eq!(target.to_string(), address);
        }
        let plain = Target::plain("[::1]:7000", Token([3; 32])).unwrap();
        assert_eq!(Target::parse(&plain.to_join_string()).unwrap(), plain);
        let unix = Target::Unix("/run/muster/x.sock".into());
        assert_eq!(Target::parse(&unix.to_join_string()).unwrap(), unix);
    }

    #[test]
    fn a_damaged_join_string_is_one_clear_line() {
        let whole = target("h:7000").to_join_string();
        for damaged in [
            "muster1:",
            "muster1:h",
            "muster1:h:1",
            "muster1:::",
            "muster1-plain:",
            "muster1-plain:h:7000",
            &target("h:7000").to_join_string().replace(PREFIX, PLAIN_PREFIX),
            "unix:",
            "",
            "no/such/file",
            "h:7000",
            &whole[..whole.len() - 1],
            &whole.replace("h:7000", "h:0"),
            &whole.replace("h:7000", "h:70000"),
            &whole.replace("h:7000", "::1:7000"),
            &whole.replace("h:7000", "[::g]:7000"),
            &whole.replace("h:7000", "[::1%]:7000"),
            &whole.replace("h:7000", "[::1%a\nb]:7000"),
            &whole.replace("h:7000", "7000"),
            &whole.replace("h:7000", "a b:7000"),
            &format!("{whole}:x"),
            &whole.replace("BwcH", "B+cH"),
            "/tmp",
            "/dev/null",
        ] {
            let error = Target::parse(damaged).unwrap_err().to_string();
            assert!(!error.contains('\n') && error.len() > 20, "{damaged}: {error}");
            assert!(
                !error.contains(&target("h:1").to_join_string()[70..]),
                "{damaged} shows the token: {error}"
            );
        }
        assert!(Target::parse("h:7000").unwrap_err().to_string().contains("join string"));
        let wrong_end = format!("{}_", &whole[..whole.len() - 1]);
        assert!(
            Target::parse(&wrong_end)
                .unwrap_err()
                .to_string()
                .contains("token in the join string does not decode")
        );
    }

    #[test]
    fn a_file_may_hold_the_join_string() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("join");
        std::fs::write(&path, format!("{}\n", target("h:1").to_join_string())).unwrap();
        assert_eq!(Target::parse(path.to_str().unwrap()).unwrap(), target("h:1"));
        for bad in [&b"hello"[..], b"", b"\xff\xfe", &[b'x'; 5000]] {
            std::fs::write(&path, bad).unwrap();
            assert!(matches!(Target::parse(path.to_str().unwrap()), Err(JoinError::NotAJoinFile { .. })));
        }
    }

    #[test]
    fn debug_keeps_the_secret() {
        assert!(!format!("{:?}", target("h:1")).contains("250"));
    }
}
