//! The folder that keeps plugins, by digest. A plugin comes from the coordinator once, is checked, made
//! read-only and shared by all workers of the user on this machine. A file with the right name is still checked
//! once by each worker: disks and people change files.

use muster_core::sandbox::{Need, needs_of_plugin};
use muster_plugin_host::{MetricSpec, PluginError, inspect};
use muster_proto::MESSAGE_MAX_BYTES;
use muster_proto::convert::PluginRef;
use muster_proto::hex;
use muster_proto::link::{Link, try_flock, try_flock_shared};
use muster_proto::v1::PullRequest;
use muster_proto::v1::plugins_client::PluginsClient;
use std::ffi::CString;
use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// A plugin that executors can load.
#[derive(Clone, Debug, Default)]
pub struct PluginFile {
    /// The file.
    pub path: PathBuf,
    /// BLAKE3 of the file.
    pub digest: [u8; 32],
    /// The plugin's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// An executor may serve several jobs of it, one after the other.
    pub reusable: bool,
    /// Its threads can keep many tasks going at the same time.
    pub interleaves: bool,
    /// The metrics that it declares.
    pub metrics: Vec<MetricSpec>,
    /// What it cannot do without in a sandbox.
    pub needs: Vec<Need>,
}

/// Where a plugin's file was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the folder.
    Cache,
    /// It was fetched.
    Coordinator,
}

/// What the folder holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Plugins.
    pub files: u64,
    /// What they take.
    pub bytes: u64,
}

/// Why a plugin cannot be had, or no plugin at all.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The folder cannot be made or written to.
    #[error("plugin folder {}: {source}; name a folder that this user can write to with MUSTER_CACHE (or worker start --cache)", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder's file system does not let programs run.
    #[error("plugin folder {} is on a file system mounted noexec; name another with MUSTER_CACHE (or worker start --cache)", .folder.display())]
    NoExec {
        /// The folder.
        folder: PathBuf,
    },
    /// A file in the folder cannot be used.
    #[error("plugin file {}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The coordinator did not send it.
    #[error("the coordinator did not send plugin {name}: {reason}")]
    Pull {
        /// The plugin.
        name: String,
        /// Why.
        reason: String,
    },
    /// Other bytes came than were promised.
    #[error("plugin {name} arrived damaged: {found}, expected {expected}")]
    Damaged {
        /// The plugin.
        name: String,
        /// What came.
        found: String,
        /// What was promised.
        expected: String,
    },
    /// It came whole, but cannot run here.
    #[error(transparent)]
    Plugin(#[from] PluginError),
}

/// The folder.
#[derive(Clone, Debug)]
pub struct PluginCache {
    folder: PathBuf,
    /// Bytes that it may have beside what is in use.
    limit: u64,
}

/// A plugin's file stays in the folder as long as this is there, whichever worker on the machine fetches others.
#[derive(Debug)]
pub struct InUse {
    _file: File,
}

impl PluginFile {
    /// Keeps the file where it is.
    ///
    /// # Errors
    /// It is there no more.
    pub fn hold(&self) -> io::Result<InUse> {
        let file = open(&self.path)?;
        // Who has the lock for himself removes it, or has removed it before this one had it.
        if !try_flock_shared(&file)? || file.metadata()?.nlink() == 0 {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(InUse { _file: file })
    }
}

impl PluginCache {
    /// Opens the folder and makes it when it is not there.
    ///
    /// # Errors
    /// A folder that cannot be written to, or whose files cannot be run.
    pub fn open(folder: &Path) -> Result<Self, CacheError> {
        let failed = |source| CacheError::Folder { folder: folder.to_path_buf(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let folder = folder.canonicalize().map_err(failed)?;
        let cache = Self { folder, limit: u64::MAX };
        let trial = cache.temporary("trial");
        let created = create(&trial).map_err(failed);
        let _ = std::fs::remove_file(&trial);
        created?;
        if is_noexec(&cache.folder).map_err(failed)? {
            return Err(CacheError::NoExec { folder: cache.folder });
        }
        Ok(cache)
    }

    /// The same folder, in which files that were not used for longest make room for new ones beyond so many bytes.
    #[must_use]
    pub fn with_limit(self, limit: u64) -> Self {
        Self { limit, ..self }
    }

    /// What is in the folder now; nothing when it cannot be read.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let sum = |sum: Usage, (_, facts): (PathBuf, Metadata)| Usage {
            files: sum.files + 1,
            bytes: sum.bytes + facts.len(),
        };
        self.files().into_iter().fold(Usage::default(), sum)
    }

    fn files(&self) -> Vec<(PathBuf, Metadata)> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let plugins = entries.flatten().map(|entry| entry.path());
        let plugins = plugins.filter(|path| path.extension().is_some_and(|end| end == "so"));
        plugins.filter_map(|path| path.metadata().ok().map(|facts| (path, facts))).collect()
    }

    /// Removes what was not used for longest until the limit is kept, but nothing that is in use, and not `newest`.
    fn make_room(&self, newest: &Path) {
        let mut files = self.files();
        let mut bytes: u64 = files.iter().map(|(_, facts)| facts.len()).sum();
        files.sort_by_key(|(_, facts)| facts.modified().ok());
        for (path, facts) in files {
            if bytes <= self.limit {
                return;
            }
            if path != newest && remove_unused(&path) {
                tracing::info!(path = %path.display(), bytes = facts.len(), "removed a plugin from the cache to make room");
                bytes -= facts.len();
            }
        }
        if bytes > self.limit {
            tracing::warn!(
                bytes,
                limit = self.limit,
                "the plugins that are in use are more than --cache-size; they stay while they are"
            );
        }
    }

    /// The plugin's file, from the folder or else from the coordinator.
    ///
    /// # Errors
    /// What is wrong with the file or the way to it.
    pub async fn get(&self, link: Link, plugin: &PluginRef) -> Result<(PluginFile, Origin), CacheError> {
        let path = self.folder.join(format!("{}.so", hex(&plugin.digest)));
        if let Some(file) = known(path.clone(), plugin.digest).await? {
            return Ok((file, Origin::Cache));
        }
        self.pull(link, plugin, &path).await?;
        let file = known(path.clone(), plugin.digest).await?.ok_or_else(|| CacheError::File {
            path: path.clone(),
            source: io::Error::new(io::ErrorKind::NotFound, "it vanished right after it was written"),
        })?;
        let cache = self.clone();
        // What it cannot remove now it removes after the next one.
        let _ = tokio::task::spawn_blocking(move || cache.make_room(&path)).await;
        Ok((file, Origin::Coordinator))
    }

    async fn pull(&self, link: Link, plugin: &PluginRef, path: &Path) -> Result<(), CacheError> {
        let temporary = self.temporary(&hex(&plugin.digest));
        let result = self.download(link, plugin, &temporary).await.and_then(|()| {
            std::fs::rename(&temporary, path)
                .map_err(|source| CacheError::File { path: path.to_path_buf(), source })
        });
        if result.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        result
    }

    async fn download(&self, link: Link, plugin: &PluginRef, to: &Path) -> Result<(), CacheError> {
        let refused =
            |status: tonic::Status| CacheError::Pull { name: plugin.name.clone(), reason: words(&status) };
        let written = |source| CacheError::File { path: to.to_path_buf(), source };
        let mut client = PluginsClient::new(link).max_decoding_message_size(MESSAGE_MAX_BYTES);
        let request = PullRequest { digest: plugin.digest.to_vec().into() };
        let mut chunks = client.pull(request).await.map_err(refused)?.into_inner();
        let mut file = create(to).map_err(written)?;
        let (mut hasher, mut size) = (blake3::Hasher::new(), 0u64);
        while let Some(reply) = chunks.message().await.map_err(refused)? {
            size += reply.chunk.len() as u64;
            if size > plugin.size {
                break;
            }
            hasher.update(&reply.chunk);
            file.write_all(&reply.chunk).map_err(written)?;
        }
        let digest = *hasher.finalize().as_bytes();
        if size != plugin.size || digest != plugin.digest {
            return Err(CacheError::Damaged {
                name: plugin.name.clone(),
                found: format!("at least {size} bytes with digest {}", short(&digest)),
                expected: format!("{} bytes with digest {}", plugin.size, short(&plugin.digest)),
            });
        }
        file.set_permissions(Permissions::from_mode(0o400)).map_err(written)
    }

    fn temporary(&self, name: &str) -> PathBuf {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        self.folder.join(format!(".{name}.{}.{number}", std::process::id()))
    }
}

/// The file when it is there and whole; one that is damaged is removed.
async fn known(path: PathBuf, digest: [u8; 32]) -> Result<Option<PluginFile>, CacheError> {
    if !path.exists() {
        return Ok(None);
    }
    // Reading and hashing a large plugin takes longer than heartbeats may wait.
    let check = tokio::task::spawn_blocking(move || check(path, digest));
    check.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// Removes a file unless somebody has it in use.
fn remove_unused(path: &Path) -> bool {
    let Ok(file) = open(path) else { return false };
    try_flock(&file).unwrap_or(false) && std::fs::remove_file(path).is_ok()
}

fn check(path: PathBuf, digest: [u8; 32]) -> Result<Option<PluginFile>, CacheError> {
    if digest_of(&path).ok() != Some(digest) {
        tracing::warn!(path = %path.display(), "a plugin file in the cache is damaged; it is fetched again");
        return match std::fs::remove_file(&path) {
            Ok(()) => Ok(None),
            Err(error) => {
                let source = io::Error::new(error.kind(), format!("{error}; remove what is there"));
                Err(CacheError::File { path, source })
            }
        };
    }
    // When it was used last: those that were not for longest go first.
    let _ = open(&path).and_then(|file| file.set_modified(SystemTime::now()));
    let inspection = inspect(&path)?;
    let has = |name| inspection.manifest.flag_names().any(|flag| flag == name);
    let (reusable, interleaves) = (has("multi_job"), has("async"));
    let (name, version) = (inspection.manifest.name().to_owned(), inspection.manifest.version().to_owned());
    let metrics = inspection.manifest.metrics().to_vec();
    let needs = needs_of_plugin(inspection.manifest.needs());
    Ok(Some(PluginFile { path, digest, name, version, reusable, interleaves, metrics, needs }))
}

/// Opens a file, and nothing that only leads to one or has no end, whoever put it there.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no plain file")) }
}

/// The BLAKE3 digest of a plain file.
pub fn digest_of(path: &Path) -> io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(open(path)?)?;
    Ok(*hasher.finalize().as_bytes())
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn is_noexec(folder: &Path) -> io::Result<bool> {
    let path = CString::new(folder.as_os_str().as_bytes())?;
    // SAFETY: an all-zero statvfs is a valid value to be overwritten.
    let mut facts: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path is NUL-terminated and `facts` is valid to write to.
    crate::os::check(unsafe { libc::statvfs(path.as_ptr(), &mut facts) })?;
    Ok(facts.f_flag & libc::ST_NOEXEC != 0)
}

/// The beginning of a digest, for people.
pub fn short(digest: &[u8; 32]) -> String {
    hex(&digest[..6])
}

fn words(status: &tonic::Status) -> String {
    match status.message() {
        "" => status.code().to_string(),
        message => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_folder_that_cannot_be_written_to_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = PluginCache::open(&file.join("inside")).unwrap_err().to_string();
        assert!(error.contains("file/inside") && error.contains("MUSTER_CACHE"), "{error}");
        let made = PluginCache::open(&folder.path().join("a/b")).unwrap();
        assert_eq!(std::fs::read_dir(&made.folder).unwrap().count(), 0, "the trial leaves nothing");
    }

    #[tokio::test]
    async fn a_damaged_file_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.so");
        std::fs::write(&path, "not it").unwrap();
        assert!(known(path.clone(), [7; 32]).await.unwrap().is_none());
        assert!(!path.exists());
        assert!(known(path, [7; 32]).await.unwrap().is_none());
    }

    #[test]
    fn what_was_not_used_for_longest_makes_room_but_nothing_that_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let cache = PluginCache::open(folder.path()).unwrap().with_limit(25);
        let file = |name: &str, age_s: u64| {
            let path = cache.folder.join(format!("{name}.so"));
            std::fs::write(&path, [0; 10]).unwrap();
            let used = SystemTime::now() - Duration::from_secs(age_s);
            File::open(&path).unwrap().set_modified(used).unwrap();
            PluginFile { path, ..PluginFile::default() }
        };
        let (held, old, new, newest) =
            (file("held", 40), file("old", 30), file("new", 20), file("newest", 10));
        let in_use = held.hold().unwrap();
        cache.make_room(&newest.path);
        let left = || [&held, &old, &new, &newest].map(|file| file.path.exists());
        assert_eq!(left(), [true, false, false, true]);
        assert!(old.hold().is_err());
        assert_eq!(cache.usage(), Usage { files: 2, bytes: 20 });
        // What nobody uses any more goes with the next one.
        drop(in_use);
        let cache = cache.with_limit(5);
        cache.make_room(&newest.path);
        assert_eq!(left(), [false, false, false, true]);
    }

    #[tokio::test]
    async fn what_leads_to_a_device_is_damage_and_no_wait() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.so");
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert!(known(path.clone(), [7; 32]).await.unwrap().is_none());
        assert!(path.symlink_metadata().is_err(), "it is removed");
        assert!(digest_of(Path::new("/dev/zero")).is_err());
    }

    #[tokio::test]
    async fn a_whole_file_that_is_no_plugin_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.so");
        std::fs::write(&path, "plain text").unwrap();
        let digest = *blake3::hash(b"plain text").as_bytes();
        let error = known(path, digest).await.unwrap_err();
        assert!(matches!(error, CacheError::Plugin(_)), "{error}");
    }
}
