//! Certificates of identities: what the authority signs, and what is read from one that is shown. Whoever shows one has
//! proved in the TLS handshake that the key is his.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SignatureAlgorithm,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, Error as RustlsError, RootCertStore};

use super::ca::provider;
use super::error::FileError;
use super::moment::Moment;
use super::private_file::random_bytes;
use super::role::Roles;
use super::tokens::{TokenFacts, TokenId, TokenRefusal};
use crate::hex;

/// A certificate is valid from so long before it was made, for clocks that differ.
const SLACK_S: u64 = 300;
/// An uncompressed point on P-256.
pub const PUBLIC_KEY_BYTES: usize = 65;
const UNCOMPRESSED: u8 = 4;
const SCHEME: &str = "muster:";

/// Who is at the other end of a connection from another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its own name, made when it joined.
    pub id: IdentityId,
    /// The token by which it joined.
    pub token: TokenId,
    /// What it may do.
    pub roles: Roles,
    /// When its certificate ends.
    pub until: Moment,
}

/// An identity's name. Two never have the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdentityId([u8; 8]);

/// Why a caller has no identity here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// No certificate was shown.
    #[error("no certificate was shown: connect with a join string, which muster turns into one")]
    None,
    /// Another authority signed it, or none.
    #[error(
        "the certificate is not one of this cluster's authority: connect with this cluster's join string"
    )]
    Foreign,
    /// It has ended.
    #[error("the certificate ended at {at}: join again, by a token that is still good")]
    Ended {
        /// When.
        at: Moment,
    },
    /// It has not begun.
    #[error("the certificate is valid only from {from} on: compare the clock of the coordinator's machine")]
    NotYet {
        /// From when on.
        from: Moment,
    },
    /// It is not a certificate, or not one of muster's.
    #[error("the certificate cannot be used ({what}): join again")]
    Damaged {
        /// What is wrong.
        what: String,
    },
    /// Its identity has as many connections as one may have.
    #[error(
        "this identity has {max} connections open, the limit: close some, or join others by tokens of their own (the coordinator's \
         --limit connections=N sets it)"
    )]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// The token by which it joined is no longer good.
    #[error("{0}")]
    Token(#[from] TokenRefusal),
}

/// A key that a certificate was asked for.
#[derive(Clone, Copy, Debug)]
pub struct PublicKey([u8; PUBLIC_KEY_BYTES]);

impl PublicKey {
    /// A point on P-256, uncompressed. Whether it is on the curve shows when its owner signs the handshake.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.try_into().ok()?;
        Some(Self(bytes)).filter(|key| key.0[0] == UNCOMPRESSED)
    }
}

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl Identity {
    /// A new identity for somebody whom a token admitted.
    ///
    /// # Errors
    /// When the kernel has no random numbers.
    pub(super) fn admitted(facts: &TokenFacts, until: Moment) -> Result<Self, FileError> {
        let id = random_bytes().map_err(|error| FileError::Keys { what: error.to_string() })?;
        Ok(Self { id: IdentityId(id), token: facts.id, roles: facts.roles, until })
    }

    pub(super) fn uri(&self) -> String {
        format!("{SCHEME}{}?token={}&roles={}&until={}", self.id, self.token, self.roles, self.until.unix_s())
    }

    pub(super) fn from_uri(uri: &str) -> Option<Self> {
        let (id, claims) = uri.strip_prefix(SCHEME)?.split_once('?')?;
        let mut claims = claims.split('&');
        let mut next = |name: &str| claims.next()?.strip_prefix(name)?.strip_prefix('=');
        let (token, roles, until) = (next("token")?, next("roles")?, next("until")?);
        Some(Self {
            id: id.parse().ok()?,
            token: token.parse().ok()?,
            roles: roles.parse().ok()?,
            until: Moment::of_unix_s(until.parse().ok()?),
        })
    }
}

/// Signs a certificate for an identity, valid from a little before `now`. DER.
///
/// # Errors
/// The library's reason.
pub(super) fn sign(
    issuer: &Issuer<'_, KeyPair>,
    key: &PublicKey,
    identity: &Identity,
    now: Moment,
) -> Result<Vec<u8>, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("muster {}", identity.roles));
    params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(identity.uri())?)];
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = now.earlier(SLACK_S).date();
    params.not_after = identity.until.date();
    Ok(params.signed_by(key, issuer)?.der().to_vec())
}

/// Reads the certificates that callers show.
#[derive(Clone, Debug)]
pub struct Reader {
    verifier: Arc<dyn ClientCertVerifier>,
}

impl Reader {
    /// Reads what an authority signed.
    pub(super) fn new(authority: &[u8]) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(authority.to_vec())).map_err(|error| error.to_string())?;
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        Ok(Self { verifier: builder.build().map_err(|error| error.to_string())? })
    }

    /// The identity in a certificate.
    ///
    /// # Errors
    /// Why there is none in it.
    pub(super) fn read(
        &self,
        certificate: Option<&CertificateDer<'_>>,
        now: Moment,
    ) -> Result<Identity, IdentityError> {
        let certificate = certificate.ok_or(IdentityError::None)?;
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.unix_s()));
        self.verifier.verify_client_cert(certificate, &[], now).map_err(refusal)?;
        let damaged = |what: &str| IdentityError::Damaged { what: what.to_owned() };
        let parsed =
            webpki::EndEntityCert::try_from(certificate).map_err(|error| damaged(&format!("{error:?}")))?;
        let mut uris = parsed.valid_uri_names();
        uris.find_map(Identity::from_uri).ok_or_else(|| damaged("it names no identity of muster"))
    }
}

fn refusal(error: RustlsError) -> IdentityError {
    let moment = |time: UnixTime| Moment::of_unix_s(time.as_secs());
    match error {
        RustlsError::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            IdentityError::Ended { at: moment(not_after) }
        }
        RustlsError::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => {
            IdentityError::NotYet { from: moment(not_before) }
        }
        RustlsError::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            IdentityError::Foreign
        }
        other => IdentityError::Damaged { what: other.to_string() },
    }
}

impl fmt::Display for IdentityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for IdentityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for IdentityId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(|number| Self(number.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::ca::tests::keys;
    use crate::link::role::Role;
    use crate::link::target::Token;

    const NOW: Moment = Moment::of_unix_s(1_800_000_000);

    fn identity() -> Identity {
        Identity {
            id: IdentityId([9; 8]),
            token: TokenId::of(&Token([1; 32])),
            roles: Roles::of(&[Role::Submitter, Role::Publisher]),
            until: NOW.later(60),
        }
    }

    #[test]
    fn an_identity_is_what_its_certificate_says() {
        let (issuer, reader) = keys();
        let key = KeyPair::generate().unwrap();
        let public = PublicKey::new(key.der_bytes()).unwrap();
        let der = CertificateDer::from(sign(&issuer, &public, &identity(), NOW).unwrap());
        let read = |now| reader.read(Some(&der), now);
        assert_eq!(read(NOW), Ok(identity()));
        assert_eq!(read(NOW.earlier(SLACK_S)), Ok(identity()));
        assert_eq!(read(NOW.later(60)), Ok(identity()));
        assert_eq!(read(NOW.later(61)), Err(IdentityError::Ended { at: NOW.later(60) }));
        let from = NOW.earlier(SLACK_S);
        assert_eq!(read(from.earlier(1)), Err(IdentityError::NotYet { from }));

        let (_, other) = keys();
        assert_eq!(other.read(Some(&der), NOW), Err(IdentityError::Foreign));
        assert_eq!(reader.read(None, NOW), Err(IdentityError::None));
        for cut in [0, 1, der.len() / 2, der.len() - 1] {
            let cut = CertificateDer::from(der[..cut].to_vec());
            assert!(matches!(reader.read(Some(&cut), NOW), Err(IdentityError::Damaged { .. })));
        }
    }

    /// Each byte of a certificate, changed: never another identity.
    #[test]
    fn no_changed_certificate_is_read() {
        let (issuer, reader) = keys();
        let key = KeyPair::generate().unwrap();
        let public = PublicKey::new(key.der_bytes()).unwrap();
        let whole = sign(&issuer, &public, &identity(), NOW).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            let read = reader.read(Some(&CertificateDer::from(changed)), NOW);
            assert!(read.is_err(), "byte {at}: {read:?}");
        }
    }

    #[test]
    fn other_certificates_of_the_authority_name_nobody() {
        let (issuer, reader) = keys();
        let key = KeyPair::generate().unwrap();
        for uri in ["muster:", "https://example.org/", "muster:00?token=00&roles=root&until=1"] {
            let mut params = CertificateParams::default();
            params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(uri).unwrap())];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            let der = params.signed_by(&key, &issuer).unwrap().der().clone();
            assert!(matches!(reader.read(Some(&der), NOW), Err(IdentityError::Damaged { .. })), "{uri}");
        }
    }

    #[test]
    fn keys_of_another_form_are_none() {
        for bad in [&[][..], &[4; 64], &[4; 66], &[2; 65]] {
            assert!(PublicKey::new(bad).is_none());
        }
    }
}
