//! Plugins: push, pull, list, find, remove. The coordinator never runs or loads one.

use super::{STREAM_MESSAGES, Sent, Shared};
use crate::driver::Command;
use crate::limits::{Limit, Limits};
use crate::plugin::describe;
use crate::quantity::in_words;
use crate::store::PluginRecord;
use crate::store::blobs::{Blobs, Digest, hex};
use bytes::Bytes;
use muster_proto::FRAME_BYTES;
use muster_proto::v1;
use muster_proto::v1::plugins_server::Plugins;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Serves plugins' files.
#[derive(Clone, Debug)]
pub struct PluginsService {
    shared: Shared,
    blobs: Blobs,
    limits: Limits,
    /// Files that may be received at the same time: each is in memory until it was checked.
    uploads: Arc<Semaphore>,
}

impl PluginsService {
    /// A service that keeps files in `blobs`.
    #[must_use]
    pub fn new(shared: Shared, blobs: Blobs, limits: &Limits) -> Self {
        let uploads = Arc::new(Semaphore::new(limits.count(Limit::Uploads)));
        Self { shared, blobs, limits: limits.clone(), uploads }
    }

    fn invalid(&self, text: String) -> Status {
        self.shared.refused(Status::invalid_argument(text))
    }

    /// The next piece of a file: whoever sends none keeps others waiting.
    async fn next(&self, stream: &mut Streaming<v1::PushRequest>) -> Result<Option<v1::PushRequest>, Status> {
        let idle = self.limits.upload_idle();
        match timeout(idle, self.shared.next(stream)).await {
            Ok(next) => next,
            Err(_) => {
                let (idle, setting) = (in_words(idle), Limit::UploadIdle.setting());
                let text =
                    format!("nothing more came of the plugin's file for {idle}: push it again; {setting}");
                Err(self.shared.refused(Status::deadline_exceeded(text)))
            }
        }
    }

    /// The whole file, with the digest that it was announced with.
    async fn receive(&self, mut stream: Streaming<v1::PushRequest>) -> Result<(Vec<u8>, Bytes), Status> {
        let first = self.next(&mut stream).await?;
        let first = first.ok_or_else(|| self.invalid("digest is missing: nothing was sent".into()))?;
        if first.digest.len() != 32 {
            let found = first.digest.len();
            return Err(self.invalid(format!("digest is {found} bytes long: 32 are wanted (BLAKE3)")));
        }
        if first.size == 0 {
            return Err(self.invalid("size is 0: a plugin's file is not empty".into()));
        }
        self.limits.check(Limit::Plugin, first.size).map_err(|refusal| {
            self.shared.refused(Status::new(refusal.code(), format!("size: {refusal}")))
        })?;
        let (digest, size) = (first.digest.clone(), first.size as usize);
        let mut bytes = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next {
            if bytes.len() + message.chunk.len() > size {
                return Err(self.invalid(format!("chunk: more came than the {size} bytes that size says")));
            }
            bytes.extend_from_slice(&message.chunk);
            next = self.next(&mut stream).await?;
        }
        if bytes.len() != size {
            return Err(self.invalid(format!("chunk: {} bytes came, size says {size}", bytes.len())));
        }
        Ok((bytes, digest))
    }

    /// Keeps a file that was checked, and tells the driver.
    async fn keep(&self, plugin: PluginRecord, bytes: Vec<u8>) -> Result<bool, Status> {
        let bytes = Bytes::from(bytes);
        self.put(bytes.clone()).await?;
        let digest = plugin.digest;
        let added = self.shared.driver.ask(|reply| Command::AddPlugin(plugin, reply)).await;
        if added.is_err() && self.find(&digest).await.is_err() {
            self.forget(&digest);
        }
        let added = added?;
        // A result with the same bytes may have gone, and its file with it, before the plugin was written down.
        self.put(bytes).await?;
        Ok(added)
    }

    async fn put(&self, bytes: Bytes) -> Result<(), Status> {
        let blobs = self.blobs.clone();
        let kept = tokio::task::spawn_blocking(move || blobs.put(&bytes)).await;
        kept.map_err(|_| Status::internal("writing the file did not end well"))?
            .map(drop)
            .map_err(|error| Status::data_loss(error.to_string()))
    }

    /// In memory there are no files but plugins'. In a folder inputs and results may have the same bytes: the store removes
    /// what nothing names any more.
    fn forget(&self, digest: &Digest) {
        if self.blobs.is_in_memory() {
            self.blobs.remove(digest);
        }
    }

    async fn find(&self, digest: &[u8]) -> Result<Arc<PluginRecord>, Status> {
        let query = hex(digest);
        Ok(self.shared.driver.ask(|reply| Command::FindPlugin(query, reply)).await?)
    }
}

#[tonic::async_trait]
impl Plugins for PluginsService {
    async fn push(
        &self,
        request: Request<Streaming<v1::PushRequest>>,
    ) -> Result<Response<v1::PushReply>, Status> {
        let _turn = self.uploads.acquire().await.map_err(|_| Status::unavailable("stopping"))?;
        let (bytes, digest) = self.receive(request.into_inner()).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        let plugin = describe(&bytes, now).map_err(|error| self.invalid(error.to_string()))?;
        if plugin.digest[..] != digest[..] {
            let (found, said) = (hex(&plugin.digest), hex(&digest));
            return Err(self.invalid(format!("digest is {said}: what came has {found}; send it again")));
        }
        let known = self.keep(plugin.clone(), bytes).await?;
        let plugin = if known { to_wire(&*self.find(&digest).await?) } else { to_wire(&plugin) };
        Ok(Response::new(v1::PushReply { plugin: Some(plugin), known }))
    }

    type PullStream = Sent<v1::PullReply>;

    async fn pull(&self, request: Request<v1::PullRequest>) -> Result<Response<Self::PullStream>, Status> {
        let plugin = self.find(&request.into_inner().digest).await?;
        let (chunks, sent) = mpsc::channel(STREAM_MESSAGES);
        let blobs = self.blobs.clone();
        tokio::task::spawn_blocking(move || {
            let mut at = 0;
            while at < plugin.size {
                let chunk = blobs
                    .read_at(&plugin.digest, at, FRAME_BYTES)
                    .map_err(|error| Status::data_loss(error.to_string()));
                let (last, read) = (chunk.is_err(), chunk.as_ref().map_or(0, |chunk| chunk.len() as u64));
                at += read;
                let stopped = chunks.blocking_send(chunk.map(|chunk| v1::PullReply { chunk })).is_err();
                if last || stopped || read == 0 {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(sent))))
    }

    async fn list(
        &self,
        _request: Request<v1::ListPluginsRequest>,
    ) -> Result<Response<v1::ListPluginsReply>, Status> {
        let plugins = self.shared.driver.ask(Command::ListPlugins).await?;
        let plugins = plugins.iter().map(|plugin| to_wire(plugin)).collect();
        Ok(Response::new(v1::ListPluginsReply { plugins }))
    }

    async fn find(
        &self,
        request: Request<v1::FindPluginRequest>,
    ) -> Result<Response<v1::PluginInfo>, Status> {
        let query = request.into_inner().query;
        let plugin = self.shared.driver.ask(|reply| Command::FindPlugin(query, reply)).await?;
        Ok(Response::new(to_wire(&plugin)))
    }

    async fn remove(
        &self,
        request: Request<v1::RemovePluginRequest>,
    ) -> Result<Response<v1::RemovePluginReply>, Status> {
        let query = request.into_inner().query;
        let plugin = self.shared.driver.ask(|reply| Command::RemovePlugin(query, reply)).await?;
        self.forget(&plugin.digest);
        Ok(Response::new(v1::RemovePluginReply { plugin: Some(to_wire(&plugin)) }))
    }
}

fn to_wire(plugin: &PluginRecord) -> v1::PluginInfo {
    v1::PluginInfo {
        plugin: Some(v1::PluginRef {
            name: plugin.name.clone(),
            version: plugin.version.clone(),
            digest: Bytes::copy_from_slice(&plugin.digest),
            size: plugin.size,
        }),
        target: plugin.target.clone(),
        manifest: plugin.manifest.clone(),
        added_s: plugin.added_unix_ns as f64 / 1e9,
    }
}
