//! A token that stands in a file, for pages over plain HTTP.

use std::fmt;
use std::path::{Path, PathBuf};

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};

use super::error::FileError;
use super::private_file;
use crate::hex;

/// Shorter tokens can be guessed.
const SECRET_BYTES_MIN: usize = 16;
const SECRET_BYTES_MAX: usize = 256;
/// What a cookie is derived with.
const COOKIE_OF: &[u8] = b"muster 2026 cookie of the live page";

/// A token. It is never shown, and kept as its digest alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

/// A file without a usable token.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It cannot be read.
    #[error("{flag}: {source}")]
    File {
        /// The flag that names it.
        flag: &'static str,
        /// Why.
        source: FileError,
    },
    /// There is none.
    #[error("{flag}: there is no file {path}; for example: (umask 077; openssl rand -hex 16 > {path})", path = .path.display())]
    Missing {
        /// The flag that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// It does not hold one token.
    #[error(
        "{flag}: {} holds no token: one line of {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} letters, digits, - and _ is wanted",
        .path.display()
    )]
    NoToken {
        /// The flag that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
    },
}

impl Secret {
    /// The token in a file that only its owner may read, as a flag names it.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn read(flag: &'static str, path: &Path) -> Result<Self, SecretError> {
        let text = private_file::read(path).map_err(|source| SecretError::File { flag, source })?;
        let text = text.ok_or_else(|| SecretError::Missing { flag, path: path.to_owned() })?;
        Self::new(text.trim()).ok_or_else(|| SecretError::NoToken { flag, path: path.to_owned() })
    }

    /// A token as it stands in a file; `None` when it is none.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&text.len());
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        (fits && plain).then(|| Self(Sha256::digest(text).into()))
    }

    /// Whether this is the token. What is compared are digests: a difference in time tells nothing that helps to guess.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.0 == <[u8; 32]>::from(Sha256::digest(text))
    }

    /// Whether a request carries the token (`Authorization: Bearer TOKEN`).
    #[must_use]
    pub fn is_shown(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        shown.and_then(|text| text.strip_prefix("Bearer ")).is_some_and(|token| self.is(token))
    }

    /// What a browser is given in its stead, so that the token itself is not stored there.
    #[must_use]
    pub fn cookie(&self) -> String {
        hex(&Sha256::new().chain_update(COOKIE_OF).chain_update(self.0).finalize())
    }

    /// Whether this is the cookie.
    #[must_use]
    pub fn is_cookie(&self, text: &str) -> bool {
        Sha256::digest(self.cookie()) == Sha256::digest(text)
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
        let read = || Secret::read("--page-token", &path);
        assert!(read().unwrap_err().to_string().contains("--page-token: there is no file"));
        let write = |text: &str, mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for bad in ["", "short", "0123456789abcde", "0123456789 abcdef", "0123456789abcdef\nx"] {
            write(bad, 0o600);
            assert!(read().unwrap_err().to_string().contains("holds no token"), "{bad}");
        }
        write("0123456789abcdef\n", 0o644);
        assert!(read().unwrap_err().to_string().contains("chmod 600"));
        write("0123456789abcdef\n", 0o600);
        let secret = read().unwrap();
        assert!(secret.is("0123456789abcdef") && !secret.is("0123456789abcdeF") && !secret.is(""));
        assert!(secret.is_cookie(&secret.cookie()) && !secret.is_cookie("0123456789abcdef"));
        assert!(!format!("{secret:?} {}", secret.cookie()).contains("0123456789abcdef"));
        let mut headers = HeaderMap::new();
        for (value, is_shown) in [
            ("0123456789abcdef", false),
            ("Bearer 0123456789abcdef", true),
            ("Bearer ", false),
            ("Basic x", false),
        ] {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            assert_eq!(secret.is_shown(&headers), is_shown, "{value}");
        }
    }
}
