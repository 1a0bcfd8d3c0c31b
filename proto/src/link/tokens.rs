//! The tokens of a cluster: who made them, what they are good for, and whether they still are. Of a token only its
//! hash is kept, in a file beside the authority's keys.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::capacity::Capacity;
use super::error::FileError;
use super::moment::Moment;
use super::private_file;
use super::role::{Role, Roles};
use super::target::Token;
use crate::hex;

/// Bytes of a token's note.
pub const NOTE_BYTES_MAX: usize = 200;
/// Keys for which a token gave certificates that are remembered: whoever asks again with one takes no further use.
const KEYS_MAX: usize = 64;
/// Hex digits of a remembered key's hash.
const KEY_DIGITS: usize = 32;

const ID_BYTES: usize = 6;

/// A token's name: the beginning of its hash, so it tells nothing about the token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenId([u8; ID_BYTES]);

/// What is known about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFacts {
    /// Its name.
    pub id: TokenId,
    /// What its identities may do.
    pub roles: Roles,
    /// When it was made.
    pub made: Moment,
    /// When it ends; identities that joined by then go on.
    pub until: Option<Moment>,
    /// How many certificates it may give.
    pub uses_max: Option<u32>,
    /// How many it gave, as far as was counted.
    pub uses: u64,
    /// When it was revoked, with all its identities.
    pub revoked: Option<Moment>,
    /// For whom it is, in the words of who made it.
    pub note: String,
}

/// A token that is to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewToken {
    /// What its identities may do.
    pub roles: Roles,
    /// Seconds until it ends; `None`: it does not.
    pub life_s: Option<u64>,
    /// How many certificates it may give; `None`: any number.
    pub uses_max: Option<u32>,
    /// For whom it is.
    pub note: String,
}

/// Why a token admits nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// No such token, or none any more.
    #[error("this cluster has no such token: {MAKE_ONE}")]
    Unknown,
    /// Its time is over.
    #[error("the token ended at {at}: {MAKE_ONE}")]
    Ended {
        /// When.
        at: Moment,
    },
    /// It gave all the certificates that it may give.
    #[error(
        "the token is used up ({uses} of {uses} uses): {MAKE_ONE}, with --uses for more than one machine"
    )]
    UsedUp {
        /// How many.
        uses: u32,
    },
    /// Somebody revoked it.
    #[error("the token {id} was revoked at {at}, and with it all who joined by it: {MAKE_ONE}")]
    Revoked {
        /// Which.
        id: TokenId,
        /// When.
        at: Moment,
    },
    /// A connection that cannot hold a certificate.
    #[error("the token has a number of uses, which cannot be counted without TLS: make one with --uses any")]
    Counted,
}

const MAKE_ONE: &str = "make one on the coordinator's machine, muster token new --role ROLE";

/// Why the tokens could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It admits nobody.
    #[error(transparent)]
    Refused(#[from] TokenRefusal),
    /// No token of that name.
    #[error("there is no token {id}: muster token ls lists them")]
    NoToken {
        /// The name.
        id: TokenId,
    },
    /// The limit is reached.
    #[error(
        "there are {max} tokens, the limit: revoke those that nobody needs (the coordinator's --limit tokens=N sets it)"
    )]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// The tokens, with the keys that they gave certificates for, are more than their file may hold.
    #[error("the file of tokens would have {bytes} bytes: at most {max}; revoke those that nobody needs")]
    FileFull {
        /// What it would have.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// It holds as long as this coordinator runs, and no longer.
    #[error("the token is revoked, but only until the next start: {0}")]
    UntilRestart(FileError),
    /// The file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The tokens of a cluster, in memory and in their file.
#[derive(Debug)]
pub struct TokenBook {
    path: PathBuf,
    /// Tokens that may be there without being revoked.
    most: usize,
    /// Read by every call, so never held while something is written to the disk.
    entries: RwLock<BTreeMap<TokenId, Entry>>,
    /// Held by who changes the file.
    changing: Mutex<()>,
}

/// A token in the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    /// Hex; the id is its beginning.
    sha256: String,
    roles: String,
    made_unix_s: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until_unix_s: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uses_max: Option<u32>,
    #[serde(default)]
    uses: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked_unix_s: Option<u64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    note: String,
    /// The beginnings of hashes of the last keys, where uses are counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keys: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    tokens: Vec<Entry>,
}

impl TokenBook {
    /// Reads the file; without one there are no tokens.
    ///
    /// # Errors
    /// A file that cannot be read, that others may read, or that is damaged.
    pub(super) fn load(path: &Path) -> Result<Self, FileError> {
        match private_file::read(path)? {
            Some(text) => Self::parse(path, &text),
            None => Ok(Self::of(path, BTreeMap::new())),
        }
    }

    /// What the file at `path` says.
    ///
    /// # Errors
    /// It is damaged.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, FileError> {
        let damaged = |what: String| FileError::DamagedTokens { path: path.to_path_buf(), what };
        let stored: Stored = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
        let mut entries = BTreeMap::new();
        for entry in stored.tokens {
            let facts = entry.facts().ok_or_else(|| damaged(format!("the token {:?}", entry.sha256)))?;
            entries.insert(facts.id, entry);
        }
        Ok(Self::of(path, entries))
    }

    fn of(path: &Path, entries: BTreeMap<TokenId, Entry>) -> Self {
        let most = Capacity::DEFAULT.tokens;
        Self { path: path.to_path_buf(), most, entries: RwLock::new(entries), changing: Mutex::new(()) }
    }

    pub(super) fn with_most(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// The text of its file.
    #[cfg(fuzzing)]
    pub(super) fn text(&self) -> Result<String, TokenError> {
        self.text_of(&self.read())
    }

    /// Makes a token.
    ///
    /// # Errors
    /// When there are too many, or the file cannot be written; then there is no new token.
    pub fn make(&self, new: &NewToken, now: Moment) -> Result<(Token, TokenFacts), TokenError> {
        let bytes =
            private_file::random_bytes().map_err(|error| FileError::Keys { what: error.to_string() })?;
        let token = Token(bytes);
        let _changing = self.changing();
        if self.read().values().filter(|entry| entry.revoked_unix_s.is_none()).count() >= self.most {
            return Err(TokenError::TooMany { max: self.most });
        }
        let facts = self.add(&token, new, now)?;
        Ok((token, facts))
    }

    /// Takes note of the token whose join string is printed, for which there is always room.
    pub(super) fn add_standing(&self, token: &Token, now: Moment) -> Result<(), TokenError> {
        let _changing = self.changing();
        self.add(token, &NewToken::standing(), now).map(drop)
    }

    fn add(&self, token: &Token, new: &NewToken, now: Moment) -> Result<TokenFacts, TokenError> {
        let entry = Entry {
            sha256: hex(&hash(token)),
            roles: new.roles.to_string(),
            made_unix_s: now.unix_s(),
            until_unix_s: new.life_s.map(|life| now.later(life).unix_s()),
            uses_max: new.uses_max,
            uses: 0,
            revoked_unix_s: None,
            note: new.note.clone(),
            keys: Vec::new(),
        };
        let facts = entry.facts().ok_or(TokenRefusal::Unknown)?;
        let mut changed = self.read().clone();
        changed.insert(facts.id, entry);
        self.store(&changed)?;
        *self.write() = changed;
        Ok(facts)
    }

    /// Whether admitting by a token means writing to the disk.
    ///
    /// # Errors
    /// Why the token admits nobody, which is known without that.
    pub fn is_counted(&self, token: &Token, now: Moment) -> Result<bool, TokenRefusal> {
        Ok(good(&self.read(), token, now)?.uses_max.is_some())
    }

    /// Lets one identity join by a token. A counted use is in the file before this returns; who asks again with the same
    /// key, because the answer did not arrive, takes no other one.
    ///
    /// # Errors
    /// Why the token admits nobody, or that the file cannot be written.
    pub(super) fn admit(&self, token: &Token, key: &[u8], now: Moment) -> Result<TokenFacts, TokenError> {
        let facts = good(&self.read(), token, now)?;
        if facts.uses_max.is_none() {
            // Nobody waits for the disk: the number is only looked at.
            if let Some(entry) = self.write().get_mut(&facts.id) {
                entry.uses += 1;
            }
            return Ok(facts);
        }
        let _changing = self.changing();
        let mut changed = self.read().clone();
        let facts = good(&changed, token, now)?;
        let Some(entry) = changed.get_mut(&facts.id) else { return Err(TokenRefusal::Unknown.into()) };
        let key = hex(&Sha256::digest(key)).split_off(64 - KEY_DIGITS);
        if entry.keys.contains(&key) {
            return Ok(facts);
        }
        if let Some(max) = facts.uses_max.filter(|&max| facts.uses >= u64::from(max)) {
            return Err(TokenRefusal::UsedUp { uses: max }.into());
        }
        entry.uses += 1;
        entry.keys.push(key);
        if entry.keys.len() > KEYS_MAX {
            entry.keys.remove(0);
        }
        self.store(&changed)?;
        *self.write() = changed;
        Ok(facts)
    }

    /// What a token allows whoever shows it with every request.
    ///
    /// # Errors
    /// Why it allows nothing.
    pub(super) fn bearer(&self, token: &Token, now: Moment) -> Result<Roles, TokenRefusal> {
        let facts = good(&self.read(), token, now)?;
        if facts.uses_max.is_some() { Err(TokenRefusal::Counted) } else { Ok(facts.roles) }
    }

    /// Whether identities that joined by a token are still welcome.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check(&self, id: TokenId) -> Result<(), TokenRefusal> {
        let entries = self.read();
        let entry = entries.get(&id).ok_or(TokenRefusal::Unknown)?;
        match entry.revoked_unix_s {
            Some(at) => Err(TokenRefusal::Revoked { id, at: Moment::of_unix_s(at) }),
            None => Ok(()),
        }
    }

    /// All tokens, the oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<TokenFacts> {
        let mut all: Vec<TokenFacts> = self.read().values().filter_map(Entry::facts).collect();
        all.sort_by_key(|facts| (facts.made, facts.id));
        all
    }

    /// Revokes a token; one that was revoked before stays as it is. It holds from here on, also when the disk is full.
    /// `certificate_life_s`: what was revoked longer ago than that has no identities left and is forgotten, but for the
    /// token that stands in a file of its own.
    ///
    /// # Errors
    /// No such token; or the file cannot be written, and it holds as long as this process does.
    pub(super) fn revoke(
        &self,
        id: TokenId,
        standing: TokenId,
        now: Moment,
        certificate_life_s: u64,
    ) -> Result<TokenFacts, TokenError> {
        let _changing = self.changing();
        let mut changed = self.read().clone();
        let entry = changed.get_mut(&id).ok_or(TokenError::NoToken { id })?;
        entry.revoked_unix_s.get_or_insert(now.unix_s());
        let facts = entry.facts().ok_or(TokenError::NoToken { id })?;
        let is_needed = |entry: &Entry| {
            entry.revoked_unix_s.is_none_or(|at| now.unix_s() <= at.saturating_add(certificate_life_s))
        };
        changed.retain(|&other, entry| other == id || other == standing || is_needed(entry));
        self.write().clone_from(&changed);
        match self.store(&changed) {
            Ok(()) => Ok(facts),
            Err(TokenError::File(error)) => Err(TokenError::UntilRestart(error)),
            Err(error) => Err(error),
        }
    }

    /// Writes the file.
    fn store(&self, entries: &BTreeMap<TokenId, Entry>) -> Result<(), TokenError> {
        let text = self.text_of(entries)?;
        Ok(private_file::replace(&self.path, &text)?)
    }

    fn text_of(&self, entries: &BTreeMap<TokenId, Entry>) -> Result<String, TokenError> {
        let stored = Stored { tokens: entries.values().cloned().collect() };
        let text = serde_json::to_string_pretty(&stored)
            .map_err(|error| FileError::DamagedTokens { path: self.path.clone(), what: error.to_string() })?;
        let (bytes, max) = (text.len() as u64, private_file::FILE_MAX_BYTES);
        if bytes >= max {
            return Err(TokenError::FileFull { bytes, max });
        }
        Ok(text + "\n")
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<TokenId, Entry>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<TokenId, Entry>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The facts of a token that has neither ended nor been revoked.
fn good(entries: &BTreeMap<TokenId, Entry>, token: &Token, now: Moment) -> Result<TokenFacts, TokenRefusal> {
    let shown = hash(token);
    let entry = entries.get(&TokenId::of_hash(&shown)).ok_or(TokenRefusal::Unknown)?;
    let facts = entry.facts().ok_or(TokenRefusal::Unknown)?;
    // What is compared are hashes, so a difference in time tells nothing that helps to guess a token.
    if entry.sha256 != hex(&shown) {
        return Err(TokenRefusal::Unknown);
    }
    if let Some(at) = facts.revoked {
        return Err(TokenRefusal::Revoked { id: facts.id, at });
    }
    match facts.until {
        Some(at) if now >= at => Err(TokenRefusal::Ended { at }),
        Some(_) | None => Ok(facts),
    }
}

impl Entry {
    fn facts(&self) -> Option<TokenFacts> {
        let whole = self.sha256.len() == 64 && self.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = self.sha256.get(..2 * ID_BYTES).filter(|_| whole)?.parse().ok()?;
        Some(TokenFacts {
            id,
            roles: self.roles.parse().ok()?,
            made: Moment::of_unix_s(self.made_unix_s),
            until: self.until_unix_s.map(Moment::of_unix_s),
            uses_max: self.uses_max,
            uses: self.uses,
            revoked: self.revoked_unix_s.map(Moment::of_unix_s),
            note: self.note.clone(),
        })
    }
}

impl NewToken {
    /// The token whose join string a coordinator prints: for workers, without an end.
    pub(super) fn standing() -> Self {
        Self { roles: Roles::of(&[Role::Worker]), note: "printed at start".to_owned(), ..Self::default() }
    }
}

impl TokenId {
    /// The name of a token.
    #[must_use]
    pub fn of(token: &Token) -> Self {
        Self::of_hash(&hash(token))
    }

    fn of_hash(hash: &[u8; 32]) -> Self {
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&hash[..ID_BYTES]);
        Self(id)
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for TokenId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut id = [0; ID_BYTES];
        let error =
            || format!("not a token's id: {} hex digits are wanted, as in muster token ls", 2 * ID_BYTES);
        if text.len() != 2 * ID_BYTES || !text.is_ascii() {
            return Err(error());
        }
        for (at, byte) in id.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| error())?;
        }
        Ok(Self(id))
    }
}

fn hash(token: &Token) -> [u8; 32] {
    Sha256::digest(token.0).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::of_unix_s(1_000_000);

    fn book(folder: &tempfile::TempDir) -> TokenBook {
        TokenBook::load(&folder.path().join("tokens.json")).unwrap()
    }

    fn admit(tokens: &TokenBook, token: &Token, now: Moment) -> Result<TokenFacts, TokenError> {
        tokens.admit(token, &private_file::random_bytes::<65>().unwrap(), now)
    }

    fn revoke(tokens: &TokenBook, id: TokenId, now: Moment) -> Result<TokenFacts, TokenError> {
        tokens.revoke(id, TokenId([0; ID_BYTES]), now, 100)
    }

    fn new(uses_max: Option<u32>, life_s: Option<u64>) -> NewToken {
        NewToken { roles: Roles::of(&[Role::Viewer]), life_s, uses_max, note: String::new() }
    }

    fn refusal(admitted: Result<TokenFacts, TokenError>) -> TokenRefusal {
        match admitted {
            Err(TokenError::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_token_admits_as_often_and_as_long_as_was_said() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = book(&folder);
        let (token, facts) = tokens.make(&new(Some(2), Some(60)), NOW).unwrap();
        assert_eq!(facts.id, TokenId::of(&token));
        assert_eq!(admit(&tokens, &token, NOW).unwrap().roles, Roles::of(&[Role::Viewer]));
        // A coordinator that starts again has counted, too.
        let again = book(&folder);
        assert!(admit(&again, &token, NOW.later(59)).is_ok());
        assert_eq!(refusal(admit(&again, &token, NOW.later(59))), TokenRefusal::UsedUp { uses: 2 });
        assert_eq!(refusal(admit(&again, &token, NOW.later(60))), TokenRefusal::Ended { at: NOW.later(60) });
        assert_eq!(refusal(admit(&book(&folder), &token, NOW)), TokenRefusal::UsedUp { uses: 2 });
        assert_eq!(refusal(admit(&again, &Token([7; 32]), NOW)), TokenRefusal::Unknown);
        assert_eq!(again.bearer(&token, NOW), Err(TokenRefusal::Counted));
    }

    #[test]
    fn who_asks_again_with_the_same_key_takes_no_other_use() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = book(&folder);
        let (token, _) = tokens.make(&new(Some(1), Some(60)), NOW).unwrap();
        for _ in 0..3 {
            assert!(tokens.admit(&token, &[4; 65], NOW).is_ok());
        }
        assert!(book(&folder).admit(&token, &[4; 65], NOW).is_ok());
        assert_eq!(refusal(tokens.admit(&token, &[5; 65], NOW)), TokenRefusal::UsedUp { uses: 1 });
        assert!(tokens.admit(&token, &[4; 65], NOW.later(60)).is_err(), "not for ever");
    }

    #[test]
    fn the_printed_token_is_not_forgotten_while_its_file_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = book(&folder);
        let (_, standing) = tokens.make(&new(None, None), NOW).unwrap();
        let (_, other) = tokens.make(&new(None, None), NOW).unwrap();
        for id in [standing.id, other.id] {
            tokens.revoke(id, standing.id, NOW.later(if id == other.id { 1_000 } else { 0 }), 100).unwrap();
        }
        assert!(matches!(book(&folder).check(standing.id), Err(TokenRefusal::Revoked { .. })));
    }

    #[test]
    fn a_revoked_token_stays_revoked_until_its_certificates_have_ended() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = book(&folder);
        let (token, facts) = tokens.make(&new(None, None), NOW).unwrap();
        assert!(tokens.check(facts.id).is_ok() && tokens.bearer(&token, NOW).is_ok());
        revoke(&tokens, facts.id, NOW).unwrap();
        revoke(&tokens, facts.id, NOW.later(5)).unwrap();
        let revoked = TokenRefusal::Revoked { id: facts.id, at: NOW };
        let again = book(&folder);
        assert_eq!(again.check(facts.id), Err(revoked));
        assert_eq!(refusal(admit(&again, &token, NOW)), revoked);
        let (_, other) = again.make(&new(None, None), NOW).unwrap();
        revoke(&again, other.id, NOW.later(100)).unwrap();
        assert_eq!(again.check(facts.id), Err(revoked), "a certificate may have a second left");
        revoke(&again, other.id, NOW.later(101)).unwrap();
        assert_eq!(again.check(facts.id), Err(TokenRefusal::Unknown));
        assert!(matches!(revoke(&again, facts.id, NOW), Err(TokenError::NoToken { .. })));
    }

    #[test]
    fn what_cannot_be_written_did_not_happen() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = book(&folder);
        let (token, facts) = tokens.make(&new(Some(1), None), NOW).unwrap();
        std::fs::remove_dir_all(folder.path()).unwrap();
        assert!(matches!(admit(&tokens, &token, NOW), Err(TokenError::File(_))));
        let (_, other) = {
            std::fs::create_dir(folder.path()).unwrap();
            let made = tokens.make(&new(None, None), NOW).unwrap();
            std::fs::remove_dir_all(folder.path()).unwrap();
            made
        };
        assert!(tokens.make(&new(None, None), NOW).is_err());
        // What was revoked stays out, as long as there is somebody to remember it.
        let error = revoke(&tokens, other.id, NOW).unwrap_err();
        assert!(error.to_string().contains("until the next start"), "{error}");
        assert!(tokens.check(other.id).is_err() && tokens.check(facts.id).is_ok());
        std::fs::create_dir(folder.path()).unwrap();
        assert_eq!(tokens.list().len(), 2);
        assert!(admit(&tokens, &token, NOW).is_ok(), "its use was not counted");
    }

    #[test]
    fn there_is_a_limit_and_damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = book(&folder);
        let entry = |number: u64| Entry {
            sha256: format!("{number:064x}").chars().rev().collect(),
            roles: "worker".to_owned(),
            made_unix_s: number,
            until_unix_s: None,
            uses_max: None,
            uses: 0,
            revoked_unix_s: None,
            note: String::new(),
            keys: Vec::new(),
        };
        let tokens = tokens.with_most(20);
        for number in 1..=20 {
            let entry = entry(number);
            tokens.write().insert(entry.facts().unwrap().id, entry);
        }
        assert!(matches!(tokens.make(&new(None, None), NOW), Err(TokenError::TooMany { max: 20 })));
        let path = folder.path().join("damaged.json");
        for bad in ["", "{}", "{\"tokens\": 1}", "{\"tokens\": [{\"sha256\": \"00\"}]}"] {
            private_file::replace(&path, bad).unwrap();
            let error = TokenBook::load(&path).unwrap_err();
            assert!(matches!(error, FileError::DamagedTokens { .. }), "{error}");
        }
    }

    #[test]
    fn ids_read_back() {
        let id = TokenId::of(&Token([3; 32]));
        assert_eq!(id.to_string().parse::<TokenId>(), Ok(id));
        for bad in ["", "abc", "00112233445g", "0011223344556", "äöüäöü"] {
            assert!(bad.parse::<TokenId>().is_err(), "{bad}");
        }
    }
}
