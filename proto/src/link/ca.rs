//! The private authority of a cluster: made once, kept in the coordinator's state folder. Clients know it by
//! its pin, the SHA-256 of its certificate, so no name, clock or public authority takes part. It signs the certificates
//! of those whom a token admits.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::SERVER_NAME;
use super::capacity::Capacity;
use super::certificate::{self, Identity, PublicKey, Reader};
use super::error::{FileError, JoinError};
use super::moment::Moment;
use super::private_file;
use super::session::Sessions;
use super::target::{Pin, Target, Token};
use super::tokens::{TokenBook, TokenError, TokenFacts, TokenId, TokenRefusal};
use super::verifier::{pin_of, server_config};

pub(super) use super::verifier::provider;

const KEYS_FILE: &str = "authority.pem";
const TOKEN_FILE: &str = "token";
const TOKENS_FILE: &str = "tokens.json";
const LOCK_FILE: &str = "lock";

/// How long a certificate is good for, unless a coordinator is told otherwise.
pub const CERTIFICATE_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// A cluster's authority, the coordinator's certificate under it, and the tokens.
pub struct Authority {
    pin: Pin,
    standing: Token,
    tokens: TokenBook,
    issuer: Issuer<'static, KeyPair>,
    reader: Reader,
    sessions: Sessions,
    config: Arc<ServerConfig>,
    life_s: u64,
    // Two that change the same tokens would forget each other's.
    _lock: Option<File>,
}

/// A certificate that was just signed.
#[derive(Clone, Debug)]
pub struct Signed {
    /// DER.
    pub certificate: Vec<u8>,
    /// Whose it is.
    pub identity: Identity,
    /// When it was signed.
    pub at: Moment,
}

impl Authority {
    /// Takes the keys and tokens from `folder`, or makes them there. They are this one's alone as long as it lives.
    ///
    /// # Errors
    /// A folder that cannot be written or that another process uses, files that others can read, or damaged ones.
    pub fn load_or_create(folder: &Path) -> Result<Self, FileError> {
        private_file::create_folder(folder)?;
        let lock = private_file::try_lock(&folder.join(LOCK_FILE))?;
        let lock = lock.ok_or_else(|| FileError::KeysInUse { folder: folder.to_path_buf() })?;
        let (keys_path, keys) = load_or(folder, KEYS_FILE, make_keys)?;
        let tokens = TokenBook::load(&folder.join(TOKENS_FILE))?;
        let standing = standing_token(folder, &tokens)?;
        Self::from_pem(&keys, standing, tokens, Some(lock))
            .map_err(|what| FileError::Damaged { path: keys_path, what })
    }

    /// The files in `folder` that make an authority the same again elsewhere, by name, once it is seen that they can be read.
    /// Nothing is made or locked; there are none where no coordinator ever listened for other machines.
    ///
    /// # Errors
    /// Files that others can read, or damaged ones.
    pub fn files(folder: &Path) -> Result<Vec<(&'static str, String)>, FileError> {
        let read =
            |name| Ok::<_, FileError>(private_file::read(&folder.join(name))?.map(|text| (name, text)));
        let (keys, token, tokens) = (read(KEYS_FILE)?, read(TOKEN_FILE)?, read(TOKENS_FILE)?);
        let damaged = |name: &str, what| FileError::Damaged { path: folder.join(name), what };
        let standing = match &token {
            Some((name, text)) => {
                Token::from_text(text.trim()).ok_or_else(|| damaged(name, "not a token".into()))?
            }
            None => Token([0; 32]),
        };
        let book = TokenBook::load(&folder.join(TOKENS_FILE))?;
        if let Some((name, text)) = &keys {
            Self::from_pem(text, standing, book, None).map_err(|what| damaged(name, what))?;
        }
        Ok([keys, token, tokens].into_iter().flatten().collect())
    }

    /// The same authority, whose certificates are good for so long.
    #[must_use]
    pub fn with_certificate_life(self, life: Duration) -> Self {
        Self { life_s: life.as_secs(), ..self }
    }

    /// Copies the files that make an authority to a folder, and says whether there are any.
    ///
    /// # Errors
    /// As [`Authority::files`], and when the copies cannot be written.
    pub fn copy_files(from: &Path, to: &Path) -> Result<bool, FileError> {
        let files = Self::files(from)?;
        if files.is_empty() {
            return Ok(false);
        }
        private_file::create_folder(to)?;
        files.iter().try_for_each(|(name, text)| private_file::replace(&to.join(name), text))?;
        Ok(true)
    }

    /// The same authority, with so much room for tokens and connections.
    #[must_use]
    pub fn with_capacity(self, capacity: Capacity) -> Self {
        Self {
            tokens: self.tokens.with_most(capacity.tokens),
            sessions: Sessions::with_most(capacity.connections),
            ..self
        }
    }

    /// The pin that clients check.
    #[must_use]
    pub const fn pin(&self) -> Pin {
        self.pin
    }

    /// The token in the join string that is printed at start: for workers.
    #[must_use]
    pub const fn standing_token(&self) -> &Token {
        &self.standing
    }

    /// All tokens.
    #[must_use]
    pub const fn tokens(&self) -> &TokenBook {
        &self.tokens
    }

    /// The open connections of those who joined.
    #[must_use]
    pub const fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// What a listener needs for its handshakes.
    pub(super) fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// What a listener needs to know callers.
    pub(super) const fn reader(&self) -> &Reader {
        &self.reader
    }

    #[cfg(fuzzing)]
    pub(super) const fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    /// The target of a coordinator with this authority at `address` (`HOST:PORT`) for whoever has the token.
    ///
    /// # Errors
    /// An address that is not `HOST:PORT`.
    pub fn target(&self, address: &str, token: Token) -> Result<Target, JoinError> {
        Target::tls(address, self.pin, token)
    }

    /// A certificate for whoever has a token, with a new identity. It takes one use of the token, unless the key is known
    /// from before, and writes to the disk when uses are counted.
    ///
    /// # Errors
    /// Why the token admits nobody.
    pub fn enroll(&self, token: &Token, key: &PublicKey, now: Moment) -> Result<Signed, TokenError> {
        let facts = self.tokens.admit(token, key.der_bytes(), now)?;
        let identity = Identity::admitted(&facts, now.later(self.life_s))?;
        self.sign(key, identity, now)
    }

    /// A later certificate for an identity.
    ///
    /// # Errors
    /// When its token was revoked.
    pub fn renew(&self, identity: &Identity, key: &PublicKey, now: Moment) -> Result<Signed, TokenError> {
        self.tokens.check(identity.token)?;
        let identity = Identity { until: now.later(self.life_s), ..identity.clone() };
        self.sign(key, identity, now)
    }

    /// Revokes a token: what was signed for it is refused from now on, and open connections end. How many did.
    ///
    /// # Errors
    /// As [`TokenBook::revoke`].
    pub fn revoke(&self, token: TokenId, now: Moment) -> Result<(TokenFacts, usize), TokenError> {
        let revoked = self.tokens.revoke(token, TokenId::of(&self.standing), now, self.life_s);
        // Also when it could not be written down: it holds as long as this process does.
        let ended = self.sessions.end_of_token(token);
        revoked.map(|facts| (facts, ended))
    }

    fn sign(&self, key: &PublicKey, identity: Identity, now: Moment) -> Result<Signed, TokenError> {
        let certificate = certificate::sign(&self.issuer, key, &identity, now)
            .map_err(|error| FileError::Keys { what: error.to_string() })?;
        Ok(Signed { certificate, identity, at: now })
    }

    pub(super) fn from_pem(
        text: &str,
        standing: Token,
        tokens: TokenBook,
        lock: Option<File>,
    ) -> Result<Self, String> {
        let mut sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes());
        let mut next = |kind: SectionKind, name: &str| match sections.next() {
            Some(Ok((found, der))) if found == kind => Ok(der),
            _ => Err(format!("the {name} is missing")),
        };
        let authority = next(SectionKind::Certificate, "authority's certificate")?;
        let authority_key = next(SectionKind::PrivateKey, "authority's key")?;
        let server = next(SectionKind::Certificate, "server's certificate")?;
        let key = next(SectionKind::PrivateKey, "server's key")?;

        let authority_key =
            KeyPair::try_from(authority_key).map_err(|error| format!("the authority's key: {error}"))?;
        let (pin, reader) = (pin_of(&authority), Reader::new(&authority)?);
        let chain = vec![CertificateDer::from(server), CertificateDer::from(authority)];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key));
        let config = server_config(chain, key).map_err(|error| error.to_string())?;
        Ok(Self {
            pin,
            standing,
            tokens,
            issuer: Issuer::new(authority_params(), authority_key),
            reader,
            sessions: Sessions::default(),
            config: Arc::new(config),
            life_s: CERTIFICATE_LIFE.as_secs(),
            _lock: lock,
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({})", self.pin)
    }
}

/// The token whose join string is printed. One that was revoked is replaced.
fn standing_token(folder: &Path, tokens: &TokenBook) -> Result<Token, FileError> {
    let load = || {
        let (path, text) = load_or(folder, TOKEN_FILE, make_token)?;
        Token::from_text(text.trim()).ok_or_else(|| FileError::Damaged { path, what: "not a token".into() })
    };
    let mut token = load()?;
    if matches!(tokens.check(TokenId::of(&token)), Err(TokenRefusal::Revoked { .. })) {
        private_file::remove(&folder.join(TOKEN_FILE))?;
        token = load()?;
    }
    if tokens.check(TokenId::of(&token)).is_err() {
        tokens.add_standing(&token, Moment::now()).map_err(|error| match error {
            TokenError::File(error) => error,
            error => FileError::DamagedTokens { path: folder.join(TOKENS_FILE), what: error.to_string() },
        })?;
    }
    Ok(token)
}

fn load_or(
    folder: &Path,
    name: &str,
    make: impl FnOnce() -> Result<String, FileError>,
) -> Result<(PathBuf, String), FileError> {
    let path = folder.join(name);
    if let Some(text) = private_file::read(&path)? {
        return Ok((path, text));
    }
    private_file::create(&path, &make()?)?;
    // Read back: another process may have been first.
    match private_file::read(&path)? {
        Some(text) => Ok((path, text)),
        None => Err(FileError::Damaged { path, what: "it vanished".into() }),
    }
}

/// What an authority's certificate says, and what the certificates that it signs say about it.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "muster cluster authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Authority certificate and key, server certificate and key, one behind the other.
fn make_keys() -> Result<String, FileError> {
    let failed = |error: rcgen::Error| FileError::Keys { what: error.to_string() };

    let authority_key = KeyPair::generate().map_err(failed)?;
    let authority = authority_params().self_signed(&authority_key).map_err(failed)?;
    let authority_key_pem = authority_key.serialize_pem();
    let issuer = Issuer::new(authority_params(), authority_key);

    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::new([SERVER_NAME.to_owned()]).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, SERVER_NAME);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let server = params.signed_by(&key, &issuer).map_err(failed)?;

    Ok([authority.pem(), authority_key_pem, server.pem(), key.serialize_pem()].concat())
}

fn make_token() -> Result<String, FileError> {
    let bytes = private_file::random_bytes().map_err(|error| FileError::Keys { what: error.to_string() })?;
    Ok(format!("{}\n", Token(bytes).reveal()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// An authority's signing side and what reads its certificates.
    pub(in crate::link) fn keys() -> (Issuer<'static, KeyPair>, Reader) {
        let key = KeyPair::generate().unwrap();
        let certificate = authority_params().self_signed(&key).unwrap();
        (Issuer::new(authority_params(), key), Reader::new(certificate.der()).unwrap())
    }

    #[test]
    fn keys_are_made_once_and_stay_private() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("a/state");
        let first = Authority::load_or_create(&state).unwrap();
        let error = Authority::load_or_create(&state).unwrap_err();
        assert!(matches!(error, FileError::KeysInUse { .. }), "{error}");
        let (pin, token) = (first.pin(), *first.standing_token());
        drop(first);
        let first = Authority::load_or_create(&state).unwrap();
        assert_eq!((first.pin(), *first.standing_token()), (pin, token));
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&state), 0o700);
        for file in [KEYS_FILE, TOKEN_FILE, TOKENS_FILE] {
            assert_eq!(mode(&state.join(file)), 0o600, "{file}");
        }
        let text = std::fs::read_to_string(state.join(TOKENS_FILE)).unwrap();
        assert!(!text.contains(&first.standing_token().reveal()));

        let other = Authority::load_or_create(&folder.path().join("b")).unwrap();
        assert_ne!(first.pin(), other.pin());
        assert_ne!(first.standing_token(), other.standing_token());
    }

    #[test]
    fn an_identity_renews_its_certificate_until_its_token_is_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let authority =
            Authority::load_or_create(folder.path()).unwrap().with_certificate_life(Duration::from_secs(60));
        let key = KeyPair::generate().unwrap();
        let key = PublicKey::new(key.der_bytes()).unwrap();
        let now = Moment::now();
        let token = *authority.standing_token();
        let first = authority.enroll(&token, &key, now).unwrap();
        assert_eq!(first.identity.until, now.later(60));
        let renewed = authority.renew(&first.identity, &key, now.later(40)).unwrap();
        assert_eq!(renewed.identity, Identity { until: now.later(100), ..first.identity.clone() });
        let read = |signed: &Signed, at| {
            authority.reader().read(Some(&CertificateDer::from(signed.certificate.clone())), at)
        };
        assert!(read(&first, now.later(61)).is_err());
        assert_eq!(read(&renewed, now.later(61)), Ok(renewed.identity.clone()));
        authority.revoke(first.identity.token, now).unwrap();
        assert!(authority.renew(&renewed.identity, &key, now).is_err());
        drop(authority);

        let again = Authority::load_or_create(folder.path()).unwrap();
        assert_ne!(*again.standing_token(), token, "the next start prints another one");
        assert!(again.enroll(&token, &key, now).is_err());
        assert!(again.enroll(again.standing_token(), &key, now).is_ok());
    }

    #[test]
    fn damaged_keys_are_named() {
        let folder = tempfile::tempdir().unwrap();
        Authority::load_or_create(folder.path()).unwrap();
        let path = folder.path().join(KEYS_FILE);
        let whole = std::fs::read_to_string(&path).unwrap();
        let last = whole.rfind("-----BEGIN").unwrap();
        for bad in ["", "hello", &whole[..last], &whole[last..]] {
            std::fs::write(&path, bad).unwrap();
            let error = Authority::load_or_create(folder.path()).unwrap_err();
            assert!(matches!(error, FileError::Damaged { .. }), "{error}");
        }
        std::fs::write(&path, whole).unwrap();
        std::fs::write(folder.path().join(TOKEN_FILE), "short").unwrap();
        assert!(matches!(Authority::load_or_create(folder.path()), Err(FileError::Damaged { .. })));
    }
}
