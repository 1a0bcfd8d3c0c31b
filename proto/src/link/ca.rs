//! The private authority of a cluster: made once, kept in the coordinator's state folder. Clients know it by
//! its pin, the SHA-256 of its certificate, so no name, clock or public authority takes part.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa};
use rcgen::{KeyPair, KeyUsagePurpose};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
};
use sha2::{Digest, Sha256};

use super::SERVER_NAME;
use super::error::{FileError, JoinError};
use super::private_file;
use super::target::{Pin, Target, Token};

const KEYS_FILE: &str = "authority.pem";
const TOKEN_FILE: &str = "token";
const ALPN_HTTP2: &[u8] = b"h2";

/// A cluster's authority, the coordinator's certificate under it, and the token.
#[derive(Debug)]
pub struct Authority {
    pin: Pin,
    token: Token,
    config: Arc<ServerConfig>,
}

impl Authority {
    /// Takes the keys from `folder`, or makes them there. Two processes that start together get the same ones.
    ///
    /// # Errors
    /// A folder that cannot be written, files that others can read, or damaged ones.
    pub fn load_or_create(folder: &Path) -> Result<Self, FileError> {
        private_file::create_folder(folder)?;
        let (keys_path, keys) = load_or(folder, KEYS_FILE, make_keys)?;
        let (token_path, token) = load_or(folder, TOKEN_FILE, make_token)?;
        let token = Token::from_text(token.trim())
            .ok_or_else(|| FileError::Damaged { path: token_path, what: "not a token".into() })?;
        Self::from_pem(&keys, token).map_err(|what| FileError::Damaged { path: keys_path, what })
    }

    /// The pin that clients check.
    #[must_use]
    pub const fn pin(&self) -> Pin {
        self.pin
    }

    /// The token that clients show.
    #[must_use]
    pub const fn token(&self) -> &Token {
        &self.token
    }

    /// What a listener needs for its handshakes.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// The target for clients of a coordinator with this authority at `address` (`HOST:PORT`).
    ///
    /// # Errors
    /// An address that is not `HOST:PORT`.
    pub fn target(&self, address: &str) -> Result<Target, JoinError> {
        Target::tls(address, self.pin, self.token)
    }

    fn from_pem(text: &str, token: Token) -> Result<Self, String> {
        let mut sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes());
        let mut next = |kind: SectionKind, name: &str| match sections.next() {
            Some(Ok((found, der))) if found == kind => Ok(der),
            _ => Err(format!("the {name} is missing")),
        };
        let authority = next(SectionKind::Certificate, "authority's certificate")?;
        next(SectionKind::PrivateKey, "authority's key")?;
        let server = next(SectionKind::Certificate, "server's certificate")?;
        let key = next(SectionKind::PrivateKey, "server's key")?;

        let pin = pin_of(&authority);
        let chain = vec![CertificateDer::from(server), CertificateDer::from(authority)];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| error.to_string())?;
        config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
        // Every link is a full handshake: no tickets to make, send and keep.
        config.send_tls13_tickets = 0;
        Ok(Self { pin, token, config: Arc::new(config) })
    }
}

/// A client's side of TLS: it accepts a server whose chain holds the pinned authority, and no other.
pub(super) fn client_config(pin: Pin) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(PinVerifier { pin, provider: Arc::clone(&provider) });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
    Ok(config)
}

/// The name every server certificate carries.
pub(super) fn server_name() -> ServerName<'static> {
    ServerName::try_from(SERVER_NAME).expect("the constant is a DNS name")
}

/// Whether a handshake failed because the peer is not the pinned one.
pub(super) fn is_wrong_peer(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
}

#[derive(Debug)]
struct PinVerifier {
    pin: Pin,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(authority) = intermediates.iter().find(|der| pin_of(der) == self.pin) else {
            return Err(CertificateError::UnknownIssuer.into());
        };
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let certificate = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &roots,
            &[],
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        verify_server_name(&certificate, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn pin_of(certificate: &[u8]) -> Pin {
    Pin(Sha256::digest(certificate).into())
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

/// Authority certificate and key, server certificate and key, one behind the other.
fn make_keys() -> Result<String, FileError> {
    let failed = |error: rcgen::Error| FileError::Keys { what: error.to_string() };

    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "muster cluster authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority =
        CertifiedIssuer::self_signed(params, KeyPair::generate().map_err(failed)?).map_err(failed)?;

    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::new([SERVER_NAME.to_owned()]).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, SERVER_NAME);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let server = params.signed_by(&key, &authority).map_err(failed)?;

    Ok([authority.pem(), authority.key().serialize_pem(), server.pem(), key.serialize_pem()].concat())
}

fn make_token() -> Result<String, FileError> {
    let bytes = private_file::random_bytes().map_err(|error| FileError::Keys { what: error.to_string() })?;
    Ok(format!("{}\n", Token(bytes).reveal()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn keys_are_made_once_and_stay_private() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("a/state");
        let first = Authority::load_or_create(&state).unwrap();
        let again = Authority::load_or_create(&state).unwrap();
        assert_eq!(first.target("h:1").unwrap(), again.target("h:1").unwrap());
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&state), 0o700);
        assert_eq!((mode(&state.join(KEYS_FILE)), mode(&state.join(TOKEN_FILE))), (0o600, 0o600));

        let other = Authority::load_or_create(&folder.path().join("b")).unwrap();
        assert_ne!(first.pin(), other.pin());
        assert_ne!(first.token(), other.token());
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
