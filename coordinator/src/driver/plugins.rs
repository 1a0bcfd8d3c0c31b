//! The plugins that are registered, and how they are found.

use super::Refusal;
use crate::limits::{Limit, Limits};
use crate::plugin::Version;
use crate::store::PluginRecord;
use crate::store::blobs::hex;
use muster_core::sandbox::{Need, needs_of_plugin};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Digits of a digest that are enough to ask for it.
const DIGITS_MIN: usize = 8;

/// Plugins by digest.
#[derive(Debug, Default)]
pub struct Plugins {
    by_digest: BTreeMap<[u8; 32], Known>,
}

/// A plugin, and what its manifest says, which is read once.
#[derive(Debug)]
struct Known {
    record: Arc<PluginRecord>,
    abilities: Abilities,
}

/// What a job needs to know about its plugin.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Abilities {
    /// Its results can be combined.
    #[serde(default)]
    pub reduce: bool,
    /// `none`, `optional` or `required`.
    #[serde(default)]
    pub input: String,
    /// Names of the ABI's flags.
    #[serde(default)]
    flags: Vec<String>,
    /// What it cannot do without in a sandbox.
    #[serde(skip)]
    pub needs: Vec<Need>,
    #[serde(default, rename = "needs")]
    need_texts: Vec<String>,
}

impl Abilities {
    /// As the manifest says.
    fn of(plugin: &PluginRecord) -> Self {
        let said: Self = serde_json::from_str(&plugin.manifest).unwrap_or_default();
        Self { needs: needs_of_plugin(&said.need_texts), ..said }
    }

    /// Whether it is made to harm its process.
    #[must_use]
    pub fn is_chaos(&self) -> bool {
        self.flags.iter().any(|flag| flag == "chaos")
    }
}

impl Plugins {
    /// Takes a plugin up. `Ok(true)`: it was there.
    ///
    /// # Errors
    /// [`Refusal::OtherBytes`] when its version is taken, [`Refusal::Limit`].
    pub fn check(&self, plugin: &PluginRecord, limits: &Limits) -> Result<bool, Refusal> {
        if self.by_digest.contains_key(&plugin.digest) {
            return Ok(true);
        }
        let same = |known: &&PluginRecord| {
            known.name == plugin.name && known.version == plugin.version && known.target == plugin.target
        };
        if let Some(known) = self.records().map(|record| &**record).find(same) {
            return Err(Refusal::OtherBytes {
                name: plugin.name.clone(),
                version: plugin.version.clone(),
                known: known.digest,
                new: plugin.digest,
            });
        }
        limits.check(Limit::Plugins, self.by_digest.len() as u64 + 1)?;
        Ok(false)
    }

    /// Adds a plugin that passed [`Plugins::check`].
    pub fn insert(&mut self, plugin: PluginRecord) {
        let abilities = Abilities::of(&plugin);
        self.by_digest.insert(plugin.digest, Known { record: Arc::new(plugin), abilities });
    }

    /// Forgets a plugin.
    pub fn remove(&mut self, digest: &[u8; 32]) {
        self.by_digest.remove(digest);
    }

    /// The plugin with this digest.
    #[must_use]
    pub fn get(&self, digest: &[u8; 32]) -> Option<&Arc<PluginRecord>> {
        self.by_digest.get(digest).map(|known| &known.record)
    }

    /// The plugin with this digest, with what it can do and what it needs.
    #[must_use]
    pub fn known(&self, digest: &[u8; 32]) -> Option<(&PluginRecord, &Abilities)> {
        self.by_digest.get(digest).map(|known| (&*known.record, &known.abilities))
    }

    fn records(&self) -> impl Iterator<Item = &Arc<PluginRecord>> {
        self.by_digest.values().map(|known| &known.record)
    }

    /// All plugins, by name, then version, newest first.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<PluginRecord>> {
        let mut all: Vec<_> = self.records().cloned().collect();
        all.sort_by(|a, b| {
            let newest_first = || Version::of(&b.version).cmp(&Version::of(&a.version));
            a.name.cmp(&b.name).then_with(newest_first).then_with(|| a.target.cmp(&b.target))
        });
        all
    }

    /// The plugin that `query` names: a name (its newest version), name@version, or a digest of at least 8
    /// hex digits.
    ///
    /// # Errors
    /// None or several fit.
    pub fn find(&self, query: &str) -> Result<Arc<PluginRecord>, Refusal> {
        let named = |plugin: &&Arc<PluginRecord>| match query.split_once('@') {
            Some((name, version)) => plugin.name == name && plugin.version == version,
            None => plugin.name == query,
        };
        let newest = self.records().filter(named).max_by_key(|plugin| Version::of(&plugin.version));
        if let Some(plugin) = newest {
            return Ok(Arc::clone(plugin));
        }
        let is_digest = query.len() >= DIGITS_MIN && query.bytes().all(|digit| digit.is_ascii_hexdigit());
        let digits = query.to_ascii_lowercase();
        let mut fitting =
            self.records().filter(|plugin| is_digest && hex(&plugin.digest).starts_with(&digits));
        let found = fitting.next().ok_or_else(|| Refusal::NoPlugin(query.to_owned()))?;
        match fitting.count() {
            0 => Ok(Arc::clone(found)),
            more => Err(Refusal::ManyPlugins { query: query.to_owned(), count: more + 1 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(name: &str, version: &str, first: u8) -> PluginRecord {
        let mut digest = [0; 32];
        digest[0] = first;
        digest[31] = version.len() as u8;
        let target = "x86_64-unknown-linux-gnu".to_owned();
        PluginRecord {
            digest,
            name: name.into(),
            version: version.into(),
            target,
            size: 1,
            manifest: "{}".into(),
            added_unix_ns: 0,
        }
    }

    #[test]
    fn finds_the_newest_a_version_and_a_digest() {
        let mut plugins = Plugins::default();
        for (version, first) in [("1.9.0", 1), ("1.10.0", 2), ("1.10.0-rc.1", 3)] {
            plugins.insert(plugin("primes", version, first));
        }
        assert_eq!(plugins.find("primes").unwrap().version, "1.10.0");
        assert_eq!(plugins.find("primes@1.9.0").unwrap().version, "1.9.0");
        assert_eq!(plugins.find("03000000").unwrap().version, "1.10.0-rc.1");
        assert!(matches!(plugins.find("primes@2.0.0"), Err(Refusal::NoPlugin(_))));
        assert!(matches!(plugins.find("0300000"), Err(Refusal::NoPlugin(_))));
        plugins.insert(plugin("other", "1", 3));
        assert!(matches!(plugins.find("03000000"), Err(Refusal::ManyPlugins { count: 2, .. })));
    }

    #[test]
    fn a_version_never_changes_its_bytes() {
        let mut plugins = Plugins::default();
        let first = plugin("primes", "1.0.0", 1);
        let limits = Limits::default();
        assert!(!plugins.check(&first, &limits).unwrap());
        plugins.insert(first.clone());
        assert!(plugins.check(&first, &limits).unwrap());
        let error = plugins.check(&plugin("primes", "1.0.0", 2), &limits).unwrap_err();
        assert!(error.to_string().contains("raise the version"), "{error}");
        assert!(error.to_string().contains("0100000000"), "{error}");
    }
}
