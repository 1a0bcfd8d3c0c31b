//! Who may see the page.

use crate::store::blobs::hex;
use muster_proto::link::{FileError, Hosts, read_private_file};
use std::fmt;
use std::path::{Path, PathBuf};

/// Shorter tokens can be guessed.
const SECRET_BYTES_MIN: usize = 16;
const SECRET_BYTES_MAX: usize = 256;

/// Who may see the page.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Names under which it may be asked for.
    pub hosts: Hosts,
    /// What whoever looks must know; off loopback there is no page without it.
    pub secret: Option<Secret>,
}

/// A token. It is never shown, and kept as its digest alone.
#[derive(Clone)]
pub struct Secret(blake3::Hash);

/// A file without a usable token.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It cannot be read.
    #[error("--page-token: {0}")]
    File(#[from] FileError),
    /// There is none.
    #[error("--page-token: there is no file {}; for example: (umask 077; openssl rand -hex 16 > {})", .0.display(), .0.display())]
    Missing(PathBuf),
    /// It does not hold one token.
    #[error(
        "--page-token: {} holds no token: one line of {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} letters, digits, - and _ is wanted",
        .0.display()
    )]
    NoToken(PathBuf),
}

impl Secret {
    /// The token in a file that only its owner may read.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let text = read_private_file(path)?.ok_or_else(|| SecretError::Missing(path.to_owned()))?;
        Self::new(text.trim()).ok_or_else(|| SecretError::NoToken(path.to_owned()))
    }

    /// A token as it stands in a file; `None` when it is none.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&text.len());
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        (fits && plain).then(|| Self(blake3::hash(text.as_bytes())))
    }

    /// Whether this is the token. Takes as long for each wrong one of a length.
    pub(super) fn is(&self, text: &str) -> bool {
        // Hashes are compared in constant time.
        self.0 == blake3::hash(text.as_bytes())
    }

    /// What a browser is given in its stead, so that the token itself is not stored there.
    pub(super) fn cookie(&self) -> String {
        hex(&blake3::derive_key("muster 2026 cookie of the live page", self.0.as_bytes()))
    }

    /// Whether this is the cookie.
    pub(super) fn is_cookie(&self, text: &str) -> bool {
        blake3::hash(self.cookie().as_bytes()) == blake3::hash(text.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_token_is_one_private_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(Secret::read(&path).unwrap_err().to_string().contains("there is no file"));
        let write = |text: &str, mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for bad in ["", "short", "0123456789abcde", "0123456789 abcdef", "0123456789abcdef\nx"] {
            write(bad, 0o600);
            assert!(Secret::read(&path).unwrap_err().to_string().contains("holds no token"), "{bad}");
        }
        write("0123456789abcdef\n", 0o644);
        assert!(Secret::read(&path).unwrap_err().to_string().contains("chmod 600"));
        write("0123456789abcdef\n", 0o600);
        let secret = Secret::read(&path).unwrap();
        assert!(secret.is("0123456789abcdef") && !secret.is("0123456789abcdeF") && !secret.is(""));
        assert!(secret.is_cookie(&secret.cookie()) && !secret.is_cookie("0123456789abcdef"));
        assert!(!format!("{secret:?} {}", secret.cookie()).contains("0123456789abcdef"));
    }
}
