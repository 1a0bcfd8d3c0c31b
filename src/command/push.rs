//! Brings a plugin to a coordinator, unless it has it.

use crate::cluster::clients;
use crate::exit::{Exit, Failure};
use crate::plugin::{PluginFailure, PluginFile, Searched};
use crate::summary::hex;
use muster_plugin_host::Manifest;
use muster_proto::FRAME_BYTES;
use muster_proto::link::Link;
use muster_proto::v1;
use tonic::Code;

/// Registers a plugin file; `true`: it was there already.
pub async fn push(link: &Link, file: &PluginFile) -> Result<(v1::PluginInfo, bool), Failure> {
    let digest = file.inspection().digest.as_bytes().to_vec();
    if let Some(known) = find(link, &hex(&digest)).await? {
        return Ok((known, true));
    }
    let bytes =
        std::fs::read(file.path()).map_err(|error| Failure::io(Exit::Plugin, "read", file.path(), &error))?;
    let bytes = bytes::Bytes::from(bytes);
    let size = bytes.len() as u64;
    let chunks = (0..bytes.len()).step_by(FRAME_BYTES).map(move |at| {
        let chunk = bytes.slice(at..bytes.len().min(at + FRAME_BYTES));
        if at == 0 {
            v1::PushRequest { digest: digest.clone().into(), size, chunk }
        } else {
            v1::PushRequest { chunk, ..Default::default() }
        }
    });
    let reply = clients::plugins(link).push(tokio_stream::iter(chunks)).await;
    let reply = reply.map_err(|status| refused(file, &status))?.into_inner();
    Ok((reply.plugin.unwrap_or_default(), reply.known))
}

/// Looks a plugin up by name, name@version or digest.
pub async fn find(link: &Link, query: &str) -> Result<Option<v1::PluginInfo>, Failure> {
    let request = v1::FindPluginRequest { query: query.to_owned() };
    match clients::plugins(link).find(request).await {
        Ok(reply) => Ok(Some(reply.into_inner())),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(Failure::from_status("looking for the plugin", &status)),
    }
}

/// The same, for a plugin that must be there.
pub async fn find_known(link: &Link, query: &str) -> Result<v1::PluginInfo, Failure> {
    let found = find(link, query).await?;
    Ok(found.ok_or_else(|| PluginFailure::not_found(query.to_owned(), Searched::FilesAndCluster))?)
}

/// The manifest that a coordinator has for a plugin.
pub fn manifest(info: &v1::PluginInfo) -> Result<Manifest, Failure> {
    Manifest::parse(&info.manifest).map_err(|error| Failure::new(Exit::Plugin, error))
}

fn refused(file: &PluginFile, status: &tonic::Status) -> Failure {
    let mut failure = Failure::from_status(&format!("plugin {}", file.path().display()), status);
    if matches!(status.code(), Code::AlreadyExists | Code::InvalidArgument | Code::FailedPrecondition) {
        failure.exit = Exit::Plugin;
    }
    failure
}
