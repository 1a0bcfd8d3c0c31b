//! The certificates that this user's processes have, one for each cluster and token. They are kept in files, so that a
//! token is used once and not by every command.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{KeyPair, PublicKeyData};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::sleep;

use super::access::AccessFolder;
use super::error::FileError;
use super::moment::Moment;
use super::private_file;
use super::target::{Pin, Token};
use crate::hex;
use crate::v1::Enrolled;

/// How often, and with what pause, the lock of a file is tried; then its holder is not waited for any longer.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(20);
const NAME_BYTES: usize = 16;

/// The certificates of this user or, in memory, of this process.
#[derive(Debug, Default)]
pub struct Identities {
    folder: Option<PathBuf>,
    held: Mutex<BTreeMap<String, Arc<Credential>>>,
}

/// A key of our own and the certificate for it.
pub(super) struct Credential {
    key: KeyPair,
    certificate: Vec<u8>,
    /// By this machine's clock, whatever the coordinator's says.
    from: Moment,
    until: Moment,
}

/// A credential in its file.
#[derive(Serialize, Deserialize)]
struct Stored {
    certificate: String,
    key: String,
    from_unix_s: u64,
    until_unix_s: u64,
}

impl Identities {
    /// Those of this user, in `identities` in the user's state folder; without such a folder, of this process.
    #[must_use]
    pub fn of_user() -> &'static Arc<Self> {
        static OF_USER: LazyLock<Arc<Identities>> = LazyLock::new(|| {
            let folder = AccessFolder::state_home().ok().map(|home| home.join("identities"));
            Arc::new(Identities { folder, ..Identities::default() })
        });
        &OF_USER
    }

    /// New ones, in memory alone.
    #[must_use]
    pub fn in_memory() -> Arc<Self> {
        Arc::default()
    }

    /// Those in a folder.
    #[must_use]
    pub fn at(folder: &Path) -> Arc<Self> {
        Arc::new(Self { folder: Some(folder.to_path_buf()), ..Self::default() })
    }

    /// The name under which the credential of a token is kept. Machines that share a folder have one each.
    pub(super) fn name(pin: &Pin, token: &Token) -> String {
        let machine = std::fs::read("/proc/sys/kernel/hostname").unwrap_or_default();
        let hash = Sha256::new().chain_update(pin.0).chain_update(token.0).chain_update(machine).finalize();
        hex(&hash[..NAME_BYTES])
    }

    /// The credential that is kept under a name, unless it has ended.
    pub(super) fn get(&self, name: &str) -> Result<Option<Arc<Credential>>, FileError> {
        let is_good = |credential: &Arc<Credential>| Moment::now() < credential.until;
        if let Some(credential) = self.lock().get(name).filter(|held| is_good(held)) {
            return Ok(Some(Arc::clone(credential)));
        }
        let Some(path) = self.path(name) else { return Ok(None) };
        let Some(text) = private_file::read(&path)? else { return Ok(None) };
        let credential = Credential::from_text(&text);
        let credential = Arc::new(credential.map_err(|what| FileError::Damaged { path, what })?);
        if !is_good(&credential) {
            return Ok(None);
        }
        self.lock().insert(name.to_owned(), Arc::clone(&credential));
        Ok(Some(credential))
    }

    /// The credential that is kept under a name by now, whoever put it there.
    pub(super) fn newest(&self, name: &str) -> Result<Option<Arc<Credential>>, FileError> {
        if self.folder.is_some() {
            self.lock().remove(name);
        }
        self.get(name)
    }

    /// The key that a certificate is asked for with: the same one until there is a certificate. When it cannot be kept
    /// every process has its own.
    pub(super) fn key_to_join_with(&self, name: &str) -> Result<KeyPair, FileError> {
        let Some(path) = self.key_path(name) else { return Ok(new_key()?.0) };
        if let Ok(Some(text)) = private_file::read(&path)
            && let Ok(key) = KeyPair::from_pem(&text)
        {
            return Ok(key);
        }
        let (key, _) = new_key()?;
        let kept = self.folder.as_deref().map_or(Ok(()), private_file::create_folder);
        if let Err(error) = kept.and_then(|()| private_file::replace(&path, &key.serialize_pem())) {
            tracing::warn!(
                %error,
                "this machine's certificate cannot be kept: each process takes a use of the token (set MUSTER_STATE_HOME)"
            );
        }
        Ok(key)
    }

    /// Keeps a credential. When there can be no file it is kept as long as this process lives.
    pub(super) fn keep(&self, name: &str, credential: Credential) -> Arc<Credential> {
        let credential = Arc::new(credential);
        if let Err(error) = self.write(name, &credential) {
            tracing::warn!(%error, "this machine's certificate is kept in memory only");
        }
        self.lock().insert(name.to_owned(), Arc::clone(&credential));
        credential
    }

    /// While this is held no other process joins by the same token. After a while, or without a folder, nobody is waited
    /// for.
    pub(super) async fn join_alone(&self, name: &str) -> Option<File> {
        let path = self.path(name)?.with_extension("lock");
        private_file::create_folder(self.folder.as_deref()?).ok()?;
        for _ in 0..LOCK_TRIES {
            match private_file::try_lock(&path) {
                Ok(Some(lock)) => return Some(lock),
                Ok(None) => sleep(LOCK_PAUSE).await,
                Err(_) => return None,
            }
        }
        None
    }

    fn write(&self, name: &str, credential: &Credential) -> Result<(), FileError> {
        let (Some(folder), Some(path)) = (&self.folder, self.path(name)) else { return Ok(()) };
        private_file::create_folder(folder)?;
        private_file::replace(&path, &credential.to_text())?;
        self.key_path(name).map_or(Ok(()), |path| private_file::remove(&path))
    }

    fn key_path(&self, name: &str) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(format!("{name}.key")))
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(format!("{name}.json")))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Credential>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Credential {
    /// What a coordinator signed for a key that was made for it.
    pub(super) fn new(key: KeyPair, enrolled: Enrolled) -> Self {
        let now = Moment::now();
        let life_s = enrolled.until_unix_s.saturating_sub(enrolled.now_unix_s);
        Self { key, certificate: enrolled.certificate.into(), from: now, until: now.later(life_s) }
    }

    /// What is shown in a handshake.
    pub(super) fn shown(&self) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der());
        (CertificateDer::from(self.certificate.clone()), PrivateKeyDer::from(key))
    }

    /// Whether both are the same certificate.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.certificate == other.certificate
    }

    /// How long until it should be renewed: after two thirds of its life.
    pub(super) fn renew_in(&self) -> Duration {
        let life = self.until.since(self.from);
        self.from.later((life * 2 / 3).as_secs()).since(Moment::now())
    }

    /// How long to wait before trying again what failed.
    pub(super) fn retry_in(&self) -> Duration {
        (self.until.since(self.from) / 20).max(Duration::from_secs(1))
    }

    pub(super) fn to_text(&self) -> String {
        let stored = Stored {
            certificate: STANDARD.encode(&self.certificate),
            key: self.key.serialize_pem(),
            from_unix_s: self.from.unix_s(),
            until_unix_s: self.until.unix_s(),
        };
        serde_json::to_string_pretty(&stored).expect("texts and numbers can be written") + "\n"
    }

    pub(super) fn from_text(text: &str) -> Result<Self, String> {
        let stored: Stored = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Ok(Self {
            key: KeyPair::from_pem(&stored.key).map_err(|_| "the key is no private key in PEM".to_owned())?,
            certificate: STANDARD
                .decode(stored.certificate)
                .map_err(|error| format!("the certificate: {error}"))?,
            from: Moment::of_unix_s(stored.from_unix_s),
            until: Moment::of_unix_s(stored.until_unix_s),
        })
    }
}

/// A new key and its public half, as the coordinator wants it.
pub(super) fn new_key() -> Result<(KeyPair, Vec<u8>), FileError> {
    let key = KeyPair::generate().map_err(|error| FileError::Keys { what: error.to_string() })?;
    let public = key.der_bytes().to_vec();
    Ok((key, public))
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential(until {})", self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn other_credential() -> Credential {
        Credential { certificate: vec![9], ..credential(100) }
    }

    fn credential(life_s: u64) -> Credential {
        let enrolled = Enrolled {
            certificate: vec![1, 2, 3].into(),
            now_unix_s: 5,
            until_unix_s: 5 + life_s,
            ..Enrolled::default()
        };
        Credential::new(new_key().unwrap().0, enrolled)
    }

    #[test]
    fn a_credential_is_found_by_the_next_process_until_it_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("identities");
        let first = Identities::at(&at);
        let name = Identities::name(&Pin([1; 32]), &Token([2; 32]));
        assert_ne!(name, Identities::name(&Pin([1; 32]), &Token([3; 32])));
        assert!(first.get(&name).unwrap().is_none());
        first.keep(&name, credential(100));
        let path = at.join(format!("{name}.json"));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let second = Identities::at(&at);
        let found = second.get(&name).unwrap().unwrap();
        assert_eq!(found.certificate, [1, 2, 3]);
        assert!((60..=66).contains(&found.renew_in().as_secs()), "{:?}", found.renew_in());
        // A key that was asked with stays the same until there is a certificate for it.
        let key = || Identities::at(&at).key_to_join_with(&name).unwrap().serialize_pem();
        assert_eq!(key(), key());
        let before = key();
        second.keep(&name, credential(100));
        assert_ne!(key(), before);
        assert!(!first.newest(&name).unwrap().unwrap().is(&first.keep(&name, other_credential())));
        second.keep(&name, credential(0));
        assert!(second.get(&name).unwrap().is_none() && Identities::at(&at).get(&name).unwrap().is_none());
        let of_key = |key: &str| {
            format!("{{\"certificate\": \"!\", \"key\": \"{key}\", \"from_unix_s\": 1, \"until_unix_s\": 2}}")
        };
        let two_lines = of_key("-----BEGIN A-----\\nAAAA\\n-----END B\\nC-----");
        for bad in ["", "{}", &of_key(""), &two_lines] {
            private_file::replace(&path, bad).unwrap();
            let error = Identities::at(&at).get(&name).unwrap_err().to_string();
            assert!(error.contains("remove it so that it is made anew") && !error.contains('\n'), "{error}");
        }
    }

    #[tokio::test]
    async fn one_process_joins_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (Identities::at(folder.path()), Identities::at(folder.path()));
        let held = one.join_alone("x").await.unwrap();
        let waits = tokio::spawn(async move { other.join_alone("x").await.is_some() });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        drop(held);
        assert!(waits.await.unwrap());
        assert!(Identities::in_memory().join_alone("x").await.is_none());
    }
}
