//! Brings a registered plugin from a cluster to a file here.

use crate::cluster::clients;
use crate::exit::{Exit, Failure};
use crate::plugin::PluginFile;
use muster_proto::link::Link;
use muster_proto::v1;
use std::io::Write as _;
use std::path::Path;
use tokio_stream::StreamExt as _;

/// Writes the plugin to a new file in `folder`.
pub async fn pull(link: &Link, plugin: &v1::PluginRef, folder: &Path) -> Result<PluginFile, Failure> {
    let path = folder.join(format!("{}.so", plugin.name));
    let unwritten = |error: std::io::Error| Failure::io(Exit::Storage, "write", &path, &error);
    let unread = |status: tonic::Status| Failure::from_status("fetching the plugin", &status);
    let request = v1::PullRequest { digest: plugin.digest.clone() };
    let mut chunks = clients::plugins(link).pull(request).await.map_err(unread)?.into_inner();
    let mut file = std::fs::File::create_new(&path).map_err(unwritten)?;
    while let Some(chunk) = chunks.next().await {
        file.write_all(&chunk.map_err(unread)?.chunk).map_err(unwritten)?;
    }
    drop(file);
    let file = PluginFile::inspect(&path)?;
    if file.inspection().digest.as_bytes()[..] != plugin.digest[..] {
        return Err(Failure::new(
            Exit::Connection,
            format_args!("the cluster sent other bytes than those of {}", plugin.name),
        ));
    }
    Ok(file)
}
