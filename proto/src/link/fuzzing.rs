//! For the fuzz targets: the readers behind this module's files and certificates, without their files. What is read
//! and has a writer is written again.

use std::path::Path;

use rustls::pki_types::CertificateDer;

use super::access::Access;
use super::ca::Authority;
use super::certificate::{Identity, IdentityError, PublicKey, Reader, sign};
use super::error::FileError;
use super::identities::Credential;
use super::moment::Moment;
use super::target::Token;
use super::tokens::{NewToken, TokenBook};

const FILE: &str = "/nowhere/file.json";

/// Reads the file of tokens; gives what was read, as text.
///
/// # Errors
/// It is damaged.
pub fn tokens(text: &str) -> Result<String, FileError> {
    let book = TokenBook::parse(Path::new(FILE), text)?;
    for facts in book.list() {
        drop(format!("{facts:?} {} {:?}", facts.roles, book.check(facts.id)));
    }
    Ok(book.text().unwrap_or_default())
}

/// Reads an access file.
///
/// # Errors
/// It is damaged.
pub fn access(text: &str) -> Result<Access, FileError> {
    Access::parse(Path::new(FILE), text)
}

/// Reads the file of a certificate and its key; gives what was read, as text.
///
/// # Errors
/// Why it cannot be used.
pub fn credential(text: &str) -> Result<String, String> {
    let credential = Credential::from_text(text)?;
    drop((credential.shown(), credential.renew_in(), credential.retry_in()));
    Ok(credential.to_text())
}

/// Takes an authority's keys.
#[derive(Debug)]
pub struct Keys {
    authority: Authority,
    reader: Reader,
}

impl Keys {
    /// The keys in a file of an authority.
    ///
    /// # Errors
    /// Why they cannot be used.
    pub fn read(text: &str) -> Result<Self, String> {
        let tokens =
            TokenBook::parse(Path::new(FILE), "{\"tokens\":[]}").map_err(|error| error.to_string())?;
        let authority = Authority::from_pem(text, Token([7; 32]), tokens, None)?;
        let reader = authority.reader().clone();
        Ok(Self { authority, reader })
    }

    /// Who a certificate says that its owner is.
    ///
    /// # Errors
    /// Why it says nothing.
    pub fn identity(&self, certificate: &[u8], now: Moment) -> Result<Identity, IdentityError> {
        self.reader.read(Some(&CertificateDer::from(certificate)), now)
    }

    /// Signs a key that somebody sent, and reads what was signed; `None`: it is no key.
    ///
    /// # Panics
    /// What was signed is not what is read.
    pub fn enroll(&self, key: &[u8], now: Moment) -> Option<()> {
        let key = PublicKey::new(key)?;
        let facts = super::TokenFacts {
            id: super::TokenId::of(&Token([7; 32])),
            roles: NewToken::standing().roles,
            made: now,
            until: None,
            uses_max: None,
            uses: 0,
            revoked: None,
            note: String::new(),
        };
        let identity = Identity::admitted(&facts, now.later(60)).ok()?;
        let signed = sign(self.authority.issuer(), &key, &identity, now).ok()?;
        assert_eq!(self.identity(&signed, now), Ok(identity), "what is signed is what is read");
        Some(())
    }
}

/// Who the name in a certificate says that its owner is, and the name for that.
#[must_use]
pub fn identity(uri: &str) -> Option<(Identity, String)> {
    let identity = Identity::from_uri(uri)?;
    let written = identity.uri();
    Some((identity, written))
}
